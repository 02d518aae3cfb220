"""Binding: nobody else gets in at any moment, nothing of anybody else's is removed, nothing is left behind."""

import errno
import multiprocessing
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coro.backdoor import binding
from coro.backdoor.binding import BindRefused, BoundSocket, bind_tcp, bind_unix
from coro.wire.lock_file import try_lock
from coro.wire.places import find_sockets

OTHER_UID = 54_321

WAYS = ["mode before bind", "bind and rename"]


def needs_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to another user")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A path for a socket, and registrations that go nowhere else."""
    monkeypatch.setenv("CORO_RUNTIME_DIRECTORY", str(tmp_path / "runtime"))
    (tmp_path / "d").mkdir()
    return str(tmp_path / "d" / "x.sock")


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of binding: that of BSD and macOS works on Linux too."""
    monkeypatch.setattr(binding, "_MODE_BEFORE_BIND", request.param == WAYS[0])


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o777], ids=lambda mask: f"umask {mask:03o}")
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    old = os.umask(request.param)
    yield
    os.umask(old)


def connect(path: str) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(5)
    try:
        client.connect(path)
    except OSError:
        client.close()
        raise
    return client


def leave_stale(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)


def names(path: str) -> list[str]:
    return sorted(os.listdir(os.path.dirname(path)))


@pytest.mark.usefixtures("way")
def test_bound_socket_listens_and_does_not_block(place: str) -> None:
    with bind_unix(place) as bound:
        assert bound.path == place
        assert type(bound.socket) is socket.socket
        assert bound.socket.getblocking() is False
        assert not os.get_inheritable(bound.fileno())
        assert bound.identity == (os.lstat(place).st_dev, os.lstat(place).st_ino)
        with connect(place):
            accepted, _ = bound.socket.accept()
            accepted.close()


@pytest.mark.usefixtures("way")
def test_close_leaves_nothing_behind(place: str, tmp_path: Path) -> None:
    bound = bind_unix(place)
    assert "x.sock" in names(place)

    bound.close()
    bound.close()

    assert names(place) == []
    assert os.listdir(tmp_path / "runtime") == []
    assert bound.fileno() == -1


def test_descriptors_are_closed(place: str) -> None:
    before = sorted(os.listdir("/dev/fd"))
    bind_unix(place).close()
    with bind_unix(place), pytest.raises(BindRefused):
        bind_unix(place)
    assert sorted(os.listdir("/dev/fd")) == before


# -- the mode


@pytest.mark.usefixtures("way", "umask")
@pytest.mark.parametrize("mode", [0o600, 0o660])
def test_mode_is_as_asked_whatever_the_umask(place: str, mode: int) -> None:
    with bind_unix(place, mode=mode):
        assert stat.S_IMODE(os.lstat(place).st_mode) == mode


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the file is made under another name first")
def test_file_is_closed_to_others_from_its_first_moment_at_umask_0(place: str) -> None:
    """The kernel is asked right after bind(2), and by an OS thread all the time."""
    seen: set[int] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            for name in os.listdir(os.path.dirname(place)):
                try:
                    seen.add(stat.S_IMODE(os.lstat(os.path.join(os.path.dirname(place), name)).st_mode))
                except FileNotFoundError:
                    continue

    watcher = threading.Thread(target=watch)
    old = os.umask(0)
    watcher.start()
    try:
        for _ in range(300):
            bind_unix(place).close()
    finally:
        os.umask(old)
        done.set()
        watcher.join()
    assert seen == {0o600}


@pytest.mark.skipif(sys.platform != "linux", reason="the order of system calls on Linux")
def test_mode_is_right_between_bind_and_the_next_call(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    modes = []
    bind = binding._try_to

    def look_after(do: Any, address: str, path: str) -> None:
        bind(do, address, path)
        modes.append(stat.S_IMODE(os.lstat(address).st_mode))

    monkeypatch.setattr(binding, "_try_to", look_after)
    old = os.umask(0)
    try:
        bind_unix(place).close()
    finally:
        os.umask(old)
    assert modes == [0o600]


def test_renamed_socket_does_not_listen_before_its_mode_is_right(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binding, "_MODE_BEFORE_BIND", False)
    chmod = os.chmod
    seen = []

    def look_before(path: str, mode: int) -> None:
        with pytest.raises(ConnectionRefusedError):
            connect(path)
        assert not os.path.exists(place)
        seen.append(path)
        chmod(path, mode)

    monkeypatch.setattr(os, "chmod", look_before)
    with bind_unix(place, registered=False):
        assert len(seen) == 1


# -- what is in the way


@pytest.mark.usefixtures("way")
def test_stale_socket_of_ours_is_replaced(place: str) -> None:
    leave_stale(place)

    with bind_unix(place), connect(place):
        pass


def test_socket_of_a_killed_daemon_is_replaced(place: str) -> None:
    code = (
        "import sys; from coro.backdoor.binding import bind_unix;"
        "bind_unix(sys.argv[1]); print('up', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, place], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as daemon:
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == b"up\n"
        daemon.kill()
    assert names(place) == ["x.sock", "x.sock.lock"]

    with bind_unix(place), connect(place):
        pass
    assert names(place) == []


@pytest.mark.usefixtures("way")
def test_living_daemon_is_refused_by_pid(place: str) -> None:
    with bind_unix(place) as first:
        with pytest.raises(BindRefused, match=f"pid {os.getpid()} listens there already") as caught:
            bind_unix(place)
        assert caught.value.errno == errno.EADDRINUSE
        assert caught.value.filename == place
        assert first.in_place()
        with connect(place):
            pass


def test_living_listener_without_a_lock_is_refused_by_pid(place: str) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(place)
        other.listen()
        with pytest.raises(BindRefused, match=f"pid {os.getpid()} listens there already"):
            bind_unix(place)
        with connect(place):
            pass
    assert names(place) == ["x.sock"]


def test_listener_with_a_full_backlog_is_living(place: str) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(place)
        other.listen(0)
        clients = [connect(place)]
        try:
            with pytest.raises(BindRefused, match="its backlog is full") as caught:
                bind_unix(place)
        finally:
            clients[0].close()
    assert caught.value.errno == errno.EADDRINUSE
    assert os.path.exists(place)


def test_datagram_socket_is_refused(place: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(place)
        with pytest.raises(BindRefused, match="cannot be asked"):
            bind_unix(place)
    assert os.path.exists(place)


def make_file(path: str) -> None:
    Path(path).write_text("precious")


def make_link_to_stale(path: str) -> None:
    leave_stale(path + ".target")
    os.symlink(path + ".target", path)


def make_dangling_link(path: str) -> None:
    os.symlink(path + ".nowhere", path)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("make", "what"),
    [
        (make_file, "a file"),
        (os.mkdir, "a directory"),
        (make_link_to_stale, "a symbolic link"),
        (make_dangling_link, "a symbolic link"),
        (os.mkfifo, "something that is not a socket"),
    ],
)
def test_what_is_no_socket_is_refused_and_left(place: str, make: Any, what: str) -> None:
    make(place)
    before = names(place)

    with pytest.raises(BindRefused, match=f"{what} is in the way") as caught:
        bind_unix(place)

    assert caught.value.errno == errno.EEXIST
    assert caught.value.filename == place
    assert place in str(caught.value)
    assert names(place) == before


@pytest.mark.usefixtures("way")
def test_link_to_a_living_socket_is_refused(place: str) -> None:
    with bind_unix(place + ".real") as real:
        os.symlink(real.path, place)
        with pytest.raises(BindRefused, match="a symbolic link is in the way"):
            bind_unix(place)
        assert real.in_place()


@pytest.mark.usefixtures("way")
def test_stale_socket_of_another_user_is_refused_and_left(place: str) -> None:
    needs_root()
    leave_stale(place)
    os.chown(place, OTHER_UID, OTHER_UID)

    with pytest.raises(BindRefused, match=f"a socket of uid {OTHER_UID} is in the way"):
        bind_unix(place)

    assert names(place) == ["x.sock"]


def make_foreign_lock(path: str) -> None:
    needs_root()
    make_file(path)
    os.chown(path, OTHER_UID, OTHER_UID)


def make_hard_link(path: str) -> None:
    make_file(path + ".precious")
    os.link(path + ".precious", path)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (make_foreign_lock, f"belongs to uid {OTHER_UID}"),
        (os.mkdir, "Is a directory"),
        (make_dangling_link, "symbolic links"),
        (os.mkfifo, "not a regular file"),
        (make_hard_link, "2 names"),
    ],
)
def test_strange_lock_is_refused_and_left(place: str, make: Any, error: str) -> None:
    make(place + ".lock")
    before = names(place)

    with pytest.raises(BindRefused, match=error) as caught:
        bind_unix(place)

    assert caught.value.filename == place + ".lock"
    assert names(place) == before


# -- the path


def test_path_too_long_is_refused_with_length_and_limit(tmp_path: Path) -> None:
    path = str(tmp_path) + "/" + "x" * (binding._MAX_PATH_BYTES - len(str(tmp_path)))

    with pytest.raises(BindRefused, match="the path is 108 bytes long, the limit is 107") as caught:
        bind_unix(path)

    assert caught.value.errno == errno.ENAMETOOLONG
    bind_unix(path[:-1]).close()


def test_length_is_counted_in_bytes(tmp_path: Path) -> None:
    with pytest.raises(BindRefused, match="bytes long"):
        bind_unix(str(tmp_path) + "/" + "é" * ((binding._MAX_PATH_BYTES - len(str(tmp_path))) // 2 + 1))


@pytest.mark.parametrize("path", ["", "\0abstract", "a\0b"])
def test_path_that_names_no_file_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="path must be that of a file"):
        bind_unix(path)


def test_missing_directory_of_the_users_is_refused_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(BindRefused, match=f"there is no directory {tmp_path}/missing"):
        bind_unix(tmp_path / "missing" / "x.sock")
    assert not (tmp_path / "missing").exists()


@pytest.mark.usefixtures("umask")
def test_default_directory_is_made_for_us_alone(tmp_path: Path) -> None:
    with bind_unix(tmp_path / "runtime" / "1.sock"):
        assert stat.S_IMODE(os.lstat(tmp_path / "runtime").st_mode) == 0o700


def make_open_directory(path: str) -> None:
    os.mkdir(path)
    os.chmod(path, 0o770)


def make_foreign_directory(path: str) -> None:
    needs_root()
    os.mkdir(path, 0o700)
    os.chown(path, OTHER_UID, OTHER_UID)


def make_linked_directory(path: str) -> None:
    os.mkdir(path + ".real", 0o700)
    os.symlink(path + ".real", path)


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (make_open_directory, r"may be written by others \(mode 0770\)"),
        (make_foreign_directory, f"belongs to uid {OTHER_UID}"),
        (make_linked_directory, "is a symbolic link"),
        (make_file, "is not a directory"),
    ],
)
def test_default_directory_that_others_may_use_is_refused(tmp_path: Path, make: Any, fault: str) -> None:
    make(str(tmp_path / "runtime"))

    with pytest.raises(BindRefused, match=fault):
        bind_unix(tmp_path / "runtime" / "1.sock")


def test_relative_path_still_leads_there_after_chdir(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(os.path.dirname(place))
    bound = bind_unix("x.sock")
    monkeypatch.chdir("/")

    assert bound.path == place
    bound.close()
    assert names(place) == []


# -- close


@pytest.mark.usefixtures("way")
def test_close_does_not_remove_what_replaced_it(place: str) -> None:
    bound = bind_unix(place)
    os.unlink(place)
    leave_stale(place)
    assert not bound.in_place()

    bound.close()

    assert names(place) == ["x.sock"]


def test_close_of_a_socket_that_was_removed_is_no_error(place: str) -> None:
    bound = bind_unix(place)
    os.unlink(place)
    os.unlink(place + ".lock")

    bound.close()

    assert names(place) == []


def test_close_does_not_remove_the_lock_of_another(place: str) -> None:
    """Somebody cleared the files away, and a second daemon came: both serve, and the first leaves the second's."""
    first = bind_unix(place)
    os.unlink(place)
    os.unlink(place + ".lock")
    second = bind_unix(place)

    first.close()

    assert second.in_place()
    assert names(place) == ["x.sock", "x.sock.lock"]
    second.close()
    assert names(place) == []


def test_everything_is_closed_even_if_the_socket_cannot_be_removed(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = bind_unix(place)

    def refuse(path: str) -> None:
        raise OSError(errno.EROFS, "Read-only file system", path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refuse)
        with pytest.raises(OSError, match="Read-only"):
            bound.close()
    assert bound.fileno() == -1
    bind_unix(place).close()
    assert names(place) == []


def test_failure_after_the_bind_leaves_nothing(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: str, mode: int, gid: int | None) -> tuple[int, int]:
        raise OSError(errno.EIO, "broken", path)

    monkeypatch.setattr(binding, "_give_back", fail)
    with pytest.raises(OSError, match="broken"):
        bind_unix(place)
    assert names(place) == []


def test_touch_makes_the_files_young(place: str, tmp_path: Path) -> None:
    with bind_unix(place) as bound:
        entry = tmp_path / "runtime" / f"{os.getpid()}.path"
        for path in (place + ".lock", entry):
            os.utime(path, (1000, 1000))
        bound.touch()
        assert min(os.stat(place + ".lock").st_mtime, entry.stat().st_mtime) > 1_000_000


# -- fork


def in_child(function: Any) -> None:
    """Run in a forked child; fails if it raises."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            function()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize("end", [BoundSocket.forget, BoundSocket.close])
def test_child_takes_nothing_from_its_parent(place: str, end: Any) -> None:
    with bind_unix(place) as bound:

        def child() -> None:
            end(bound)
            assert bound.fileno() == -1

        in_child(child)

        assert bound.in_place()
        with pytest.raises(BindRefused, match="listens there already"):
            bind_unix(place)
        assert [found.path for found in find_sockets()] == [place]


def test_lock_ends_with_the_parent_when_the_child_forgets(place: str) -> None:
    """A child that lived on with the lock would have the path taken for ever."""
    bound = bind_unix(place)
    forgotten, release = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            bound.forget()
            os.write(forgotten[1], b"x")
            os.read(release[0], 1)
        finally:
            os._exit(0)
    os.read(forgotten[0], 1)
    # As if this process had been killed: nothing is unlinked.
    bound.forget()

    try:
        with bind_unix(place), connect(place):
            pass
    finally:
        os.write(release[1], b"x")
        os.waitpid(pid, 0)
        for fd in (*forgotten, *release):
            os.close(fd)


# -- races


def race(path: str, start: Any, results: Any) -> None:
    start.wait()
    for _ in range(20):
        try:
            bound = bind_unix(path)
        except BindRefused as refused:
            if refused.errno != errno.EADDRINUSE:
                results.put(f"refused: {refused}")
            continue
        # Alone: nobody may have taken the place from us.
        time.sleep(0.002)
        results.put("alone" if bound.in_place() else "replaced while alive")
        bound.close()
    results.put("end")


def test_daemons_at_one_path_at_one_time_never_share_it(place: str) -> None:
    context = multiprocessing.get_context("fork")
    start, results = context.Event(), context.SimpleQueue()
    leave_stale(place)
    processes = [context.Process(target=race, args=(place, start, results)) for _ in range(4)]
    for process in processes:
        process.start()
    start.set()
    seen = []
    while seen.count("end") < len(processes):
        seen.append(results.get())
    for process in processes:
        process.join()
        process.close()
    results.close()

    assert set(seen) == {"alone", "end"}
    assert names(place) == []


def test_client_that_looks_does_not_keep_a_daemon_from_binding(place: str) -> None:
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            find_sockets()

    with bind_unix(place):
        pass
    looker = threading.Thread(target=look)
    looker.start()
    try:
        for _ in range(200):
            bind_unix(os.path.join(os.environ["CORO_RUNTIME_DIRECTORY"], f"{os.getpid()}.sock")).close()
    finally:
        done.set()
        looker.join()


def test_held_lock_without_a_listener_is_refused_after_a_while(place: str) -> None:
    lock = try_lock(place + ".lock")
    assert lock is not None
    began = time.monotonic()
    with pytest.raises(BindRefused, match=f"another process holds {place}.lock"):
        bind_unix(place)
    assert time.monotonic() - began < 1
    lock.release()


# -- registration


def test_socket_elsewhere_is_found_by_pid(place: str) -> None:
    with bind_unix(place) as bound:
        assert bound.registration_fault is None
        assert [(found.path, found.pid) for found in find_sockets()] == [(place, os.getpid())]
    assert find_sockets() == []


def test_failed_registration_is_told_and_no_error(place: str, tmp_path: Path) -> None:
    make_file(str(tmp_path / "runtime"))

    with bind_unix(place) as bound, connect(place):
        assert bound.registration_fault is not None
        assert "is not a directory" in bound.registration_fault


# -- TCP


@pytest.mark.parametrize(
    ("ip", "family", "bound_ip"),
    [
        ("127.0.0.1", socket.AF_INET, "127.0.0.1"),
        ("localhost", socket.AF_INET, "127.0.0.1"),
        ("127.0.0.2", socket.AF_INET, "127.0.0.2"),
        ("::1", socket.AF_INET6, "::1"),
        ("::ffff:127.0.0.1", socket.AF_INET, "127.0.0.1"),
    ],
)
def test_loopback_listens(ip: str, family: int, bound_ip: str) -> None:
    with bind_tcp(ip, 0) as listener:
        assert listener.family == family
        assert listener.getblocking() is False
        assert listener.getsockname()[0] == bound_ip
        socket.create_connection(listener.getsockname()[:2], timeout=5).close()


@pytest.mark.parametrize("ip", ["0.0.0.0", "::", "192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1"])
@pytest.mark.parametrize(
    ("allow_remote", "has_token", "reason"),
    [
        (False, False, "allow_remote=True"),
        (False, True, "allow_remote=True"),
        (True, False, "needs a token"),
    ],
)
def test_other_address_is_refused_without_permission_and_token(
    ip: str, allow_remote: bool, has_token: bool, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        bind_tcp(ip, 0, allow_remote=allow_remote, has_token=has_token)


def test_other_address_listens_with_permission_and_token() -> None:
    with bind_tcp("0.0.0.0", 0, allow_remote=True, has_token=True) as listener:
        assert listener.getsockname()[0] == "0.0.0.0"


@pytest.mark.parametrize("ip", ["", "example.org", "127.1", "256.0.0.1", "127.0.0.1 "])
def test_address_must_be_numeric(ip: str) -> None:
    with pytest.raises(ValueError, match="must be a numeric address"):
        bind_tcp(ip, 0, allow_remote=True, has_token=True)


@pytest.mark.parametrize("port", [-1, 65_536, [], [0, 70_000], True, ["80"]])
def test_impossible_port_is_refused(port: Any) -> None:
    with pytest.raises(ValueError, match=r"a port must be 0 to 65535|the list of ports is empty"):
        bind_tcp("127.0.0.1", port)


def test_first_free_port_of_a_list_is_taken() -> None:
    with bind_tcp("127.0.0.1", 0) as first, bind_tcp("127.0.0.1", 0) as free:
        taken, number = first.getsockname()[1], free.getsockname()[1]
        free.close()
        with bind_tcp("127.0.0.1", [taken, number]) as second:
            assert second.getsockname()[1] == number


def test_taken_ports_are_named() -> None:
    with bind_tcp("127.0.0.1", 0) as one, bind_tcp("127.0.0.1", 0) as other:
        ports = [one.getsockname()[1], other.getsockname()[1]]
        with pytest.raises(BindRefused, match=f"no port is free of {ports[0]}, {ports[1]}") as caught:
            bind_tcp("127.0.0.1", ports)
        assert caught.value.errno == errno.EADDRINUSE
        with pytest.raises(BindRefused, match=f"port {ports[0]} is taken"):
            bind_tcp("127.0.0.1", ports[0])


def test_address_of_no_interface_is_an_error_that_names_it() -> None:
    with pytest.raises(BindRefused, match=r"192\.0\.2\.1 port 0"):
        bind_tcp("192.0.2.1", 0, allow_remote=True, has_token=True)
