"""Checks of the application's own, which are part of the daemon's health."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import get_args

from coro.clock import seconds_to_ticks, ticks_per_sec
from coro.exceptions import Interrupted, TimeoutError
from coro.inspect.dead import error_text
from coro.inspect.names import type_name
from coro.records import CheckRecord, Status
from coro.runtime import spawn
from coro.scheduler import scheduler
from coro.thread import coro

__all__ = [
    "CHECK_TIMEOUT_S",
    "register_check",
    "registered_checks",
    "run_checks",
    "unregister_check",
]

CHECK_TIMEOUT_S = 0.2
MAX_TEXT = 200
STATUSES: tuple[Status, ...] = get_args(Status)
# What judge() calls its own.
_OWN_NAMES = ("lag", "stall", "threads", "deadlock", "uncaught")

Check = Callable[[], object]

_checks: dict[str, Check] = {}
# Those that were asked last time and have not ended, with the clock when they were asked.
_unfinished: dict[str, tuple[coro, int]] = {}


def register_check(function: Check, name: str) -> None:
    """Make `function()` part of the daemon's health, as the check `name`; one that has this name is replaced.

    It runs in a thread of its own whenever somebody asks for the health, and may block, for 0.2 s at most; it must
    not hold up the loop.  It returns

        None or True        all is well
        False, or a str     critical; the text says what is wrong
        (status, text)      "ok", "warning", "critical" or "unknown"
        a CheckRecord       with numbers; its name is ignored

    What it raises is critical, with the error as the text.
    Raises TypeError, ValueError.  Does not yield.
    """
    if not callable(function):
        raise TypeError(f"a check must be callable, got {function!r}")
    if not isinstance(name, str):
        raise TypeError(f"a check's name must be a str, got {name!r}")
    if not name or name in _OWN_NAMES or name.startswith("require:"):
        raise ValueError(
            f"a check's name must not be empty, one of {', '.join(_OWN_NAMES)} or require:..., got {name!r}"
        )
    _checks[name] = function


def unregister_check(name: str) -> None:
    """Forget a check.  Raises KeyError.  Does not yield."""
    del _checks[name]


def registered_checks() -> tuple[str, ...]:
    """The names of the checks, in the order of registration."""
    return tuple(_checks)


def run_checks(timeout: float = CHECK_TIMEOUT_S) -> tuple[CheckRecord, ...]:
    """Run all checks beside each other, each in a thread of its own, and wait for them, `timeout` seconds in all.

    One that has not answered by then is critical, and is shut down; while it is still there, it is not asked again.
    Yields.  An interrupted caller shuts them down as well.
    """
    names = list(_checks)
    results: dict[str, CheckRecord] = {}
    now = scheduler.clock()
    asked = {name: thread for name in names if (thread := _ask(name, results, now)) is not None}
    try:
        _wait_for(list(asked.values()), now + seconds_to_ticks(timeout))
    finally:
        for name, thread in asked.items():
            if thread.dead:
                _unfinished.pop(name, None)
            else:
                thread.shutdown()
    late = f"did not answer in {timeout:g} s"
    return tuple([results.get(name) or _verdict(name, "critical", late) for name in names])


def _ask(name: str, results: dict[str, CheckRecord], now: int) -> coro | None:
    """Start a check's thread; None if the one that was asked before has not ended, and says so in `results`."""
    former = _unfinished.get(name)
    if former is not None and not former[0].dead:
        waited_s = (now - former[1]) / 1e9
        results[name] = _verdict(name, "critical", f"was asked {waited_s:.1f} s ago and has not answered")
        return None
    thread = spawn(_run, _checks[name], name, results, thread_name=f"check {name}")
    _unfinished[name] = (thread, now)
    return thread


def _wait_for(threads: list[coro], deadline: int) -> None:
    for thread in threads:
        left = deadline - scheduler.clock()
        if left <= 0:
            return
        try:
            thread.join(left / ticks_per_sec)
        except TimeoutError:
            # Perhaps our caller's own; then the next park raises it again.
            return


def _run(function: Check, name: str, results: dict[str, CheckRecord]) -> None:
    try:
        answer = function()
    except (TimeoutError, Exception) as error:
        results[name] = _verdict(name, "critical", error_text(error))
        return
    except (Interrupted, KeyboardInterrupt):
        # Shut down, or the whole process is.
        raise
    except BaseException as error:
        results[name] = _verdict(name, "critical", error_text(error))
        return
    results[name] = _judged(name, answer)


def _verdict(name: str, status: Status, text: str) -> CheckRecord:
    return CheckRecord(name, status, None, None, None, "", text)


def _judged(name: str, answer: object) -> CheckRecord:
    """What a check's answer means.  Nothing of the answer itself is kept but texts and numbers."""
    if answer is None or answer is True:
        return _verdict(name, "ok", "ok")
    if answer is False:
        return _verdict(name, "critical", "failed")
    if type(answer) is str:
        return _verdict(name, "critical", answer[:MAX_TEXT])
    if type(answer) is tuple and len(answer) == 2:
        status, text = answer
        if type(status) is str and status in STATUSES and type(text) is str:
            return _verdict(name, status, text[:MAX_TEXT])
    if type(answer) is CheckRecord and _is_sound(answer):
        return replace(answer, name=name, text=answer.text[:MAX_TEXT])
    what = (
        f"answered with a {type_name(type(answer))}, not with None, a bool, a str, (status, text) or a CheckRecord"
    )
    return _verdict(name, "critical", what)


def _is_sound(record: CheckRecord) -> bool:
    """Whether a record of the application's holds what the schema says."""
    numbers = (record.value, record.warn, record.crit)
    return (
        type(record.status) is str
        and record.status in STATUSES
        and type(record.unit) is str
        and type(record.text) is str
        and all(one is None or (type(one) in (int, float) and math.isfinite(one)) for one in numbers)
    )
