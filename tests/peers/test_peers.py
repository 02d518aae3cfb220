"""The cases that need no server of Debian's, small; `make peers` runs all of them with 200 threads."""

from __future__ import annotations

import pytest

from tests.peers.case import CASES, Case, fault_of, run_case

THREADS = 50
REQUESTS = 2
# On a machine that is busy with other tests, time for other processes being subtracted, but not cold caches.
LATE_LIMIT_S = 0.2


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if not case.needs_debian], ids=lambda case: case.name)
def test_a_program_runs_unchanged_under_coro(case: Case) -> None:
    outcome = run_case(case, threads=THREADS, requests=REQUESTS, limit_s=50.0)

    assert fault_of(outcome, REQUESTS, late_limit_s=LATE_LIMIT_S) is None
