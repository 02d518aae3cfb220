"""The simulation of kqueue(2): changes, flags and retrieval.  Each docstring says what the manuals say."""

import errno
import signal
import socket
import threading
import time
from types import FrameType

import pytest

from tests.poller.filters import EVFILT_READ, EVFILT_WRITE
from tests.poller.kevents import (
    EV_ADD,
    EV_CLEAR,
    EV_DELETE,
    EV_DISABLE,
    EV_DISPATCH,
    EV_ENABLE,
    EV_ERROR,
    EV_ONESHOT,
    EV_RECEIPT,
    OPENBSD,
    Kevent,
)
from tests.poller.queues import LIMIT_S, Queue
from tests.poller.subjects import Pair, closed_number

# -- changes


def test_an_event_is_known_by_its_ident_and_its_filter(queue: Queue, pair: Pair) -> None:
    """There is one event for each (ident, filter) pair; a second EV_ADD makes no second entry."""
    number = pair[0].fileno()
    for _ in range(2):
        queue.change(number, EVFILT_WRITE)
    pair[1].send(b"x")
    queue.change(number, EVFILT_READ)

    assert sorted(queue.seen()) == [(number, EVFILT_WRITE), (number, EVFILT_READ)]


def test_present_readiness_is_found_when_an_event_is_added(queue: Queue, pair: Pair) -> None:
    """The filter is run when an event is registered, to see whether its condition holds already."""
    pair[1].send(b"xyz")
    queue.change(pair[0].fileno())

    assert queue.wait().data == 3


def test_adding_again_has_present_readiness_found_again(queue: Queue, pair: Pair) -> None:
    """Adding what is there modifies it, and runs the filter."""
    pair[1].send(b"x")
    queue.change(pair[0].fileno(), flags=EV_ADD | EV_CLEAR)
    assert len(queue.events()) == 1
    assert queue.events() == []
    queue.change(pair[0].fileno(), flags=EV_ADD | EV_CLEAR)

    assert len(queue.events()) == 1


def test_adding_again_does_not_change_the_nature_of_an_event(queue: Queue, pair: Pair) -> None:
    """The kernels take the parameters of a second EV_ADD, but EV_CLEAR and EV_ONESHOT of the first."""
    pair[1].send(b"x")
    queue.change(pair[0].fileno(), flags=EV_ADD | EV_CLEAR)
    queue.change(pair[0].fileno(), flags=EV_ADD)

    assert [len(queue.events()) for _ in range(3)] == [1, 0, 0]


def test_deleted_event_is_not_reported(queue: Queue, pair: Pair) -> None:
    """EV_DELETE removes the event, one that waits to be retrieved too."""
    pair[1].send(b"x")
    queue.change(pair[0].fileno())
    queue.change(pair[0].fileno(), flags=EV_DELETE)

    assert queue.events() == []


@pytest.mark.parametrize("flags", [EV_DELETE, EV_ENABLE, EV_DISABLE])
def test_what_is_not_there_cannot_be_changed(queue: Queue, pair: Pair, flags: int) -> None:
    """ENOENT: the event to be modified or deleted was not found."""
    with pytest.raises(FileNotFoundError):
        queue.change(pair[0].fileno(), flags=flags)


def test_closed_descriptor_is_refused(queue: Queue) -> None:
    """EBADF: the descriptor is not valid."""
    for flags in (EV_ADD, EV_DELETE, EV_ENABLE):
        with pytest.raises(OSError, match="Bad file descriptor") as caught:
            queue.change(closed_number(), flags=flags)
        assert caught.value.errno == errno.EBADF


def test_unknown_filter_is_refused(queue: Queue, pair: Pair) -> None:
    """EINVAL: the filter is not valid."""
    with pytest.raises(OSError, match="Invalid argument"):
        queue.change(pair[0].fileno(), filter=-99)


def test_disabled_event_is_not_reported_until_it_is_enabled(queue: Queue, pair: Pair) -> None:
    """EV_DISABLE keeps an event from being returned; the filter goes on, and EV_ENABLE lets it be returned."""
    number = pair[0].fileno()
    queue.change(number, flags=EV_ADD | EV_DISABLE | EV_CLEAR)
    pair[1].send(b"x")
    assert queue.events() == []
    queue.change(number, flags=EV_ENABLE)
    assert queue.seen() == [(number, EVFILT_READ)]
    queue.change(number, flags=EV_DISABLE)
    pair[1].send(b"y")
    assert queue.events() == []
    # Adding enables.
    queue.change(number, flags=EV_ADD | EV_CLEAR)

    assert queue.seen() == [(number, EVFILT_READ)]


def test_enabling_what_is_enabled_differs(queue: Queue, pair: Pair) -> None:
    """It changes nothing; FreeBSD and macOS run the filter all the same."""
    pair[1].send(b"x")
    queue.change(pair[0].fileno(), flags=EV_ADD | EV_CLEAR)
    queue.events()
    queue.change(pair[0].fileno(), flags=EV_ENABLE)

    assert len(queue.events()) == (0 if queue.dialect is OPENBSD else 1)


# -- errors in the event list


def test_change_that_fails_becomes_an_event_if_there_is_room(queue: Queue, pair: Pair) -> None:
    """EV_ERROR is set in the flags of the event for a failed change, the errno stands in data; others go on."""
    pair[1].send(b"x")
    bad = closed_number()
    changes = [Kevent(bad), Kevent(pair[0]), Kevent(pair[0], EVFILT_WRITE, EV_DELETE)]
    answers = queue.kernel.control(changes, 5, 0)

    # What is ready is not fetched by a call that has errors to tell of.
    assert [(event.ident, event.flags, event.data) for event in answers] == [
        (bad, EV_ERROR, errno.EBADF),
        (pair[0].fileno(), EV_ERROR, errno.ENOENT),
    ]
    assert queue.seen() == [(pair[0].fileno(), EVFILT_READ)]


def test_change_that_fails_raises_if_there_is_no_room(queue: Queue, pair: Pair) -> None:
    """Without room in the event list the call fails with that errno, and changes after it are not made."""
    missing = Kevent(pair[0], EVFILT_WRITE, EV_DELETE)
    with pytest.raises(OSError, match="Bad file descriptor"):
        queue.kernel.control([missing, Kevent(closed_number()), Kevent(pair[0], EVFILT_WRITE)], 1, 0)

    assert queue.events() == []


def test_receipt_is_an_error_event_without_an_error(queue: Queue, pair: Pair) -> None:
    """EV_RECEIPT has an EV_ERROR event returned for a change that succeeded, with 0 in data."""
    [receipt] = queue.kernel.control([Kevent(pair[0], EVFILT_WRITE, EV_ADD | EV_RECEIPT)], 5, 0)

    assert (receipt.flags, receipt.data) == (EV_ERROR, 0)
    assert queue.seen() == [(pair[0].fileno(), EVFILT_WRITE)]


# -- edges and levels


def test_event_without_flags_is_a_level(queue: Queue, pair: Pair) -> None:
    """It is returned for as long as its condition holds."""
    pair[1].send(b"x")
    queue.change(pair[0].fileno())
    assert [len(queue.events()) for _ in range(3)] == [1, 1, 1]
    pair[0].recv(1)

    assert queue.events() == []
    pair[1].send(b"y")
    assert [len(queue.events()) for _ in range(2)] == [1, 1]


def test_event_with_clear_is_returned_once_for_each_change(queue: Queue, pair: Pair) -> None:
    """EV_CLEAR resets the state once the event was retrieved: what is left unread is not reported again."""
    queue.change(pair[0].fileno(), flags=EV_ADD | EV_CLEAR)
    pair[1].send(b"x")

    assert [len(queue.events()) for _ in range(3)] == [1, 0, 0]


def test_new_data_behind_unread_data_is_a_change(queue: Queue, pair: Pair) -> None:
    """The filter is run whenever data arrives."""
    queue.change(pair[0].fileno(), flags=EV_ADD | EV_CLEAR)
    pair[1].send(b"x")
    queue.events()
    pair[1].send(b"y")

    assert queue.wait().data == 2
    assert queue.events() == []


def test_several_changes_make_one_event(queue: Queue, pair: Pair) -> None:
    """The filter aggregates what triggers it into one event."""
    queue.change(pair[0].fileno(), flags=EV_ADD | EV_CLEAR)
    for _ in range(5):
        pair[1].send(b"ab")

    assert queue.wait().data == 10
    assert queue.events() == []


def test_what_no_longer_holds_when_it_is_retrieved_is_not_returned(queue: Queue, pair: Pair) -> None:
    """The filter is run again at retrieval."""
    queue.change(pair[0].fileno(), flags=EV_ADD | EV_CLEAR)
    pair[1].send(b"x")
    pair[0].recv(1)

    assert queue.events() == []


def test_oneshot_event_is_deleted_when_it_is_retrieved(queue: Queue, pair: Pair) -> None:
    """EV_ONESHOT returns the first occurrence only."""
    queue.change(pair[0].fileno(), EVFILT_WRITE, EV_ADD | EV_ONESHOT)

    assert [len(queue.events()) for _ in range(2)] == [1, 0]
    with pytest.raises(FileNotFoundError):
        queue.change(pair[0].fileno(), EVFILT_WRITE, EV_DELETE)
    queue.change(pair[0].fileno(), EVFILT_WRITE, EV_ADD | EV_ONESHOT)
    assert len(queue.events()) == 1


def test_dispatched_event_is_disabled_when_it_is_retrieved(queue: Queue, pair: Pair) -> None:
    """EV_DISPATCH disables the event source after each delivery."""
    queue.change(pair[0].fileno(), EVFILT_WRITE, EV_ADD | EV_DISPATCH)
    assert [len(queue.events()) for _ in range(2)] == [1, 0]
    queue.change(pair[0].fileno(), EVFILT_WRITE, EV_ENABLE)

    assert [len(queue.events()) for _ in range(2)] == [1, 0]


# -- retrieval


def test_two_filters_of_one_descriptor_come_as_two_events(queue: Queue, pair: Pair) -> None:
    pair[1].send(b"x")
    number = pair[0].fileno()
    queue.kernel.control([Kevent(number, EVFILT_WRITE), Kevent(number, EVFILT_READ)], 0, 0)

    assert queue.seen() == [(number, EVFILT_WRITE), (number, EVFILT_READ)]


def test_no_more_events_than_asked_for_are_returned_and_none_is_lost(queue: Queue) -> None:
    """eventlist bounds what is returned; the rest comes next time, first come, first served."""
    pairs = [socket.socketpair() for _ in range(5)]
    try:
        numbers = [sock.fileno() for sock, _ in pairs]
        for number in numbers:
            queue.change(number, EVFILT_WRITE, EV_ADD | EV_CLEAR)

        found = [[event.ident for event in queue.events(max_events=2)] for _ in range(4)]
        assert found == [numbers[:2], numbers[2:4], numbers[4:], []]
    finally:
        for both in pairs:
            for sock in both:
                sock.close()


def test_no_room_for_events_returns_at_once(queue: Queue) -> None:
    """With nevents of 0 the call returns immediately, whatever the timeout."""
    before = time.monotonic()

    assert queue.kernel.control(None, 0, LIMIT_S) == []
    assert time.monotonic() - before < LIMIT_S / 2


@pytest.mark.parametrize("timeout_s", [0, 0.0001, 0.02])
def test_wait_is_no_shorter_than_the_timeout(queue: Queue, timeout_s: float) -> None:
    before = time.monotonic()

    assert queue.events(timeout=timeout_s) == []
    assert time.monotonic() - before >= timeout_s


@pytest.mark.parametrize("timeout_s", [None, LIMIT_S])
def test_wait_ends_with_the_event(queue: Queue, pair: Pair, timeout_s: float | None) -> None:
    """Without a timeout the call waits indefinitely."""
    queue.change(pair[0].fileno())
    sender = threading.Timer(0.02, pair[1].send, (b"x",))
    sender.start()
    try:
        assert len(queue.events(timeout=timeout_s)) == 1
    finally:
        sender.join()


def test_signal_does_not_end_the_wait(queue: Queue) -> None:
    """EINTR: a signal was delivered.  Python then goes on for what is left of the timeout."""
    handled: list[int] = []

    def handler(number: int, frame: FrameType | None) -> None:
        handled.append(number)

    former = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.005)
        before = time.monotonic()
        assert queue.events(timeout=0.03) == []
        assert time.monotonic() - before >= 0.03
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    assert handled == [signal.SIGALRM]


def test_arguments_that_python_refuses(queue: Queue, pair: Pair) -> None:
    with pytest.raises(ValueError, match="Length of eventlist"):
        queue.events(max_events=-1)
    with pytest.raises(ValueError, match="timeout must be positive"):
        queue.events(timeout=-1)
    with pytest.raises(TypeError, match="changelist must be an iterable"):
        queue.kernel.control([pair[0].fileno()], 0, 0)  # type: ignore[list-item]
    with pytest.raises(OverflowError):
        Kevent(-1)
