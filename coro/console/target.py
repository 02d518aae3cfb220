"""Which daemon is meant: a socket's path, a pid, HOST:PORT, or the only one that runs; and how to connect to it.

Invariant: finding and connecting send no byte.  Whatever goes wrong is told as a sentence that names the target.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import stat
import time
from dataclasses import dataclass
from typing import Final

from coro.console.failures import Failure, NoAnswer, NotReached, UsageFailure
from coro.wire.escape import printable

__all__ = ["Address", "Crowded", "connect", "find"]

# A full queue of connections is tried again this often.
_RETRY_S: Final = 0.01


class Crowded(NoAnswer):
    """The listener's queue of connections stayed full: the daemon accepts nobody."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a daemon listens: at `path`, or at `host` and `port`.

    pid: the daemon's, as the name of its socket says; None if that is not known.
    """

    path: str | None = None
    host: str = ""
    port: int = 0
    pid: int | None = None

    @property
    def text(self) -> str:
        """As the user would type it, safe for a terminal."""
        if self.path is not None:
            return printable(self.path)
        host = f"[{self.host}]" if ":" in self.host else self.host
        return printable(f"{host}:{self.port}")

    @property
    def local(self) -> bool:
        """Whether it is certainly on this machine."""
        return self.path is not None or self.host in ("localhost", "::1") or self.host.startswith("127.")


def find(target: str | None) -> Address:
    """The address that a TARGET means; None or "" is the only daemon running.

    Raises UsageFailure for what can be no target, NotReached if there is no such daemon or a choice.
    """
    if not target:
        return _only_one()
    if target.isascii() and target.isdecimal():
        return _of_pid(int(target))
    if "/" in target or os.path.exists(target):
        return Address(path=os.path.abspath(target), pid=_pid_in(target))
    host, colon, port = target.rpartition(":")
    if colon and port.isascii() and port.isdecimal() and 0 < int(port) < 65536:
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        if ":" not in bare or bare != host:
            return Address(host=bare or "127.0.0.1", port=int(port))
    raise UsageFailure(
        f"a target is a socket's path, a pid or HOST:PORT ([::1]:PORT for IPv6), got {printable(repr(target))}"
    )


def connect(address: Address, deadline: float) -> socket.socket:
    """A connected socket.  Raises NotReached; Crowded or NoAnswer at the deadline (monotonic)."""
    if address.path is None:
        return _connect_tcp(address, deadline)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        while True:
            try:
                connection.connect(address.path)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise Crowded(
                        f"the queue of connections at {address.text} is full: nobody accepts them"
                    ) from None
                time.sleep(_RETRY_S)
            else:
                return connection
    except (OSError, ValueError) as error:
        connection.close()
        raise NotReached(_reason(address, address.path, error)) from error
    except BaseException:
        connection.close()
        raise


def _only_one() -> Address:
    from coro.wire.places import candidate_directories, find_sockets

    skipped: list[str] = []
    found = find_sockets(skipped=skipped)
    if len(found) == 1:
        return Address(path=found[0].path, pid=found[0].pid)
    if found:
        addresses = [Address(path=each.path, pid=each.pid) for each in found]
        raise NotReached(f"{len(found)} daemons run here; say which with -t:\n" + _listed(addresses))
    where = ", ".join(map(printable, candidate_directories()))
    lines = [f"no daemon of yours runs here (looked in {where}); name one with -t TARGET", *map(printable, skipped)]
    raise NotReached("\n  ".join(lines))


def _of_pid(pid: int) -> Address:
    from coro.wire.places import pid_sockets

    found = [Address(path=each.path, pid=each.pid) for each in pid_sockets(pid)]
    if len(found) == 1:
        return found[0]
    if found:
        raise NotReached(f"pid {pid} has {len(found)} backdoors; say which with -t:\n" + _listed(found))
    if os.path.isdir("/proc/self") and not os.path.isdir(f"/proc/{pid}"):
        raise NotReached(f"there is no process {pid}")
    raise NotReached(f"process {pid} has no backdoor that you can see; `coro ls` lists those that you can")


def _listed(addresses: list[Address]) -> str:
    from coro.console.outside import command_line

    return "\n".join(
        f"  {address.pid}  {printable((address.pid and command_line(address.pid)) or '?')}  {address.text}"
        for address in addresses
    )


def _pid_in(path: str) -> int | None:
    """The pid in the name of a socket such as /run/coro/mx-4242.sock."""
    stem, dot, ending = os.path.basename(path).rpartition(".")
    digits = stem.rpartition("-")[2]
    return int(digits) if dot and ending == "sock" and digits.isascii() and digits.isdecimal() else None


def _reason(address: Address, path: str, error: OSError | ValueError) -> str:
    """Why a path cannot be connected to, for people."""
    if isinstance(error, FileNotFoundError):
        return f"there is no socket {address.text}"
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        found = None
    if found is not None and not stat.S_ISSOCK(found.st_mode):
        return f"{address.text} is not a socket"
    if isinstance(error, ConnectionRefusedError):
        return f"nobody listens at {address.text}: its daemon has ended"
    if isinstance(error, PermissionError):
        owner = "" if found is None else f": it belongs to uid {found.st_uid}, and you are uid {os.geteuid()}"
        return f"no permission to connect to {address.text}{owner}"
    if not isinstance(error, OSError) or error.errno is None:
        # "AF_UNIX path too long", "embedded null byte".
        return f"{address.text} cannot be a socket's path: {error}"
    return f"cannot connect to {address.text}: {error.strerror}"


# -- TCP


def _connect_tcp(address: Address, deadline: float) -> socket.socket:
    last: Failure | None = None
    for family, where in _resolve(address, deadline):
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            _connect_one(connection, where, address, deadline)
        except NotReached as error:
            connection.close()
            last = error
        except BaseException:
            connection.close()
            raise
        else:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
    raise last or NotReached(f"{address.text} has no address")


def _connect_one(connection: socket.socket, where: tuple[str, int], address: Address, deadline: float) -> None:
    connection.setblocking(False)
    code = connection.connect_ex(where)
    if code == errno.EINPROGRESS:
        poll = select.poll()
        poll.register(connection, select.POLLOUT)
        if not poll.poll(max(0, int((deadline - time.monotonic()) * 1000) + 1)):
            message = f"{address.text} did not take the connection in time"
            # On one machine nothing gets lost on the way: the listener's queue is full.
            raise Crowded(message) if address.local else NotReached(message)
        code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code == errno.ECONNREFUSED:
        raise NotReached(f"nobody listens at {address.text}")
    if code:
        raise NotReached(f"cannot connect to {address.text}: {os.strerror(code)}")


def _resolve(address: Address, deadline: float) -> list[tuple[int, tuple[str, int]]]:
    """(family, socket address) pairs of a host.  Raises NotReached."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, address.host)
        except (OSError, ValueError):
            continue
        return [(family, (address.host, address.port))]
    import threading

    found: list[tuple[int, tuple[str, int]]] = []
    faults: list[str] = []

    def look_up() -> None:
        try:
            for each in socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM):
                found.append((each[0], each[4]))  # type: ignore[arg-type]
        except (OSError, UnicodeError) as error:
            faults.append(str(getattr(error, "strerror", None) or error))

    # The system's resolver knows no deadline, and cannot be interrupted.
    resolver = threading.Thread(target=look_up, daemon=True)
    resolver.start()
    resolver.join(max(0.0, deadline - time.monotonic()))
    if found and not resolver.is_alive():
        return found
    raise NotReached(f"the host {printable(address.host)} is not known: {(faults or ['no answer in time'])[0]}")
