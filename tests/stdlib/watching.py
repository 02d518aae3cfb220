"""Run one column: start its processes, watch what they tell, end one that hangs and go on behind the culprit."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.stdlib.columns import Column
from tests.stdlib.order import TELL_STACKS, Order
from tests.stdlib.outcomes import FAILING, Outcome, Progress, module_of

ROOT = Path(__file__).parent.parent.parent
LOOK_EVERY_S = 0.1
# Of a test of which it is known how long it takes: for a machine that has much else to do.
LEAST_LIMIT_S = 25.0
# Between asking a process for its stacks and ending it.
LAST_WORDS_S = 2.0
# As much of the log's end as a crash or a hang is told with.
LOG_CHARACTERS = 8000
# A column that breaks down at once, again and again, is given up.
IDLE_RESTARTS = 3


@dataclass(slots=True)
class Run:
    """What came of a column.

    outcomes: by test id.
    fixtures: of classes and modules, that belong to no test.
    restarts: how often a process hung or crashed and another one took over.
    fault: why the column could not be run to its end, "" if it was.
    """

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    fixtures: dict[str, Outcome] = field(default_factory=dict)
    neutralised: list[str] = field(default_factory=list)
    restarts: int = 0
    fault: str = ""
    seconds: float = 0.0

    def add(self, other: "Run") -> None:
        """Take another run of the same column in, of other modules."""
        self.outcomes.update(other.outcomes)
        self.fixtures.update(other.fixtures)
        self.neutralised = other.neutralised or self.neutralised
        self.restarts += other.restarts
        self.fault = self.fault or other.fault
        self.seconds += other.seconds


class Watcher:
    """Runs the processes of one column, one after the other.

    folder: for orders, journals, logs and as the working directory; the caller's.
    limit_s: how long a test may take.
    usual: how long each took under plain Python, if that is known, in seconds: then it need not be waited so long.
    """

    def __init__(
        self,
        column: Column,
        folder: Path,
        excluded: Iterable[str],
        *,
        limit_s: float,
        usual: Mapping[str, float] | None = None,
    ) -> None:
        self._column = column
        self._folder = folder
        self._excluded = list(excluded)
        self._limit_s = limit_s
        self._usual = dict(usual or {})
        self._processes = 0

    def run(self, modules: list[str], *, only: Iterable[str] = ()) -> Run:
        """Run the modules, or only some tests of them, all in one process as long as none hangs or crashes."""
        run = Run()
        began = time.monotonic()
        remaining, wanted, idle = list(modules), list(only), 0
        while remaining and idle < IDLE_RESTARTS:
            progress, end = self._run_process(remaining, wanted, list(run.outcomes))
            run.outcomes.update(progress.outcomes)
            run.fixtures.update(progress.fixtures)
            run.neutralised = progress.neutralised or run.neutralised
            if progress.is_done:
                remaining = []
                break
            run.restarts += 1
            idle = 0 if progress.outcomes or progress.culprit else idle + 1
            run.fault = end.detail
            remaining = self._behind(progress, end, remaining, run)
            wanted = [test for test in wanted if test not in run.outcomes]
            if only and not wanted:
                remaining = []
        if not remaining:
            run.fault = ""
        run.seconds = time.monotonic() - began
        return run

    def _behind(self, progress: Progress, end: Outcome, modules: list[str], run: Run) -> list[str]:
        """Put the end of a process down to its culprit; the modules that remain to be run."""
        where = progress.culprit or progress.module or "the start"
        print(f"{self._column.name}: {end.outcome} in {where}", file=sys.stderr, flush=True)
        remaining = modules[modules.index(progress.module) :] if progress.module else modules
        if progress.culprit:
            run.outcomes[progress.culprit] = end
        elif progress.module:
            # While it was imported, by its own fixtures or behind its last test.
            run.fixtures[f"test.{progress.module}"] = end
            remaining = remaining[1:]
        return remaining

    def rerun(self, run: Run) -> None:
        """Run every test that failed once more, alone; one that passes now is flaky."""
        for test, outcome in list(run.outcomes.items()):
            if outcome.outcome in FAILING:
                again = self.run([module_of(test)], only=[test])
                if again.outcomes.get(test, outcome).outcome == "passed":
                    run.outcomes[test] = Outcome("flaky", outcome.detail, outcome.seconds)

    def _run_process(self, modules: list[str], only: list[str], done: list[str]) -> tuple[Progress, Outcome]:
        """Run one process to its end; what it told, and how it ended if it did not come to the end of its order."""
        self._processes += 1
        journal = self._folder / f"journal-{self._processes}"
        journal.touch()
        order = self._folder / f"order-{self._processes}"
        Order(self._column.name, modules, only, done, self._excluded, str(journal)).write(order)
        log = self._folder / f"log-{self._processes}"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self._column.command(str(order)),
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            progress, is_hung = self._watch(process, journal)
        finally:
            _end(process)
        said = log.read_text(encoding="utf-8", errors="replace")[-LOG_CHARACTERS:]
        if is_hung:
            limit_s = self._limit_of(progress.culprit)
            return progress, Outcome("hung", f"no end after {limit_s:.0f} s\n{said}", limit_s)
        return progress, Outcome("crashed", f"the process ended with {process.returncode}\n{said}")

    def _watch(self, process: subprocess.Popen[bytes], journal: Path) -> tuple[Progress, bool]:
        """Hear what the process tells until it ends or says nothing for too long; whether that was so."""
        progress = Progress()
        heard_at = time.monotonic()
        with journal.open(encoding="utf-8") as lines:
            rest = ""
            while True:
                has_ended = process.poll() is not None
                text = rest + lines.read()
                complete, _, rest = text.rpartition("\n")
                for line in complete.splitlines():
                    self._show(progress, json.loads(line))
                    heard_at = time.monotonic()
                if has_ended:
                    return progress, False
                if time.monotonic() - heard_at > self._limit_of(progress.culprit):
                    self._ask_for_stacks(process)
                    # What it ended in the meantime was too late: it is done again, or it is the culprit.
                    return progress, True
                time.sleep(LOOK_EVERY_S)

    def _limit_of(self, test: str | None) -> float:
        """How long the test may take, in seconds; None for what is between tests."""
        if test is None or test not in self._usual:
            return self._limit_s
        return min(self._limit_s, LEAST_LIMIT_S + 2 * self._usual[test])

    def _show(self, progress: Progress, line: dict[str, Any]) -> None:
        """Hear a line; on a terminal, say which module begins."""
        progress.hear(line)
        if line["event"] == "module" and sys.stderr.isatty():
            print(f"{self._column.name}: {progress.module}", file=sys.stderr, flush=True)

    def _ask_for_stacks(self, process: subprocess.Popen[bytes]) -> None:
        """Let a process that hangs write its stacks into its log."""
        for number in (TELL_STACKS, signal.SIGABRT):
            process.send_signal(number)
            try:
                process.wait(LAST_WORDS_S)
            except subprocess.TimeoutExpired:
                continue


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that its tests started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
