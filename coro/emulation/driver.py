"""The main greenlet as a thread: it blocks, and the loop turns in a greenlet of its own until it is woken.

Before anything blocks there, the main greenlet is what it always was, and coro.run() and event_loop() run the loop
in it.  When it first blocks outside any loop, it is adopted: the loop is opened in a new greenlet, the hub, and the
main greenlet becomes the thread "MainThread", which parks and is woken as all others.  It stays one, and between
its calls the loop stands still: the main thread computes, as any other thread does.  coro.run() and event_loop()
end the adoption: the loop, with all threads and timers in it, is theirs from then on.

Signal handlers belong to the main thread.  One that is to run while it is parked runs in its greenlet, inside the
park, which then goes on; what the handler raises leaves the call that parked, as it leaves a system call.

Invariant: the hub is resumed only by the adopted greenlet's parking, and by threads that have ended.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

from coro import collector, forking, hooks
from coro.clock import FOREVER_TICKS
from coro.emulation.member import EmulatedThread
from coro.emulation.place import in_foreign_os_thread, os_get_ident, place
from coro.local import share_home
from coro.loop import loop
from coro.run_queue import NO_KWARGS
from coro.scheduler import scheduler
from coro.state import ThreadState
from coro.thread import initialise, next_id

__all__ = ["Driver", "MainThread", "driver", "install"]

_get_exception = vars(ThreadState)["exception"].__get__
_set_exception = vars(ThreadState)["exception"].__set__


class MainThread(EmulatedThread):
    """The main greenlet while it is adopted; after a fork, the thread that forked.

    exception: as every thread's.  The scheduler looks at it whenever the thread resumes: that is the place where
        handlers of signals run.
    """

    __slots__ = ()

    @property
    def exception(self) -> BaseException | None:
        """What the thread is to be resumed with."""
        if driver.errands and not driver.parks_again and scheduler.current is self and getcurrent() is self.carrier:
            driver.run_errands(self)
        return _get_exception(self)  # type: ignore[no-any-return]

    @exception.setter
    def exception(self, error: BaseException | None) -> None:
        _set_exception(self, error)


class Driver:
    """Adopts the main greenlet.  There is one, `driver`.

    errands: calls that the main thread is to make when it resumes, handlers of signals.
    at_adoption, at_disowning: functions to call; they must not raise.
    """

    __slots__ = (
        "_hub",
        "_only_errands",
        "_report_slice",
        "at_adoption",
        "at_disowning",
        "errands",
        "parks_again",
    )

    def __init__(self) -> None:
        self._hub: greenlet | None = None
        # Whether the main thread was resumed for its errands, and nobody has woken it.
        self._only_errands = False
        # While it parks again after them.
        self.parks_again = False
        self._report_slice: Callable[[ThreadState, int, int], object] = loop.latency_hook
        self.errands: deque[Callable[[], object]] = deque()
        self.at_adoption: list[Callable[[], object]] = []
        self.at_disowning: list[Callable[[], object]] = []

    # -- adoption

    def adopt(self, what: str) -> ThreadState | None:
        """Make the caller a thread if it is the main greenlet outside any loop; None if it is not."""
        if in_foreign_os_thread() or scheduler.loop_greenlet is not None or getcurrent().parent is not None:
            return None
        forking.register()
        main = getcurrent()
        self._hub = hub = greenlet(self._serve, main)
        hub.switch()
        thread = self._make_thread(main)
        for function in self.at_adoption:
            function()
        return thread

    def _make_thread(self, main: Any) -> MainThread:
        thread: MainThread = object.__new__(MainThread)
        thread.python_thread = threading.main_thread()
        thread.on_end = None
        scheduler.current = None
        initialise(thread, _stand_for_main, (), NO_KWARGS, next_id(), threading.main_thread().name)
        # It was not spawned, and has a context of its own already.
        thread.context = None
        share_home(thread)
        thread.started = True
        thread.carrier = main
        main.thread = thread
        scheduler.adopted = scheduler.current = place.main = thread
        scheduler.now = scheduler.clock()
        return thread

    def disown(self) -> None:
        """Give the adoption up: the caller is the main greenlet, and the loop is to be run by it."""
        main: Any = getcurrent()
        thread = scheduler.adopted
        hub, self._hub = self._hub, None
        assert thread is not None
        assert hub is not None
        for function in self.at_disowning:
            function()
        if thread.interrupts:
            scheduler.uncaught = thread.interrupts[0]
        scheduler.adopted = scheduler.current = place.main = None
        scheduler.loop_greenlet = main
        del scheduler.all_threads[thread.id], main.thread
        thread.carrier = None
        thread.dead = True
        # It stands in the middle of a turn; this ends it there.  Carriers that end hand control to their parent,
        # the hub, and past it, since it is dead, to the hub's.
        hub.throw(GreenletExit)

    # -- the hub

    def _serve(self) -> None:
        """What the hub runs: open the loop, then turn it for ever."""
        loop.max_wait_ns = FOREVER_TICKS
        loop.open()
        collector.install()
        hooks.install()
        self._report_slice, loop.latency_hook = loop.latency_hook, self._warn
        main: Any = getcurrent().parent
        main.switch()
        while True:
            try:
                loop.turn()
            except GreenletExit:
                raise
            except BaseException as error:
                self._fail(error)
            if scheduler.uncaught is not None:
                self._fail(scheduler.uncaught)
                scheduler.uncaught = None

    def _warn(self, thread: ThreadState, ran_ns: int, now: int) -> None:
        """The latency hook: a main program that is alone may compute for as long as it likes."""
        if thread is not scheduler.adopted or len(scheduler.all_threads) > 1:
            self._report_slice(thread, ran_ns, now)

    def _fail(self, error: BaseException) -> None:
        """What would leave event_loop() is raised in the main thread."""
        if scheduler.adopted is not None:
            scheduler.interrupt(scheduler.adopted, error)

    # -- errands

    def run_in_main(self, errand: Callable[[], object]) -> None:
        """Have the main thread, which is not the current one or is inside the runtime, make a call soon.

        Safe from signal handlers.
        """
        self.errands.append(errand)
        scheduler.poll_due = 0
        loop.post(self._resume_for_errands)

    def _resume_for_errands(self) -> None:
        """In the loop: if the main thread is parked, resume it, without waking it."""
        thread = scheduler.adopted
        if thread is None or thread.scheduled or not self.errands:
            return
        self._only_errands = True
        scheduler.current = thread
        scheduler.now = scheduler.clock()
        thread.carrier.switch()  # type: ignore[union-attr]

    def run_errands(self, thread: ThreadState) -> None:
        """Make the calls; then, unless somebody has woken the thread, have it park again.

        Raises what the calls raise.
        """
        while True:
            only_errands, self._only_errands = self._only_errands, False
            while self.errands:
                self.errands.popleft()()
            if not only_errands or _get_exception(thread) is not None:
                return
            self.parks_again = True
            try:
                thread.resumption = scheduler.park(thread.waiting_for)
            finally:
                self.parks_again = False


def _stand_for_main() -> None:
    """The function of a thread that has none."""


driver = Driver()


def _after_fork_in_child() -> None:
    place.home = os_get_ident()
    main = scheduler.adopted
    if main is not None and scheduler.current is main:
        return
    # The thread that forked is the main thread now; when it ends, so does the process.
    scheduler.adopted = None
    driver.errands.clear()
    place.main = thread = scheduler.current
    if thread is None:
        return
    if type(thread) is EmulatedThread:
        thread.__class__ = MainThread
    if thread.joiners is None:
        thread.joiners = []
    thread.joiners.append(_exit_process)


def _exit_process(thread: ThreadState) -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            # Closed, or not there.
            continue
    os._exit(0)


def install() -> None:
    """Have the scheduler ask the driver.  Doing it twice is harmless."""
    global _fork_hook_registered
    scheduler.adopt = driver.adopt
    scheduler.disown = driver.disown
    if not _fork_hook_registered:
        # After the core's own: it decides who lives.
        forking.register()
        _fork_hook_registered = True
        os.register_at_fork(after_in_child=_after_fork_in_child)


_fork_hook_registered = False
