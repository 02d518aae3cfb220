"""Blocked OS threads when the loop ends, when the interpreter exits, and after fork()."""

import os
import subprocess
import sys
import threading
import time
import traceback
import warnings
from typing import Any

import pytest

import coro
from coro.loop import loop
from coro.os_thread import (
    OSThreadPool,
    default_pool,
    in_os_thread,
)
from coro.process import waitpid
from tests.os_thread.waiting import LIMIT_S, bring_to_rest, wait_until


def test_exit_of_the_loop_does_not_wait_for_a_blocked_call(gate: threading.Event) -> None:
    def main() -> None:
        thread = coro.spawn(in_os_thread, gate.wait, LIMIT_S)
        wait_until(lambda: thread.waiting_on is not None and thread.waiting_on.begun)

    begin = time.monotonic()
    coro.run(main)

    assert time.monotonic() - begin < LIMIT_S / 2
    assert loop.outside_calls == 0


def test_os_thread_whose_call_outlived_the_loop_ends_with_the_call(gate: threading.Event) -> None:
    pool = OSThreadPool(idle_s=LIMIT_S)

    def main() -> None:
        thread = coro.spawn(pool.call, gate.wait, LIMIT_S)
        wait_until(lambda: thread.waiting_on is not None and thread.waiting_on.begun)

    coro.run(main)
    begin = time.monotonic()
    gate.set()
    while "0 of 20" not in repr(pool):
        assert time.monotonic() - begin < LIMIT_S / 2
        time.sleep(0.001)


def test_late_result_of_a_former_loop_is_dropped(
    gate: threading.Event, notified: list[tuple[str, BaseException]]
) -> None:
    def broken() -> None:
        gate.wait(LIMIT_S)
        raise OSError("of a former loop")

    def first() -> None:
        thread = coro.spawn(in_os_thread, broken)
        wait_until(lambda: thread.waiting_on is not None and thread.waiting_on.begun)

    def second() -> str:
        gate.set()
        wait_until(lambda: not [worker for worker in pool._workers if worker not in pool._idle])
        return in_os_thread(str, 2)

    pool = default_pool
    coro.run(first)

    assert coro.run(second) == "2"
    assert notified == []


def test_result_that_was_posted_to_a_loop_that_has_ended_is_dropped_by_the_next(
    gate: threading.Event, notified: list[tuple[str, BaseException]]
) -> None:
    def broken() -> None:
        gate.wait(LIMIT_S)
        raise OSError("posted too late")

    def main() -> Any:
        thread = coro.spawn(in_os_thread, broken)
        wait_until(lambda: thread.waiting_on is not None and thread.waiting_on.begun)
        return thread.waiting_on

    job = coro.run(main)
    gate.set()
    bring_to_rest(default_pool)
    # Nobody was there to be told.
    assert not loop.posted
    assert job.error is not None
    # As if the loop had ended between the look at it and the post.
    loop.post(default_pool._finish, job)

    coro.run(coro.yield_slice)

    assert job.error is None
    assert notified == []


BLOCKED = {
    "sleep": "time.sleep, 1000",
    "lock": "lock.acquire",
    "pipe": "os.read, os.pipe()[0], 1",
    "the loop": "call_from_os_thread, coro.sleep_relative, 1000",
}


@pytest.mark.parametrize("call", BLOCKED.values(), ids=BLOCKED)
@pytest.mark.parametrize("idle", [False, True], ids=["", "and one idle"])
def test_interpreter_exits_while_a_call_is_blocked(call: str, idle: bool) -> None:
    script = f"""
import os, time, _thread
import coro
from coro.os_thread import in_os_thread, call_from_os_thread
lock = _thread.allocate_lock()
lock.acquire()
def main():
    for _ in range(3):
        coro.spawn(in_os_thread, {call})
    in_os_thread(time.sleep, 0.05)
    if {idle}:
        in_os_thread(int)
    print("main ends")
coro.run(main)
"""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "main ends\n", "")


def fork() -> int:
    """As coro.fork().  Python from 3.12 on warns of a fork beside other OS threads, which is the point here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return coro.fork()


def test_forked_child_has_a_pool_of_its_own(gate: threading.Event) -> None:
    def child() -> int:
        if "0 of 20, 0 idle, 0 calls queued" not in repr(default_pool):
            return 2
        if loop.outside_calls:
            return 3
        return 0 if in_os_thread(int, "5") == 5 else 4

    def main() -> int:
        # All are at work, one call is queued, and one OS thread holds the lock of the pool at the fork.
        for _ in range(21):
            coro.spawn(in_os_thread, gate.wait, LIMIT_S)
        wait_until(lambda: "1 calls queued" in repr(default_pool))
        holder = threading.Thread(target=hold_lock)
        holder.start()
        held.wait(LIMIT_S)
        pid = fork()
        if pid == 0:
            status = 9
            try:
                status = child()
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        release.set()
        holder.join()
        return os.waitstatus_to_exitcode(waitpid(pid)[1])

    def hold_lock() -> None:
        with default_pool._lock:
            held.set()
            release.wait(LIMIT_S)

    held, release = threading.Event(), threading.Event()
    assert coro.run(main) == 0


def test_call_that_forks_and_returns_in_the_child_ends_the_child(capfd: pytest.CaptureFixture[str]) -> None:
    def main() -> int:
        pid = in_os_thread(fork)
        return os.waitstatus_to_exitcode(waitpid(pid)[1])

    assert coro.run(main) == 0
    assert capfd.readouterr() == ("", "")
