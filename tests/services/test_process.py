"""waitpid(): real children, ended by the tests through a pipe."""

import contextlib
import errno
import os
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import coro
from coro import process
from coro.descriptors import descriptors
from coro.loop import loop
from coro.poller.base import READ
from coro.process import waitpid
from coro.testing import run as run_in_fake_time

LIMIT_S = 10.0


class Child:
    """A shell that waits for end() and then runs `last`."""

    def __init__(self, last: str = "exit 3") -> None:
        reader, self._writer = os.pipe()
        self.pid = os.posix_spawn(
            "/bin/sh",
            ["sh", "-c", f"read line; {last}"],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, reader, 0)],
        )
        os.close(reader)

    def end(self) -> None:
        """Have it come to its end soon."""
        if self._writer >= 0:
            os.close(self._writer)
            self._writer = -1

    def wait_ended(self) -> None:
        """Block until it has ended, and leave its status where it is."""
        self.end()
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)


MakeChild = Callable[..., Child]


@pytest.fixture
def make_child() -> Iterator[MakeChild]:
    made: list[Child] = []

    def make(last: str = "exit 3") -> Child:
        made.append(Child(last))
        return made[-1]

    yield make
    for child in made:
        child.end()
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)


def wait_parked(thread: coro.coro) -> None:
    while thread.waiting_on is None and not thread.dead:
        coro.yield_slice()


def exit_code(result: tuple[int, int]) -> int:
    return os.waitstatus_to_exitcode(result[1])


def test_waitpid_returns_pid_and_status_when_the_child_ends(make_child: MakeChild) -> None:
    child = make_child()

    def main() -> Any:
        waiter = coro.spawn(waitpid, child.pid)
        wait_parked(waiter)
        coro.sleep_relative(0.005)
        assert not waiter.dead
        child.end()
        return waiter.result()

    result = coro.run(main)

    assert result[0] == child.pid
    assert exit_code(result) == 3


def test_status_tells_the_signal_that_killed_the_child(make_child: MakeChild) -> None:
    child = make_child("kill -TERM $$")
    child.end()

    assert exit_code(coro.run(waitpid, child.pid)) == -signal.SIGTERM


def test_status_zero_ends_the_wait(make_child: MakeChild) -> None:
    child = make_child("exit 0")

    def main() -> Any:
        waiter = coro.spawn(waitpid, child.pid)
        wait_parked(waiter)
        child.end()
        return waiter.result()

    assert coro.run(main) == (child.pid, 0)


def test_child_that_has_ended_already_is_reported_at_once(make_child: MakeChild) -> None:
    child = make_child()
    child.wait_ended()

    def main() -> tuple[tuple[int, int], int]:
        switches = coro.current().switches
        return waitpid(child.pid), coro.current().switches - switches

    result, switches = coro.run(main)

    assert exit_code(result) == 3
    assert switches == 0


def test_second_waiter_for_one_child_gets_simultaneous_error(make_child: MakeChild) -> None:
    child = make_child()

    def main() -> Any:
        first = coro.spawn(waitpid, child.pid)
        wait_parked(first)
        with pytest.raises(coro.SimultaneousError) as caught:
            waitpid(child.pid)
        error = caught.value
        assert (error.co, error.other, error.event) == (coro.current(), first, ("process", child.pid))
        child.end()
        return first.result()

    assert exit_code(coro.run(main)) == 3


@pytest.mark.parametrize("pid", [1, os.getpid(), os.getppid(), 2**31 - 1], ids=["init", "self", "parent", "nobody"])
def test_process_that_is_no_child_is_refused(pid: int) -> None:
    with pytest.raises(ChildProcessError):
        coro.run(waitpid, pid)


@pytest.mark.parametrize("pid", [0, -1, -5, 2**31])
def test_pid_that_does_not_mean_one_process_is_refused(pid: int) -> None:
    with pytest.raises(ValueError, match=f"one process: its id must be 1 to 2147483647, got {pid}"):
        coro.run(waitpid, pid)


@pytest.mark.parametrize("pid", [None, "1", 1.0, True])
def test_pid_that_is_no_int_is_refused(pid: Any) -> None:
    with pytest.raises(TypeError, match="needs a process id as an int, got"):
        coro.run(waitpid, pid)


def test_interrupted_waiter_leaves_the_status_to_the_next(make_child: MakeChild) -> None:
    child = make_child()

    def main() -> Any:
        first = coro.spawn(waitpid, child.pid)
        first.observers += 1
        wait_parked(first)
        first.raise_exception(coro.WakeUp)
        with pytest.raises(coro.WakeUp):
            first.result()
        child.end()
        return waitpid(child.pid)

    assert exit_code(coro.run(main)) == 3


def test_waiter_that_is_interrupted_when_its_child_has_just_ended_leaves_the_status(make_child: MakeChild) -> None:
    child = make_child()

    def main() -> Any:
        first = coro.spawn(waitpid, child.pid)
        first.observers += 1
        wait_parked(first)
        child.wait_ended()
        # The report of the poller and the interrupt come in one turn.
        loop._poll(0)
        assert first.scheduled
        first.raise_exception(coro.WakeUp)
        with pytest.raises(coro.WakeUp):
            first.result()
        return waitpid(child.pid)

    assert exit_code(coro.run(main)) == 3


def test_stranger_that_schedules_the_waiter_does_not_end_its_wait(make_child: MakeChild) -> None:
    child = make_child()

    def main() -> Any:
        waiter = coro.spawn(waitpid, child.pid)
        wait_parked(waiter)
        waiter.schedule((child.pid, 0))
        coro.yield_slice()
        assert not waiter.dead
        child.end()
        return waiter.result()

    assert exit_code(coro.run(main)) == 3


def test_child_that_is_stopped_and_continued_goes_on_being_waited_for(make_child: MakeChild) -> None:
    child = make_child()

    def main() -> Any:
        waiter = coro.spawn(waitpid, child.pid)
        wait_parked(waiter)
        for number, state in ((signal.SIGSTOP, os.WSTOPPED), (signal.SIGCONT, os.WCONTINUED)):
            os.kill(child.pid, number)
            os.waitid(os.P_PID, child.pid, state)
            coro.sleep_relative(0.005)
            assert not waiter.dead
        child.end()
        return waiter.result()

    assert exit_code(coro.run(main)) == 3


def test_hundreds_are_waited_for_at_once_and_nothing_of_them_is_kept(make_child: MakeChild) -> None:
    children = [make_child(f"exit {number % 200}") for number in range(300)]

    def main() -> list[int]:
        before = len(os.listdir("/dev/fd")), len(descriptors.table)
        waiters = [coro.spawn(waitpid, child.pid) for child in children]
        for waiter in waiters:
            wait_parked(waiter)
        for child in reversed(children):
            child.end()
        codes = [exit_code(waiter.result()) for waiter in waiters]
        # The tests' own ends of the pipes are closed, too.
        assert len(os.listdir("/dev/fd")) == before[0] - len(children)
        assert len(descriptors.table) == before[1]
        assert process._waiting == {}
        return codes

    assert coro.run(main) == [number % 200 for number in range(300)]


def test_child_that_somebody_else_waited_for_is_an_error(make_child: MakeChild) -> None:
    child = make_child()

    def main() -> None:
        waiter = coro.spawn(waitpid, child.pid)
        wait_parked(waiter)
        child.end()
        os.waitpid(child.pid, 0)
        with pytest.raises(ChildProcessError):
            waiter.result()

    coro.run(main)


def test_child_whose_status_the_system_drops_is_an_error(make_child: MakeChild) -> None:
    former = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        child = make_child()

        def main() -> None:
            waiter = coro.spawn(waitpid, child.pid)
            wait_parked(waiter)
            child.end()
            with pytest.raises(ChildProcessError):
                waiter.result()

        coro.run(main)
    finally:
        signal.signal(signal.SIGCHLD, former)


def test_waitpid_outside_the_loop_is_refused(make_child: MakeChild) -> None:
    with pytest.raises(coro.YieldFromMain, match=r"waitpid\(\d+\) needs a running loop"):
        waitpid(make_child().pid)


def test_loop_that_ends_leaves_the_child_to_the_next(make_child: MakeChild) -> None:
    child = make_child()

    def first() -> None:
        wait_parked(coro.spawn(waitpid, child.pid))

    coro.run(first)
    assert process._waiting == {}
    child.end()

    assert exit_code(coro.run(waitpid, child.pid)) == 3


def test_waiter_that_its_loop_abandoned_does_not_stand_in_the_way(
    make_child: MakeChild, capfd: pytest.CaptureFixture[str]
) -> None:
    child = make_child()

    def stubborn() -> None:
        while True:
            with contextlib.suppress(coro.Shutdown):
                waitpid(child.pid)

    former = coro.set_exit_grace(0.01)
    try:
        coro.run(lambda: wait_parked(coro.spawn(stubborn)))
    finally:
        coro.set_exit_grace(former)
    assert "is abandoned" in capfd.readouterr().err
    child.end()

    assert exit_code(coro.run(waitpid, child.pid)) == 3
    process._waiting.clear()


def test_process_that_cannot_be_watched_is_an_error_that_leaves_nothing(
    make_child: MakeChild, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = make_child()

    def refuse(self: object, pid: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    def main() -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(type(loop.poller), "add_process", refuse)
            with pytest.raises(OSError, match="Too many open files"):
                waitpid(child.pid)
        child.end()
        return waitpid(child.pid)

    assert exit_code(coro.run(main)) == 3


def test_forked_child_knows_nothing_of_its_parents_waiters(make_child: MakeChild) -> None:
    child = make_child()

    def in_forked_child() -> int:
        try:
            waitpid(child.pid)
        except ChildProcessError:
            pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 4"], os.environ)
            return exit_code(waitpid(pid))
        return 9

    def main() -> Any:
        waiter = coro.spawn(waitpid, child.pid)
        wait_parked(waiter)
        with warnings.catch_warnings():
            # Python from 3.12 on warns of a fork beside other OS threads, if there are any.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = coro.fork()
        if pid == 0:
            status = 8
            try:
                status = in_forked_child()
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        forked = exit_code(waitpid(pid))
        child.end()
        return forked, exit_code(waiter.result())

    assert coro.run(main) == (4, 3)


def test_end_that_is_told_of_a_moment_too_early_is_waited_for(make_child: MakeChild) -> None:
    child = make_child()

    def main() -> Any:
        waiter = coro.spawn(waitpid, child.pid)
        wait_parked(waiter)
        loop.poller.make_ready(-child.pid, READ)  # type: ignore[union-attr]
        coro.sleep_relative(1)
        assert not waiter.dead
        child.end()
        end = time.monotonic() + LIMIT_S
        while not waiter.dead and time.monotonic() < end:
            coro.sleep_relative(0.001)
        return waiter.result()

    assert exit_code(run_in_fake_time(main, real_descriptors=False)) == 3
