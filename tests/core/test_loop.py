import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import coro
from coro import testing
from coro.loop import loop
from coro.poller import default_poller
from coro.scheduler import POLL_INTERVAL_NS, scheduler
from tests.core.ticking import TickingClock


class WatchedPoller:
    """A real poller that notes how long each poll was asked to wait, and waits at most 10 ms."""

    def __init__(self) -> None:
        self.real = default_poller()
        self.timeouts: list[int | None] = []

    def poll(self, timeout_ns: int | None) -> list[tuple[int, int]]:
        self.timeouts.append(timeout_ns)
        shortened = 10_000_000 if timeout_ns is None else min(timeout_ns, 10_000_000)
        return self.real.poll(shortened)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


@pytest.fixture
def watched_poller(monkeypatch: pytest.MonkeyPatch) -> WatchedPoller:
    poller = WatchedPoller()
    monkeypatch.setattr(loop, "poller_factory", lambda: poller)
    return poller


@contextmanager
def exit_code() -> Iterator[list[Any]]:
    """Run event_loop() in here: the list gets the code of its SystemExit."""
    codes: list[Any] = []
    with pytest.raises(SystemExit) as caught:
        yield codes
    codes.append(caught.value.code)


# -- starting and ending


def test_loop_runs_until_set_exit_and_raises_system_exit_with_the_code() -> None:
    for code in (0, 3, None, "a message"):
        coro.spawn(coro.set_exit, code)
        with exit_code() as codes:
            coro.event_loop()
        assert codes == [code]


def test_loop_can_be_started_again() -> None:
    ran: list[int] = []

    def main(number: int) -> None:
        coro.sleep_relative(0.001)
        ran.append(number)
        coro.set_exit(number)

    for number in range(3):
        coro.spawn(main, number)
        with exit_code() as codes:
            coro.event_loop()
        assert codes == [number]
    assert ran == [0, 1, 2]


def test_threads_that_were_spawned_before_the_loop_wait_for_it() -> None:
    ran: list[str] = []
    thread = coro.spawn(ran.append, "early")
    unstarted = coro.new(ran.append, "never")
    assert (thread.scheduled, ran) == (True, [])

    coro.run(coro.yield_slice)

    assert ran == ["early"]
    assert unstarted.dead


def test_coro_is_running_while_it_runs_only() -> None:
    assert not coro.coro_is_running()
    assert coro.run(coro.coro_is_running) is True
    assert not coro.coro_is_running()


@pytest.mark.parametrize("start", [coro.event_loop, lambda: coro.run(int)])
def test_nested_loop_is_a_clear_error_and_hurts_nothing(start: Any) -> None:
    def main() -> str:
        count = coro.get_live_coros()
        with pytest.raises(RuntimeError, match=r"while an event loop is running.*spawn.*instead"):
            start()
        assert coro.get_live_coros() == count
        coro.sleep_relative(1)
        return "went on"

    assert testing.run(main) == "went on"


def test_loop_of_another_os_thread_is_nested_too() -> None:
    def main() -> None:
        caught: list[BaseException] = []

        def foreign() -> None:
            for start in (coro.event_loop, lambda: coro.run(int)):
                try:
                    start()
                except RuntimeError as error:
                    caught.append(error)

        os_thread = threading.Thread(target=foreign)
        os_thread.start()
        os_thread.join()
        assert len(caught) == 2
        assert coro.get_live_coros() == 1

    coro.run(main)


def test_loop_runs_in_another_os_thread() -> None:
    results: list[Any] = []

    def body() -> None:
        results.append(coro.run(lambda: (coro.sleep_relative(0.001), threading.get_ident())[1]))

    for _ in range(2):
        os_thread = threading.Thread(target=body)
        os_thread.start()
        os_thread.join()
        assert results[-1] == os_thread.ident
    assert coro.run(threading.get_ident) == threading.get_ident()


@pytest.mark.parametrize(
    ("timeout", "error", "message"),
    [
        ("x", TypeError, "timeout must be a number, got 'x'"),
        (None, TypeError, "timeout must be a number, got None"),
        (0, ValueError, "timeout must be more than 0 seconds, got 0"),
        (-1, ValueError, "timeout must be more than 0 seconds, got -1"),
        (float("nan"), ValueError, "timeout must be a number of seconds, got nan"),
    ],
)
def test_wrong_timeout_is_refused_before_the_loop_starts(
    timeout: Any, error: type[Exception], message: str
) -> None:
    thread = coro.new(int)
    with pytest.raises(error, match=message):
        coro.event_loop(timeout)

    assert not coro.coro_is_running()
    assert not thread.dead
    thread.shutdown()


@pytest.mark.parametrize("what", ["coro.loop.loop.poller_factory", "coro.loop.Wakeup"])
def test_loop_that_cannot_open_leaves_nothing_behind(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of descriptors: the thread of run() must not wait for the next loop."""

    def refuse() -> Any:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patch:
        patch.setattr(what, refuse)
        # The pipe of an earlier loop would serve.
        patch.setattr(loop, "_pipe", None)
        with pytest.raises(OSError, match="Too many open files"):
            coro.run(int)
    assert not coro.coro_is_running()
    assert not coro.all_threads
    assert coro.run(lambda: "works again") == "works again"


@pytest.mark.parametrize("what", ["coro.collector.install", "coro.hooks.install", "coro.signals.installed"])
def test_interrupt_while_the_loop_opens_leaves_nothing_behind(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A SIGINT before the loop's own handling holds is raised wherever it comes."""

    def interrupt(*arguments: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(what, interrupt)
        with pytest.raises(KeyboardInterrupt):
            coro.run(int)
    assert not coro.coro_is_running()
    assert not coro.all_threads
    assert coro.run(lambda: "works again") == "works again"


def test_deadlock_under_the_fake_poller_leaves_the_loop_in_order() -> None:
    thread = coro.new(int)

    def stuck() -> None:
        coro._yield()

    with pytest.raises(testing.NothingWillHappen, match=r"these threads wait: .*stuck"):
        testing.run(stuck, real_descriptors=False)
    assert thread.dead
    assert not coro.coro_is_running()
    assert testing.run(lambda: 5, real_descriptors=False) == 5


# -- polling


def test_idle_loop_waits_no_longer_than_the_timeout_of_event_loop(watched_poller: WatchedPoller) -> None:
    def main() -> None:
        coro.sleep_relative(100)

    coro.spawn(main)
    threading.Timer(0.05, coro.set_exit).start()
    with exit_code():
        coro.event_loop(7)

    waits = [timeout for timeout in watched_poller.timeouts if timeout]
    assert waits
    assert max(waits) == 7 * coro.ticks_per_sec


def test_default_timeout_is_30_seconds(watched_poller: WatchedPoller) -> None:
    coro.spawn(coro.sleep_relative, 100)
    threading.Timer(0.05, coro.set_exit).start()
    with exit_code():
        coro.event_loop()

    assert max(timeout for timeout in watched_poller.timeouts if timeout) == 30 * coro.ticks_per_sec


def test_loop_does_not_wait_while_somebody_is_runnable(watched_poller: WatchedPoller) -> None:
    def main() -> None:
        end = coro.get_now() + 5_000_000
        while coro.get_now() < end:
            coro.yield_slice()
        watched_poller.timeouts.append(-1)

    coro.run(main)

    while_running = watched_poller.timeouts[: watched_poller.timeouts.index(-1)]
    assert len(while_running) > 2
    assert set(while_running) == {0}


def test_loop_waits_until_the_next_deadline(watched_poller: WatchedPoller) -> None:
    coro.run(coro.sleep_relative, 0.005)

    assert any(timeout and 1_000_000 < timeout <= 5_000_000 for timeout in watched_poller.timeouts)


@pytest.mark.parametrize("seconds", [30 * 86_400, 10 * 365 * 86_400, float("inf"), 1e30])
def test_sleep_that_is_longer_than_the_kernel_can_wait(seconds: float) -> None:
    """epoll takes at most 2**31 milliseconds, 24 days."""

    def main() -> None:
        sleeper = coro.spawn(coro.sleep_relative, seconds)
        threading.Timer(0.05, coro.set_exit).start()
        coro.sleep_absolute(coro.get_now() + 40 * 86_400 * coro.ticks_per_sec)
        sleeper.join()

    with exit_code() as codes:
        coro.run(main)
    assert codes == [0]


def test_timers_run_within_half_a_millisecond_of_running(ticking_clock: TickingClock) -> None:
    assert POLL_INTERVAL_NS == 500_000

    def main() -> None:
        done = False

        def busy() -> None:
            while not done:
                coro.yield_slice()

        coro.spawn(busy)
        for _ in range(20):
            deadline = coro.get_now() + 3_000_000
            coro.sleep_absolute(deadline)
            assert 0 <= coro.get_now() - deadline <= POLL_INTERVAL_NS + 10_000
        done = True

    coro.run(main)


# -- calls from outside


def test_post_calls_in_the_loop_in_order() -> None:
    def main() -> None:
        called: list[Any] = []

        def note(what: str) -> None:
            called.append((what, threading.get_ident(), scheduler.current))

        def foreign() -> None:
            loop.post(note, "first")
            loop.post(note, "second")

        os_thread = threading.Thread(target=foreign)
        os_thread.start()
        os_thread.join()
        coro.sleep_relative(0.001)
        ident = threading.get_ident()
        assert called == [("first", ident, None), ("second", ident, None)]

    coro.run(main)


def test_post_wakes_a_waiting_poll() -> None:
    def main() -> int:
        me = coro.current()
        threading.Timer(0.02, loop.post, (scheduler.wake, me, 7)).start()
        return scheduler.park("test")  # type: ignore[no-any-return]

    assert coro.run(main) == 7


def test_set_exit_from_another_os_thread_wakes_a_waiting_poll() -> None:
    coro.spawn(coro.sleep_relative, 1000)
    threading.Timer(0.02, coro.set_exit, (4,)).start()

    with exit_code() as codes:
        coro.event_loop()
    assert codes == [4]


# -- accounting of the loop


def test_loop_counts_its_polls_and_the_time_in_them() -> None:
    def main() -> None:
        iterations, poll_time = loop.iterations, loop.poll_time_ns
        for _ in range(10):
            coro.sleep_relative(1)
        assert loop.iterations - iterations >= 10
        assert loop.poll_time_ns - poll_time == 10 * coro.ticks_per_sec

    testing.run(main, real_descriptors=False)


def test_lag_histogram_counts_the_time_between_two_polls() -> None:
    def main() -> None:
        coro.set_latency_warning(0)
        clock: Any = scheduler.clock
        coro.sleep_relative(1)
        before = list(loop.lag_histogram)
        clock.advance_ns(1000)
        coro.sleep_relative(1)
        clock.advance_ns(1 << 40)
        coro.sleep_relative(1)
        changed = {
            slot: count - before[slot]
            for slot, count in enumerate(loop.lag_histogram)
            if slot and count != before[slot]
        }
        # [n] counts from 2**(n-1) up to 2**n nanoseconds.
        assert changed == {10: 1, 41: 1}

    testing.run(main, real_descriptors=False)
