"""Running a pytest of one's own on planted tests."""

from collections.abc import Callable

import pytest

# Only what the planted tests are about: the settings and plugins of the project's own tests stay outside.
OPTIONS = (
    "-p",
    "no:randomly",
    "-p",
    "no:hypothesispytest",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:asyncio",
    "-Werror",
)
TIME_LIMIT_S = 50

Planted = Callable[..., pytest.RunResult]


@pytest.fixture
def planted(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Planted:
    """Give `planted(text, *options, process=False)`: run the tests in `text`, and return what came of it.

    process: in a process of its own; in this one it takes a tenth of the time.
    """
    monkeypatch.setenv("COLUMNS", "300")

    def run(text: str, *options: str, process: bool = False) -> pytest.RunResult:
        pytester.makepyfile(test_planted="import coro, os, pytest, socket, time\n" + text)
        if process:
            return pytester.runpytest_subprocess(*OPTIONS, *options, timeout=TIME_LIMIT_S)
        return pytester.runpytest_inprocess(*OPTIONS, *options)

    return run
