"""The pytest plugin's door: it declares the mark `coro`, and loads the plugin when the first marked test is met.

It stands beside the package, not in it: pytest imports it in every run, also where coro is only installed, and
importing anything of the package would bring along the runtime.  `coro.testing.plugin` does the work.
"""

from __future__ import annotations

import importlib
from typing import Any

import pytest

__all__ = ["coro_clock", "pytest_configure", "pytest_runtest_protocol"]

_PLUGIN = "coro.testing.plugin"
_MARKER = (
    "coro(*, fake_clock=False, real_descriptors=True, timeout=None, leftovers='fail'): run the test in a thread of "
    "coro, in a loop of its own; threads, timers and descriptors that it leaves behind fail it"
)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark."""
    config.addinivalue_line("markers", _MARKER)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    """Load the plugin before the first marked test runs; marks may have been added since it was collected."""
    plugins = item.config.pluginmanager
    if item.get_closest_marker("coro") is not None and not plugins.has_plugin(_PLUGIN):
        plugins.register(importlib.import_module(_PLUGIN), _PLUGIN)


@pytest.fixture
def coro_clock(request: pytest.FixtureRequest) -> Any:
    """The fake clock of a test marked coro(fake_clock=True): `now_ns`, advance(seconds), advance_ns()."""
    plugin: Any = request.config.pluginmanager.get_plugin(_PLUGIN)
    clock = None if plugin is None else plugin.fake_clock()
    if clock is None:
        pytest.fail("coro_clock is the clock of a test that is marked coro(fake_clock=True)", pytrace=False)
    return clock
