"""Sockets that listen: TCP at one or several addresses, Unix sockets at a path and what may stand in its way."""

import errno
import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

import coro
from coro import resolve, testing
from coro.server import listen_tcp, listen_unix
from tests.io.pairs import Own, needs_ipv6


def listen(own: Own, address: Any, **options: Any) -> list[coro.sock]:
    """listen_tcp(); what it made is closed after the test."""
    return [own(listener) for listener in listen_tcp(address, **options)]


def answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=5):
            return True
    except ConnectionRefusedError:
        return False


# -- TCP


def test_numeric_address_is_listened_at(own: Own) -> None:
    [listener] = listen(own, ("127.0.0.1", 0))
    assert isinstance(listener, coro.sock)
    host, port = listener.getsockname()
    assert host == "127.0.0.1"
    assert answers("127.0.0.1", port)
    assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)


@needs_ipv6
@pytest.mark.parametrize("host", ["", None])
def test_no_host_is_every_interface_of_both_ip_versions(host: str | None, own: Own) -> None:
    [listener] = listen(own, (host, 0))
    port = listener.getsockname()[1]
    assert listener.family == socket.AF_INET6
    assert answers("127.0.0.1", port)
    assert answers("::1", port)


def test_no_host_where_there_is_no_ipv6(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coro.server.listening.has_ipv6", lambda: False)
    [listener] = listen(own, ("", 0))
    assert listener.getsockname()[0] == "0.0.0.0"


@needs_ipv6
def test_ipv6_wildcard_leaves_ipv4_to_others(own: Own) -> None:
    for attempt in range(10):
        [six] = listen(own, ("::", 0))
        try:
            [four] = listen(own, ("0.0.0.0", six.getsockname()[1]))
        except OSError as error:
            # Some other program may have it.
            if error.errno != errno.EADDRINUSE or attempt == 9:
                raise
        else:
            break
    assert four.getsockname()[1] == six.getsockname()[1]


@needs_ipv6
def test_name_is_listened_at_on_all_its_addresses_at_one_port(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def look_up(host: Any, *arguments: Any) -> Any:
        if arguments[-1] & socket.AI_NUMERICHOST:
            return real(host, *arguments)
        assert host == "dual.example"
        # As a hosts file that names one of them twice.
        return [found for number in ("127.0.0.1", "::1", "127.0.0.1") for found in real(number, *arguments)]

    monkeypatch.setattr(resolve, "_getaddrinfo", look_up)
    listeners = testing.run(listen, own, ("dual.example", 0))
    assert [listener.family for listener in listeners] == [socket.AF_INET, socket.AF_INET6]
    [port] = {listener.getsockname()[1] for listener in listeners}
    assert answers("127.0.0.1", port)
    assert answers("::1", port)


@needs_ipv6
def test_free_port_that_is_taken_on_the_second_address_is_given_up(
    own: Own, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = coro.sock.bind
    taken: list[int] = []

    def bind(sock: coro.sock, address: Any) -> None:
        if address[0] == "::1" and len(taken) < 2:
            taken.append(address[1])
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        real(sock, address)

    def look_up(host: Any, port: Any, *arguments: Any) -> Any:
        return [found for number in ("127.0.0.1", "::1") for found in socket.getaddrinfo(number, port, *arguments)]

    monkeypatch.setattr("coro.server.listening.getaddrinfo", look_up)
    monkeypatch.setattr(coro.sock, "bind", bind)
    before = coro.get_live_sockets()
    listeners = listen(own, ("dual.example", 0))
    assert len(listeners) == 2
    assert len({listener.getsockname()[1] for listener in listeners} - set(taken)) == 1
    assert coro.get_live_sockets() == before + 2


def test_address_that_this_host_lacks_is_left_out_if_there_is_another(
    own: Own, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = ["203.0.113.1", "127.0.0.1"]

    def look_up(host: Any, port: Any, *arguments: Any) -> Any:
        return [found for number in places for found in socket.getaddrinfo(number, port, *arguments)]

    monkeypatch.setattr("coro.server.listening.getaddrinfo", look_up)
    [listener] = listen(own, ("both.example", 0))
    assert listener.getsockname()[0] == "127.0.0.1"
    places.pop()
    with pytest.raises(OSError, match=r"203\.0\.113\.1") as caught:
        listen_tcp(("none.example", 0))
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_port_in_use_names_the_address_and_leaves_nothing_open(own: Own) -> None:
    [listener] = listen(own, ("127.0.0.1", 0))
    address = listener.getsockname()
    before = coro.get_live_sockets()
    with pytest.raises(OSError) as caught:
        listen_tcp(address)
    assert caught.value.errno == errno.EADDRINUSE
    assert str(address) in str(caught.value)
    assert coro.get_live_sockets() == before


def test_port_can_be_shared_if_asked(own: Own) -> None:
    [first] = listen(own, ("127.0.0.1", 0), reuse_port=True)
    [second] = listen(own, first.getsockname(), reuse_port=True)
    assert first.getsockname() == second.getsockname()


def test_port_of_a_server_that_has_just_stopped_can_be_used(own: Own) -> None:
    [listener] = listen(own, ("127.0.0.1", 0))
    address = listener.getsockname()
    with socket.create_connection(address), listener.accept()[0]:
        listener.close()
    listen(own, address)


@pytest.mark.parametrize(
    ("address", "error", "message"),
    [
        ("localhost", TypeError, "tuple"),
        (("127.0.0.1",), TypeError, "tuple"),
        ((127, 80), TypeError, "host"),
        ((b"127.0.0.1", 80), TypeError, "host"),
        (("127.0.0.1", "80"), TypeError, "port"),
        (("127.0.0.1", True), TypeError, "port"),
        (("127.0.0.1", -1), ValueError, "0 to 65535, got -1"),
        (("127.0.0.1", 65536), ValueError, "0 to 65535, got 65536"),
    ],
)
def test_wrong_address_is_refused(address: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        listen_tcp(address)


# -- Unix


def test_unix_socket_is_listened_at(own: Own, tmp_path: Path) -> None:
    for path in (tmp_path / "one", str(tmp_path / "two")):
        listener = own(listen_unix(path))
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            own(listener.accept()[0])


def test_stale_unix_socket_is_replaced(own: Own, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as crashed:
        crashed.bind(path)
        crashed.listen()
    assert stat.S_ISSOCK(os.lstat(path).st_mode)
    own(listen_unix(path))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


@pytest.mark.parametrize("full", [False, True])
def test_live_unix_socket_is_left_alone(full: bool, own: Own, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    listener = own(listen_unix(path, backlog=0))
    inode = os.lstat(path).st_ino
    clients = []
    if full:
        clients = [own(socket.socket(socket.AF_UNIX))]
        clients[0].connect(path)
    with pytest.raises(OSError) as caught:
        listen_unix(path)
    assert caught.value.errno == errno.EADDRINUSE
    assert caught.value.filename == path
    assert os.lstat(path).st_ino == inode
    own(listener.accept()[0])


def test_datagram_socket_in_the_way_is_left_alone(own: Own, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    own(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)).bind(path)
    with pytest.raises(OSError, match="listens there already"):
        listen_unix(path)
    assert os.path.lexists(path)


@pytest.mark.parametrize("kind", ["file", "folder", "link to a socket", "link to nothing"])
def test_what_is_no_socket_is_left_alone(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "in the way"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "stale"))
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / ("stale" if kind == "link to a socket" else "nothing"))
    before = coro.get_live_sockets()
    with pytest.raises(FileExistsError) as caught:
        listen_unix(path)
    assert caught.value.filename == str(path)
    assert os.path.lexists(path)
    assert (tmp_path / "stale").exists()
    assert coro.get_live_sockets() == before


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666, 0o777])
def test_mode_is_exactly_the_one_that_was_asked_for(mode: int, own: Own, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    old = os.umask(0o027)
    try:
        own(listen_unix(path, mode=mode))
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_without_a_mode_the_umask_decides(own: Own, tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        own(listen_unix(tmp_path / "socket"))
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "socket").stat().st_mode) == 0o700


def test_file_is_never_open_to_more_than_was_asked_for(
    own: Own, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "socket"
    real = os.chmod
    seen: list[int] = []

    def chmod(name: Any, mode: int, **options: Any) -> None:
        seen.append(stat.S_IMODE(os.stat(name).st_mode))
        real(name, mode, **options)

    monkeypatch.setattr(os, "chmod", chmod)
    old = os.umask(0)
    try:
        own(listen_unix(path, mode=0o600))
    finally:
        os.umask(old)
    assert seen == [0o600]


def test_socket_that_cannot_listen_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def listen(sock: coro.sock, backlog: int) -> None:
        raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))

    monkeypatch.setattr(coro.sock, "listen", listen)
    before = coro.get_live_sockets()
    with pytest.raises(OSError):
        listen_unix(tmp_path / "socket")
    assert list(tmp_path.iterdir()) == []
    assert coro.get_live_sockets() == before


@pytest.mark.skipif(not hasattr(socket, "SO_PASSCRED"), reason="only Linux has abstract names")
def test_abstract_name_has_no_file(own: Own) -> None:
    name = f"\0coro-test-{os.getpid()}"
    listener = own(listen_unix(name))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(name)
        own(listener.accept()[0])
    with pytest.raises(OSError) as caught:
        listen_unix(name)
    assert caught.value.errno == errno.EADDRINUSE


def test_wrong_path_is_refused(tmp_path: Path) -> None:
    for wrong in (5, None, b"bytes"):
        with pytest.raises(TypeError):
            listen_unix(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="empty"):
        listen_unix("")
    with pytest.raises(OSError) as caught:
        listen_unix(tmp_path / ("x" * 120))
    assert caught.value.errno == errno.ENAMETOOLONG
    with pytest.raises(FileNotFoundError) as missing:
        listen_unix(tmp_path / "no such folder" / "socket")
    assert missing.value.filename.endswith("socket")
