"""Calls that no scenario comes by: those that are made after a failure, and some that need a place of their own."""

import os
import pty
from collections.abc import Callable

import pytest

import coro
from coro import stderr, testing
from coro.os_thread import OSThreadPool
from coro.wakeup import Wakeup
from tests.faults.conftest import Play
from tests.faults.shim import Fault, Shim
from tests.faults.sites import Site
from tests.faults.stage import open_descriptors
from tests.faults.table import ROWS

BASE = "coro.socket.base"
FILES = "coro.socket.files"
POLLER = "coro.poller.epoll"
NON_BLOCKING = (BASE, "CoroSocket.__init__", "sock.settimeout")
# The call that is made after a failure -> the failure that leads there, and a scenario.
LEADS_TO: dict[Site, tuple[Site, str, str]] = {
    (POLLER, "EpollPoller.add", "epoll.modify"): (
        (POLLER, "EpollPoller.add", "epoll.register"),
        "EEXIST",
        "tcp_echo",
    ),
    (POLLER, "EpollPoller.add_process", "os.close"): (
        (POLLER, "EpollPoller.add_process", "epoll.register"),
        "ENOSPC",
        "children",
    ),
    (BASE, "CoroSocket.__init__", "sock._real_close"): (NON_BLOCKING, "ENOMEM", "tcp_echo"),
    (BASE, "CoroSocket.dup", "os.close"): (NON_BLOCKING, "ENOMEM", "sockets"),
    ("coro.socket.sock", "sock._accepted", "os.close"): (NON_BLOCKING, "ENOMEM", "sockets"),
    (FILES, "fd_sock.dup", "os.close"): ((FILES, "fd_sock.__init__", "os.set_blocking"), "ENOMEM", "pipes"),
    (FILES, "file_sock", "os.close"): ((FILES, "fd_sock.__init__", "os.set_blocking"), "ENOMEM", "pipes"),
}
MOST_EXECUTIONS = 50


@pytest.mark.parametrize("site", [row.site for row in ROWS.values() if row.kind == "second"], ids=" ".join)
def test_call_after_a_failure_cleans_up(site: Site, play: Play) -> None:
    first, what, scenario = LEADS_TO[site]
    for number in range(1, MOST_EXECUTIONS):
        result = play(scenario, Fault(first, what, number))
        assert not result.wrong(), result.wrong()
        if site in result.calls:
            return
    pytest.fail(f"{site} was not reached")


def fork_fails(shim: Shim, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller gets the error; the loop and its other threads go on."""

    def main() -> None:
        other = coro.spawn(coro.sleep_relative, 1)
        shim.arm(Fault(("coro.forking", "fork", "os.fork"), "ENOMEM"))
        with pytest.raises(OSError, match="Cannot allocate"):
            coro.fork()
        shim.disarm()
        other.join()

    testing.run(main)


def wakeup_fd_of_a_child_fails(shim: Shim, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child goes on; only signals no longer end its poll at once."""

    def main() -> None:
        receiver, sender = os.pipe()
        shim.arm(Fault(("coro.forking", "_reopen", "signal.set_wakeup_fd"), "EBADF"))
        pid = coro.fork()
        if pid == 0:
            try:
                coro.sleep_relative(0.001)
                os.write(sender, b"awake" if shim.hits else b"no fault")
            finally:
                os._exit(0)
        shim.disarm()
        os.close(sender)
        try:
            assert coro.waitpid(pid) == (pid, 0)
            assert os.read(receiver, 100) == b"awake"
        finally:
            os.close(receiver)

    testing.run(main)


def lock_of_a_pool_fails(shim: Shim, monkeypatch: pytest.MonkeyPatch) -> None:
    shim.arm(Fault(("coro.os_thread.pool", "OSThreadPool._start_afresh", "_thread.allocate_lock"), "RuntimeError"))
    with pytest.raises(RuntimeError, match="injected"):
        OSThreadPool()


class _FullDisk:
    closed = False

    def __init__(self, shim: Shim) -> None:
        self.shim = shim

    def write(self, text: str) -> None:
        self.shim.call("file.write", len, (text,), {})

    def flush(self) -> None:
        self.shim.call("file.flush", lambda: None, (), {})


def stderr_fails(call: str) -> Callable[[Shim, pytest.MonkeyPatch], None]:
    """What could not be reported is lost, and nobody is disturbed."""

    def check(shim: Shim, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as during:
            during.setattr("coro.stderr.saved_stderr", _FullDisk(shim))
            for what in ROWS["coro.stderr", "write_stderr", call].outcomes:
                shim.arm(Fault(("coro.stderr", "write_stderr", call), what))
                stderr.write_stderr("a report")
                assert shim.hits, what

    return check


def pouring_fails(function: str, call: str) -> Callable[[Shim, pytest.MonkeyPatch], None]:
    """A report to a terminal is lost, or cut short, and nobody is disturbed."""

    def check(shim: Shim, monkeypatch: pytest.MonkeyPatch) -> None:
        before = open_descriptors()
        master, slave = pty.openpty()
        with open(master, "rb", buffering=0), open(slave, "w") as terminal, monkeypatch.context() as during:
            during.setattr("coro.stderr.saved_stderr", terminal)
            for what in ROWS["coro.stderr", function, call].outcomes:
                shim.arm(Fault(("coro.stderr", function, call), what))
                stderr.write_stderr("a report\n")
                assert shim.hits, what
                shim.disarm()
            stderr.write_stderr("the last\n")
            # A terminal may hand out a line at a time.
            seen = b""
            while b"the last" not in seen:
                seen += os.read(master, 1000)
        assert open_descriptors() == before

    return check


def close_of_the_wakeup_fails(shim: Shim, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ends are closed all the same."""
    before = open_descriptors()
    wakeup = Wakeup()
    shim.arm(Fault(("coro.wakeup", "Wakeup.close", "os.close"), "EIO"))
    with pytest.raises(OSError, match="Input/output"):
        wakeup.close()
    wakeup.close()
    assert open_descriptors() == before


OWN: dict[Site, Callable[..., None]] = {
    ("coro.forking", "fork", "os.fork"): fork_fails,
    ("coro.forking", "_reopen", "signal.set_wakeup_fd"): wakeup_fd_of_a_child_fails,
    ("coro.os_thread.pool", "OSThreadPool._start_afresh", "_thread.allocate_lock"): lock_of_a_pool_fails,
    ("coro.stderr", "_pour", "os.close"): pouring_fails("_pour", "os.close"),
    ("coro.stderr", "_pour", "os.open"): pouring_fails("_pour", "os.open"),
    ("coro.stderr", "_pour", "os.ttyname"): pouring_fails("_pour", "os.ttyname"),
    ("coro.stderr", "_pour_pieces", "os.write"): pouring_fails("_pour_pieces", "os.write"),
    ("coro.stderr", "_pour_pieces", "select.poll"): pouring_fails("_pour_pieces", "select.poll"),
    ("coro.stderr", "write_stderr", "file.write"): stderr_fails("file.write"),
    ("coro.stderr", "write_stderr", "file.flush"): stderr_fails("file.flush"),
    ("coro.wakeup", "Wakeup.close", "os.close"): close_of_the_wakeup_fails,
}


@pytest.mark.parametrize("site", [row.site for row in ROWS.values() if row.kind == "own"], ids=" ".join)
def test_rare_call_that_fails_hurts_nobody_else(site: Site, shim: Shim, monkeypatch: pytest.MonkeyPatch) -> None:
    check = OWN[site]
    check(shim, monkeypatch)
