"""repr() with bounds."""

from __future__ import annotations

import itertools
import sys
import time
import tracemalloc
from collections import OrderedDict, defaultdict, deque
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coro.backdoor.safe_repr import MAX_REPR_BYTES, cut, describe_error, safe_repr
from coro.exceptions import Interrupted

atoms = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.text(max_size=20)
    | st.binary(max_size=20)
    | st.just(...)
    | st.sampled_from([int, len, NotImplemented, range(3)])
)
hashables = st.recursive(
    atoms, lambda inner: st.tuples(inner) | st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=5
)
values = st.recursive(
    hashables,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner)
        | st.tuples(inner, inner)
        | st.sets(hashables, max_size=4)
        | st.dictionaries(hashables, inner, max_size=4)
        | st.builds(deque, st.lists(inner, max_size=4), maxlen=st.none() | st.integers(0, 5))
        | st.builds(lambda items: defaultdict(list, items), st.dictionaries(hashables, inner, max_size=3))
        | st.dictionaries(hashables, inner, max_size=3).map(dict.values)
        | st.dictionaries(hashables, inner, max_size=3).map(dict.items)
        | st.dictionaries(hashables, inner, max_size=3).map(dict.keys)
        | st.builds(bytearray, st.binary(max_size=5))
    ),
    max_leaves=20,
)


@given(values)
@settings(deadline=None)
def test_small_value_is_shown_as_by_repr(value: object) -> None:
    assert safe_repr(value, seconds=60) == repr(value)


@given(values, st.integers(128, 400))
@settings(deadline=None)
def test_result_is_never_longer_than_the_limit(value: object, limit: int) -> None:
    text = safe_repr([value] * 3, max_bytes=limit, seconds=60)

    assert len(text.encode("utf-8", "surrogatepass")) <= limit
    if len(repr([value] * 3).encode("utf-8", "surrogatepass")) <= limit - 40:
        assert text == repr([value] * 3)


@given(st.text(), st.integers(40, 200))
def test_cut_text_keeps_its_ends(text: str, limit: int) -> None:
    shorter = cut(text * 3, limit)

    assert len(shorter.encode("utf-8", "surrogatepass")) <= limit
    if shorter != text * 3:
        head, _, rest = shorter.partition("… ")
        assert (text * 3).startswith(head) or "… " in text
        assert " more …" in rest


def circular_list() -> object:
    value: list[Any] = [1]
    value.append(value)
    return value


def circular_dict() -> object:
    value: dict[str, Any] = {}
    value["itself"] = [value]
    return value


def circular_tuple() -> object:
    inner: list[Any] = []
    value = (inner,)
    inner.append(value)
    return value


def circular_deque() -> object:
    value: deque[Any] = deque()
    value.append(value)
    return value


@pytest.mark.parametrize("make", [circular_list, circular_dict, circular_tuple, circular_deque])
def test_circle_is_shown_as_by_repr(make: Any) -> None:
    value = make()

    assert safe_repr(value) == repr(value)


def test_what_occurs_twice_is_no_circle() -> None:
    inner: list[int] = []

    assert safe_repr([inner, inner, {1: inner}]) == "[[], [], {1: []}]"


def test_deep_value_is_shown_to_some_depth() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]

    text = safe_repr(value)

    assert text.startswith("[[[[")
    assert "[…]" in text
    assert text.endswith("]]]]")
    while value:
        # Not all at once: freeing it recurses.
        value = value[0]


HUGE = 3_000_000


@pytest.mark.parametrize(
    "make",
    [
        lambda: "x" * 10**8,
        lambda: b"\xff" * 10**8,
        lambda: bytearray(10**8),
        lambda: "\U0010fffe" * 10**7,
        lambda: list(range(HUGE)),
        lambda: tuple(range(HUGE)),
        lambda: set(range(HUGE)),
        lambda: dict.fromkeys(range(HUGE)),
        lambda: deque(range(HUGE)),
        lambda: dict.fromkeys(range(HUGE)).values(),
        lambda: [list(range(HUGE))] * 1000,
        lambda: {"key": "v" * 10**8},
        lambda: {"k" * 10**8: 1},
        lambda: 1 << 10**8,
        lambda: [1 << 10**7] * 1000,
    ],
)
def test_huge_value_is_cut_before_anything_long_is_made(make: Any) -> None:
    value = make()
    tracemalloc.start()
    try:
        began = time.perf_counter()
        text = safe_repr(value, seconds=60)
        took = time.perf_counter() - began
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(text.encode()) <= MAX_REPR_BYTES
    assert "more" in text or "digits" in text
    assert peak < 4 << 20
    assert took < 2


def test_both_ends_are_kept_and_the_number_left_out_is_told() -> None:
    text = safe_repr(list(range(100_000)), max_bytes=200)

    assert text.startswith("[0, 1, 2, 3")
    assert text.endswith("99998, 99999]")
    middle = text.partition("… ")[2].partition(" more …")[0]
    left_out = int(middle.replace(" ", ""))
    assert left_out + len(text.split(", ")) - 1 == 100_000


@pytest.mark.parametrize("make", [list, tuple, dict.fromkeys, deque, lambda numbers: "".join(map(str, numbers))])
def test_what_just_fits_is_shown_whole_and_once(make: Any) -> None:
    for length in range(20, 200):
        value = make(range(length))
        text = safe_repr(value, max_bytes=400)
        if len(repr(value)) <= 360:
            assert text == repr(value)
        else:
            assert text == repr(value) or "more" in text


def test_text_is_cut_to_two_literals() -> None:
    text = safe_repr("a" * 50 + "'" * 100_000 + "z" * 50, max_bytes=200)

    assert text.startswith(("'aaaa", '"aaaa'))
    assert text.endswith(("zzzz'", 'zzzz"'))
    assert "' … 9" in text or '" … 9' in text


def test_dict_is_cut_to_whole_items() -> None:
    text = safe_repr({n: str(n) for n in range(100_000)}, max_bytes=200)

    assert text.startswith("{0: '0', 1: '1', ")
    assert text.endswith(", 99999: '99999'}")


@pytest.mark.parametrize("sign", [1, -1])
def test_int_of_too_many_digits_is_described(sign: int) -> None:
    assert safe_repr(sign * 10**4299) == repr(sign * 10**4299)
    assert safe_repr(sign * 10**12_344) == f"<{'negative ' if sign < 0 else ''}int with ~12 345 digits>"


def test_interpreters_own_limit_of_digits_is_minded() -> None:
    former = sys.get_int_max_str_digits()
    try:
        sys.set_int_max_str_digits(640)
        assert "digits" in safe_repr(10**700)
        sys.set_int_max_str_digits(0)
        assert "digits" in safe_repr(10**100_000)
    finally:
        sys.set_int_max_str_digits(former)


class Widget:
    def __init__(self, outcome: Any) -> None:
        self.outcome = outcome

    def __repr__(self) -> str:
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome  # type: ignore[no-any-return]


def test_failing_repr_is_described() -> None:
    widget = Widget(ValueError("no text"))

    assert safe_repr(widget) == f"<Widget at {id(widget):#x}: repr() raised ValueError: no text>"
    assert safe_repr([1, widget, 2]) == f"[1, {safe_repr(widget)}, 2]"
    assert "repr() raised TypeError: __repr__ returned non-string" in safe_repr(Widget(5))
    assert "repr() raised SystemExit: 3" in safe_repr(Widget(SystemExit(3)))
    assert "repr() raised RecursionError" in safe_repr(Widget(RecursionError("deep")))


def test_error_whose_text_fails_is_described() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise self

    assert safe_repr(Widget(Mute())).endswith("repr() raised Mute: <its text cannot be made>>")
    assert describe_error(KeyError()) == "KeyError"
    assert len(describe_error(ValueError("x" * 10**6))) <= 1024


def test_interrupt_passes_through() -> None:
    with pytest.raises(Interrupted):
        safe_repr([Widget(Interrupted())])


def test_long_repr_of_an_object_is_cut() -> None:
    text = safe_repr(Widget("<" + "w" * 10**7 + ">"))

    assert len(text) <= MAX_REPR_BYTES
    assert text.startswith("<ww")
    assert text.endswith("ww>")


def test_lying_text_of_a_repr_is_made_true() -> None:
    class Lie(str):
        def __len__(self) -> int:
            return 1

        def isascii(self) -> bool:
            return True

    text = safe_repr(Widget(Lie("é" * 10**6)))

    assert type(text) is str
    assert len(text.encode()) <= MAX_REPR_BYTES


def test_container_that_changes_meanwhile_is_described() -> None:
    values: dict[int, Any] = {}

    class Grower:
        def __repr__(self) -> str:
            values[len(values)] = 1
            return "grower"

    values[0] = Grower()
    values[1] = 2

    assert "repr() raised RuntimeError: dictionary changed size" in safe_repr(values)


def test_no_more_elements_are_looked_at_when_the_time_is_over() -> None:
    ticks = itertools.count()

    text = safe_repr(list(range(1000)), seconds=100, clock=lambda: next(ticks))

    assert text.startswith("[0, 1, 2")
    assert text.endswith(", … 900 more …]")


def test_subclass_has_its_own_repr() -> None:
    class Named(dict[str, int]):
        def __repr__(self) -> str:
            return "named"

    assert safe_repr(Named(a=1)) == "named"
    assert safe_repr(OrderedDict(a=1)) == repr(OrderedDict(a=1))


def test_metaclass_with_an_equality_of_its_own() -> None:
    class Equal(type):
        def __eq__(cls, other: object) -> bool:
            return True

        def __hash__(cls) -> int:
            return hash(list)

    class Odd(metaclass=Equal):
        def __repr__(self) -> str:
            return "odd"

    assert safe_repr([Odd()]) == "[odd]"
