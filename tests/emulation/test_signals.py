"""Signals under emulation: handlers run in the main thread, waits for signals let the others run."""

from tests.core.script import output_of

INSTALL = """
import coro, coro.emulation, signal
def early(signum, frame):
    print("early", threading.current_thread().name)
signal.signal(signal.SIGUSR2, early)
coro.emulation.install()
import os, sys, threading, time
def me(): return threading.current_thread().name
def send(signum, after=0.02):
    def sender():
        time.sleep(after)
        os.kill(os.getpid(), signum)
    thread = threading.Thread(target=sender)
    thread.start()
    return thread
"""


def lines_of(script: str) -> list[str]:
    return output_of(INSTALL + script)


def test_handler_runs_in_the_main_thread_while_it_waits_and_the_wait_goes_on() -> None:
    assert lines_of("""
got = []
def handler(signum, frame): got.append((signum == signal.SIGUSR1, me(), frame.f_code.co_name))
signal.signal(signal.SIGUSR1, handler)
def wait():
    before = time.monotonic()
    send(signal.SIGUSR1)
    # Which ends when somebody schedules the thread: a handler is nobody.
    coro.sleep_relative(0.1)
    return time.monotonic() - before >= 0.1
print(wait(), *got)
""") == ["True (True, 'MainThread', 'wait')"]


def test_handler_that_raises_ends_the_main_thread_s_wait_and_no_other() -> None:
    assert lines_of("""
class Stop(Exception): pass
def stop(signum, frame): raise Stop
signal.signal(signal.SIGUSR1, stop)
lock = threading.Lock()
lock.acquire()
sender = send(signal.SIGUSR1)
try:
    lock.acquire()
except Stop:
    print("stopped")
sender.join()
lock.release()
print(lock.acquire(False))
""") == ["stopped", "True"]


def test_handler_may_wake_what_the_main_thread_waits_for() -> None:
    assert lines_of("""
event = threading.Event()
signal.signal(signal.SIGUSR1, lambda *_: event.set())
send(signal.SIGUSR1)
print(event.wait(10))
lock = threading.Lock()
lock.acquire()
signal.signal(signal.SIGUSR1, lambda *_: lock.release())
send(signal.SIGUSR1)
print(lock.acquire(timeout=10))
""") == ["True", "True"]


def test_handler_that_was_there_before_the_installation_is_kept() -> None:
    assert lines_of("""
print(signal.getsignal(signal.SIGUSR2) is early)
send(signal.SIGUSR2).join()
time.sleep(0.01)
print(signal.signal(signal.SIGUSR2, signal.SIG_IGN) is early, signal.getsignal(signal.SIGUSR2))
print(signal.signal(signal.SIGUSR2, early) is signal.SIG_IGN)
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
""") == ["True", "early MainThread", "True 1", "True", "True"]


def test_thousands_of_signals_do_not_pile_up() -> None:
    assert lines_of("""
count = 0
def handler(*_):
    global count
    count += 1
signal.signal(signal.SIGUSR1, handler)
def storm():
    for _ in range(3000):
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0)
thread = threading.Thread(target=storm)
thread.start()
thread.join()
print(count > 1000)
""") == ["True"]


def test_registering_is_the_main_thread_s() -> None:
    assert lines_of("""
def attempt():
    for function in (lambda: signal.signal(signal.SIGUSR1, early), lambda: signal.set_wakeup_fd(-1)):
        try:
            function()
        except ValueError as error:
            print(error)
thread = threading.Thread(target=attempt)
thread.start()
thread.join()
for wrong in ((signal.SIGKILL, early), (9999, early), (signal.SIGUSR1, 3.5)):
    try:
        signal.signal(*wrong)
    except (OSError, ValueError, TypeError) as error:
        print(type(error).__name__)
print(signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL)
""") == [
        "signal only works in main thread of the main interpreter",
        "set_wakeup_fd only works in main thread of the main interpreter",
        "OSError",
        "ValueError",
        "TypeError",
        "True",
    ]


def test_waits_for_signals_let_the_others_run() -> None:
    assert lines_of("""
ticks, ticking = [], [True]
def tick():
    while ticking[0]:
        ticks.append(1)
        time.sleep(0.005)
threading.Thread(target=tick).start()
signal.signal(signal.SIGUSR1, lambda *_: None)
send(signal.SIGUSR1, 0.05)
signal.pause()
print(len(ticks) > 3)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
send(signal.SIGUSR2, 0.05)
print(signal.sigwait([signal.SIGUSR2]) == signal.SIGUSR2)
if hasattr(signal, "sigtimedwait"):
    send(signal.SIGUSR2, 0.05)
    assert signal.sigtimedwait([signal.SIGUSR2], 10).si_signo == signal.SIGUSR2
    assert signal.sigtimedwait([signal.SIGUSR2], 0.01) is None
    send(signal.SIGUSR2, 0.05)
    assert signal.sigwaitinfo([signal.SIGUSR2]).si_signo == signal.SIGUSR2
print(len(ticks) > 6)
ticking[0] = False
""") == ["True", "True", "True"]


def test_wakeup_descriptor_of_the_program_gets_the_numbers() -> None:
    assert lines_of("""
reader, writer = os.pipe()
os.set_blocking(writer, False)
os.set_blocking(reader, False)
print(signal.set_wakeup_fd(writer))
signal.signal(signal.SIGUSR1, lambda *_: None)
send(signal.SIGUSR1)
time.sleep(0.1)
print(list(os.read(reader, 10)) == [signal.SIGUSR1], signal.set_wakeup_fd(-1) == writer)
try:
    signal.set_wakeup_fd(10 ** 6)
except (ValueError, OSError) as error:
    print(type(error).__name__ in ("OSError", "ValueError"), signal.set_wakeup_fd(-1))
""") == ["-1", "True True", "True -1"]


def test_signal_to_a_thread_is_the_process_s_and_a_thread_that_has_ended_is_no_process() -> None:
    assert lines_of("""
got = []
signal.signal(signal.SIGUSR1, lambda *_: got.append(me()))
thread = threading.Thread(target=time.sleep, args=(0.05,))
thread.start()
signal.pthread_kill(thread.ident, signal.SIGUSR1)
thread.join()
print(got)
try:
    signal.pthread_kill(thread.ident, 0)
except ProcessLookupError:
    print("gone")
signal.pthread_kill(threading.get_ident(), 0)
""") == ["['MainThread']", "gone"]


def test_keyboard_interrupt_of_another_thread_is_delivered_in_the_main_thread() -> None:
    assert lines_of("""
import _thread
def interrupt():
    time.sleep(0.02)
    _thread.interrupt_main()
    print("goes on")
threading.Thread(target=interrupt).start()
try:
    time.sleep(20)
except KeyboardInterrupt:
    print("interrupted", me())
""") in (["goes on", "interrupted MainThread"], ["interrupted MainThread", "goes on"])


def test_event_loop_s_own_handling_of_the_interrupt_signal_is_as_ever() -> None:
    assert lines_of("""
coro.set_print_exit_string(False)
time.sleep(0.001)
send(signal.SIGINT)
try:
    coro.event_loop()
except SystemExit as exit:
    print("exit", exit.code)
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
""") == ["exit 0", "True"]
