"""A bounded pool of OS threads, and in_os_thread().

Facts about the world that shaped this file:
- An OS thread that sits in a system call cannot be stopped.  These are made with `_thread`, so nothing joins them
  when the interpreter exits, and an emulation of `threading` over coroutine threads does not change what they are.
- After fork() the child has only the OS thread that forked: the others, and what they held, are gone there.
- What a result refers to may belong to the loop, so results are dropped in the loop's OS thread.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from _thread import allocate_lock, start_new_thread
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Self, TypeVar

from coro.loop import loop
from coro.os_thread.job import Job, served
from coro.runtime import spawn
from coro.scheduler import scheduler

__all__ = ["OSThreadPool", "default_pool", "in_os_thread", "set_os_threads"]

T = TypeVar("T")

DEFAULT_OS_THREADS = 20
MAX_OS_THREADS = 1000
# An OS thread without work ends after this long.  Making one takes 0.1 ms, so there is no point in keeping many.
IDLE_S = 0.5


class _Worker:
    """What the pool knows of one of its OS threads.

    job: what it is to do next; None once it has been taken.
    bell: a lock, held; the worker sleeps on it, and is woken by its release.
    """

    __slots__ = ("bell", "job")

    def __init__(self, job: Job) -> None:
        self.job: Job | None = job
        self.bell = allocate_lock()
        self.bell.acquire()


class OSThreadPool:
    """A bounded number of OS threads that make calls for coroutine threads.

    size: how many OS threads there may be, 1 to 1000; can be assigned at any time.  They are made when they are
        needed, and one that has no work for `idle_s` seconds ends.
    name: for whoever looks.
    report_late_failures: whether a failure that its caller did not wait for goes to the exception notifier.

    Calls that find all OS threads at work wait for one, first come, first served.  The queue is no longer than
    there are callers waiting: a caller that is interrupted takes its call back.
    """

    def __init__(
        self,
        size: int = DEFAULT_OS_THREADS,
        *,
        name: str = "OS threads",
        idle_s: float = IDLE_S,
        report_late_failures: bool = True,
    ) -> None:
        _check_size(size)
        self.name = name
        self.idle_s = idle_s
        self.report_late_failures = report_late_failures
        self._size = size
        self._closed = False
        self._start_afresh()
        _pools.add(self)

    def _start_afresh(self) -> None:
        self._lock = allocate_lock()
        self._queue: OrderedDict[Job, None] = OrderedDict()
        self._workers: set[_Worker] = set()
        # The one that came to rest last stands last and is woken first, so that the surplus ends.
        self._idle: list[_Worker] = []

    def __repr__(self) -> str:
        return (
            f"<pool of {self.name!r}: {len(self._workers)} of {self._size}, {len(self._idle)} idle, "
            f"{len(self._queue)} calls queued>"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def size(self) -> int:
        """How many OS threads there may be."""
        return self._size

    @size.setter
    def size(self, size: int) -> None:
        _check_size(size)
        self._size = size
        while True:
            with self._lock:
                if not self._queue or len(self._workers) >= size:
                    return
                worker = _Worker(self._queue.popitem(last=False)[0])
                self._workers.add(worker)
            self._start(worker)

    def call(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        """Call `function(*args, **kwargs)` in an OS thread; return its value or raise its exception.

        It runs in a copy of the caller's context variables.
        Yields.  Raises YieldFromMain outside a thread; RuntimeError when the pool is closed, or when the system
        gives no OS thread.
        An interrupted caller returns at once.  A call that was not begun is then never made; the result of one that
        was is dropped.  If that one fails, the failure goes to the exception notifier, in a thread of its own,
        while the same loop runs and unless the pool was told otherwise.
        """
        if not callable(function):
            raise TypeError(f"an OS thread needs a function to call, got {function!r}")
        if self._closed:
            raise RuntimeError(f"{self!r} is closed")
        me = scheduler.current_thread(f"calling {function!r} in an OS thread")
        if scheduler.collecting or (me.interrupts is not None and me.shield is None):
            # This raises at once, before anything was begun.
            scheduler.park("OS thread")
        job = Job(function, args, kwargs, me)
        job.count(at_work=True)
        try:
            self._submit(job)
            while not job.done:
                scheduler.park("OS thread", job)
        except BaseException:
            self._abandon(job)
            raise
        finally:
            job.waiter = None
            job.count(at_work=False)
        return job.take()  # type: ignore[no-any-return]

    def dismiss_idle(self) -> None:
        """Have the OS threads that have no work end now.  Does not wait for them, and does not yield."""
        with self._lock:
            dismissed = self._idle
            self._idle = []
            self._workers.difference_update(dismissed)
        for worker in dismissed:
            worker.bell.release()

    def close(self) -> None:
        """Take no more calls, and let the OS threads end when they have made those that were handed in.

        Does not wait for them, and does not yield.  Closing twice is harmless.
        """
        self._closed = True
        self.dismiss_idle()

    # -- the loop's side

    def _submit(self, job: Job) -> None:
        _register_fork_hook()
        with self._lock:
            if self._idle:
                worker = self._idle.pop()
                worker.job = job
                worker.bell.release()
                return
            if len(self._workers) >= self._size:
                self._queue[job] = None
                return
            worker = _Worker(job)
            self._workers.add(worker)
        self._start(worker)

    def _start(self, worker: _Worker) -> None:
        try:
            start_new_thread(self._serve, (worker,))
            return
        except RuntimeError:
            with self._lock:
                self._workers.discard(worker)
                if self._workers:
                    # The system gives no more, but those that there are will come to it: first in the queue again.
                    job: Job = worker.job  # type: ignore[assignment]
                    if self._idle:
                        other = self._idle.pop()
                        other.job = job
                        other.bell.release()
                    else:
                        self._queue[job] = None
                        self._queue.move_to_end(job, last=False)
                    return
            raise

    def _abandon(self, job: Job) -> None:
        """The caller leaves without waiting for the result."""
        job.waiter = None
        with self._lock:
            job.abandoned = True
            begun = job.begun
            self._queue.pop(job, None)
        if not begun:
            job.drop_call()
        if job.done:
            self._drop_result(job)

    def _finish(self, job: Job) -> None:
        """The call has come to its end.  In the loop, perhaps in another one than the caller's."""
        job.done = True
        waiter = job.waiter
        if waiter is not None and not waiter.dead:
            scheduler.wake(waiter)
        else:
            self._drop_result(job)

    def _drop_result(self, job: Job) -> None:
        error = job.error
        job.drop_call()
        job.value = job.error = None
        if error is not None and self.report_late_failures and job.token is loop.token:
            spawn(_fail, error, thread_name=f"late failure of {job.name}")

    # -- the OS threads' side

    def _serve(self, worker: _Worker) -> None:
        """What each OS thread runs: make calls until there is nothing to do."""
        # As threading.Thread does, for debuggers and coverage.
        if threading.getprofile() is not None:
            sys.setprofile(threading.getprofile())
        if threading.gettrace() is not None:
            sys.settrace(threading.gettrace())
        while True:
            self._do(worker)
            if not self._next(worker):
                return

    def _do(self, worker: _Worker) -> None:
        job: Job = worker.job  # type: ignore[assignment]
        worker.job = None
        with self._lock:
            if job.abandoned:
                return
            job.begun = True
        served.job = job
        job.run()
        served.job = None
        if loop.token is job.token:
            loop.post(self._finish, job)

    def _next(self, worker: _Worker) -> bool:
        """Get the worker something to do, waiting for it; False if it is to end."""
        with self._lock:
            surplus = len(self._workers) > self._size
            if self._queue and not surplus:
                worker.job = self._queue.popitem(last=False)[0]
                return True
            # Without a loop there is nothing to wait for; so it is in the child when a call forked.
            if surplus or self._closed or not loop.running:
                self._workers.discard(worker)
                return False
            self._idle.append(worker)
        if not worker.bell.acquire(timeout=self.idle_s):
            with self._lock:
                if worker in self._idle:
                    self._idle.remove(worker)
                    self._workers.discard(worker)
                    return False
            # Called at this very moment: the bell rings, or is about to.
            worker.bell.acquire()
        return worker.job is not None


def _check_size(size: int) -> None:
    if not isinstance(size, int) or isinstance(size, bool):
        raise TypeError(f"the number of OS threads must be an int, got {size!r}")
    if not 1 <= size <= MAX_OS_THREADS:
        raise ValueError(f"the number of OS threads must be 1 to {MAX_OS_THREADS}, got {size}")


def _fail(error: BaseException) -> None:
    raise error


_pools: weakref.WeakSet[OSThreadPool] = weakref.WeakSet()
_fork_hook_registered = False


def _register_fork_hook() -> None:
    global _fork_hook_registered
    if not _fork_hook_registered:
        _fork_hook_registered = True
        os.register_at_fork(after_in_child=_after_in_child)


def _after_in_child() -> None:
    for each in list(_pools):
        each._start_afresh()


default_pool = OSThreadPool()
# A process whose loop has ended keeps no OS threads in stock.
loop.at_close.append(default_pool.dismiss_idle)


def in_os_thread(function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    """Call `function(*args, **kwargs)` in another OS thread, while other threads run; return its value.

    For what would block the loop: regular files, long computations that release the interpreter's lock, libraries
    that know nothing of the loop.  At most 20 such calls are under way at a time (see set_os_threads()); more wait
    in a queue.  It runs in a copy of the caller's context variables, and must not call the runtime, except for
    schedule_from_os_thread(), call_from_os_thread() and set_exit().
    Yields.  Raises what the function raises; YieldFromMain outside a thread.
    An interrupted caller returns at once.  A call that was not begun is then never made; the result of one that was
    is dropped, but a failure goes to the exception notifier, in a thread named "late failure of ...", while the
    same loop runs.  The exit of the loop and of the interpreter wait for no call.
    """
    return default_pool.call(function, *args, **kwargs)


def set_os_threads(number: int) -> int:
    """Set how many OS threads in_os_thread() may use; returns the old number.

    number: 1 to 1000.  20 by default.  Calls that are under way go on.
    """
    old = default_pool.size
    default_pool.size = number
    return old
