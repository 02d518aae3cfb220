"""Signals while the loop runs, each script in a process of its own."""

import pytest

from tests.core.script import output_of, run_script

# Sends itself signals from another OS thread, so that they meet a waiting poll.
PRELUDE = """
import coro, os, signal, sys, threading, time

def send_later(seconds, number):
    timer = threading.Timer(seconds, os.kill, (os.getpid(), number))
    timer.daemon = True
    timer.start()

def clean():
    try:
        coro.sleep_relative(1000)
    finally:
        coro.sleep_relative(0.01)
        print("cleaned", flush=True)

def stubborn():
    while True:
        try:
            coro.sleep_relative(1000)
        except coro.Shutdown:
            print("survived", flush=True)
"""


def with_prelude(script: str) -> str:
    return PRELUDE + "\n".join(line[8:] for line in script.splitlines())


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_signal_ends_the_loop_as_set_exit_does(name: str) -> None:
    script = """
        coro.spawn(clean)
        send_later(0.1, getattr(signal, sys.argv[1]))
        try:
            coro.event_loop()
        except SystemExit as exit:
            print("exit", exit.code)
        print("handlers restored:", [
            signal.getsignal(signal.SIGTERM) is signal.SIG_DFL,
            signal.getsignal(signal.SIGINT) is signal.default_int_handler,
            signal.set_wakeup_fd(-1),
        ])
    """
    assert output_of(with_prelude(script), name) == ["cleaned", "exit 0", "handlers restored: [True, True, -1]"]


def test_signal_ends_run_with_system_exit() -> None:
    script = """
        send_later(0.1, signal.SIGTERM)
        coro.run(clean)
    """
    done = run_script(with_prelude(script))
    assert (done.returncode, done.stdout) == (0, "cleaned\n")


def test_signal_is_seen_while_threads_never_wait() -> None:
    script = """
        def busy():
            while True:
                coro.yield_slice()

        coro.spawn(busy)
        coro.spawn(busy)
        send_later(0.1, signal.SIGTERM)
        coro.event_loop()
    """
    assert output_of(with_prelude(script)) == []


@pytest.mark.parametrize("gap_s", ["0.3", "0"])
def test_second_signal_skips_the_grace(gap_s: str) -> None:
    script = """
        coro.set_exit_grace(1000)
        gap_s = float(sys.argv[1])

        def main():
            coro.spawn(stubborn)
            coro.sleep_relative(0.01)
            if gap_s:
                send_later(0.1, signal.SIGTERM)
                send_later(0.1 + gap_s, signal.SIGTERM)
                coro.sleep_relative(1000)
            # Both before the loop comes round.
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)

        coro.spawn(main)
        coro.event_loop()
    """
    done = run_script(with_prelude(script), gap_s)
    assert (done.returncode, done.stdout) in [(0, "survived\n"), (0, "")]
    assert "name='stubborn'" in done.stderr
    assert "abandoned" in done.stderr


def test_signal_in_the_grace_does_not_change_the_exit_code() -> None:
    script = """
        coro.set_exit_grace(1000)

        def main():
            coro.spawn(stubborn)
            coro.sleep_relative(0.01)
            send_later(0.2, signal.SIGTERM)
            coro.set_exit(3)

        coro.spawn(main)
        coro.event_loop()
    """
    done = run_script(with_prelude(script))
    assert (done.returncode, done.stdout) == (3, "survived\n")


def test_signal_in_the_grace_does_not_change_the_outcome_of_run() -> None:
    script = """
        coro.set_exit_grace(1000)

        def main():
            coro.spawn(stubborn)
            coro.sleep_relative(0.01)
            send_later(0.2, signal.SIGINT)
            raise ValueError("the outcome")

        try:
            coro.run(main)
        except ValueError as error:
            print(error)
    """
    assert output_of(with_prelude(script)) == ["survived", "the outcome"]


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_handlers_of_the_program_are_left_alone(number: str) -> None:
    script = """
        number = getattr(signal, sys.argv[1])

        def handler(signum, frame):
            print("own handler", flush=True)
            coro.set_exit(9)

        signal.signal(number, handler)
        send_later(0.1, number)
        coro.spawn(clean)
        try:
            coro.event_loop()
        except SystemExit as exit:
            print(exit.code)
        print(signal.getsignal(number) is handler)
    """
    assert output_of(with_prelude(script), number) == ["own handler", "cleaned", "9", "True"]


def test_ignored_sigint_stays_ignored() -> None:
    """As the shell leaves it for a background job."""
    script = """
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        send_later(0.05, signal.SIGINT)
        print(coro.run(lambda: (coro.sleep_relative(0.2), "went on")[1]))
    """
    assert output_of(with_prelude(script)) == ["went on"]


def test_handler_that_the_program_sets_while_the_loop_runs_stays() -> None:
    script = """
        def handler(signum, frame):
            print("own handler")

        coro.run(signal.signal, signal.SIGTERM, handler)
        os.kill(os.getpid(), signal.SIGTERM)
    """
    assert output_of(with_prelude(script)) == ["own handler"]


def test_work_of_any_handler_is_seen_at_once() -> None:
    script = """
        def main():
            me = coro.current()
            signal.signal(signal.SIGUSR1, lambda signum, frame: me.schedule("from the handler"))
            send_later(0.05, signal.SIGUSR1)
            begin = time.monotonic()
            print(coro._yield())
            # Without the wake-up descriptor the poll would go on for its 30 seconds.
            print(time.monotonic() - begin < 10)

        coro.run(main)
    """
    assert output_of(with_prelude(script)) == ["from the handler", "True"]


def test_wake_up_descriptor_of_the_program_is_restored() -> None:
    script = """
        import socket
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        signal.set_wakeup_fd(ours.fileno())
        coro.run(int)
        print(signal.set_wakeup_fd(-1) == ours.fileno())
        ours.close(), theirs.close()
    """
    assert output_of(with_prelude(script)) == ["True"]


def test_loop_in_another_os_thread_installs_no_handlers() -> None:
    script = """
        def look():
            return signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)

        seen = []
        os_thread = threading.Thread(target=lambda: seen.append(coro.run(look)))
        os_thread.start()
        os_thread.join()
        print(seen == [(signal.SIG_DFL, signal.default_int_handler)])
    """
    assert output_of(with_prelude(script)) == ["True"]


# -- install_signal_handlers = False


def test_without_handlers_sigterm_kills_and_no_handler_is_installed() -> None:
    script = """
        coro.install_signal_handlers = False
        send_later(0.1, signal.SIGTERM)
        coro.run(clean)
    """
    done = run_script(with_prelude(script))
    assert (done.returncode, done.stdout) == (-15, "")


def test_without_handlers_sigint_is_a_keyboard_interrupt_that_leaves_the_loop() -> None:
    script = """
        coro.install_signal_handlers = False
        for start in (lambda: coro.run(clean), lambda: (coro.spawn(clean), coro.event_loop())):
            send_later(0.1, signal.SIGINT)
            try:
                start()
            except KeyboardInterrupt:
                print("left", coro.get_live_coros(), coro.coro_is_running())
        print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
    """
    assert output_of(with_prelude(script)) == ["cleaned", "left 0 False", "cleaned", "left 0 False", "True"]


def test_without_handlers_users_code_may_catch_the_keyboard_interrupt() -> None:
    script = """
        coro.install_signal_handlers = False

        def main():
            send_later(0.1, signal.SIGINT)
            try:
                time.sleep(5)
            except KeyboardInterrupt:
                print("caught")
            coro.sleep_relative(0.01)
            return "went on"

        print(coro.run(main))
    """
    assert output_of(with_prelude(script)) == ["caught", "went on"]


def test_without_handlers_a_second_sigint_skips_the_grace() -> None:
    script = """
        coro.install_signal_handlers = False
        coro.set_exit_grace(1000)

        def main():
            coro.spawn(stubborn)
            coro.sleep_relative(0.01)
            send_later(0.1, signal.SIGINT)
            send_later(0.4, signal.SIGINT)
            coro.sleep_relative(1000)

        try:
            coro.run(main)
        except KeyboardInterrupt:
            print("left")
    """
    assert output_of(with_prelude(script)) == ["survived", "left"]


@pytest.mark.slow
def test_keyboard_interrupt_is_never_raised_inside_the_runtime() -> None:
    """SIGINT at many moments: each time all threads get to clean up, and the loop can be used again."""
    script = """
        import random
        coro.install_signal_handlers = False
        random.seed(7)
        begun = ended = 0

        def worker():
            global begun, ended
            begun += 1
            try:
                while True:
                    coro.yield_slice()
                    coro.spawn(int)
                    coro.sleep_relative(0.0001)
                    try:
                        coro.spawn(coro.sleep_relative, 0.0002).join(0.0001)
                    except coro.TimeoutError:
                        pass
            finally:
                ended += 1

        def main():
            # From here on the loop's own handling holds, until the signal has ended the loop.
            send_later(0.001 + 0.01 * random.random(), signal.SIGINT)
            while True:
                coro.spawn(worker)
                coro.sleep_relative(0.0003)

        for number in range(150):
            try:
                coro.run(main)
                print(number, "returned")
            except KeyboardInterrupt:
                if begun != ended or coro.all_threads or coro.coro_is_running():
                    print(number, begun, ended, coro.all_threads)
        print("end")
    """
    done = run_script(with_prelude(script))
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


def test_sigint_at_each_clock_reading_of_the_runtime_is_not_raised_there() -> None:
    """The clock is made of C functions, so the handler runs in the frame that read it: one of the runtime's."""
    script = """
        import itertools, operator
        from coro.scheduler import scheduler
        coro.install_signal_handlers = False
        coro.set_exit_grace(0.5)

        def clock_with_signal_at(reading):
            times = itertools.count(scheduler.clock(), 50_000)
            signals = itertools.chain(
                itertools.repeat(None, reading), map(signal.raise_signal, [signal.SIGINT]), itertools.repeat(None)
            )
            return map(operator.itemgetter(0), zip(times, signals)).__next__

        log = []

        def worker():
            try:
                while True:
                    for call in (coro.yield_slice, lambda: coro.sleep_relative(0.0001), join):
                        try:
                            call()
                        except KeyboardInterrupt:
                            log.append(f"raised in {call}")
            finally:
                log.append("cleaned")

        def join():
            coro.spawn(int).join()

        def main(reading):
            real_clock = scheduler.clock
            for _ in range(3):
                coro.spawn(worker)
            coro.yield_slice()
            scheduler.clock = clock_with_signal_at(reading)
            try:
                coro.sleep_relative(1000)
            finally:
                scheduler.clock = real_clock

        for reading in range(80):
            try:
                coro.run(main, reading)
                print(reading, "returned")
            except KeyboardInterrupt:
                if log != ["cleaned"] * 3:
                    print(reading, log)
            log.clear()
        print("end")
    """
    done = run_script(with_prelude(script))
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


def test_keyboard_interrupt_while_the_runtime_reports_leaves_the_loop_in_order() -> None:
    script = """
        import io
        coro.install_signal_handlers = False
        coro.set_exit_grace(1000)

        class Stream(io.StringIO):
            def write(self, text):
                if "uncaught" in text:
                    os.kill(os.getpid(), signal.SIGINT)
                return super().write(text)

        coro.stderr.saved_stderr = Stream()
        threads = []

        def main():
            threads.append(coro.spawn(lambda: 1 / 0))
            coro.sleep_relative(1)

        try:
            coro.run(main)
        except KeyboardInterrupt:
            text = coro.stderr.saved_stderr.getvalue()
            print("left", threads[0].dead, coro.get_live_coros(), "abandoned" in text)
    """
    assert output_of(with_prelude(script)) == ["left True 0 False"]
