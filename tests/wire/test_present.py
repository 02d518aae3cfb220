"""Results as lines of plain text."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coro.wire.arguments import UsageError, parse_line
from coro.wire.commands import COMMANDS, Command
from coro.wire.encode import dumps, to_plain
from coro.wire.filters import FilterError
from coro.wire.present import PLAIN, Style, present
from coro.wire.schemas import SCHEMAS
from coro.wire.tables import display_width
from tests.wire.samples import CULPRIT, FRAMES, HEALTH, SAMPLES, THREADS, thread

# samples.EVIL, as it arrives in a line.
EVIL = "evil\\x1b[2J\\x9b31m\\u202e\ufffd\\nname"

# A command for each schema: its own, or one that an application could have.
COMMAND_OF = {name: Command("x", "observe", "look", "x", name) for name in SCHEMAS} | {
    command.schema: command for command in COMMANDS.values() if command.name not in ("tree",)
}


def lines_of(line: str, value: object, width: int | None = None, style: Style = PLAIN) -> list[str]:
    name, _, rest = line.partition(" ")
    command = COMMANDS[name]
    plain = json.loads(dumps(to_plain(value)))
    return [
        text
        for text in present(command, parse_line(command, rest), plain, style=style, width=width)
        if text is not None
    ]


def shown(schema: str, value: Any, width: int | None = None) -> list[str]:
    return [text for text in present(COMMAND_OF[schema], {}, value, width=width) if text is not None]


def first_words(lines: list[str]) -> list[str]:
    return [line.split()[0] for line in lines[1:]]


# -- layouts


def test_ps_is_a_table_of_all_that_counts() -> None:
    threads = [replace(record, spawn_line="mx.py:88") for record in (THREADS[0], *THREADS[2:4])]

    assert lines_of("ps", threads) == [
        "id  name  state     waiting for       for     run  share  switches  longest  acts  spawned by  at",
        " 1  main  waiting   sleep 3.000 s   3.4 s  120 ms  12.5%      1200   1.2 ms   3/4           -  mx.py:88",
        "18  漢字  running   -                   -  120 ms  12.5%      1200   1.2 ms   3/4           1  mx.py:88",
        "19  conn  runnable  -              120 us  120 ms  12.5%      1200   1.2 ms   3/4          17  mx.py:88",
    ]


@pytest.mark.parametrize("width", [60, 80, 100, 132, 300])
def test_ps_fits_the_terminal(width: int) -> None:
    lines = lines_of("ps", [thread(i, "n" * i, spawn_line="/srv/" + "x" * i) for i in range(0, 100, 7)], width)

    assert max(map(display_width, lines)) <= max(width, 75)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("run", [3, 1, 2, 4]),
        ("wait", [2, 1, 4, 3]),
        ("idle", [4, 2, 1, 3]),
        ("switches", [2, 3, 1, 4]),
        ("id", [1, 2, 3, 4]),
        ("name", [4, 3, 2, 1]),
    ],
)
def test_ps_in_every_order(order: str, expected: list[int]) -> None:
    threads = [
        thread(1, "d", run_time_s=2.0, waiting_s=1.0, switches=5),
        thread(2, "c", run_time_s=1.0, waiting_s=5.0, switches=9),
        thread(3, "b", run_time_s=3.0, waiting_s=None, state="running", switches=7),
        thread(4, "a", run_time_s=0.0, waiting_s=9.0, state="runnable", switches=0),
    ]

    assert first_words(lines_of(f"ps -s {order}", threads)) == [str(id) for id in expected]


def test_filter_then_order_then_limit() -> None:
    threads = [thread(i, run_time_s=float(i)) for i in range(100)]

    assert first_words(lines_of("ps -f 'id < 50' -s run -n 3", threads)) == ["49", "48", "47"]
    assert lines_of("ps -n 0", threads) == lines_of("ps", [])


@pytest.mark.parametrize(
    ("line", "error", "message"),
    [
        ("ps -n -1", UsageError, "limit must be 0 or more, got -1"),
        ("ps -f 'id =='", FilterError, "a value is missing"),
        ("ps -f 'idd == 1'", FilterError, "unknown field 'idd'"),
    ],
)
def test_wrong_limit_or_filter_is_an_error(line: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        lines_of(line, THREADS)


def test_where_shows_a_stack_with_its_lines() -> None:
    assert lines_of("where 17", SAMPLES["coro.stack/1"]) == [
        '17 "evil\\x1b[2J\\x9b31m\\u202e\ufffd\\nname"',
        "  /srv/mx.py:88 serve",
        "      conn, peer = listener.accept()",
        "  /srv/mx.py:99 handle  (changed on disk since the process started)",
        "      while True: pass",
        "  <string>:1 <module>",
        '20 "late"',
        "  no stack",
    ]


def test_where_all_grouped_counts_threads() -> None:
    lines = lines_of("where all --group", SAMPLES["coro.stack-group/1"])

    assert lines[0] == "412 threads: ids 3 4 5 6 7 8 9 10 11 12 13 14 …"
    assert lines[-2:] == ["1 thread: ids 7", "  no stack"]


def test_info_shows_everything_about_one_thread() -> None:
    assert lines_of("info 17", SAMPLES["coro.thread-detail/1"][0]) == [
        '17 "evil\\x1b[2J\\x9b31m\\u202e\ufffd\\nname"',
        "  state:        waiting for 3.4 s",
        "  waiting for:  read descriptor 7",
        "  function:     mx.serve",
        "  run time:     120 ms, 12.5% of the loop's time",
        "  switches:     1200, longest slice 1.2 ms",
        "  selfish acts: 3 of 4 left",
        "  spawned by:   1 /srv/mx.py:88",
        '  by:           0 "evil\\x1b[2J\\x9b31m\\u202e\ufffd\\nname"',
        "  shielded:     yes: interrupts wait",
        "  pending:      Shutdown",
        "  joined by:    5 6",
        "  stack:",
        "    /srv/mx.py:88 serve",
        "        conn, peer = listener.accept()",
        "    /srv/mx.py:99 handle  (changed on disk since the process started)",
        "        while True: pass",
        "    <string>:1 <module>",
    ]


def test_why_names_the_deadlock() -> None:
    assert lines_of("why 5", SAMPLES["coro.why/1"]) == [
        '5 "a" has waited 3.4 s for: lock mutex at 0x1 held by 6',
        '6 "evil\\x1b[2J\\x9b31m\\u202e\ufffd\\nname" has waited 3.4 s for: join thread 5, which depends on 5',
        "DEADLOCK: 5 -> 6 -> 5",
        "",
        '8 "c" has waited 3.4 s for: read descriptor 7',
        "nobody in particular could end that wait",
        "",
        "it waits for nothing",
    ]


def test_chain_that_is_not_told_to_its_end_says_so() -> None:
    link = {"id": 1, "name": "a", "waiting_for": "mutex", "waiting_on": "mutex at 0x1 held by 7", "holders": [7]}

    assert lines_of("why 1", {"chain": [link] * 499, "cycle": []})[-1] == "7 does not wait itself"
    told = lines_of("why 1", {"chain": [link] * 500, "cycle": []})[-1]
    assert told == "and so on from 7: the chain is longer than 500 waits"


@pytest.mark.parametrize(
    ("more", "expected"), [({}, "2"), ({"waiting": 1234}, "1234")], ids=["an older daemon", "a thousand are named"]
)
def test_lock_says_how_many_wait(more: dict[str, int], expected: str) -> None:
    record = {"kind": "event", "text": "event at 0x1", "holders": [], "waiters": [5, 6], **more}

    assert lines_of("locks", [record])[1].split()[2] == expected


def test_why_all_without_a_deadlock_says_so() -> None:
    assert lines_of("why all", []) == ["no deadlock"]


@pytest.mark.parametrize(
    ("line", "schema", "expected"),
    [
        (
            "fds",
            "coro.descriptor/1",
            [
                f"fd  reader  writer  {'handler':{len(EVIL)}}  ready",
                f" 7       5       -  {EVIL}  readable hangup",
            ],
        ),
        (
            "timers",
            "coro.timer/1",
            [
                " due in  thread  what",
                " 500 ms       3  wake",
                "-2.0 ms       -  evil\\x1b[2J\\x9b31m\\u202e\ufffd\\nname",
            ],
        ),
        (
            "locks",
            "coro.lock/1",
            [
                f"kind   held by  waiting  {'ids':51}  what",
                f"mutex  5            100  {' '.join(map(str, range(20)))} …  mutex at 0x1 held by 5",
            ],
        ),
        (
            "sessions",
            "coro.session/1",
            [
                f"id  kind  {'peer':{len(EVIL) + 15}}  role            age    idle  threads  queued  running",
                f" 1  text  {EVIL} uid 0 pid 4242  eval     1 min 00 s   1.0 s  5 6           0  while True: pass",
                f" 2  new   {'-':{len(EVIL) + 15}}  observe      100 ms  100 ms  -            10  -",
            ],
        ),
        (
            "set",
            "coro.setting/1",
            ["setting       value  what it does", "selfishness  4 acts  socket operations in a row"],
        ),
        ("history", "coro.history/1", ["   1  x = '\\x1b[2J'"]),
        ("shutdown 17", "coro.action/1", ['shut down thread 17 "evil\\x1b[2J\\x9b31m\\u202e\ufffd\\nname"']),
        (
            "eval x",
            "coro.evaluation/1",
            [
                "'a\\x1b[2J'",
                "'b'",
                "Traceback:",
                "  \\x1b[2J",
                "ValueError: x",
                "more lines are needed; nothing ran",
            ],
        ),
    ],
)
def test_other_records(line: str, schema: str, expected: list[str]) -> None:
    assert lines_of(line, SAMPLES[schema]) == expected


def test_dead_threads_say_why() -> None:
    lines = lines_of("dead", SAMPLES["coro.dead/1"])

    assert "3.4 s ago  ValueError: \\x1b[31mbad" in lines[1]
    assert "1 h 07 min ago  returned" in lines[2]


def test_lag_shows_now_and_the_windows() -> None:
    lines = lines_of("lag", SAMPLES["coro.lag/1"][0])

    assert lines[0] == "since the last turn:      1.0 ms"
    assert lines[4:] == [
        "window           turns     50%     90%     99%     max",
        "last 10 s          300  1.0 ms  2.0 ms  3.0 ms  100 ms",
        "last 5 min        9000  1.0 ms  2.0 ms  3.0 ms  100 ms",
        "since the start      0       -       -       -       -",
    ]


def test_stalls_name_the_culprit_and_its_stack() -> None:
    lines = lines_of("stalls", SAMPLES["coro.stall/1"])

    assert lines[0].endswith("  stalled 6.1 s (goes on, garbage collector 100 ms)")
    assert lines[1] == f'  {CULPRIT.id} "smtp-in" ran 6.0 s (torn: it ran on while its stack was read)'
    assert lines[2] == f"    {FRAMES[0].file}:88 serve"
    assert "stalled 400 ms (of many short slices, interrupted)" in lines[7]


def test_change_of_a_setting_is_one_line() -> None:
    assert lines_of("set", [{"name": "selfishness", "value": 8, "old": 4, "unit": "acts"}]) == [
        "selfishness: 4 -> 8 acts"
    ]


def test_check_is_the_plugins_line_and_what_is_not_ok() -> None:
    assert lines_of("check", HEALTH) == [
        (
            "CRITICAL - loop stalled 6.1s in smtp-in (parse, mx.py:88) "
            "| stall=6.1s;1;5 lag=0.05s;0.1;1 'queue depth'=12;10"
        ),
        "critical stall: loop stalled 6.1s in smtp-in (parse, mx.py:88)",
        "warning queue depth: 12 mails wait | 10 may",
    ]


def test_help_lists_all_or_explains_one() -> None:
    lines = lines_of("help", SAMPLES["coro.command/1"])

    assert lines[0] == "look"
    for command in COMMANDS.values():
        assert any(line.startswith(f"  {command.name}") and command.summary in line for line in lines)
    assert lines_of("help where", SAMPLES["coro.command/1"][1:2])[0] == "where [-g] [-n N] ID|all"


def test_tree_is_drawn() -> None:
    assert lines_of("tree -f 'id < 20'", THREADS)[2] == '|  `- 19 "conn"  runnable (120 us)'


# -- applications' own records


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([{"queue": "in", "depth": 5}, {"queue": "out", "depth": 100, "late": True}],
         ["queue  depth  late", "in         5  -", "out      100  yes"]),
        ({"queue": "in\x1b", "depth": 5.0}, ["queue: in\\x1b", "depth: 5"]),
        ("two\nlines\x1b", ["two", "lines\\x1b"]),
        (5, ["5"]),
        (None, []),
        ([], []),
        ([1, "a", None, [2]], ["1", "a", "2"]),
        ([{"a": 1}, 5], ["a=1", "5"]),
        ([{}], []),
    ],
)  # fmt: skip
def test_records_of_unknown_schemas(value: object, expected: list[str]) -> None:
    command = Command("queues", "observe", "look", "show the queues", "app.queue/1")

    assert [line for line in present(command, {}, value) if line is not None] == expected


# -- strangers


@pytest.mark.parametrize("schema", SCHEMAS)
def test_nothing_that_a_terminal_obeys_passes(schema: str) -> None:
    for value in (to_plain(SAMPLES[schema]), to_plain(SAMPLES[schema][0])):
        for width in (None, 40):
            assert all(line.replace("\t", "").isprintable() for line in shown(schema, value, width))


@pytest.mark.parametrize("schema", SCHEMAS)
def test_records_of_older_and_newer_daemons_are_shown(schema: str) -> None:
    for record in SAMPLES[schema]:
        plain = to_plain(record)
        for missing in plain:
            shown(schema, [{key: value for key, value in plain.items() if key != missing}])
            for other in (None, 5, -1.5, "x", [], {}, [5], [None], {"a": 1}, True, float("nan"), 10**400):
                shown(schema, [{**plain, missing: other, "novelty": 1}], 50)
        shown(schema, {})


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.sampled_from(sorted(SCHEMAS)), ANYTHING)
def test_anything_at_all_is_shown(schema: str, value: Any) -> None:
    for line in shown(schema, value, 60):
        assert line.replace("\t", "").isprintable()
