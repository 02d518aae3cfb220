"""Where sockets are put and found, also among what hostile users have laid there."""

import fcntl
import os
import re
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from coro.backdoor.binding import bind_unix
from coro.wire import directories, places
from coro.wire.lock_file import is_held, try_lock
from coro.wire.places import (
    Found,
    candidate_directories,
    default_socket_path,
    find_sockets,
    pid_sockets,
    register,
    runtime_directory,
    socket_answers,
    unregister,
)

ROOT = Path(__file__).parent.parent.parent
OTHER_UID = 54_321
ME = os.geteuid()


def needs_root() -> None:
    if ME != 0:
        pytest.skip("only root can give a file to another user")


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /run and a /tmp of our own, and an environment without directories."""
    for name in ("CORO_RUNTIME_DIRECTORY", "RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "run" / "user").mkdir(parents=True)
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp").chmod(0o1777)
    monkeypatch.setattr(directories, "RUN", str(tmp_path / "run"))
    monkeypatch.setattr(directories, "TEMP", str(tmp_path / "tmp"))
    return tmp_path


@pytest.fixture
def not_root(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A /run in which nothing can be made, as for most users."""
    monkeypatch.setattr(directories, "RUN", str(machine / "no-run"))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def listen(stack: ExitStack, path: Path | str, *, uid: int = ME, lock: bool = True) -> socket.socket:
    """A living socket, as a daemon of `uid` makes it; without a held lock."""
    listener = stack.enter_context(socket.socket(socket.AF_UNIX))
    listener.bind(str(path))
    listener.listen()
    files = [str(path)]
    if lock:
        Path(f"{path}.lock").touch(0o600)
        files.append(f"{path}.lock")
    for file in files:
        os.chown(file, uid, -1)
    return listener


def directory(path: Path, *, uid: int = ME, mode: int = 0o700) -> Path:
    path.mkdir(parents=True)
    path.chmod(mode)
    os.chown(path, uid, -1)
    return path


def paths(found: list[Found]) -> list[str]:
    return [each.path for each in found]


# -- where to put it


def test_session_directory_comes_first(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = directory(machine / "session")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(session))

    assert runtime_directory() == str(session / "coro")
    assert stat.S_IMODE((session / "coro").stat().st_mode) == 0o700


def test_services_directory_comes_before_the_session(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory(machine / "session")))
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{machine}/missing:{directory(machine / 'run' / 'mx', mode=0o755)}")

    assert runtime_directory() == str(machine / "run" / "mx")


def test_session_directory_of_another_user_is_not_used(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under sudo, which may keep the variable."""
    needs_root()
    session = directory(machine / "session", uid=OTHER_UID)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(session))

    assert runtime_directory() == str(machine / "run" / "coro")
    assert list(session.iterdir()) == []


@pytest.mark.parametrize("path", ["relative", ""])
def test_relative_session_directory_is_ignored(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", path)
    monkeypatch.setenv("RUNTIME_DIRECTORY", path)
    assert all(os.path.isabs(each) for each in candidate_directories())
    assert os.path.isabs(runtime_directory())


def test_directory_that_the_last_logout_removes_is_used_only_in_a_session(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = directory(machine / "run" / "user" / str(ME))
    assert runtime_directory() != str(session / "coro")

    monkeypatch.setenv("XDG_RUNTIME_DIR", str(session))
    assert runtime_directory() == str(session / "coro")


def test_root_makes_its_directory_so_that_others_can_pass(machine: Path) -> None:
    needs_root()
    assert runtime_directory() == str(machine / "run" / "coro")
    assert stat.S_IMODE((machine / "run" / "coro").stat().st_mode) == 0o755


@pytest.mark.usefixtures("not_root")
def test_last_resort_is_private_and_under_tmp(machine: Path) -> None:
    old = os.umask(0)
    try:
        assert runtime_directory() == str(machine / "tmp" / f"coro-{ME}")
    finally:
        os.umask(old)
    assert stat.S_IMODE((machine / "tmp" / f"coro-{ME}").stat().st_mode) == 0o700


def lay_link(path: Path) -> None:
    directory(path.parent / "elsewhere")
    path.symlink_to(path.parent / "elsewhere")


def lay_open(path: Path) -> None:
    directory(path, mode=0o777)


def lay_sticky(path: Path) -> None:
    directory(path, mode=0o1777)


def lay_foreign(path: Path) -> None:
    needs_root()
    directory(path, uid=OTHER_UID)


FAULTS = [
    (lay_link, "is a symbolic link"),
    (lay_open, r"may be written by others \(mode 0777\)"),
    (lay_sticky, r"may be written by others \(mode 1777\)"),
    (lay_foreign, f"belongs to uid {OTHER_UID}"),
    (Path.touch, "is not a directory"),
]


@pytest.mark.usefixtures("not_root")
@pytest.mark.parametrize(("lay", "fault"), FAULTS)
def test_last_resort_that_somebody_has_prepared_is_refused(machine: Path, lay: Any, fault: str) -> None:
    lay(machine / "tmp" / f"coro-{ME}")
    with pytest.raises(OSError, match=rf"no directory serves.*run/coro does not exist.*coro-{ME} {fault}"):
        runtime_directory()


def test_default_path_is_named_by_pid(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORO_RUNTIME_DIRECTORY", str(machine / "only"))
    assert default_socket_path(17) == str(machine / "only" / "17.sock")
    assert default_socket_path(17, "smtp-in") == str(machine / "only" / "smtp-in-17.sock")


@pytest.mark.parametrize("name", ["", "a/b", "..", "x" * 41, "a\n", "é", "-x"])
def test_name_that_is_no_plain_word_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="a socket's name must be"):
        default_socket_path(17, name)


def test_candidates_are_in_order_and_once(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = machine / "run"
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{run}/mx:{run}/coro")
    monkeypatch.setenv("XDG_RUNTIME_DIR", f"{run}/user/7")
    assert candidate_directories(7) == [
        f"{run}/mx",
        f"{run}/coro",
        f"{run}/user/7/coro",
        f"{machine}/tmp/coro-7",
    ]


def test_one_directory_can_be_the_only_one(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory(machine / "session")))
    monkeypatch.setenv("CORO_RUNTIME_DIRECTORY", str(machine / "only"))
    assert candidate_directories() == [str(machine / "only")]
    assert runtime_directory() == str(machine / "only")
    assert stat.S_IMODE((machine / "only").stat().st_mode) == 0o700


# -- finding


def test_daemons_are_found_in_every_directory(
    machine: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory(machine / "session")))
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(machine / "run" / "mx"))
    everywhere = [
        directory(machine / "run" / "mx") / "1.sock",
        directory(machine / "session" / "coro") / "2.sock",
        directory(machine / "run" / "user" / str(ME) / "coro") / "3.sock",
        directory(machine / "run" / "coro", mode=0o755) / "4.sock",
        directory(machine / "run" / "coro" / "mx", mode=0o755) / "smtp-in-5.sock",
        directory(machine / "tmp" / f"coro-{ME}") / "6.sock",
    ]
    for path in everywhere:
        listen(stack, path)

    assert find_sockets() == [Found(str(path), number, ME) for number, path in enumerate(everywhere, 1)]
    assert pid_sockets(5) == [Found(str(everywhere[4]), 5, ME)]
    assert pid_sockets(7) == []


def test_nothing_there_is_no_error() -> None:
    skipped: list[str] = []
    assert find_sockets(skipped=skipped) == find_sockets(True) == pid_sockets(1 << 30) == []
    assert skipped == []


@pytest.mark.parametrize(("lay", "fault"), FAULTS)
def test_directory_that_cannot_be_trusted_is_skipped_with_the_reason(machine: Path, lay: Any, fault: str) -> None:
    path = machine / "tmp" / f"coro-{ME}"
    lay(path)
    if path.is_dir():
        lay_dead(path / "1.sock")
    skipped: list[str] = []

    assert find_sockets(skipped=skipped) == []

    (line,) = skipped
    assert re.match(f"{path} {fault}", line)
    assert not path.is_dir() or (path / "1.sock").exists()


def test_other_users_daemons_are_found_by_root_that_asks(machine: Path, stack: ExitStack) -> None:
    needs_root()
    theirs = [
        directory(machine / "run" / "user" / str(OTHER_UID) / "coro", uid=OTHER_UID) / "1.sock",
        directory(machine / "run" / "coro" / "web", uid=OTHER_UID, mode=0o755) / "2.sock",
        directory(machine / "tmp" / f"coro-{OTHER_UID}", uid=OTHER_UID) / "3.sock",
    ]
    os.chown(machine / "run" / "user" / str(OTHER_UID), OTHER_UID, -1)
    for path in theirs:
        listen(stack, path, uid=OTHER_UID)

    assert find_sockets() == []
    assert find_sockets(True) == [Found(str(path), number, OTHER_UID) for number, path in enumerate(theirs, 1)]
    assert paths(pid_sockets(2)) == [str(theirs[1])]


def test_directory_in_tmp_with_anothers_number_is_not_believed(machine: Path, stack: ExitStack) -> None:
    needs_root()
    for number, name in enumerate(["coro-1000", "coro-x", "coro-", f"coro-{OTHER_UID}-x", f"xcoro-{OTHER_UID}"]):
        listen(stack, directory(machine / "tmp" / name, uid=OTHER_UID) / f"{number + 1}.sock", uid=OTHER_UID)
    assert find_sockets(True) == []


def listen_as_other(stack: ExitStack, path: Path) -> str:
    listen(stack, path / "theirs", uid=OTHER_UID)
    return str(path / "theirs")


def test_registration_of_another_user_is_found_by_root_that_asks(machine: Path, stack: ExitStack) -> None:
    """What the hostile entries below only look like."""
    needs_root()
    theirs = directory(machine / "tmp" / f"coro-{OTHER_UID}", uid=OTHER_UID)
    entry = theirs / "1.path"
    entry.write_text(listen_as_other(stack, theirs) + "\n")
    os.chown(entry, OTHER_UID, -1)
    fcntl.flock(stack.enter_context(entry.open()), fcntl.LOCK_EX)

    assert find_sockets(True) == [Found(str(theirs / "theirs"), 1, OTHER_UID)]


def test_hostile_entries_are_passed_over(machine: Path, stack: ExitStack) -> None:
    needs_root()
    theirs = directory(machine / "tmp" / f"coro-{OTHER_UID}", uid=OTHER_UID)
    ours = listen(stack, directory(machine / "ours") / "x.sock").getsockname()
    (theirs / "1.sock").symlink_to(ours)
    (theirs / "2.sock").touch()
    (theirs / "3.sock").mkdir()
    os.mkfifo(theirs / "4.sock")
    os.mkfifo(theirs / "5.path")
    (theirs / "6.path").symlink_to("/etc/passwd")
    for number, content in enumerate(
        [ours, "relative\n", "/a\n/b\n", "/\0\n", "/" + "x" * 5000 + "\n", "", "/dev/null\n", ours + "\n"], 7
    ):
        (theirs / f"{number}.path").write_text(content)
    for entry in theirs.iterdir():
        os.chown(entry, OTHER_UID, -1, follow_symlinks=False)
    # Somebody else's file, by a second name.
    secret = machine / "secret"
    secret.write_text(listen_as_other(stack, directory(machine / "more")) + "\n")
    os.link(secret, theirs / "20.path")
    # Their own, with a second name elsewhere.
    os.chown(secret, OTHER_UID, -1)
    foreign = theirs / "22.path"
    foreign.write_text(secret.read_text())
    os.chown(foreign, OTHER_UID + 1, -1)
    # A link to an entry that would be believed.
    (machine / "entry").write_text(listen_as_other(stack, theirs) + "\n")
    os.chown(machine / "entry", OTHER_UID, -1)
    (theirs / "21.path").symlink_to(machine / "entry")
    # Their owner holds the locks, as a living daemon does.
    for entry in {each.resolve() for each in theirs.glob("*.path")} - {theirs / "20.path"}:
        if entry.is_file() and entry != Path("/etc/passwd"):
            fcntl.flock(stack.enter_context(entry.open()), fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(stack.enter_context(secret.open()), fcntl.LOCK_EX | fcntl.LOCK_NB)
    before = sorted(theirs.iterdir())

    assert find_sockets(True) == []
    assert sorted(theirs.iterdir()) == before
    assert socket_answers(ours)


def test_endless_directory_is_read_in_part(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_MAX_NAMES", 50)
    path = directory(machine / "tmp" / f"coro-{ME}")
    read = []
    monkeypatch.setattr(places, "_socket_owner", lambda name, *_: read.append(name))
    for number in range(1, 101):
        (path / f"{number}.sock").touch()
    find_sockets()
    assert len(read) == 50


@pytest.mark.parametrize("mode", [0o600, 0o660])
def test_daemon_of_another_user_is_found_if_its_mode_lets_us_in(
    machine: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    needs_root()
    path = directory(machine / "run" / "coro", mode=0o755) / "1.sock"
    listen(stack, path)
    path.chmod(mode)
    # Root's access() always says yes: ask as another user would.
    monkeypatch.setattr(os, "geteuid", lambda: OTHER_UID)
    monkeypatch.setattr(os, "access", lambda path, _: bool(os.lstat(path).st_mode & 0o060))

    assert paths(find_sockets()) == ([str(path)] if mode == 0o660 else [])


def test_services_own_sockets_are_not_taken_for_ours(
    machine: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = directory(machine / "run" / "mx")
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(service))
    listen(stack, service / "app-1.sock", lock=False)
    with socket.socket(socket.AF_UNIX) as not_listening:
        not_listening.bind(str(service / "app-2.sock"))
    listen(stack, service / "3.sock")

    assert paths(find_sockets()) == [str(service / "3.sock")]
    assert (service / "app-2.sock").exists()


# -- the dead


def lay_dead(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    Path(f"{path}.lock").touch(0o600)


def test_dead_socket_of_ours_is_removed(machine: Path) -> None:
    path = directory(machine / "tmp" / f"coro-{ME}") / "1.sock"
    lay_dead(path)
    assert find_sockets() == []
    assert list(path.parent.iterdir()) == []


def test_dead_socket_of_another_user_is_passed_over_and_left(machine: Path) -> None:
    needs_root()
    path = directory(machine / "tmp" / f"coro-{OTHER_UID}", uid=OTHER_UID) / "1.sock"
    lay_dead(path)
    for entry in path.parent.iterdir():
        os.chown(entry, OTHER_UID, -1)
    assert find_sockets(True) == []
    assert len(list(path.parent.iterdir())) == 2


def test_dead_socket_without_a_lock_is_left(machine: Path) -> None:
    """It was not bound by us."""
    path = directory(machine / "tmp" / f"coro-{ME}") / "1.sock"
    lay_dead(path)
    os.unlink(f"{path}.lock")
    assert find_sockets() == []
    assert os.listdir(path.parent) == ["1.sock"]


def test_listener_that_comes_just_before_the_lock_is_had_survives(
    machine: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = directory(machine / "tmp" / f"coro-{ME}") / "1.sock"
    lay_dead(path)

    def late(lock: str) -> Any:
        path.unlink()
        listen(stack, path)
        return try_lock(lock)

    monkeypatch.setattr(places, "try_lock", late)
    find_sockets()
    assert socket_answers(str(path))


def test_socket_that_is_being_bound_is_not_taken_for_dead(machine: Path) -> None:
    """Between bind and listen it refuses connections, but its lock is held."""
    path = directory(machine / "tmp" / f"coro-{ME}") / "1.sock"
    lock = try_lock(f"{path}.lock")
    assert lock is not None
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        assert paths(find_sockets()) == [str(path)]
    lock.release()


def test_living_daemon_is_not_connected_to(machine: Path, stack: ExitStack) -> None:
    path = directory(machine / "tmp" / f"coro-{ME}") / f"{os.getpid()}.sock"
    bound = stack.enter_context(bind_unix(path))
    assert paths(find_sockets()) == [str(path)]
    with pytest.raises(BlockingIOError):
        bound.socket.accept()


def test_daemon_that_comes_while_a_dead_socket_is_removed_survives(
    machine: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = directory(machine / "tmp" / f"coro-{ME}") / f"{os.getpid()}.sock"
    lay_dead(path)
    removing = places._remove_dead
    born = []

    def late(dead: str) -> None:
        born.append(stack.enter_context(bind_unix(dead)))
        removing(dead)

    monkeypatch.setattr(places, "_remove_dead", late)
    find_sockets()
    assert born[0].in_place()
    assert is_held(f"{path}.lock", ME)


# -- registrations


def test_registered_socket_is_found_by_pid_and_forgotten_at_close(machine: Path, stack: ExitStack) -> None:
    path = directory(machine / "elsewhere") / "console"
    listen(stack, path)
    registration = register(17, str(path))

    assert find_sockets() == [Found(str(path), 17, ME)]
    assert pid_sockets(17) == [Found(str(path), 17, ME)]
    assert stat.S_IMODE(os.stat(registration.path).st_mode) == 0o600

    unregister(registration)
    unregister(registration)
    assert find_sockets() == []
    assert os.listdir(os.path.dirname(registration.path)) == []


def test_registration_is_where_every_client_looks(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the service's own directory, which only the service knows."""
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(directory(machine / "run" / "mx")))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory(machine / "session")))
    registration = register(17, "/x")
    monkeypatch.delenv("RUNTIME_DIRECTORY")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert os.path.dirname(registration.path) in candidate_directories()
    registration.close()


def test_default_socket_in_the_services_own_directory_is_found_by_others(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(directory(machine / "run" / "mx")))
    with bind_unix(default_socket_path(os.getpid())) as bound:
        assert len(find_sockets()) == 1
        monkeypatch.delenv("RUNTIME_DIRECTORY")
        assert paths(find_sockets()) == [bound.path]


def test_one_process_may_register_several(machine: Path, stack: ExitStack) -> None:
    all_of_them = [directory(machine / name) / "x.sock" for name in "abc"]
    for path in all_of_them:
        listen(stack, path)
    registrations = [register(17, str(path)) for path in all_of_them]
    assert paths(pid_sockets(17)) == [str(path) for path in all_of_them]
    for registration in registrations:
        registration.close()
    assert find_sockets() == []


def test_registration_of_a_dead_process_is_removed(machine: Path, stack: ExitStack) -> None:
    path = directory(machine / "elsewhere") / "x.sock"
    listen(stack, path)
    registration = register(17, str(path))
    # As if its process had been killed.
    registration.forget()

    assert find_sockets() == []
    assert not os.path.exists(registration.path)
    assert socket_answers(str(path))


def test_registration_left_by_an_earlier_process_of_that_pid_is_replaced(machine: Path, stack: ExitStack) -> None:
    register(17, "/earlier").forget()
    path = directory(machine / "elsewhere") / "x.sock"
    listen(stack, path)
    registration = register(17, str(path))
    assert registration.path.endswith("/17.path")
    assert paths(find_sockets()) == [str(path)]
    registration.close()


def test_registration_that_fails_leaves_nothing_behind(machine: Path) -> None:
    registrations = [register(17, "/x") for _ in range(16)]
    folder = os.path.dirname(registrations[0].path)
    before = sorted(os.listdir(folder))

    with pytest.raises(OSError, match="16 registered sockets"):
        register(17, "/one/more")
    assert sorted(os.listdir(folder)) == before
    for registration in registrations:
        registration.close()
    assert os.listdir(folder) == []


@pytest.mark.parametrize("path", ["relative", "", "/a\nb", "/" + "x" * 4096])
def test_path_that_no_entry_can_hold_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="must be absolute"):
        register(17, path)


# -- through /proc


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's /proc")
def test_daemon_is_found_by_pid_in_the_directories_of_its_own_environment(machine: Path, stack: ExitStack) -> None:
    """A service's $RUNTIME_DIRECTORY without a registration, as in an older daemon or a full /tmp."""
    service = directory(machine / "run" / "mx")
    child = stack.enter_context(
        subprocess.Popen(["sleep", "60"], env={"RUNTIME_DIRECTORY": str(service), "PATH": os.environ["PATH"]})
    )
    stack.callback(child.kill)
    path = service / f"{child.pid}.sock"
    listen(stack, path)

    # The child's environment is its own only after exec.
    deadline = time.monotonic() + 5
    while not pid_sockets(child.pid) and time.monotonic() < deadline:
        time.sleep(0.01)

    assert pid_sockets(child.pid) == [Found(str(path), child.pid, ME)]
    assert find_sockets() == []


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's mount namespaces")
def test_daemon_with_a_private_tmp_is_found_by_pid(stack: ExitStack, machine: Path) -> None:
    """As systemd's PrivateTmp=yes: its /tmp is not ours."""
    needs_root()
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1]); from coro.wire import directories;"
        "directories.TEMP, directories.RUN = sys.argv[2] + '/tmp', '/nowhere';"
        "from coro.backdoor.binding import bind_unix;"
        "bound = bind_unix(directories.default_socket_path(os.getpid()));"
        "print(bound.path, flush=True); input()"
    )
    script = f'mount -t tmpfs none {machine}/tmp && exec "$0" -c "$1" "$2" "$3"'
    arguments = ["unshare", "--mount", "sh", "-c", script, sys.executable, code, str(ROOT), str(machine)]
    daemon = stack.enter_context(
        subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    )
    stack.callback(daemon.kill)
    assert daemon.stdout is not None
    path = daemon.stdout.readline().strip()
    if not path:
        assert daemon.stderr is not None
        pytest.skip(f"no mount namespace can be made here: {daemon.stderr.read().strip()[-200:]}")
    assert not os.path.exists(path)

    (found,) = pid_sockets(daemon.pid)

    assert found == Found(f"/proc/{daemon.pid}/root{path}", daemon.pid, 0)
    assert socket_answers(found.path)


# -- speed


def test_import_brings_no_heavy_module() -> None:
    code = (
        "import sys; import coro.wire.places;"
        "print([name for name in ('tempfile', 'subprocess', 'asyncio', 'logging', 'coro.backdoor', 'greenlet')"
        " if name in sys.modules])"
    )
    # The package's own __init__ is the runtime; the client does without it.
    done = subprocess.run(
        [
            sys.executable,
            "-S",
            "-c",
            "import sys, types; sys.path.insert(0, sys.argv[1]);"
            "package = types.ModuleType('coro'); package.__path__ = [sys.argv[1] + '/coro'];"
            "sys.modules['coro'] = package;" + code,
            str(ROOT),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert done.stdout.strip() == "[]"


def test_locks_that_are_busy_free_or_strange(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    assert is_held(path, ME) is None
    lock = try_lock(path)
    assert lock is not None
    assert try_lock(path) is None
    assert is_held(path, ME) is True
    assert is_held(path, ME + 1) is None
    lock.forget()
    assert is_held(path, ME) is False
    os.mkfifo(tmp_path / "fifo")
    assert is_held(str(tmp_path / "fifo"), ME) is None
