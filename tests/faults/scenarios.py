"""Scenarios: between them they make every system call of the runtime that a fault can be injected into.

Each ends by itself whatever fails: whoever holds a connection closes it, so that its peer is told.
"""

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import coro
from coro import signal_handler
from coro.resolve import getaddrinfo, gethostbyname, getnameinfo
from coro.server import inherited, inherited_sockets, listen_tcp, tcp_server, unix_server
from tests.faults.stage import Stage

LOOPBACK = "127.0.0.1"
PIECE = bytes(range(256)) * 4


def echo(connection: coro.sock, address: object) -> None:
    while data := connection.recv(4096):
        connection.send(data)


def ask(family: int, address: Any) -> None:
    """A client: connects, asks twice, closes."""
    with coro.make_socket(family, socket.SOCK_STREAM) as client:
        client.connect(address)
        for text in (b"hello", PIECE):
            client.send(text)
            client.recv_exact(len(text))


def tcp_echo(stage: Stage) -> None:
    with tcp_server((LOOPBACK, 0), echo, report=stage.report) as server:
        address = server.address
        for number in range(3):
            stage.part(ask, socket.AF_INET, address, name=f"client {number}")
        stage.join()


def capped_echo(stage: Stage) -> None:
    """Two listeners share two places."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(listen_tcp((LOOPBACK, 0), reuse_port=bool(each))[0]) for each in range(2)]
        server = tcp_server(listeners, echo, max_connections=2, idle_timeout=1e6, report=stage.report)
        stack.enter_context(server)
        for number, address in enumerate(server.addresses * 2):
            stage.part(ask, socket.AF_INET, address, name=f"client {number}")
        stage.join()


def unix_echo(stage: Stage) -> None:
    """A stale socket is in the way."""
    path = os.path.join(stage.folder, "socket")
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(path)
    stale.close()
    try:
        with unix_server(path, echo, mode=0o600, report=stage.report):
            for number in range(2):
                stage.part(ask, socket.AF_UNIX, path, name=f"client {number}")
            stage.join()
        if os.path.exists(path) and not stage.shim.errors:
            raise AssertionError("the socket's file is left")
    finally:
        with suppress(FileNotFoundError):
            os.unlink(path)


def everywhere(stage: Stage) -> None:
    """Listeners on every interface, on sockets of the standard library, and where nobody listens."""
    with tcp_server(("", 0), echo, report=stage.report) as server:
        stage.part(ask, socket.AF_INET, (LOOPBACK, server.address[1]), name="client")
        stage.join()
    plain = [socket.create_server((LOOPBACK, 0)) for _ in range(2)]
    try:
        with tcp_server(plain, echo, report=stage.report) as server:
            stage.part(ask, socket.AF_INET, server.address, name="client")
            stage.join()
    finally:
        for one in plain:
            one.close()
    with socket.create_server((LOOPBACK, 0)) as nobody, coro.tcp_sock() as client:
        address = nobody.getsockname()
        nobody.close()
        if client.connect_ex(address) == 0:
            raise AssertionError("somebody listens there")


def activation(stage: Stage) -> None:
    """Two listening sockets are inherited."""
    with _activated() as addresses, ExitStack() as stack:
        listeners = [stack.enter_context(one) for one in inherited_sockets()]
        stack.enter_context(tcp_server(listeners, echo, report=stage.report))
        for number, address in enumerate(addresses):
            stage.part(ask, socket.AF_INET, address, name=f"client {number}")
        stage.join()


@contextmanager
def _activated() -> Iterator[list[Any]]:
    listeners = [socket.create_server((LOOPBACK, 0)) for _ in range(2)]
    addresses = [one.getsockname() for one in listeners]
    # Far from the numbers that the scenario uses, and next to each other.
    first = 200
    for number, one in enumerate(listeners):
        os.dup2(one.fileno(), first + number)
        one.close()
    former, inherited.FIRST_FD = inherited.FIRST_FD, first
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2")
    try:
        yield addresses
    finally:
        inherited.FIRST_FD = former
        del os.environ["LISTEN_PID"], os.environ["LISTEN_FDS"]
        # What was not taken is still the process's.
        for number in range(2):
            try:
                os.close(first + number)
            except OSError:
                continue


def streams(stage: Stage) -> None:
    """Every way to send and to receive, with more than fits the buffers."""
    for send, receive in ((_send_ways, _receive_ways), (_send_much, _receive_much)):
        left, right = coro.socketpair()
        # Also for parts that never run.
        with left, right:
            right.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            stage.part(send, right, name="sender")
            stage.part(receive, left, name="receiver")
            stage.join()


def _send_ways(end: coro.sock) -> None:
    with end, tempfile.TemporaryFile() as file:
        file.write(PIECE)
        end.send(PIECE)
        end.writev([PIECE[:100], PIECE[100:]])
        end.sendmsg([PIECE])
        file.flush()
        end.sendfile(file)
        end.send(PIECE)


def _receive_ways(end: coro.sock) -> None:
    size = len(PIECE)
    with end:
        end.recv_exact(size)
        end.recv(size, socket.MSG_WAITALL)
        end.recv(size, socket.MSG_WAITALL | socket.MSG_PEEK)
        left = size
        for receive in (lambda: len(end.recvmsg(64)[0]), lambda: end.recvmsg_into([bytearray(64)])[0]):
            left -= receive()
        left -= end.recv_into(bytearray(64))
        left -= end.recvfrom_into(bytearray(64))[0]
        left -= len(end.recvfrom(64)[0])
        left -= sum(map(len, end.readv([32, 32])))
        left -= len(end.recv(64, socket.MSG_DONTWAIT))
        end.recv_exact(left)
        while end.recv(10000):
            pass


def _send_much(end: coro.sock) -> None:
    with end, tempfile.TemporaryFile() as file:
        file.write(PIECE * 40)
        file.flush()
        end.sendall(PIECE * 40)
        end.writev([PIECE] * 40)
        end.sendfile(file)


def _receive_much(end: coro.sock) -> None:
    with end, end.makefile("rb") as file:
        file.read(len(PIECE) * 80)
        while end.recv(8192):
            pass


def datagrams(stage: Stage) -> None:
    with coro.udp_sock() as left, coro.udp_sock() as right:
        left.bind((LOOPBACK, 0))
        right.bind((LOOPBACK, 0))
        left.sendto(PIECE, right.getsockname())
        right.sendmsg([b"answer"], (), 0, left.getsockname())
        # Nothing that another thread must send: a lost datagram is nobody's fault.
        left.recvfrom(2000)
        right.recvfrom_into(bytearray(2000))


def pipes(stage: Stage) -> None:
    """Pipes with everything that can be done to them, and files whose descriptors are shared."""
    receiver, sender = os.pipe()
    with (
        os.fdopen(receiver, "rb", buffering=0) as file,
        os.fdopen(sender, "wb", buffering=0) as out,
        coro.file_sock(file) as left,
        coro.file_sock(out) as right,
    ):
        file.close()
        out.close()
        with right.dup() as twin:
            stage.part(_feed, right, twin, name="sender")
            stage.part(_drain, left, name="receiver")
            stage.join()


def _feed(right: coro.fd_sock, twin: coro.fd_sock) -> None:
    try:
        right.write(PIECE * 100)
        twin.writev([PIECE, PIECE])
    finally:
        with twin:
            right.close()


def _drain(left: coro.fd_sock) -> None:
    with left:
        left.read_exact(10000)
        left.readv([100, 100])
        while left.read(65536):
            pass


def sockets(stage: Stage) -> None:
    """Duplicates, detached ones, several connections accepted at once, one side that does not wait."""
    with coro.tcp_sock() as listener:
        listener.set_reuse_addr()
        listener.bind((LOOPBACK, 0))
        listener.listen(5)
        with ExitStack() as stack:
            clients = [stack.enter_context(coro.tcp_sock()) for _ in range(3)]
            for client in clients:
                client.set_nonblocking()
                client.connect(listener.getsockname())
            with clients[0].dup() as twin:
                twin.getpeername()
            for connection, _ in listener.accept_many():
                stack.enter_context(connection)
    one, other = coro.socketpair()
    with one, other:
        os.close(one.detach())
        other.recv(1)


def foreign(stage: Stage) -> None:
    """Descriptors of other libraries are waited for."""
    left, right = socket.socketpair()
    with left, right:
        coro.wait_for_write(left, 1)
        stage.part(coro.wait_for_read, left, name="waiter")
        coro.yield_slice()
        right.send(b"x")
        stage.join()
        seen = coro.event()
        coro.set_handler(right, coro.READ, lambda fd, events: seen.set())
        left.send(b"x")
        try:
            seen.wait(1)
        finally:
            coro.set_handler(right, coro.READ, None)


def os_threads(stage: Stage) -> None:
    """Calls go out to other OS threads, and come in from there."""
    for number in range(3):
        stage.part(_call_out, number, name=f"caller {number}")
    stage.join()


def _call_out(number: int) -> None:
    def job() -> int:
        return coro.call_from_os_thread(lambda: number)

    if coro.in_os_thread(job) != number:
        raise AssertionError("another's result")


def names(stage: Stage) -> None:
    getaddrinfo("localhost", None)
    gethostbyname("localhost")
    gethostbyname(LOOPBACK)
    getnameinfo((LOOPBACK, 80), 0)
    getnameinfo((LOOPBACK, 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
    with coro.tcp_sock() as bound:
        bound.bind(("localhost", 0))


def children(stage: Stage) -> None:
    stage.part(_wait_for_child, name="waiter")
    stage.join()


def _wait_for_child() -> None:
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    assert child.stdin is not None
    helper = coro.spawn(_close_when_waited_for, child.stdin)
    try:
        coro.waitpid(child.pid)
        child.returncode = 0
    finally:
        helper.shutdown()
        child.stdin.close()
        child.wait()


def _close_when_waited_for(stdin: Any) -> None:
    coro.yield_slice()
    stdin.close()


def signals(stage: Stage) -> None:
    arrived = coro.event()
    signal_handler.register(signal.SIGUSR2, lambda number: arrived.set())
    try:
        os.kill(os.getpid(), signal.SIGUSR2)
        arrived.wait()
    finally:
        signal_handler.unregister(signal.SIGUSR2)


SCENARIOS: dict[str, Callable[[Stage], object]] = {
    function.__name__: function
    for function in (
        *(tcp_echo, capped_echo, unix_echo, everywhere, activation, streams, datagrams, pipes, sockets, foreign),
        *(os_threads, names, children, signals),
    )
}
