"""Whose process is at the other end of a connection: its uid and pid, before anything secret is sent there.

A socket path or a free port may have been taken by somebody else, who would then receive a token, or the code that
an operator types.

Invariant: the kernel answers, never the peer itself.
"""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass
from typing import Final

from coro.console.failures import Untrusted

__all__ = ["Peer", "peer_of", "refuse_stranger"]

# <sys/ucred.h> of macOS and FreeBSD: getsockopt(SOL_LOCAL, LOCAL_PEERCRED) gives a struct xucred.
_SOL_LOCAL, _LOCAL_PEERCRED, _LOCAL_PEERPID = 0, 1, 2
_XUCRED_BYTES: Final = 76

# <linux/sock_diag.h>, <linux/inet_diag.h>
_SOCK_DIAG_BY_FAMILY: Final = 20
_NLM_F_REQUEST: Final = 1
_TCP_LISTEN: Final = 10
_NETLINK_SOCK_DIAG: Final = 4
_NO_COOKIE: Final = 0xFFFFFFFF
_HEADER = struct.Struct("=LHHLL")
_INET_DIAG_MSG_BYTES: Final = 72
_NETLINK_TIMEOUT_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Peer:
    """Who listens.  uid, pid: None where the system does not tell, as of another machine.

    pid is who called listen(): of a server that was started by another process, perhaps that one.
    """

    uid: int | None
    pid: int | None


def peer_of(connection: socket.socket) -> Peer:
    """Who listens at the other end of a connected socket.  Takes 0.2 s at most."""
    if connection.family == socket.AF_UNIX:
        return _unix_peer(connection)
    return Peer(_loopback_listener_uid(connection), None)


def refuse_stranger(peer: Peer, where: str, trusted_uid: int | None) -> None:
    """Raise Untrusted unless the listener is ours, root's, `trusted_uid`'s, or not to be known (a remote one)."""
    if peer.uid is None or peer.uid in (os.geteuid(), 0, trusted_uid):
        return
    raise Untrusted(
        f"{where} is served by uid {peer.uid}, neither you (uid {os.geteuid()}) nor root: nothing secret is sent "
        f"there; if you trust it, say --uid {peer.uid}"
    )


def _unix_peer(connection: socket.socket) -> Peer:
    if hasattr(socket, "SO_PEERCRED"):
        data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        pid, uid, _ = struct.unpack("=iII", data)
        return Peer(uid, pid or None)
    try:
        credentials = connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED_BYTES)
        uid = struct.unpack_from("=II", credentials)[1]
    except OSError:
        # The owner of the file may bind there, so he is as good an answer.
        return Peer(os.stat(connection.getpeername()).st_uid, None)
    try:
        return Peer(uid, connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERPID) or None)
    except OSError:
        return Peer(uid, None)


def _loopback_listener_uid(connection: socket.socket) -> int | None:
    """The uid of the TCP listener, if it is on this machine (its address is also ours) and the kernel tells."""
    host, port = connection.getpeername()[:2]
    if not (host.startswith("127.") or host == connection.getsockname()[0]) or not hasattr(socket, "AF_NETLINK"):
        return None
    request = _inet_diag_request(connection.family, host, port)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as netlink:
            netlink.settimeout(_NETLINK_TIMEOUT_S)
            netlink.send(request)
            reply = netlink.recv(4096)
    except OSError:
        return None
    kind = _HEADER.unpack_from(reply)[1]
    if kind != _SOCK_DIAG_BY_FAMILY or len(reply) < _HEADER.size + _INET_DIAG_MSG_BYTES:
        return None
    # struct inet_diag_msg: family, state, timer, retrans, id (48), expires, rqueue, wqueue, uid, inode
    state = reply[_HEADER.size + 1]
    uid, inode = struct.unpack_from("=II", reply, _HEADER.size + 64)
    return uid if state == _TCP_LISTEN and inode else None


def _inet_diag_request(family: int, host: str, port: int) -> bytes:
    """Ask for the one socket that a connection to (host, port) reaches: the kernel looks listeners up, too."""
    address = socket.inet_pton(family, host.partition("%")[0]).ljust(16, b"\0")
    # struct inet_diag_sockid: ports big-endian, addresses, interface, cookie
    sockid = struct.pack(">HH", port, 0) + address + bytes(16) + struct.pack("=III", 0, _NO_COOKIE, _NO_COOKIE)
    body = struct.pack("=BBBxI", family, socket.IPPROTO_TCP, 0, 1 << _TCP_LISTEN) + sockid
    return _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0) + body
