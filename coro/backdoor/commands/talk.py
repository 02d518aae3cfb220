"""The commands about the session itself, and the daemon's health."""

from __future__ import annotations

from typing import Any

from coro import inspect
from coro.backdoor.commands.registry import CommandError, find, implements, known_commands
from coro.backdoor.session import Session
from coro.inspect.health import Thresholds
from coro.records import ActionRecord, CommandRecord, HealthRecord, HistoryRecord
from coro.wire.described import command_record

__all__ = ["thresholds_of"]


@implements("check")
def check(session: Session, **parameters: Any) -> HealthRecord:
    """Judge the daemon's health.  Yields: the application's checks may block, 0.2 s each."""
    return inspect.health(thresholds_of(parameters))


def thresholds_of(parameters: dict[str, Any]) -> Thresholds:
    """The limits that a check is judged by, from its parameters."""
    return Thresholds(
        warn_lag=parameters["warn_lag"],
        crit_lag=parameters["crit_lag"],
        warn_stall=parameters["warn_stall"],
        crit_stall=parameters["crit_stall"],
        max_threads=parameters["max_threads"],
        require=tuple(parameters["require"] or ()),
        deadlock=parameters["deadlock"],
    )


@implements("history")
def history(session: Session) -> list[HistoryRecord]:
    """What was typed in this session."""
    first = session.history_count - len(session.history) + 1
    return [HistoryRecord(number, text) for number, text in enumerate(session.history, first)]


@implements("help")
def help_(session: Session, command: str | None = None) -> list[CommandRecord]:
    """All commands that the session's role allows, or one.  At the prompt, without those of the shell only."""
    if command is not None:
        return [command_record(find(command.removeprefix(":")).command)]
    return [
        command_record(known)
        for known in known_commands()
        if session.may(known.role) and (session.kind != "text" or known.where != "shell")
    ]


@implements("quit")
def quit_(session: Session) -> ActionRecord:
    """Leave the session; whoever runs the command sees to it."""
    return ActionRecord("quit", session.number, session.name, "bye")


@implements("eval")
def eval_(session: Session, code: str) -> None:
    """Evaluate Python: the dialogue does it itself, since output comes before the result."""
    raise CommandError("eval works at the shell; at the prompt just type the expression")
