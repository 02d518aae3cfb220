"""The emulated waits for child processes, and the standard library's subprocess on top."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

import coro
from coro.emulation import processes
from tests.emulation.sockets_of_ours import let_others_wait, outcome_of, run_script

# These wait for real processes, so they run by the real clock.


def child_that_waits(code: int = 0) -> subprocess.Popen[bytes]:
    """A child process that ends with this code when its stdin is closed."""
    return subprocess.Popen(["sh", "-c", f"read line; exit {code}"], stdin=subprocess.PIPE)


def release(child: subprocess.Popen[bytes]) -> None:
    assert child.stdin is not None
    child.stdin.close()


def forget(child: subprocess.Popen[bytes]) -> None:
    """Its status was taken by somebody else: subprocess is not to ask for it."""
    child.returncode = 0


every_wait = pytest.mark.parametrize(
    "wait",
    [
        lambda pid: processes.waitpid(pid, 0),
        lambda pid: processes.waitpid(-1, 0),
        lambda pid: processes.waitpid(0, 0),
        lambda pid: processes.wait(),
        lambda pid: processes.wait3(0)[:2],
        lambda pid: processes.wait4(pid, 0)[:2],
    ],
    ids=["one", "any", "group", "wait", "wait3", "wait4"],
)


@every_wait
def test_it_waits_for_the_end_of_a_child(wait: Callable[[int], tuple[int, int]]) -> None:
    def main() -> None:
        child = child_that_waits(7)
        waiter = coro.spawn(wait, child.pid)
        coro.sleep_relative(0.02)
        assert not waiter.dead
        release(child)
        pid, status = waiter.result()
        forget(child)
        assert (pid, os.waitstatus_to_exitcode(status)) == (child.pid, 7)

    coro.run(main)


@every_wait
def test_interrupted_waiter_takes_no_status_with_it(wait: Callable[[int], tuple[int, int]]) -> None:
    def main() -> None:
        child = child_that_waits(7)
        waiter = coro.spawn(wait, child.pid)
        coro.sleep_relative(0.02)
        waiter.shutdown()
        let_others_wait()
        assert waiter.dead
        release(child)
        assert wait(child.pid)[0] == child.pid
        forget(child)

    coro.run(main)


def test_of_two_waiters_for_one_child_the_second_is_told_that_there_is_none() -> None:
    def main() -> None:
        child = child_that_waits()
        waiters = [coro.spawn(outcome_of, processes.waitpid, child.pid, 0) for _ in range(2)]
        coro.sleep_relative(0.02)
        release(child)
        outcomes = sorted((waiter.result() for waiter in waiters), key=repr)
        forget(child)
        assert outcomes[0] == (child.pid, 0)
        assert outcomes[1][0] is ChildProcessError

    coro.run(main)


def test_child_that_stops_and_goes_on_is_reported_to_who_asks_for_that() -> None:
    def main() -> None:
        child = child_that_waits()
        waiter = coro.spawn(processes.waitpid, child.pid, os.WUNTRACED)
        coro.sleep_relative(0.02)
        child.send_signal(signal.SIGSTOP)
        assert os.WIFSTOPPED(waiter.result()[1])
        waiter = coro.spawn(processes.waitpid, child.pid, os.WCONTINUED)
        coro.sleep_relative(0.02)
        child.send_signal(signal.SIGCONT)
        assert os.WIFCONTINUED(waiter.result()[1])
        release(child)
        assert processes.waitpid(child.pid, os.WUNTRACED) == (child.pid, 0)
        forget(child)

    coro.run(main)


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="this system has no waitid(2)")
@pytest.mark.parametrize("take", [True, False])
@pytest.mark.parametrize("kind", ["P_PID", "P_ALL"])
def test_waitid_waits_and_takes_the_status_or_leaves_it(kind: str, take: bool) -> None:
    def main() -> None:
        child = child_that_waits(3)
        options = os.WEXITED | (0 if take else os.WNOWAIT)
        waiter = coro.spawn(processes.waitid, getattr(os, kind), child.pid if kind == "P_PID" else 0, options)
        coro.sleep_relative(0.02)
        assert not waiter.dead
        release(child)
        found = waiter.result()
        assert (found.si_pid, found.si_status) == (child.pid, 3)
        if take:
            assert outcome_of(processes.waitpid, child.pid, 0)[0] is ChildProcessError
        else:
            assert os.waitstatus_to_exitcode(processes.waitpid(child.pid, 0)[1]) == 3
        forget(child)

    coro.run(main)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("waitpid", (1, 0)), ("waitpid", (1 << 40, 0)), ("waitpid", ("x", 0)), ("wait4", (1, 0)), ("wait", ())],
)
def test_what_is_no_child_is_refused_as_by_the_original(name: str, arguments: tuple[Any, ...]) -> None:
    def main() -> None:
        assert outcome_of(getattr(processes, name), *arguments) == outcome_of(getattr(os, name), *arguments)

    coro.run(main)


def test_system_lets_the_others_run() -> None:
    def main() -> None:
        began = time.monotonic()
        calls = [coro.spawn(processes.system, "sleep 0.2; exit 5") for _ in range(10)]
        let_others_wait()
        assert time.monotonic() - began < 0.2
        assert [os.waitstatus_to_exitcode(call.result()) for call in calls] == [5] * 10

    coro.run(main)


def test_a_hundred_processes_at_once_with_pipes_both_ways_leave_no_zombie() -> None:
    printed = run_script(
        """
        import os, subprocess, threading
        data = bytes(300_000)
        lengths = []
        def echo():
            done = subprocess.run(["cat"], input=data, stdout=subprocess.PIPE, check=True)
            lengths.append(len(done.stdout))
        threads = [threading.Thread(target=echo) for _ in range(100)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert lengths == [len(data)] * 100, lengths
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            print("no child is left")
        """
    )
    assert printed == "no child is left\n"


def test_child_that_ignores_sigterm_is_waited_for_in_time_and_killed() -> None:
    printed = run_script(
        """
        import signal, subprocess
        command = ["sh", "-c", "trap '' TERM; echo ready; while true; do sleep 0.05; done"]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert child.stdout.readline() == "ready\\n"
        child.terminate()
        for wait in (child.wait, child.communicate):
            try:
                wait(timeout=0.1)
            except subprocess.TimeoutExpired as error:
                print(error.timeout)
        child.kill()
        print(child.wait() == -signal.SIGKILL, child.communicate())
        """
    )
    assert printed == "0.1\n0.1\nTrue ('', None)\n"


def test_preexec_fn_and_fork_work_from_a_thread() -> None:
    printed = run_script(
        """
        import os, subprocess, threading, time
        def ticks():
            while True:
                time.sleep(0.001)
        threading.Thread(target=ticks, daemon=True).start()
        def work():
            done = subprocess.run(
                ["sh", "-c", "umask"], preexec_fn=lambda: os.umask(0o123), stdout=subprocess.PIPE, text=True
            )
            print(done.stdout, end="", flush=True)
            reading, writing = os.pipe()
            pid = os.fork()
            if pid == 0:
                time.sleep(0.01)
                os.write(writing, b"from the child")
                os._exit(3)
            print(os.read(reading, 100), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        """
    )
    assert printed == "0123\nb'from the child' 3\n"


def test_popen_in_two_threads_that_wait_for_the_same_child() -> None:
    printed = run_script(
        """
        import os, subprocess, threading
        child = subprocess.Popen(["sh", "-c", "read line; exit 4"], stdin=subprocess.PIPE)
        codes = []
        threads = [threading.Thread(target=lambda: codes.append(child.wait())) for _ in range(5)]
        for thread in threads: thread.start()
        child.stdin.close()
        for thread in threads: thread.join()
        with os.popen("echo hello") as output:
            print(codes, os.system("exit 6") >> 8, output.read())
        """
    )
    assert printed == "[4, 4, 4, 4, 4] 6 hello\n\n"


def test_program_that_is_run_in_the_middle_of_an_asyncio_step_may_take_a_moment_but_no_longer() -> None:
    printed = run_script(
        """
        import asyncio, os, subprocess
        import coro, coro.aio

        async def main():
            print(subprocess.run(["echo", "hello"], capture_output=True, text=True).stdout, end="")
            reading, writing = os.pipe()
            try:
                os.read(reading, 1)
            except coro.YieldFromMain as error:
                print("refused", "asyncio" in str(error) or "task" in str(error))
            await asyncio.sleep(0)

        coro.aio.run(main())
        """
    )
    assert printed == "hello\nrefused True\n"
