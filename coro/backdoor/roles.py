"""Who may do what: from a peer's kernel credentials, and whether it gave the token, to a role.

Invariant: the overflow uid and gid, which stand for everybody whom this user namespace does not know, give no role.
Decided by data that is fixed at the start: no user database is read later, so the sentinel may ask too.
"""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Mapping
from typing import Final

from coro.backdoor.peers import Peer, overflow_gid, overflow_uid
from coro.wire.protocol import ROLES, Role

__all__ = ["Roles"]

_KEYS: Final = "'uid:1000', 'gid:33', 'user:postgres', 'group:adm' or 'token'"


class Roles:
    """The rules of one backdoor.

    roles: from "uid:1000", "gid:33", "user:postgres", "group:adm" or "token" to a role.  Root and the daemon's
        own uid have "eval", and a token gives "eval", unless they stand here themselves.  Of all that apply to
        a peer the highest holds.
    eval_allowed: False caps every role at "operate".
    euid: the daemon's own; default os.geteuid().
    Raises ValueError for an unknown user, group, key or role, and for the overflow uid or gid.
    """

    __slots__ = ("_by_gid", "_by_uid", "_cap", "_overflow_gid", "_overflow_uid", "_token")

    def __init__(
        self, roles: Mapping[str, Role] | None = None, *, eval_allowed: bool = True, euid: int | None = None
    ) -> None:
        self._overflow_uid = overflow_uid()
        self._overflow_gid = overflow_gid()
        # Its owner can do to the process whatever the prompt can; refusing him would only seem safe.
        self._by_uid: dict[int, Role] = {0: "eval", os.geteuid() if euid is None else euid: "eval"}
        self._by_gid: dict[int, Role] = {}
        self._token: Role = "eval"
        self._cap: Role = "eval" if eval_allowed else "operate"
        named: dict[int, Role] = {}
        for key, role in (roles or {}).items():
            if role not in ROLES:
                raise ValueError(f"roles[{key!r}] must be one of {', '.join(ROLES)}, got {role!r}")
            self._enter(key, role, named)
        self._by_uid.update(named)

    def _enter(self, key: str, role: Role, named: dict[int, Role]) -> None:
        if key == "token":
            self._token = role
            return
        kind, separator, name = str(key).partition(":")
        if not separator or kind not in ("uid", "user", "gid", "group"):
            raise ValueError(f"the key of a role must be like {_KEYS}, got {key!r}")
        if kind in ("uid", "user"):
            uid = _number(key, name) if kind == "uid" else _uid_of(key, name)
            if uid == self._overflow_uid:
                raise ValueError(f"roles[{key!r}]: uid {uid} stands for everybody who is unknown here")
            named[uid] = _higher(named.get(uid), role)
        else:
            gid = _number(key, name) if kind == "gid" else _gid_of(key, name)
            if gid == self._overflow_gid:
                raise ValueError(f"roles[{key!r}]: gid {gid} stands for every group that is unknown here")
            self._by_gid[gid] = _higher(self._by_gid.get(gid), role)

    def role_of(self, peer: Peer, has_token: bool) -> Role | None:
        """The peer's role; None: refuse it.  has_token: it has shown the right token.

        The token serves only a TCP peer whose uid cannot be known; one that is known goes by its uid.
        Does not yield.
        """
        uid = None if peer.uid == self._overflow_uid else peer.uid
        role: Role | None = None
        if uid is not None:
            role = self._by_uid.get(uid)
            for gid in (*peer.groups, *(() if peer.gid is None else (peer.gid,))):
                if gid in self._by_gid:
                    role = _higher(role, self._by_gid[gid])
        elif has_token and peer.kind == "tcp":
            role = self._token
        return None if role is None else min(role, self._cap, key=ROLES.index)

    def needs_token(self, peer: Peer) -> bool:
        """Whether nothing but the token can give this peer a role."""
        return peer.kind == "tcp" and (peer.uid is None or peer.uid == self._overflow_uid)


def _higher(one: Role | None, other: Role) -> Role:
    return other if one is None else max(one, other, key=ROLES.index)


def _number(key: str, text: str) -> int:
    # 2**32 - 1 is (uid_t)-1: nobody.
    if not (text.isascii() and text.isdigit() and int(text) < 0xFFFFFFFF):
        raise ValueError(f"roles[{key!r}]: must be a number below 2**32 - 1, got {text!r}")
    return int(text)


def _uid_of(key: str, name: str) -> int:
    try:
        return pwd.getpwnam(name).pw_uid
    except (KeyError, ValueError):
        raise ValueError(f"roles[{key!r}]: there is no user {name!r}") from None


def _gid_of(key: str, name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError):
        raise ValueError(f"roles[{key!r}]: there is no group {name!r}") from None
