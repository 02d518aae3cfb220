"""A layer between the runtime and the system, in which the n-th system call of a site fails.

Each module of the runtime gets proxies in place of the libraries that it calls, and wrappers in place of the
functions that it has bound; the methods of sockets are wrapped in `socket.socket`.  A wrapper looks at its caller:
calls of anybody but the runtime, and those of threads that are named "bystander", go straight through.
"""

import errno
import os
import socket
import sys
import types
from _thread import get_ident
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from greenlet import getcurrent

from coro.descriptors import descriptors
from coro.scheduler import scheduler
from tests.faults.sites import Site, runtime_modules

MODULES = runtime_modules()
SHORT = "short"
OS_THREAD = "an OS thread"
# Functions that call what they are handed: the site is where it was named.
_GO_BETWEENS = {"_read", "_write", "_retry"}
# Names are looked up in OS threads, far from where they were asked for.
_LOOK_UPS = {
    "socket.getaddrinfo": "resolve",
    "socket.gethostbyname": "gethostbyname",
    "socket.getnameinfo": "getnameinfo",
}
# Done even if they fail: the descriptor is gone in any case.
_DONE_ANYWAY = {"os.close", "epoll.close", "sock._real_close"}
# What must have happened for a call to fail in such a way.
_MADE_TRUE: dict[tuple[str, str], Callable[..., object]] = {
    ("os.unlink", "ENOENT"): lambda unlink, arguments: unlink(*arguments),
    ("os.lstat", "ENOENT"): lambda lstat, arguments: Path(arguments[0]).unlink(missing_ok=True),
    ("epoll.register", "EEXIST"): lambda register, arguments: register(*arguments),
    ("epoll.modify", "ENOENT"): lambda modify, arguments: modify.__self__.unregister(arguments[0]),
    ("epoll.unregister", "ENOENT"): lambda unregister, arguments: unregister(*arguments),
}


def _half(size: int) -> int:
    return -(-size // 2)


# What the calls take when they are to do less than they were asked for.
_SHORTENED: dict[str, Callable[..., tuple[Any, ...]]] = {
    "os.read": lambda fd, size: (fd, _half(size)),
    "os.write": lambda fd, data: (fd, data[: _half(len(data))]),
    "os.readv": lambda fd, buffers: (fd, buffers[:1]),
    "os.writev": lambda fd, views: (fd, [views[0][: _half(len(views[0]))]]),
    "os.sendfile": lambda to, fd, offset, count: (to, fd, offset, _half(count)),
    "sock.recv": lambda sock, size, *flags: (sock, _half(size), *flags),
    "sock.recv_into": lambda sock, buffer, size=0, *flags: (sock, buffer, _half(size or len(buffer)), *flags),
    "sock.send": lambda sock, data, *flags: (sock, memoryview(data)[: _half(len(data))], *flags),
    "sock.sendmsg": lambda sock, buffers, *more: (sock, buffers[:1], *more),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """The `number`-th execution (from 1) of a site fails; of any site if that is None.

    what: the name of an errno or of a name server's answer, or of an exception, or "short"; for any site the
        number of one of the failures that the call can have.
    times: how often in a row.
    """

    site: Site | None
    what: str | int
    number: int = 1
    times: int = 1

    def __str__(self) -> str:
        place = "any call" if self.site is None else " ".join(self.site)
        return f"{self.what} at {place}, number {self.number}, {self.times} times"


class Shim:
    """Counts the system calls of the runtime, and has some of them fail.

    failures: call -> the failures that it can have, separated by blanks.
    """

    def __init__(self, failures: Mapping[str, str]) -> None:
        self.failures = failures
        self.fault: Fault | None = None
        self.counting = False
        self.counts: Counter[Site] = Counter()
        # All system calls since arm(), in order.
        self.calls: list[Site] = []
        # Where the fault happened, in which threads, how, and what was raised there.
        self.hits: list[Site] = []
        self.hit_threads: list[str] = []
        self.whats: list[str] = []
        self.errors: list[BaseException] = []

    def arm(self, fault: Fault | None) -> None:
        """Begin to count; have the fault happen."""
        self.fault = fault
        self.counts = Counter()
        self.calls, self.hits, self.hit_threads, self.whats, self.errors = [], [], [], [], []
        self.counting = True

    def disarm(self) -> None:
        """Let everything through, uncounted."""
        self.counting = False

    def call(self, name: str, function: Callable[..., Any], arguments: tuple[Any, ...], keywords: Any) -> Any:
        """Make a system call, or fail to.  Called by the wrappers, whose caller makes it."""
        site = _site(name) if self.counting else None
        if site is None:
            return function(*arguments, **keywords)
        thread = getattr(getcurrent(), "thread", None)
        who = "" if thread is None else thread.name
        if not who and get_ident() != scheduler.os_thread_ident:
            who = OS_THREAD
        if who.startswith("bystander"):
            return function(*arguments, **keywords)
        self.counts[site] += 1
        self.calls.append(site)
        what = self._what_happens(site)
        if what is None:
            return function(*arguments, **keywords)
        self.hits.append(site)
        self.hit_threads.append(who)
        self.whats.append(what)
        return self._fail(name, what, function, arguments, keywords)

    def _what_happens(self, site: Site) -> str | None:
        fault = self.fault
        if fault is None or fault.site not in (None, site):
            return None
        number = len(self.calls) if fault.site is None else self.counts[site]
        if not fault.number <= number < fault.number + fault.times:
            return None
        if isinstance(fault.what, str):
            return fault.what
        choice = self.failures.get(site[2], "").split()
        return choice[fault.what % len(choice)] if choice else None

    def _fail(self, name: str, what: str, function: Callable[..., Any], arguments: tuple[Any, ...], kw: Any) -> Any:
        if what == SHORT:
            if name == "sock.recv" and arguments[0].family != socket.AF_UNIX:
                # TCP gives all that it has: a short read there is a promise.
                return function(*arguments, **kw)
            return function(*_SHORTENED[name](*arguments), **kw)
        if name in _DONE_ANYWAY:
            function(*arguments, **kw)
        elif (name, what) in _MADE_TRUE:
            _MADE_TRUE[name, what](function, arguments)
        elif what == "EAGAIN":
            self._announce(arguments[0])
        error = error_named(what)
        self.errors.append(error)
        if name == "sock.connect_ex" and isinstance(error, OSError):
            return error.errno
        raise error

    def _announce(self, thing: Any) -> None:
        """After EAGAIN the kernel reports the descriptor again, once it is ready: see to it that it does."""
        fd = thing if isinstance(thing, int) else thing.fileno()
        if fd in descriptors.table and descriptors.poller is not None:
            self.disarm()
            descriptors.poller.add(fd)
            self.counting = True


def error_named(what: str) -> BaseException:
    """The exception that the interpreter makes of a failure."""
    if what.startswith("EAI_"):
        return socket.gaierror(getattr(socket, what), what)
    if what.startswith("E"):
        number = getattr(errno, what)
        return OSError(number, os.strerror(number))
    kinds = {kind.__name__: kind for kind in (RuntimeError, ValueError, MemoryError)}
    return kinds[what](f"injected {what}")


def _site(name: str) -> Site | None:
    """Where the runtime makes this call; None if it is somebody else's."""
    # Past this function, Shim.call() and the wrapper.
    frame: types.FrameType | None = sys._getframe(3)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        function = frame.f_code.co_qualname.removesuffix(".<locals>.<listcomp>")
        if name in _LOOK_UPS:
            return "coro.resolve", _LOOK_UPS[name], name
        if module in MODULES:
            if function.rpartition(".")[2] not in _GO_BETWEENS:
                return module, function, name
        elif module != "socket":
            return None
        frame = frame.f_back
    return None
