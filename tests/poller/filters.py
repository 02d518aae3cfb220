"""What kqueue's filters say of a descriptor, found out by looking at Linux's.

EVFILT_READ and EVFILT_WRITE ask the same questions as in the sources of FreeBSD, in the same order: is the way
shut down, is there an error, is there enough.  Linux shows all of that, but for two things.  The number of an error
can be seen only by taking it away, so it is guessed from the life of the connection.  And how much room there is in
the buffer of a Unix socket is an estimate.
"""

import array
import errno
import fcntl
import os
import select
import socket
import stat
import struct
import termios
from dataclasses import dataclass

EVFILT_READ = -1
EVFILT_WRITE = -2

_RDHUP = select.POLLRDHUP
_EVERYTHING = select.POLLIN | select.POLLOUT | _RDHUP
_TCP_INFO_BYTES = 256
# Of tcp_info: the byte with the state, and where the counter of acknowledged bytes stands (Linux 4.1).
_ESTABLISHED, _SYN_SENT, _SYN_RECV, _CLOSED, _LISTEN = 1, 2, 3, 7, 10
_WE_HAVE_SHUT_DOWN = (4, 5, 6, 9, 11)
_BYTES_ACKED_AT = 120
_UNACKED_AT = 24


@dataclass(frozen=True, slots=True)
class Level:
    """What a filter found: whether it would report, and with what."""

    ready: bool
    eof: bool = False
    error: int = 0
    data: int = 0


SILENT = Level(False)


@dataclass(frozen=True, slots=True)
class Kind:
    """What is known of a descriptor for as long as it is open.

    identity: tells one open file from the next under the same number; duplicates share it.
    """

    name: str
    identity: tuple[int, int, int]


def kind_of(fd: int) -> Kind:
    """Raises OSError (EBADF)."""
    status = os.fstat(fd)
    access = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE
    return Kind(_name_of(fd, status.st_mode), (status.st_dev, status.st_ino, access))


def _name_of(fd: int, mode: int) -> str:
    if stat.S_ISSOCK(mode):
        return "socket"
    if stat.S_ISFIFO(mode):
        return "pipe" if os.readlink(f"/proc/self/fd/{fd}").startswith("pipe:") else "fifo"
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return "vnode"
    return "device"


def look(fd: int, filter: int, kind: Kind) -> Level:
    """What the filter says of `fd` now."""
    if kind.name == "vnode":
        return _look_at_vnode(fd)
    bits = _poll(fd)
    if kind.name == "socket":
        return _look_at_socket(fd, filter, bits)
    if filter == EVFILT_READ:
        if kind.identity[2] == os.O_WRONLY:
            return SILENT
        left = _ioctl(fd, termios.FIONREAD)
        hung_up = bool(bits & (select.POLLHUP | select.POLLERR))
        return Level(hung_up or bool(bits & select.POLLIN), hung_up, 0, left)
    if kind.identity[2] == os.O_RDONLY:
        return SILENT
    hung_up = bool(bits & (select.POLLHUP | select.POLLERR))
    return Level(hung_up or bool(bits & select.POLLOUT), hung_up, 0, _room_of_pipe(fd) if not hung_up else 0)


def reader_is_gone(fd: int) -> bool:
    return bool(_poll(fd) & select.POLLERR)


def _look_at_vnode(fd: int) -> Level:
    left = os.fstat(fd).st_size - os.lseek(fd, 0, os.SEEK_CUR)
    return Level(left != 0, data=left)


def _look_at_socket(fd: int, filter: int, bits: int) -> Level:
    with socket.socket(fileno=os.dup(fd)) as sock:
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return _look_at_listener(sock, bits) if filter == EVFILT_READ else SILENT
        failed = bool(bits & select.POLLERR)
        if filter == EVFILT_READ:
            left = _ioctl(fd, termios.FIONREAD) if not _is_new(sock) else 0
            if bits & _RDHUP:
                return Level(True, True, _error_of(sock) if failed else 0, left)
            return Level(failed or bool(bits & select.POLLIN), data=left)
        if _cannot_send_more(sock, bits):
            return Level(True, True, _error_of(sock) if failed else 0, 0)
        if failed:
            return Level(True)
        if sock.type == socket.SOCK_STREAM and not _is_connected(sock):
            return SILENT
        room = sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) - _ioctl(fd, termios.TIOCOUTQ)
        return Level(bool(bits & select.POLLOUT), data=max(room, 0))


def _look_at_listener(sock: socket.socket, bits: int) -> Level:
    ready = bool(bits & select.POLLIN)
    backlog = struct.unpack_from("I", _tcp_info(sock), _UNACKED_AT)[0] if _is_tcp(sock) else int(ready)
    return Level(ready, data=backlog)


def _cannot_send_more(sock: socket.socket, bits: int) -> bool:
    if sock.type != socket.SOCK_STREAM:
        return False
    if bits & select.POLLHUP and bits & _RDHUP:
        return True
    if _is_tcp(sock):
        return _tcp_info(sock)[0] in _WE_HAVE_SHUT_DOWN
    if not _is_connected(sock):
        return False
    try:
        # Nothing is sent, nothing is taken away.
        sock.send(b"", socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    except BrokenPipeError:
        return True
    except OSError:
        return False
    return False


def _is_connected(sock: socket.socket) -> bool:
    if _is_tcp(sock):
        return _tcp_info(sock)[0] not in (_SYN_SENT, _SYN_RECV, _CLOSED, _LISTEN)
    try:
        sock.getpeername()
    except OSError as error:
        if error.errno == errno.ENOTCONN:
            return False
        raise
    return True


def _is_new(sock: socket.socket) -> bool:
    """A Unix stream socket that was never connected: it has no FIONREAD."""
    return not _is_tcp(sock) and sock.type == socket.SOCK_STREAM and not _is_connected(sock)


def _error_of(sock: socket.socket) -> int:
    if not _is_tcp(sock):
        return errno.ECONNRESET
    acknowledged = struct.unpack_from("Q", _tcp_info(sock), _BYTES_ACKED_AT)[0]
    return errno.ECONNRESET if acknowledged else errno.ECONNREFUSED


def _is_tcp(sock: socket.socket) -> bool:
    return sock.family in (socket.AF_INET, socket.AF_INET6) and sock.type == socket.SOCK_STREAM


def _tcp_info(sock: socket.socket) -> bytes:
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)


def _poll(fd: int) -> int:
    poll = select.poll()
    poll.register(fd, _EVERYTHING)
    return dict(poll.poll(0)).get(fd, 0)


def _ioctl(fd: int, request: int) -> int:
    number = array.array("i", [0])
    try:
        fcntl.ioctl(fd, request, number)
    except OSError as error:
        # Not every device counts.
        if error.errno not in (errno.ENOTTY, errno.EINVAL):
            raise
    return number[0]


def _room_of_pipe(fd: int) -> int:
    try:
        return fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ) - _ioctl(fd, termios.FIONREAD)
    except OSError as error:
        # A terminal.
        if error.errno != errno.EBADF:
            raise
        return 1
