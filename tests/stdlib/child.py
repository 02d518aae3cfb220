"""The program that runs the tests, in a process of its column: `python -m tests.stdlib.child ORDER`.

ORDER is a file written by `tests.stdlib.watching`.  What happens is appended to another file, a JSON object per
line, which is opened anew for each line: the tests find no descriptor that is not theirs, and what was written
before a crash is there.  The parent sees from it which test hangs.
"""

import contextlib
import faulthandler
import gc
import json
import os
import signal
import sys
import tempfile
import time
import traceback
import unittest
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from test import support

from tests.stdlib.columns import COLUMNS
from tests.stdlib.neutralised import neutralise
from tests.stdlib.order import TELL_STACKS, Order, read

# All that these modules ask for.  `network` is on, since test_socketserver wants it, although it stays on loopback:
# the tests that go further are in exclusions.toml.
RESOURCES = ["network", "cpu", "subprocess", "walltime"]
TRACE_CHARACTERS = 6000


class Journal:
    """The file that the parent reads.  A process that a test forked and that came back here ends at once."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._pid = os.getpid()

    def tell(self, event: str, **facts: object) -> None:
        """Append one line."""
        if os.getpid() != self._pid:
            os._exit(1)
        line = json.dumps({"event": event, **facts}) + "\n"
        with contextlib.closing(_Descriptor(self._path)) as descriptor:
            os.write(descriptor.number, line.encode())


class _Descriptor:
    def __init__(self, path: str) -> None:
        self.number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def close(self) -> None:
        os.close(self.number)


class Suite(unittest.TestSuite):
    """Tests of one module, telling before each which comes next: fixtures of classes run in between."""

    def __init__(self, tests: Iterable[unittest.TestCase], journal: Journal) -> None:
        super().__init__()
        self._chosen = list(tests)
        self._journal = journal

    def __iter__(self) -> Iterator[unittest.TestCase]:
        for test in self._chosen:
            self._journal.tell("next", test=test.id())
            yield test

    def _removeTestAtIndex(self, index: int) -> None:
        """Let go of a test that has run, as the base class does with its own list."""
        self._chosen[index] = unittest.FunctionTestCase(_nothing)


def _nothing() -> None:
    """Stand for a test that has run."""


class Result(unittest.TestResult):
    """Tell what becomes of each test; a subtest's failure is its test's."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal
        self._began = 0.0
        self._outcome = ""
        self._detail = ""

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self._outcome, self._detail = "passed", ""
        self._journal.tell("start", test=test.id())
        self._began = time.perf_counter()

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        seconds = round(time.perf_counter() - self._began, 3)
        self._journal.tell("end", test=test.id(), outcome=self._outcome, detail=self._detail, seconds=seconds)

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        super().addError(test, err)
        self._fail(test, "error", err)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addFailure(test, err)
        self._fail(test, "failed", err)

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._fail(test, "failed" if issubclass(err[0], test.failureException) else "error", err)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        if not isinstance(test, unittest.TestCase):
            self._journal.tell("fixture", test=str(test), outcome="skipped", detail=reason)
        elif self._outcome == "passed":
            self._outcome, self._detail = "skipped", reason

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        super().addUnexpectedSuccess(test)
        self._outcome, self._detail = "failed", "passed, which the test itself does not expect"

    def _fail(self, test: unittest.TestCase, outcome: str, error: Any) -> None:
        detail = "".join(traceback.format_exception(*error))[-TRACE_CHARACTERS:]
        if not isinstance(test, unittest.TestCase):
            # The fixture of a class or of the module: there is no test that it belongs to.
            self._journal.tell("fixture", test=str(test), outcome=outcome, detail=detail)
        elif self._outcome in ("passed", "skipped"):
            self._outcome, self._detail = outcome, detail


def main() -> int:
    """Run the tests that the command line's order names; 0 if it came to its end, however the tests fared."""
    order = read(Path(sys.argv[1]))
    journal = Journal(order.journal)
    prepare(order, journal)
    for module in order.modules:
        COLUMNS[order.column].check()
        journal.tell("module", module=module)
        run_module(module, order, journal)
    COLUMNS[order.column].check()
    journal.tell("done")
    return 0


def prepare(order: Order, journal: Journal) -> None:
    """Set the process up as the standard library's own runner does, as far as it matters here."""
    faulthandler.enable()
    signal.signal(TELL_STACKS, _tell_stacks)
    support.use_resources = RESOURCES
    support.record_original_stdout(sys.stdout)
    sys.path[:] = [os.path.abspath(path) for path in sys.path]
    # An earlier process may have left files; a temporary folder of the parent's is the working directory.
    os.chdir(tempfile.mkdtemp(dir="."))
    helpers = neutralise()
    journal.tell("ready", python=sys.version, neutralised=helpers, pid=os.getpid())


def run_module(module: str, order: Order, journal: Journal) -> None:
    """Run what is wanted of one module, then tidy up as the standard library's own runner does."""
    try:
        loaded = unittest.defaultTestLoader.loadTestsFromName(f"test.{module}")
    except unittest.SkipTest as skipped:
        journal.tell("fixture", test=f"test.{module}", outcome="skipped", detail=str(skipped))
        return
    tests = [test for test in flattened(loaded) if order.wants(test.id())]
    if tests:
        Suite(tests, journal).run(Result(journal))
    support.reap_children()
    gc.collect()


def flattened(suite: Iterable[Any]) -> Iterator[unittest.TestCase]:
    """Every test of a suite of suites, in order."""
    for part in suite:
        if isinstance(part, unittest.TestSuite):
            yield from flattened(part)
        else:
            yield part


def _tell_stacks(signal_number: int, frame: FrameType | None) -> None:
    """Print the stack that was interrupted and those of all suspended greenlets to standard error."""
    print(f"--- signal {signal_number}: interrupted here", file=sys.stderr)
    traceback.print_stack(frame, file=sys.stderr)
    # Only the columns with greenlets have loaded the package.
    if "greenlet" not in sys.modules:
        return
    for suspended in gc.get_objects():
        if isinstance(suspended, sys.modules["greenlet"].greenlet) and suspended.gr_frame is not None:
            print(f"--- {suspended!r}", file=sys.stderr)
            traceback.print_stack(suspended.gr_frame, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
