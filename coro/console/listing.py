"""`coro ls`: the daemons that run here.

Every daemon is greeted, all at the same time, so a list with a dozen stopped ones takes no longer than one of them.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from coro.console import target
from coro.console.commands import LS
from coro.console.failures import DONE, CommandFailure, Failure, NoAnswer, NotReached
from coro.console.link import Link, client_name, connect, daemon_name
from coro.console.options import Options
from coro.console.outside import command_line
from coro.console.running import arguments_of
from coro.console.style import is_terminal, size_of, style_for
from coro.records import DaemonRecord
from coro.wire import units
from coro.wire.escape import printable
from coro.wire.places import Found, find_sockets
from coro.wire.tables import Column, Record, table

__all__ = ["daemons", "run"]

DEFAULT_TIMEOUT_S: Final = 0.8


def run(options: Options) -> int:
    """Print the list; returns the exit code.  Raises Failure."""
    arguments = arguments_of(options, LS)
    skipped: list[str] = []
    records = daemons(options, find_sockets(bool(arguments["all"]), skipped=skipped))
    for reason in skipped:
        print(f"coro: not searched: {printable(reason)}", file=sys.stderr)
    if options.json:
        plain = [dataclasses.asdict(record) for record in records]
        print(json.dumps(plain, ensure_ascii=True, indent=2 if is_terminal(sys.stdout) else None))
        return DONE
    if not records:
        print("coro: no daemon runs here" + ("" if arguments["all"] else " for you"), file=sys.stderr)
        return DONE
    size = size_of()
    for line in lines_of(records, size and size[0]):
        print(line)
    return DONE


def daemons(options: Options, found: list[Found]) -> list[DaemonRecord]:
    """Greet the daemons at these sockets.  Takes the options' timeout, 0.8 s by default, at most.  Never raises."""
    deadline = time.monotonic() + (options.timeout or DEFAULT_TIMEOUT_S)
    greeted: list[tuple[Found, Link | Failure, dict[str, Any]]] = []
    try:
        for each in found:
            address = target.Address(path=each.path, pid=each.pid)
            try:
                # A full queue is not waited for: the others must get their greeting.
                new = connect(options, address, 0.0, secret=False)
            except Failure as failure:
                greeted.append((each, failure, {}))
                continue
            hello = new.client.hello_message(client_name())
            greeted.append((each, new, hello))
            try:
                new.client.send(hello, deadline=deadline)
            except NoAnswer:
                # It is asked for the answer anyway, and will not have one.
                continue
        return [_record(each, link, hello, deadline) for each, link, hello in greeted]
    finally:
        for _, link, _ in greeted:
            if isinstance(link, Link):
                link.close()


def _record(found: Found, link: Link | Failure, hello: dict[str, Any], deadline: float) -> DaemonRecord:
    """What came in answer; what has come already counts also after the deadline."""
    if isinstance(link, Failure):
        fault = "accepts no connections" if isinstance(link, target.Crowded) else str(link)
        return _untold(found, found.pid, fault)
    pid = link.peer.pid or found.pid
    try:
        value = link.client.answer_to(hello, deadline)["value"]
    except NoAnswer:
        state = link.watcher.look().state if link.watcher else None
        return _untold(found, pid, "no answer" + (f", process state {state}" if state else ""))
    except (CommandFailure, NotReached) as failure:
        return _untold(found, pid, str(failure))
    told = value if isinstance(value, dict) else {}
    uptime_s = told.get("uptime_s")
    return DaemonRecord(
        pid=told["pid"] if isinstance(told.get("pid"), int) else pid,
        name=daemon_name(told),
        version=_text(told.get("version")),
        uptime_s=uptime_s if units.is_number(uptime_s) else None,
        role=_text(told.get("role")),
        uid=found.uid,
        socket=found.path,
        fault=None,
    )


def _untold(found: Found, pid: int | None, fault: str) -> DaemonRecord:
    # The system may know more of it than it tells itself.
    name = pid and command_line(pid)
    return DaemonRecord(pid, name or None, None, None, None, found.uid, found.path, fault)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _cell(key: str) -> Callable[[Record], str]:
    return lambda record: units.text(record[key])


_COLUMNS: Final = (
    Column("PID", _cell("pid"), right=True, role="id"),
    Column("NAME", _cell("name"), role="name", cut="end"),
    Column("UPTIME", lambda record: units.duration(record["uptime_s"])),
    Column("UID", _cell("uid"), right=True, spare=2),
    Column("ROLE", _cell("role"), spare=3),
    Column("SOCKET", _cell("socket"), cut="start"),
)
_FAULT: Final = Column("FAULT", _cell("fault"), role="error", cut="end")


def lines_of(records: list[DaemonRecord], width: int | None) -> Iterator[str]:
    """The table."""
    columns = [*_COLUMNS, _FAULT] if any(record.fault for record in records) else list(_COLUMNS)
    plain = [dataclasses.asdict(record) for record in records]
    return (line for line in table(columns, plain, style_for(), width) if line is not None)
