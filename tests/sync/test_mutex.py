"""mutex: re-entrant, handed over in order, for its holder only to unlock."""

from __future__ import annotations

import pytest

import coro
from coro.sync import mutex
from tests.sync.waiting import Stop, Waiters, in_loop, settle


@in_loop
def test_lock_says_whether_it_blocked() -> None:
    lock, waiters = mutex(), Waiters()

    assert lock.lock() is False
    waiters.spawn("a", lock.lock)
    lock.unlock()
    settle()

    assert waiters.outcomes == [("a", True)]


@in_loop
def test_trylock_is_true_if_it_failed() -> None:
    lock, waiters = mutex(), Waiters()

    assert lock.trylock() is False
    waiters.spawn("a", lock.trylock)

    assert waiters.outcomes == [("a", True)]
    assert lock.has_lock()
    assert lock.waiters == ()


@in_loop
def test_unlock_says_whether_the_lock_was_handed_over() -> None:
    lock, waiters = mutex(), Waiters()
    lock.lock()
    assert lock.unlock() is False

    lock.lock()
    a = waiters.spawn("a", lock.lock)
    assert lock.unlock() is True

    assert lock.holder is a
    assert lock.locked()


@in_loop
def test_unlock_hands_over_to_nobody_if_the_only_waiter_is_about_to_leave() -> None:
    lock, waiters = mutex(), Waiters()
    lock.lock()
    waiters.spawn("a", lock.lock).raise_exception(Stop)

    assert lock.unlock() is False
    assert not lock.locked()


@in_loop
def test_lock_that_was_handed_over_cannot_be_snatched() -> None:
    lock, waiters = mutex(), Waiters()
    lock.lock()
    waiters.spawn("a", lock.lock)

    lock.unlock()

    assert lock.trylock() is True
    with pytest.raises(coro.TimeoutError):
        lock.lock(timeout=0)
    settle()
    assert waiters.outcomes == [("a", True)]


@in_loop
def test_holder_locks_again_and_unlocks_as_many_times() -> None:
    lock, waiters = mutex(), Waiters()
    assert [lock.lock(), lock.lock(), lock.trylock(), lock.lock(timeout=0)] == [False] * 4
    a = waiters.spawn("a", lock.lock)

    assert [lock.unlock(), lock.unlock(), lock.unlock()] == [False] * 3
    assert lock.has_lock()
    assert lock.unlock() is True

    assert lock.holder is a


@in_loop
def test_lock_that_was_handed_over_is_held_once() -> None:
    lock, waiters = mutex(), Waiters()
    lock.lock()

    def lock_and_unlock() -> list[bool]:
        return [lock.lock(), lock.lock(), lock.unlock(), lock.unlock()]

    waiters.spawn("a", lock_and_unlock)
    lock.unlock()
    settle()

    assert waiters.outcomes == [("a", [True, False, False, False])]
    assert not lock.locked()


@in_loop
def test_locked_has_lock_and_holder_tell_who_has_it() -> None:
    lock, waiters = mutex(), Waiters()
    assert (lock.locked(), lock.has_lock(), lock.holder) == (False, False, None)
    lock.lock()
    me = coro.current()
    other = waiters.spawn("other", lock.has_lock)

    assert (lock.locked(), lock.has_lock(), lock.has_lock(me), lock.holder) == (True, True, True, me)
    assert lock.has_lock(other) is False
    assert waiters.outcomes == [("other", False)]


def test_outside_the_loop_nobody_has_the_lock() -> None:
    assert mutex().has_lock() is False
    assert mutex().locked() is False


def test_trylock_outside_the_loop_is_refused() -> None:
    with pytest.raises(coro.YieldFromMain, match=r"mutex\.trylock\(\) needs a running loop"):
        mutex().trylock()


def test_has_lock_of_what_is_no_thread_is_refused() -> None:
    with pytest.raises(TypeError, match=r"has_lock\(\) needs a thread, got 'me'"):
        mutex().has_lock("me")  # type: ignore[arg-type]


@in_loop
def test_unlock_by_a_thread_that_does_not_hold_it_is_an_error() -> None:
    lock, waiters = mutex(), Waiters()
    lock.lock()
    thread = waiters.spawn("thief", lock.unlock)
    error = waiters.outcomes[0][1]

    assert isinstance(error, coro.LockError)
    assert (error.lock, error.thread) == (lock, thread)
    assert str(error).startswith(f"#{thread.id} 'thief' cannot unlock <mutex held by #{coro.current().id} ")
    assert lock.has_lock()


@in_loop
def test_unlock_of_an_unlocked_mutex_is_an_error() -> None:
    lock = mutex()

    with pytest.raises(coro.LockError, match="cannot unlock <mutex unlocked at"):
        lock.unlock()


def test_unlock_outside_the_loop_is_an_error() -> None:
    with pytest.raises(coro.LockError, match="main/scheduler"):
        mutex().unlock()


@in_loop
def test_with_locks_and_unlocks_also_when_the_block_fails() -> None:
    lock, waiters = mutex(), Waiters()

    with lock as blocked:
        assert blocked is False
        assert lock.has_lock()
        with lock:
            waiters.spawn("a", lock.lock)
        assert lock.has_lock()
    assert not lock.has_lock()
    settle()
    assert waiters.outcomes == [("a", True)]

    other = mutex()
    with pytest.raises(Stop), other:
        raise Stop
    assert not other.locked()


@in_loop
def test_thread_that_ends_without_unlocking_leaves_it_locked() -> None:
    lock, waiters = mutex(), Waiters()
    thread = waiters.spawn("careless", lock.lock)
    thread.join()

    assert lock.trylock() is True
    assert repr(lock).startswith(f"<mutex held by #{thread.id} 'careless' (dead) at 0x")


@in_loop
def test_repr_names_the_holder_and_the_first_waiters() -> None:
    lock, waiters = mutex(), Waiters()
    me = coro.current().set_name("boss")
    assert repr(lock).startswith("<mutex unlocked at 0x")
    lock.lock()
    assert repr(lock).startswith(f"<mutex held by #{me.id} 'boss' at 0x")
    lock.lock()
    threads = [waiters.spawn(name, lock.lock) for name in "abcdef"]

    named = ", ".join(f"#{thread.id} {thread.name!r}" for thread in threads[:5])
    assert repr(lock).startswith(f"<mutex held 2 times by #{me.id} 'boss', 6 waiting: {named}, … at 0x")


@in_loop
def test_holder_and_waiters_cannot_be_assigned() -> None:
    lock = mutex()

    with pytest.raises(AttributeError):
        lock.holder = coro.current()  # type: ignore[misc]
    with pytest.raises(AttributeError):
        lock.oops = 1  # type: ignore[attr-defined]
