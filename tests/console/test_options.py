"""The options that every command takes."""

import pytest

from coro.console.failures import UsageFailure
from coro.console.options import parse


@pytest.mark.parametrize(
    "line",
    [
        "-t 42 ps -n 3",
        "ps -n 3 -t 42",
        "ps -t 42 -n 3",
        "--target 42 ps -n 3",
        "ps --target=42 -n 3",
        "-t42 ps -n 3",
        "-t=42 ps -n 3",
        "-- ps -n 3 -t 42",
    ],
)
def test_target_may_stand_before_and_after_the_command(line: str) -> None:
    options = parse(line.split(" "))

    assert (options.target, options.word, options.words) == ("42", "ps", ["-n", "3"])
    assert options.fault is None


def test_target_comes_from_the_environment_unless_it_is_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORO_TARGET", "/run/x.sock")

    assert parse(["ps"]).target == "/run/x.sock"
    assert parse(["ps", "-t", "7"]).target == "7"


def test_two_dashes_end_the_options_and_stay_for_the_command() -> None:
    options = parse(["eval", "--json", "--", "--json", "-t"])

    assert options.json
    assert options.words == ["--", "--json", "-t"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ps -t", "-t needs a value"),
        ("ps --target=", "--target needs a value"),
        ("--wrong ps", "there is no option --wrong"),
        ("ps --timeout soon", "--timeout must be above 0 and at most 86400 seconds, got soon"),
        ("ps --timeout nan", "got nan"),
        ("ps --timeout 0", "got 0"),
        ("ps --watch -1", "got -1"),
        ("ps --watch 1e9", "got 1e9"),
        ("ps --uid root", "--uid must be a user's number"),
        ("ps --uid 4294967296", "0 to 4294967295"),
        ("ps --uid \x1b[31m", r"got \x1b[31m"),
    ],
)
def test_wrong_option_is_a_fault_told_later(line: str, message: str) -> None:
    options = parse(line.split(" "))

    assert isinstance(options.fault, UsageFailure)
    assert message in str(options.fault)
    assert options.word == "ps"


def test_options_of_the_command_itself_are_left_to_it() -> None:
    assert parse(["ps", "-s", "run", "--filter=x", "-1"]).words == ["-s", "run", "--filter=x", "-1"]
