"""Long turns of the loop are handed out once each, also when the loop has forgotten older ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import pytest

from coro.backdoor.long_turns import LongTurns
from coro.loop import LONG_TURNS_KEPT, loop

S = 1_000_000_000


@pytest.fixture
def turns() -> Iterator[deque[int]]:
    former = list(loop.long_turns)
    loop.long_turns.clear()
    yield loop.long_turns
    loop.long_turns.clear()
    loop.long_turns.extend(former)


def test_each_turn_is_handed_out_once(turns: deque[int]) -> None:
    long_turns = LongTurns()
    turns.extend([S, 2 * S])
    assert long_turns.take() == [S, 2 * S]
    assert long_turns.take() == []
    turns.append(S)
    assert long_turns.take() == [S]


def test_turns_of_before_do_not_count(turns: deque[int]) -> None:
    long_turns = LongTurns()
    turns.append(S)
    long_turns.forget()
    turns.append(3 * S)
    assert long_turns.take() == [3 * S]


def test_a_loop_that_forgets_old_turns_is_followed(turns: deque[int]) -> None:
    long_turns = LongTurns()
    taken = []
    for number in range(3 * LONG_TURNS_KEPT):
        turns.append(S + number)
        if number % 7 == 0:
            taken += long_turns.take()
    taken += long_turns.take()
    assert taken == [S + number for number in range(3 * LONG_TURNS_KEPT)]


def test_a_new_loop_begins_anew(turns: deque[int]) -> None:
    long_turns = LongTurns()
    turns.extend([S, 2 * S, 3 * S])
    long_turns.take()
    turns.clear()
    turns.append(4 * S)
    assert long_turns.take() == [4 * S]


@pytest.mark.parametrize("late", [False, True])
def test_a_turn_that_was_seen_is_left_out(turns: deque[int], late: bool) -> None:
    long_turns = LongTurns()
    long_turns.leave_out(2 * S)
    if late:
        # The loop writes it down at its next poll.
        assert long_turns.take() == []
    turns.extend([S, 2 * S + 5, 3 * S])
    assert long_turns.take() == [S, 3 * S]
    turns.append(2 * S + 5)
    assert long_turns.take() == [2 * S + 5]


def test_a_turn_that_the_loop_never_wrote_down_hides_no_later_one(turns: deque[int]) -> None:
    long_turns = LongTurns()
    long_turns.leave_out(S // 20)
    assert long_turns.take() == []
    assert long_turns.take() == []
    turns.append(S)
    assert long_turns.take() == [S]
