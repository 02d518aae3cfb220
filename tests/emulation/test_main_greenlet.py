"""Blocking calls in the main greenlet, outside any loop: they drive the loop until they are satisfied."""

from tests.core.script import output_of, run_script

INSTALL = "import coro, coro.emulation\ncoro.emulation.install()\nimport os, signal, sys, threading, time\n"


def lines_of(script: str) -> list[str]:
    return output_of(INSTALL + script)


def test_threads_started_at_import_time_run_while_the_main_greenlet_waits() -> None:
    assert lines_of("""
order = []
def worker(number):
    time.sleep(0.03 - number / 100)
    order.append(number)
threads = [threading.Thread(target=worker, args=(number,)) for number in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(order)
""") == ["[2, 1, 0]"]


def test_main_greenlet_is_a_thread_from_its_first_wait_on() -> None:
    assert lines_of("""
print(coro.current().id, threading.current_thread() is threading.main_thread())
ident = threading.get_ident()
time.sleep(0.001)
me = coro.current()
print(me.name, me in coro.all_threads.values(), threading.get_ident() == ident == threading.main_thread().ident)
threading.main_thread().name = "renamed"
print(me.name, coro.coro_is_running())
""") == ["-1 True", "MainThread True True", "renamed True"]


def test_wait_of_coro_s_own_primitives_drives_the_loop_too() -> None:
    assert lines_of("""
thread = coro.spawn(lambda: 5)
print(thread.result())
box = coro.fifo()
coro.spawn(box.push, "item")
print(box.pop())
lock = coro.mutex()
coro.spawn(lambda: (lock.lock(), time.sleep(0.01), lock.unlock()))
coro.sleep_relative(0.001)
lock.lock()
print(lock.has_lock())
""") == ["5", "item", "True"]


def test_run_and_event_loop_take_the_loop_over_with_its_threads() -> None:
    assert lines_of("""
ended = threading.Event()
def worker():
    time.sleep(0.1)
    ended.set()
threading.Thread(target=worker).start()
time.sleep(0.001)
print(coro.run(ended.wait, 5))
print(coro.run(lambda: coro.current().name))
def exiter():
    time.sleep(0.01)
    coro.set_exit(3)
time.sleep(0.001)
threading.Thread(target=exiter).start()
coro.set_print_exit_string(False)
try:
    coro.event_loop()
except SystemExit as exit:
    print(exit.code)
thread = threading.Thread(target=print, args=("after it",))
thread.start()
thread.join()
""") == ["True", "<lambda>", "3", "after it"]


def test_threads_that_the_loop_s_end_cuts_off_count_as_ended() -> None:
    done = run_script(
        INSTALL
        + """
coro.set_print_exit_string(False)
coro.set_exit_grace(0.1)
def stubborn():
    while True:
        try:
            time.sleep(100)
        except BaseException:
            continue
def quiet():
    time.sleep(100)
threads = [threading.Thread(target=function, name=function.__name__) for function in (stubborn, quiet)]
for thread in threads: thread.start()
coro.run(time.sleep, 0.01)
for thread in threads: thread.join()
print([thread.is_alive() for thread in threads], threading.active_count())
import _thread
print(_thread._count())
"""
    )

    assert done.stdout.splitlines() == ["[False, False] 1", "0"]
    # Shutdown is no failure of theirs.
    assert "Traceback" not in done.stderr
    assert "'stubborn'" in done.stderr
    assert "quiet" not in done.stderr
    assert done.returncode == 0


def test_lock_in_the_loop_s_own_handlers_is_refused_when_it_is_taken() -> None:
    assert lines_of("""
from coro.loop import loop
lock = threading.Lock()
lock.acquire()
def handler():
    try:
        lock.acquire()
    except coro.YieldFromMain as error:
        print("would block the loop" in str(error))
    with threading.Lock():
        print("a free one is taken")
loop.post(handler)
time.sleep(0.01)
""") == ["True", "a free one is taken"]


def test_thread_locals_of_the_main_thread_stay_when_it_becomes_a_thread() -> None:
    assert lines_of("""
emulated, own = threading.local(), coro.ThreadLocal()
emulated.value = own.value = 1
time.sleep(0.001)
print(emulated.value, own.value)
coro.run(lambda: None)
print(emulated.value, own.value)
""") == ["1 1", "1 1"]


def test_computing_main_program_that_is_alone_is_no_latency() -> None:
    done = run_script(
        INSTALL
        + """
time.sleep(0.001)
end = time.monotonic() + 0.4
while time.monotonic() < end: pass
time.sleep(0.001)
"""
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_non_daemon_threads_are_joined_at_exit_and_daemons_are_dropped() -> None:
    done = run_script(
        INSTALL
        + """
import atexit
def late():
    time.sleep(0.1)
    print("joined")
def daemon():
    try:
        time.sleep(100)
    finally:
        print("must not run")
atexit.register(lambda: (time.sleep(0.01), print("atexit")))
threading.Thread(target=daemon, daemon=True).start()
threading.Thread(target=late).start()
print("end")
"""
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["end", "joined", "atexit"]


def test_child_of_a_fork_in_the_main_thread_has_no_other_threads_and_works() -> None:
    assert lines_of("""
thread = threading.Thread(target=time.sleep, args=(100,), daemon=True)
thread.start()
time.sleep(0.001)
pid = os.fork()
if pid == 0:
    done = threading.Event()
    threading.Thread(target=lambda: (time.sleep(0.01), done.set())).start()
    os._exit(7 if done.wait(5) and threading.active_count() <= 2 and not thread.is_alive() else 1)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
""") == ["7"]


def test_child_of_a_fork_in_another_thread_ends_with_that_thread() -> None:
    assert lines_of("""
def forker():
    pid = os.fork()
    if pid == 0:
        time.sleep(0.01)
        print("child", threading.current_thread() is threading.main_thread(), threading.active_count())
        got = []
        signal.signal(signal.SIGUSR1, lambda *_: got.append(threading.current_thread().name))
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0.01)
        print(got)
        return
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
thread = threading.Thread(target=forker, name="forker")
thread.start()
thread.join()
""") == ["child True 1", "['forker']", "0"]
