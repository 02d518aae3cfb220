"""Ordinary Python on coro: the standard library's blocking calls let the other threads run.

    import coro.emulation
    coro.emulation.install_thread_emulation()

or, before anything else is imported, `python -m coro script.py`.
"""

from __future__ import annotations

from coro.emulation.installing import Report, install, installed, report
from coro.emulation.patching import original

__all__ = ["Report", "install", "install_thread_emulation", "installed", "original", "report"]


def install_thread_emulation() -> Report:
    """Install the whole emulation, as install() without arguments."""
    return install()
