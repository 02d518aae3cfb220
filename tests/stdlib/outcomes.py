"""What a column's processes told, line by line, and what follows from it for each test.

Knows no process: `watching` reads the lines and starts the processes.
"""

from dataclasses import dataclass, field
from typing import Any

# The worst comes first. A test that failed and passed when it was run again alone is "flaky"; one that another
# column has and this one never came to is "missing".
OUTCOMES = ("crashed", "hung", "missing", "error", "failed", "flaky", "skipped", "passed")
GOOD = ("passed", "flaky")
FAILING = ("crashed", "hung", "error", "failed")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one test.

    detail: the traceback, the reason for skipping or what the process said at its end; "" if it passed.
    seconds: how long it took; of a test that hung, how long it was waited for.
    """

    outcome: str
    detail: str = ""
    seconds: float = 0.0


@dataclass(slots=True)
class Progress:
    """What the lines of one process told so far.

    outcomes: by test id, of the tests that ended.
    running: the test that began and has not ended, or None.
    coming: the test that was announced and has not begun, or None: fixtures of classes run meanwhile.
    fixtures: outcomes of fixtures, which belong to no test, by their description.
    module: the one that is being run, "" before the first.
    """

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    fixtures: dict[str, Outcome] = field(default_factory=dict)
    running: str | None = None
    coming: str | None = None
    module: str = ""
    is_ready: bool = False
    is_done: bool = False
    neutralised: list[str] = field(default_factory=list)

    def hear(self, line: dict[str, Any]) -> None:
        """Take one line into account."""
        event = line["event"]
        if event == "ready":
            self.is_ready, self.neutralised = True, line["neutralised"]
        elif event == "module":
            self.module, self.running, self.coming = line["module"], None, None
        elif event == "next":
            self.coming = line["test"]
        elif event == "start":
            self.running, self.coming = line["test"], None
        elif event == "end":
            self.outcomes[line["test"]] = Outcome(line["outcome"], line["detail"], line["seconds"])
            self.running = None
        elif event == "fixture":
            self.fixtures[line["test"]] = Outcome(line["outcome"], line["detail"])
        elif event == "done":
            self.is_done = True

    @property
    def culprit(self) -> str | None:
        """The test at fault if the process stops here: the one that runs, else the one whose fixtures run."""
        return self.running or self.coming


def module_of(test: str) -> str:
    """The module of a test id: `test_poll` of `test.test_poll.PollTests.test_poll1`."""
    return test.split(".")[1]


def class_of(test: str) -> str:
    """The id without its last part: `test.test_poll.PollTests`."""
    return test.rpartition(".")[0]
