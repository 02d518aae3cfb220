"""in_os_thread(): values, exceptions, interrupts."""

import contextlib
import contextvars
import gc
import random
import threading
import time
import traceback
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import coro
from coro.loop import loop
from coro.os_thread import (
    Job,
    OSThreadPool,
    call_from_os_thread,
    default_pool,
    in_os_thread,
)
from coro.testing import run as run_in_fake_time
from tests.os_thread.waiting import LIMIT_S, fail, interrupt_begun, wait_until


class Token:
    """Something that can be referred to weakly."""


def test_call_gets_its_arguments_and_returns_its_value() -> None:
    assert coro.run(lambda: in_os_thread(lambda *a, **k: (a, k), 1, 2, function=3)) == ((1, 2), {"function": 3})


def test_call_runs_in_another_os_thread() -> None:
    ident = coro.run(lambda: in_os_thread(threading.get_ident))

    assert ident != threading.get_ident()


def test_other_threads_run_while_a_call_blocks(gate: threading.Event) -> None:
    def main() -> bool:
        coro.spawn(gate.set)
        return in_os_thread(gate.wait, LIMIT_S)

    assert coro.run(main)


def test_exception_goes_to_the_caller_with_the_functions_traceback() -> None:
    def broken() -> None:
        raise KeyError("here")

    def main() -> list[str]:
        with pytest.raises(KeyError, match="here") as caught:
            in_os_thread(broken)
        return [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]

    names = coro.run(main)

    assert names[-1] == "broken"
    assert "run" not in names


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, coro.Shutdown])
def test_call_raises_whatever_the_function_raises(kind: type[BaseException]) -> None:
    def main() -> bool:
        try:
            in_os_thread(fail, kind())
        except BaseException as error:
            return type(error) is kind
        return False

    assert coro.run(main)


def test_nothing_of_a_failed_call_is_kept() -> None:
    def main() -> bool:
        token = Token()
        gone = weakref.ref(token)

        def broken(argument: Token) -> None:
            raise ValueError(argument)

        with pytest.raises(ValueError, match="Token"):
            in_os_thread(broken, token)
        del token
        # The OS thread may still hold the job for a moment.
        wait_until(lambda: gone() is None)
        return True

    gc.disable()
    try:
        assert coro.run(main)
    finally:
        gc.enable()


def test_interrupted_caller_returns_at_once_and_the_late_result_is_dropped(gate: threading.Event) -> None:
    made: list[weakref.ref[Token]] = []

    def work() -> Token:
        gate.wait(LIMIT_S)
        token = Token()
        made.append(weakref.ref(token))
        return token

    def main() -> Any:
        def caller() -> str:
            try:
                in_os_thread(work)
            except coro.WakeUp:
                assert loop.outside_calls == 0
                # What comes late must not resume it from another wait.
                return str(coro._yield())
            return "not interrupted"

        thread = coro.spawn(caller)
        wait_until(lambda: thread.waiting_on is not None and thread.waiting_on.begun)
        assert "running" in repr(thread.waiting_on)
        thread.raise_exception(coro.WakeUp)
        coro.yield_slice()
        gate.set()
        wait_until(lambda: made and made[0]() is None)
        coro.sleep_relative(0.005)
        assert not thread.dead
        thread.schedule("resumed by main")
        return thread.result()

    assert coro.run(main) == "resumed by main"


def test_what_an_interrupted_call_refers_to_goes_in_the_loops_os_thread(gate: threading.Event) -> None:
    gone: list[int] = []

    class Owned:
        """Something of the loop's, such as a socket."""

        def __del__(self) -> None:
            gone.append(threading.get_ident())

    def work(argument: Owned) -> Owned:
        gate.wait(LIMIT_S)
        return Owned()

    def caller() -> None:
        with contextlib.suppress(coro.WakeUp):
            in_os_thread(work, Owned())

    def main() -> None:
        interrupt_begun(caller).join()
        assert gone == []
        gate.set()
        wait_until(lambda: len(gone) == 2)

    coro.run(main)

    assert gone == [threading.get_ident()] * 2


def test_late_failure_goes_to_the_exception_notifier(
    gate: threading.Event, notified: list[tuple[str, BaseException]]
) -> None:
    def broken() -> None:
        gate.wait(LIMIT_S)
        raise OSError("too late")

    def main() -> None:
        thread = interrupt_begun(in_os_thread, broken)
        with pytest.raises(coro.WakeUp):
            thread.result()
        gate.set()
        wait_until(lambda: notified)

    coro.run(main)

    assert [(name, str(error)) for name, error in notified] == [
        (f"late failure of {broken.__qualname__}", "too late")
    ]


def test_failure_that_comes_together_with_the_interrupt_is_reported(
    gate: threading.Event, notified: list[tuple[str, BaseException]]
) -> None:
    def broken() -> None:
        gate.wait(LIMIT_S)
        raise OSError("just now")

    def main() -> None:
        thread = coro.spawn(in_os_thread, broken)
        thread.observers += 1
        wait_until(lambda: thread.waiting_on is not None)
        job = thread.waiting_on
        gate.set()
        # Without giving the loop a turn: the result is there when the interrupt comes.
        while job.error is None:
            time.sleep(0.001)
        default_pool._finish(job)
        thread.raise_exception(coro.WakeUp)
        with pytest.raises(coro.WakeUp):
            thread.result()
        wait_until(lambda: notified)

    coro.run(main)

    assert [str(error) for _, error in notified] == ["just now"]


def test_call_that_was_not_begun_when_its_caller_is_interrupted_is_never_made(gate: threading.Event) -> None:
    called: list[str] = []
    with OSThreadPool(1) as pool:

        def main() -> None:
            first = coro.spawn(pool.call, gate.wait, LIMIT_S)
            second = coro.spawn(pool.call, called.append, "second")
            second.observers += 1
            third = coro.spawn(pool.call, called.append, "third")
            wait_until(lambda: "2 calls queued" in repr(pool))
            assert "queued" in repr(second.waiting_on)
            second.raise_exception(coro.WakeUp)
            coro.yield_slice()
            assert "1 calls queued" in repr(pool)
            gate.set()
            first.join()
            third.join()

        coro.run(main)

    assert called == ["third"]


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """The calls that are handed to the pool; they go no further."""
    got: list[Job] = []
    monkeypatch.setattr(OSThreadPool, "_submit", lambda self, job: got.append(job))
    return got


def test_interrupt_that_is_due_already_comes_before_the_call_is_begun(submitted: list[Job]) -> None:
    def main() -> None:
        with pytest.raises(coro.TimeoutError):
            coro.with_timeout(0, in_os_thread, int)

    coro.run(main)

    assert submitted == []


def test_stranger_that_schedules_the_caller_does_not_end_its_wait(gate: threading.Event) -> None:
    def main() -> Any:
        thread = coro.spawn(in_os_thread, lambda: gate.wait(LIMIT_S) and "the value")
        wait_until(lambda: thread.waiting_on is not None)
        thread.schedule("not the value")
        coro.yield_slice()
        assert not thread.dead
        gate.set()
        return thread.result()

    assert coro.run(main) == "the value"


def test_context_variables_are_copied() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="default")

    def work() -> str:
        found = variable.get()
        variable.set("the worker's")
        return found

    def main() -> tuple[str, str, str]:
        variable.set("the caller's")
        first = in_os_thread(work)
        return first, variable.get(), coro.spawn(in_os_thread, variable.get).result()

    assert coro.run(main) == ("the caller's", "the caller's", "the caller's")


def test_fake_clock_waits_for_the_os_thread() -> None:
    def main() -> tuple[int, int, int]:
        begin = coro.get_now()
        sleeper = coro.spawn(coro.sleep_relative, 1)
        in_os_thread(time.sleep, 0.02)
        during = coro.get_now()
        sleeper.join()
        return begin, during, coro.get_now()

    begin, during, end = run_in_fake_time(main)

    assert during == begin
    assert end == begin + coro.ticks_per_sec


def test_call_outside_the_loop_is_refused() -> None:
    with pytest.raises(coro.YieldFromMain, match=r"needs a running loop"):
        in_os_thread(int)


def test_call_from_an_os_thread_of_the_pool_is_refused() -> None:
    def main() -> None:
        with pytest.raises(coro.YieldFromMain, match=r"call_from_os_thread"):
            in_os_thread(in_os_thread, int)

    coro.run(main)


def test_call_in_a_finaliser_that_the_collector_runs_is_refused(submitted: list[Job]) -> None:
    refused: list[str] = []

    class Cycle:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            try:
                in_os_thread(int)
            except coro.YieldFromMain as error:
                refused.append(str(error))

    def main() -> None:
        Cycle()
        gc.collect()

    coro.run(main)

    assert submitted == []
    assert len(refused) == 1
    assert "garbage collector" in refused[0]


@pytest.mark.parametrize("function", [in_os_thread, call_from_os_thread])
def test_what_cannot_be_called_is_refused(function: Callable[..., Any]) -> None:
    def main() -> None:
        with pytest.raises(TypeError, match=r"needs a function to call, got 5"):
            function(5)

    coro.run(main)


def test_hundreds_of_calls_at_once_all_get_their_value() -> None:
    def main() -> list[Any]:
        threads = [coro.spawn(in_os_thread, str, number) for number in range(500)]
        return [thread.result() for thread in threads]

    assert coro.run(main) == [str(number) for number in range(500)]


def test_interrupts_around_the_end_of_calls_lose_nothing(notified: list[tuple[str, BaseException]]) -> None:
    dice = random.Random(7)
    made: list[int] = []

    def work(number: int) -> int:
        time.sleep(dice.random() / 2000)
        made.append(number)
        return number

    def main() -> tuple[int, int]:
        values, interrupted = [], 0
        with OSThreadPool(4) as pool:
            for number in range(300):
                thread = coro.spawn(pool.call, work, number)
                thread.observers += 1
                coro.sleep_relative(dice.random() / 1000)
                if thread.started and not thread.dead:
                    thread.raise_exception(coro.WakeUp)
                try:
                    values.append(thread.result())
                except coro.WakeUp:
                    interrupted += 1
            assert values == sorted(values)
            assert set(values) <= set(made)
        # The last call's caller may have left before the call came to its end.
        while pool._workers:
            coro.sleep_relative(0.001)
        return len(values), interrupted

    values, interrupted = coro.run(main)

    assert values + interrupted == 300
    assert values
    assert interrupted
    assert notified == []
    assert not loop.posted
