"""Each row of the table, with each of its failures: who ought to be told is told, and nothing else happens."""

from functools import cache

import pytest

from tests.faults.conftest import Play
from tests.faults.scenarios import SCENARIOS
from tests.faults.shim import Fault
from tests.faults.sites import Site
from tests.faults.stage import Result
from tests.faults.table import ROWS, Row

# What an OS thread does comes a moment sooner or later, and a site may be passed by.
ATTEMPTS = 10
_reached: dict[Site, list[str]] = {}


def scenarios_by(play: Play, site: Site) -> list[str]:
    """The names of those that come by the site."""
    if not _reached:
        for name in SCENARIOS:
            for each in set(play(name, None).calls):
                _reached.setdefault(each, []).append(name)
    return _reached.get(site, list(SCENARIOS))


def play_until_hit(play: Play, fault: Fault) -> Result:
    assert fault.site is not None
    names = scenarios_by(play, fault.site)
    for attempt in range(ATTEMPTS):
        result = play(names[attempt % len(names)], fault)
        if result.hits:
            return result
    pytest.fail(f"no scenario comes by {fault}")


@cache
def rows() -> list[Row]:
    return [row for row in ROWS.values() if row.kind not in ("second", "own", "never")]


@pytest.mark.parametrize("row", rows(), ids=str)
def test_who_ought_to_be_told_is_told_and_nothing_is_left(row: Row, play: Play) -> None:
    for what, expected in row.outcomes.items():
        result = play_until_hit(play, Fault(row.site, what))
        assert not result.wrong(), (what, result.wrong())
        assert result.outcome in expected.split("/"), (what, result.receipts, result.stderr)
