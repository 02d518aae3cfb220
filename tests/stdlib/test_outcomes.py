"""What the lines of a process mean."""

from typing import Any

from tests.stdlib.outcomes import Outcome, Progress, module_of

TEST = "test.test_poll.PollTests.test_poll1"


def progress(*lines: dict[str, Any]) -> Progress:
    heard = Progress()
    for line in lines:
        heard.hear(line)
    return heard


def test_a_test_that_ended_has_an_outcome_and_is_no_culprit() -> None:
    heard = progress(
        {"event": "module", "module": "test_poll"},
        {"event": "next", "test": TEST},
        {"event": "start", "test": TEST},
        {"event": "end", "test": TEST, "outcome": "failed", "detail": "why", "seconds": 1.5},
    )
    assert heard.outcomes == {TEST: Outcome("failed", "why", 1.5)}
    assert heard.culprit is None
    assert not heard.is_done


def test_the_test_that_runs_is_the_culprit() -> None:
    heard = progress({"event": "next", "test": TEST}, {"event": "start", "test": TEST})
    assert heard.culprit == TEST


def test_a_test_whose_fixtures_run_is_the_culprit() -> None:
    heard = progress(
        {"event": "start", "test": "test.test_poll.PollTests.test_poll0"},
        {
            "event": "end",
            "test": "test.test_poll.PollTests.test_poll0",
            "outcome": "passed",
            "detail": "",
            "seconds": 0,
        },
        {"event": "next", "test": TEST},
    )
    assert heard.culprit == TEST


def test_behind_the_last_test_of_a_module_nobody_is_the_culprit() -> None:
    heard = progress(
        {"event": "next", "test": TEST},
        {"event": "fixture", "test": "tearDownModule (test.test_poll)", "outcome": "error", "detail": "why"},
        {"event": "module", "module": "test_epoll"},
        {"event": "done"},
    )
    assert heard.culprit is None
    assert heard.module == "test_epoll"
    assert heard.is_done
    assert heard.fixtures == {"tearDownModule (test.test_poll)": Outcome("error", "why")}


def test_a_test_id_names_its_module() -> None:
    assert module_of(TEST) == "test_poll"
