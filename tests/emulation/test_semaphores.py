"""The emulated semaphores of `multiprocessing`, run under `python -m coro`."""

import os
import subprocess
import sys
from pathlib import Path

from tests.core.script import ROOT, TIME_LIMIT_S

POOL = """
import multiprocessing

def triple(number):
    return 3 * number

if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(pool.map(triple, range(5)))
    print("end")
"""

LOCKS = """
import multiprocessing, threading, time

def meet(lock):
    seen = []

    def hold(number):
        with lock:
            seen.append((number, "in"))
            time.sleep(0.02)
            seen.append((number, "out"))

    threads = [threading.Thread(target=hold, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return all(enter[0] == leave[0] for enter, leave in zip(seen[::2], seen[1::2]))

print(meet(multiprocessing.Lock()), meet(multiprocessing.RLock()))
lock = multiprocessing.RLock()
with lock, lock:
    thread = threading.Thread(target=lambda: print(lock.acquire(False), lock.acquire(timeout=0.02)))
    thread.start()
    thread.join()

    def steal():
        try:
            lock.release()
        except AssertionError as error:
            print(error)

    thread = threading.Thread(target=steal)
    thread.start()
    thread.join()
condition = multiprocessing.Condition()
with condition:
    print(condition.wait(0.02))

    def notify():
        with condition:
            condition.notify()

    threading.Thread(target=notify).start()
    print(condition.wait(20))
"""


def run(script: Path, source: str) -> list[str]:
    """What the program prints under `python -m coro`; a hang is an error."""
    script.write_text(source)
    done = subprocess.run(
        [sys.executable, "-m", "coro", str(script)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_pool_ends_though_its_workers_wait_for_a_thread_of_this_process(tmp_path: Path) -> None:
    assert run(tmp_path / "pool.py", POOL) == ["[0, 3, 6, 9, 12]", "end"]


def test_locks_exclude_threads_and_waiting_lets_the_holder_run(tmp_path: Path) -> None:
    assert run(tmp_path / "locks.py", LOCKS) == [
        "True True",
        "False False",
        "attempt to release recursive lock not owned by thread",
        "False",
        "True",
    ]
