"""What opening a backdoor sets up in the process, and that closing the last one takes it back; who is let in."""

from __future__ import annotations

import grp
import logging
import os
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import coro
import coro.backdoor
from coro import inspect
from coro.backdoor.binding import BindRefused
from coro.backdoor.interrupting import strikes
from coro.backdoor.peers import Peer
from coro.scheduler import scheduler


@pytest.fixture(autouse=True)
def nothing_is_recorded() -> Iterator[None]:
    inspect.stop_recording()
    yield
    inspect.stop_recording()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "s.sock")


# -- what is taken back


@pytest.mark.parametrize("former", [signal.SIG_DFL, signal.SIG_IGN])
def test_the_signal_is_given_back_when_the_last_backdoor_closes(path: str, former: Any) -> None:
    before = signal.signal(signal.SIGURG, former)

    def main() -> None:
        first = coro.backdoor.start(unix_path=path)
        with coro.backdoor.start(unix_path=path + "2"):
            first.close()
            first.close()
            assert strikes.installed
            assert callable(signal.getsignal(signal.SIGURG))
        assert not strikes.installed
        assert signal.getsignal(signal.SIGURG) == former
        # And it can be had again.
        with coro.backdoor.start(unix_path=path):
            assert callable(signal.getsignal(signal.SIGURG))

    try:
        coro.run(main)
        assert signal.getsignal(signal.SIGURG) == former
    finally:
        signal.signal(signal.SIGURG, before)


def test_the_signal_is_given_back_when_the_loop_ends(path: str) -> None:
    before = signal.getsignal(signal.SIGURG)

    def main() -> None:
        coro.backdoor.start(unix_path=path)
        coro.sleep_relative(0.01)
        assert strikes.installed

    coro.run(main)
    assert not strikes.installed
    assert signal.getsignal(signal.SIGURG) == before


def test_a_signal_that_somebody_took_meanwhile_stays_his(path: str) -> None:
    def handler(*args: Any) -> None:
        """Another one."""

    def main() -> None:
        with coro.backdoor.start(unix_path=path):
            signal.signal(signal.SIGURG, handler)

    before = signal.getsignal(signal.SIGURG)
    try:
        coro.run(main)
        assert signal.getsignal(signal.SIGURG) is handler
    finally:
        signal.signal(signal.SIGURG, before)


def test_the_dead_are_recorded_while_a_backdoor_is_open(path: str) -> None:
    def main() -> None:
        with coro.backdoor.start(unix_path=path):
            assert scheduler.obituary is not None
            with coro.backdoor.start(unix_path=path + "2"):
                pass
            assert scheduler.obituary is not None
        assert scheduler.obituary is None

    coro.run(main)


def test_a_record_of_the_applications_own_is_left_alone(path: str) -> None:
    def main() -> None:
        for number in range(300):
            coro.spawn(lambda: None, thread_name=f"gone-{number}")
        coro.sleep_relative(0.01)
        with coro.backdoor.start(unix_path=path):
            pass
        assert scheduler.obituary is not None
        assert sum(dead.name.startswith("gone-") for dead in inspect.dead()) == 300

    inspect.start_recording(1000)
    coro.run(main)


def test_what_was_kept_for_the_audit_is_written_at_the_end(path: str, caplog: pytest.LogCaptureFixture) -> None:
    def main() -> None:
        with coro.backdoor.start(unix_path=path) as backdoor:
            peer = Peer("unix", 1, 1, 1, (), "unix")
            for number in range(50):
                backdoor.host.audit.keep_command(7, peer, "eval", f"ps {number}", "ok", 0.0)

    with caplog.at_level(logging.INFO, "coro.audit"):
        coro.run(main)
    assert sum("session=7" in record.getMessage() for record in caplog.records) == 50


# -- finding it


def test_a_socket_that_cannot_be_found_by_pid_is_told_in_the_log(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CORO_RUNTIME_DIRECTORY", str(tmp_path / "file"))

    def main() -> None:
        coro.backdoor.start(unix_path=path).close()

    coro.run(main)
    (record,) = [record for record in caplog.records if record.name == "coro.backdoor"]
    assert record.levelno == logging.WARNING
    assert path in record.getMessage() and "is not a directory" in record.getMessage()


# -- forks


def test_a_fork_in_the_loop_leaves_the_parents_listener_alone(tmp_path: Path) -> None:
    # The backdoor is opened before the first loop, so its fork hook runs before the runtime's.
    script = tmp_path / "daemon.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, signal, socket, sys, threading
            import coro, coro.backdoor
            backdoor = coro.backdoor.start(unix_path=sys.argv[1])
            def ask():
                with socket.socket(socket.AF_UNIX) as sock:
                    sock.settimeout(10)
                    sock.connect(sys.argv[1])
                    sock.sendall(b'{"jsonrpc": "2.0", "id": 1, "method": "hello"}\\n')
                    return b'"pid": %d' % os.getpid() in sock.recv(10000).replace(b'"pid":', b'"pid": ')
            def run():
                coro.sleep_relative(0.05)
                child = os.fork()
                if not child:
                    os._exit(0 if signal.getsignal(signal.SIGURG) is signal.SIG_DFL else 1)
                print("child", os.waitpid(child, 0)[1])
                print("parent", coro.in_os_thread(ask), callable(signal.getsignal(signal.SIGURG)))
                coro.set_exit(0)
            coro.spawn(run)
            coro.event_loop()
            """
        )
    )
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "s.sock")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.stdout.splitlines()[:2] == ["child 0", "parent True True"], done


# -- who is let in


def test_mode_and_group_of_the_socket(path: str) -> None:
    group = grp.getgrgid(os.getegid())
    modes = []

    def main() -> None:
        for given in (group.gr_gid, group.gr_name, None):
            options: dict[str, Any] = {"roles": {f"gid:{os.getegid()}": "observe"}, "mode": 0o660, "group": given}
            with coro.backdoor.start(unix_path=path, **options):
                found = os.stat(path)
                modes.append((stat.S_IMODE(found.st_mode), found.st_gid))

    coro.run(main)
    assert modes == [(0o660, os.getegid())] * 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file to a group that it is not in")
def test_the_socket_is_given_to_another_group(path: str) -> None:
    def main() -> None:
        with coro.backdoor.start(unix_path=path, mode=0o660, group=12345, roles={"gid:12345": "observe"}):
            found = os.stat(path)
            assert (found.st_gid, stat.S_IMODE(found.st_mode)) == (12345, 0o660)

    coro.run(main)


def test_a_group_that_may_not_be_given_is_refused_and_leaves_nothing(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refuse)
    with pytest.raises(BindRefused, match="its group cannot be 12345: Operation not permitted"):
        coro.backdoor.start(unix_path=path, mode=0o660, group=12345, roles={"gid:12345": "observe"})
    assert os.listdir(os.path.dirname(path)) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": 0o660}, "the socket's mode 0660 lets others in, who have no role"),
        ({"mode": 0o666}, "the socket's mode 0666 lets others in, who have no role"),
        ({"mode": 0o666, "roles": {}}, "the socket's mode 0666 lets others in, who have no role"),
        ({"mode": 0o700, "roles": {"uid:1": "observe"}}, "must be 0600 to 0666 without execute bits, got 0700"),
        ({"mode": 0o060, "roles": {"uid:1": "observe"}}, "must be 0600 to 0666 without execute bits, got 0060"),
        ({"mode": 0o4600, "roles": {"uid:1": "observe"}}, "must be 0600 to 0666 without execute bits, got 4600"),
        ({"mode": "0660"}, "mode must be an int such as 0o660, got '0660'"),
        ({"mode": True}, "mode must be an int such as 0o660, got True"),
        ({"group": 33}, "the socket's group 33 is of no use with mode 0600"),
        ({"group": "no\nsuch group"}, r"there is no group 'no\\nsuch group'"),
        ({"group": -1}, "must be a gid of 0 to 4294967294, got -1"),
        ({"group": 1.5}, "must be a gid or a name, got 1.5"),
    ],
)
def test_a_mode_or_group_that_makes_no_sense_is_refused(path: str, options: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        coro.backdoor.start(unix_path=path, **options)
    assert not os.path.exists(path)
