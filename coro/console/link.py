"""A connection to the daemon that is meant, verified and greeted, and made again when the daemon comes back.

Invariant: a token is sent only after the listener was verified; so is code, which callers send over a link that was
opened with `secret`.
"""

from __future__ import annotations

import os
import time
from typing import Any, Final

from coro.console import target
from coro.console.client import Client
from coro.console.failures import Failure, NoAnswer, NotReached
from coro.console.options import Options
from coro.console.outside import Watcher
from coro.console.peer import Peer, peer_of, refuse_stranger

__all__ = [
    "daemon_name",
    "DEFAULT_TIMEOUT_S",
    "Link",
    "client_name",
    "connect",
    "open_link",
    "reopen",
    "token_for",
    "with_outside",
]

# Of silence: what takes longer, such as looking at 100 000 threads in slices, is answered piece by piece.
DEFAULT_TIMEOUT_S: Final = 10.0


class Link:
    """A greeted connection.

    address: where; client: what to ask; peer: who listens there.
    hello: what the daemon told of itself; {} from one that knows no hello.
    """

    def __init__(self, address: target.Address, client: Client, peer: Peer) -> None:
        self.address = address
        self.client = client
        self.peer = peer
        self.hello: dict[str, Any] = {}
        self.watcher = None if peer.pid is None else Watcher(peer.pid)

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection.  May be repeated."""
        self.client.close()

    @property
    def pid(self) -> int | None:
        """The daemon's, as it says itself, else as the kernel does."""
        pid = self.hello.get("pid")
        return pid if isinstance(pid, int) else self.peer.pid or self.address.pid

    @property
    def name(self) -> str:
        """The daemon's name, safe for a terminal."""
        from coro.wire.escape import printable

        return printable(daemon_name(self.hello) or "daemon")[:40]


def daemon_name(hello: dict[str, Any]) -> str | None:
    """What people call the daemon: its script, without the ending; not escaped.  None if it does not tell."""
    argv = hello.get("argv")
    if isinstance(argv, list) and argv and isinstance(argv[0], str) and argv[0] not in ("", "-c", "-"):
        directory, script = os.path.split(argv[0])
        # python -m package
        return os.path.basename(directory) if script == "__main__.py" else script.removesuffix(".py")
    name = hello.get("name")
    return name if isinstance(name, str) else None


def client_name() -> str:
    """What we call ourselves in a greeting."""
    from importlib import metadata

    try:
        return f"coro/{metadata.version('coro')}"
    except metadata.PackageNotFoundError:
        return "coro"


def open_link(
    options: Options, *, secret: bool = False, address: target.Address | None = None, timeout: float | None = None
) -> Link:
    """Connect to what the options mean (or to `address`), verify if need be, and greet.

    secret: code will be sent.  timeout: seconds, None for the options' or 10.
    Raises Failure.
    """
    if timeout is None:
        timeout = options.timeout or DEFAULT_TIMEOUT_S
    deadline = time.monotonic() + timeout
    address = address or target.find(options.target)
    link = connect(options, address, deadline, secret=secret)
    try:
        hello = link.client.hello_message(client_name(), token_for(options, address))
        link.client.send(hello, deadline=deadline)
        value = link.client.answer_to(hello, deadline)["value"]
        if isinstance(value, dict):
            link.hello = value
    except NoAnswer as error:
        link.close()
        raise with_outside(error, link) from error
    except BaseException:
        link.close()
        raise
    return link


def reopen(options: Options, lost: Link, *, secret: bool = False, timeout: float) -> Link:
    """A link to the same daemon, or to the one that runs in its place now.  Raises Failure.

    A path or a port is the same after a restart.  A socket that is named by a pid is not: then the only daemon with
    the same name and arguments takes its place, if there is just one.
    """
    try:
        return open_link(options, secret=secret, address=lost.address, timeout=timeout)
    except NotReached:
        if lost.address.pid is None or lost.address.path == options.target:
            raise
        successor = _successor(options, lost, timeout)
        if successor is None:
            raise
    return open_link(options, secret=secret, address=successor, timeout=timeout)


def _successor(options: Options, lost: Link, timeout: float) -> target.Address | None:
    from coro.wire.places import find_sockets

    alike = []
    for each in find_sockets():
        address = target.Address(path=each.path, pid=each.pid)
        try:
            with open_link(options, address=address, timeout=timeout) as link:
                if all(link.hello.get(key) == lost.hello.get(key) for key in ("name", "argv")):
                    alike.append(address)
        except Failure:
            continue
    return alike[0] if len(alike) == 1 else None


def connect(options: Options, address: target.Address, deadline: float, *, secret: bool) -> Link:
    """Connect, and verify the listener if something secret will be sent; sends nothing yet.  Raises NotReached."""
    connection = target.connect(address, deadline)
    try:
        peer = peer_of(connection)
        if secret or token_for(options, address) is not None:
            refuse_stranger(peer, address.text, options.uid)
    except OSError as error:
        connection.close()
        raise NotReached(f"{address.text}: {error.strerror}") from error
    except BaseException:
        connection.close()
        raise
    return Link(address, Client(connection, address.text), peer)


def token_for(options: Options, address: target.Address) -> str | None:
    """The token to send: over TCP any that is there; to a Unix socket, which needs none, only if asked to."""
    if address.path is not None and options.token_file is None:
        return None
    from coro.console import credentials

    return credentials.token(options.token_file)


def with_outside(error: NotReached, link: Link) -> NotReached:
    """The same failure, with what the system shows of the daemon's process."""
    if link.watcher is None:
        return error
    told = NoAnswer(f"{error}: {link.watcher.look().text()}")
    told.pid = link.peer.pid
    return told
