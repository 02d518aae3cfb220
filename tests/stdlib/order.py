"""What a process is told to do, by the parent that watches it."""

import dataclasses
import fnmatch
import json
import signal
from dataclasses import dataclass
from pathlib import Path

# The parent's order to tell the stacks of all greenlets: a signal that no test of these modules uses.
TELL_STACKS = signal.SIGRTMAX - 3


@dataclass(frozen=True, slots=True)
class Order:
    """What one process is to do.

    column: the name of one of COLUMNS.
    modules: to be run, in this order.
    only: the tests to run of them, all if it is empty.
    done: tests to leave out, since an earlier process ran them.
    excluded: patterns of tests to leave out, as fnmatch's.
    journal: the file to append to.
    """

    column: str
    modules: list[str]
    only: list[str]
    done: list[str]
    excluded: list[str]
    journal: str

    def wants(self, test: str) -> bool:
        """Whether the test is to be run."""
        if test in self.done or (self.only and test not in self.only):
            return False
        return not any(fnmatch.fnmatchcase(test, pattern) for pattern in self.excluded)

    def write(self, path: Path) -> None:
        """Write it for the process."""
        path.write_text(json.dumps(dataclasses.asdict(self)), encoding="utf-8")


def read(path: Path) -> Order:
    """Read what `write` wrote."""
    return Order(**json.loads(path.read_text(encoding="utf-8")))
