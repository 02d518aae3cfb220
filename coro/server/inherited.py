"""Sockets inherited from systemd: sd_listen_fds(3).

systemd sets LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES, and hands over descriptors from 3 on.
"""

from __future__ import annotations

import os

from coro.socket.sock import sock

__all__ = ["inherited_sockets"]

FIRST_FD = 3
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


def inherited_sockets(name: str | None = None) -> list[sock]:
    """The listening sockets that systemd handed to this process, in its order; [] without socket activation.

    name: only those with this FileDescriptorName=.
    The variables are left for other callers; each call wraps the same descriptors anew, so call it once a name.
    Raises ValueError for variables that make no sense, OSError (ENOTSOCK) for a descriptor that is no socket; all
    of them are left open then.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    text = os.environ.get("LISTEN_FDS", "")
    if not text.isdigit():
        raise ValueError(f"LISTEN_FDS must be a number of descriptors, got {text!r}")
    count = int(text)
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    sockets: list[sock] = []
    for index in range(count):
        fd = FIRST_FD + index
        if name is not None and (index >= len(names) or names[index] != name):
            continue
        try:
            # Not to be handed on to the programs that the daemon starts.
            os.set_inheritable(fd, False)
            sockets.append(sock(fd=fd))
        except BaseException:
            for one in sockets:
                one.detach()
            raise
    return sockets
