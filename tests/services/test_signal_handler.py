"""signal_handler: real signals, sent to this very process."""

import os
import signal
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import coro
from coro import signal_handler
from coro.loop import loop
from coro.os_thread import default_pool, in_os_thread
from coro.process import waitpid

SIGNAL = signal.SIGUSR1
LIMIT_S = 10.0


@pytest.fixture(autouse=True)
def handlers_as_before() -> Iterator[None]:
    numbers = (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT)
    former = {number: signal.getsignal(number) for number in numbers}
    yield
    for number in list(signal_handler._registered):
        signal_handler.unregister(number)
    for number, handler in former.items():
        signal.signal(number, handler)
    loop.posted.clear()


def send(number: int = SIGNAL) -> None:
    """Send a signal to this process; the interpreter's handler has run on return."""
    signal.raise_signal(number)


def wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end, "the condition never became true"
        coro.sleep_relative(0.001)


def test_handler_gets_the_number_in_a_thread_named_after_the_signal() -> None:
    got: list[tuple[int, str]] = []

    def main() -> None:
        signal_handler.register(SIGNAL, lambda number: got.append((number, coro.current().name)))
        send()
        wait_until(lambda: got)

    coro.run(main)

    assert got == [(SIGNAL, "SIGUSR1 handler")]


@pytest.mark.skipif(not hasattr(signal, "SIGRTMIN"), reason="this system has no real-time signals")
def test_real_time_signal_works_and_is_named_by_its_number() -> None:
    number = signal.SIGRTMIN + 3
    got: list[str] = []

    def main() -> None:
        signal_handler.register(number, lambda _: got.append(coro.current().name))
        send(number)
        wait_until(lambda: got)

    coro.run(main)

    assert got == [f"signal {int(number)} handler"]


def test_signal_from_another_process_ends_the_poll() -> None:
    def main() -> None:
        # Nothing else makes the loop turn.
        signal_handler.register(SIGNAL, coro.current().schedule)
        child = os.posix_spawn("/bin/sh", ["sh", "-c", f"sleep 0.02; kill -USR1 {os.getpid()}"], os.environ)
        assert coro._yield() == SIGNAL
        waitpid(child)

    coro.run(main)


def test_handler_may_block_while_others_run() -> None:
    order: list[str] = []

    def handler(number: int) -> None:
        order.append("begins")
        coro.sleep_relative(0.01)
        order.append("ends")

    def main() -> None:
        signal_handler.register(SIGNAL, handler)
        send()
        wait_until(lambda: order)
        order.append("others")
        wait_until(lambda: len(order) == 3)

    coro.run(main)

    assert order == ["begins", "others", "ends"]


def test_signals_that_arrive_while_the_handler_runs_make_it_run_once_more() -> None:
    runs: list[coro.coro] = []
    running: list[int] = []
    together: list[int] = []

    def handler(number: int) -> None:
        running.append(number)
        together.append(len(running))
        runs.append(coro.current())
        coro._yield()
        running.pop()

    def main() -> None:
        signal_handler.register(SIGNAL, handler)
        for _ in range(2):
            send()
            wait_until(lambda: len(runs) % 2 == 1)
            for _ in range(5):
                send()
                coro.sleep_relative(0.001)
            runs[-1].schedule()
            # The run that is owed.
            wait_until(lambda: len(runs) % 2 == 0)
            runs[-1].schedule()
            wait_until(lambda: runs[-1].dead)
            coro.sleep_relative(0.002)

    coro.run(main)

    assert together == [1, 1, 1, 1]


def test_storm_of_signals_while_the_loop_is_busy_costs_one_entry_and_one_run() -> None:
    got: list[int] = []

    def main() -> int:
        signal_handler.register(SIGNAL, got.append)
        for _ in range(10_000):
            send()
        posted = len(loop.posted)
        coro.sleep_relative(0.002)
        return posted

    assert coro.run(main) == 1
    assert got == [SIGNAL]


def test_handler_that_raises_is_notified_and_stays() -> None:
    got: list[tuple[str, str]] = []
    former = coro.set_exception_notifier(lambda thread, error: got.append((thread.name, str(error))))

    def handler(number: int) -> None:
        raise OSError(f"number {len(got)}")

    def main() -> None:
        signal_handler.register(SIGNAL, handler)
        send()
        wait_until(lambda: len(got) == 1)
        send()
        wait_until(lambda: len(got) == 2)

    try:
        coro.run(main)
    finally:
        coro.set_exception_notifier(former)

    assert got == [("SIGUSR1 handler", "number 0"), ("SIGUSR1 handler", "number 1")]


def test_signal_that_arrived_while_a_failing_handler_ran_is_not_lost() -> None:
    runs: list[int] = []
    former = coro.set_exception_notifier(lambda thread, error: None)

    def handler(number: int) -> None:
        runs.append(number)
        if len(runs) == 1:
            send()
            coro.sleep_relative(0.005)
            raise OSError

    def main() -> None:
        signal_handler.register(SIGNAL, handler)
        send()
        wait_until(lambda: len(runs) == 2)

    try:
        coro.run(main)
    finally:
        coro.set_exception_notifier(former)


def test_once_only_handler_runs_once_and_the_former_comes_back() -> None:
    former: list[int] = []
    got: list[int] = []
    signal.signal(SIGNAL, lambda number, frame: former.append(number))

    def main() -> None:
        signal_handler.register(SIGNAL, got.append, once_only=True)
        send()
        send()
        wait_until(lambda: got)
        coro.sleep_relative(0.002)
        # The place is free again.
        signal_handler.register(SIGNAL, got.append)

    coro.run(main)

    assert got == [SIGNAL]
    assert former == [SIGNAL]


def test_signals_that_arrive_before_the_loop_starts_are_handled_when_it_does() -> None:
    got: list[int] = []
    signal_handler.register(SIGNAL, got.append)
    send()
    assert got == []

    coro.run(lambda: coro.sleep_relative(0.001))

    assert got == [SIGNAL]


def test_handler_stays_over_the_end_of_the_loop() -> None:
    got: list[int] = []
    coro.run(lambda: signal_handler.register(SIGNAL, got.append) and None)
    send()

    coro.run(lambda: coro.sleep_relative(0.001))

    assert got == [SIGNAL]


def test_register_returns_the_former_handler_and_unregister_puts_it_back() -> None:
    def former(number: int, frame: object) -> None:
        """Never called."""

    signal.signal(SIGNAL, former)

    def handler(number: int) -> None:
        """Never called."""

    assert signal_handler.register(SIGNAL, handler) is former
    assert signal.getsignal(SIGNAL) is not former
    assert signal_handler.unregister(SIGNAL) is handler
    assert signal.getsignal(SIGNAL) is former
    assert signal_handler.unregister(SIGNAL) is None


def test_unregister_leaves_a_handler_that_somebody_else_set() -> None:
    signal_handler.register(SIGNAL, int)
    signal.signal(SIGNAL, signal.SIG_IGN)

    signal_handler.unregister(SIGNAL)

    assert signal.getsignal(SIGNAL) == signal.SIG_IGN


def test_unregister_takes_back_the_run_that_is_owed() -> None:
    got: list[int] = []

    def main() -> None:
        signal_handler.register(SIGNAL, got.append)
        send()
        signal_handler.unregister(SIGNAL)
        coro.sleep_relative(0.002)

    coro.run(main)

    assert got == []


def test_second_handler_of_a_signal_gets_simultaneous_error() -> None:
    signal_handler.register(SIGNAL, int)

    with pytest.raises(coro.SimultaneousError) as caught:
        signal_handler.register(SIGNAL, str)

    assert (caught.value.co, caught.value.other, caught.value.event) == (str, int, ("signal", SIGNAL))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_signal_that_cannot_be_caught_is_refused(number: signal.Signals) -> None:
    with pytest.raises(OSError, match=f"{number.name} cannot be caught"):
        signal_handler.register(number, int)

    assert signal_handler.unregister(number) is None


@pytest.mark.parametrize("number", [0, -1, 1000])
def test_number_that_is_no_signal_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match=f"a signal must be 1 to {max(signal.valid_signals())}, got {number}"):
        signal_handler.register(number, int)
    with pytest.raises(ValueError, match=f"a signal must be 1 to {max(signal.valid_signals())}, got {number}"):
        signal_handler.unregister(number)


@pytest.mark.parametrize("number", ["SIGHUP", None, True, 1.0])
def test_signal_that_is_no_number_is_refused(number: Any) -> None:
    with pytest.raises(TypeError, match="a signal must be given by its number, got"):
        signal_handler.register(number, int)


@pytest.mark.parametrize("handler", [None, signal.SIG_DFL, signal.SIG_IGN, "x"])
def test_handler_that_cannot_be_called_is_refused(handler: Any) -> None:
    with pytest.raises(TypeError, match=r"a handler of SIGUSR1 must be callable, got .*unregister\(\)"):
        signal_handler.register(SIGNAL, handler)


def test_registering_in_another_os_thread_is_refused() -> None:
    def outside() -> None:
        with pytest.raises(ValueError, match=r"register\(\) works in the main OS thread only"):
            signal_handler.register(SIGNAL, int)
        with pytest.raises(ValueError, match=r"unregister\(\) works in the main OS thread only"):
            signal_handler.unregister(SIGNAL)

    def main() -> None:
        in_os_thread(outside)
        default_pool.dismiss_idle()

    coro.run(main)


def test_handler_runs_in_a_loop_that_runs_in_another_os_thread() -> None:
    got: list[int] = []
    ready = threading.Event()

    def main() -> None:
        ready.set()
        wait_until(lambda: got)

    signal_handler.register(SIGNAL, lambda number: got.append(threading.get_ident()))
    os_thread = threading.Thread(target=coro.run, args=(main,))
    os_thread.start()
    assert ready.wait(LIMIT_S)
    send()
    os_thread.join(LIMIT_S)

    assert got == [os_thread.ident]


def test_handler_of_sigterm_that_was_registered_first_keeps_the_loop_from_exiting() -> None:
    got: list[int] = []
    signal_handler.register(signal.SIGTERM, got.append)

    def main() -> str:
        send(signal.SIGTERM)
        wait_until(lambda: got)
        return "still here"

    assert coro.run(main) == "still here"


def test_unregistering_in_the_loop_gives_sigterm_back_to_the_loop() -> None:
    def main() -> None:
        signal_handler.register(signal.SIGTERM, int)
        signal_handler.unregister(signal.SIGTERM)
        send(signal.SIGTERM)
        coro.sleep_relative(LIMIT_S)

    with pytest.raises(SystemExit):
        coro.run(main)


@pytest.mark.parametrize(
    ("number", "default"), [(signal.SIGTERM, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)]
)
def test_unregistering_after_the_loop_does_not_bring_back_the_loops_own_handler(number: int, default: Any) -> None:
    signal.signal(number, default)
    coro.run(lambda: signal_handler.register(number, int) and None)

    signal_handler.unregister(number)

    assert signal.getsignal(number) == default


def test_handler_that_c_code_set_is_replaced_by_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(signal, "getsignal", lambda number: None)
        assert signal_handler.register(SIGNAL, int) is None

    signal_handler.unregister(SIGNAL)

    assert signal.getsignal(SIGNAL) == signal.SIG_DFL


def test_handler_works_in_a_child_that_was_forked_when_a_signal_was_under_way() -> None:
    got: list[int] = []

    def child() -> int:
        coro.sleep_relative(0.002)
        if got:
            return 2
        send()
        wait_until(lambda: got)
        return 0

    def main() -> int:
        signal_handler.register(SIGNAL, got.append)
        send()
        with warnings.catch_warnings():
            # Python from 3.12 on warns of a fork beside other OS threads, if there are any.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = coro.fork()
        if pid == 0:
            status = 9
            try:
                status = child()
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        return os.waitstatus_to_exitcode(waitpid(pid)[1])

    assert coro.run(main) == 0
    assert got == [SIGNAL]


def test_daemon_that_gets_sighup_and_sigterm_reloads_and_then_exits() -> None:
    script = """
import signal, sys
import coro
from coro import signal_handler
coro.set_print_exit_string(False)
def reload(signum):
    coro.sleep_relative(0.001)
    print("reloaded", flush=True)
signal_handler.register(signal.SIGHUP, reload)
coro.spawn(print, "ready", flush=True)
coro.event_loop()
"""
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == "ready\n"
        daemon.send_signal(signal.SIGHUP)
        assert daemon.stdout.readline() == "reloaded\n"
        daemon.send_signal(signal.SIGTERM)
        assert daemon.stdout.read() == ""

    assert daemon.returncode == 0
