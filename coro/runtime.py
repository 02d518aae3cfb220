"""The module-level functions of the core: spawn, sleep, schedule, the loop's start and end.

Everything here checks its arguments and calls the scheduler, the loop or the table of descriptors.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar, cast

from greenlet import getcurrent

from coro import collector, forking, hooks, leftovers, signals, stderr
from coro.clock import FOREVER_TICKS, seconds_to_ticks
from coro.exceptions import YieldFromMain
from coro.loop import loop
from coro.run_queue import NO_KWARGS
from coro.scheduler import scheduler
from coro.state import ThreadState
from coro.tb import frame_text
from coro.thread import check_arguments, coro, initialise, main_thread, next_id
from coro.timed import sleep_relative, sleep_until

__all__ = [
    "all_threads",
    "coro_is_running",
    "current",
    "event_loop",
    "get_live_coros",
    "get_now",
    "get_thread_by_id",
    "new",
    "run",
    "schedule",
    "set_exit",
    "set_max_parked_carriers",
    "set_print_exit_string",
    "sleep_absolute",
    "sleep_relative",
    "spawn",
    "where",
    "where_all",
    "yield_slice",
]

T = TypeVar("T")

# id -> thread, of all threads that are not dead.
all_threads: dict[int, coro] = cast(dict[int, coro], scheduler.all_threads)

yield_slice = scheduler.yield_slice

_print_exit_string = True

# Looked up once: spawn() is on the hot path.
_getframe = sys._getframe
_new_object = object.__new__


# -- making threads


def new(fun: Callable[..., Any], *args: Any, thread_name: str | None = None, **kwargs: Any) -> coro:
    """Make a thread that will run `fun(*args, **kwargs)`; its start() method starts it.

    thread_name: its name; None takes the function's qualified name.
    The thread is in `all_threads` at once, and inherits a copy of the caller's context variables.
    Returns the thread.  Raises TypeError if `fun` cannot be called.  Does not yield.
    """
    thread = coro(fun, args, kwargs, None, thread_name)
    frame = sys._getframe(1)
    thread.spawn_code = frame.f_code
    thread.spawn_lasti = frame.f_lasti
    return thread


def spawn(fun: Callable[..., Any], *args: Any, thread_name: str | None = None, **kwargs: Any) -> coro:
    """Make a thread that runs `fun(*args, **kwargs)` on a later turn, after those that are runnable already.

    As new() otherwise.  Before the loop runs, the thread waits for it.  Does not yield.
    """
    try:
        _ = getcurrent().thread  # type: ignore[attr-defined]
    except AttributeError:
        # Not inside a thread: then at least in the right OS thread.
        scheduler.refuse_foreign("spawn()")
    if thread_name is not None or not callable(fun):
        check_arguments(fun, thread_name)
    thread = _new_object(coro)
    # Not the empty dict of this call: each thread would keep its own, 64 bytes and work for the collector.
    initialise(thread, fun, args, kwargs or NO_KWARGS, next_id(), thread_name)
    frame = _getframe(1)
    thread.spawn_code = frame.f_code
    thread.spawn_lasti = frame.f_lasti
    thread.scheduled = True
    scheduler.ready.append(thread)
    return thread


def schedule(co: coro, value: object = None) -> None:
    """Schedule a thread to resume; its blocking call returns `value`.  As the thread's own schedule()."""
    if not isinstance(co, ThreadState):
        raise TypeError(f"schedule() needs a thread, got {co!r}")
    co.schedule(value)


# -- finding threads


def current() -> coro:
    """The current thread; in the main greenlet a stub with id -1 and name "main/scheduler", never None."""
    thread = getattr(getcurrent(), "thread", None)
    if thread is None:
        # A user's own greenlet inside a thread belongs to that thread.
        thread = scheduler.current if scheduler.in_loop_os_thread() else None
    return main_thread if thread is None else cast(coro, thread)


def get_thread_by_id(thread_id: int) -> coro:
    """The live thread with this id.  Raises KeyError."""
    return all_threads[thread_id]


def get_live_coros() -> int:
    """How many threads are alive, those that were not started included."""
    return len(all_threads)


def where(co: coro) -> str:
    """Where a thread stands, as a traceback prints it; outermost call first."""
    if not isinstance(co, coro):
        raise TypeError(f"where() needs a thread, got {co!r}")
    if co.dead:
        return f"{co!r} has ended\n"
    if not co.started:
        return f"{co!r} has not started\n"
    frame = co.get_frame()
    return frame_text(frame) if frame is not None else f"{co!r} has no frame\n"


def where_all() -> dict[int, tuple[str, coro, str]]:
    """{id: (name, thread, where(thread))} of all threads."""
    return {thread.id: (thread.name, thread, where(thread)) for thread in list(all_threads.values())}


def set_max_parked_carriers(count: int) -> int:
    """Set how many carriers are kept for new threads when theirs have ended; returns the old number.

    count: 0 or more; 1000 by default.  A carrier is a greenlet: starting and freeing one costs about 10 us, keeping
    one about 7 kB.  Raise it in a daemon whose threads come and go by the ten thousand.  A smaller number takes
    effect as carriers are used.
    """
    if not isinstance(count, int) or isinstance(count, bool):
        raise TypeError(f"max parked carriers must be an int, got {count!r}")
    if count < 0:
        raise ValueError(f"max parked carriers must be 0 or more, got {count}")
    old = scheduler.max_parked
    scheduler.max_parked = count
    return old


# -- time


def get_now() -> int:
    """Read the clock: nanoseconds that never fall.  `coro.now` is the reading of the latest switch."""
    return scheduler.clock()


def sleep_absolute(ticks: int) -> None:
    """Sleep until a point in time, in ticks (see get_now()); one that has passed lets the others run.

    Yields.  Raises what interrupted the thread; YieldFromMain outside the loop.
    """
    if not isinstance(ticks, int):
        raise TypeError(f"sleep_absolute() needs a number of ticks as an int, got {ticks!r}")
    scheduler.current_thread("sleep_absolute()")
    sleep_until(min(ticks, FOREVER_TICKS))


def _yield() -> Any:
    """Park the current thread until somebody schedules it; returns the value it was scheduled with.

    Yields.  Raises what interrupted the thread; a value that the interrupt replaced is lost, so a primitive of
    your own keeps what it grants in an object of its own, as the ones in coro do.
    """
    return scheduler.park("schedule")


# -- the loop


def coro_is_running() -> bool:
    """Whether the event loop is running."""
    return loop.running


def event_loop(timeout: float = 30) -> None:
    """Run the event loop until set_exit() is called, then raise SystemExit with the exit code.

    timeout: the longest that one poll waits, in seconds.  You should probably not set this value.

    SIGTERM and SIGINT call set_exit(), unless `coro.install_signal_handlers` is False or they have handlers
    already.  When the loop ends, what is runnable runs once more; then threads that were not started are
    cancelled and the others get Shutdown and a grace time (see set_exit_grace()).  A KeyboardInterrupt that no
    thread caught leaves event_loop().  The loop can be started again afterwards.
    Raises RuntimeError when a loop is running already.
    """
    max_wait = seconds_to_ticks(timeout, what="timeout")
    if max_wait == 0:
        raise ValueError(f"event_loop()'s timeout must be more than 0 seconds, got {timeout!r}")
    exit_code = _run_loop(max_wait, "event_loop()")
    if _print_exit_string:
        stderr.write_stderr("Exiting...\n")
    raise SystemExit(exit_code)


def run(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Run `function(*args, **kwargs)` in a thread, in a loop of its own; return its value or raise its exception.

    When it returns, the threads that are left get Shutdown, as when event_loop() exits.
    Raises SystemExit(code) when set_exit(code) was called before; RuntimeError when a loop is running already.
    """
    _refuse_nested("run()")
    thread = coro(function, args, kwargs)
    thread.observers = 1
    thread.joiners = [_main_has_ended]
    thread.start()
    try:
        exit_code = _run_loop(FOREVER_TICKS, "run()")
    finally:
        if not thread.dead:
            # The loop could not even start.  Its end must not end the next loop.
            thread.joiners = None
            scheduler.bury(thread)
    if exit_code is not _MAIN_ENDED:
        raise SystemExit(exit_code)
    return thread.result()  # type: ignore[no-any-return]


_MAIN_ENDED = object()


def _main_has_ended(thread: ThreadState) -> None:
    if not loop.exit_requested:
        loop.request_exit(_MAIN_ENDED)


def set_exit(exit_code: object = 0) -> None:
    """Tell the event loop to exit; threads that are runnable get a chance to run before.

    exit_code: what SystemExit will carry: an int, None, or a message.
    Safe from other OS threads and signal handlers.  Does not yield.
    """
    loop.request_exit(exit_code)


def set_print_exit_string(val: bool) -> None:
    """Set whether "Exiting..." is written to stderr when the event loop exits.  It is by default."""
    global _print_exit_string
    _print_exit_string = bool(val)


def _refuse_nested(what: str) -> None:
    if loop.running and not _is_adopted():
        raise RuntimeError(
            f"{what} was called while an event loop is running (in OS thread {scheduler.os_thread_ident}); "
            "there is one loop in a process: spawn() a thread instead"
        )


def _is_adopted() -> bool:
    """Whether the caller is a main greenlet for which the loop turns while it blocks."""
    return scheduler.adopted is not None and getcurrent() is scheduler.adopted.carrier


def _exit_signal() -> None:
    if loop.exit_requested:
        # A second signal; it must not change the exit code.
        leftovers.hurry()
    else:
        set_exit()


def _run_loop(max_wait_ns: int, what: str) -> Any:
    """Run the loop to its end; returns the exit code."""
    _refuse_nested(what)
    adopted = _is_adopted()
    if not adopted and getattr(getcurrent(), "thread", None) is not None:
        raise YieldFromMain(f"{what} cannot run inside a thread")
    forking.register()
    loop.max_wait_ns = max_wait_ns
    package = sys.modules[__name__.partition(".")[0]]
    handle_exit = getattr(package, "install_signal_handlers", True)
    try:
        if adopted:
            # It is open already, and goes on with the threads that it has.
            scheduler.disown()
        else:
            loop.open()
        collector.install()
        hooks.install()
        with signals.installed(_exit_signal if handle_exit else None):
            try:
                while not loop.exit_requested and scheduler.uncaught is None:
                    loop.turn()
                loop.run_once_each()
            finally:
                leftovers.end_threads()
                loop.report_latency()
                exit_code = loop.exit_code
    finally:
        collector.uninstall()
        loop.close()
    uncaught, scheduler.uncaught = scheduler.uncaught, None
    if uncaught is not None:
        raise uncaught
    return exit_code
