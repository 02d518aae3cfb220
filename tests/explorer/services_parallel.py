"""in_parallel(): all results in order, and no function left running."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import coro
from coro.parallel import FAILURE, SUCCESS
from coro.testing import ChanceInterrupt, choose
from tests.explorer.services_tools import Fault, Knock, Knocks, hear, is_parked, pause

__all__ = ["Failures", "parallel", "parallel_knocked", "parallel_pair", "run_parallel"]


class Failures:
    """The failures on purpose, and those of them that came to a caller."""

    def __init__(self) -> None:
        self.raised: list[BaseException] = []
        self.received: list[BaseException] = []

    def check(self, heard: list[BaseException]) -> None:
        """Assert that each came once: to a caller, or to the notifier."""
        for error in self.raised:
            told = [one for one in (*self.received, *heard) if one is error]
            assert len(told) == 1, f"{error!r} was told {len(told)} times"


class _Parallel:
    """The functions of one in_parallel(), and how each of them ended."""

    def __init__(self, count: int, depth: int, failures: Failures) -> None:
        self.depth = depth
        self.failures = failures
        # How each function has ended; its index is missing while it runs, or if it never ran.
        self.ends: dict[int, tuple[str, Any]] = {}
        self.running: set[int] = set()
        self.count = count

    def function(self, index: int) -> int:
        assert index not in self.running and index not in self.ends, f"function {index} is called twice"
        self.running.add(index)
        try:
            value = self.work(index)
        except BaseException as error:
            if isinstance(error, coro.Interrupted):
                # A clean-up that takes its time.
                coro.sleep_relative(1)
            self.ends[index] = (FAILURE, error)
            raise
        else:
            self.ends[index] = (SUCCESS, value)
            return value
        finally:
            self.running.remove(index)

    def work(self, index: int) -> int:
        act = choose(4 if self.depth else 3)
        pause()
        if act == 1:
            self.failures.raised.append(Fault(index))
            raise self.failures.raised[-1]
        if act == 2:
            pause()
        elif act == 3:
            run_parallel(self.depth - 1, self.failures)
        return index * 10

    def run(self) -> None:
        """Call in_parallel(), and check what comes of it; raises what interrupts the caller."""
        functions: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
            (self.function, (index,)) for index in range(self.count)
        ]
        try:
            values = coro.in_parallel(functions)
        except coro.InParallelError as error:
            self.check_failed(error)
        except coro.Interrupted as interrupt:
            assert isinstance(interrupt, (ChanceInterrupt, Knock, coro.Shutdown))
            raise
        else:
            assert values == [index * 10 for index in range(self.count)]
            assert all(status == SUCCESS for status, _ in self.ends.values()) and len(self.ends) == self.count
        finally:
            assert not self.running, f"functions {self.running} outlive in_parallel()"

    def check_failed(self, error: coro.InParallelError) -> None:
        assert len(error.result_list) == self.count
        for index, (status, result) in enumerate(error.result_list):
            if status == SUCCESS:
                assert self.ends[index] == (SUCCESS, result)
            elif index in self.ends and not isinstance(self.ends[index][1], coro.Interrupted):
                assert self.ends[index][1] is result[1]
                self.failures.received.append(result[1])
            else:
                assert isinstance(result[1], coro.Interrupted)
        assert any(status == FAILURE for status, _ in error.result_list)


def run_parallel(depth: int, failures: Failures) -> None:
    """Call in_parallel() for one to three functions, some of which may do the same, `depth` levels deep."""
    _Parallel(1 + choose(3), depth, failures).run()


def parallel() -> None:
    """Nested calls of in_parallel() whose functions return, fail and are interrupted, as is the caller."""
    failures = Failures()
    with hear() as heard:
        coro.spawn(run_parallel, 1, failures, thread_name="caller")
    failures.check(heard)


def parallel_pair() -> None:
    """The smallest: one function fails while the other yields; its failure is told once, to the caller or else."""
    raised: list[BaseException] = []
    received: list[BaseException] = []

    def fail() -> None:
        coro.yield_slice()
        raised.append(Fault("made"))
        raise raised[0]

    def caller() -> None:
        try:
            coro.in_parallel([(fail, ()), (coro.yield_slice, ())])
        except coro.InParallelError as error:
            received.extend(result[1] for status, result in error.result_list if status == FAILURE)

    with hear() as heard:
        coro.spawn(caller, thread_name="caller")
    assert raised == [error for error in (*heard, *received) if isinstance(error, Fault)]


def parallel_knocked() -> None:
    """A stranger interrupts and schedules the caller: each interrupt arrives when the functions have ended."""
    knocks = Knocks()

    def caller() -> None:
        try:
            run_parallel(0, Failures())
        except Knock as knock:
            knocks.receive(knock)
        knocks.drain()

    with hear():
        one = coro.spawn(caller, thread_name="caller")
        for _ in range(1 + choose(4)):
            pause()
            if choose(3):
                knocks.knock(one)
            elif is_parked(one) and one.waiting_for == "join":
                one.schedule("from a stranger")
    knocks.check()
