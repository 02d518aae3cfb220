"""Sending and receiving over TLS: what arrives is what was sent, in every way to send and to receive it."""

import os
import socket
import ssl
from collections.abc import Callable

import pytest

import coro
import coro.aio
import coro.ssl
from coro import testing
from coro.exceptions import SimultaneousError
from tests.io.pairs import Own, let_run
from tests.ssl.certificates import Certificates
from tests.ssl.pairs import TLS_1_2, TLS_1_3, fill_tls, tls_pair

MIB = 1 << 20
SENDING: list[Callable[[coro.ssl.SSLSocket, bytes], object]] = [
    lambda sock, data: sock.send(data),
    lambda sock, data: sock.write(memoryview(data)),
    lambda sock, data: sock.sendall(bytearray(data)),
    lambda sock, data: sock.writev([data[:3], data[3:]]),
]


def read_by_file(sock: coro.ssl.SSLSocket, size: int) -> bytes:
    with sock.makefile("rb") as file:
        data: bytes = file.read(size)
        return data


def read_into(sock: coro.ssl.SSLSocket, size: int) -> bytes:
    buffer = bytearray(size)
    with memoryview(buffer) as view:
        done = 0
        while done < size:
            done += sock.recv_into(view[done:])
    return bytes(buffer)


def read_by_parts(sock: coro.ssl.SSLSocket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += b"".join(sock.readv([min(7, size - len(data)), 0]))
    return data


RECEIVING: list[Callable[[coro.ssl.SSLSocket, int], bytes]] = [
    lambda sock, size: sock.recv_exact(size),
    lambda sock, size: b"".join(iter(lambda: sock.read(min(size, 5)), b"")),
    lambda sock, size: coro.sock_stream(sock).read_exact(size),
    read_by_file,
    read_into,
    read_by_parts,
]


@pytest.mark.parametrize("send", SENDING)
@pytest.mark.parametrize("receive", RECEIVING)
def test_what_is_sent_arrives(
    send: Callable[[coro.ssl.SSLSocket, bytes], object],
    receive: Callable[[coro.ssl.SSLSocket, int], bytes],
    certificates: Certificates,
    own: Own,
) -> None:
    def main() -> None:
        client, server = tls_pair(certificates, own)
        data = os.urandom(20_000)

        def sender() -> None:
            send(client, data)
            client.close()

        coro.spawn(sender)
        assert receive(server, len(data)) == data

    testing.run(main)


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])
@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_mebibytes_go_both_ways_at_once(
    kind: str, version: ssl.TLSVersion, certificates: Certificates, own: Own
) -> None:
    def main() -> None:
        client, server = tls_pair(certificates, own, kind=kind, version=version)
        assert client.version() == ("TLSv1.3" if version == TLS_1_3 else "TLSv1.2")
        there, back = os.urandom(3 * MIB), os.urandom(3 * MIB)
        senders = [coro.spawn(client.send, there), coro.spawn(server.send, back)]
        receiver = coro.spawn(server.recv_exact, len(there))
        assert client.recv_exact(len(back)) == back
        assert receiver.result() == there
        assert [sender.result() for sender in senders] == [len(there), len(back)]

    coro.run(main)


def test_reader_that_is_parked_does_not_keep_another_thread_from_writing(
    certificates: Certificates, own: Own
) -> None:
    def main() -> None:
        client, server = tls_pair(certificates, own)
        reader = coro.spawn(client.recv, 100)
        let_run()
        client.send(b"question")
        assert server.recv(100) == b"question"
        assert not reader.dead
        server.send(b"answer")
        assert reader.result() == b"answer"

    testing.run(main)


def test_second_reader_gets_simultaneous_error(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        client, server = tls_pair(certificates, own)
        reader = coro.spawn(client.recv, 100)
        let_run()
        with pytest.raises(SimultaneousError):
            client.recv(100)
        server.send(b"for the first")
        assert reader.result() == b"for the first"

    testing.run(main)


def test_second_writer_gets_simultaneous_error_even_when_there_is_room_again(
    certificates: Certificates, own: Own
) -> None:
    def main() -> None:
        client, server = tls_pair(certificates, own)
        data = os.urandom(MIB)
        writer = coro.spawn(client.send, data)
        let_run()
        with pytest.raises(SimultaneousError):
            client.send(b"between")
        reader = coro.spawn(server.recv_exact, len(data))
        tries = 0
        while not writer.dead:
            # At whatever point of the writer's operation: a record between its pieces would break the stream.
            with pytest.raises(SimultaneousError):
                client.send(b"between")
            tries += 1
            coro.yield_slice()
        assert tries
        assert reader.result() == data

    testing.run(main)


@pytest.mark.parametrize("operation", ["recv", "recv_into", "send", "sendall"])
def test_flags_are_refused_under_tls(operation: str, certificates: Certificates, own: Own) -> None:
    def main() -> None:
        client, _ = tls_pair(certificates, own)
        argument = {"recv": 1, "recv_into": bytearray(1)}.get(operation, b"x")
        flags = {"flags": socket.MSG_PEEK}
        with pytest.raises(ValueError, match=f"{operation}.*got 2"):
            getattr(client, operation)(argument, **flags)

    testing.run(main)


def test_what_would_go_past_tls_is_refused(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        client, _ = tls_pair(certificates, own)
        for refused in (
            lambda: client.recvfrom(1),
            lambda: client.recvfrom_into(bytearray(1)),
            lambda: client.sendto(b"x", ("127.0.0.1", 1)),
        ):
            with pytest.raises(ValueError, match="not allowed"):
                refused()
        for missing in (
            lambda: client.recvmsg(1),
            lambda: client.recvmsg_into([bytearray(1)]),
            lambda: client.sendmsg([b"x"]),
            client.dup,
        ):
            with pytest.raises(NotImplementedError):
                missing()

    testing.run(main)


def test_small_reads_of_one_record_do_not_wait_for_the_next(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        client, server = tls_pair(certificates, own)
        server.send(b"0123456789")
        assert [client.recv(4), client.recv(4)] == [b"0123", b"4567"]
        assert client.pending() == 2
        client.wait_for_read(0)
        assert client.recv(4) == b"89"
        assert client.pending() == 0
        with pytest.raises(coro.TimeoutError):
            client.wait_for_read(0)

    testing.run(main)


def test_records_that_came_together_are_read_one_after_the_other(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        client, server = tls_pair(certificates, own)
        for number in range(5):
            server.send(b"%d" % number)
        assert [client.recv(100) for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]

    testing.run(main)


def test_record_that_comes_in_parts_is_waited_for(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        left, right = coro.socketpair()
        own(left), own(right)
        wrapping = coro.spawn(coro.ssl.wrap_socket, right, certificates.server_context(), server_side=True)
        client = certificates.client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                left.send(outgoing.read())
                incoming.write(left.recv(65536))
        left.send(outgoing.read())
        server = own(wrapping.result())
        client.write(b"in many parts")
        reader = coro.spawn(server.recv, 100)
        for byte in outgoing.read():
            assert not reader.dead
            left.send(bytes([byte]))
            coro.sleep_relative(1)
        assert reader.result() == b"in many parts"

    testing.run(main)


def test_reading_nothing_does_not_wait(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        client, server = tls_pair(certificates, own)
        assert client.recv(0) == b""
        server.send(b"x")
        assert client.recv(10) == b"x"
        assert client.recv(0) == b""
        # And it is no end.
        server.send(b"y")
        assert client.recv(10) == b"y"

    testing.run(main)


def test_operations_spend_selfish_acts(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        client, server = tls_pair(certificates, own)
        coro.set_selfishness(3)
        turns = []

        def other() -> None:
            while True:
                turns.append(1)
                coro.yield_slice()

        def exchange() -> None:
            for _ in range(20):
                client.send(b"x")
                assert server.recv(1) == b"x"

        beside = coro.spawn(other)
        coro.spawn(exchange).join()
        beside.shutdown()
        assert 10 <= len(turns) <= 16

    testing.run(main)


def test_where_nobody_may_park_selfish_acts_cost_nothing(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        client, server = tls_pair(certificates, own)
        coro.set_selfishness(3)

        async def step() -> None:
            for _ in range(10):
                client.send(b"x")
                assert server.recv(1) == b"x"

        # Its thread cannot yield in the middle of the step.
        coro.spawn(coro.aio.run, step()).result()

    testing.run(main)


def test_long_send_lets_others_run_between_its_records(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        client, _ = tls_pair(certificates, own)
        coro.set_selfishness(1)
        turns = []

        def other() -> None:
            while True:
                turns.append(1)
                coro.yield_slice()

        beside = coro.spawn(other)
        # There is room for all of it.
        assert coro.spawn(client.send, bytes(6 * 16384)).result() == 6 * 16384
        beside.shutdown()
        assert len(turns) >= 5

    testing.run(main)


def test_what_openssl_holds_is_read_whatever_is_known_of_the_kernel(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        client, server = tls_pair(certificates, own)
        server.send(b"0123")
        assert client.recv(2) == b"01"
        # As after an interrupted wait of an operation that wanted to read for reasons of its own.
        client._descriptor.readable = False
        assert client.recv(2) == b"23"

    testing.run(main)


def test_nonblocking_operations_raise_what_the_standard_library_raises(
    certificates: Certificates, own: Own
) -> None:
    def main() -> None:
        client, server = tls_pair(certificates, own)
        client.settimeout(0)
        with pytest.raises(ssl.SSLWantReadError):
            client.recv(1)
        with pytest.raises(ssl.SSLWantReadError):
            client.recv_into(bytearray(1))
        sent = 0
        with pytest.raises(ssl.SSLWantWriteError):
            while True:
                sent += client.send(bytes(100_000))
        assert sent and sent % 16384 == 0
        with pytest.raises(ssl.SSLWantWriteError) as caught:
            client.sendall(bytes(100_000))
        assert caught.value.sent_bytes == 0  # type: ignore[attr-defined]
        # Waiting again, the same bytes go on.
        client.settimeout(None)
        reader = coro.spawn(server.recv_exact, sent + 100_000)
        assert client.send(bytes(100_000)) == 100_000
        assert reader.result() == bytes(sent + 100_000)

    testing.run(main)


def test_interrupted_writer_leaves_the_stream_whole(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        client, server = tls_pair(certificates, own)
        data = os.urandom(MIB)
        sent = []
        for error in (ValueError("stop"), KeyError("stop again")):
            writer = coro.spawn(client.send, data)
            let_run()
            writer.raise_exception(error)
            with pytest.raises(type(error)) as caught:
                writer.result()
            # The second cannot begin: the first one's record is owed still.
            sent.append(getattr(caught.value, "sent_bytes", 0))
        first, second = sent
        assert 0 < first < len(data)
        assert (first % 16384, second) == (0, 0)
        reader = coro.spawn(server.recv_exact, first + len(data))
        assert client.send(data) == len(data)
        assert reader.result() == data[:first] + data

    testing.run(main)


def test_interrupted_reader_loses_nothing(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        client, server = tls_pair(certificates, own)
        reader = coro.spawn(client.recv_exact, 10)
        let_run()
        server.send(b"01234")
        let_run()
        reader.raise_exception(ValueError("stop"))
        with pytest.raises(ValueError, match="stop") as caught:
            reader.result()
        assert caught.value.partial_bytes == b"01234"  # type: ignore[attr-defined]
        server.send(b"56789")
        assert client.recv_exact(5) == b"56789"

    testing.run(main)


def test_timeouts_are_exact_and_leave_the_socket_usable(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        client, server = tls_pair(certificates, own)
        full = fill_tls(client)
        client.settimeout(2.5)
        for operation in (lambda: client.recv(1), lambda: client.send(b"x"), lambda: client.recv_exact(2)):
            began = coro.get_now()
            with pytest.raises(TimeoutError, match=r"after 2\.5 s"):
                operation()
            assert coro.get_now() - began == int(2.5 * coro.ticks_per_sec)
        server.send(b"still")
        assert client.recv(100) == b"still"
        reader = coro.spawn(server.recv_exact, full + 4)
        client.send(b"here")
        assert reader.result()[full:] == b"here"

    testing.run(main)


def test_coro_timeout_passes_through(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        client, server = tls_pair(certificates, own)
        client.settimeout(10)
        began = coro.get_now()
        with pytest.raises(coro.TimeoutError):
            coro.with_timeout(1, client.recv, 1)
        assert coro.get_now() - began == coro.ticks_per_sec
        server.send(b"x")
        assert client.recv(1) == b"x"

    testing.run(main)


def test_sendfile_goes_through_tls(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        client, server = tls_pair(certificates, own)
        with open(certificates.authority, "rb") as file:
            assert client.sendfile(file) == file.tell()
        text = certificates.authority.read_bytes()
        assert server.recv_exact(len(text)) == text

    testing.run(main)
