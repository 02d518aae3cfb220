"""`threading` and `_thread` under emulation, in processes of their own."""

from pathlib import Path

from tests.core.script import output_of, run_script

INSTALL = """
import coro, coro.emulation
coro.emulation.install()
import _thread, logging, os, queue, sys, threading, time
import concurrent.futures as futures
"""
# Prints how late a tick of 10 ms was at most, when it is told to stop.
TICKER = """
lateness, ticking = [0.0], [True]
def tick():
    while ticking[0]:
        before = time.monotonic()
        time.sleep(0.01)
        lateness.append(time.monotonic() - before - 0.01)
ticker = threading.Thread(target=tick)
ticker.start()
"""


def lines_of(script: str) -> list[str]:
    return output_of(INSTALL + script)


def test_threads_are_coroutine_threads_of_one_os_thread_under_their_names() -> None:
    assert lines_of("""
seen = []
def worker():
    time.sleep(0.01)
    me = coro.current()
    os_threads = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1
    seen.append((me.name, threading.current_thread().name, threading.get_ident() == me.id, os_threads))
threads = [threading.Thread(target=worker, name=name) for name in ("first", "second")]
for thread in threads: thread.start()
print(sorted(thread.name for thread in coro.all_threads.values()))
threads[0].name = "renamed"
coro.all_threads[threads[1].ident].set_name("by coro")
print(threads[1].name)
for thread in threads: thread.join()
print(*seen)
print(threads[0].ident, threads[0].is_alive(), threads[0].native_id != threads[1].native_id)
""")[:3] == [
        "['MainThread', 'first', 'second']",
        "by coro",
        "('renamed', 'renamed', True, 1) ('by coro', 'by coro', True, 1)",
    ]


def test_failures_are_told_as_plain_python_tells_them() -> None:
    script = """
import _thread, sys, threading
def fail():
    raise ValueError("x")
thread = threading.Thread(target=fail)
thread.start()
thread.join()
threading.excepthook = lambda args: print("hook", args.exc_value, args.thread.name)
thread = threading.Thread(target=fail, name="t")
thread.start()
thread.join()
sys.unraisablehook = lambda args: print("unraisable", args.exc_value, args.err_msg.partition(" at 0x")[0])
done = threading.Event()
sys.stdout.flush()
lock = _thread.allocate_lock()
lock.acquire()
def last():
    lock.release()
    fail()
_thread.start_new_thread(fail, ())
_thread.start_new_thread(sys.exit, (3,))
_thread.start_new_thread(_thread.exit, ())
import time
time.sleep(0.2)
"""
    plain, ours = run_script(script), run_script(INSTALL + script)

    assert plain.returncode == ours.returncode == 0
    assert ours.stdout == plain.stdout
    assert ours.stdout.splitlines()[0] == "hook x t"
    assert ours.stderr.splitlines()[0] == plain.stderr.splitlines()[0] == "Exception in thread Thread-1 (fail):"
    assert ours.stderr.splitlines()[-1] == "ValueError: x"


def test_failure_of_a_bare_function_is_unraisable_with_the_original_s_text() -> None:
    script = """
import _thread, time
def fail(): raise KeyError('k')
_thread.start_new_thread(fail, ())
time.sleep(0.2)
"""
    # The same line numbers.
    plain, ours = run_script("\n" * INSTALL.count("\n") + script), run_script(INSTALL + script)

    assert plain.stderr.splitlines()[0].startswith("Exception ignored in thread started by")
    first, expected = (done.stderr.splitlines()[0].partition(" at 0x")[0] for done in (ours, plain))
    assert first == expected
    assert ours.stderr.splitlines()[1:] == plain.stderr.splitlines()[1:]


def test_pool_queue_and_logging_work_with_200_threads_beside_a_ticker() -> None:
    lines = lines_of(
        TICKER
        + """
stream = open(os.devnull, "w")
logging.basicConfig(stream=stream, level=logging.INFO, format="%(threadName)s %(message)s")
with futures.ThreadPoolExecutor(200) as pool:
    print(sum(pool.map(lambda number: (time.sleep(0.01), logging.info("%s", number), number)[2], range(1000))))
    barrier = threading.Barrier(200)
    print(sorted(pool.map(lambda number: barrier.wait(10), range(200))) == list(range(200)))
items, results = queue.Queue(10), queue.SimpleQueue()
def consume():
    while (item := items.get()) is not None:
        logging.info("item %s", item)
        results.put(item)
        items.task_done()
consumers = [threading.Thread(target=consume) for _ in range(200)]
for each in consumers: each.start()
for number in range(2000): items.put(number)
items.join()
for _ in consumers: items.put(None)
for each in consumers: each.join()
print(sorted(results.get() for _ in range(2000)) == list(range(2000)))
ticking[0] = False
ticker.join()
print(max(lateness) < 2, threading.active_count(), _thread._count())
"""
    )

    assert lines == ["499500", "True", "True", "True 1 0"]


def test_two_threads_that_import_the_same_slow_module_get_it_whole(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(0.1)\nvalue = 5\n")
    (tmp_path / "a.py").write_text("import time\ntime.sleep(0.05)\nimport b\nvalue = 1\n")
    (tmp_path / "b.py").write_text("import time\ntime.sleep(0.05)\nimport a\nvalue = 2\n")

    assert lines_of(f"""
sys.path.insert(0, {str(tmp_path)!r})
def take(name, found):
    module = __import__(name)
    found.append(module.value)
for names in (["slow"] * 5, ["a", "b"]):
    found = []
    threads = [threading.Thread(target=take, args=(name, found)) for name in names]
    for thread in threads: thread.start()
    for thread in threads: thread.join(10)
    print(sorted(found))
""") == ["[5, 5, 5, 5, 5]", "[1, 2]"]


def test_threads_of_coro_are_known_to_threading_while_they_live() -> None:
    assert lines_of("""
names = []
def mine():
    names.append(threading.current_thread().name)
for number in range(300):
    coro.spawn(mine, thread_name=f"mine {number}").join()
print(names[0], names[-1], threading.active_count())
""") == ["mine 0 mine 299 1"]


def test_current_frames_have_all_threads() -> None:
    assert lines_of("""
def sleeper():
    time.sleep(100)
thread = threading.Thread(target=sleeper, daemon=True)
thread.start()
time.sleep(0.001)
frames = sys._current_frames()
def has(frame, name):
    while frame is not None:
        if frame.f_code.co_name == name: return True
        frame = frame.f_back
print(len(frames), has(frames[thread.ident], "sleeper"), frames[threading.get_ident()].f_code.co_name)
""") == ["2 True <module>"]


def test_threads_that_meet_in_conditions_events_barriers_and_timers() -> None:
    assert lines_of("""
barrier, order = threading.Barrier(3), []
def meet(number):
    barrier.wait()
    order.append(number)
threads = [threading.Thread(target=meet, args=(number,)) for number in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
condition = threading.Condition()
def notify():
    with condition:
        order.append("notified")
        condition.notify_all()
with condition:
    threading.Timer(0.01, notify).start()
    condition.wait()
print(sorted(order[:3]), order[3:], threading.Event().wait(0.01))
print(threading.BoundedSemaphore(1).acquire(timeout=0.01))
""") == ["[0, 1, 2] ['notified'] False", "True"]


def test_os_threads_remain_available() -> None:
    assert lines_of("""
start = coro.emulation.original("_thread", "start_new_thread")
box, lock = queue.Queue(), threading.Lock()
idents = []
def in_os_thread():
    idents.append(threading.get_ident())
    with lock:
        time.sleep(0.05)
    thread = threading.Thread(target=lambda: box.put("started from an OS thread"))
    thread.start()
    thread.join()
    box.put("from an OS thread")
lock.acquire()
start(in_os_thread, ())
time.sleep(0.02)
lock.release()
print(box.get(timeout=10), box.get(timeout=10), idents[0] != threading.get_ident())
print(coro.run(coro.in_os_thread, lambda: time.sleep(0.01)))
""") == ["started from an OS thread from an OS thread True", "None"]


def test_trace_function_of_a_thread_is_not_the_others() -> None:
    assert lines_of("""
threading.settrace(lambda *args: None)
thread = threading.Thread(target=lambda: print(sys.gettrace() is not None))
thread.start()
thread.join()
print(sys.gettrace())
""") == ["True", "None"]
