"""The simulation of kqueue(2): what each filter reports.  Each docstring says what the manuals say."""

import errno
import os
import signal
import socket
import struct
import tempfile
from pathlib import Path

import pytest

from tests.poller.filters import EVFILT_READ, EVFILT_WRITE
from tests.poller.kevents import EV_ADD, EV_CLEAR, EV_DELETE, EV_EOF, EV_ONESHOT, EVFILT_PROC, FREEBSD, NOTE_EXIT
from tests.poller.queues import Queue
from tests.poller.subjects import Pair, drain, fill
from tests.poller.test_processes import ended_child

EDGE = EV_ADD | EV_CLEAR

# -- sockets


def test_listening_socket_reports_how_many_wait_to_be_accepted(queue: Queue) -> None:
    """A socket that listens is reported when a connection is pending, with the backlog in data."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        queue.change(server.fileno(), EVFILT_READ, EDGE)
        queue.change(server.fileno(), EVFILT_WRITE, EDGE)
        assert queue.events() == []
        clients = [socket.create_connection(server.getsockname()) for _ in range(3)]
        event = queue.wait()
        assert (event.filter, event.data) == (EVFILT_READ, 3)
        for client in clients:
            client.close()


def test_data_says_how_much_can_be_read_and_written(queue: Queue, tcp_pair: Pair) -> None:
    """data has the number of bytes to read, or the room in the write buffer."""
    tcp_pair[1].send(b"12345")
    queue.change(tcp_pair[0].fileno(), EVFILT_READ)
    assert queue.wait().data == 5
    queue.change(tcp_pair[0].fileno(), EVFILT_READ, EV_DELETE)
    queue.change(tcp_pair[0].fileno(), EVFILT_WRITE)
    assert queue.wait().data > 1000


def test_full_socket_is_writable_again_when_the_peer_has_read(queue: Queue, pair: Pair) -> None:
    fill(pair[0])
    queue.change(pair[0].fileno(), EVFILT_WRITE, EDGE)
    assert queue.events() == []
    drain(pair[1])

    assert queue.wait().filter == EVFILT_WRITE


def test_end_of_what_the_peer_sends_comes_with_what_is_left_to_read(queue: Queue, tcp_pair: Pair) -> None:
    """EV_EOF is set when the read direction is shut down, perhaps while there is data to read."""
    queue.change(tcp_pair[0].fileno(), EVFILT_READ, EDGE)
    queue.change(tcp_pair[0].fileno(), EVFILT_WRITE, EDGE)
    tcp_pair[1].send(b"last")
    tcp_pair[1].shutdown(socket.SHUT_WR)
    event = queue.wait_for_end(tcp_pair[0].fileno(), EVFILT_READ)

    assert (event.fflags, event.data) == (0, 4)
    # Only the one direction is at its end.
    queue.change(tcp_pair[0].fileno(), EVFILT_WRITE, EDGE)
    assert not queue.wait().flags & EV_EOF


def test_end_is_reported_though_data_before_it_was_reported_already(queue: Queue, tcp_pair: Pair) -> None:
    queue.change(tcp_pair[0].fileno(), EVFILT_READ, EDGE)
    tcp_pair[1].send(b"x")
    assert not queue.wait().flags & EV_EOF
    tcp_pair[1].shutdown(socket.SHUT_WR)

    assert queue.wait().flags & EV_EOF


def test_closed_peer_ends_both_directions_of_a_unix_socket(queue: Queue, pair: Pair) -> None:
    """EV_EOF comes on the write filter when the reader is gone."""
    queue.change(pair[0].fileno(), EVFILT_READ, EDGE)
    queue.change(pair[0].fileno(), EVFILT_WRITE, EDGE)
    queue.events()
    pair[1].close()

    assert {event.filter for event in queue.events() if event.flags & EV_EOF} == {EVFILT_READ, EVFILT_WRITE}


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_own_shutdown_ends_the_write_direction(queue: Queue, pair: Pair, tcp_pair: Pair, kind: str) -> None:
    """The socket can send no more: EV_EOF on its write filter."""
    sock = (pair if kind == "unix" else tcp_pair)[0]
    sock.shutdown(socket.SHUT_WR)
    queue.change(sock.fileno(), EVFILT_WRITE, EDGE)
    queue.change(sock.fileno(), EVFILT_READ, EDGE)
    event = queue.wait()

    assert event.filter == EVFILT_WRITE
    assert event.flags & EV_EOF


def test_error_of_the_socket_stands_in_fflags_and_stays_where_it_is(queue: Queue, tcp_pair: Pair) -> None:
    """fflags has the socket's error with EV_EOF; looking does not take it away."""
    queue.change(tcp_pair[0].fileno(), EVFILT_READ, EDGE)
    tcp_pair[1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    tcp_pair[1].close()

    assert queue.wait_for_end(tcp_pair[0].fileno(), EVFILT_READ).fflags == errno.ECONNRESET
    with pytest.raises(ConnectionResetError):
        tcp_pair[0].recv(1)


def test_refused_connection_is_the_end_of_both_directions(queue: Queue) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        address = server.getsockname()
    with socket.socket() as sock:
        sock.setblocking(False)
        queue.change(sock.fileno(), EVFILT_READ, EDGE)
        queue.change(sock.fileno(), EVFILT_WRITE, EDGE)
        sock.connect_ex(address)
        for filter in (EVFILT_READ, EVFILT_WRITE):
            queue.change(sock.fileno(), filter, EDGE)
            assert queue.wait_for_end(sock.fileno(), filter).fflags == errno.ECONNREFUSED
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED


def test_socket_that_is_not_connected_is_neither_readable_nor_writable(queue: Queue) -> None:
    """A socket that needs a connection has no room to write without one."""
    for family in (socket.AF_INET, socket.AF_UNIX):
        with socket.socket(family) as sock:
            queue.change(sock.fileno(), EVFILT_READ, EDGE)
            queue.change(sock.fileno(), EVFILT_WRITE, EDGE)

            assert queue.events() == []


def test_connecting_socket_is_writable_when_it_is_connected(queue: Queue) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as sock:
        sock.setblocking(False)
        queue.change(sock.fileno(), EVFILT_WRITE, EDGE)
        assert queue.events() == []
        sock.connect_ex(server.getsockname())
        event = queue.wait()
        assert (event.filter, event.flags & EV_EOF) == (EVFILT_WRITE, 0)


def test_error_of_a_datagram_socket_is_no_end(queue: Queue) -> None:
    """It passes: the filter reports, without EV_EOF."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = nobody.getsockname()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(address)
        queue.change(sock.fileno(), EVFILT_READ, EDGE)
        sock.send(b"x")
        event = queue.wait()

        assert not event.flags & EV_EOF
        with pytest.raises(ConnectionRefusedError):
            sock.recv(1)


# -- pipes, files, devices


def test_pipe_reports_what_can_be_read(queue: Queue, pipe: list[int]) -> None:
    """data has the number of bytes."""
    queue.change(pipe[0], EVFILT_READ, EDGE)
    assert queue.events() == []
    os.write(pipe[1], b"abc")

    assert queue.wait().data == 3


def test_pipe_whose_last_writer_left_is_at_its_end(queue: Queue, pipe: list[int]) -> None:
    """EV_EOF is set when the last writer disconnects."""
    queue.change(pipe[0], EVFILT_READ, EDGE)
    os.write(pipe[1], b"abc")
    os.close(pipe[1])
    pipe[1] = -1
    event = queue.wait_for_end(pipe[0], EVFILT_READ)

    assert (event.data, event.fflags) == (3, 0)


def test_pipe_whose_reader_leaves_is_at_its_end(queue: Queue, pipe: list[int]) -> None:
    """EV_EOF is set on the write filter when the reader disconnects."""
    queue.change(pipe[1], EVFILT_WRITE, EDGE)
    assert not queue.wait().flags & EV_EOF
    os.close(pipe[0])
    pipe[0] = -1

    assert queue.wait().flags & EV_EOF


def test_pipe_whose_reader_has_left_takes_no_write_filter(queue: Queue, pipe: list[int]) -> None:
    """The kernels refuse it with EPIPE."""
    os.close(pipe[0])
    pipe[0] = -1

    with pytest.raises(BrokenPipeError):
        queue.change(pipe[1], EVFILT_WRITE, EDGE)


def test_read_end_of_a_pipe_takes_a_write_filter(queue: Queue, pipe: list[int]) -> None:
    """FreeBSD never reports it.  Elsewhere pipes go both ways inside, so it reports room."""
    queue.change(pipe[0], EVFILT_WRITE, EDGE)

    assert len(queue.events()) == (0 if queue.dialect is FREEBSD else 1)


def test_fifo_gets_over_its_end_when_a_writer_comes(queue: Queue, tmp_path: Path) -> None:
    """The filter takes EV_EOF back when there is a writer again."""
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    try:
        queue.change(reader, EVFILT_READ, EDGE)
        assert queue.events() == []
        os.close(os.open(tmp_path / "fifo", os.O_WRONLY))
        assert queue.wait().flags & EV_EOF
        writer = os.open(tmp_path / "fifo", os.O_WRONLY)
        os.write(writer, b"x")
        event = queue.wait()
        os.close(writer)
    finally:
        os.close(reader)

    assert (event.flags & EV_EOF, event.data) == (0, 1)


def test_file_is_reported_until_it_is_read_to_its_end(queue: Queue) -> None:
    """A vnode is readable when its pointer is not at the end; data is the way there, negative beyond it."""
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(b"12345")
        queue.change(file.fileno(), EVFILT_READ)
        assert queue.events() == []
        file.seek(2)
        assert queue.wait().data == 3
        file.seek(9)
        assert queue.wait().data == -4
        with pytest.raises(OSError, match="Invalid argument"):
            # Not supported for vnodes.
            queue.change(file.fileno(), EVFILT_WRITE)


def test_edge_of_a_file_is_its_growth(queue: Queue) -> None:
    with tempfile.TemporaryFile(buffering=0) as file:
        queue.change(file.fileno(), EVFILT_READ, EDGE)
        assert queue.events() == []
        os.pwrite(file.fileno(), b"12", 0)
        assert queue.wait().data == 2
        assert queue.events() == []
        os.pwrite(file.fileno(), b"3", 2)
        assert queue.wait().data == 3


def test_device_that_cannot_be_watched_is_refused(queue: Queue) -> None:
    """A device without a filter refuses it, with an errno of the system's own."""
    device = os.open(os.devnull, os.O_RDWR)
    try:
        with pytest.raises(OSError) as caught:
            queue.change(device)
    finally:
        os.close(device)

    assert caught.value.errno == (errno.ENODEV if queue.dialect is FREEBSD else errno.EINVAL)


# -- processes


def test_end_of_a_process_is_reported_once_with_its_status(queue: Queue, pipe: list[int]) -> None:
    """NOTE_EXIT: the process has exited; data has its status as of wait(2).  The event is then gone."""
    os.set_blocking(pipe[0], True)
    pid = os.posix_spawn(
        "/bin/sh", ["sh", "-c", "read line; exit 3"], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, pipe[0], 0)]
    )
    try:
        queue.change(pid, EVFILT_PROC, EV_ADD, NOTE_EXIT)
        assert queue.events() == []
        os.write(pipe[1], b"\n")
        event = queue.wait()
        assert queue.events() == []
        with pytest.raises(FileNotFoundError):
            queue.change(pid, EVFILT_PROC, EV_DELETE)
    finally:
        status = os.waitpid(pid, 0)[1]

    assert (event.ident, event.filter, event.fflags, event.data) == (pid, EVFILT_PROC, NOTE_EXIT, status)
    assert event.flags & EV_ONESHOT
    assert event.flags & EV_EOF


def test_process_that_does_not_exist_is_refused(queue: Queue) -> None:
    """ESRCH: there is no such process."""
    pid = ended_child()
    os.waitpid(pid, 0)

    with pytest.raises(ProcessLookupError):
        queue.change(pid, EVFILT_PROC, EV_ADD, NOTE_EXIT)


def test_process_that_was_not_waited_for_is_reported_by_some_and_refused_by_others(queue: Queue) -> None:
    """FreeBSD reports it at once, to the others it is gone."""
    pid = ended_child()
    try:
        if queue.dialect is FREEBSD:
            queue.change(pid, EVFILT_PROC, EV_ADD, NOTE_EXIT)
            assert os.waitstatus_to_exitcode(queue.wait().data) == 3
        else:
            with pytest.raises(ProcessLookupError):
                queue.change(pid, EVFILT_PROC, EV_ADD, NOTE_EXIT)
    finally:
        os.waitpid(pid, 0)


def test_event_of_a_process_can_be_deleted(queue: Queue) -> None:
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "sleep 30"], os.environ)
    queue.change(pid, EVFILT_PROC, EV_ADD, NOTE_EXIT)
    queue.change(pid, EVFILT_PROC, EV_DELETE)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)

    assert queue.events() == []
