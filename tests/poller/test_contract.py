"""What every poller does: one contract, for all of them."""

import errno
import os
import select
import signal
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Iterator
from types import FrameType

import pytest

from coro.loop import LONGEST_POLL_NS
from coro.poller.base import ERROR, HANGUP, READ, READ_HANGUP, URGENT, WRITE
from tests.poller.conftest import SUBJECTS, Subject

LIMIT_NS = 5_000_000_000

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="the subjects stand on Linux's epoll")


def all_but(name: str) -> pytest.MarkDecorator:
    """Leave out the poller that cannot do what the test asks for."""
    return pytest.mark.parametrize("subject", [other for other in SUBJECTS if other != name], indirect=True)


# It takes regular files, and is not asked for urgent data.
not_kqueue = all_but("kqueue, simulated")
# It moves its clock instead of waiting.
not_fake = all_but("fake over epoll")
# It sees only what it looks at.
not_reference = all_but("reference")

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two connected stream sockets."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def tcp_pair() -> Iterator[Pair]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    with ours, theirs:
        yield ours, theirs


def fill(sock: socket.socket) -> None:
    try:
        while True:
            sock.send(bytes(65536))
    except BlockingIOError:
        return


def drain(sock: socket.socket) -> None:
    try:
        while sock.recv(65536):
            pass
    except BlockingIOError:
        return


def poll_for(subject: Subject, key: int, bits: int) -> int:
    """Poll until all of `bits` were reported for `key`; returns all that was."""
    got = 0
    deadline = time.monotonic_ns() + LIMIT_NS
    while got & bits != bits:
        assert time.monotonic_ns() < deadline, f"only {got:#x} of {bits:#x} was reported"
        got |= subject.poll(1_000_000).get(key, 0)
    return got


# -- add()


def test_add_reports_present_readiness(subject: Subject, pair: Pair) -> None:
    pair[1].send(b"x")
    subject.poller.add(pair[0].fileno())

    assert subject.poll() == {pair[0].fileno(): READ | WRITE}


def test_add_reports_what_comes_later(subject: Subject, pair: Pair) -> None:
    subject.poller.add(pair[0].fileno())
    assert subject.poll() == {pair[0].fileno(): WRITE}
    pair[1].send(b"x")

    assert subject.poll()[pair[0].fileno()] & READ


def test_added_descriptor_that_nobody_touches_is_reported_once(subject: Subject, pair: Pair) -> None:
    pair[1].send(b"x")
    subject.poller.add(pair[0].fileno())
    assert subject.poll()

    assert [subject.poll() for _ in range(3)] == [{}, {}, {}]


def test_descriptor_that_was_drained_is_reported_when_it_is_ready_again(subject: Subject, pair: Pair) -> None:
    pair[1].send(b"x")
    subject.poller.add(pair[0].fileno())
    subject.poll()
    drain(pair[0])
    assert subject.poll() == {}
    pair[1].send(b"y")

    assert subject.poll()[pair[0].fileno()] & READ


@not_reference
def test_descriptor_that_was_drained_and_is_ready_again_between_two_polls_is_reported(
    subject: Subject, pair: Pair
) -> None:
    pair[1].send(b"x")
    subject.poller.add(pair[0].fileno())
    subject.poll()
    drain(pair[0])
    pair[1].send(b"y")

    assert subject.poll()[pair[0].fileno()] & READ


def test_full_descriptor_is_reported_when_there_is_room_again(subject: Subject, pair: Pair) -> None:
    fill(pair[0])
    subject.poller.add(pair[0].fileno())
    assert subject.poll() == {}
    drain(pair[1])

    assert subject.poll() == {pair[0].fileno(): WRITE}


def test_adding_again_reports_present_readiness_again(subject: Subject, pair: Pair) -> None:
    pair[1].send(b"x")
    subject.poller.add(pair[0].fileno())
    subject.poll()
    subject.poller.add(pair[0].fileno())

    assert subject.poll() == {pair[0].fileno(): READ | WRITE}


def test_number_that_came_back_while_a_duplicate_kept_it_registered_can_be_added(
    subject: Subject, pair: Pair
) -> None:
    number = pair[0].fileno()
    subject.poller.add(number)
    subject.poll()
    duplicate = os.dup(number)
    os.close(number)
    os.dup2(duplicate, number)
    pair[1].send(b"x")
    try:
        subject.poller.add(number)

        assert subject.poll()[number] == READ | WRITE
    finally:
        os.close(duplicate)


def test_number_that_means_another_descriptor_now_can_be_added(subject: Subject, pair: Pair) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as former:
        number = former.fileno()
        subject.poller.add(number)
        subject.poll()
        os.dup2(pair[0].fileno(), number)
        pair[1].send(b"x")
        subject.poller.add(number)

        assert subject.poll()[number] == READ | WRITE


def test_more_descriptors_than_one_poll_reports_are_all_reported(subject: Subject) -> None:
    pairs = [socket.socketpair() for _ in range(1100)]
    try:
        numbers = {sock.fileno() for both in pairs for sock in both}
        for number in numbers:
            subject.poller.add(number)
        reported: set[int] = set()
        for _ in range(5):
            reported |= set(subject.poll())

        assert reported == numbers
        assert subject.poll() == {}
    finally:
        for both in pairs:
            for sock in both:
                sock.close()


# -- rearm()


def test_rearm_reports_present_readiness_again(subject: Subject, pair: Pair) -> None:
    pair[1].send(b"x")
    subject.poller.add(pair[0].fileno())
    subject.poll()
    for _ in range(2):
        subject.poller.rearm(pair[0].fileno(), READ)

        assert subject.poll()[pair[0].fileno()] & READ


@pytest.mark.parametrize("events", [READ, WRITE, READ | WRITE])
def test_rearm_registers_and_reports_what_is_asked_for_only(subject: Subject, pair: Pair, events: int) -> None:
    pair[1].send(b"x")
    subject.poller.rearm(pair[0].fileno(), events)

    assert subject.poll() == {pair[0].fileno(): events}
    assert subject.poll() == {}


def test_rearm_of_what_is_not_ready_reports_it_when_it_is(subject: Subject, pair: Pair) -> None:
    subject.poller.rearm(pair[0].fileno(), READ)
    assert subject.poll() == {}
    pair[1].send(b"x")

    assert subject.poll() == {pair[0].fileno(): READ}


# -- remove()


def test_removed_descriptor_is_not_reported(subject: Subject, pair: Pair) -> None:
    subject.poller.add(pair[0].fileno())
    subject.poller.rearm(pair[1].fileno(), READ)
    subject.poller.remove(pair[0].fileno())
    subject.poller.remove(pair[1].fileno())
    pair[0].send(b"x")
    pair[1].send(b"x")

    assert subject.poll() == {}


def test_removing_what_is_not_there_is_ignored(subject: Subject, pair: Pair) -> None:
    subject.poller.add(pair[0].fileno())
    subject.poller.remove(pair[0].fileno())
    subject.poller.remove(pair[0].fileno())
    subject.poller.remove(closed_number())
    with tempfile.TemporaryFile() as file:
        subject.poller.remove(file.fileno())


def test_descriptor_that_was_closed_is_not_reported_and_can_be_removed(subject: Subject) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        number = ours.fileno()
        subject.poller.add(number)
        ours.close()

        assert subject.poll() == {}
        subject.poller.remove(number)


def test_removed_descriptor_can_be_added_again(subject: Subject, pair: Pair) -> None:
    subject.poller.add(pair[0].fileno())
    subject.poller.remove(pair[0].fileno())
    subject.poller.add(pair[0].fileno())

    assert subject.poll() == {pair[0].fileno(): WRITE}


# -- what cannot be polled


def closed_number() -> int:
    number = os.open(os.devnull, os.O_RDONLY)
    os.close(number)
    return number


def test_closed_descriptor_is_refused(subject: Subject) -> None:
    for change in (subject.poller.add, lambda fd: subject.poller.rearm(fd, READ)):
        with pytest.raises(OSError, match="Bad file descriptor") as caught:
            change(closed_number())
        assert caught.value.errno == errno.EBADF
    assert subject.poll() == {}


@not_kqueue
def test_regular_file_is_refused(subject: Subject) -> None:
    with tempfile.TemporaryFile() as file:
        with pytest.raises(PermissionError):
            subject.poller.add(file.fileno())
        with pytest.raises(PermissionError):
            subject.poller.rearm(file.fileno(), READ)
    assert subject.poll() == {}


# -- hang-ups


def test_peer_that_will_send_no_more(subject: Subject, pair: Pair) -> None:
    subject.poller.add(pair[0].fileno())
    subject.poll()
    pair[1].shutdown(socket.SHUT_WR)

    got = poll_for(subject, pair[0].fileno(), READ | READ_HANGUP)
    assert not got & (HANGUP | ERROR)


def test_hangup_is_reported_though_data_was_not_read_yet(subject: Subject, tcp_pair: Pair) -> None:
    subject.poller.add(tcp_pair[0].fileno())
    tcp_pair[1].send(b"x")
    poll_for(subject, tcp_pair[0].fileno(), READ)
    tcp_pair[1].shutdown(socket.SHUT_WR)

    poll_for(subject, tcp_pair[0].fileno(), READ_HANGUP)


@pytest.mark.parametrize("events", [READ, WRITE])
def test_hangup_is_reported_whatever_was_asked_for(subject: Subject, pair: Pair, events: int) -> None:
    fill(pair[0])
    subject.poller.rearm(pair[0].fileno(), events)
    assert subject.poll() == {}
    pair[1].close()

    got = poll_for(subject, pair[0].fileno(), HANGUP if events == WRITE or not subject.is_kqueue else READ_HANGUP)
    assert got & (READ | WRITE | HANGUP)


def test_connection_that_was_reset(subject: Subject, tcp_pair: Pair) -> None:
    subject.poller.add(tcp_pair[0].fileno())
    subject.poll()
    tcp_pair[1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    tcp_pair[1].close()

    poll_for(subject, tcp_pair[0].fileno(), READ | ERROR | HANGUP)


def test_connection_that_was_refused(subject: Subject) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        address = server.getsockname()
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.connect_ex(address)
        subject.poller.add(sock.fileno())

        poll_for(subject, sock.fileno(), WRITE | ERROR)


def test_pipe_whose_writer_has_closed(subject: Subject) -> None:
    reader, writer = os.pipe()
    try:
        subject.poller.rearm(reader, READ)
        assert subject.poll() == {}
        os.close(writer)

        poll_for(subject, reader, READ_HANGUP if subject.is_kqueue else HANGUP)
    finally:
        os.close(reader)


def test_pipe_whose_reader_has_closed(subject: Subject) -> None:
    reader, writer = os.pipe()
    try:
        subject.poller.rearm(writer, WRITE)
        assert subject.poll() == {writer: WRITE}
        os.close(reader)

        poll_for(subject, writer, HANGUP if subject.is_kqueue else ERROR)
    finally:
        os.close(writer)


@not_kqueue
def test_urgent_data_is_told_of(subject: Subject, tcp_pair: Pair) -> None:
    subject.poller.add(tcp_pair[0].fileno())
    subject.poll()
    tcp_pair[1].send(b"!", socket.MSG_OOB)

    poll_for(subject, tcp_pair[0].fileno(), URGENT)


# -- processes


def test_process_that_ends_is_reported_once(subject: Subject) -> None:
    reader, writer = os.pipe()
    pid = os.posix_spawn(
        "/bin/sh", ["sh", "-c", "read line"], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, reader, 0)]
    )
    os.close(reader)
    key = subject.poller.add_process(pid)
    try:
        before = subject.poll()
        os.close(writer)
        got = poll_for(subject, key, READ)
        after = subject.poll()
    finally:
        subject.poller.remove_process(key)
        os.waitpid(pid, 0)

    assert (before, got, after) == ({}, READ, {})


def ended_child() -> int:
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 3"], os.environ)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid


def test_process_that_has_ended_but_was_not_waited_for_is_reported(subject: Subject) -> None:
    pid = ended_child()
    key = subject.poller.add_process(pid)
    try:
        before = time.monotonic_ns()
        assert subject.poll(LIMIT_NS) == {key: READ}
        assert time.monotonic_ns() - before < LIMIT_NS
        assert subject.poll() == {}
    finally:
        subject.poller.remove_process(key)
        os.waitpid(pid, 0)


def test_process_that_does_not_exist_is_refused(subject: Subject) -> None:
    pid = ended_child()
    os.waitpid(pid, 0)

    with pytest.raises(ProcessLookupError):
        subject.poller.add_process(pid)


def test_watches_of_processes_hold_nothing_after_they_were_removed(subject: Subject) -> None:
    before = os.listdir("/dev/fd")
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "sleep 30"], os.environ)
    try:
        for _ in range(3):
            subject.poller.remove_process(subject.poller.add_process(pid))
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    assert subject.poll() == {}
    assert len(os.listdir("/dev/fd")) == len(before)


# -- timeouts


@pytest.mark.parametrize("timeout_ns", [1, 1_000, 999_999, 1_000_000, 1_000_001, 1_900_000, 20_000_001])
def test_poll_waits_no_shorter_than_its_timeout(subject: Subject, pair: Pair, timeout_ns: int) -> None:
    subject.poller.rearm(pair[0].fileno(), READ)
    before = subject.clock()

    assert subject.poll(timeout_ns) == {}
    assert timeout_ns <= subject.clock() - before < timeout_ns + LIMIT_NS


def test_poll_of_zero_does_not_wait(subject: Subject, pair: Pair) -> None:
    subject.poller.rearm(pair[0].fileno(), READ)
    before = time.monotonic_ns()
    for _ in range(50):
        assert subject.poll(0) == {}

    assert time.monotonic_ns() - before < LIMIT_NS / 10


@pytest.mark.parametrize("timeout_ns", [None, LIMIT_NS * 1000, LONGEST_POLL_NS])
def test_poll_does_not_wait_for_what_is_ready(subject: Subject, pair: Pair, timeout_ns: int | None) -> None:
    subject.poller.add(pair[0].fileno())
    before = subject.clock()

    assert subject.poll(timeout_ns) == {pair[0].fileno(): WRITE}
    assert subject.clock() - before < LIMIT_NS


@not_fake
@pytest.mark.parametrize("timeout_ns", [None, LIMIT_NS * 2])
def test_poll_ends_when_something_becomes_ready(subject: Subject, pair: Pair, timeout_ns: int | None) -> None:
    subject.poller.rearm(pair[0].fileno(), READ)
    sender = threading.Timer(0.02, pair[1].send, (b"x",))
    before = time.monotonic_ns()
    sender.start()
    try:
        assert subject.poll(timeout_ns) == {pair[0].fileno(): READ}
    finally:
        sender.join()
    assert time.monotonic_ns() - before < LIMIT_NS


def test_signal_does_not_make_poll_fail(subject: Subject, pair: Pair) -> None:
    handled: list[int] = []

    def handler(number: int, frame: FrameType | None) -> None:
        handled.append(number)

    subject.poller.rearm(pair[0].fileno(), READ)
    former = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        deadline = time.monotonic_ns() + LIMIT_NS
        while len(handled) < 3 and time.monotonic_ns() < deadline:
            assert subject.poll(10_000_000) == {}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)

    assert len(handled) >= 3


@not_fake
def test_exception_of_a_signal_handler_leaves_poll(subject: Subject, pair: Pair) -> None:

    def handler(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    subject.poller.rearm(pair[0].fileno(), READ)
    former = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.005)
        with pytest.raises(KeyboardInterrupt):
            subject.poll(LIMIT_NS)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


# -- close()


def test_closing_frees_what_the_poller_held(subject: Subject, pair: Pair) -> None:
    subject.poller.add(pair[0].fileno())
    number = subject.poller.fileno()
    subject.poller.close()
    subject.poller.close()

    assert subject.poller.fileno() == -1
    if number >= 0:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(number)


def test_closing_leaves_a_parents_registrations_alone(subject: Subject, pair: Pair) -> None:
    subject.poller.rearm(pair[0].fileno(), READ)
    pid = os.fork()
    if pid == 0:
        try:
            subject.poller.close()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    pair[1].send(b"x")

    assert subject.poll() == {pair[0].fileno(): READ}
