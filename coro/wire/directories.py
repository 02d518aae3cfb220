"""The directories of backdoor sockets: where a daemon puts its own, and where the client looks.

Both sides must come to the same places from different environments: a service knows $RUNTIME_DIRECTORY, a login
session $XDG_RUNTIME_DIR, a process under sudo neither.  So there is one list of well-known directories by uid
alone, and what lies elsewhere is registered in one of those (see coro.wire.registration).

Invariant: a directory is used only if it is a real one, of a trusted owner, and nobody else may write there.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Collection, Mapping

__all__ = [
    "candidate_directories",
    "default_socket_path",
    "ensure_directory",
    "fault_of",
    "private_temp_directory",
    "registration_directory",
    "runtime_directory",
    "well_known_directories",
]

RUN = "/run"
# Not $TMPDIR: the daemon's and the client's differ, and a long one leaves no room in a socket address.
TEMP = "/tmp"
# Read by daemon and client alike: the only directory then.
ONLY = "CORO_RUNTIME_DIRECTORY"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,39}")


def private_temp_directory(uid: int) -> str:
    """The directory of last resort, such as /tmp/coro-1000."""
    return f"{TEMP}/coro-{uid}"


def well_known_directories(uid: int, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Where a client of this uid, or root, looks whatever its environment is."""
    only = environ.get(ONLY)
    if only:
        return [only]
    return [f"{RUN}/user/{uid}/coro", f"{RUN}/coro", private_temp_directory(uid)]


def candidate_directories(uid: int | None = None, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Where sockets of `uid` (None: our own effective one) may be, the likeliest first; not all exist.

    $RUNTIME_DIRECTORY may be a list, separated by colons (systemd.exec(5)).  Relative paths are left out.
    """
    uid = os.geteuid() if uid is None else uid
    known = well_known_directories(uid, environ)
    if environ.get(ONLY):
        return known
    named = environ.get("RUNTIME_DIRECTORY", "").split(":")
    session = environ.get("XDG_RUNTIME_DIR", "")
    if session:
        named.append(os.path.join(session, "coro"))
    return list(dict.fromkeys([*(path for path in named if os.path.isabs(path)), *known]))


def runtime_directory() -> str:
    """The directory in which this process puts its socket; made if it is not there.

    The first that serves of: $RUNTIME_DIRECTORY, $XDG_RUNTIME_DIR/coro, /run/coro (root makes it, others use it
    if it is theirs), /tmp/coro-UID.  Raises OSError, naming each with its fault, if none does.
    """
    return _first_that_serves(_own_directories())


def registration_directory() -> str:
    """The directory in which this process registers sockets: the first that every client knows.  As above."""
    known = well_known_directories(os.geteuid())
    return _first_that_serves([directory for directory in _own_directories() if directory in known])


def _own_directories() -> list[str]:
    # /run/user/UID only as $XDG_RUNTIME_DIR: it is removed when the user's last session ends, and a process without
    # that variable belongs to no session.
    vanishing = f"{RUN}/user/{os.geteuid()}/coro"
    session = os.path.join(os.environ.get("XDG_RUNTIME_DIR", ""), "coro")
    return [
        path for path in candidate_directories() if path in (session, os.environ.get(ONLY)) or path != vanishing
    ]


def _first_that_serves(directories: list[str]) -> str:
    faults = []
    for directory in directories:
        fault = _prepare(directory)
        if fault is None:
            return directory
        faults.append(f"{directory} {fault}")
    raise OSError(errno.ENOENT, "no directory serves for the socket: " + "; ".join(faults))


def _prepare(directory: str) -> str | None:
    """Make it if that is our business; why it does not serve, or None."""
    uid = os.geteuid()
    parent = os.path.dirname(directory)
    if directory in (os.environ.get(ONLY), private_temp_directory(uid)):
        makes = True
    else:
        # systemd makes its own directories, and the session manager the parents of ours.
        owner = 0 if parent == RUN else uid
        makes = os.path.basename(directory) == "coro" and fault_of(parent, {owner}) is None
    try:
        if makes and (os.path.lexists(directory) or os.access(parent, os.W_OK)):
            ensure_directory(directory)
    except OSError as error:
        return error.strerror or str(error)
    fault = fault_of(directory, {uid})
    if fault is None and not os.access(directory, os.W_OK | os.X_OK):
        return "cannot be written"
    return fault


def default_socket_path(pid: int, name: str | None = None) -> str:
    """The path of a daemon's socket, DIRECTORY/PID.sock or DIRECTORY/NAME-PID.sock; makes the directory.

    name: letters, digits, "_", "." and "-", 40 at most; a second backdoor of one process needs one.
    Raises ValueError, and OSError as runtime_directory().
    """
    if name is not None and _NAME.fullmatch(name) is None:
        raise ValueError(f"a socket's name must be 1 to 40 letters, digits, '_', '.' or '-', got {name!r}")
    return os.path.join(runtime_directory(), f"{pid}.sock" if name is None else f"{name}-{pid}.sock")


def ensure_directory(directory: str) -> None:
    """Make the directory, mode 0700, if it is not there; raise OSError unless it is ours and closed to others."""
    # Services of other users have their own directories below this one, and must pass through it.
    mode = 0o755 if directory == f"{RUN}/coro" else 0o700
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        pass
    else:
        # Whatever the umask took away, or a wider mode is for.  By name: it is new and ours, and its parent is
        # sticky or ours too, so that nobody else can have put another in its place.
        os.chmod(directory, mode)
    fault = fault_of(directory, {os.geteuid()})
    if fault is not None:
        raise PermissionError(errno.EPERM, fault, directory)


def fault_of(directory: str, owners: Collection[int]) -> str | None:
    """Why the directory must not be used, as the end of a sentence; None if it may.  Does not follow a link."""
    try:
        found = os.lstat(directory)
    except OSError as error:
        return "does not exist" if isinstance(error, FileNotFoundError) else f"is unknown: {error.strerror}"
    return fault_in(found, owners)


def fault_in(found: os.stat_result, owners: Collection[int]) -> str | None:
    """As fault_of(), of what lstat() or fstat() found."""
    if stat.S_ISLNK(found.st_mode):
        return "is a symbolic link"
    if not stat.S_ISDIR(found.st_mode):
        return "is not a directory"
    if found.st_uid not in owners:
        return f"belongs to uid {found.st_uid}, not {' or '.join(map(str, sorted(owners)))}"
    if found.st_mode & 0o022:
        return f"may be written by others (mode {stat.S_IMODE(found.st_mode):04o})"
    return None
