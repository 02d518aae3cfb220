"""What the tests of the prompt share: a session without sockets."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import coro.testing
from coro.backdoor.evaluation import Compiled, Evaluator, Incomplete, Outcome, default_namespace


class Screen:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str, /) -> None:
        self.text += text


class Prompt:
    """An evaluator with its screen.  inputs: what will be typed when the line asks."""

    def __init__(self, namespace: dict[str, Any] | None = None, *, label: str = "session 3") -> None:
        self.screen = Screen()
        self.inputs: list[str] = []
        self.prompts: list[str] = []
        self.evaluator = Evaluator(
            default_namespace() if namespace is None else namespace,
            self.screen,
            read_line=self.read_line,
            label=label,
        )

    def read_line(self, prompt: str) -> str:
        self.prompts.append(prompt)
        if not self.inputs:
            raise EOFError
        return self.inputs.pop(0)

    def compile(self, text: str, *, interactive: bool = True) -> Compiled:
        compiled = self.evaluator.compile_source(text, interactive=interactive)
        assert isinstance(compiled, Compiled), compiled
        return compiled

    def refusal(self, text: str, *, interactive: bool = True) -> str:
        error = self.evaluator.compile_source(text, interactive=interactive)
        assert isinstance(error, str), error
        return error

    def is_incomplete(self, text: str, *, interactive: bool = True) -> bool:
        return isinstance(self.evaluator.compile_source(text, interactive=interactive), Incomplete)

    def run(self, text: str, *, interactive: bool = True) -> Outcome:
        return self.evaluator.run(self.compile(text, interactive=interactive))

    def value(self, text: str) -> str | None:
        """Run what must not fail."""
        outcome = self.run(text)
        assert outcome.error_text is None, outcome.error_text
        return outcome.value_repr

    def error(self, text: str) -> str:
        """Run what must fail."""
        outcome = self.run(text)
        assert outcome.value_repr is None
        assert outcome.error_text is not None
        return outcome.error_text

    def printed(self, text: str) -> str:
        """What running a text writes."""
        self.screen.text = ""
        self.value(text)
        return self.screen.text


@contextmanager
def streams(**replacements: Any) -> Iterator[None]:
    """Have sys.stdout and the like be something else for a while."""
    former = {name: getattr(sys, name) for name in ("stdin", "stdout", "stderr")}
    try:
        for name, stream in replacements.items():
            setattr(sys, name, stream)
        yield
    finally:
        for name, stream in former.items():
            setattr(sys, name, stream)


def in_loop(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test in a thread under a fake clock, where a lost wake-up raises NothingWillHappen."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        coro.testing.run(test, *args, real_descriptors=False, **kwargs)

    return run
