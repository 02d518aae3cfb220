"""What the tests of the simulated kqueue share: a queue with short words for what is done to it."""

from tests.poller.filters import EVFILT_READ
from tests.poller.kevents import EV_ADD, EV_EOF, FREEBSD, MACOS, OPENBSD, Dialect, Kevent
from tests.poller.simulated_kqueue import Kqueue

LIMIT_S = 10.0

DIALECTS = {"FreeBSD": FREEBSD, "OpenBSD": OPENBSD, "macOS": MACOS}


class Queue:
    """A kqueue."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.kernel = Kqueue(dialect)

    def change(self, ident: int, filter: int = EVFILT_READ, flags: int = EV_ADD, fflags: int = 0) -> None:
        """One change; raises if it fails."""
        self.kernel.control([Kevent(ident, filter, flags, fflags)], 0, 0)

    def events(self, max_events: int = 100, timeout: float | None = 0) -> list[Kevent]:
        return self.kernel.control(None, max_events, timeout)

    def seen(self) -> list[tuple[int, int]]:
        """The (ident, filter) pairs that are reported now, in their order."""
        return [(event.ident, event.filter) for event in self.events()]

    def wait(self) -> Kevent:
        """The one event that is reported before long."""
        [event] = self.events(timeout=LIMIT_S)
        return event

    def wait_for_end(self, ident: int, filter: int) -> Kevent:
        """The event with EV_EOF of one filter; those before it are passed over."""
        while True:
            events = self.events(timeout=LIMIT_S)
            assert events, f"no EV_EOF for {ident} within {LIMIT_S:g} s"
            for event in events:
                if (event.ident, event.filter) == (ident, filter) and event.flags & EV_EOF:
                    return event
