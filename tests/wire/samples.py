"""A record of every kind, with awkward values: control sequences in names, absent values, circles."""

from __future__ import annotations

from coro.records import (
    ActionRecord,
    CheckRecord,
    CulpritRecord,
    DaemonRecord,
    DeadRecord,
    DescriptorRecord,
    EvaluationRecord,
    FrameRecord,
    HealthRecord,
    HistoryRecord,
    LagRecord,
    LagWindowRecord,
    LockRecord,
    LoopHealthRecord,
    LoopRecord,
    SessionRecord,
    SettingRecord,
    StackGroupRecord,
    StackRecord,
    StallRecord,
    ThreadDetailRecord,
    ThreadRecord,
    ThreadsHealthRecord,
    TimerRecord,
    WaitRecord,
    WhyRecord,
)
from coro.wire.commands import COMMANDS
from coro.wire.described import command_record

EVIL = "evil\x1b[2J\x9b31m\u202e\udc80\nname"

FRAMES = (
    FrameRecord("/srv/mx.py", 88, "serve", "conn, peer = listener.accept()"),
    FrameRecord("/srv/mx.py", 99, "handle", "while True: pass", newer=True),
    FrameRecord("<string>", 1, "<module>", None),
)


def thread(id: int = 17, name: str = "smtp-in", **changes: object) -> ThreadRecord:
    """A waiting thread, with any fields changed."""
    fields: dict[str, object] = {
        "id": id,
        "name": name,
        "state": "waiting",
        "waiting_for": "read",
        "waiting_on": "descriptor 7",
        "waiting_s": 3.4,
        "run_time_s": 0.12,
        "share": 0.125,
        "switches": 1200,
        "longest_slice_s": 0.0012,
        "selfish_acts": 3,
        "max_selfish_acts": 4,
        "spawned_by": 1,
        "spawn_line": "/srv/mx.py:88",
        "turn": 4711,
    }
    return ThreadRecord(**{**fields, **changes})  # type: ignore[arg-type]


THREADS = (
    thread(1, "main", spawned_by=-1, waiting_for="sleep", waiting_on="3.000 s"),
    thread(17, EVIL),
    thread(18, "漢字", state="running", waiting_for=None, waiting_on=None, waiting_s=None, spawn_line=None),
    thread(19, "conn", state="runnable", waiting_for=None, waiting_on=None, waiting_s=0.00012, spawned_by=17),
    thread(20, "late", state="new", waiting_for=None, waiting_on=None, waiting_s=None, spawned_by=17),
)

CULPRIT = CulpritRecord(17, "smtp-in", 6.0, FRAMES, torn=True)

HEALTH = HealthRecord(
    schema="coro.health/1",
    status="critical",
    code=2,
    pid=4242,
    uptime_s=7_776_000.5,
    loop=LoopHealthRecord(True, 4711, 0.05, 0.2, 6.1, 1, CULPRIT),
    threads=ThreadsHealthRecord(412, 3, 400, 9, 1, ()),
    checks=(
        CheckRecord("stall", "critical", 6.1, 1.0, 5.0, "s", "loop stalled 6.1s in smtp-in (parse, mx.py:88)"),
        CheckRecord("lag", "ok", 0.05, 0.1, 1.0, "s", "lag 0.05s"),
        CheckRecord("queue depth", "warning", 12.0, 10.0, None, "mails", "12 mails wait | 10 may"),
        CheckRecord("require", "ok", None, None, None, "", "all there"),
    ),
    answered_by="sentinel",
)

# Schema to records.
SAMPLES: dict[str, tuple[object, ...]] = {
    "coro.thread/1": THREADS,
    "coro.stack/1": (StackRecord(17, EVIL, FRAMES), StackRecord(20, "late", ())),
    "coro.stack-group/1": (StackGroupRecord(412, tuple(range(3, 103)), FRAMES), StackGroupRecord(1, (7,), ())),
    "coro.thread-detail/1": (
        ThreadDetailRecord(
            THREADS[1],
            StackRecord(17, EVIL, FRAMES),
            ((1, "main", "/srv/mx.py:3"), (0, EVIL, None)),
            shielded=True,
            pending=("Shutdown",),
            joined_by=(5, 6),
            function="mx.serve",
        ),
    ),
    "coro.why/1": (
        WhyRecord(
            (
                WaitRecord(5, "a", "lock", "mutex at 0x1 held by 6", 3.4, (6,)),
                WaitRecord(6, EVIL, "join", "thread 5", 3.4, (5,)),
            ),
            (5, 6),
        ),
        WhyRecord((WaitRecord(8, "c", "read", "descriptor 7", 3.4, ()),), ()),
        WhyRecord((), ()),
    ),
    "coro.descriptor/1": (DescriptorRecord(7, 5, None, EVIL, True, False, True),),
    "coro.timer/1": (TimerRecord(0.5, 3, "wake"), TimerRecord(-0.002, None, EVIL)),
    "coro.lock/1": (LockRecord("mutex", "mutex at 0x1 held by 5", (5,), tuple(range(100)), 100),),
    "coro.dead/1": (
        DeadRecord(3, EVIL, "ValueError: \x1b[31mbad", 3.4, 0.1, 3, 0.1, 1, "/srv/mx.py:3"),
        DeadRecord(4, "fine", None, 4000.0, 0.1, 3, 0.1, -1, None),
    ),
    "coro.daemon/1": (
        DaemonRecord(42, "mx.py", "0.1.0", 12.5, "eval", 0, "/run/coro/42.sock", None),
        DaemonRecord(None, None, None, None, None, 1000, EVIL, "no answer in 0.8 s"),
    ),
    "coro.lag/1": (
        LagRecord(
            0.001,
            0.0,
            3,
            1.2,
            (
                LagWindowRecord(10.0, 300, 0.001, 0.002, 0.003, 0.1),
                LagWindowRecord(300.0, 9000, 0.001, 0.002, 0.003, 0.1),
                LagWindowRecord(None, 0, None, None, None, None),
            ),
        ),
    ),
    "coro.stall/1": (
        StallRecord(1.7e9, 6.1, True, "slice", 0.1, (CULPRIT,), False),
        StallRecord(1.7e9, 0.4, False, "queue", 0.0, (CulpritRecord(None, EVIL, 0.3, ()),), True),
    ),
    "coro.loop/1": (
        LoopRecord(True, 4711, 60.0, 50.0, 0.1, 12, 3, 4, 99_000, 1, 2, 5, 6, 0.001, 0.02, None),
        LoopRecord(False, 0, 0.0, 0.0, 0.0, 0, 0, 0, 0, 0, 0, 0, 0, None, None, None),
    ),
    "coro.health/1": (HEALTH,),
    "coro.action/1": (ActionRecord("shutdown", 17, EVIL, f'shut down thread 17 "{EVIL}"'),),
    "coro.setting/1": (SettingRecord("selfishness", 4, None, "acts", "socket operations in a row"),),
    "coro.session/1": (
        SessionRecord(1, "text", EVIL, 0, 4242, "eval", 60.0, 1.0, (5, 6), "while True: pass", 0),
        SessionRecord(2, "new", "", None, None, "observe", 0.1, 0.1, (), None, 10),
    ),
    "coro.history/1": (HistoryRecord(1, "x = '\x1b[2J'"),),
    "coro.command/1": tuple(command_record(command) for command in COMMANDS.values()),
    "coro.evaluation/1": (
        EvaluationRecord("'a\x1b[2J'\n'b'", None, False, 0.1),
        EvaluationRecord(None, "Traceback:\n  \x1b[2J\nValueError: x\n", False, 0.1),
        EvaluationRecord(None, None, True, 0.0),
    ),
}
