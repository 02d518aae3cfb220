"""Who may connect to a Unix socket at all: the mode and the group of its file."""

from __future__ import annotations

import grp
from typing import Final

from coro.wire.escape import printable

__all__ = ["check_mode", "checked_group"]

_OWNER: Final = 0o600
_ALL: Final = 0o666
# (gid_t)-1 leaves the group as it is.
_MAX_GID: Final = 2**32 - 2


def check_mode(mode: int, gid: int | None, *, has_roles: bool) -> None:
    """Raise TypeError or ValueError unless a backdoor's socket may have this mode.

    Its owner may read and write.  To let others in needs roles for them: without one they would be sent away.
    """
    if not isinstance(mode, int) or isinstance(mode, bool):
        raise TypeError(f"the socket's mode must be an int such as 0o660, got {mode!r}")
    if mode & ~_ALL or mode & _OWNER != _OWNER:
        raise ValueError(f"the socket's mode must be 0600 to 0666 without execute bits, got {mode:04o}")
    if mode != _OWNER and not has_roles:
        raise ValueError(f"the socket's mode {mode:04o} lets others in, who have no role: give them one by `roles`")
    if gid is not None and not mode & 0o060:
        raise ValueError(f"the socket's group {gid} is of no use with mode {mode:04o}: try 0660")


def checked_group(group: int | str | None) -> int | None:
    """The gid of a group that is given by name, which is looked up, or by number.  Raises TypeError, ValueError."""
    if group is None:
        return None
    if isinstance(group, str):
        try:
            return grp.getgrnam(group).gr_gid
        except (KeyError, ValueError):
            raise ValueError(f"there is no group {printable(repr(group))}") from None
    if not isinstance(group, int) or isinstance(group, bool):
        raise TypeError(f"the socket's group must be a gid or a name, got {group!r}")
    if not 0 <= group <= _MAX_GID:
        raise ValueError(f"the socket's group must be a gid of 0 to {_MAX_GID}, got {group}")
    return group
