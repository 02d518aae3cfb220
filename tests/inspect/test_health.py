"""Is the daemon well?"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

import coro
from coro import inspect, testing
from coro.inspect import Facts, Thresholds, checks, deadlock_watch, judge
from coro.inspect.health import facts_from_outside
from coro.records import (
    CheckRecord,
    CulpritRecord,
    FrameRecord,
    HealthRecord,
    LoopHealthRecord,
    ThreadsHealthRecord,
)


@pytest.fixture(autouse=True)
def no_checks() -> Iterator[None]:
    yield
    checks._checks.clear()
    checks._unfinished.clear()


LOOP = LoopHealthRecord(True, 17, 0.001, 0.002, None, 0, None)
THREADS = ThreadsHealthRecord(10, 1, 8, 100, 3, ())
WELL = Facts(42, 12.5, LOOP, THREADS, frozenset(), (), "loop")


def check_of(record: HealthRecord, name: str) -> CheckRecord:
    [check] = [check for check in record.checks if check.name == name]
    return check


def test_daemon_that_is_well() -> None:
    record = judge(WELL)
    assert (record.schema, record.status, record.code, record.pid, record.uptime_s) == (
        "coro.health/1",
        "ok",
        0,
        42,
        12.5,
    )
    assert [check.name for check in record.checks] == ["stall", "lag", "threads", "deadlock", "uncaught"]
    assert {check.status for check in record.checks} == {"ok"}
    assert check_of(record, "uncaught").value == 3
    assert check_of(record, "threads").value == 10


@pytest.mark.parametrize(
    ("p99", "status"), [(None, "ok"), (0.099, "ok"), (0.1, "warning"), (0.99, "warning"), (1.0, "critical")]
)
def test_lag(p99: float | None, status: str) -> None:
    record = judge(replace(WELL, loop=replace(LOOP, lag_p99_s=p99)))
    assert record.status == status
    check = check_of(record, "lag")
    assert (check.value, check.warn, check.crit, check.unit) == (p99, 0.1, 1.0, "s")


@pytest.mark.parametrize(("stalled", "status"), [(None, "ok"), (0.3, "ok"), (1.0, "warning"), (5.0, "critical")])
def test_stall(stalled: float | None, status: str) -> None:
    record = judge(replace(WELL, loop=replace(LOOP, stalled_s=stalled), answered_by="sentinel"))
    assert record.status == status
    assert check_of(record, "stall").value == (stalled or 0.0)


def test_stall_names_thread_function_file_and_line_of_the_application() -> None:
    runtime = os.path.join(os.path.dirname(coro.__file__), "scheduler.py")
    frames = (
        FrameRecord("/srv/main.py", 3, "main", "serve()"),
        FrameRecord("/srv/mx.py", 88, "parse", "while True:"),
        FrameRecord(runtime, 9, "park", "..."),
    )
    loop = replace(LOOP, stalled_s=6.13, culprit=CulpritRecord(7, "smtp-in", 6.1, frames))
    check = check_of(judge(replace(WELL, loop=loop)), "stall")
    assert check.text == "loop stalled 6.1s in smtp-in (parse, mx.py:88)"


def test_thresholds_of_the_caller() -> None:
    facts = replace(WELL, loop=replace(LOOP, lag_p99_s=0.5, stalled_s=0.5))
    assert judge(facts, Thresholds(warn_lag=0.6, warn_stall=0.6)).status == "ok"
    assert judge(facts, Thresholds(crit_lag=0.5)).status == "critical"
    assert judge(facts, Thresholds(warn_lag=0.6, crit_stall=0.5)).status == "critical"


@pytest.mark.parametrize(("maximum", "status"), [(None, "ok"), (10, "ok"), (9, "critical")])
def test_maximum_of_threads(maximum: int | None, status: str) -> None:
    record = judge(WELL, Thresholds(max_threads=maximum))
    assert record.status == status
    assert check_of(record, "threads").crit == maximum


def test_required_names() -> None:
    record = judge(replace(WELL, found=frozenset(["a"])), Thresholds(require=("a", "b", "a")))
    assert record.status == "critical"
    assert check_of(record, "require:a").status == "ok"
    assert check_of(record, "require:b").text == "no thread b"


@pytest.mark.parametrize("status", ["ok", "warning", "critical"])
def test_deadlock(status: Any) -> None:
    facts = replace(WELL, threads=replace(THREADS, deadlocked=(3, 4)))
    record = judge(facts, Thresholds(deadlock=status))
    assert record.status == status
    assert check_of(record, "deadlock").value == 2
    assert check_of(record, "deadlock").text == "threads 3, 4 wait for each other"


def test_no_loop_is_critical() -> None:
    assert judge(replace(WELL, loop=replace(LOOP, running=False))).status == "critical"


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["ok", "unknown"], "unknown"),
        (["warning", "unknown"], "warning"),
        (["warning", "critical", "ok"], "critical"),
        ([], "ok"),
    ],
)
def test_worst_status_wins(statuses: list[Any], expected: str) -> None:
    application = tuple(CheckRecord(str(n), status, None, None, None, "", "") for n, status in enumerate(statuses))
    record = judge(replace(WELL, application=application))
    assert record.status == expected
    assert record.code == {"ok": 0, "warning": 1, "critical": 2, "unknown": 3}[expected]
    assert record.checks[-len(application) :] == application or not application


def test_what_the_sentinel_could_not_ask_does_not_count() -> None:
    application = (CheckRecord("db", "unknown", None, None, None, "", "the loop is stalled"),)
    facts = replace(WELL, application=application, answered_by="sentinel")
    assert judge(facts).status == "ok"


# -- gathering


def test_health_inside_the_loop() -> None:
    inspect.register_check(lambda: ("warning", "nearly full"), "disk")

    def main() -> HealthRecord:
        coro.spawn(coro.sleep_relative, 100, thread_name="smtp-in")
        coro.sleep_relative(3)
        inspect.health()
        coro.sleep_relative(3)
        return inspect.health(Thresholds(require=("smtp-in", "smtp-out")))

    record = testing.run(main, real_descriptors=False)
    assert (record.status, record.answered_by, record.pid) == ("critical", "loop", os.getpid())
    assert check_of(record, "disk").text == "nearly full"
    assert check_of(record, "require:smtp-in").status == "ok"
    assert check_of(record, "require:smtp-out").status == "critical"
    assert record.loop.running
    assert record.loop.stalled_s is None
    assert check_of(record, "lag").value is not None
    assert record.threads.alive == 2
    assert record.uptime_s > 0


def test_name_is_found_again_when_another_thread_takes_it() -> None:
    def main() -> None:
        for _ in range(2):
            thread = coro.spawn(coro.sleep_relative, 100, thread_name="one")
            coro.yield_slice()
            assert inspect.facts(["one"]).found == {"one"}
            thread.set_name("other")
            assert inspect.facts(["one"]).found == frozenset()
            thread.set_name("one")
            thread.shutdown()
            coro.yield_slice()
            assert inspect.facts(["one"]).found == frozenset()

    testing.run(main, real_descriptors=False)


def entangle() -> list[coro.coro]:
    locks = [coro.mutex() for _ in range(3)]

    def take(number: int) -> None:
        locks[number].lock()
        coro.yield_slice()
        locks[(number + 1) % 3].lock()

    return [coro.spawn(take, number) for number in range(3)]


@pytest.mark.parametrize("bystanders", [0, deadlock_watch.FEW_THREADS])
def test_deadlock_is_found_however_many_threads_there_are(bystanders: int) -> None:
    def main() -> None:
        for _ in range(bystanders):
            coro.spawn(coro.sleep_relative, 1000)
        threads = entangle()
        # A search may have been made a moment ago.
        coro.sleep_relative(10)
        expected = tuple(thread.id for thread in threads)
        assert inspect.facts().threads.deadlocked == expected
        assert judge(facts_from_outside()).status == "warning"
        threads[0].shutdown()
        coro.sleep_relative(0.1)
        assert inspect.facts().threads.deadlocked == ()
        assert facts_from_outside().threads.deadlocked == ()
        assert "deadlock search" not in [thread.name for thread in coro.all_threads.values()]

    testing.run(main, real_descriptors=False)


def test_facts_are_quick_however_many_threads_there_are() -> None:
    """The search goes on by itself; who asks gets what is known."""

    def main() -> None:
        for _ in range(20_000):
            coro.spawn(coro.sleep_relative, 1000)
        coro.yield_slice()
        begin = time.monotonic()
        record = inspect.health()
        assert time.monotonic() - begin < 0.5
        assert record.threads.alive >= 20_001

    coro.run(main)


def beside(look: Callable[[], Any]) -> list[Any]:
    found: list[Any] = []

    def run() -> None:
        time.sleep(0.1)
        found.append(look())

    def main() -> None:
        coro.spawn(coro.sleep_relative, 10, thread_name="other")
        coro.yield_slice()
        thread = threading.Thread(target=run)
        thread.start()
        time.sleep(0.2)
        thread.join()

    coro.run(main)
    return found


def test_health_from_outside_names_the_culprit() -> None:
    inspect.register_check(lambda: True, "db")
    limits = Thresholds(crit_stall=0.05, require=("other", "nobody"))
    [record] = beside(lambda: judge(facts_from_outside(limits.require, stall_s=0.05), limits))

    assert (record.status, record.answered_by) == ("critical", "sentinel")
    assert record.loop.stalled_s >= 0.05
    assert "beside.<locals>.main (main, test_health.py:" in check_of(record, "stall").text
    assert (check_of(record, "db").status, check_of(record, "db").text) == ("unknown", "the loop is stalled")
    assert check_of(record, "require:other").status == "ok"
    assert check_of(record, "require:nobody").status == "critical"


def test_short_turn_is_no_stall_from_outside() -> None:
    [facts] = beside(lambda: facts_from_outside(stall_s=5))
    assert facts.loop.stalled_s is None
    assert facts.loop.culprit is None
    assert judge(facts).status == "ok"


def test_culprit_that_is_known_is_kept() -> None:
    who = CulpritRecord(7, "known", 1.0, ())
    [facts] = beside(lambda: facts_from_outside(stall_s=0.01, who=who))
    assert facts.loop.culprit is who
