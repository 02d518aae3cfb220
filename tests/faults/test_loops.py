"""What happens to a loop that cannot start, or whose poll fails; and real signals that interrupt everything."""

import errno
import os
import signal
import socket
import threading

import pytest

import coro
from coro import testing
from coro.leftovers import abandon
from coro.loop import loop
from coro.server import tcp_server
from coro.wakeup import Wakeup
from tests.core.script import run_script
from tests.faults.conftest import Play
from tests.faults.scenarios import LOOPBACK, ask, echo
from tests.faults.shim import Fault, Shim

POLL = ("coro.poller.epoll", "EpollPoller.poll", "epoll.poll")
WRITE = ("coro.wakeup", "Wakeup.notify", "os.write")
FOR_EVER = 1_000_000


@pytest.mark.parametrize("what", ["EBADF", "EINVAL", "ENOMEM"])
def test_poll_that_fails_for_good_ends_the_loop_at_once_and_threads_clean_up(what: str, shim: Shim) -> None:
    cleaned: list[str] = []

    def sleeper() -> None:
        try:
            coro.sleep_relative(1000)
        finally:
            cleaned.append("sleeper")

    def main() -> None:
        coro.spawn(sleeper)
        coro.sleep_relative(1)
        shim.arm(Fault(POLL, what, times=FOR_EVER))
        coro.sleep_relative(1000)

    with pytest.raises(OSError) as caught:
        testing.run(main)
    shim.disarm()
    assert caught.value.errno == getattr(errno, what)
    assert cleaned == ["sleeper"]
    assert not coro.all_threads


def test_poll_that_is_interrupted_goes_on(shim: Shim) -> None:
    def main() -> None:
        shim.arm(Fault(POLL, "EINTR", times=100))
        coro.sleep_relative(1)
        left, right = coro.socketpair()
        with left, right:
            waiter = coro.spawn(left.recv, 10)
            coro.yield_slice()
            right.send(b"x")
            assert waiter.join() is None
            assert waiter.result() == b"x"

    testing.run(main)
    assert shim.hits


def test_notification_for_which_the_kernel_has_no_memory_at_first_arrives(shim: Shim) -> None:
    wakeup = Wakeup()
    try:
        shim.arm(Fault(WRITE, "ENOMEM", times=3))
        wakeup.notify()
        assert len(shim.hits) == 3
        assert os.read(wakeup.fileno(), 10) == b"\0"
    finally:
        wakeup.close()


def test_storm_of_real_signals_disturbs_nobody() -> None:
    over = threading.Event()
    arrived: list[int] = []
    former = signal.signal(signal.SIGUSR1, lambda number, frame: arrived.append(number))

    def storm() -> None:
        while not over.wait(0.0005):
            os.kill(os.getpid(), signal.SIGUSR1)

    def main() -> None:
        with tcp_server((LOOPBACK, 0), echo) as server:
            clients = [coro.spawn(ask, socket.AF_INET, server.address) for _ in range(200)]
            while len(arrived) < 20:
                coro.sleep_relative(0.001)
            for client in clients:
                client.join()
                assert client.error is None

    sender = threading.Thread(target=storm)
    sender.start()
    try:
        coro.run(main)
    finally:
        over.set()
        sender.join()
        signal.signal(signal.SIGUSR1, former)


def test_wakeup_descriptor_that_its_owner_has_closed_does_not_disturb_the_end_of_the_loop() -> None:
    receiver, sender = os.pipe()
    os.set_blocking(sender, False)
    former = signal.set_wakeup_fd(sender)
    before = signal.getsignal(signal.SIGTERM)

    def main() -> int:
        os.close(sender)
        return 5

    try:
        assert coro.run(main) == 5
        assert signal.getsignal(signal.SIGTERM) == before
        assert signal.set_wakeup_fd(-1) == -1
    finally:
        signal.set_wakeup_fd(former)
        os.close(receiver)


def test_loop_that_could_not_start_does_not_end_the_next_one(shim: Shim) -> None:
    try:
        shim.arm(Fault(("coro.poller.epoll", "EpollPoller.__init__", "select.epoll"), "EMFILE"))
        with pytest.raises(OSError, match="Too many open files"):
            testing.run(lambda: 1)
        shim.disarm()
        assert not loop.exit_requested
    finally:
        loop.exit_requested = False


def test_process_that_the_poller_cannot_forget_leaves_no_descriptor(play: Play) -> None:
    result = play("children", Fault(("coro.poller.epoll", "EpollPoller.remove", "epoll.unregister"), "ENOMEM"))
    assert not result.wrong()


def test_thread_whose_clean_up_waits_is_abandoned_when_the_poll_fails_for_good(shim: Shim) -> None:
    def careful() -> None:
        try:
            coro.sleep_relative(1000)
        finally:
            coro.sleep_relative(1)

    def main() -> None:
        coro.spawn(careful)
        coro.yield_slice()
        shim.arm(Fault(POLL, "EBADF", times=FOR_EVER))
        coro.sleep_relative(1000)

    with pytest.raises(OSError, match="Bad file"):
        testing.run(main)
    shim.disarm()
    left = list(coro.all_threads)
    abandon()
    assert not left


# In a child nothing may be raised by the hook that runs after the fork: it would only be printed.
FORK = """
import errno, os, sys
import coro
from coro.loop import loop

def no_poller():
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

def main():
    coro.spawn(coro.sleep_relative, 1000)
    coro.yield_slice()
    loop.poller_factory = no_poller
    pid = {fork}()
    if pid == 0:
        # It can still work, as long as it does not wait.
        sum(range(10))
        coro.sleep_relative(0.01)
        os._exit(1)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

try:
    coro.run(main)
except OSError as error:
    os._exit(50 + error.errno)
"""


@pytest.mark.parametrize("fork", ["coro.fork", "os.fork"])
def test_loop_of_a_child_that_cannot_make_a_poller_ends_by_that(fork: str) -> None:
    done = run_script(FORK.replace("{fork}", fork))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == 50 + errno.EMFILE
