"""The emulated `select` module: select(), poll objects and epoll objects whose waiting parks the thread.

The kernel is asked by the original first, and again when the wait is over, so answers and errors are the
original's.  Only the wait between is ours: at a gate (see `coro.emulation.waiting`), or on the epoll object's own
descriptor, which can be polled like any other.
"""

from __future__ import annotations

import errno
import os
import select as select_module
import selectors
from collections.abc import Iterable, Sequence
from typing import Any

from coro.emulation.epoll_object import EmulatedEpoll
from coro.emulation.patching import Patcher, original
from coro.emulation.place import may_park
from coro.emulation.poll_object import descriptor_number, poll
from coro.emulation.waiting import TimeLeft, give_way, pause_briefly, poll_until

__all__ = ["install", "select"]

_select = original("select", "select")
_poll = original("select", "poll")

_POLLIN = select_module.POLLIN
_POLLOUT = select_module.POLLOUT
_POLLPRI = select_module.POLLPRI
_EVENTS = (_POLLIN, _POLLOUT, _POLLPRI)
# What makes select(2) call a descriptor ready; as in Linux' fs/select.c.
_READY = (_POLLIN | select_module.POLLHUP | select_module.POLLERR, _POLLOUT | select_module.POLLERR, _POLLPRI)
# From this number on select(2) has no room for a descriptor, but poll(2) has.
_FD_SETSIZE = 1024
# Python's own limit is 9.2e9.
_LONGEST_S = 9e9

Files = Iterable[Any]
Ready = tuple[list[Any], list[Any], list[Any]]


def select(rlist: Files, wlist: Files, xlist: Files, timeout: float | None = None, /) -> Ready:
    """As select.select(); descriptors may have any number, beyond FD_SETSIZE too.

    timeout: seconds; None for ever.
    Yields.  Raises as the original.  An interrupted caller stops waiting and loses nothing.
    """
    usual = timeout is None or (isinstance(timeout, (int, float)) and 0 <= timeout <= _LONGEST_S)
    if not usual or not may_park():
        # What is wrong with the timeout is the original's to say.
        return _select(rlist, wlist, xlist, timeout)  # type: ignore[no-any-return]
    give_way()
    lists = (_kept(rlist), _kept(wlist), _kept(xlist))
    ready = _ready_now(lists)
    if timeout == 0 or any(ready):
        return ready
    asked = _Asked(lists)
    left = TimeLeft(timeout)
    while True:
        found = asked.wait(left.seconds())
        ready = asked.answer(found)
        if any(ready) or left.over():
            return ready
        # Woken by what select(2) does not count, such as a hang-up of what is asked for exceptions only.
        pause_briefly(left)


def _kept(files: Files) -> Files:
    """What can be looked at more than once; an iterator cannot."""
    return list(files) if hasattr(files, "__next__") else files


def _ready_now(lists: Sequence[Files]) -> Ready:
    """What is ready now.  Raises as the original."""
    try:
        return _select(*lists, 0)  # type: ignore[no-any-return]
    except ValueError:
        asked = _Asked(lists)
        if not asked.wanted or min(asked.wanted) < 0 or max(asked.wanted) < _FD_SETSIZE:
            raise
    found = asked.poller.poll(0)
    if any(events & select_module.POLLNVAL for fd, events in found):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return asked.answer(found)


class _Asked:
    """What select() was asked for, by poll(2): the descriptors are those of the beginning.

    wanted: descriptor -> events.
    """

    __slots__ = ("_groups", "poller", "wanted")

    def __init__(self, lists: Sequence[Files]) -> None:
        self.wanted: dict[int, int] = {}
        self.poller = _poll()
        # For each list, its (file, descriptor) pairs, and what makes one ready.
        self._groups: list[tuple[list[tuple[Any, int]], int]] = []
        for files, event, mask in zip(lists, _EVENTS, _READY, strict=True):
            pairs = [(file, descriptor_number(file)) for file in list(files)]
            self._groups.append((pairs, mask))
            for _, fd in pairs:
                self.wanted[fd] = self.wanted.get(fd, 0) | event
        for fd, event in self.wanted.items():
            if fd >= 0:
                self.poller.register(fd, event)

    def wait(self, timeout: float | None) -> list[tuple[int, int]]:
        """Park until there is something to report: (descriptor, events) pairs, none when the time is over."""
        return poll_until(self.poller, self.wanted, timeout)

    def answer(self, found: list[tuple[int, int]]) -> Ready:
        """What select() returns for what poll(2) found."""
        events = dict(found)
        read, written, exceptional = (
            [file for file, fd in pairs if events.get(fd, 0) & mask] for pairs, mask in self._groups
        )
        return read, written, exceptional


def install(patcher: Patcher) -> None:
    """Put the emulated functions in the place of the originals, in `selectors` too.  Does not yield."""
    patcher.replace_everywhere(select_module, select=select, poll=poll)
    patcher.replace(selectors.SelectSelector, _select=staticmethod(select))
    patcher.replace(selectors.PollSelector, _selector_cls=staticmethod(poll))
    if hasattr(select_module, "epoll"):
        patcher.replace_everywhere(select_module, epoll=EmulatedEpoll)
        patcher.replace(selectors.EpollSelector, _selector_cls=EmulatedEpoll)
