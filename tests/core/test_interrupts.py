"""Interrupts are delivered at a switch point, and none is lost."""

import os
from collections.abc import Callable
from typing import Any

import pytest

import coro
from coro import testing
from coro.descriptors import descriptors
from coro.poller.base import READ
from coro.scheduler import scheduler
from coro.testing import FakeClock


class Log(list[Any]):
    """What a waiter was resumed with, in order: values, and exceptions by their argument."""

    def wait(self, times: int) -> None:
        """Wait so many times, by _yield()."""
        for _ in range(times):
            try:
                self.append(coro._yield())
            except (Exception, coro.Interrupted) as error:
                self.append(f"{type(error).__name__}({', '.join(map(str, error.args))})")


def waiter(times: int) -> tuple[coro.coro, Log]:
    """A thread that waits so many times, and has begun to."""
    log = Log()
    thread = coro.spawn(log.wait, times)
    coro.yield_slice()
    return thread, log


# -- raise_exception()


@pytest.mark.parametrize("exception", [KeyError("now"), KeyError, coro.WakeUp, coro.Interrupted])
def test_thread_resumes_with_the_exception_or_an_instance_of_the_class(exception: Any) -> None:
    kind = exception if isinstance(exception, type) else type(exception)

    def main() -> None:
        caught: list[BaseException] = []

        def wait() -> None:
            try:
                coro._yield()
            except kind as error:
                caught.append(error)

        thread = coro.spawn(wait)
        coro.yield_slice()
        thread.raise_exception(exception)
        assert thread.scheduled
        assert caught == []
        thread.join()
        assert [type(error) for error in caught] == [kind]
        if kind is not exception:
            assert caught[0] is exception

    testing.run(main, real_descriptors=False)


@pytest.mark.parametrize(
    "sleep",
    [
        lambda: coro.sleep_relative(1000),
        lambda: coro.sleep_absolute(coro.get_now() + 1000 * coro.ticks_per_sec),
        lambda: coro.sleep_relative(10**9),
    ],
)
def test_interrupted_sleeper_wakes_at_once_and_its_timer_is_gone(sleep: Callable[[], None]) -> None:
    def main() -> None:
        caught: list[str] = []

        def wait() -> None:
            try:
                sleep()
            except coro.WakeUp:
                caught.append("awake")
            coro._yield()

        thread = coro.spawn(wait)
        coro.sleep_relative(1)
        begin = coro.get_now()
        thread.raise_exception(coro.WakeUp)
        coro.yield_slice()
        assert caught == ["awake"]
        assert coro.get_now() == begin
        thread.join()

    # A timer that was left would wake the thread from its second wait.
    with pytest.raises(testing.NothingWillHappen):
        testing.run(main, real_descriptors=False)


def test_force_replaces_a_pending_value() -> None:
    def main() -> None:
        thread, log = waiter(2)
        thread.schedule("replaced")
        thread.raise_exception(KeyError("forced"))
        coro.sleep_relative(1)
        assert log == ["KeyError(forced)"]
        thread.schedule("next")
        thread.join()
        assert log == ["KeyError(forced)", "next"]

    testing.run(main, real_descriptors=False)


def test_without_force_a_scheduled_thread_is_left_alone() -> None:
    def main() -> None:
        thread, log = waiter(2)
        thread.schedule("kept")
        with pytest.raises(coro.ScheduleError, match="scheduled already") as caught:
            thread.raise_exception(KeyError("refused"), force=False)
        assert caught.value.thread is thread
        coro.yield_slice()
        assert log == ["kept"]
        # One that is not scheduled is interrupted all the same.
        thread.raise_exception(KeyError("accepted"), force=False)
        with pytest.raises(coro.ScheduleError):
            thread.raise_exception(KeyError("refused"), force=False)
        thread.join()
        assert log == ["kept", "KeyError(accepted)"]

    testing.run(main, real_descriptors=False)


def test_pending_exception_is_never_replaced_and_later_ones_come_one_per_wait() -> None:
    def main() -> None:
        thread, log = waiter(5)
        for name in "abc":
            thread.raise_exception(KeyError(name))
        coro.yield_slice()
        # The second and third meet the thread at its next waits: it need not be woken again.
        assert log == ["KeyError(a)", "KeyError(b)", "KeyError(c)"]
        assert not thread.scheduled
        thread.schedule("then a value")
        coro.yield_slice()
        assert log[3:] == ["then a value"]
        thread.shutdown()
        thread.join()
        assert log[4:] == ["Shutdown()"]

    testing.run(main, real_descriptors=False)


def test_exception_after_a_pending_value_and_exception_queues_behind_it() -> None:
    def main() -> None:
        thread, log = waiter(3)
        thread.schedule("replaced")
        thread.raise_exception(KeyError("first"))
        thread.raise_exception(KeyError("second"))
        with pytest.raises(coro.ScheduleError):
            thread.schedule("refused")
        coro.sleep_relative(1)
        assert log == ["KeyError(first)", "KeyError(second)"]
        thread.schedule("value")
        thread.join()

    testing.run(main, real_descriptors=False)


def test_queued_exception_is_delivered_by_every_kind_of_wait() -> None:
    never = coro.new(int)
    waits: list[Callable[[], Any]] = [
        coro.yield_slice,
        lambda: coro.sleep_relative(0),
        lambda: coro.sleep_relative(1),
        lambda: coro.sleep_absolute(0),
        coro._yield,
        never.join,
        lambda: never.join(1),
    ]

    def main() -> None:
        for wait in waits:
            seen: list[str] = []

            def body(wait: Callable[[], Any] = wait, seen: list[str] = seen) -> None:
                for _ in range(2):
                    try:
                        wait()
                    except KeyError as error:
                        seen.append(error.args[0])

            thread = coro.spawn(body)
            coro.spawn(thread.raise_exception, KeyError("first"))
            coro.spawn(thread.raise_exception, KeyError("second"))
            thread.join()
            assert seen == ["first", "second"]

    testing.run(main, real_descriptors=False)


def test_thread_that_only_yielded_is_interrupted_at_once() -> None:
    def main() -> None:
        seen: list[str] = []

        def yield_once() -> None:
            try:
                coro.yield_slice()
                seen.append("went on")
            except KeyError:
                seen.append("interrupted")

        thread = coro.spawn(yield_once)
        coro.spawn(thread.raise_exception, KeyError)
        coro.yield_slice()
        coro.yield_slice()
        assert seen == ["interrupted"]

    testing.run(main, real_descriptors=False)


@pytest.mark.parametrize("cancel_start", [False, True])
def test_thread_that_was_not_started(cancel_start: bool) -> None:
    def main() -> None:
        ran: list[int] = []
        for make in (coro.new, coro.spawn):
            thread = make(ran.append, 1)
            joiner = coro.spawn(thread.join)
            coro.all_threads[thread.id]
            if cancel_start:
                thread.raise_exception(KeyError, cancel_start=True)
                assert thread.dead
                assert not thread.started
                assert thread.id not in coro.all_threads
            else:
                with pytest.raises(coro.NotStartedError, match="has not started yet") as caught:
                    thread.raise_exception(KeyError)
                assert caught.value.thread is thread
                assert isinstance(caught.value, coro.ScheduleError)
                assert not thread.dead
                if not thread.scheduled:
                    thread.start()
            joiner.join()
        assert ran == ([] if cancel_start else [1, 1])

    testing.run(main, real_descriptors=False)


def test_dead_and_current_threads_cannot_be_interrupted() -> None:
    def main() -> None:
        ended, cancelled = coro.spawn(int), coro.new(int)
        ended.join()
        cancelled.shutdown()
        for thread in (ended, cancelled):
            with pytest.raises(coro.DeadCoroutine, match="the thread has ended") as caught:
                thread.raise_exception(KeyError, cancel_start=True)
            assert caught.value.thread is thread
        me = coro.current()
        with pytest.raises(coro.ScheduleError, match="cannot interrupt itself"):
            me.raise_exception(KeyError)
        coro.yield_slice()

    testing.run(main, real_descriptors=False)


@pytest.mark.parametrize("exception", [5, None, int, "KeyError"])
def test_what_is_no_exception_is_refused(exception: Any) -> None:
    def main() -> None:
        thread = coro.spawn(coro.sleep_relative, 1)
        coro.yield_slice()
        with pytest.raises(TypeError, match=rf"raise_exception\(\) needs an exception, got {exception!r}"):
            thread.raise_exception(exception)
        assert not thread.scheduled
        assert thread.result() is None

    testing.run(main, real_descriptors=False)


# -- shutdown()


def test_shutdown_raises_shutdown_and_ends_the_thread_silently() -> None:
    told: list[Any] = []
    coro.set_exception_notifier(lambda thread, error: told.append(error))

    def main() -> None:
        thread = coro.spawn(coro.sleep_relative, 1000)
        coro.yield_slice()
        thread.shutdown()
        thread.join()
        assert isinstance(thread.error, coro.Shutdown)

    testing.run(main, real_descriptors=False)
    assert told == []


def test_shutdown_passes_every_except_exception() -> None:
    def main() -> None:
        seen: list[str] = []

        def careless() -> None:
            while True:
                try:
                    coro.sleep_relative(1)
                except Exception:
                    seen.append("swallowed")
                finally:
                    seen.append("finally")

        thread = coro.spawn(careless)
        coro.yield_slice()
        thread.shutdown()
        thread.join()
        assert seen == ["finally"]

    testing.run(main, real_descriptors=False)


def test_shutdown_never_fails() -> None:
    def main() -> None:
        ended = coro.spawn(int)
        ended.join()
        ended.shutdown()
        for make in (coro.new, coro.spawn):
            unstarted = make(int)
            joiner = coro.spawn(unstarted.join)
            unstarted.shutdown()
            assert unstarted.dead
            assert unstarted.id not in coro.all_threads
            unstarted.shutdown()
            joiner.join()
        waiting, log = waiter(9)
        waiting.schedule("a value")
        waiting.shutdown()
        waiting.shutdown()
        coro.yield_slice()
        assert log == ["Shutdown()"]
        waiting.raise_exception(KeyError("pending"))
        waiting.shutdown()
        coro.yield_slice()
        assert log == ["Shutdown()", "KeyError(pending)", "Shutdown()"]

    with pytest.raises(SystemExit):
        testing.run(lambda: (main(), coro.set_exit(), coro.sleep_relative(1)), real_descriptors=False)


def test_shutdown_of_the_current_thread_is_raised_there_and_then() -> None:
    def main() -> None:
        seen: list[str] = []

        def leave() -> None:
            try:
                coro.current().shutdown()
                seen.append("went on")
            finally:
                seen.append("finally")

        thread = coro.spawn(leave)
        thread.join()
        assert seen == ["finally"]
        assert isinstance(thread.error, coro.Shutdown)

    testing.run(main, real_descriptors=False)


def test_shutdown_discards_what_is_queued_behind_it() -> None:
    def main() -> None:
        thread, log = waiter(4)
        thread.raise_exception(KeyError("before"))
        thread.shutdown()
        thread.raise_exception(KeyError("behind"))
        coro.yield_slice()
        assert log == ["KeyError(before)", "Shutdown()"]
        # The way out is free, but who comes later is heard again.
        thread.raise_exception(KeyError("later"))
        coro.yield_slice()
        assert log[2:] == ["KeyError(later)"]
        thread.shutdown()
        thread.raise_exception(KeyError("behind"))
        thread.join()
        assert log[3:] == ["Shutdown()"]

    testing.run(main, real_descriptors=False)


# -- nothing is lost


def test_chain_of_interrupts_loses_no_wake_up() -> None:
    """Fault 6 of the original: an interrupt replaced the pending wake-up, a second one replaced the first, and the
    thread, which had handled one exception, waited again for what had happened already.

    Here what was waited for is a state of its own (the thread is dead, the descriptor is ready), each interrupt is
    delivered, and the next wait finds that there is nothing to wait for.
    """

    def main() -> None:
        seen: list[str] = []
        target = coro.spawn(coro.sleep_relative, 5)

        def join_whatever_happens() -> None:
            while not target.dead or len(seen) < 3:
                try:
                    target.join()
                    coro.yield_slice()
                except KeyError as error:
                    seen.append(error.args[0])
            seen.append("joined")

        joiner = coro.spawn(join_whatever_happens)
        coro.sleep_relative(1)

        def interrupt_at_the_moment_of_waking() -> None:
            target.join()
            assert joiner.scheduled, "it has been woken, and has not run yet"
            for name in "abc":
                joiner.raise_exception(KeyError(name))

        # It joined later, so it runs right after the joiner was woken and before it runs.
        target.joiners.insert(0, coro.spawn(interrupt_at_the_moment_of_waking))  # type: ignore[union-attr]
        joiner.join()
        assert seen == ["a", "b", "c", "joined"]

    testing.run(main, real_descriptors=False)


def test_chain_of_interrupts_loses_no_bytes() -> None:
    def main() -> None:
        read_end, write_end = os.pipe()
        seen: list[Any] = []

        def read() -> None:
            while len(seen) < 3:
                try:
                    coro.wait_for_read(read_end)
                    seen.append(os.read(read_end, 100))
                except KeyError as error:
                    seen.append(error.args[0])

        thread = coro.spawn(read)
        coro.sleep_relative(1)
        os.write(write_end, b"bytes")

        def interrupt(fd: int) -> None:
            assert thread.scheduled
            thread.raise_exception(KeyError("first"))
            thread.raise_exception(KeyError("second"))

        # The handler of a second pipe is called in the very poll that woke the reader.
        other_read_end, other_write_end = os.pipe()
        coro.set_handler(other_read_end, READ, lambda fd, events: interrupt(fd))
        coro.sleep_relative(1)
        assert seen == [b"bytes"]
        os.write(write_end, b"more")
        os.write(other_write_end, b"!")
        thread.join()
        assert seen == [b"bytes", "first", "second"]
        coro.wait_for_read(read_end)
        assert os.read(read_end, 100) == b"more"
        coro.set_handler(other_read_end, READ, None)
        for fd in (read_end, write_end, other_read_end, other_write_end):
            os.close(fd)

    testing.run(main)


@pytest.mark.parametrize("yielded_before", [False, True])
def test_data_wins_over_a_timeout_of_the_same_moment_once(yielded_before: bool) -> None:
    def main() -> None:
        clock = scheduler.clock
        assert isinstance(clock, FakeClock)
        coro.set_latency_warning(0)
        read_end, write_end = os.pipe()
        seen: list[str] = []

        def read() -> None:
            if yielded_before:
                coro.yield_slice()
            try:
                descriptors.wait(read_end, READ, timeout=1)
                seen.append("data")
            except coro.TimeoutError:
                seen.append("timeout")
            # The timeout that came too late was withdrawn when its frame was left.
            coro.yield_slice()
            coro.sleep_relative(1)

        thread = coro.spawn(read)
        coro.yield_slice()
        coro.yield_slice()
        os.write(write_end, b"x")
        clock.advance(1)
        thread.join()
        assert seen == ["data"]
        assert thread.error is None
        os.close(read_end)
        os.close(write_end)

    testing.run(main)


@pytest.mark.parametrize(
    "yield_once", [coro.yield_slice, lambda: coro.sleep_relative(0), lambda: coro.sleep_absolute(0)]
)
def test_timeout_of_a_thread_that_only_yielded_comes_at_once(yield_once: Callable[[], None]) -> None:
    def main() -> None:
        clock = scheduler.clock
        assert isinstance(clock, FakeClock)
        coro.set_latency_warning(0)
        seen: list[str] = []

        def body() -> None:
            yield_once()
            seen.append("went on")

        def limited() -> None:
            with pytest.raises(coro.TimeoutError):
                coro.with_timeout(1, body)

        thread = coro.spawn(limited)
        coro.yield_slice()
        # Now it stands in the queue, and the timer falls due before its turn comes.
        clock.advance(1)
        assert thread.scheduled
        coro.yield_slice()
        assert thread.result() is None
        assert seen == []

    testing.run(main, real_descriptors=False)


@pytest.mark.parametrize("seconds", [1, 0])
def test_outer_timeout_passes_an_inner_one(seconds: float) -> None:
    """Only the frame that armed it turns the interrupt into TimeoutError."""

    def main() -> None:
        never = coro.spawn(coro._yield)
        begin = coro.get_now()
        seen: list[str] = []

        def inner() -> None:
            try:
                never.join(5)
            except coro.TimeoutError:
                seen.append("the inner one")

        with pytest.raises(coro.TimeoutError, match=f"timed out after {seconds} s"):
            coro.with_timeout(seconds, inner)
        assert coro.get_now() - begin == seconds * coro.ticks_per_sec
        with pytest.raises(coro.TimeoutError, match="timed out after 2 s"):
            coro.with_timeout(7, never.join, 2)
        assert seen == []
        never.schedule()

    testing.run(main, real_descriptors=False)


@pytest.mark.parametrize("exception", [coro.Interrupted, coro.Shutdown, KeyError])
def test_other_interrupts_pass_a_wait_with_timeout_as_they_are(exception: type[BaseException]) -> None:
    def main() -> None:
        coro.set_exception_notifier(lambda thread, error: None)
        never = coro.spawn(coro._yield)
        joiner = coro.spawn(never.join, 5)
        coro.sleep_relative(1)
        joiner.raise_exception(exception)
        joiner.join()
        assert type(joiner.error) is exception
        never.schedule()

    testing.run(main, real_descriptors=False)


def test_flood_of_wake_ups_cannot_hold_a_timeout_off() -> None:
    """In Shrapnel a stream of events could, for ever: each found the thread scheduled when the timer fired."""

    def main() -> None:
        clock = scheduler.clock
        assert isinstance(clock, FakeClock)
        coro.set_latency_warning(0)
        never = coro.spawn(coro._yield)
        timed_out_at: list[int] = []

        def join() -> None:
            with pytest.raises(coro.TimeoutError):
                never.join(1)
            timed_out_at.append(coro.get_now())

        thread = coro.spawn(join)
        coro.yield_slice()
        begin = coro.get_now()
        wake_ups = 0
        while not thread.dead:
            # Whenever the loop comes to its timers, the thread is scheduled already.
            thread.schedule("data")
            clock.advance(0.25)
            wake_ups += 1
            coro.yield_slice()
            coro.yield_slice()
        assert wake_ups <= 6
        assert timed_out_at[0] - begin <= 1.5 * coro.ticks_per_sec
        never.schedule()

    testing.run(main, real_descriptors=False)


@pytest.mark.parametrize("first", ["sleeper", "timeout"])
def test_equal_deadlines_fire_in_the_order_in_which_they_were_armed(first: str) -> None:
    def main() -> None:
        if first == "timeout":
            thread = coro.new(coro.sleep_relative, 2)
            coro.spawn(thread.start)
            # Armed before the sleep begins, due at the same tick.
            with pytest.raises(coro.TimeoutError):
                thread.join(2)
            thread.join()
        else:
            order: list[str] = []
            for name in "abc":
                coro.spawn(lambda name=name: (coro.sleep_relative(2), order.append(name)))
            coro.sleep_relative(3)
            assert order == ["a", "b", "c"]

    testing.run(main, real_descriptors=False)


def test_interrupt_during_the_end_of_a_thread_is_too_late() -> None:
    def main() -> None:
        thread = coro.spawn(lambda: "value")
        thread.join()
        with pytest.raises(coro.DeadCoroutine):
            thread.raise_exception(KeyError)
        # A queued one that never met a wait ends with its thread.
        log = Log()
        late = coro.spawn(log.wait, 1)
        coro.yield_slice()
        late.raise_exception(KeyError("delivered"))
        late.raise_exception(KeyError("never"))
        late.join()
        assert log == ["KeyError(delivered)"]
        assert late.error is None
        assert late.interrupts is None

    testing.run(main, real_descriptors=False)
