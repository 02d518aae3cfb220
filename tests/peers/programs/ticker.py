"""A thread that ticks every 10 ms and notes how late it was.

Run as a program, it ticks in a process of its own until its standard input ends, and prints the same: how well any
process could tick on this machine meanwhile.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

TICK_S = 0.01
SCHEDULE = Path("/proc/thread-self/schedstat")


class Ticker:
    """Ticks until it is stopped.

    worst_late_s: how late the worst tick was.
    worst_own_s: how late the worst tick was, without the time in which this OS thread was ready to run but the
        kernel ran others: that is the machine's fault, not the program's.  The same as worst_late_s where the
        kernel does not say.
    most_os_threads: how many OS threads the process had, at most.
    """

    def __init__(self) -> None:
        self.ticks = 0
        self.worst_late_s = 0.0
        self.worst_own_s = 0.0
        self.most_os_threads = 0
        self._stopped = False
        self._thread = threading.Thread(target=self._tick, name="ticker", daemon=True)

    def start(self) -> None:
        """Begin to tick."""
        self._thread.start()

    def stop(self) -> None:
        """End; the figures are final when this returns."""
        self._stopped = True
        self._thread.join()

    def _tick(self) -> None:
        due = time.monotonic() + TICK_S
        queued = queued_s()
        while not self._stopped:
            time.sleep(max(0.0, due - time.monotonic()))
            now = time.monotonic()
            queued_before, queued = queued, queued_s()
            late = max(0.0, now - due)
            self.worst_late_s = max(self.worst_late_s, late)
            self.worst_own_s = max(self.worst_own_s, late - max(0.0, queued - queued_before))
            self.ticks += 1
            if self.ticks % 10 == 1:
                self.most_os_threads = max(self.most_os_threads, len(os.listdir("/proc/self/task")))
            due = max(due + TICK_S, now)


def queued_s() -> float:
    """How long this OS thread was ready to run while the kernel ran others, in all; 0 where it does not say."""
    try:
        return int(SCHEDULE.read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


if __name__ == "__main__":
    ticker = Ticker()
    ticker.start()
    sys.stdin.read()
    ticker.stop()
    print(json.dumps({"ticks": ticker.ticks, "worst_late_s": ticker.worst_late_s}))
