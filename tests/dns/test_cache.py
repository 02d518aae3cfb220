"""cache: what look-ups came to, for a while."""

import socket

import pytest

from coro.dns.cache import Cache, Outcome

SECOND = 10**9


class Clock:
    """Ticks, by hand."""

    def __init__(self) -> None:
        self.ticks = 0

    def __call__(self) -> int:
        return self.ticks


def test_entry_is_there_until_its_time_is_over() -> None:
    clock = Clock()
    cache = Cache(10, clock)
    outcome = Outcome("found")
    cache.put("q", outcome, 1.5)

    clock.ticks = 1_500_000_000 - 1
    assert cache.get("q") is outcome
    clock.ticks += 1
    assert cache.get("q") is None
    assert len(cache) == 0


@pytest.mark.parametrize(("size", "seconds"), [(0, 1), (10, 0), (10, -1)])
def test_without_room_or_time_nothing_is_kept(size: int, seconds: float) -> None:
    cache = Cache(size, Clock())
    cache.put("q", Outcome("found"), seconds)

    assert cache.get("q") is None


def test_entry_that_was_asked_for_longest_ago_goes_first() -> None:
    cache = Cache(2, Clock())
    for question in "ab":
        cache.put(question, Outcome(question), 1)
    cache.get("a")
    cache.put("c", Outcome("c"), 1)

    assert [cache.get(question) is not None for question in "abc"] == [True, False, True]


def test_new_outcome_of_a_question_takes_the_place_of_the_old_one() -> None:
    clock = Clock()
    cache = Cache(2, clock)
    cache.put("q", Outcome("old"), 1)
    cache.put("q", Outcome("new"), 5)
    clock.ticks = 2 * SECOND

    entry = cache.get("q")
    assert entry is not None
    assert entry.take() == "new"


def test_what_is_taken_may_be_changed() -> None:
    for value in ([1, 2], ("name", ["alias"], ["address"])):
        outcome = Outcome(value)
        taken = outcome.take()
        (taken if isinstance(taken, list) else taken[1]).append("more")
        assert outcome.take() == value != taken


def test_error_is_raised_as_a_copy_each_time() -> None:
    try:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    except socket.gaierror as error:
        outcome = Outcome(error=error)
    raised = []
    for _ in range(2):
        with pytest.raises(socket.gaierror) as caught:
            outcome.take()
        raised.append(caught.value)

    assert raised[0] is not raised[1]
    assert {error.args for error in raised} == {(socket.EAI_NONAME, "Name or service not known")}
    assert outcome.error is not None
    assert outcome.error.__traceback__ is None
