"""schedule_from_os_thread() and call_from_os_thread()."""

import contextvars
import ctypes
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import coro
from coro.loop import loop
from coro.os_thread import (
    call_from_os_thread,
    in_os_thread,
    schedule_from_os_thread,
)
from coro.testing import run as run_in_fake_time
from tests.os_thread.waiting import LIMIT_S, fail, wait_until


def test_thread_is_scheduled_from_an_os_thread_with_a_value() -> None:
    def main() -> Any:
        me = coro.current()
        outsider = threading.Thread(target=schedule_from_os_thread, args=(me, "from outside"))
        outsider.start()
        value = coro._yield()
        outsider.join()
        return value

    assert coro.run(main) == "from outside"


def test_thread_scheduled_from_an_os_thread_before_the_loop_runs_when_it_starts() -> None:
    ran: list[str] = []
    thread = coro.new(ran.append, "ran")
    schedule_from_os_thread(thread)
    assert ran == []

    coro.run(lambda: coro.sleep_relative(0.001))

    assert ran == ["ran"]


def test_thread_that_cannot_be_scheduled_any_more_is_left_alone() -> None:
    def main() -> Any:
        dying = coro.spawn(int)
        ready = coro.spawn(coro._yield)
        coro.yield_slice()
        schedule_from_os_thread(ready, "late")
        ready.schedule("first")
        waiting = coro.spawn(coro._yield)
        coro.yield_slice()
        schedule_from_os_thread(waiting, "never seen")
        waiting.shutdown()
        coro.sleep_relative(0.001)
        with pytest.raises(coro.DeadCoroutine):
            schedule_from_os_thread(dying)
        assert not waiting.scheduled
        return ready.result(), waiting.dead

    assert coro.run(main) == ("first", True)


def test_what_is_no_thread_cannot_be_scheduled_from_an_os_thread() -> None:
    with pytest.raises(TypeError, match="needs a thread, got 'x'"):
        schedule_from_os_thread("x")  # type: ignore[arg-type]
    with pytest.raises(coro.ScheduleError, match="main greenlet"):
        schedule_from_os_thread(coro.current())


# -- call_from_os_thread()


def from_outside(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[str, Any]:
    """What a call_from_os_thread() comes to: ("value", it) or ("error", it)."""
    try:
        return "value", call_from_os_thread(function, *args, **kwargs)
    except BaseException as error:
        return "error", error


def test_call_from_an_os_thread_runs_in_a_thread_of_the_loop_and_may_block() -> None:
    def inside(number: int, *, word: str) -> tuple[int, str, str, int]:
        coro.sleep_relative(3600)
        return number, word, coro.current().name, threading.get_ident()

    kind, value = run_in_fake_time(lambda: in_os_thread(from_outside, inside, 1, word="f"))

    assert (kind, value) == ("value", (1, "f", inside.__qualname__, threading.get_ident()))


def test_call_from_an_os_thread_raises_what_the_function_raises(notified: list[tuple[str, BaseException]]) -> None:
    kind, error = coro.run(lambda: in_os_thread(from_outside, fail, KeyError("inside")))

    assert (kind, type(error)) == ("error", KeyError)
    assert notified == []


def test_call_from_an_os_thread_copies_context_variables() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="default")

    def outside() -> tuple[str, str]:
        variable.set("the caller's")
        return call_from_os_thread(inside), variable.get()

    def inside() -> str:
        found = variable.get()
        variable.set("the thread's")
        return found

    assert coro.run(lambda: in_os_thread(outside)) == ("the caller's", "the caller's")


def test_call_from_the_loops_own_os_thread_is_refused() -> None:
    def main() -> None:
        with pytest.raises(RuntimeError, match="the loop's own OS thread, which would wait for itself"):
            call_from_os_thread(int)

    coro.run(main)


def test_call_from_an_os_thread_without_a_loop_is_refused() -> None:
    with pytest.raises(RuntimeError, match="needs a running event loop"):
        call_from_os_thread(int)


class Outsider:
    """An OS thread of the test's own that makes a call into the loop."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.result: tuple[str, Any] | None = None
        self.call = (function, *args)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        self.result = from_outside(*self.call)

    def join(self) -> tuple[str, Any]:
        self.thread.join(LIMIT_S)
        assert self.result is not None, "the OS thread hangs"
        return self.result


def test_call_whose_thread_is_shut_down_at_the_end_of_the_loop_raises() -> None:
    def main() -> Outsider:
        threads = coro.get_live_coros()
        outsider = Outsider(coro.sleep_relative, 1000)
        wait_until(lambda: coro.get_live_coros() > threads)
        return outsider

    kind, error = coro.run(main).join()

    assert (kind, type(error)) == ("error", coro.DeadCoroutine)
    assert "Shutdown" in str(error)


def test_call_that_the_loop_never_came_to_raises_and_is_not_made_by_the_next_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    called: list[int] = []

    def main() -> Outsider:
        # As if the loop ended between the look at it and the post.
        post = loop.post
        late: list[Any] = []
        monkeypatch.setattr(type(loop), "post", lambda self, *call: late.append(call))
        outsider = Outsider(called.append, 1)
        while not late:
            time.sleep(0.001)
        monkeypatch.undo()
        coro.current().joiners.append(lambda thread: post(*late[0]))  # type: ignore[union-attr]
        return outsider

    outsider = coro.run(main)
    coro.run(lambda: coro.sleep_relative(0.01))
    kind, error = outsider.join()

    assert (kind, type(error)) == ("error", RuntimeError)
    assert "the event loop ended before the call" in str(error)
    assert called == []


def test_call_whose_thread_does_not_end_with_the_loop_raises(capfd: pytest.CaptureFixture[str]) -> None:
    def stubborn() -> None:
        while True:
            try:
                coro.sleep_relative(1000)
            except coro.Shutdown:
                begun.append("shut down")

    def main() -> Outsider:
        outsider = Outsider(stubborn)
        threads = coro.get_live_coros()
        wait_until(lambda: coro.get_live_coros() > threads)
        return outsider

    begun: list[str] = []
    former = coro.set_exit_grace(0.01)
    try:
        kind, error = coro.run(main).join()
    finally:
        coro.set_exit_grace(former)

    assert begun == ["shut down"]
    assert (kind, type(error)) == ("error", RuntimeError)
    assert "is abandoned" in capfd.readouterr().err


def test_failure_of_a_call_whose_os_thread_has_left_is_notified(
    notified: list[tuple[str, BaseException]],
) -> None:
    def inside() -> None:
        began.set()
        coro._yield()
        raise OSError("nobody waits")

    def main() -> Any:
        before = set(coro.all_threads)
        outsider = Outsider(inside)
        wait_until(began.is_set)
        [thread] = [coro.all_threads[key] for key in set(coro.all_threads) - before]
        # As Ctrl-C does in the main OS thread.
        ident = ctypes.c_ulong(outsider.thread.ident or 0)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(KeyboardInterrupt))
        wait_until(lambda: not outsider.thread.is_alive())
        thread.schedule()  # type: ignore[attr-defined]
        wait_until(lambda: notified)
        return outsider.join()

    began = threading.Event()
    kind, error = coro.run(main)

    assert (kind, type(error)) == ("error", KeyboardInterrupt)
    assert [str(error) for _, error in notified] == ["nobody waits"]
