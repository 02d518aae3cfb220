"""The shim, and runs through it."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import coro
from coro import leftovers
from tests.faults.scenarios import SCENARIOS
from tests.faults.shim import Fault, Shim
from tests.faults.stage import Result, run
from tests.faults.table import FAILURES
from tests.faults.wrappers import install

Play = Callable[[str, Fault | None], Result]


@pytest.fixture(autouse=True)
def settings_of_a_new_process() -> Iterator[None]:
    """Set the hooks and limits back to their defaults, before and after."""
    _set_defaults()
    yield
    _set_defaults()


def _set_defaults() -> None:
    coro.set_exception_notifier(None)
    coro.set_latency_warning(0)
    coro.set_selfishness(4)
    coro.set_exit_grace(leftovers.DEFAULT_GRACE_S)
    coro.set_print_exit_string(False)


@pytest.fixture
def shim(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shim]:
    """The layer in which system calls fail, in place; it lets everything through until it is armed."""
    shim = Shim(FAILURES)
    install(shim, monkeypatch)
    yield shim
    shim.disarm()


@pytest.fixture
def play(shim: Shim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    """A function that plays a scenario, by name, with a fault or without."""
    # What there is before is looked through once, not after every run.
    gc.collect()
    gc.freeze()
    yield lambda name, fault: run(SCENARIOS[name], fault, shim, str(tmp_path), monkeypatch)
    gc.unfreeze()
