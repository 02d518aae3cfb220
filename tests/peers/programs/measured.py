"""What every program of this folder does around its library: threads, a ticker, one line of JSON.

The programs are ordinary ones: they know `threading` and their library, and nothing of coro.  So each runs in two
ways, `python program.py …` and `python -m coro program.py …`, and must do the same in both.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import json
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ticker import Ticker


@dataclass(frozen=True, slots=True)
class Options:
    """What a program is told.

    requests: how many each thread makes.  pause_s: how long a thread waits between two of them, on average.
    peer: where the peer is and how to get in, as its test says.
    """

    threads: int
    requests: int
    pause_s: float
    peer: dict[str, Any]


def run(library: str, main: Callable[[Options], int], prepare: Callable[[Options], object] | None = None) -> None:
    """Run `main(options)`, which returns the number of answers that were right; print the outcome as JSON.

    prepare: called before anything is measured, for what a program does once, such as late imports.
    Exits with 1, and a traceback, if main raises.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=200)
    parser.add_argument("--requests", type=int, default=10)
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--limit", type=float, default=120.0, help="seconds after which it gives up")
    parser.add_argument("--peer", type=json.loads, default={}, help="a JSON object")
    given = parser.parse_args()
    faulthandler.dump_traceback_later(given.limit, exit=True)
    options = Options(given.threads, given.requests, given.pause, given.peer)
    if prepare is not None:
        prepare(options)
    # As every program should that wants short pauses: the collector need not look at what was imported.
    gc.collect()
    gc.freeze()
    ticker = Ticker()
    ticker.start()
    began, began_cpu = time.perf_counter(), time.process_time()
    try:
        answers = main(options)
    finally:
        took, took_cpu = time.perf_counter() - began, time.process_time() - began_cpu
        ticker.stop()
        faulthandler.cancel_dump_traceback_later()
    outcome = {
        "library": library,
        "threads": options.threads,
        "answers": answers,
        "seconds": took,
        "cpu_s": took_cpu,
        "os_threads": ticker.most_os_threads,
        "ticks": ticker.ticks,
        "worst_late_s": ticker.worst_late_s,
        "worst_own_s": ticker.worst_own_s,
    }
    print(json.dumps(outcome), flush=True)


def in_threads(options: Options, work: Callable[[int], int]) -> int:
    """Call `work(number)` in `options.threads` threads at once; returns the sum of what they return.

    Raises what the first of them raised, when all have ended.
    """
    answers: list[int] = []
    failures: list[BaseException] = []

    def call(number: int) -> None:
        try:
            answers.append(work(number))
        except BaseException as failure:
            failures.append(failure)

    threads = [
        threading.Thread(target=call, args=(number,), name=f"client {number}") for number in range(options.threads)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        print(f"{len(failures)} of {len(threads)} threads failed; the first:", file=sys.stderr)
        raise failures[0]
    return sum(answers)


def paced(options: Options, number: int) -> Iterator[int]:
    """The numbers of a thread's requests, with a pause of random length before each: a peer sees no volleys."""
    chance = random.Random(number)
    for request in range(options.requests):
        if options.pause_s:
            time.sleep(chance.uniform(0, 2 * options.pause_s))
        yield request
