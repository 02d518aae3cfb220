"""The emulated socket: the standard library's, whose waiting parks the thread."""

import array
import errno
import os
import pickle
import socket
from typing import Any

import pytest

import coro
from coro import testing
from coro.emulation.sockets import EmulatedSocket, blocks_for_user
from coro.scheduler import scheduler
from tests.emulation.sockets_of_ours import connected, let_others_wait, listening, outcome_of

BIG = 8 << 20


def test_send_takes_a_part_where_sendall_waits_for_the_rest() -> None:
    def main() -> None:
        with connected() as (left, right):
            part = left.send(bytes(BIG))
            assert 0 < part < BIG
            received = coro.spawn(_drain, right, part + BIG)
            left.sendall(bytes(BIG))
            assert received.result() == part + BIG

    testing.run(main)


def _drain(sock: EmulatedSocket, size: int) -> int:
    received = 0
    while received < size:
        received += len(sock.recv(1 << 16))
    return received


def test_several_threads_wait_for_one_socket_and_each_datagram_goes_to_one() -> None:
    def main() -> None:
        with connected("unix") as (left, right):
            readers = [coro.spawn(left.recv, 1) for _ in range(20)]
            let_others_wait()
            for number in range(20):
                right.send(bytes([number]))
                if number % 3:
                    let_others_wait()
            assert sorted(reader.result()[0] for reader in readers) == list(range(20))

    testing.run(main)


def test_several_threads_write_to_one_socket_and_nothing_is_lost() -> None:
    def main() -> None:
        with connected() as (left, right):
            writers = [coro.spawn(left.sendall, bytes(BIG // 4)) for _ in range(4)]
            assert _drain(right, BIG) == BIG
            for writer in writers:
                writer.result()

    testing.run(main)


def test_many_threads_in_accept_get_one_connection_each() -> None:
    def main() -> None:
        with listening() as listener:
            acceptors = [coro.spawn(listener.accept) for _ in range(50)]
            let_others_wait()
            clients = [EmulatedSocket() for _ in acceptors]
            for client in clients:
                client.connect(listener.getsockname())
            peers = {acceptor.result()[1] for acceptor in acceptors}
            assert peers == {client.getsockname() for client in clients}
            for acceptor in acceptors:
                acceptor.result()[0].close()
            for client in clients:
                client.close()

    testing.run(main)


@pytest.mark.parametrize("interrupted", [0, 1, 2])
def test_interrupted_reader_leaves_the_data_to_the_others(interrupted: int) -> None:
    def main() -> None:
        with connected() as (left, right):
            readers = [coro.spawn(left.recv, 1) for _ in range(3)]
            let_others_wait()
            readers[interrupted].shutdown()
            let_others_wait()
            rest = [reader for reader in readers if not reader.dead]
            assert len(rest) == 2
            for _ in rest:
                right.send(b"x")
                let_others_wait()
            assert [reader.result() for reader in rest] == [b"x", b"x"]

    testing.run(main)


def test_reader_that_is_interrupted_when_it_gets_the_place_hands_it_on() -> None:
    def main() -> None:
        with connected() as (left, right):
            first, second, third = (coro.spawn(left.recv, 1) for _ in range(3))
            let_others_wait()
            # In one turn: the first leaves, so the second is handed the place and interrupted before it runs.
            scheduler.interrupt(first, coro.Shutdown())
            coro.yield_slice()
            scheduler.interrupt(second, coro.Shutdown())
            let_others_wait()
            assert (first.dead, second.dead, third.dead) == (True, True, False)
            right.send(b"x")
            assert third.result() == b"x"

    testing.run(main)


@pytest.mark.parametrize("waiting_before", [0, 1])
def test_timeout_raises_the_plain_error_also_in_the_queue(waiting_before: int) -> None:
    def main() -> None:
        with connected() as (left, right):
            before = [coro.spawn(left.recv, 1) for _ in range(waiting_before)]
            let_others_wait()
            left.settimeout(5)
            began = coro.get_now()
            with pytest.raises(TimeoutError, match=r"^timed out$") as caught:
                left.recv(1)
            assert type(caught.value) is TimeoutError
            assert (coro.get_now() - began) / coro.ticks_per_sec == pytest.approx(5, abs=0.1)
            for reader in before:
                right.send(b"x")
                assert reader.result() == b"x"

    testing.run(main)


def test_nonblocking_socket_never_waits() -> None:
    def main() -> None:
        with connected() as (left, right):
            left.setblocking(False)
            assert (left.getblocking(), left.gettimeout()) == (False, 0.0)
            with pytest.raises(BlockingIOError):
                left.recv(1)
            with pytest.raises(BlockingIOError):
                left.sendall(bytes(BIG))
            right.send(b"x")
            assert left.recv(1) == b"x"

    testing.run(main)


def test_who_waits_for_a_socket_that_is_closed_gets_ebadf() -> None:
    def main() -> None:
        with connected() as (left, _):
            readers = [coro.spawn(left.recv, 1) for _ in range(3)]
            let_others_wait()
            left.close()
            for reader in readers:
                with pytest.raises(OSError, match="Bad file descriptor") as caught:
                    reader.result()
                assert caught.value.errno == errno.EBADF

    testing.run(main)


@pytest.mark.parametrize("seconds", [None, 0.0, 3.0])
def test_detach_gives_the_descriptor_away_as_the_user_saw_it(seconds: float | None) -> None:
    def main() -> None:
        with connected() as (left, _):
            left.settimeout(seconds)
            assert blocks_for_user(left.fileno()) is (seconds is None)
            assert not os.get_blocking(left.fileno())
            fd = left.detach()
            try:
                assert os.get_blocking(fd) is (seconds is None)
                assert left.fileno() == left.detach() == -1
            finally:
                os.close(fd)

    testing.run(main)


def test_second_object_on_one_descriptor_takes_nothing_with_it_when_it_detaches() -> None:
    def main() -> None:
        with connected() as (left, right):
            reader = coro.spawn(left.recv, 1)
            let_others_wait()
            second = EmulatedSocket(fileno=left.fileno())
            second_reader = coro.spawn(second.recv, 1)
            let_others_wait()
            right.send(b"ab")
            assert sorted([reader.result(), second_reader.result()]) == [b"a", b"b"]
            second.detach()
            reader = coro.spawn(left.recv, 1)
            let_others_wait()
            right.send(b"c")
            assert reader.result() == b"c"

    testing.run(main)


@pytest.mark.parametrize(
    "value", [5, 0, None, 2.5, True, -1, -0.5, float("nan"), float("inf"), 1e30, "1", b"", 1j, 1 << 70]
)
def test_settimeout_takes_and_refuses_what_the_original_does(value: Any) -> None:
    with EmulatedSocket() as ours, socket.socket() as real:
        theirs = outcome_of(real.settimeout, value)
        assert outcome_of(ours.settimeout, value) == theirs
        assert (ours.gettimeout(), ours.getblocking()) == (real.gettimeout(), real.getblocking())
        assert type(ours.gettimeout()) is type(real.gettimeout())


def test_default_timeout_and_nonblocking_type_count() -> None:
    former = socket.getdefaulttimeout()
    socket.setdefaulttimeout(7)
    try:
        with EmulatedSocket() as ours:
            assert ours.gettimeout() == 7
        with EmulatedSocket(type=socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as ours:
            assert (ours.gettimeout(), ours.type) == (0.0, socket.SOCK_STREAM)
    finally:
        socket.setdefaulttimeout(former)


def test_it_passes_for_the_original() -> None:
    with EmulatedSocket() as ours, socket.socket() as real:
        assert isinstance(ours, socket.socket)
        assert isinstance(real, EmulatedSocket)
        assert issubclass(socket.socket, EmulatedSocket)
        assert not isinstance(3, EmulatedSocket)
        assert repr(ours).startswith(f"<socket.socket fd={ours.fileno()}, family=")
        with pytest.raises(TypeError, match="cannot pickle 'socket' object"):
            pickle.dumps(ours)

        class Special(EmulatedSocket):
            pass

        assert not isinstance(ours, Special)
        with Special() as special, special.dup() as twin:
            assert type(twin) is Special


def test_two_threads_read_lines_from_one_file() -> None:
    def main() -> None:
        with connected() as (left, right), left.makefile("rb") as file:
            readers = [coro.spawn(file.readline) for _ in range(4)]
            let_others_wait()
            for number in range(4):
                right.sendall(b"%d" % number)
                let_others_wait()
                right.sendall(b"\n")
            assert sorted(reader.result() for reader in readers) == [b"0\n", b"1\n", b"2\n", b"3\n"]

    testing.run(main)


def test_one_thread_reads_a_file_while_another_writes_to_it() -> None:
    def main() -> None:
        with connected() as (left, right), left.makefile("rwb") as file, right.makefile("rw") as text:
            reader = coro.spawn(file.readline)
            let_others_wait()
            file.write(b"from the left\n")
            file.flush()
            assert text.readline() == "from the left\n"
            text.write("from the right\n")
            text.flush()
            assert reader.result() == b"from the right\n"

    testing.run(main)


def test_another_os_thread_reads_lines_from_a_file_beside_threads_of_the_loop() -> None:
    def main() -> None:
        with connected() as (left, right), left.makefile("rb") as file:
            readers = [coro.spawn(coro.in_os_thread, file.readline) for _ in range(3)]
            readers += [coro.spawn(file.readline) for _ in range(3)]
            let_others_wait()
            for number in range(6):
                right.sendall(b"%d\n" % number)
            assert sorted(reader.result() for reader in readers) == [b"%d\n" % number for number in range(6)]

    coro.run(main)


def test_reader_of_a_file_that_is_interrupted_hands_its_turn_on() -> None:
    def main() -> None:
        with connected() as (left, right), left.makefile("rb") as file:
            readers = [coro.spawn(file.readline) for _ in range(4)]
            let_others_wait()
            for leaving in (readers[0], readers[2]):
                leaving.shutdown()
                let_others_wait()
            right.sendall(b"one\ntwo\n")
            assert [readers[1].result(), readers[3].result()] == [b"one\n", b"two\n"]

    testing.run(main)


def test_reader_of_a_file_that_is_interrupted_when_it_gets_its_turn_hands_it_on() -> None:
    def main() -> None:
        with connected() as (left, right), left.makefile("rb") as file:
            first, second, third = (coro.spawn(file.readline) for _ in range(3))
            let_others_wait()
            scheduler.interrupt(first, coro.Shutdown())
            coro.yield_slice()
            scheduler.interrupt(second, coro.Shutdown())
            let_others_wait()
            assert (first.dead, second.dead, third.dead) == (True, True, False)
            right.sendall(b"one\n")
            assert third.result() == b"one\n"

    testing.run(main)


@pytest.mark.parametrize("mode", ["r", "w", "rb", "wb", "rwb", "rw", "x", "rb+"])
@pytest.mark.parametrize("buffering", [None, 0, 1, 100])
def test_makefile_makes_what_the_original_makes(mode: str, buffering: int | None) -> None:
    def describe(sock: socket.socket) -> Any:
        with sock.makefile(mode, buffering) as file:  # type: ignore[call-overload]
            fd = str(sock.fileno())
            return (
                type(file).__name__,
                type(file).__module__,
                getattr(file, "mode", None),
                repr(file).split("0x")[0].replace(fd, "N"),
            )

    with EmulatedSocket() as ours, socket.socket() as real:
        assert outcome_of(describe, ours) == outcome_of(describe, real)


def test_descriptors_travel_in_ancillary_data() -> None:
    def main() -> None:
        with connected("unix") as (left, right), open(os.devnull, "rb") as sent:
            receiver = coro.spawn(right.recvmsg, 10, socket.CMSG_SPACE(4))
            let_others_wait()
            numbers = array.array("i", [sent.fileno()])
            left.sendmsg([b"one"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)])
            data, ancillary, _, _ = receiver.result()
            received = array.array("i", ancillary[0][2])[0]
            try:
                assert data == b"one"
                assert os.path.sameopenfile(sent.fileno(), received)
            finally:
                os.close(received)

    testing.run(main)


def test_another_os_thread_blocks_on_it_beside_threads_of_the_loop() -> None:
    def main() -> None:
        with connected() as (left, right):
            left.settimeout(30)
            beside = coro.spawn(coro.in_os_thread, left.recv, 1)
            reader = coro.spawn(left.recv, 1)
            let_others_wait()
            for _ in range(2):
                right.send(b"x")
                coro.sleep_relative(0.01)
            assert beside.result() + reader.result() == b"xx"

    coro.run(main)


def test_another_os_thread_times_out_and_sees_a_closed_socket() -> None:
    def main() -> None:
        with connected() as (left, _):
            left.settimeout(0.01)
            with pytest.raises(TimeoutError, match="timed out"):
                coro.in_os_thread(left.recv, 1)
            left.close()
            with pytest.raises(OSError, match="Bad file descriptor"):
                coro.in_os_thread(left.recv, 1)

    coro.run(main)


def test_refused_connection_raises_the_plain_error() -> None:
    def main() -> None:
        with listening() as gone:
            address = gone.getsockname()
        with EmulatedSocket() as client:
            with pytest.raises(ConnectionRefusedError) as caught:
                client.connect(address)
            assert caught.value.args == (errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
            assert client.connect_ex(address) == errno.ECONNREFUSED

    testing.run(main)


def test_connecting_to_a_full_backlog_times_out(tmp_path: Any) -> None:
    def main() -> None:
        path = str(tmp_path / "s")
        clients = [EmulatedSocket(socket.AF_UNIX) for _ in range(3)]
        with EmulatedSocket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(0)
            clients[0].connect(path)
            for client in clients[1:]:
                client.settimeout(1)
            with pytest.raises(TimeoutError, match=r"^timed out$"):
                clients[1].connect(path)
            assert clients[2].connect_ex(path) == errno.EAGAIN
        for client in clients:
            client.close()

    testing.run(main)


def test_operation_that_needs_not_wait_does_not_yield_where_nobody_may_park() -> None:
    def refuse(thread: object) -> None:
        raise AssertionError("parked")

    def main() -> None:
        with connected() as (left, right):
            scheduler.collecting = refuse  # type: ignore[assignment]
            try:
                for _ in range(100):
                    left.send(b"x")
                    assert right.recv(1) == b"x"
            finally:
                scheduler.collecting = False

    testing.run(main)


@pytest.mark.parametrize(
    "arguments",
    [(), (b"x",), (b"x", 0, 0, 0), ("x", ("127.0.0.1", 9)), (b"x", None), (b"x", "0", ("127.0.0.1", 9))],
)
def test_sendto_refuses_what_the_original_refuses(arguments: tuple[Any, ...]) -> None:
    with EmulatedSocket(type=socket.SOCK_DGRAM) as ours, socket.socket(type=socket.SOCK_DGRAM) as real:
        assert outcome_of(ours.sendto, *arguments)[0] is outcome_of(real.sendto, *arguments)[0] is TypeError
