"""Marked tests that are looked at in the debugger."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.testing.conftest import OPTIONS, TIME_LIMIT_S

pytest_plugins = ["pytester"]


@pytest.fixture
def terminal(pytester: pytest.Pytester) -> Iterator[list[pexpect.spawn]]:
    terminals: list[pexpect.spawn] = []
    yield terminals
    for terminal in terminals:
        terminal.close(force=True)


def debugged(pytester: pytest.Pytester, text: str, *options: str) -> pexpect.spawn:
    """Run the tests of `text` at a terminal."""
    path: Path = pytester.makepyfile(test_planted="import coro, pytest\n" + text)
    arguments = ["-m", "pytest", *OPTIONS, *options, str(path)]
    environment = os.environ | {"TERM": "dumb", "NO_COLOR": "1", "PYTHON_COLORS": "0"}
    child = pexpect.spawn(sys.executable, arguments, env=environment, timeout=TIME_LIMIT_S, encoding="utf-8")
    child.setecho(False)
    return child


def test_debugger_steps_over_a_call_that_blocks(pytester: pytest.Pytester, terminal: list[pexpect.spawn]) -> None:
    child = debugged(
        pytester,
        """
@pytest.mark.coro(fake_clock=True)
def test_it():
    values = []
    coro.spawn(values.append, "from another thread")
    breakpoint()
    coro.sleep_relative(3600)
    assert values == []
""",
    )
    terminal.append(child)

    child.expect(r"\(Pdb\)")
    child.sendline("next")
    child.expect(r"-> (assert values == \[\]|coro.sleep_relative\(3600\))")
    if "sleep" in child.match.group(1):
        child.expect(r"\(Pdb\)")
        child.sendline("next")
        child.expect(r"-> assert values == \[\]")
    child.expect(r"\(Pdb\)")
    child.sendline("p values, coro.current().name")
    child.expect_exact("(['from another thread'], 'test_it')")
    child.expect(r"\(Pdb\)")
    child.sendline("continue")
    child.expect("1 failed")
    child.expect(pexpect.EOF)


def test_debugger_after_a_failure_looks_at_the_test(
    pytester: pytest.Pytester, terminal: list[pexpect.spawn]
) -> None:
    child = debugged(
        pytester,
        """
@pytest.fixture
def server():
    thread = coro.spawn(coro.sleep_relative, 1000)
    yield thread
    thread.shutdown()
    thread.join()

@pytest.mark.coro(fake_clock=True)
def test_it(server):
    secret = "planted"
    coro.sleep_relative(1)
    assert secret == "found"
""",
        "--pdb",
    )
    terminal.append(child)

    child.expect(r"\(Pdb\)")
    child.sendline("p secret, server.dead")
    child.expect_exact("('planted', False)")
    child.expect(r"\(Pdb\)")
    child.sendline("p coro.sleep_relative(1)")
    child.expect("YieldFromMain")
    child.expect(r"\(Pdb\)")
    child.sendline("continue")
    # And no error of the fixture's clean-up beside it.
    child.expect("1 failed in ")
    child.expect(pexpect.EOF)
