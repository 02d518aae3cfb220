"""Raw numbers as people read them."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coro.wire.units import count, duration, moment, percent, text


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s"),
        (1e-9, "0 s"),
        (12e-6, "12 us"),
        (0.00099, "990 us"),
        (0.0009999, "1.0 ms"),
        (0.00123, "1.2 ms"),
        (0.0123, "12 ms"),
        (0.9994, "999 ms"),
        (0.9999, "1.0 s"),
        (3.44, "3.4 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (303, "5 min 03 s"),
        (3599.6, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (86_399, "1 d 00 h"),
        (100 * 3600, "4 d 04 h"),
        (90 * 86_400, "90 d"),
        (-0.002, "-2.0 ms"),
        (1e300, "1e+300 s"),
        (None, "-"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        ("soon\x1b", "soon\\x1b"),
        (True, "yes"),
        pytest.param(10**5000, "a number of 16610 bits", id="huge"),
    ],
)
def test_durations(seconds: object, expected: str) -> None:
    assert duration(seconds) == expected


@given(st.floats(0, 1e9))
def test_duration_is_near_to_what_it_says(seconds: float) -> None:
    sizes = {"us": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600, "d": 86400}
    shown = sum(float(number) * sizes[unit] for number, unit in re.findall(r"([0-9.]+) (\w+)", duration(seconds)))

    assert shown == pytest.approx(seconds, rel=0.06, abs=1e-6)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "-"),
        (True, "yes"),
        (5, "5"),
        (0.25, "0.25"),
        ("a\nb\x1b", "a\\nb\\x1b"),
        ("x" * 500, "x" * 400 + "…"),
        ([1, "b\x1b", None], "1 b\\x1b -"),
        (list(range(30)), " ".join(map(str, range(20))) + " …"),
        ({"a\x1b": [1, 2]}, "a\\x1b=1 2"),
        ((), "-"),
        ([[[[1]]]], "…"),
        ([["x" * 300, "y" * 300]], "x" * 300 + " " + "y" * 99 + "…"),
    ],
)
def test_any_value_is_one_printable_line(value: object, expected: str) -> None:
    assert text(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(4.0, "4"), (0.123456, "0.1235"), (7, "7"), (math.inf, "inf"), (None, "-"), ("x", "x"), (1e20, "1e+20")],
)
def test_counts_have_no_useless_digits(value: object, expected: str) -> None:
    assert count(value) == expected


@pytest.mark.parametrize(("share", "expected"), [(0.125, "12.5%"), (1, "100.0%"), (None, "-"), ("x", "x")])
def test_shares_are_percent(share: object, expected: str) -> None:
    assert percent(share) == expected


@pytest.mark.parametrize("epoch", [1e300, -1e300, 10**30, math.nan, None, "x", [1]])
def test_impossible_moments_are_shown_as_they_are(epoch: Any) -> None:
    assert moment(epoch) == text(epoch)


def test_moment_is_local_time_with_its_zone() -> None:
    assert re.fullmatch(r"2023-11-1[345] \d\d:\d\d:20[+-]\d{4}", moment(1.7e9))
