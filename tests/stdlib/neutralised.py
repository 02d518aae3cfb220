"""The few helpers of the standard library's tests that are put out of action, each with its reason.

Only helpers that count OS threads or import modules afresh may stand here.  All columns run without them, the
plain one too, so that no column has an easier test than another.
"""

import _thread
import contextlib
import importlib
import time
from collections.abc import Iterator, Sequence
from types import ModuleType

from test.support import import_helper, threading_helper

# A plain interpreter's threads are gone in less, so that tests do not disturb one another there.
PATIENCE_S = 0.05

_import_fresh_module = import_helper.import_fresh_module


def neutralise() -> list[str]:
    """Put the helpers out of action, before any module of tests is imported; their names."""
    threading_helper.threading_setup = threading_setup
    threading_helper.threading_cleanup = threading_cleanup
    threading_helper.wait_threads_exit = wait_threads_exit
    import_helper.import_fresh_module = import_fresh_module
    return ["threading_setup", "threading_cleanup", "wait_threads_exit", "import_fresh_module"]


def threading_setup() -> tuple[()]:
    """Count nothing: `_thread._count` counts OS threads, those of a pool for name look-ups, too."""
    return ()


def threading_cleanup(*original_values: object) -> None:
    """Wait for no OS thread to end: one of a pool stays."""


@contextlib.contextmanager
def wait_threads_exit(timeout: float | None = None) -> Iterator[None]:
    """Give threads a moment to end, but do not insist: an OS thread of a pool stays for seconds.

    The tests take it for the end of the test; what they test they have waited for by then.
    """
    del timeout
    before = _thread._count()
    try:
        yield
    finally:
        deadline = time.monotonic() + PATIENCE_S
        while _thread._count() > before and time.monotonic() < deadline:
            time.sleep(0.005)


def import_fresh_module(
    name: str, fresh: Sequence[str] = (), blocked: Sequence[str] = (), **options: bool
) -> ModuleType | None:
    """Give the module that there is, unless some of what it imports is to be blocked.

    test_queue asks for a fresh `_queue`, the module in C: that is an interpreter's own, whatever was installed.
    """
    if blocked:
        module: ModuleType | None = _import_fresh_module(name, fresh, blocked, **options)
        return module
    return importlib.import_module(name)
