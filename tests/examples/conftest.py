"""What the tests of the examples share: processes that are ended, and looked at, when a test is over."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.examples.program import Program, python


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Give start(command): a process that is ended after the test, however it is then."""
    programs: list[Program] = []

    def start_program(command: Sequence[str], *, has_input: bool = False) -> Program:
        programs.append(Program(command, tmp_path, has_input=has_input))
        return programs[-1]

    try:
        yield start_program
    finally:
        for program in reversed(programs):
            program.stop()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Give serve(module, *arguments): an example that must end well when it is told to, and complain of nothing."""
    programs: list[Program] = []

    def start_example(module: str, *arguments: object) -> Program:
        programs.append(Program(python(module, *arguments), tmp_path))
        return programs[-1]

    try:
        yield start_example
    finally:
        statuses = [program.stop() for program in reversed(programs)]
    for program, status in zip(reversed(programs), statuses, strict=True):
        assert status == 0, f"exit status {status}: {program!r}"
        assert program.errors == "", repr(program)
