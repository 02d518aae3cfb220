"""The emulated `select.poll` object."""

from __future__ import annotations

from typing import Any, NoReturn

from coro.emulation.patching import original
from coro.emulation.place import may_park
from coro.emulation.waiting import give_way, poll_until

__all__ = ["EmulatedPoll", "descriptor_number", "poll"]

_poll = original("select", "poll")
_RealPoll: type = type(_poll())
# As the original's register().
_DEFAULT_EVENTS = 0x1 | 0x2 | 0x4
# Up to here there is nothing to be said about a timeout.
_SMALL_MS = 1 << 30
# No process has so many descriptors, so poll(2) answers at once; the original checks its argument before.
_checker = _poll()
_checker.register((1 << 31) - 1)


def descriptor_number(file: Any) -> int:
    """The number of a descriptor, or of what has a fileno(), that was accepted by the original already."""
    return file if isinstance(file, int) else file.fileno()


class _PollType(type):
    """Has objects that were made before the installation count as poll objects."""

    def __call__(cls, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError("cannot create 'select.poll' instances")

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _RealPoll) or type.__instancecheck__(cls, instance)


class EmulatedPoll(metaclass=_PollType):
    """As a poll object of the select module, whose poll() parks the thread."""

    __slots__ = ("_busy", "_real", "_wanted")

    # The kernel is asked by this one.
    _real: Any
    # Descriptor -> events.
    _wanted: dict[int, int]
    # Whether a thread is in poll().
    _busy: bool

    def register(self, fd: Any, eventmask: int = _DEFAULT_EVENTS, /) -> None:
        """As poll.register()."""
        self._real.register(fd, eventmask)
        self._wanted[descriptor_number(fd)] = eventmask

    def modify(self, fd: Any, eventmask: int, /) -> None:
        """As poll.modify()."""
        self._real.modify(fd, eventmask)
        self._wanted[descriptor_number(fd)] = eventmask

    def unregister(self, fd: Any, /) -> None:
        """As poll.unregister()."""
        self._real.unregister(fd)
        self._wanted.pop(descriptor_number(fd), None)

    def poll(self, timeout: float | None = None, /) -> list[tuple[int, int]]:
        """As poll.poll().

        timeout: milliseconds; None, or less than 0, for ever.
        Yields.  Raises as the original.  An interrupted caller stops waiting and loses nothing.
        """
        if self._busy:
            raise RuntimeError("concurrent poll() invocation")
        if not may_park():
            return self._real.poll(timeout)  # type: ignore[no-any-return]
        self._busy = True
        try:
            give_way()
            seconds = _checked_seconds(timeout)
            ready = self._real.poll(0)
            if not ready and seconds != 0:
                ready = poll_until(self._real, self._wanted, seconds)
            return ready  # type: ignore[no-any-return]
        finally:
            self._busy = False


def _checked_seconds(timeout: float | None) -> float | None:
    """The milliseconds of a timeout in seconds; None for ever.  Raises as the original."""
    if timeout is None:
        return None
    if not (type(timeout) is int and timeout <= _SMALL_MS):
        _checker.poll(timeout)
    if timeout < 0:
        return None
    return timeout / 1000


def poll() -> EmulatedPoll:
    """As select.poll()."""
    made = object.__new__(EmulatedPoll)
    made._real = _poll()
    made._wanted = {}
    made._busy = False
    return made


EmulatedPoll.__name__ = EmulatedPoll.__qualname__ = "poll"
EmulatedPoll.__module__ = "select"
