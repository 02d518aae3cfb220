"""The columns of every list of records that is shown as a table, by the name of its schema."""

from __future__ import annotations

from typing import Any, Final

from coro.wire.tables import Column, Record
from coro.wire.units import count, duration, percent, text

__all__ = ["COLUMNS", "columns_of_keys", "spawner", "waiting_text"]


def _plain(key: str, title: str | None = None, **options: Any) -> Column:
    return Column(title or key, lambda record: text(record.get(key)), **options)


def _number(key: str, title: str | None = None, **options: Any) -> Column:
    return Column(title or key, lambda record: count(record.get(key)), right=True, **options)


def _seconds(key: str, title: str, **options: Any) -> Column:
    return Column(title, lambda record: duration(record.get(key)), right=True, **options)


def waiting_text(record: Record) -> str:
    """What a thread waits for: "read descriptor 7"; "-" if it does not wait."""
    kind, target = record.get("waiting_for"), record.get("waiting_on")
    if not kind:
        return "-"
    if target and text(target).startswith(f"{text(kind)} "):
        # "mutex at 0x... held by 5" says it all.
        return text(target)
    return f"{text(kind)} {text(target)}" if target else text(kind)


def spawner(record: Record) -> str:
    """The id of the thread that spawned it; "-" for the main greenlet, which is no thread."""
    parent = record.get("spawned_by")
    return "-" if parent == -1 else text(parent)


def _acts(record: Record) -> str:
    return f"{count(record.get('selfish_acts'))}/{count(record.get('max_selfish_acts'))}"


def _ready(record: Record) -> str:
    flags = [flag for flag in ("readable", "writable", "hangup") if record.get(flag) is True]
    return " ".join(flags) or "-"


def _peer(record: Record) -> str:
    uid, pid = record.get("uid"), record.get("pid")
    who = [f"{name} {text(value)}" for name, value in (("uid", uid), ("pid", pid)) if value is not None]
    peer = record.get("peer")
    return " ".join([*([text(peer)] if peer else []), *who]) or "-"


def _unit(key: str) -> Any:
    def shown(record: Record) -> str:
        value, unit = record.get(key), record.get("unit")
        return f"{count(value)} {text(unit)}" if unit and value is not None else count(value)

    return shown


_ID: Final = _number("id", role="id")
_NAME: Final = _plain("name", cut="end", role="name")
_SPAWNED: Final = (
    Column("spawned by", spawner, right=True, role="id", spare=2),
    _plain("spawn_line", "at", cut="start", role="dim", spare=3),
)
_RUN: Final = _seconds("run_time_s", "run")
_SWITCHES: Final = _number("switches", spare=5)
_LONGEST: Final = _seconds("longest_slice_s", "longest", spare=4)

COLUMNS: Final[dict[str, tuple[Column, ...]]] = {
    "coro.thread/1": (
        _ID,
        _NAME,
        _plain("state", role="state"),
        Column("waiting for", waiting_text, cut="end"),
        _seconds("waiting_s", "for"),
        _RUN,
        Column("share", lambda record: percent(record.get("share")), right=True),
        _SWITCHES,
        _LONGEST,
        Column("acts", _acts, right=True, spare=6),
        *_SPAWNED,
    ),
    "coro.descriptor/1": (
        _number("fd", role="id"),
        _number("reader"),
        _number("writer"),
        _plain("handler", cut="end"),
        Column("ready", _ready),
    ),
    "coro.timer/1": (_seconds("due_s", "due in"), _number("thread", role="id"), _plain("what", cut="end")),
    "coro.lock/1": (
        _plain("kind", role="name"),
        _plain("holders", "held by", cut="end"),
        Column("waiting", lambda record: _waiting(record), right=True),
        _plain("waiters", "ids", cut="end"),
        _plain("text", "what", cut="end", role="dim"),
    ),
    "coro.dead/1": (
        _ID,
        _NAME,
        Column("ended", lambda record: f"{duration(record.get('ended_s_ago'))} ago", right=True),
        Column("error", lambda record: _outcome(record), cut="end", role="error"),
        _RUN,
        _SWITCHES,
        _LONGEST,
        *_SPAWNED,
    ),
    "coro.lag-window/1": (
        Column("window", lambda record: _window(record.get("window_s"))),
        _number("turns"),
        _seconds("p50_s", "50%"),
        _seconds("p90_s", "90%"),
        _seconds("p99_s", "99%"),
        _seconds("max_s", "max"),
    ),
    "coro.setting/1": (
        _plain("name", "setting", role="key"),
        Column("value", _unit("value"), right=True),
        _plain("text", "what it does", cut="end"),
    ),
    "coro.session/1": (
        _ID,
        _plain("kind"),
        Column("peer", _peer, cut="end"),
        _plain("role"),
        _seconds("age_s", "age"),
        _seconds("idle_s", "idle"),
        _plain("threads"),
        _number("waiting_bytes", "queued", spare=1),
        _plain("running", cut="end"),
    ),
    "coro.check/1": (
        _plain("name", "check", role="name"),
        _plain("status", role="status"),
        Column("value", _unit("value"), right=True),
        _number("warn"),
        _number("crit"),
        _plain("text", cut="end"),
    ),
}


def _waiting(record: Record) -> str:
    """How many wait; an older daemon names them all, and does not count them."""
    waiting, waiters = record.get("waiting"), record.get("waiters")
    return str(len(waiters)) if waiting is None and isinstance(waiters, (list, tuple)) else count(waiting)


def _outcome(record: Record) -> str:
    return "returned" if record.get("error") is None else text(record.get("error"))


def _window(seconds: object) -> str:
    return "since the start" if seconds is None else f"last {duration(seconds).removesuffix(' 00 s')}"


def columns_of_keys(keys: list[str]) -> list[Column]:
    """Columns for records of an unknown schema, such as an application's command returns: one for each key."""
    return [_of_key(key) for key in keys]


def _of_key(key: str) -> Column:
    return Column(text(key), lambda record: count(record.get(key)), right=None, cut="end")
