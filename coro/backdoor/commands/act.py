"""The commands that change something.  Each says what it did, and to whom."""

from __future__ import annotations

import builtins
from typing import Any

from coro import exceptions, hooks
from coro.backdoor.commands.look import no_such_thread
from coro.backdoor.commands.registry import CommandError, implements
from coro.backdoor.session import Session
from coro.exceptions import ScheduleError
from coro.loop import loop
from coro.records import ActionRecord, SettingRecord
from coro.run_queue import LATENCY_UNIT_NS
from coro.runtime import all_threads, spawn
from coro.thread import coro, get_selfishness, set_selfishness
from coro.timed import sleep_relative

__all__ = ["exception_named"]

MAX_NAME_CHARS = 200
MAX_LATENCY_WARNING_S = 60
EXIT_DELAY_S = 0.05
# Their message is built from arguments that nobody can type here.
_NEEDS_ARGUMENTS = (ScheduleError, exceptions.SimultaneousError, exceptions.InParallelError, UnicodeError,
                    BaseExceptionGroup)  # fmt: skip


def _thread(thread_id: int) -> coro:
    try:
        return all_threads[thread_id]
    except KeyError:
        raise no_such_thread(thread_id) from None


def exception_named(name: str) -> BaseException:
    """An exception of coro's or a builtin one, by its class's name.  Raises CommandError."""
    for module in (exceptions, builtins):
        found = vars(module).get(name)
        if isinstance(found, type) and issubclass(found, BaseException):
            if issubclass(found, _NEEDS_ARGUMENTS):
                raise CommandError(f"{name} cannot be raised from here: it needs arguments")
            return found("interrupted from the backdoor")
    raise CommandError(f"there is no exception {name!r} among coro's and the builtin ones")


@implements("interrupt")
def interrupt(session: Session, id: int, exception: str = "Interrupted") -> ActionRecord:
    """Raise an exception in a thread, where it waits."""
    thread = _thread(id)
    error = exception_named(exception)
    if thread in session.threads:
        raise CommandError(f"thread {id} is this session's own")
    try:
        thread.raise_exception(error)
    except ScheduleError as refused:
        raise CommandError(
            f"thread {id} cannot be interrupted: {refused.message or 'it was not started'}"
        ) from None
    state = ", which holds it back behind its shield" if thread.shield is not None else ""
    return ActionRecord(
        "interrupt", id, thread.name, f"interrupted thread {id} {thread.name!r} with {exception}{state}"
    )


@implements("shutdown")
def shutdown(session: Session, ids: list[int]) -> list[ActionRecord]:
    """Shut threads down: none of them unless all exist."""
    threads = [_thread(thread_id) for thread_id in dict.fromkeys(ids)]
    records = []
    for thread in threads:
        if thread in session.threads:
            raise CommandError(f"thread {thread.id} is this session's own; use quit")
        name = thread.name
        what = "shut down" if thread.started else "cancelled, before it ran,"
        thread.shutdown()
        records.append(ActionRecord("shutdown", thread.id, name, f"{what} thread {thread.id} {name!r}"))
    return records


@implements("selfish")
def selfish(session: Session, id: int, maximum: int) -> ActionRecord:
    """Set a thread's limit of selfish acts."""
    thread = _thread(id)
    try:
        old = thread.set_max_selfish_acts(maximum)
    except ValueError as error:
        raise CommandError(str(error)) from None
    return ActionRecord(
        "selfish", id, thread.name, f"max selfish acts of thread {id} {thread.name!r}: {maximum}, was {old}"
    )


@implements("name")
def name(session: Session, id: int, new_name: str) -> ActionRecord:
    """Give a thread another name."""
    thread = _thread(id)
    if not 1 <= len(new_name) <= MAX_NAME_CHARS:
        raise CommandError(f"a thread's name must have 1 to {MAX_NAME_CHARS} characters, got {len(new_name)}")
    old = thread.name
    thread.set_name(new_name)
    return ActionRecord("name", id, new_name, f"thread {id} {old!r} is now called {new_name!r}")


@implements("set")
def set_(session: Session, setting: str | None = None, value: float | None = None) -> list[SettingRecord]:
    """Show or change live settings."""
    if setting is None:
        return [_setting(session, known) for known in ("selfishness", "latency-warning", "stall-threshold")]
    if value is None:
        return [_setting(session, setting)]
    if not session.may("operate"):
        raise PermissionError("changing a setting needs the role operate")
    old = _setting(session, setting).value
    try:
        _change(session, setting, value)
    except (TypeError, ValueError) as error:
        raise CommandError(str(error)) from None
    return [_setting(session, setting, old)]


def _change(session: Session, setting: str, value: float) -> None:
    if setting == "selfishness":
        if value != int(value):
            raise ValueError(f"selfishness must be a whole number, got {value:g}")
        set_selfishness(int(value))
    elif setting == "latency-warning":
        if not 0 <= value <= MAX_LATENCY_WARNING_S:
            raise ValueError(f"latency-warning must be 0 to {MAX_LATENCY_WARNING_S} s, got {value:g}")
        hooks.set_latency_warning(value * 1e9 / LATENCY_UNIT_NS)
    elif 0.05 <= value <= 60:
        session.host.stall_threshold = value
    else:
        raise ValueError(f"stall-threshold must be 0.05 to 60 s, got {value:g}")


def _setting(session: Session, setting: str, old: float | None = None) -> SettingRecord:
    if setting == "selfishness":
        return SettingRecord(
            setting, get_selfishness(), old, "", "selfish acts in a row that new threads may do without yielding"
        )
    if setting == "latency-warning":
        seconds = hooks.get_latency_warning() * LATENCY_UNIT_NS / 1e9
        return SettingRecord(setting, seconds, old, "s", "a thread that runs longer is reported; 0 for never")
    threshold = session.host.stall_threshold
    return SettingRecord(setting, threshold, old, "s", "the loop is stuck when it has not turned for so long")


@implements("exit-daemon")
def exit_daemon(session: Session, code: int = 0, yes: bool = False) -> ActionRecord:
    """Have the daemon exit.  Whoever is at the prompt has been asked before."""
    if not yes:
        raise CommandError("this ends the daemon: say exit-daemon --yes")
    if not 0 <= code <= 255:
        raise CommandError(f"an exit code must be 0 to 255, got {code}")
    spawn(_exit_soon, code, thread_name="exit-daemon")
    return ActionRecord("exit-daemon", None, str(session.host.pid), f"the daemon exits with code {code}")


def _exit_soon(code: int) -> None:
    # At once would be before the answer has been sent.
    sleep_relative(EXIT_DELAY_S)
    loop.request_exit(code)


@implements("sessions")
def sessions(session: Session) -> list[Any]:
    """Who is connected."""
    return [other.record() for other in list(session.host.sessions.values())]


@implements("kick")
def kick(session: Session, /, **parameters: Any) -> ActionRecord:
    """End a session."""
    number = parameters["session"]
    other = session.host.sessions.get(number)
    if other is None:
        raise CommandError(f"there is no session {number}")
    if other is session:
        raise CommandError(f"session {number} is this one; use quit")
    other.kick(f"kicked by session {session.number}")
    return ActionRecord("kick", number, other.connection.peer.address, f"ended session {number}")
