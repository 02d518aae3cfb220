"""Looking at the loop from another OS thread, as the backdoor's sentinel does."""

from __future__ import annotations

import functools
import gc
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

import coro
from coro import inspect, testing
from coro.inspect import outside
from coro.inspect.frames import MAX_FRAMES, StackReading, at_once, places_of_os_thread
from coro.loop import loop
from coro.poller import default_poller


def beside(look: Callable[[], Any], delay_s: float = 0.05) -> tuple[threading.Thread, list[Any]]:
    """An OS thread that looks after a while; what it found, or the error."""
    found: list[Any] = []

    def run() -> None:
        time.sleep(delay_s)
        try:
            found.append(look())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, found


def while_it(does: Callable[[], Any], look: Callable[[], Any]) -> Any:
    """What another OS thread sees while a thread of the loop, named "busy", does something for 0.15 s or so."""

    def main() -> Any:
        thread, found = beside(look)
        busy = coro.spawn(does, thread_name="busy")
        busy.join()
        thread.join()
        return found[0]

    return coro.run(main)


def spin() -> None:
    end = time.monotonic() + 0.15
    while time.monotonic() < end:
        pass


def block() -> None:
    time.sleep(0.15)


@pytest.mark.parametrize("does", [spin, block])
def test_culprit_is_the_running_thread_with_its_live_stack(does: Callable[[], None]) -> None:
    record = while_it(does, outside.culprit)

    assert record.name == "busy"
    assert record.id is not None
    assert 0.02 < record.run_s < 1
    # The carrier's own call is left out.
    [frame] = record.frames
    assert (frame.file, frame.function) == (__file__, does.__name__)
    assert frame.source in (
        "end = time.monotonic() + 0.15",
        "while time.monotonic() < end:",
        "pass",
        "time.sleep(0.15)",
    )
    assert not record.torn


def test_culprit_may_be_the_loop_itself() -> None:
    def main() -> Any:
        thread, found = beside(outside.culprit)
        loop.post(block)
        coro.sleep_relative(0.2)
        thread.join()
        return found[0]

    record = coro.run(main)
    assert (record.id, record.name) == (None, "the loop")
    assert record.frames[-1].function == "block"
    assert record.run_s > 0.02


def test_culprit_where_no_loop_runs() -> None:
    assert outside.culprit().name == "no loop"


def test_busy_loop_does_not_poll() -> None:
    assert while_it(spin, outside.loop_is_polling) is False
    assert while_it(block, outside.loop_is_polling) is False


def test_waiting_loop_polls() -> None:
    assert while_it(lambda: coro.sleep_relative(0.15), outside.loop_is_polling) is True
    assert while_it(lambda: coro.sleep_relative(0.15), outside.lag).current_s == 0


def test_handler_in_the_loop_is_no_polling() -> None:
    def main() -> Any:
        thread, found = beside(outside.loop_is_polling)
        loop.post(time.sleep, 0.15)
        coro.sleep_relative(0.2)
        thread.join()
        return found[0]

    assert coro.run(main) is False


def test_signal_handler_that_interrupted_the_poll_is_no_polling() -> None:
    def handler(number: int, frame: FrameType | None) -> None:
        block()

    def main() -> Any:
        thread, found = beside(outside.loop_is_polling, 0.15)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        coro.sleep_relative(0.4)
        thread.join()
        return found[0]

    former = signal.signal(signal.SIGALRM, handler)
    try:
        assert coro.run(main) is False
    finally:
        signal.signal(signal.SIGALRM, former)


def test_loop_that_does_not_run_does_not_poll() -> None:
    assert outside.loop_is_polling() is False
    assert coro.run(outside.loop_is_polling) is False


def test_fake_poller_with_a_real_one_polls() -> None:
    def main() -> Any:
        # An OS thread is at work for the loop, so the fake clock waits in the real poller.
        thread, found = beside(outside.loop_is_polling)
        coro.in_os_thread(time.sleep, 0.15)
        thread.join()
        return found[0]

    assert testing.run(main) is True


def test_fake_poller_without_a_real_one_polls() -> None:
    def main() -> Any:
        thread, found = beside(outside.loop_is_polling)
        coro.in_os_thread(time.sleep, 0.15)
        thread.join()
        return found[0]

    assert testing.run(main, real_descriptors=False) is True


class SlowPoller:
    """A poller of a user's own, which waits in a helper."""

    def __init__(self) -> None:
        self._poller = default_poller()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._poller, name)

    def poll(self, timeout_ns: int | None) -> list[tuple[int, int]]:
        return self._helper(timeout_ns)

    def _helper(self, timeout_ns: int | None) -> list[tuple[int, int]]:
        return self._poller.poll(timeout_ns)


class NoFunctionPoller:
    """A poller whose poll() is no Python function."""

    def __init__(self) -> None:
        self._poller = default_poller()
        self.poll = functools.partial(self._poller.poll)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._poller, name)


@pytest.mark.parametrize("factory", [default_poller, SlowPoller, NoFunctionPoller])
def test_any_poller_is_recognised(factory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "poller_factory", factory)
    assert while_it(lambda: coro.sleep_relative(0.15), outside.loop_is_polling) is True
    assert while_it(spin, outside.loop_is_polling) is False


def test_all_looks_work_while_the_loop_is_stuck() -> None:
    def look() -> dict[str, Any]:
        return {
            "threads": outside.threads(),
            "stacks": outside.stacks(),
            "groups": outside.stack_groups(),
            "lag": outside.lag(),
            "facts": outside.facts_from_outside(stall_s=0.03),
            "info": [outside.info(record.id) for record in outside.threads()],
            "polling": outside.loop_is_polling(),
        }

    found = while_it(block, look)

    states = {record.name: record.state for record in found["threads"]}
    assert states["busy"] == "running"
    assert sorted(states.values()) == ["running", "waiting"]
    stack = next(stack for stack in found["stacks"] if stack.name == "busy")
    assert stack.frames[-1].function == "block"
    assert sum(group.count for group in found["groups"]) == 2
    assert found["lag"].current_s > 0.02
    assert found["facts"].loop.stalled_s > 0.02
    assert found["facts"].loop.culprit.name == "busy"
    assert {detail.thread.name for detail in found["info"]} == set(states)


def test_walk_is_given_up_when_asked() -> None:
    def main() -> list[Any]:
        for _ in range(3000):
            coro.spawn(coro.sleep_relative, 1)
        coro.yield_slice()
        thread, found = beside(lambda: outside.threads(lambda: True), 0)
        thread.join()
        return found

    [error] = coro.run(main)
    assert isinstance(error, outside.GivenUp)


def test_walk_that_may_go_on_is_complete() -> None:
    asked = []

    def main() -> list[Any]:
        for _ in range(3000):
            coro.spawn(coro.sleep_relative, 1)
        coro.yield_slice()
        thread, found = beside(lambda: outside.stack_groups(lambda: asked.append(1)), 0)
        thread.join()
        return found

    [groups] = coro.run(main)
    assert sum(group.count for group in groups) == 3001
    assert asked


def test_name_of_a_thread_runs_no_code_of_the_function() -> None:
    looked_up = []

    class Odd:
        def __call__(self) -> None:
            coro.sleep_relative(1)

        def __getattr__(self, name: str) -> Any:
            looked_up.append(name)
            raise AttributeError(name)

    def main() -> None:
        thread = coro.coro(Odd())
        thread.start()
        coro.yield_slice()
        assert inspect.thread(thread.id).name.endswith("Odd")
        assert inspect.info(thread.id).function.endswith("Odd")
        assert inspect.stack(thread.id).name.endswith("Odd")
        assert looked_up == []

    testing.run(main, real_descriptors=False)


def test_stack_of_an_os_thread_that_is_gone_is_empty() -> None:
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    assert places_of_os_thread(thread.ident or 0) == [] or thread.ident == threading.get_ident()


def test_reading_leaves_the_collector_as_it_was() -> None:
    assert gc.isenabled()
    assert places_of_os_thread(threading.get_ident())
    assert gc.isenabled()
    gc.disable()
    try:
        places_of_os_thread(threading.get_ident())
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_step_that_raises_leaves_the_collector_on() -> None:
    with pytest.raises(ZeroDivisionError):
        at_once(lambda: 1 // 0)
    assert gc.isenabled()
    assert at_once(int, gc.isenabled) == [0, False]


def deep(depth: int) -> Any:
    if depth:
        return deep(depth - 1)
    return coro.sleep_relative(1)


def test_very_deep_stack_keeps_its_innermost_calls() -> None:
    def main() -> None:
        thread = coro.spawn(deep, MAX_FRAMES + 100)
        coro.yield_slice()
        record = inspect.stack(thread.id)
        # One or two calls of the scheduler's were read and not shown.
        assert len(record.frames) in (MAX_FRAMES, MAX_FRAMES - 1)
        assert record.frames[0].function == "(outer calls left out)"
        assert record.frames[-1].function == "sleep_relative"
        exact = coro.spawn(deep, 10)
        coro.yield_slice()
        assert len(inspect.stack(exact.id).frames) == 11 + 1

    testing.run(main, real_descriptors=False)


def test_no_frame_outlives_a_reading() -> None:
    ended = []

    class Mark:
        def __del__(self) -> None:
            ended.append(1)

    def holder(depth: int) -> None:
        mark = Mark()
        if depth:
            holder(depth - 1)
        else:
            coro.sleep_relative(0.1)
        del mark

    def main() -> None:
        thread = coro.spawn(holder, 20)
        coro.yield_slice()
        reading = StackReading((thread.carrier, "gr_frame"), left_out=1, limit=5)
        at_once(*reading.steps)
        assert len(reading.places) == 6
        thread.join()
        # While a frame was held, so would its variables be.
        assert len(ended) == 21

    coro.run(main)


def test_every_look_beside_a_busy_loop() -> None:
    """A short version of a soak: threads come, switch and go while two OS threads look at everything."""
    stop = False
    looks = (
        outside.threads,
        outside.stacks,
        outside.stack_groups,
        outside.culprit,
        outside.lag,
        outside.loop_is_polling,
        outside.facts_from_outside,
        inspect.metrics,
        inspect.deadlocks,
    )
    done = []

    def observer() -> None:
        while not stop:
            for look in looks:
                look()
            done.append(1)

    def short(depth: int) -> None:
        if depth:
            short(depth - 1)
        else:
            # With a C function on the stack.
            sorted(range(2), key=lambda _: coro.yield_slice() or 0)

    def worker() -> None:
        end = time.monotonic() + 0.7
        while time.monotonic() < end:
            for thread in [coro.spawn(short, depth) for depth in range(10)]:
                thread.join()
            coro.sleep_relative(0.001)

    def main() -> None:
        for worker_thread in [coro.spawn(worker) for _ in range(5)]:
            worker_thread.join()

    threshold = gc.get_threshold()
    gc.set_threshold(50)
    observers = [threading.Thread(target=observer) for _ in range(2)]
    for thread in observers:
        thread.start()
    try:
        coro.run(main)
    finally:
        stop = True
        for thread in observers:
            thread.join()
        gc.set_threshold(*threshold)
    assert len(done) > 5
