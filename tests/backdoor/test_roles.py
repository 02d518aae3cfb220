"""Roles: who the kernel says a peer is, turned into what it may do."""

import grp
import os
import pwd
from typing import Any

import pytest

from coro.backdoor.peers import Peer
from coro.backdoor.roles import Roles

ME = 1000
OVERFLOW = 65_534


def unix(uid: int | None, gid: int | None = 100, groups: tuple[int, ...] = ()) -> Peer:
    return Peer("unix", 4242, uid, gid, groups, "unix")


def tcp(uid: int | None) -> Peer:
    return Peer("tcp", None, uid, None, (), "127.0.0.1:5000")


@pytest.mark.parametrize("make", [unix, tcp])
@pytest.mark.parametrize("has_token", [False, True])
@pytest.mark.parametrize(("uid", "role"), [(ME, "eval"), (0, "eval"), (1001, None)])
def test_by_default_the_same_uid_and_root_may_all(make: Any, has_token: bool, uid: int, role: Any) -> None:
    """A token changes nothing where the uid is known: on loopback the uid rule holds."""
    assert Roles(euid=ME).role_of(make(uid), has_token) == role


@pytest.mark.parametrize(("has_token", "role"), [(False, None), (True, "eval")])
def test_unknown_tcp_peer_needs_the_token(has_token: bool, role: Any) -> None:
    roles = Roles(euid=ME)
    assert roles.role_of(tcp(None), has_token) == role
    assert roles.needs_token(tcp(None))
    assert not roles.needs_token(tcp(ME))
    assert not roles.needs_token(unix(None))


def test_unknown_unix_peer_has_no_role_whatever_it_shows() -> None:
    assert Roles(euid=ME).role_of(unix(None), True) is None


@pytest.mark.parametrize("euid", [ME, OVERFLOW])
def test_overflow_uid_is_nobody_even_to_a_daemon_of_that_uid(euid: int) -> None:
    roles = Roles(euid=euid)
    assert roles.role_of(unix(OVERFLOW), True) is None
    assert roles.role_of(tcp(OVERFLOW), False) is None
    assert roles.needs_token(tcp(OVERFLOW))
    assert roles.role_of(tcp(OVERFLOW), True) == "eval"


@pytest.mark.parametrize("key", [f"uid:{OVERFLOW}", f"gid:{OVERFLOW}"])
def test_role_for_the_overflow_ids_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="unknown here"):
        Roles({key: "observe"})


def test_groups_count_primary_and_supplementary() -> None:
    roles = Roles({"gid:33": "observe", "gid:4": "operate"}, euid=ME)
    assert roles.role_of(unix(1001, 33), False) == "observe"
    assert roles.role_of(unix(1001, 100, (33,)), False) == "observe"
    assert roles.role_of(unix(1001, 33, (4,)), False) == "operate"
    assert roles.role_of(unix(1001, 4, (33,)), False) == "operate"
    assert roles.role_of(unix(1001, 100, (5,)), False) is None


def test_groups_of_an_unknown_uid_do_not_count() -> None:
    assert Roles({"gid:33": "observe"}, euid=ME).role_of(unix(OVERFLOW, 33, (33,)), True) is None


def test_highest_role_wins() -> None:
    roles = Roles({"uid:1001": "operate", "gid:33": "eval", "gid:34": "observe"}, euid=ME)
    assert roles.role_of(unix(1001, 34), False) == "operate"
    assert roles.role_of(unix(1001, 33), False) == "eval"


def test_own_uid_and_root_can_be_lowered() -> None:
    roles = Roles({f"uid:{ME}": "observe", "uid:0": "operate"}, euid=ME)
    assert roles.role_of(unix(ME), False) == "observe"
    assert roles.role_of(unix(0), False) == "operate"


def test_other_entries_leave_own_uid_and_root_as_they_are() -> None:
    roles = Roles({"uid:1001": "observe"}, euid=ME)
    assert roles.role_of(unix(ME), False) == roles.role_of(unix(0), False) == "eval"


def test_two_keys_of_one_user_give_the_higher_role() -> None:
    name = pwd.getpwuid(0).pw_name
    assert Roles({"uid:0": "observe", f"user:{name}": "operate"}, euid=ME).role_of(unix(0), False) == "operate"
    assert Roles({f"user:{name}": "operate", "uid:0": "observe"}, euid=ME).role_of(unix(0), False) == "operate"


def test_names_are_resolved() -> None:
    user, group = pwd.getpwall()[1], grp.getgrall()[1]
    roles = Roles({f"user:{user.pw_name}": "operate", f"group:{group.gr_name}": "observe"}, euid=ME)
    assert roles.role_of(unix(user.pw_uid, 999_999), False) == "operate"
    assert roles.role_of(unix(1001, group.gr_gid), False) == "observe"


@pytest.mark.parametrize("role", ["observe", "operate", "eval"])
def test_tokens_role_can_be_set(role: Any) -> None:
    roles = Roles({"token": role}, euid=ME)
    assert roles.role_of(tcp(None), True) == role
    assert roles.role_of(tcp(None), False) is None
    assert roles.role_of(tcp(ME), True) == "eval"


@pytest.mark.parametrize("peer", [unix(ME), unix(0), tcp(None)])
def test_without_eval_nobody_has_more_than_operate(peer: Peer) -> None:
    assert Roles(euid=ME, eval_allowed=False).role_of(peer, True) == "operate"


def test_without_eval_lower_roles_stay() -> None:
    assert Roles({"uid:7": "observe"}, euid=ME, eval_allowed=False).role_of(unix(7), False) == "observe"


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        ({"user:no such user": "eval"}, "there is no user 'no such user'"),
        ({"group:no-such-group": "eval"}, "there is no group 'no-such-group'"),
        ({"user:": "eval"}, "there is no user ''"),
        ({"user:a\0b": "eval"}, "there is no user"),
        ({"uid:root": "eval"}, "must be a number"),
        ({"uid:-1": "eval"}, "must be a number"),
        ({"uid:": "eval"}, "must be a number"),
        ({"uid:4294967295": "eval"}, "must be a number below"),
        ({"gid:²": "eval"}, "must be a number"),
        ({"1000": "eval"}, "must be like"),
        ({"name:x": "eval"}, "must be like"),
        ({1000: "eval"}, "must be like"),
        ({"uid:1": "admin"}, "must be one of observe, operate, eval, got 'admin'"),
        ({"uid:1": None}, "must be one of"),
    ],
)
def test_wrong_rules_are_refused_at_the_start(roles: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Roles(roles)


def test_own_uid_is_the_effective_one() -> None:
    assert Roles().role_of(unix(os.geteuid()), False) == "eval"
