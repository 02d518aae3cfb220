"""Pool: many jobs, and never more than so many threads at once.

A place is taken before a thread is spawned and given back when it ends; who waits for one is served in order.

Invariant: threads alive + places granted to waiters that have not used them yet ≤ size.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import FrameType, TracebackType
from typing import Any, Generic, Self, TypeVar

from coro.exceptions import DeadCoroutine, Interrupted, SimultaneousError, TimeoutError
from coro.group import Crew, Failure, Group, settle
from coro.loop import loop
from coro.runtime import spawn
from coro.scheduler import scheduler
from coro.state import ThreadState
from coro.thread import check_arguments, coro, notify_later

__all__ = ["Pool"]

T = TypeVar("T")
R = TypeVar("R")

_END: Any = object()


class _Waiter:
    """A thread that waits for a place.  is_granted: it has one, and must use it or pass it on."""

    __slots__ = ("is_granted", "thread")

    def __init__(self, thread: ThreadState) -> None:
        self.thread = thread
        self.is_granted = False


class Pool:
    """At most `size` threads at once.

    size: 1 or more.
    In `with`, the end of the block waits for the threads, as close(); if the block raises, they are shut down.
    A thread of a full pool that waits for a place in the same pool keeps its own meanwhile: avoid that.
    """

    __slots__ = ("_crew", "_granted", "_is_closed", "_waiters", "size")

    def __init__(self, size: int) -> None:
        if not isinstance(size, int) or isinstance(size, bool):
            raise TypeError(f"a pool's size must be an int, got {size!r}")
        if size < 1:
            raise ValueError(f"a pool's size must be 1 or more, got {size}")
        self.size = size
        self._crew = Crew(self._ended)
        self._waiters: deque[_Waiter] = deque()
        self._granted: set[_Waiter] = set()
        self._is_closed = False

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "open"
        return f"<Pool, {state}, {len(self)} of {self.size} threads, {len(self._waiters)} waiting>"

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

    # -- jobs

    def spawn(
        self, function: Callable[..., Any], /, *args: Any, thread_name: str | None = None, **kwargs: Any
    ) -> coro:
        """Wait for a free place, then spawn a thread, as coro.spawn().

        Yields if there is no place.  Raises RuntimeError when the pool is closed, also while waiting; TypeError;
        YieldFromMain if it had to wait outside a thread.  An interrupted caller has spawned nothing.
        """
        check_arguments(function, thread_name)
        self._take_place("Pool.spawn()")
        return self._start(sys._getframe(1), function, args, kwargs | {"thread_name": thread_name})

    def submit(
        self, function: Callable[..., Any], /, *args: Any, thread_name: str | None = None, **kwargs: Any
    ) -> coro:
        """As spawn(), for a thread whose result() the caller will ask for: its failure is not notified."""
        check_arguments(function, thread_name)
        self._take_place("Pool.submit()")
        thread = self._start(sys._getframe(1), function, args, kwargs | {"thread_name": thread_name})
        thread.observers += 1
        return thread

    def map(self, function: Callable[[T], R], iterable: Iterable[T]) -> list[R]:
        """Call `function(item)` for every item, each in a thread of the pool; return the values in order.

        Takes an item when there is a place for it.  Yields.
        The first failure, of a call or of the iterable, shuts down the other calls; when they have ended it is
        raised as it is, and further ones go to the exception notifier.  An interrupt of the caller does the same.
        Raises DeadCoroutine if an interrupt from elsewhere ended a call; RuntimeError when the pool is closed;
        TypeError; YieldFromMain outside a thread.
        """
        check_arguments(function, None)
        items = iter(iterable)
        threads: list[coro] = []
        try:
            with _MapGroup() as group:
                for item in items:
                    self._take_place("Pool.map()")
                    if not group.is_open:
                        # A call failed at the moment at which the place was granted.
                        self._grant()
                        break
                    threads.append(self._count_in(sys._getframe(1), group.spawn(function, item)))
            return [thread.result() for thread in threads]
        finally:
            # A failure's traceback refers to this frame, which must not refer back by way of the thread.
            del threads

    def imap(self, function: Callable[[T], R], iterable: Iterable[T]) -> Iterator[R]:
        """As map(), but return an iterator that gives each value when it is there, in order.

        At most `size` calls are under way, or finished and not yet asked for.  A call's failure is raised in its
        turn, one of the iterable at once.  Either ends the iterator, as does an interrupt of who asks: calls under
        way are shut down and waited for.  They are shut down also when the iterator is dropped.
        """
        check_arguments(function, None)
        return _Results(self, function, iter(iterable))

    # -- the end

    def shutdown(self) -> None:
        """Take no more jobs, and shut down the pool's threads, the caller excepted.  Does not yield."""
        self._refuse()
        self._crew.shut_down()

    def close(self) -> None:
        """Take no more jobs, and wait until the threads have ended.

        Who waits for a place gets RuntimeError.  An interrupted caller shuts the threads down, waits for them all
        the same, and is then interrupted.
        Yields.  Raises ScheduleError in one of the pool's threads, and YieldFromMain if it has to wait outside a
        thread.
        """
        self._refuse()
        interrupt = settle(self._crew.join(self))
        if interrupt is not None:
            try:
                raise interrupt
            finally:
                # The traceback refers to this frame, which must not refer back.
                del interrupt

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self.shutdown()
        self.close()

    # -- places

    def _take_place(self, what: str) -> None:
        """Return when there is a place for the caller, who spawns a thread at once."""
        if self._is_closed:
            raise RuntimeError(f"{self!r} is closed: {what} comes too late")
        if self._is_full():
            self._forget_the_abandoned()
        if not self._is_full():
            # Nobody waits either, or he would have been given the place.
            return
        waiter = _Waiter(scheduler.current_thread(what))
        self._waiters.append(waiter)
        try:
            while not waiter.is_granted and not self._is_closed:
                scheduler.park("pool", self)
            if self._is_closed:
                raise RuntimeError(f"{self!r} was closed while {what} waited for a place")
            self._granted.remove(waiter)
        except BaseException:
            if waiter.is_granted:
                self._granted.discard(waiter)
                self._grant()
            else:
                self._waiters.remove(waiter)
            raise

    def _is_full(self) -> bool:
        return len(self._crew.threads) + len(self._granted) >= self.size

    def _grant(self) -> None:
        """Give free places to those who wait."""
        while self._waiters and not self._is_full():
            waiter = self._waiters.popleft()
            waiter.is_granted = True
            self._granted.add(waiter)
            scheduler.wake(waiter.thread)

    def _start(
        self, frame: FrameType, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> coro:
        """Spawn a thread in the place that was just taken.  frame: where the pool was called."""
        try:
            thread = spawn(function, *args, **kwargs)
        except BaseException:
            self._grant()
            raise
        return self._count_in(frame, thread)

    def _count_in(self, frame: FrameType, thread: coro) -> coro:
        thread.spawn_code = frame.f_code
        thread.spawn_lasti = frame.f_lasti
        self._crew.add(thread)
        return thread

    def _ended(self, thread: ThreadState) -> None:
        self._grant()

    def _refuse(self) -> None:
        self._is_closed = True
        for waiter in self._waiters:
            scheduler.wake(waiter.thread)

    def _forget_the_abandoned(self) -> None:
        """Threads that the loop's exit or a fork marked dead hold no places."""
        self._crew.forget_the_abandoned()
        self._granted = {waiter for waiter in self._granted if not waiter.thread.dead}
        self._waiters = deque(waiter for waiter in self._waiters if not waiter.thread.dead)
        self._grant()


class _MapGroup(Group):
    """A group that hands on its first failure only, and as it is."""

    __slots__ = ()

    def _hand_on(self, failures: list[Failure]) -> None:
        thread, first = failures[0]
        for other, error in failures[1:]:
            notify_later(other, error)
        if isinstance(first, Interrupted) and not isinstance(first, TimeoutError):
            # As for result(): what interrupted a call must not interrupt the caller.
            raise DeadCoroutine(thread, f"a call of Pool.map() was ended by {first!r}") from first
        # Raised while the block's own interrupt is handled, it would seem to follow from that.
        context = first.__context__
        try:
            raise first
        finally:
            first.__context__ = context
            # The traceback refers to this frame, which must not refer back.
            del thread, first, context, failures


class _Results(Generic[T, R]):
    """The iterator that imap() returns."""

    __slots__ = ("_crew", "_function", "_items", "_pool", "_started", "_user")

    def __init__(self, pool: Pool, function: Callable[[T], R], items: Iterator[T]) -> None:
        self._pool = pool
        self._function = function
        # None once it is exhausted, or was given up.
        self._items: Iterator[T] | None = items
        self._crew = Crew()
        # The calls whose values were not given yet, in order.
        self._started: deque[coro] = deque()
        # The thread that is inside __next__().
        self._user: ThreadState | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> R:
        """The next value.  Yields.  Raises as Pool.map(); SimultaneousError while another thread waits for it."""
        me = scheduler.current_thread("Pool.imap()")
        if self._user is not None:
            raise SimultaneousError(me, self._user, "the next value of Pool.imap()")
        self._user = me
        try:
            self._start_calls()
            if self._started:
                value = _value(self._started[0])
                self._started.popleft()
                return value  # type: ignore[no-any-return]
        except BaseException as error:
            self._give_up(error)
            raise
        finally:
            self._user = None
        raise StopIteration

    def __del__(self) -> None:
        if not self._started:
            return
        # The garbage collector runs in any OS thread.
        if scheduler.in_loop_os_thread():
            self._drop()
        else:
            loop.post(self._drop)

    def _start_calls(self) -> None:
        """Start as many as there are places for; wait for a place only if there is no value to wait for."""
        pool = self._pool
        while self._items is not None and len(self._started) < pool.size:
            if self._started and pool._is_full():
                return
            try:
                item = next(self._items)
            except StopIteration:
                self._items = None
                return
            pool._take_place("Pool.imap()")
            thread = pool._start(sys._getframe(2), self._function, (item,), {})
            thread.observers += 1
            self._crew.add(thread)
            self._started.append(thread)

    def _give_up(self, error: BaseException) -> None:
        """Shut down what is under way and wait for its end; the caller then raises the error."""
        self._items = None
        started, self._started = self._started, deque()
        self._crew.shut_down()
        interrupts = self._crew.join(self)
        failures = [
            (thread, thread.error)
            for thread in started
            if thread.error is not None and thread.error is not error and thread.error is not error.__cause__
        ]
        settle([error, *interrupts], failures)

    def _drop(self) -> None:
        """Nobody will ask for more values: shut down what is under way, without waiting for it."""
        for thread in self._started:
            if thread.error is not None:
                notify_later(thread, thread.error)
            # From here on its failure is notified like any other.
            thread.observers -= 1
        self._crew.shut_down()


def _value(thread: coro) -> Any:
    try:
        return thread.result()
    except StopIteration as error:
        # As it is, it would end the iteration.
        raise RuntimeError(f"the function of Pool.imap() raised StopIteration in {thread!r}") from error
