"""What the tests of OS threads share: waiting in real time, without blocking the loop."""

import time
from collections.abc import Callable
from typing import Any

import coro
from coro.os_thread import OSThreadPool

# As long as a blocked OS thread may hold a test that went wrong, in seconds.
LIMIT_S = 10.0


def wait_until(condition: Callable[[], object]) -> None:
    """Park, a millisecond of real time at a time, until the condition holds."""
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end, "the condition never became true"
        coro.sleep_relative(0.001)


def bring_to_rest(pool: OSThreadPool) -> None:
    """Have the OS threads of a pool end, outside the loop."""
    end = time.monotonic() + LIMIT_S
    while pool._workers:
        assert time.monotonic() < end, f"{pool!r} is still at work"
        pool.dismiss_idle()
        time.sleep(0.001)


def interrupt_begun(function: Callable[..., Any], *args: Any) -> coro.coro:
    """Spawn a thread that makes a call in an OS thread, and interrupt it when that has begun."""
    thread = coro.spawn(function, *args)
    thread.observers += 1
    wait_until(lambda: thread.waiting_on is not None and thread.waiting_on.begun)
    thread.raise_exception(coro.WakeUp)
    return thread


def fail(error: BaseException) -> None:
    raise error
