"""Descriptor readiness: one small interface, epoll and kqueue behind it."""

from __future__ import annotations

import select

from coro.poller.base import Poller
from coro.poller.epoll import EpollPoller
from coro.poller.kqueue import KqueuePoller

__all__ = ["Poller", "default_poller"]


def default_poller() -> Poller:
    """Make the best poller of this system.  Raises NotImplementedError where there is neither epoll nor kqueue."""
    if hasattr(select, "epoll"):
        return EpollPoller()
    if hasattr(select, "kqueue"):
        return KqueuePoller()
    raise NotImplementedError("coro needs epoll (Linux) or kqueue (BSD, macOS)")
