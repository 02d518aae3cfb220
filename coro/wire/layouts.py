"""What is no table: stacks, chains of waits, the tree of threads, lag, stalls, one thread in full, health.

Each layout takes a plain record, as decoded from JSON, and yields lines, and None for a pause.  Fields that are
missing or unknown are tolerated: the daemon may be older or newer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from coro.records.waits import LONGEST_CHAIN
from coro.wire.columns import COLUMNS, spawner, waiting_text
from coro.wire.escape import printable
from coro.wire.health import health_line
from coro.wire.style import Style
from coro.wire.tables import Record, table
from coro.wire.units import count, duration, moment, percent, text

__all__ = ["LAYOUTS", "Layout", "change", "frames", "key_values", "quoted"]

Lines = Iterator[str | None]
Layout = Callable[[Record, Style, int | None], Lines]

_IDS_SHOWN = 12


def records_in(value: object) -> list[Record]:
    """Those items of a list that are records."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, (list, tuple)) else []


def _named(record: Record, style: Style) -> str:
    return f"{style.paint('id', text(record.get('id')))} {style.paint('name', quoted(record.get('name')))}"


def quoted(name: object) -> str:
    """A thread's name between quotes: names may hold blanks."""
    return f'"{text(name)}"'


def key_values(pairs: Iterable[tuple[str, str]], style: Style, indent: str = "") -> Lines:
    """Lines of "name: value", the values below each other."""
    kept = []
    width = 1
    for key, value in pairs:
        kept.append((key, value))
        width = max(width, len(key) + 1)
        yield None
    for key, value in kept:
        yield f"{indent}{style.paint('key', f'{key}:'.ljust(width))} {value}"


# -- stacks


def frames(value: object, style: Style, indent: str = "  ") -> Lines:
    """The calls of a stack, outermost first, each with its source line below it."""
    calls = records_in(value)
    if not calls:
        yield f"{indent}{style.paint('dim', 'no stack')}"
    for call in calls:
        place = f"{text(call.get('file'))}:{text(call.get('line'))}"
        mark = "  (changed on disk since the process started)" if call.get("newer") is True else ""
        yield f"{indent}{style.paint('place', place)} {text(call.get('function'))}{style.paint('newer', mark)}"
        if call.get("source"):
            yield f"{indent}    {style.paint('newer' if mark else 'source', text(call['source']))}"
        yield None


def stack(record: Record, style: Style, width: int | None) -> Lines:
    """Threads one by one, or groups of threads at the same place."""
    if "count" in record and "name" not in record:
        number, ids = record.get("count"), record.get("ids")
        yield f"{count(number)} {'thread' if number == 1 else 'threads'}: ids {_ids(ids, number)}"
    elif record.get("task") is not None:
        task = style.paint("name", quoted(record["task"]))
        yield f"{_named(record, style)} task {task}: {text(record.get('task_state'))}"
    else:
        yield _named(record, style)
    yield from frames(record.get("frames"), style)


def _ids(ids: object, number: object = None) -> str:
    if not isinstance(ids, (list, tuple)):
        return text(ids)
    shown = " ".join([text(item) for item in ids[:_IDS_SHOWN]])
    more = len(ids) > _IDS_SHOWN or (isinstance(number, int) and number > len(ids))
    return f"{shown} …" if more else shown


# -- one thread in full


def detail(record: Record, style: Style, width: int | None) -> Lines:
    """Everything about a thread: its account, who spawned it, who waits for it, its stack."""
    thread = record.get("thread")
    thread = thread if isinstance(thread, dict) else {}
    yield _named(thread, style)
    yield from key_values(_account(record, thread, style), style, "  ")
    stack = record.get("stack")
    yield f"  {style.paint('key', 'stack:')}"
    yield from frames(stack.get("frames") if isinstance(stack, dict) else (), style, "    ")


def _account(record: Record, thread: Record, style: Style) -> Iterator[tuple[str, str]]:
    state = text(thread.get("state"))
    since = thread.get("waiting_s")
    yield "state", style.paint(state, state) + ("" if since is None else f" for {duration(since)}")
    if thread.get("waiting_for"):
        yield "waiting for", waiting_text(thread)
    yield "function", text(record.get("function"))
    yield "run time", f"{duration(thread.get('run_time_s'))}, {percent(thread.get('share'))} of the loop's time"
    longest = duration(thread.get("longest_slice_s"))
    yield "switches", f"{count(thread.get('switches'))}, longest slice {longest}"
    left, limit = count(thread.get("selfish_acts")), count(thread.get("max_selfish_acts"))
    yield "selfish acts", f"{left} of {limit} left"
    line = thread.get("spawn_line")
    yield "spawned by", f"{spawner(thread)} {text(line)}" if line else spawner(thread)
    chain = record.get("spawn_chain")
    for link in chain[1:20] if isinstance(chain, (list, tuple)) else ():
        if isinstance(link, (list, tuple)) and len(link) == 3:
            yield "by", f"{text(link[0])} {quoted(link[1])}" + (f" {text(link[2])}" if link[2] else "")
    if record.get("shielded") is True:
        yield "shielded", "yes: interrupts wait"
    if record.get("pending"):
        yield "pending", _ids(record["pending"])
    if record.get("joined_by"):
        yield "joined by", _ids(record["joined_by"])


# -- chains of waits


def why(record: Record, style: Style, width: int | None) -> Lines:
    """What each thread of a chain waits for, and whether the chain is a circle."""
    chain = records_in(record.get("chain"))
    for link in chain:
        yield _link(link, style)
        yield None
    cycle = record.get("cycle")
    if isinstance(cycle, (list, tuple)) and cycle:
        circle = " -> ".join([text(item) for item in (*cycle[:100], cycle[0])])
        yield style.paint("critical", f"DEADLOCK: {circle}")
    elif not chain:
        yield "it waits for nothing"
    else:
        yield _end_of_chain(chain)


def _link(link: Record, style: Style) -> str:
    what = waiting_text(link)
    holders = link.get("holders")
    held = ""
    if isinstance(holders, (list, tuple)) and holders and "held by" not in what:
        held = f", which depends on {_ids(holders)}"
    return f"{_named(link, style)} has waited {duration(link.get('waiting_s'))} for: {what}{held}"


def _end_of_chain(chain: list[Record]) -> str:
    holders = chain[-1].get("holders")
    if not isinstance(holders, (list, tuple)) or not holders:
        return "nobody in particular could end that wait"
    if len(chain) >= LONGEST_CHAIN:
        return f"and so on from {text(holders[0])}: the chain is longer than {LONGEST_CHAIN} waits"
    return f"{text(holders[0])} does not wait itself"


# -- loop lag and stalls


def lag(record: Record, style: Style, width: int | None) -> Lines:
    """How late the loop is now, and was in the windows of time."""
    yield from key_values(
        [
            ("since the last turn", duration(record.get("current_s"))),
            ("first in the queue waits", duration(record.get("queue_s"))),
            ("runnable threads", count(record.get("runnable"))),
            ("garbage collector", f"{duration(record.get('collector_s'))} since the start"),
        ],
        style,
    )
    yield from table(COLUMNS["coro.lag-window/1"], records_in(record.get("windows")), style, width)


def stall(record: Record, style: Style, width: int | None) -> Lines:
    """Each stall: when, how long, who, and the stack half-way."""
    ongoing = record.get("ongoing") is True
    notes = [
        "of many short slices" if record.get("kind") == "queue" else "",
        "goes on" if ongoing else "",
        "interrupted" if record.get("interrupted") is True else "",
        f"garbage collector {duration(record['collector_s'])}" if record.get("collector_s") else "",
    ]
    note = ", ".join(filter(None, notes))
    length = style.paint("critical" if ongoing else "warning", duration(record.get("duration_s")))
    yield f"{moment(record.get('began'))}  stalled {length}" + (f" ({note})" if note else "")
    for culprit in records_in(record.get("culprits")):
        who = "no thread" if culprit.get("id") is None else style.paint("id", text(culprit.get("id")))
        name = style.paint("name", quoted(culprit.get("name")))
        torn = " (torn: it ran on while its stack was read)" if culprit.get("torn") is True else ""
        yield f"  {who} {name} ran {duration(culprit.get('run_s'))}{torn}"
        yield from frames(culprit.get("frames"), style, "    ")


# -- the rest


def health(record: Record, style: Style, width: int | None) -> Lines:
    """A monitoring plugin's line; then a line for each check that is not ok."""
    yield style.paint(text(record.get("status")), health_line(record))
    for item in records_in(record.get("checks")):
        status = text(item.get("status"))
        if status != "ok":
            yield f"{style.paint(status, status)} {text(item.get('name'))}: {text(item.get('text'))}"
        yield None


def action(record: Record, style: Style, width: int | None) -> Lines:
    """What was done, in the daemon's words."""
    yield text(record.get("text") or record.get("action"))
    yield None


def change(record: Record, style: Style) -> str:
    """A setting that was changed, on one line."""
    unit = f" {text(record['unit'])}" if record.get("unit") else ""
    values = f"{count(record.get('old'))} -> {count(record.get('value'))}{unit}"
    return f"{style.paint('key', text(record.get('name')))}: {values}"


def history(record: Record, style: Style, width: int | None) -> Lines:
    """Numbered lines."""
    yield f"{style.paint('dim', text(record.get('number')).rjust(4))}  {text(record.get('text'))}"
    yield None


def evaluation(record: Record, style: Style, width: int | None) -> Lines:
    """The value's repr, or the traceback; nothing for a statement."""
    error, value = record.get("error"), record.get("value")
    if error is not None:
        for line in str(error).rstrip("\n").split("\n"):
            yield style.paint("error", printable(line, "\t"))
    elif value is not None:
        for line in str(value).split("\n"):
            yield printable(line, "\t")
    if record.get("incomplete") is True:
        yield style.paint("dim", "more lines are needed; nothing ran")


LAYOUTS: Final[dict[str, Layout]] = {
    "coro.stack/1": stack,
    "coro.stack-group/1": stack,
    "coro.thread-detail/1": detail,
    "coro.why/1": why,
    "coro.lag/1": lag,
    "coro.stall/1": stall,
    "coro.health/1": health,
    "coro.action/1": action,
    "coro.history/1": history,
    "coro.evaluation/1": evaluation,
}
