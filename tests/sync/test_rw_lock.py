"""rw_lock: many readers or one writer, and writers first."""

from __future__ import annotations

from typing import Any

import pytest

import coro
from coro.sync import rw_lock
from tests.sync.waiting import Stop, Waiters, in_loop, settle


def hold(waiters: Waiters, name: str, lock: Any, unlock: Any) -> coro.coro:
    """A thread that takes the lock, and gives it back when it is scheduled the next time."""

    def body() -> None:
        lock()
        waiters.outcomes.append((name, "in"))
        coro._yield()
        unlock()

    return waiters.spawn(name, body)


@in_loop
def test_many_readers_at_once() -> None:
    rw, waiters = rw_lock(), Waiters()
    a = hold(waiters, "a", rw.read_lock, rw.read_unlock)
    b = hold(waiters, "b", rw.read_lock, rw.read_unlock)

    assert waiters.order == ["a", "b"]
    assert rw.readers == (a, b)
    assert rw.writer is None


@in_loop
def test_one_writer_alone() -> None:
    rw, waiters = rw_lock(), Waiters()
    a = hold(waiters, "a", rw.write_lock, rw.write_unlock)
    b = hold(waiters, "b", rw.write_lock, rw.write_unlock)
    hold(waiters, "c", rw.read_lock, rw.read_unlock)
    assert waiters.order == ["a"]
    assert rw.writer is a

    a.schedule()
    settle()
    assert rw.writer is b
    assert waiters.order == ["a", "a", "b"]

    b.schedule()
    settle()
    assert rw.writer is None
    assert waiters.order == ["a", "a", "b", "b", "c"]


@in_loop
def test_writer_waits_for_all_readers() -> None:
    rw, waiters = rw_lock(), Waiters()
    readers = [hold(waiters, name, rw.read_lock, rw.read_unlock) for name in "ab"]
    writer = hold(waiters, "writer", rw.write_lock, rw.write_unlock)
    readers[0].schedule()
    settle()
    assert rw.writer is None
    assert rw.waiting_writers == (writer,)

    readers[1].schedule()
    settle()
    assert rw.writer is writer


@in_loop
def test_writers_are_preferred() -> None:
    rw, waiters = rw_lock(), Waiters()
    rw.read_lock()
    writer = hold(waiters, "writer", rw.write_lock, rw.write_unlock)
    reader = hold(waiters, "reader", rw.read_lock, rw.read_unlock)
    second = hold(waiters, "second writer", rw.write_lock, rw.write_unlock)
    assert waiters.order == []
    assert rw.waiters == (writer, second, reader)
    assert (rw.waiting_writers, rw.waiting_readers) == ((writer, second), (reader,))

    rw.read_unlock()
    settle()
    writer.schedule()
    settle()
    assert waiters.order == ["writer", "writer", "second writer"]
    second.schedule()
    settle()
    assert waiters.order[-1] == "reader"


@in_loop
def test_all_waiting_readers_go_on_together() -> None:
    rw, waiters = rw_lock(), Waiters()
    rw.write_lock()
    for name in "abc":
        hold(waiters, name, rw.read_lock, rw.read_unlock)

    rw.write_unlock()

    assert [thread.name for thread in rw.readers] == ["a", "b", "c"]
    settle()
    assert waiters.order == ["a", "b", "c"]


@in_loop
def test_reader_locks_again_though_a_writer_waits_for_it() -> None:
    rw, waiters = rw_lock(), Waiters()
    rw.read_lock()
    hold(waiters, "writer", rw.write_lock, rw.write_unlock)

    rw.read_lock(timeout=0)
    assert rw.try_read_lock() is False
    rw.read_unlock()
    rw.read_unlock()
    settle()
    assert waiters.order == []

    rw.read_unlock()
    settle()
    assert waiters.order == ["writer"]


@in_loop
def test_writer_locks_again_and_unlocks_as_many_times() -> None:
    rw, waiters = rw_lock(), Waiters()
    rw.write_lock()
    rw.write_lock()
    assert rw.try_write_lock() is False
    hold(waiters, "b", rw.write_lock, rw.write_unlock)

    rw.write_unlock()
    rw.write_unlock()
    assert rw.writer is coro.current()
    rw.write_unlock()
    settle()

    assert waiters.order == ["b"]


@in_loop
def test_writer_may_read() -> None:
    rw = rw_lock()
    rw.write_lock()

    rw.read_lock(timeout=0)
    assert rw.try_read_lock() is False
    assert rw.writer is coro.current()
    assert rw.readers == (coro.current(),)

    rw.read_unlock()
    rw.read_unlock()
    rw.write_unlock()
    assert (rw.writer, rw.readers) == (None, ())


@in_loop
def test_writer_holding_its_own_read_lock_gets_a_second_write_lock() -> None:
    """Fault 3, second half: in the original the writer waited for its own read lock, for ever."""
    rw = rw_lock()
    rw.write_lock()
    rw.read_lock()

    rw.write_lock(timeout=0)
    assert rw.try_write_lock() is False

    for unlock in (rw.write_unlock, rw.write_unlock, rw.write_unlock, rw.read_unlock):
        unlock()
    assert (rw.writer, rw.readers) == (None, ())


@pytest.mark.parametrize("how", ["before", "just before", "just after", "timeout"])
@in_loop
def test_readers_behind_an_interrupted_writer_go_on(how: str) -> None:
    """Fault 3, first half: in the original a waiting writer that was interrupted left without waking the readers
    that waited only because of it, and nobody else did."""
    rw, waiters = rw_lock(), Waiters()
    rw.read_lock()
    writer = waiters.spawn("writer", rw.write_lock, 5 if how == "timeout" else None)
    for name in "ab":
        waiters.spawn(name, rw.read_lock)

    if how == "just before":
        writer.raise_exception(Stop)
    if how in ("just before", "just after"):
        rw.read_unlock()
    if how in ("before", "just after"):
        writer.raise_exception(Stop)
    coro.sleep_relative(10)

    assert sorted(waiters.kinds) == [
        ("a", ""),
        ("b", ""),
        ("writer", "TimeoutError" if how == "timeout" else "Stop"),
    ]


@in_loop
def test_next_writer_goes_before_the_readers_behind_an_interrupted_writer() -> None:
    rw, waiters = rw_lock(), Waiters()
    rw.read_lock()
    first = waiters.spawn("first", rw.write_lock)
    hold(waiters, "reader", rw.read_lock, rw.read_unlock)
    second = hold(waiters, "second", rw.write_lock, rw.write_unlock)
    rw.read_unlock()
    first.raise_exception(Stop)
    settle()
    assert waiters.kinds == [("first", "Stop"), ("second", "")]

    second.schedule()
    settle()
    assert waiters.order[-1] == "reader"


@in_loop
def test_writer_goes_on_when_the_reader_before_it_is_interrupted_as_it_gets_the_lock() -> None:
    rw, waiters = rw_lock(), Waiters()
    rw.write_lock()
    reader = waiters.spawn("reader", rw.read_lock)
    coro.spawn(waiters._call, "writer", rw.write_lock, ())

    rw.write_unlock()
    # The writer runs first, and waits for the reader that has not run yet.
    reader.raise_exception(Stop)
    settle()

    assert waiters.kinds == [("reader", "Stop"), ("writer", "")]


@in_loop
def test_writer_that_is_leaving_does_not_hold_up_a_read_lock_in_the_same_turn() -> None:
    rw, waiters = rw_lock(), Waiters()
    holder = hold(waiters, "holder", rw.read_lock, rw.read_unlock)
    writer = waiters.spawn("writer", rw.write_lock)
    assert rw.try_read_lock() is True

    writer.raise_exception(Stop)

    assert rw.try_read_lock() is False
    assert rw.readers == (holder, coro.current())


@in_loop
def test_thread_that_stops_writing_goes_on_reading() -> None:
    rw, waiters = rw_lock(), Waiters()
    rw.write_lock()
    rw.read_lock()
    waiters.spawn("reader", rw.read_lock)
    rw.write_unlock()
    settle()
    assert waiters.order == ["reader"]
    assert rw.writer is None

    waiters.spawn("writer", rw.write_lock)
    settle()
    assert rw.try_read_lock() is False
    assert waiters.order == ["reader"]


@in_loop
def test_reader_that_wants_to_write_is_told_that_it_would_wait_for_itself() -> None:
    rw = rw_lock()
    rw.read_lock()

    with pytest.raises(coro.LockError, match=r"reads <rw_lock read by .*would wait for itself") as caught:
        rw.write_lock()
    assert (caught.value.lock, caught.value.thread) == (rw, coro.current())
    assert rw.try_write_lock() is True
    assert rw.waiters == ()

    rw.read_unlock()
    rw.write_lock(timeout=0)


@in_loop
def test_try_is_true_if_it_failed() -> None:
    rw, waiters = rw_lock(), Waiters()
    rw.write_lock()
    waiters.spawn("reader", rw.try_read_lock)
    waiters.spawn("writer", rw.try_write_lock)
    rw.write_unlock()
    rw.read_lock()
    waiters.spawn("second reader", rw.try_read_lock)
    waiters.spawn("second writer", rw.try_write_lock)

    assert waiters.outcomes == [
        ("reader", True),
        ("writer", True),
        ("second reader", False),
        ("second writer", True),
    ]
    assert rw.waiters == ()


@pytest.mark.parametrize("side", ["read", "write"])
@in_loop
def test_unlock_by_a_thread_that_does_not_hold_it_is_an_error(side: str) -> None:
    rw, waiters = rw_lock(), Waiters()
    unlock = getattr(rw, f"{side}_unlock")
    with pytest.raises(coro.LockError, match=f"cannot {side}_unlock <rw_lock unlocked .*holds no {side} lock"):
        unlock()

    getattr(rw, f"{side}_lock")()
    thread = waiters.spawn("thief", unlock)
    error = waiters.outcomes[0][1]
    assert isinstance(error, coro.LockError)
    assert (error.lock, error.thread) == (rw, thread)

    unlock()
    with pytest.raises(coro.LockError):
        unlock()


@in_loop
def test_read_lock_does_not_entitle_to_write_unlock_nor_the_other_way_round() -> None:
    rw = rw_lock()
    rw.read_lock()
    with pytest.raises(coro.LockError):
        rw.write_unlock()
    rw.read_unlock()

    rw.write_lock()
    with pytest.raises(coro.LockError):
        rw.read_unlock()
    rw.write_unlock()


@pytest.mark.parametrize("side", ["read", "write"])
def test_unlock_outside_the_loop_is_an_error(side: str) -> None:
    with pytest.raises(coro.LockError, match="main/scheduler"):
        getattr(rw_lock(), f"{side}_unlock")()


@in_loop
def test_with_read_and_with_write() -> None:
    rw, waiters = rw_lock(), Waiters()

    with rw.read():
        assert rw.readers == (coro.current(),)
        waiters.spawn("writer", rw.try_write_lock)
    assert rw.readers == ()

    with pytest.raises(Stop), rw.write():
        assert rw.writer is coro.current()
        with rw.read(timeout=0), rw.write(timeout=0):
            raise Stop
    assert (rw.writer, rw.readers) == (None, ())
    assert waiters.outcomes == [("writer", True)]


@pytest.mark.parametrize("side", ["read", "write"])
@in_loop
def test_with_takes_a_timeout(side: str) -> None:
    rw, waiters = rw_lock(), Waiters()
    hold(waiters, "writer", rw.write_lock, rw.write_unlock)

    with pytest.raises(coro.TimeoutError, match=r"timed out after 0\.5 s"), getattr(rw, side)(timeout=0.5):
        pytest.fail("the block must not run")


@in_loop
def test_repr_names_holders_and_waiters() -> None:
    rw, waiters = rw_lock(), Waiters()
    me = coro.current().set_name("me")
    assert repr(rw).startswith("<rw_lock unlocked at 0x")

    rw.write_lock()
    assert repr(rw).startswith(f"<rw_lock written by #{me.id} 'me' at 0x")
    rw.read_lock()
    a, b = waiters.spawn("a", rw.read_lock), waiters.spawn("b", rw.write_lock)
    both = f"written by #{me.id} 'me' and read by #{me.id} 'me'"
    assert repr(rw).startswith(f"<rw_lock {both}, 2 waiting: #{b.id} 'b', #{a.id} 'a' at 0x")

    rw.write_unlock()
    assert repr(rw).startswith(f"<rw_lock read by #{me.id} 'me', 2 waiting: #{b.id} 'b', #{a.id} 'a' at 0x")
