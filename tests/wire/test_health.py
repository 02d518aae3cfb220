"""The line of a monitoring plugin."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coro.wire.encode import to_plain
from coro.wire.filters import compile_filter
from coro.wire.health import health_fields, health_line
from tests.wire.samples import EVIL, HEALTH

PLAIN: dict[str, Any] = to_plain(HEALTH)


def test_line_says_the_worst_and_gives_the_numbers() -> None:
    assert health_line(PLAIN) == (
        "CRITICAL - loop stalled 6.1s in smtp-in (parse, mx.py:88) "
        "| stall=6.1s;1;5 lag=0.05s;0.1;1 'queue depth'=12;10"
    )


def test_bar_in_a_text_does_not_begin_the_performance_data() -> None:
    warning = {**PLAIN, "status": "warning", "checks": PLAIN["checks"][1:]}

    assert health_line(warning).partition(" | ")[0] == "WARNING - 12 mails wait / 10 may"


def test_ok_says_how_it_is() -> None:
    well = {**PLAIN, "status": "ok", "checks": [PLAIN["checks"][1]]}

    assert health_line(well) == "OK - up 90 d, 412 threads, lag 50 ms | lag=0.05s;0.1;1"


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        ({}, "UNKNOWN - no reason given"),
        ({"status": "fine"}, "UNKNOWN - no reason given"),
        ({"status": "ok"}, "OK - up -"),
        ({"status": "critical", "checks": "x", "threads": 5, "loop": []}, "CRITICAL - no reason given"),
        ({"status": "critical", "text": "no answer in 0.8 s"}, "CRITICAL - no answer in 0.8 s"),
        ({"status": "warning", "checks": [5, {"status": "warning"}]}, "WARNING - -"),
        ({"status": ["x"], "checks": [{"value": float("nan")}]}, "UNKNOWN - no reason given"),
    ],
)
def test_any_record_gets_a_line(health: dict[str, Any], expected: str) -> None:
    assert health_line(health) == expected


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        ({"name": "a", "value": 1e-7, "unit": "s"}, "a=0s"),
        ({"name": "a", "value": 1e300, "unit": "s"}, "a=1000"),
        ({"name": "it's=|", "value": 5}, "its=5"),
        ({"name": "a b", "value": 5, "unit": "%", "crit": 9}, "'a b'=5%;;9"),
        ({"name": "a", "value": 5, "unit": "furlongs"}, "a=5 "),
        ({"name": "a", "value": 5, "unit": ["s"]}, "a=5 "),
        ({"name": EVIL, "value": 5}, "=5"),
    ],
)
def test_performance_data_keeps_to_the_plugins_format(check: dict[str, Any], expected: str) -> None:
    line = health_line({"status": "ok", "checks": [check]}) + " "

    assert expected in line.partition(" |")[2]
    assert line.isprintable()
    assert re.search(r"=-?[0-9.]+(%|[a-zA-Z]*)[;0-9.-]* $", line)


def test_line_has_a_limit() -> None:
    checks = [{"name": f"check {i}", "value": i, "status": "critical", "text": "x" * 300} for i in range(1000)]

    assert len(health_line({"status": "critical", "checks": checks})) <= 4000


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["status", "checks", "threads", "loop", "uptime_s", "text"]),
        st.recursive(
            st.none() | st.text(max_size=5) | st.floats() | st.integers() | st.sampled_from(["ok", "warning"]),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["name", "value", "status", "unit", "warn", "alive"]), inner)
            ),
            max_leaves=6,
        ),
    )
)
def test_any_record_gets_a_printable_line_and_fields(health: dict[str, Any]) -> None:
    assert health_line(health).isprintable()
    assert "threads" in health_fields(health)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("threads < 5000", True),
        ("threads < 412", False),
        ("lag < 0.1 and stall > 6", True),
        ("uncaught == 1", True),
        ("loop.culprit.name == 'smtp-in'", True),
        ("pid == 4242 and uptime_s > 0", True),
    ],
)
def test_expressions_of_check_know_short_names(text: str, expected: bool) -> None:
    assert compile_filter(text).matches(health_fields(PLAIN)) is expected


def test_values_of_checks_are_fields_but_hide_none() -> None:
    checks = [{"name": "depth", "value": 7}, {"name": "threads", "value": -1}, {"name": "none", "value": None}]
    fields = health_fields({**PLAIN, "checks": checks})

    assert fields["depth"] == 7
    assert fields["threads"] == 412
    assert "none" not in fields
