"""Who is at the other end of a connection, as the kernel says.

Unix: SO_PEERCRED, LOCAL_PEERCRED.  TCP over loopback, on Linux: the owner of the peer's own socket, asked of the
kernel by sock_diag(7).  Nothing here believes a word of the peer's.

Invariant: what cannot be known for certain is None, and no function here raises for that or waits longer than
5 ms.  Takes no lock and imports nothing late: the sentinel calls it while the loop is stuck.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import sys
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

__all__ = ["Peer", "overflow_gid", "overflow_uid", "parse_xucred", "tcp_peer", "unix_peer"]

# -- Linux
# linux/socket.h: not in the socket module.
_SO_PEERGROUPS = 59
# getsockopt() of Python gives no more, so more than 256 groups are not known.
_MAX_OPTION_BYTES = 1024
_UCRED = struct.Struct("=iII")
_NOBODY = 0xFFFFFFFF
# linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h.
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_NLMSG = struct.Struct("=IHHII")
_ID = struct.Struct("!HH16s16s")
_INTERFACE_AND_COOKIE = struct.Struct("=III")
_REQUEST = struct.Struct("=BBBBI")
_REPLY = struct.Struct("=BBBB")
_REPLY_END = struct.Struct("=IIIII")
_NO_COOKIE = 0xFFFFFFFF
_ESTABLISHED = 1
# The kernel answers within send(); the time is for one that loads its module first.
_DEADLINE_MS = 5

# -- BSD and macOS
_SOL_LOCAL = 0
_LOCAL_PEERCRED = 1
_LOCAL_PEERPID = 2
# sys/ucred.h: version, uid, number of groups (short, padded), sixteen groups of which the first is the gid.
_XUCRED = struct.Struct("=IIhxx16I")
# What FreeBSD has after it, a pointer or the pid.
_XUCRED_BYTES = _XUCRED.size + 8

_OVERFLOW = 65_534


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end.  pid, uid, gid: None where they cannot be known; groups: the supplementary ones.

    address: for people, such as "unix" or "127.0.0.1:40312".
    """

    kind: Literal["unix", "tcp"]
    pid: int | None
    uid: int | None
    gid: int | None
    groups: tuple[int, ...]
    address: str


def overflow_uid() -> int:
    """The uid that the kernel shows for all users that this user namespace does not know: nobody's identity."""
    return _read_number("/proc/sys/kernel/overflowuid")


def overflow_gid() -> int:
    """As overflow_uid(), for groups."""
    return _read_number("/proc/sys/kernel/overflowgid")


def unix_peer(sock: socket.socket) -> Peer:
    """The process that connected to a Unix socket: its credentials at that moment.  Does not yield or raise."""
    try:
        if sys.platform == "linux":
            return _linux_peer(sock)
        if sys.platform == "darwin" or sys.platform.startswith(("freebsd", "dragonfly")):
            return _xucred_peer(sock)
    except (OSError, struct.error, ValueError):
        # It may have gone; whoever cannot be named has no role.
        return Peer("unix", None, None, None, (), "unix")
    return Peer("unix", None, None, None, (), "unix")


def _linux_peer(sock: socket.socket) -> Peer:
    option = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, gid = _UCRED.unpack(option)
    # (uid_t)-1: no peer.
    if uid == _NOBODY:
        return Peer("unix", None, None, None, (), "unix")
    try:
        option = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _MAX_OPTION_BYTES)
        groups = struct.unpack(f"={len(option) // 4}I", option)
    except OSError:
        # Too many (ERANGE), or a kernel before 4.13: then groups give no role.
        groups = ()
    # 0: a process outside of our pid namespace.
    return Peer("unix", pid or None, uid, None if gid == _NOBODY else gid, groups, "unix")


def _xucred_peer(sock: socket.socket) -> Peer:
    uid, gid, groups = parse_xucred(sock.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED_BYTES))
    pid = None
    if sys.platform == "darwin":
        pid = sock.getsockopt(_SOL_LOCAL, _LOCAL_PEERPID) or None
    return Peer("unix", pid, uid, gid, groups, "unix")


def parse_xucred(data: bytes) -> tuple[int, int | None, tuple[int, ...]]:
    """(uid, gid, groups) of a struct xucred, unix(4) of FreeBSD.  Raises ValueError or struct.error for another."""
    version, uid, count, *groups = _XUCRED.unpack_from(data)
    if version != 0 or not 0 <= count <= len(groups):
        raise ValueError(f"not a struct xucred of version 0: version {version}, {count} groups")
    return uid, groups[0] if count else None, tuple(groups[1:count])


def tcp_peer(sock: socket.socket) -> Peer:
    """The owner of the socket that connected to ours, if it is on this machine's loopback.

    The uid is that of an ESTABLISHED socket with an inode: a peer that has closed already has none.  None too for
    peers elsewhere, and where the kernel does not tell.  Does not yield or raise; 0.1 ms.
    """
    try:
        there, here = sock.getpeername()[:2], sock.getsockname()[:2]
        peer_ip, our_ip = _plain(there[0]), _plain(here[0])
    except (OSError, ValueError):
        # It may have gone.
        return Peer("tcp", None, None, None, (), "unknown")
    address = f"[{peer_ip}]:{there[1]}" if peer_ip.version == 6 else f"{peer_ip}:{there[1]}"
    uid = None
    if sys.platform == "linux" and peer_ip.is_loopback and our_ip.is_loopback:
        try:
            uid = _socket_owner((peer_ip, there[1]), (our_ip, here[1]))
        except (OSError, struct.error):
            # No such socket any more, or no sock_diag in this kernel or sandbox.
            uid = None
    return Peer("tcp", None, uid, None, (), address)


_Address = tuple[IPv4Address | IPv6Address, int]


def _plain(ip: str) -> IPv4Address | IPv6Address:
    address = ip_address(ip)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped if mapped is not None else address


def _socket_owner(local: _Address, remote: _Address) -> int | None:
    """The uid of the TCP socket that is bound to `local` and connected to `remote`."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as netlink:
        netlink.setblocking(False)
        # Bound by connect to the kernel (0): nobody else's datagrams are received.
        netlink.connect((0, 0))
        netlink.send(_request(local, remote))
        waiting = select.poll()
        waiting.register(netlink, select.POLLIN)
        if not waiting.poll(_DEADLINE_MS):
            return None
        reply, sender = netlink.recvfrom(8192)
    return _owner_in(reply, local, remote) if sender[0] == 0 else None


def _request(local: _Address, remote: _Address) -> bytes:
    """One socket by its addresses: an inet_diag_req_v2 without NLM_F_DUMP."""
    family = socket.AF_INET if local[0].version == 4 else socket.AF_INET6
    body = b"".join(
        (
            _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0, 1 << _ESTABLISHED),
            _ID.pack(local[1], remote[1], local[0].packed, remote[0].packed),
            _INTERFACE_AND_COOKIE.pack(0, _NO_COOKIE, _NO_COOKIE),
        )
    )
    return _NLMSG.pack(_NLMSG.size + len(body), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0) + body


def _owner_in(reply: bytes, local: _Address, remote: _Address) -> int | None:
    """The uid in an inet_diag_msg, if it is about that very socket, ESTABLISHED and owned by a process."""
    length, kind, _flags, _sequence, _port = _NLMSG.unpack_from(reply)
    # An error (ENOENT: there is no such socket) is of another kind.
    if kind != _SOCK_DIAG_BY_FAMILY or length > len(reply):
        return None
    offset = _NLMSG.size
    family, state, _timer, _retransmits = _REPLY.unpack_from(reply, offset)
    offset += _REPLY.size
    local_port, remote_port, source, destination = _ID.unpack_from(reply, offset)
    offset += _ID.size + _INTERFACE_AND_COOKIE.size
    _expires, _rqueue, _wqueue, uid, inode = _REPLY_END.unpack_from(reply, offset)
    # Where there is no such connection the kernel falls back to a listener at that address.
    found = (_unpacked(family, source), local_port), (_unpacked(family, destination), remote_port)
    if found != (local, remote) or state != _ESTABLISHED or inode == 0:
        return None
    return int(uid)


def _unpacked(family: int, packed: bytes) -> IPv4Address | IPv6Address:
    if family == socket.AF_INET:
        return IPv4Address(packed[:4])
    address = IPv6Address(packed)
    return address.ipv4_mapped or address


def _read_number(path: str) -> int:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return _OVERFLOW
    try:
        return int(os.read(fd, 32))
    except (OSError, ValueError):
        return _OVERFLOW
    finally:
        os.close(fd)
