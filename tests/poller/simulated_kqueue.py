"""kqueue(2) as Python's `select` presents it, simulated on Linux's descriptors.

It follows the manuals of FreeBSD, OpenBSD and macOS, and their sources where the manuals are silent.  Where they
differ there is a `Dialect` for each.  What a filter would say is found out in `tests.poller.filters`; the moments
at which it is asked again come from `tests.poller.edges`.  There is a test for each sentence of the manuals that is
simulated.

What it cannot do: a number that is closed and comes back as the same open file, with nothing asked of the queue in
between, keeps its registrations, which a real kernel drops.  Say `closed(fd)` where that matters.
"""

import errno
import os
import select
import time
import weakref
from collections.abc import Iterable
from itertools import count

from tests.poller.edges import Edges
from tests.poller.filters import EVFILT_READ, EVFILT_WRITE, Kind, Level, kind_of, look, reader_is_gone
from tests.poller.kevents import (
    EV_ADD,
    EV_CLEAR,
    EV_DELETE,
    EV_DISABLE,
    EV_DISPATCH,
    EV_ENABLE,
    EV_EOF,
    EV_ERROR,
    EV_ONESHOT,
    EV_RECEIPT,
    EVFILT_PROC,
    FREEBSD,
    NOTE_EXIT,
    Dialect,
    Kevent,
    Knote,
)

# How long to wait before looking again at files, which have no edges on Linux.
_LOOK_S = 0.005

_open_queues: "weakref.WeakSet[Kqueue]" = weakref.WeakSet()


class Kqueue:
    """As `select.kqueue`."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._pid = os.getpid()
        self._closed = False
        self._serials = count(1)
        self._knotes: dict[tuple[int, int], Knote] = {}
        self._by_serial: dict[int, Knote] = {}
        # Those without edges: processes by their descriptors, files by their serials.
        self._processes: dict[int, Knote] = {}
        self._files: dict[int, Knote] = {}
        # Those to be retrieved, in the order in which they were triggered.
        self._queue: dict[int, Knote] = {}
        self._edges = {
            EVFILT_READ: Edges(select.EPOLLIN | select.EPOLLRDHUP),
            EVFILT_WRITE: Edges(select.EPOLLOUT),
        }
        self._all = select.epoll()
        for edges in self._edges.values():
            self._all.register(edges, select.EPOLLIN)
        self._number = self._all.fileno()
        _open_queues.add(self)

    # -- as Python's

    @property
    def closed(self) -> bool:
        return self._closed or (self._pid != os.getpid() and self._dialect.forgets_at_fork)

    def fileno(self) -> int:
        if self.closed:
            raise ValueError("I/O operation on closed kqueue object")
        return self._number

    def close(self) -> None:
        if self.closed:
            return
        self._closed = True
        if self._pid != os.getpid():
            # Python closes the number, whatever it means by now.
            os.close(self._number)
            return
        for knote in list(self._knotes.values()):
            self._drop(knote)
        self.close_all()

    def __del__(self) -> None:
        self.close()

    def control(
        self, changelist: Iterable[Kevent] | None, max_events: int, timeout: float | None = None
    ) -> list[Kevent]:
        if self.closed:
            raise ValueError("I/O operation on closed kqueue object")
        if max_events < 0:
            raise ValueError(f"Length of eventlist must be 0 or positive, got {max_events}")
        if timeout is not None and timeout < 0:
            raise ValueError("timeout must be positive or None")
        changes = list(changelist or ())
        if not all(isinstance(change, Kevent) for change in changes):
            raise TypeError("changelist must be an iterable of select.kevent objects")
        if self._pid != os.getpid():
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        errors = self._apply_all(changes, max_events)
        if errors or max_events == 0:
            return errors
        return self._retrieve(max_events, timeout)

    # -- what the tests tell it

    def closed_number(self, fd: int) -> None:
        """As close(2) of `fd`, by anybody, drops what is registered for it."""
        for filter in (EVFILT_READ, EVFILT_WRITE):
            if (knote := self._knotes.get((fd, filter))) is not None:
                self._drop(knote)

    def close_all(self) -> None:
        """Close what stands for the kernel's object: at close(), and in a forked child."""
        for edges in self._edges.values():
            edges.close()
        self._all.close()

    # -- changes

    def _apply_all(self, changes: list[Kevent], room: int) -> list[Kevent]:
        """Apply all changes; returns an event for each that failed, raises if there is no room for it."""
        answers: list[Kevent] = []
        for change in changes:
            number = 0
            try:
                self._apply(change)
            except OSError as error:
                if len(answers) == room:
                    raise
                number = error.errno or 0
            else:
                if not change.flags & EV_RECEIPT:
                    continue
                if len(answers) == room:
                    break
            answers.append(Kevent(change.ident, change.filter, EV_ERROR, change.fflags, number, change.udata))
        return answers

    def _apply(self, change: Kevent) -> None:
        if change.filter not in (EVFILT_READ, EVFILT_WRITE, EVFILT_PROC):
            raise _error(errno.EINVAL)
        knote = self._living(change)
        if change.flags & EV_DELETE:
            if knote is None:
                raise _error(errno.ENOENT)
            self._drop(knote)
            return
        is_new = knote is None
        if knote is None:
            if not change.flags & EV_ADD:
                raise _error(errno.ENOENT)
            knote = self._attach(change)
        was_enabled = knote.enabled
        knote.udata = change.udata
        if change.flags & EV_DISABLE:
            knote.enabled = False
            self._queue.pop(knote.serial, None)
        elif change.flags & (EV_ADD | EV_ENABLE):
            knote.enabled = True
        asks = is_new or change.flags & EV_ADD or not was_enabled or self._dialect.enable_reports
        if knote.enabled and (knote.active or (asks and self._look(knote).ready)):
            self._trigger(knote)

    def _living(self, change: Kevent) -> Knote | None:
        """The knote that a change means; one whose descriptor was closed since is no more."""
        knote = self._knotes.get((change.ident, change.filter))
        if change.filter == EVFILT_PROC:
            return knote
        kind = kind_of(change.ident)
        if knote is not None and knote.kind != kind:
            self._drop(knote)
            return None
        return knote

    def _attach(self, change: Kevent) -> Knote:
        if change.filter == EVFILT_PROC:
            knote = self._attach_process(change)
        else:
            kind = kind_of(change.ident)
            if change.filter == EVFILT_WRITE and kind.name == "vnode":
                raise _error(errno.EINVAL)
            if change.filter == EVFILT_WRITE and kind.name == "pipe":
                self._refuse_broken_pipe(change.ident, kind)
            knote = Knote(change, next(self._serials), kind)
            if knote.is_file:
                self._files[knote.serial] = knote
            else:
                try:
                    self._edges[change.filter].watch(change.ident, knote.serial)
                except PermissionError:
                    raise _error(self._dialect.no_filter) from None
        self._knotes[change.ident, change.filter] = self._by_serial[knote.serial] = knote
        return knote

    def _refuse_broken_pipe(self, fd: int, kind: Kind) -> None:
        writes = kind.identity[2] != os.O_RDONLY
        if writes and reader_is_gone(fd):
            raise _error(errno.EPIPE)
        if not writes and self._dialect.pipes_go_both_ways and look(fd, EVFILT_READ, kind).eof:
            raise _error(errno.EPIPE)

    def _attach_process(self, change: Kevent) -> Knote:
        process = os.pidfd_open(change.ident)
        if not self._dialect.zombies_are_reported and select.select([process], [], [], 0)[0]:
            os.close(process)
            raise _error(errno.ESRCH)
        knote = Knote(change, next(self._serials))
        # The kernel sets these by itself.
        knote.nature |= EV_CLEAR | EV_ONESHOT
        knote.process = process
        self._processes[process] = knote
        self._all.register(process, select.EPOLLIN)
        return knote

    def _drop(self, knote: Knote) -> None:
        if knote.process >= 0:
            self._all.unregister(knote.process)
            del self._processes[knote.process]
            os.close(knote.process)
            knote.process = -1
        elif not knote.is_file:
            self._edges[knote.filter].forget(knote.ident)
        del self._knotes[knote.ident, knote.filter]
        del self._by_serial[knote.serial]
        self._files.pop(knote.serial, None)
        self._queue.pop(knote.serial, None)

    # -- events

    def _trigger(self, knote: Knote) -> None:
        knote.active = True
        if knote.enabled:
            # Whoever is queued already keeps his place: several triggers make one event.
            self._queue.setdefault(knote.serial, knote)

    def _retrieve(self, max_events: int, timeout: float | None) -> list[Kevent]:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            self._collect()
            events = self._scan(max_events)
            left = None if deadline is None else deadline - time.monotonic()
            if events or (left is not None and left <= 0):
                return events
            if self._files:
                left = _LOOK_S if left is None else min(left, _LOOK_S)
            # Python retries kevent(2) after EINTR, and so does this.
            self._all.poll(left)

    def _collect(self) -> None:
        """Trigger the knotes that have seen an edge since."""
        for fd, _ in self._all.poll(0):
            if fd in self._processes:
                self._trigger(self._processes[fd])
        for edges in self._edges.values():
            for serial in edges.take():
                if serial in self._by_serial:
                    self._trigger(self._by_serial[serial])
        for knote in self._files.values():
            end = os.fstat(knote.ident).st_size
            if not knote.nature & EV_CLEAR or end != knote.end:
                knote.end = end
                self._trigger(knote)

    def _scan(self, max_events: int) -> list[Kevent]:
        events: list[Kevent] = []
        for knote in list(self._queue.values()):
            if len(events) == max_events:
                break
            del self._queue[knote.serial]
            # The filter has the last word, when the event is retrieved.
            level = self._look(knote)
            if not level.ready:
                knote.active = False
                continue
            events.append(self._event(knote, level))
            if knote.nature & EV_ONESHOT:
                self._drop(knote)
            elif knote.nature & (EV_CLEAR | EV_DISPATCH):
                knote.active = False
                knote.enabled = not knote.nature & EV_DISPATCH
            else:
                self._queue[knote.serial] = knote
        return events

    def _look(self, knote: Knote) -> Level:
        if knote.filter == EVFILT_PROC:
            if not select.select([knote.process], [], [], 0)[0]:
                return Level(False)
            return Level(True, True, NOTE_EXIT, _exit_status(knote.ident))
        assert knote.kind is not None
        try:
            if kind_of(knote.ident) != knote.kind:
                return Level(False)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
            return Level(False)
        if self._writes_to_read_end(knote):
            return Level(self._dialect.pipes_go_both_ways, data=1)
        return look(knote.ident, knote.filter, knote.kind)

    @staticmethod
    def _writes_to_read_end(knote: Knote) -> bool:
        kind = knote.kind
        return (
            knote.filter == EVFILT_WRITE
            and kind is not None
            and kind.name == "pipe"
            and kind.identity[2] == os.O_RDONLY
        )

    @staticmethod
    def _event(knote: Knote, level: Level) -> Kevent:
        if level.eof:
            knote.eof = True
        elif knote.kind is not None and knote.kind.name != "socket":
            knote.eof = False
        flags = knote.nature | (EV_EOF if knote.eof else 0)
        return Kevent(knote.ident, knote.filter, flags, level.error, level.data, knote.udata)


class Kernel:
    """What stands in for the `select` module."""

    KQ_FILTER_READ = EVFILT_READ
    KQ_FILTER_WRITE = EVFILT_WRITE
    KQ_FILTER_PROC = EVFILT_PROC
    KQ_EV_ADD = EV_ADD
    KQ_EV_DELETE = EV_DELETE
    KQ_EV_ENABLE = EV_ENABLE
    KQ_EV_DISABLE = EV_DISABLE
    KQ_EV_ONESHOT = EV_ONESHOT
    KQ_EV_CLEAR = EV_CLEAR
    KQ_EV_ERROR = EV_ERROR
    KQ_EV_EOF = EV_EOF
    KQ_NOTE_EXIT = NOTE_EXIT
    kevent = Kevent

    def __init__(self, dialect: Dialect = FREEBSD) -> None:
        self.dialect = dialect

    def kqueue(self) -> Kqueue:
        return Kqueue(self.dialect)


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _exit_status(pid: int) -> int:
    """As of wait(2); 0 if it is no child of ours, or was waited for."""
    try:
        found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return 0
    if found is None:
        return 0
    if found.si_code == os.CLD_EXITED:
        return found.si_status << 8
    return found.si_status | (0x80 if found.si_code == os.CLD_DUMPED else 0)


def _in_forked_child() -> None:
    """The queues are the parent's: their numbers are free in the child."""
    for queue in list(_open_queues):
        if not queue._closed:
            for knote in queue._knotes.values():
                if knote.process >= 0:
                    os.close(knote.process)
                    knote.process = -1
            queue.close_all()


os.register_at_fork(after_in_child=_in_forked_child)
