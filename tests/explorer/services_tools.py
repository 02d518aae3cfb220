"""What the scenarios of groups, timeouts, sockets and the like share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import coro
from coro.hooks import set_exception_notifier
from coro.scheduler import scheduler
from coro.shield import InnerInterrupted
from coro.state import ThreadState
from coro.testing import ChanceInterrupt, choose

__all__ = [
    "Fault",
    "Knock",
    "Knocks",
    "await_others",
    "hear",
    "is_own_interrupt",
    "is_parked",
    "pause",
    "wait_for_ever",
]


class Fault(Exception):
    """A failure that a scenario makes on purpose."""


class Knock(coro.Interrupted):
    """An interrupt that one thread of a scenario sends to another: each must arrive, once, there."""


class Knocks:
    """The interrupts that strangers have sent, and what came of them.

    Does not know who interrupted by other means.
    """

    def __init__(self) -> None:
        self._sent: list[tuple[coro.coro, Knock]] = []
        self._received: list[tuple[coro.coro, Knock]] = []

    def knock(self, thread: coro.coro) -> None:
        """Interrupt a thread, if it can be interrupted.  Does not yield."""
        if thread.started and not thread.dead and thread is not scheduler.current:
            knock = Knock(len(self._sent))
            thread.raise_exception(knock)
            self._sent.append((thread, knock))

    def receive(self, knock: Knock) -> None:
        """The current thread was interrupted by this."""
        self._received.append((coro.current(), knock))

    def pending(self, thread: coro.coro) -> list[Knock]:
        """What was sent to a thread, and has not arrived there yet."""
        received = {id(knock) for one, knock in self._received if one is thread}
        return [knock for one, knock in self._sent if one is thread and id(knock) not in received]

    def drain(self) -> None:
        """Receive what waits for the current thread's next parks; called at its end."""
        while True:
            try:
                scheduler.yield_slice()
            except Knock as knock:
                self.receive(knock)
            else:
                return

    def check(self, *, excused: Callable[[coro.coro], bool] = lambda thread: False, in_order: bool = True) -> None:
        """Assert that each was received by the thread that it was for, once, in the order in which they were sent.

        excused: threads that may have lost some, because a Shutdown dropped what was queued behind it.
        in_order: False where one that waited in a shield may be overtaken when that is lifted.
        """
        for thread in {thread for thread, _ in self._sent} | {thread for thread, _ in self._received}:
            sent = [knock for one, knock in self._sent if one is thread]
            received = [knock for one, knock in self._received if one is thread]
            if excused(thread):
                assert set(received) <= set(sent), (thread, sent, received)
            elif in_order:
                assert received == sent, (thread, sent, received)
            else:
                assert sorted(received, key=sent.index) == sent, (thread, sent, received)


@contextmanager
def hear(*also: type[BaseException]) -> Iterator[list[BaseException]]:
    """Collect what the exception notifier is told of failures on purpose; the explorer hears of others as ever.

    also: further kinds of exceptions that are no fault here.

    The end of the block waits for all other threads.
    """
    heard: list[BaseException] = []

    def notifier(thread: ThreadState, error: BaseException) -> None:
        if _is_on_purpose(error, also):
            heard.append(error)
        else:
            assert former is not None
            former(thread, error)

    former = set_exception_notifier(notifier)
    try:
        yield heard
        await_others()
    finally:
        set_exception_notifier(former)


def _is_on_purpose(error: BaseException, also: tuple[type[BaseException], ...]) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_is_on_purpose(part, also) for part in error.exceptions)
    return isinstance(error, (Fault, Knock, ChanceInterrupt, *also))


def pause() -> None:
    """Take some time, or none: the schedule chooses."""
    kind = choose(4)
    if kind == 1:
        scheduler.yield_slice()
    elif kind > 1:
        coro.sleep_relative(kind - 1)


def wait_for_ever() -> None:
    """Wait until interrupted."""
    while True:
        scheduler.park("for ever")


def is_parked(thread: coro.coro) -> bool:
    """Whether schedule() may be called on a thread."""
    return thread.started and not thread.dead and not thread.scheduled and thread is not coro.current()


def is_own_interrupt(error: BaseException) -> bool:
    """Whether this is how a timeout or a group interrupts its own block: nobody else may ever see it."""
    return type(error) in (coro.Interrupted, InnerInterrupted)


def await_others() -> None:
    """Wait until all other threads have ended."""
    while others := [thread for thread in coro.all_threads.values() if thread is not coro.current()]:
        for thread in others:
            thread.join()
