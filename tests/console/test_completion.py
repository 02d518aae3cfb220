"""Completion: of Python by the daemon, of commands by the table."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from coro.console import completion
from coro.console.completion import PromptCompleter
from coro.console.link import open_link
from coro.console.options import Options
from coro.wire.commands import COMMANDS
from tests.console.conftest import Daemon
from tests.console.double import Double, Refusal
from tests.console.test_main import THREADS

Complete = Callable[[str], list[str]]


def texts(completer: PromptCompleter, text: str) -> list[str]:
    """The line as it would be after each candidate."""
    found = completer.get_completions(Document(text), CompleteEvent(completion_requested=True))
    return [text[: len(text) + each.start_position] + each.text for each in found]


@pytest.fixture
def complete(double: Double) -> Iterator[Complete]:
    double.values["ps"] = THREADS
    with open_link(Options(target=double.target)) as link:
        completer = PromptCompleter(lambda: link, lambda: COMMANDS)
        yield lambda text: texts(completer, text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (":whe", [":where"]),
        (":where ", [":where all", ":where 1", ":where 2", ":where 3"]),
        (":where a", [":where all"]),
        (":where 1", [":where 1"]),
        (":ps --s", [":ps --sort"]),
        (":ps --sort s", [":ps --sort switches"]),
        (":ps -s ru", [":ps -s run"]),
        (":set ", [":set selfishness", ":set latency-warning", ":set stall-threshold"]),
        (":shutdown 1 ", [":shutdown 1 1", ":shutdown 1 2", ":shutdown 1 3"]),
        (":help whe", [":help where"]),
        (":nonsense ", []),
        (":ps --js", [":ps --json"]),
        ("", []),
        ("x ", []),
    ],
)
def test_commands_options_values_and_thread_ids(complete: Complete, text: str, expected: list[str]) -> None:
    assert complete(text) == expected


def test_daemon_completes_python(complete: Complete, double: Double) -> None:
    double.values["complete"] = {
        "start": 5,
        "candidates": [{"text": "all_threads", "kind": "dict"}, {"text": "bad\x1b[2J"}, {"text": 5}, "x", {}],
        "truncated": False,
    }

    assert complete("coro.all_th") == ["coro.all_threads"]
    assert double.requests[-1]["params"] == {"text": "coro.all_th", "cursor": 11}


@pytest.mark.parametrize(
    "value", [None, [], {}, {"start": -1, "candidates": []}, {"start": 99, "candidates": []}, {"start": 0}]
)
def test_odd_answer_has_no_candidates(complete: Complete, double: Double, value: object) -> None:
    double.values["complete"] = value

    assert complete("x") == []


def test_daemon_that_cannot_complete_has_no_candidates(complete: Complete, double: Double) -> None:
    assert complete("x") == []

    def refuse(params: object) -> None:
        raise Refusal(-32001, "no")

    double.values["ps"] = refuse
    assert complete(":info ") == []


def test_slow_daemon_is_left_alone_for_a_while(
    complete: Complete, double: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completion, "ANSWER_TIMEOUT_S", 0.05)
    double.silent = True
    began = time.monotonic()
    for _ in range(5):
        assert complete("x") == []

    assert time.monotonic() - began < 0.2
    assert double.methods().count("complete") == 1


def test_threads_are_asked_for_once_in_a_while(complete: Complete, double: Double) -> None:
    for _ in range(5):
        complete(":info ")

    assert double.methods().count("ps") == 1


def test_lost_connection_has_no_candidates(complete: Complete, double: Double) -> None:
    double.hang_up()

    assert complete("x") == []
    assert complete(":info ") == []


def test_real_daemon_completes(start_daemon: Callable[..., Daemon]) -> None:
    start_daemon()
    with open_link(Options()) as link:
        completer = PromptCompleter(lambda: link, lambda: COMMANDS)

        assert "coro.all_threads" in texts(completer, "coro.all_th")
        assert "worker" in texts(completer, "wor")
        values: Any = texts(completer, ":info ")
        assert ":info 1" in values
