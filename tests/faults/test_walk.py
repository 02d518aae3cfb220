"""The n-th system call fails, whichever it is, for every n: nothing hangs, nothing is left, the others go on."""

import os

import pytest

from tests.faults.conftest import Play
from tests.faults.scenarios import SCENARIOS
from tests.faults.shim import Fault
from tests.faults.sites import Site
from tests.faults.stage import Result
from tests.faults.table import FAILURES, ROWS

# With CORO_SOAK=1 each of the calls fails in each of its ways; without, in one or two of them.
SOAK = os.environ.get("CORO_SOAK") == "1"
MOST_FAILURES = max(len(failures.split()) for failures in FAILURES.values())
# More than any scenario makes.
MOST_CALLS = 3000
POLL: Site = ("coro.poller.epoll", "EpollPoller.poll", "epoll.poll")


def walk(play: Play, name: str, which: int, times: int) -> set[Site]:
    """Have each call of a scenario fail, in the way of this number; returns where faults happened."""
    hit: set[Site] = set()
    for number in range(1, MOST_CALLS):
        # Another way at each call, so that one walk shows them all.
        fault = Fault(None, which if SOAK else which + number, number, times)
        result = play(name, fault)
        wrong = [] if time_ran_ahead(result) else result.wrong()
        if result.loop_failed and not any("loop" in ROWS[site].outcomes[what] for site, what in pairs(result)):
            wrong.append(f"the loop failed: {result.receipts}")
        assert not wrong, (str(fault), pairs(result), wrong, result.receipts)
        hit |= set(result.hits)
        if len(result.calls) < number:
            return hit
    pytest.fail(f"{name} makes more than {MOST_CALLS} calls")


def time_ran_ahead(result: Result) -> bool:
    """Whether two polls in a row were interrupted: the fake clock then jumps before anybody is asked again."""
    return [what for site, what in pairs(result) if site == POLL].count("EINTR") > 1


def pairs(result: Result) -> list[tuple[Site, str]]:
    return list(zip(result.hits, result.whats, strict=True))


@pytest.mark.parametrize("which", range(MOST_FAILURES if SOAK else 2))
@pytest.mark.parametrize("name", SCENARIOS)
def test_any_call_may_fail(name: str, which: int, play: Play) -> None:
    assert walk(play, name, which, 1)


@pytest.mark.parametrize("which", range(MOST_FAILURES if SOAK else 1))
@pytest.mark.parametrize("name", SCENARIOS)
def test_any_two_calls_in_a_row_may_fail(name: str, which: int, play: Play) -> None:
    assert walk(play, name, which, 2)
