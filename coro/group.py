"""Groups: threads that do not outlive the block that spawned them.

A Crew is the part that in_parallel() and Pool share: a set of threads that somebody waits for, and will not leave
behind, however often he is interrupted meanwhile.  A Group adds what a failure means.

Invariant: when the block is left, every thread of the group has ended.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

from coro.exceptions import ScheduleError, Shutdown, YieldFromMain
from coro.loop import loop
from coro.runtime import spawn
from coro.scheduler import Scheduler, scheduler
from coro.shield import OwnInterrupt, Shield, postpone_again
from coro.state import ThreadState
from coro.thread import coro, notify_later

__all__ = ["Crew", "Failure", "Group", "settle"]

Failure = tuple[ThreadState, BaseException]

# An exception that was raised first by one of these came from another thread: it is an interrupt.
_RAISERS_OF_INTERRUPTS = frozenset((Scheduler._deliver.__code__, Shield.__exit__.__code__))


class Crew:
    """Threads, alive, that will be waited for.

    threads: in the order in which they were added; who has ended is not among them.
    """

    __slots__ = ("_is_of_the_exit", "_is_shut_down", "_on_end", "_waiting", "threads")

    def __init__(self, on_end: Callable[[ThreadState], object] | None = None) -> None:
        """on_end: called with each thread that has ended, in that thread; must neither raise nor park."""
        self.threads: dict[coro, None] = {}
        self._on_end = on_end
        self._waiting: list[ThreadState] = []
        self._is_shut_down = False
        # Made while the loop is ending: the loop's own Shutdown has gone out already.
        self._is_of_the_exit = _is_exiting()

    def add(self, thread: coro) -> None:
        """Take a new thread in.  Does not yield."""
        self.threads[thread] = None
        if thread.joiners is None:
            thread.joiners = []
        thread.joiners.append(self._ended)

    def shut_down(self) -> None:
        """Shut down all threads, the current one excepted; the second time nothing happens.  Does not yield.

        Once only: another Shutdown would hit the threads in their clean-up.
        """
        if self._is_shut_down or (_is_exiting() and not self._is_of_the_exit):
            # The loop gives each thread a Shutdown when it ends.
            return
        self._is_shut_down = True
        for thread in list(self.threads):
            if thread is not scheduler.current:
                thread.shutdown()

    def join(self, target: object) -> list[BaseException]:
        """Wait until all threads have ended.

        target: what the waiting thread is said to wait for.
        Returns the interrupts that came, for settle(); the first shuts the threads down, none ends the wait.
        Yields.  Raises ScheduleError in one of the threads, YieldFromMain where it cannot wait.
        """
        self.forget_the_abandoned()
        if not self.threads:
            return []
        interrupts: list[BaseException] = []
        me = scheduler.current_thread("waiting for threads")
        if me in self.threads:
            raise ScheduleError(me, "a thread cannot wait for its own end")
        self._waiting.append(me)
        try:
            while self.threads:
                try:
                    scheduler.park("join", target)
                except YieldFromMain:
                    # Not an interrupt: a finaliser that the garbage collector runs cannot wait at all.
                    self.shut_down()
                    raise
                except BaseException as interrupt:
                    interrupts.append(interrupt)
                    self.shut_down()
            return interrupts
        finally:
            self._waiting.remove(me)
            # A traceback refers to this frame, which must not refer back.
            del interrupts

    def forget_the_abandoned(self) -> None:
        """Drop threads that could not tell of their end: the loop's exit or a fork marked them dead."""
        for thread in [thread for thread in self.threads if thread.dead]:
            del self.threads[thread]

    def close(self) -> None:
        """Call nobody any more: ends the reference to who made the crew."""
        self._on_end = None

    def _ended(self, thread: ThreadState) -> None:
        self.threads.pop(thread, None)  # type: ignore[call-overload]
        if self._on_end is not None:
            self._on_end(thread)
        if not self.threads:
            for waiting in self._waiting:
                # The last may have been cancelled by who waits: shut_down() in join().
                if waiting is not scheduler.current:
                    scheduler.wake(waiting)


def _is_exiting() -> bool:
    return loop.running and (loop.exit_requested or scheduler.uncaught is not None)


def settle(interrupts: list[BaseException], failures: Iterable[Failure] = ()) -> BaseException | None:
    """Say which of the interrupts that came during Crew.join() the caller is to raise: the first, None for none.

    failures: what nobody will hear of if there is one; the exception notifier gets them.
    The other interrupts come at the thread's next parks; behind a Shutdown they are dropped.  Does not yield.
    """
    if not interrupts:
        return None
    for thread, error in failures:
        notify_later(thread, error)
    if not isinstance(interrupts[0], Shutdown):
        me = scheduler.current_thread()
        # They came before those that wait already.
        waiting, me.interrupts = me.interrupts, None
        for later in interrupts[1:]:
            postpone_again(me, later)
        for later in waiting or ():
            scheduler.postpone(me, later)
    return interrupts[0]


def _name(thread: ThreadState) -> str:
    return thread.get_name() if isinstance(thread, coro) else f"thread-{thread.id}"


class Group:
    """A block whose threads end before it does.

        with coro.Group() as group:
            group.spawn(serve, "here")
            group.spawn(serve, "there")

    At its end the block waits for all threads.  The first failure, of a thread or of the block's body, shuts the
    other threads down, and interrupts the body if that still goes on.  When all have ended, the failures leave as
    an ExceptionGroup (a BaseExceptionGroup if one is no Exception), and the exception notifier gets none of them.

    What interrupts the owner, the thread that runs the block, shuts the threads down too; when they have ended, it
    leaves as it is, never wrapped, and failures go to the notifier.  More interrupts do not end that wait.  The
    same holds for what the body raises that is no Exception.  A thread that Shutdown ended has not failed.

    Usable once.
    """

    __slots__ = ("_crew", "_failures", "_has_body", "_interrupt", "_is_open", "_owner")

    def __init__(self) -> None:
        self._crew = Crew(self._ended)
        self._failures: list[Failure] = []
        self._owner: ThreadState | None = None
        self._interrupt: OwnInterrupt | None = None
        self._is_open = False
        # While the body runs: then a failure interrupts it.
        self._has_body = False

    def __repr__(self) -> str:
        owner = "" if self._owner is None else f" of {_name(self._owner)!r}"
        state = "open" if self._is_open else "new" if self._owner is None else "closed"
        return f"<Group{owner}, {state}, {len(self)} threads>"

    def __len__(self) -> int:
        """How many of its threads are alive."""
        return len(self._crew.threads)

    def __bool__(self) -> bool:
        """True, also without threads."""
        return True

    @property
    def threads(self) -> tuple[coro, ...]:
        """Its threads that are alive, in the order in which they were spawned."""
        return tuple(self._crew.threads)

    @property
    def is_open(self) -> bool:
        """Whether spawn() takes threads."""
        return self._is_open

    def spawn(
        self, function: Callable[..., Any], /, *args: Any, thread_name: str | None = None, **kwargs: Any
    ) -> coro:
        """Spawn a thread of this group, as coro.spawn().

        From the block's beginning until its last thread has ended, also from the group's own threads.
        Raises RuntimeError before and after that, and once the group is shutting down; TypeError.  Does not yield.
        """
        if not self._is_open:
            raise RuntimeError(f"{self!r} takes no threads: it is not open, or it is shutting down")
        thread = spawn(function, *args, thread_name=thread_name, **kwargs)
        frame = sys._getframe(1)
        thread.spawn_code = frame.f_code
        thread.spawn_lasti = frame.f_lasti
        # Its failure is handed on, so the notifier is not told.
        thread.observers += 1
        self._crew.add(thread)
        return thread

    def shutdown(self) -> None:
        """Shut down the group's threads; the caller, if it is one of them, and the body go on.

        No more threads can be spawned.  Does not yield: the end of the block waits for them.
        """
        self._is_open = False
        self._crew.shut_down()

    def __enter__(self) -> Self:
        """Open the group.  Raises RuntimeError the second time; YieldFromMain outside a thread."""
        me = scheduler.current_thread("Group()")
        if self._owner is not None:
            raise RuntimeError(f"{self!r} was entered before: a group can be used once")
        self._owner = me
        self._interrupt = OwnInterrupt(me)
        self._is_open = self._has_body = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """Wait for all threads; then raise their failures, or what interrupted the owner."""
        self._has_body = False
        own = self._take_own_interrupt()
        is_interrupted = error is not None and error is not own and _leaves_bare(error)
        if error is not None and error is not own:
            if not is_interrupted:
                self._failures.append((self._owner, error))  # type: ignore[arg-type]
            self.shutdown()
        try:
            interrupts = self._crew.join(self)
        finally:
            self._is_open = False
            self._crew.close()
        failures, self._failures = self._failures, []
        first: BaseException | None = None
        try:
            if is_interrupted:
                # As if it had come during the wait: what came later waits behind it.
                interrupts.insert(0, error)  # type: ignore[arg-type]
            first = settle(interrupts, failures)
            if first is not None and first is error:
                return False
            if first is not None:
                raise first
            if failures:
                self._hand_on(failures)
            return True
        finally:
            # A traceback refers to this frame, which must not refer back.
            del own, error, interrupts, failures, first

    def _take_own_interrupt(self) -> BaseException | None:
        """What was sent to the body because a thread failed; from now on it will not come."""
        interrupt = self._interrupt
        if interrupt is None:
            return None
        interrupt.withdraw()
        own, interrupt.exception = interrupt.exception, None
        return own

    def _ended(self, thread: ThreadState) -> None:
        error = thread.error
        if error is None or isinstance(error, Shutdown):
            return
        self._failures.append((thread, error))
        self.shutdown()
        interrupt = self._interrupt
        if self._has_body and interrupt is not None and interrupt.exception is None:
            interrupt.send(self)

    def _hand_on(self, failures: list[Failure]) -> None:
        """Raise the failures."""
        owner = self._owner
        names = ", ".join("the body" if thread is owner else repr(_name(thread)) for thread, _ in failures)
        raise BaseExceptionGroup(f"failed in a group: {names}", [error for _, error in failures]) from None


def _leaves_bare(error: BaseException) -> bool:
    """Whether an exception of the body is no failure: an interrupt, or no Exception at all."""
    if not isinstance(error, Exception):
        return True
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is not None and traceback.tb_frame.f_code in _RAISERS_OF_INTERRUPTS
