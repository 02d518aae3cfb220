"""What may be observed of calls in other threads: in_parallel(), and in_os_thread()."""

from __future__ import annotations

from contextlib import AbstractContextManager

import coro
from coro.testing import choose
from tests.explorer.actors import ServiceModel
from tests.explorer.model import Operation
from tests.explorer.services_os_threads import Calls
from tests.explorer.services_parallel import Failures, run_parallel

__all__ = ["CallsInOSThreads", "Parallel"]


class Parallel(ServiceModel):
    """All results in their order when all functions have ended; each failure told once; each interrupt once."""

    # What a function raises that calls in_parallel() itself, when its caller was interrupted.
    may_be_heard = (coro.InParallelError,)

    def __init__(self) -> None:
        super().__init__()
        self.failures = Failures()

    def operations(self) -> list[Operation]:
        return [self.call, self.call_nested, self.pause]

    def call(self, depth: int = 0) -> None:
        try:
            run_parallel(depth, self.failures)
        except coro.InParallelError:
            # Checked by who called.
            return

    def call_nested(self) -> None:
        self.call(1)

    def at_end(self) -> None:
        super().at_end()
        self.failures.check(self.heard)


class CallsInOSThreads(ServiceModel):
    """Each call is made once, or not at all if its caller left before; each failure is told once.

    A thread that waits to be scheduled from an OS thread wakes up with the value that was sent.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scene = Calls(self.knocks)
        self.numbers = 0
        # What was sent to those that wait now; an entry for each of them.
        self.sent: dict[coro.coro, list[object]] = {}

    def surroundings(self) -> AbstractContextManager[object]:
        return self.scene.pool

    def operations(self) -> list[Operation]:
        return [self.call, self.call_timed, self.await_value, self.send_value, self.pause]

    def call(self, *, with_timeout: bool = False) -> None:
        self.numbers += 1
        self.scene.call(self.numbers, with_timeout=with_timeout)

    def call_timed(self) -> None:
        self.call(with_timeout=True)

    def await_value(self) -> None:
        me = coro.current()
        self.sent[me] = []
        try:
            value = coro._yield()
            assert value in self.sent[me], f"{value!r} was not sent to {me!r}"
        finally:
            del self.sent[me]

    def send_value(self) -> None:
        waiting = list(self.sent)
        if waiting:
            self.numbers += 1
            self.scene.pool.call(self._schedule, waiting[choose(len(waiting))], self.numbers)

    def _schedule(self, thread: coro.coro, value: int) -> None:
        # In the OS thread; the loop waits meanwhile, as the stage makes the call.
        if thread in self.sent:
            self.sent[thread].append(value)
            coro.schedule_from_os_thread(thread, value)

    def check_at_rest(self) -> None:
        super().check_at_rest()
        for thread, values in self.sent.items():
            assert not values, f"{thread!r} was sent {values}, and sleeps"

    def may_wait(self, thread: coro.coro) -> bool:
        return self.sent.get(thread) == []

    def at_end(self) -> None:
        self.scene.await_late_failures(self.heard)
        super().at_end()
        self.scene.check(self.heard)
