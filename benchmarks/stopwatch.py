"""A CPU clock for a group of threads: it runs from the first that starts to the last that stops.

It counts user and system time of the whole process, every OS thread included. It knows no library.
"""

import time

from benchmarks.report import Sample


class Stopwatch:
    """Measure the CPU time in which `participants` threads do their counted work."""

    def __init__(self, participants: int = 1) -> None:
        self.participants = participants
        self.stopped = 0
        self.started_ns = 0
        self.elapsed_ns = 0

    def start(self) -> None:
        """Start the clock, unless another participant has. Does not yield."""
        if not self.started_ns:
            self.started_ns = time.process_time_ns()

    def stop(self) -> None:
        """Note that one participant is through; the last one stops the clock. Does not yield."""
        self.stopped += 1
        if self.stopped == self.participants:
            self.elapsed_ns = time.process_time_ns() - self.started_ns

    def sample(self, count: int) -> Sample:
        """Return the time spent on `count` operations.

        Raises RuntimeError if a participant has not stopped, for then some of the work was not done.
        """
        if self.stopped != self.participants:
            raise RuntimeError(f"{self.stopped} of {self.participants} threads did their work")
        return Sample(self.elapsed_ns, count)
