"""What is told of an answer's progress, and to whom, under a fake clock."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

import coro
from coro import testing
from coro.backdoor.commands.progress import PERIOD_S, Progress
from coro.backdoor.connection import ConnectionLost


def session_of(kind: str, thread: object) -> Any:
    """As much of a session as matters: its request 7 runs in `thread`, if any."""
    sent: list[bytes] = []
    connection = SimpleNamespace(lost=None, enqueue=sent.append, sent=sent)
    line = None if thread is None else SimpleNamespace(thread=thread)
    return SimpleNamespace(kind=kind, line=line, request_id=7, connection=connection)


def work(progress: Progress, seconds: float) -> None:
    for _ in range(int(seconds * 100)):
        coro.sleep_relative(0.01)
        progress()


def test_progress_of_a_request_is_told_four_times_a_second() -> None:
    def main() -> None:
        session = session_of("rpc", coro.current())
        work(Progress(session), 1.0)

        told = [json.loads(message) for message in session.connection.sent]
        assert [message["method"] for message in told] == ["progress"] * len(told)
        assert [message["params"]["id"] for message in told] == [7] * len(told)
        elapsed = [message["params"]["elapsed_s"] for message in told]
        assert elapsed == pytest.approx([0.25, 0.5, 0.75, 1.0], abs=0.02)

    testing.run(main, real_descriptors=False)


@pytest.mark.parametrize("case", ["text console", "subscription", "another request runs"])
def test_whoever_did_not_ask_is_told_nothing(case: str) -> None:
    def main() -> None:
        thread = {"text console": coro.current(), "subscription": None, "another request runs": object()}[case]
        session = session_of("text" if case == "text console" else "rpc", thread)
        work(Progress(session), 4 * PERIOD_S)

        assert session.connection.sent == []

    testing.run(main, real_descriptors=False)


def test_work_for_nobody_ends() -> None:
    def main() -> None:
        session = session_of("rpc", coro.current())
        progress = Progress(session)
        progress()
        session.connection.lost = "the peer is gone"

        with pytest.raises(ConnectionLost, match="the peer is gone"):
            progress()

    testing.run(main, real_descriptors=False)
