"""The emulated `select.epoll` object: the kernel's own, held in an object of ours.

An epoll's descriptor can itself be polled: it is readable when one of its descriptors is ready.  So poll() waits
for that in the loop, and then asks the original without waiting.
"""

from __future__ import annotations

import select
from typing import Any, Self

from coro.emulation.gate import forget
from coro.emulation.patching import original
from coro.emulation.place import may_park
from coro.emulation.waiting import TimeLeft, give_way, wait_fd
from coro.exceptions import TimeoutError
from coro.poller.base import READ

__all__ = ["EmulatedEpoll"]

# Other systems have none; nobody makes an object of the class there.
_RealEpoll: Any = original("select", "epoll") if hasattr(select, "epoll") else type(None)
# epoll_wait(2) counts milliseconds in an int.
_MAX_S = (1 << 31) / 1000


class _EpollType(type):
    """Has objects that were made before the installation count as epoll objects."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _RealEpoll) or type.__instancecheck__(cls, instance)


class EmulatedEpoll(metaclass=_EpollType):
    """As select.epoll, whose poll() parks the thread."""

    __slots__ = ("__weakref__", "_real")

    def __init__(self, sizehint: int = -1, flags: int = 0) -> None:
        """As select.epoll()."""
        self._real = _RealEpoll(sizehint, flags)

    @classmethod
    def fromfd(cls, fd: int, /) -> Self:
        """As epoll.fromfd()."""
        held = cls.__new__(cls)
        held._real = _RealEpoll.fromfd(fd)
        return held

    def __enter__(self) -> Self:
        self._real.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._real.closed  # type: ignore[no-any-return]

    def fileno(self) -> int:
        """As epoll.fileno()."""
        return self._real.fileno()  # type: ignore[no-any-return]

    def close(self) -> None:
        """As epoll.close(); who waits for it is told."""
        if not self._real.closed:
            forget(self._real.fileno())
        self._real.close()

    def register(self, fd: Any, eventmask: int = 0x1 | 0x2 | 0x4) -> None:
        """As epoll.register()."""
        self._real.register(fd, eventmask)

    def modify(self, fd: Any, eventmask: int) -> None:
        """As epoll.modify()."""
        self._real.modify(fd, eventmask)

    def unregister(self, fd: Any) -> None:
        """As epoll.unregister()."""
        self._real.unregister(fd)

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> list[tuple[int, int]]:
        """As epoll.poll().

        timeout: seconds; None, or less than 0, for ever.
        Yields.  Raises as the original.  An interrupted caller stops waiting and loses nothing.
        """
        real = self._real
        usual = timeout is None or (isinstance(timeout, (int, float)) and timeout < _MAX_S)
        if not usual or not may_park():
            # What is wrong with the timeout is the original's to say.
            return real.poll(timeout, maxevents)  # type: ignore[no-any-return]
        give_way()
        ready = real.poll(0, maxevents)
        if ready or timeout == 0:
            return ready  # type: ignore[no-any-return]
        left = TimeLeft(None if timeout is None or timeout < 0 else timeout)
        try:
            while not ready and not left.over():
                wait_fd(real.fileno(), READ, left.seconds())
                ready = real.poll(0, maxevents)
        except TimeoutError:
            ready = real.poll(0, maxevents)
        return ready  # type: ignore[no-any-return]


EmulatedEpoll.__name__ = EmulatedEpoll.__qualname__ = "epoll"
EmulatedEpoll.__module__ = "select"
EmulatedEpoll.__doc__ = _RealEpoll.__doc__
