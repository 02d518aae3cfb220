"""A pytest plugin: the tests that it is loaded for run over another poller than the system's.

CORO_TEST_POLLER="kqueue as FreeBSD's" pytest -p tests.poller.other_poller tests/io
"""

import os
from typing import Any

import coro.poller
from coro.poller import Poller
from tests.poller.subjects import SUBJECTS

name = os.environ["CORO_TEST_POLLER"]
_made = 0


def make() -> Poller:
    global _made
    _made += 1
    return SUBJECTS[name]().poller


# What default_poller() makes, whoever calls it.
vars(coro.poller)["EpollPoller"] = make


def pytest_terminal_summary(terminalreporter: Any) -> None:
    terminalreporter.write_line(f"{_made} pollers made: {name}")
