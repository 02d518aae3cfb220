"""Area "signal": handlers run in the main thread, and waits for signals let the other threads run.

The interpreter runs a handler in the main OS thread, in whichever greenlet runs there.  So what is registered with
it is `arrived`, which calls the handler at once if the main thread is running, and else has the main thread resume
for it.

The wake-up descriptor that the interpreter writes to stays the loop's; one that the program sets is written by
`arrived`.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import signal
import sys
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

from coro.clock import seconds_to_ticks, ticks_per_sec
from coro.emulation.driver import driver
from coro.emulation.patching import Patcher, original
from coro.emulation.place import in_foreign_os_thread, place
from coro.loop import loop
from coro.scheduler import scheduler
from coro.state import ThreadState
from coro.timed import sleep_until

__all__ = ["install"]

_os_signal: Callable[[int, Any], Any] = original("_signal", "signal")
_os_getsignal: Callable[[int], Any] = original("_signal", "getsignal")
_os_set_wakeup_fd: Callable[..., int] = original("_signal", "set_wakeup_fd")
_os_write: Callable[[int, bytes], int] = original("os", "write")
_RUNTIME_PREFIX = __name__.partition(".")[0] + "."
# A blocked signal that is pending is looked for so often: nothing tells of it.
_LOOK_FIRST_S = 0.001
_LOOK_LATER_S = 0.02


class _Signals:
    """handlers: signal -> the program's handler, where `arrived` is registered with the interpreter.

    wakeup_fd: what the program has set; -1 for none.
    """

    __slots__ = ("arrivals", "former_fd", "handlers", "pausing", "wakeup_fd", "warn_on_full_buffer")

    def __init__(self) -> None:
        self.handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self.wakeup_fd = -1
        self.warn_on_full_buffer = True
        # Handlers that have run.
        self.arrivals = 0
        self.pausing: list[ThreadState] = []
        # What the interpreter wrote to before the main greenlet was adopted.
        self.former_fd = -1


_state = _Signals()


def arrived(signum: int, frame: FrameType | None) -> None:
    """The interpreter's handler.  In the main OS thread, in the middle of anything."""
    if _state.wakeup_fd >= 0:
        _write_wakeup(signum)
    handler = _state.handlers.get(signum)
    if handler is None:
        return
    main = place.main
    in_runtime = frame is not None and str(frame.f_globals.get("__name__")).startswith(_RUNTIME_PREFIX)
    if main is None or (scheduler.current is main and not in_runtime):
        _call(handler, signum, frame)
    else:
        driver.run_in_main(lambda: _call(handler, signum, _user_frame()))


def _call(handler: Callable[[int, FrameType | None], Any], signum: int, frame: FrameType | None) -> None:
    try:
        handler(signum, frame)
    finally:
        _state.arrivals += 1
        for thread in _state.pausing:
            scheduler.wake(thread)


def _user_frame() -> FrameType | None:
    """The innermost frame of the main thread that is not the runtime's."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and str(frame.f_globals.get("__name__")).startswith(_RUNTIME_PREFIX):
        frame = frame.f_back
    return frame


def _write_wakeup(signum: int) -> None:
    try:
        _os_write(_state.wakeup_fd, bytes([signum]))
    except BlockingIOError as error:
        if _state.warn_on_full_buffer:
            _tell("write", error)
    except OSError as error:
        _tell("write", error)


def _tell(what: str, error: OSError) -> None:
    if sys.stderr is not None:
        sys.stderr.write(f"Exception ignored when trying to {what} to the signal wakeup fd:\n{error!r}\n")


# -- handlers


def _refuse_outside_main(what: str) -> None:
    if in_foreign_os_thread() or (scheduler.current is not None and scheduler.current is not place.main):
        raise ValueError(f"{what} only works in main thread of the main interpreter")


def _handler_of(signum: int, registered: Any) -> Any:
    """The program's handler, where `arrived` may be what is registered."""
    return _state.handlers.get(signum) if registered is arrived else registered


def set_signal(signalnum: int, handler: Any, /) -> Any:
    """As _signal.signal()."""
    _refuse_outside_main("signal")
    if not callable(handler):
        former = _handler_of(signalnum, _os_signal(signalnum, handler))
        _state.handlers.pop(signalnum, None)
        return former
    registered = _os_getsignal(signalnum)
    former = _handler_of(signalnum, registered)
    before = _state.handlers.get(signalnum)
    _state.handlers[int(signalnum)] = handler
    try:
        _os_signal(signalnum, arrived)
    except BaseException:
        _state.handlers.pop(signalnum, None)
        if before is not None:
            _state.handlers[signalnum] = before
        raise
    return former


def get_signal(signalnum: int, /) -> Any:
    """As _signal.getsignal()."""
    return _handler_of(signalnum, _os_getsignal(signalnum))


def _take_over_handlers() -> None:
    """Have the handlers that are registered already called by `arrived`; SIGINT's default one too."""
    for signum in signal.valid_signals():
        handler = _os_getsignal(signum)
        if callable(handler) and handler is not arrived:
            _state.handlers[int(signum)] = handler
            _os_signal(signum, arrived)


def _give_back_default_interrupt() -> None:
    """The loop that the program runs itself installs its own handler, over the default one."""
    if _os_getsignal(signal.SIGINT) is arrived and _state.handlers.get(signal.SIGINT) is signal.default_int_handler:
        del _state.handlers[signal.SIGINT]
        _os_signal(signal.SIGINT, signal.default_int_handler)


def set_wakeup_fd(fd: int, /, *, warn_on_full_buffer: bool = True) -> int:
    """As signal.set_wakeup_fd()."""
    _refuse_outside_main("set_wakeup_fd")
    # The interpreter checks the descriptor; then the loop's is put back.
    former = _os_set_wakeup_fd(fd, warn_on_full_buffer=warn_on_full_buffer)
    _os_set_wakeup_fd(former, warn_on_full_buffer=False)
    old, _state.wakeup_fd = _state.wakeup_fd, fd
    _state.warn_on_full_buffer = warn_on_full_buffer
    if fd >= 0:
        _take_over_handlers()
    return old


def _adopted() -> None:
    """The main greenlet is a thread now: signals wake its loop."""
    wakeup = loop.wakeup
    if wakeup is not None:
        _state.former_fd = _os_set_wakeup_fd(wakeup.signal_fileno(), warn_on_full_buffer=False)
    _take_over_handlers()


def _disowned() -> None:
    """The loop that the program runs sets its own."""
    _os_set_wakeup_fd(_state.former_fd)
    _give_back_default_interrupt()


# -- waits


def pause() -> None:
    """As signal.pause(): park until a handler has run."""
    if in_foreign_os_thread():
        original("_signal", "pause")()
        return
    me = scheduler.current_thread("signal.pause()")
    arrivals = _state.arrivals
    _state.pausing.append(me)
    try:
        while _state.arrivals == arrivals:
            scheduler.park("signal")
    finally:
        _state.pausing.remove(me)


def sigtimedwait(sigset: Iterable[int], timeout: float, /) -> Any:
    """As signal.sigtimedwait(), looking at intervals."""
    wait = original("_signal", "sigtimedwait")
    if in_foreign_os_thread() or timeout <= 0:
        return wait(sigset, timeout)
    return _look(lambda: wait(sigset, 0), timeout)


def sigwaitinfo(sigset: Iterable[int], /) -> Any:
    """As signal.sigwaitinfo(), looking at intervals."""
    if in_foreign_os_thread():
        return original("_signal", "sigwaitinfo")(sigset)
    wait = original("_signal", "sigtimedwait")
    return _look(lambda: wait(sigset, 0), None)


def sigwait(sigset: Iterable[int], /) -> Any:
    """As signal.sigwait(), looking at intervals."""
    wait = original("_signal", "sigwait")
    if in_foreign_os_thread():
        return wait(sigset)
    pending = original("_signal", "sigpending")

    def look() -> Any:
        found = pending().intersection(sigset)
        return wait(found) if found else None

    return _look(look, None)


def _look(function: Callable[[], Any], timeout: float | None) -> Any:
    """Call it until it returns something, with pauses; None if that takes longer than `timeout` seconds."""
    start = scheduler.clock()
    deadline = None if timeout is None else start + seconds_to_ticks(timeout)
    while (found := function()) is None:
        now = scheduler.clock()
        if deadline is not None and now >= deadline:
            return None
        due = now + int((_LOOK_FIRST_S if now - start < ticks_per_sec else _LOOK_LATER_S) * ticks_per_sec)
        scheduler.current_thread("waiting for a signal")
        sleep_until(due if deadline is None else min(due, deadline))
    return found


def pthread_kill(thread_id: int, signalnum: int, /) -> None:
    """As signal.pthread_kill(); a coroutine thread has the main OS thread's signals."""
    if thread_id in scheduler.all_threads:
        thread_id = place.home
    elif isinstance(thread_id, int) and 0 <= thread_id <= _LARGEST_THREAD_ID:
        # The system would take it for an address.
        raise ProcessLookupError(3, "No such process")
    original("_signal", "pthread_kill")(thread_id, signalnum)


_LARGEST_THREAD_ID = 1 << 32


def install(patcher: Patcher) -> None:
    """Replace what registers handlers and what waits."""
    names: dict[str, Any] = {
        "signal": set_signal,
        "getsignal": get_signal,
        "set_wakeup_fd": set_wakeup_fd,
        "pause": pause,
        "sigtimedwait": sigtimedwait,
        "sigwaitinfo": sigwaitinfo,
        "sigwait": sigwait,
        "pthread_kill": pthread_kill,
    }
    for function in names.values():
        function.__module__ = signal.__name__
    patcher.replace_everywhere(_signal, **names)
    if _adopted not in driver.at_adoption:
        driver.at_adoption.append(_adopted)
        driver.at_disowning.append(_disowned)
