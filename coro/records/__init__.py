"""What leaves the process when somebody looks into it: frozen records of raw values.

Numbers are numbers (`run_time_s=12.5`, never "12.5 s"); only whoever shows them formats them.  Ages are in seconds,
relative to the moment at which the record was taken.

Invariant: a record refers to nothing that is alive: no thread, frame or lock.  Knows nothing else of coro.
"""

from __future__ import annotations

from coro.records.commands import CommandRecord, ParameterRecord
from coro.records.console import (
    ActionRecord,
    DaemonRecord,
    EvaluationRecord,
    HistoryRecord,
    SessionRecord,
    SettingRecord,
)
from coro.records.health import CheckRecord, HealthRecord, LoopHealthRecord, Status, ThreadsHealthRecord
from coro.records.loop import LagRecord, LagWindowRecord, LoopRecord
from coro.records.resources import DescriptorRecord, LockRecord, TimerRecord
from coro.records.stacks import FrameRecord, StackGroupRecord, StackRecord
from coro.records.stalls import CulpritRecord, StallRecord
from coro.records.threads import DeadRecord, ThreadDetailRecord, ThreadRecord, ThreadState
from coro.records.waits import WaitRecord, WhyRecord

__all__ = [
    "ActionRecord",
    "CheckRecord",
    "CommandRecord",
    "CulpritRecord",
    "DaemonRecord",
    "DeadRecord",
    "DescriptorRecord",
    "EvaluationRecord",
    "FrameRecord",
    "HealthRecord",
    "HistoryRecord",
    "LagRecord",
    "LagWindowRecord",
    "LockRecord",
    "LoopHealthRecord",
    "LoopRecord",
    "ParameterRecord",
    "SessionRecord",
    "SettingRecord",
    "StackGroupRecord",
    "StackRecord",
    "StallRecord",
    "Status",
    "ThreadDetailRecord",
    "ThreadRecord",
    "ThreadState",
    "ThreadsHealthRecord",
    "TimerRecord",
    "WaitRecord",
    "WhyRecord",
]
