import re
import sys
from typing import Any

import pytest

import coro
from coro import testing


def inner() -> str:
    return coro.tb.stack_string()


def outer() -> str:
    return inner()


def fail() -> None:
    raise ValueError("spilled")


def test_stack_string_is_one_line_innermost_first_with_folder_function_and_line() -> None:
    text = outer()

    assert "\n" not in text
    first = inner.__code__.co_firstlineno + 1
    second = outer.__code__.co_firstlineno + 1
    assert text.startswith(
        f"[core/test_tb.py inner|{first}] [core/test_tb.py outer|{second}] [core/test_tb.py test_"
    )


def test_stack_string_of_a_frame_of_another_thread() -> None:
    def wait_here() -> None:
        coro.sleep_relative(1)

    def main() -> None:
        thread = coro.spawn(wait_here)
        coro.yield_slice()
        text = coro.tb.stack_string(thread.get_frame())
        assert re.match(r"\[coro/scheduler.py \w+\|\d+\] .*\[core/test_tb.py wait_here\|\d+\]", text), text
        thread.join()

    testing.run(main, real_descriptors=False)


def test_traceback_data_of_the_exception_that_is_being_handled() -> None:
    try:
        fail()
    except ValueError:
        (name, function, line), kind, value, places = coro.tb.traceback_data()
        text = coro.tb.traceback_string()

    assert (name, function) == ("core/test_tb.py", "fail")
    assert line == fail.__code__.co_firstlineno + 1
    assert (kind, value) == ("<class 'ValueError'>", "spilled")
    # Outermost first, unlike a stack.
    assert re.fullmatch(r"\[core/test_tb.py test_\w+\|\d+\] \[core/test_tb.py fail\|\d+\]", places)
    assert text == repr((f"{name} {function}|{line}", kind, value, places))


def test_traceback_data_of_a_given_exception() -> None:
    try:
        fail()
    except ValueError:
        info = sys.exc_info()

    (_, function, _), kind, value, _ = coro.tb.traceback_data(*info)
    assert (function, kind, value) == ("fail", "<class 'ValueError'>", "spilled")
    assert "spilled" in coro.tb.traceback_string(*info)


def test_traceback_data_of_an_exception_that_was_never_raised() -> None:
    assert coro.tb.traceback_data(ValueError, ValueError("unraised"), None) == (
        ("", "", 0),
        "<class 'ValueError'>",
        "unraised",
        "[]",
    )


@pytest.mark.parametrize("describe", [coro.tb.traceback_data, coro.tb.traceback_string])
def test_without_an_exception_there_is_nothing_to_describe(describe: Any) -> None:
    with pytest.raises(ValueError, match="there is no exception to describe"):
        describe()


def test_what_is_no_frame_and_no_exception_is_refused() -> None:
    with pytest.raises(TypeError, match="5"):
        coro.tb.stack_string(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="5"):
        coro.tb.traceback_data(5)  # type: ignore[arg-type]
