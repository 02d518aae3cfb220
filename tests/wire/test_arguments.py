"""Arguments of commands: typed, and sent as JSON."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coro.wire.arguments import (
    UsageError,
    check,
    did_you_mean,
    for_daemon,
    help_text,
    parse,
    parse_line,
    split,
    usage,
)
from coro.wire.commands import COMMANDS, Command, Parameter

# Of every kind, as an application could define it.
ODD = Command(
    "odd",
    "observe",
    "look",
    "does something odd",
    "app.odd/1",
    (
        Parameter("first", "str", "the first", required=True),
        Parameter("middle", "int", "those between", many=True),
        Parameter("last", "str", "the last", required=True),
        Parameter("verbose", "flag", "say more", option=("-v", "--verbose")),
        Parameter("quick", "flag", "be quick", option=("-q",)),
        Parameter("number", "int", "a number", default=3, option=("-n", "--number")),
        Parameter("tags", "str", "a tag", option=("-t", "--tag"), many=True),
        Parameter("ratio", "float", "a ratio", option=("--ratio",)),
    ),
)
RUN = Command(
    "run",
    "eval",
    "look",
    "runs",
    "app.run/1",
    (
        Parameter("where", "str", "place", required=True),
        Parameter("fast", "flag", "soon", option=("-f", "--fast")),
        Parameter("times", "int", "so often", option=("-n",)),
        Parameter("code", "rest", "what", required=True),
    ),
)


def typed(line: str) -> dict[str, object]:
    name, _, rest = line.partition(" ")
    return parse_line({"odd": ODD, "run": RUN, **COMMANDS}[name], rest)


def given_values(line: str) -> dict[str, object]:
    """What was typed, without what stands for nothing."""
    return {name: value for name, value in typed(line).items() if value not in (None, False, [])}


# -- typed


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ps", {"sort": "id"}),
        ("ps -s run -n 10", {"sort": "run", "limit": 10}),
        ("ps -srun -n10", {"sort": "run", "limit": 10}),
        ("ps --sort=run --limit=10", {"sort": "run", "limit": 10}),
        ("ps --sort run --limit 10", {"sort": "run", "limit": 10}),
        ("ps -n 1 -n 2", {"sort": "id", "limit": 2}),
        ("ps -n -5", {"sort": "id", "limit": -5}),
        ("ps -f 'not readable == True'", {"sort": "id", "filter": "not readable == True"}),
        ("ps -f '-1 < share'", {"sort": "id", "filter": "-1 < share"}),
        ("where 17", {"target": 17}),
        ("where all --group", {"target": "all", "group": True}),
        ("where -g all", {"target": "all", "group": True}),
        ("interrupt 17", {"id": 17, "exception": "Interrupted"}),
        ("shutdown 1 2 3", {"ids": [1, 2, 3]}),
        ("set", {}),
        ("set selfishness 8", {"setting": "selfishness", "value": 8.0}),
        ("set stall-threshold 1e-3", {"setting": "stall-threshold", "value": 0.001}),
        ("set stall-threshold -.5", {"setting": "stall-threshold", "value": -0.5}),
        ("exit-daemon -3", {"code": -3}),
        ("name 17 -- -x", {"id": 17, "new_name": "-x"}),
        ("name 17 'a b'", {"id": 17, "new_name": "a b"}),
        ("name 17 ''", {"id": 17, "new_name": ""}),
        ("name 17 -", {"id": 17, "new_name": "-"}),
        ("odd a b", {"first": "a", "last": "b", "number": 3}),
        ("odd a 1 2 b", {"first": "a", "middle": [1, 2], "last": "b", "number": 3}),
        ("odd a -1 -2 b", {"first": "a", "middle": [-1, -2], "last": "b", "number": 3}),
        ("odd -vq a b", {"first": "a", "last": "b", "verbose": True, "quick": True, "number": 3}),
        ("odd -vqn5 a b", {"first": "a", "last": "b", "verbose": True, "quick": True, "number": 5}),
        ("odd -t x a -t=y b --tag z", {"first": "a", "last": "b", "tags": ["x", "=y", "z"], "number": 3}),
        ("eval  1 + 'a b'  ", {"code": "1 + 'a b'"}),
        ("eval 'an open quote", {"code": "'an open quote"}),
        ("eval -1", {"code": "-1"}),
        ("eval --x", {"code": "--x"}),
        ("run here x = 'open  quote", {"where": "here", "code": "x = 'open  quote"}),
        ("run -f 'over there' -n 3 -x -- y", {"where": "over there", "fast": True, "times": 3, "code": "-x -- y"}),
        ("run -n3 here -- -f", {"where": "here", "times": 3, "code": "-f"}),
    ],
)
def test_typed_words_become_values(line: str, expected: dict[str, object]) -> None:
    assert given_values(line) == expected


def test_every_parameter_has_a_value() -> None:
    assert typed("check") == {
        "warn_lag": 0.1,
        "crit_lag": 1.0,
        "warn_stall": 1.0,
        "crit_stall": 5.0,
        "max_threads": None,
        "require": [],
        "expr": [],
        "deadlock": "warning",
    }
    assert typed("where all")["group"] is False


def test_shells_words_stand_for_the_rest() -> None:
    assert parse(COMMANDS["eval"], ["1", "+", "1"]) == {"code": "1 + 1"}
    assert parse(RUN, ["here", "-f", "a  b", "-c"]) == {
        "where": "here",
        "fast": True,
        "times": None,
        "code": "a  b -c",
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("where", "where: target is missing (usage: where [-g] [-n N] ID|all)"),
        ("where 17 18", "where: unexpected argument '18' (usage: where [-g] [-n N] ID|all)"),
        ("where every", "where: target must be a thread's id or all, got 'every'"),
        ("where -1", "where: target must be a thread's id or all from 0 to 9223372036854775807, got -1"),
        ("info 9223372036854775808", "info: id must be a thread's id from 0 to"),
        ("info 1_000", "info: id must be a thread's id, got '1_000'"),
        ("info ٣", "info: id must be a thread's id, got '٣'"),
        ("info " + "9" * 5000, "info: id must be a thread's id, got '999"),
        ("ps -n", "ps: -n needs a value"),
        ("ps -n --sort run", "ps: -n needs a value"),
        ("ps --limit=", "ps: limit must be a whole number, got ''"),
        ("ps -n ten", "ps: limit must be a whole number, got 'ten'"),
        (
            "ps -s runn",
            "ps: sort must be one of run, wait, idle, switches, id, name, got 'runn'; did you mean 'run'?",
        ),
        ("ps --srot run", "ps: unknown option '--srot'; did you mean '--sort'?"),
        ("ps -x", "ps: unknown option '-x'"),
        ("ps \x1b[2J", "ps: unexpected argument '\\x1b[2J'"),
        ("where all --group=yes", "where: --group takes no value, got 'yes'"),
        ("shutdown", "shutdown: ids is missing (usage: shutdown ID...)"),
        ("check --warn-lag nan", "check: warn_lag must be a number, got 'nan'"),
        ("check --warn-lag 1e999", "check: warn_lag must be a finite number, got inf"),
        ("check --deadlock bad", "check: deadlock must be one of ok, warning, critical, got 'bad'"),
        ("name 17 \udc80", "name: new_name must be UTF-8 text, got '\\udc80'"),
        ("name 17 'x", "the quote ' at character 4 does not end"),
        ("eval", "eval: code is missing (usage: eval CODE)"),
        ("run here", "run: code is missing"),
        ("run 'here", "the quote ' at character 1 does not end"),
    ],
)
def test_wrong_words_are_refused_with_object_value_and_limit(line: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        typed(line)

    assert message in str(caught.value)
    assert str(caught.value).isprintable()


@settings(deadline=None)
@given(st.sampled_from([ODD, RUN, *COMMANDS.values()]), st.lists(st.text(max_size=5) | st.sampled_from(
    ["-n", "-5", "--", "-s", "all", "run", "-g", "--require", "--limit=3", "-vq", "17", "-", "--=", "-="]
), max_size=8))  # fmt: skip
def test_any_words_are_parsed_or_refused(command: Command, words: list[str]) -> None:
    try:
        values = parse(command, words)
    except UsageError as error:
        assert str(error).isprintable()
    else:
        assert list(values) == [parameter.name for parameter in command.parameters]
        # What was typed is fit to be sent.
        assert check(command, for_daemon(command, values)) == {
            parameter.name: values[parameter.name] for parameter in command.parameters if not parameter.presentation
        }


@settings(deadline=None)
@given(st.sampled_from([ODD, RUN, *COMMANDS.values()]), st.text(max_size=30))
def test_any_line_is_parsed_or_refused(command: Command, line: str) -> None:
    try:
        parse_line(command, line)
    except UsageError as error:
        assert str(error).isprintable()


# -- sent


@pytest.mark.parametrize(
    ("name", "params", "expected"),
    [
        ("ps", {}, {}),
        ("ps", {"sort": 5, "filter": object(), "limit": "x"}, {}),
        ("where", {"target": "all", "group": True}, {"target": "all", "group": True}),
        ("where", {"target": 17}, {"target": 17, "group": False}),
        ("where", {"target": 17, "group": None}, {"target": 17, "group": False}),
        ("shutdown", {"ids": [1, 2]}, {"ids": [1, 2]}),
        ("interrupt", {"id": 3}, {"id": 3, "exception": "Interrupted"}),
        ("set", {"setting": "selfishness", "value": 8}, {"setting": "selfishness", "value": 8.0}),
        ("set", {"setting": None}, {"setting": None, "value": None}),
        ("eval", {"code": "1\n2"}, {"code": "1\n2"}),
    ],
)
def test_json_parameters_become_values(name: str, params: dict[str, Any], expected: dict[str, Any]) -> None:
    assert check(COMMANDS[name], params) == expected


def test_numbers_for_a_float_become_floats() -> None:
    assert type(check(COMMANDS["set"], {"setting": "selfishness", "value": 8})["value"]) is float


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("where", {}, "where: the parameter target is missing"),
        ("where", {"target": None}, "where: the parameter target is missing"),
        ("where", {"target": True}, "where: target must be a thread's id or all, got True"),
        ("where", {"target": "17"}, "where: target must be a thread's id or all, got '17'"),
        ("where", {"target": 1.0}, "where: target must be a thread's id or all, got 1.0"),
        ("where", {"target": ["all"]}, "where: target must be a thread's id or all, got a list"),
        ("where", {"target": 1, "group": 1}, "where: group must be true or false, got 1"),
        ("where", {"target": 1, "gruop": True}, "where has no parameter 'gruop'; did you mean 'group'?"),
        ("info", {"id": -1}, "info: id must be a thread's id from 0 to 9223372036854775807, got -1"),
        pytest.param("info", {"id": 10**5000}, "9223372036854775807, got a number of 16610 bits", id="huge"),
        pytest.param("set", {"value": 10**5000}, "value must be a number, got a number of", id="huge float"),
        ("set", {"value": math.nan}, "set: value must be a finite number, got nan"),
        ("set", {"value": -math.inf}, "set: value must be a finite number, got -inf"),
        ("set", {"value": False}, "set: value must be a number, got False"),
        ("set", {"setting": "x"}, "set: setting must be one of selfishness, latency-warning, stall-threshold"),
        ("set", {"setting": 1}, "set: setting must be text, got 1"),
        ("shutdown", {"ids": []}, "shutdown: the parameter ids is missing"),
        ("shutdown", {"ids": 5}, "shutdown: ids must be a list, got 5"),
        ("shutdown", {"ids": "56"}, "shutdown: ids must be a list, got '56'"),
        ("shutdown", {"ids": [1, None]}, "shutdown: ids must be a thread's id, got None"),
        ("name", {"id": 1, "new_name": "\ud800"}, "name: new_name must be UTF-8 text"),
        ("eval", {"code": 5}, "eval: code must be text, got 5"),
        ("ps", {"\x1b[2J": 1}, "ps has no parameter '\\x1b[2J'"),
        ("ps", {"x" * 60000: 1}, "ps has no parameter 'xxx"),
    ],
)
def test_wrong_json_is_refused(name: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        check(COMMANDS[name], params)

    assert message in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_defaults_of_lists_are_not_shared() -> None:
    first = check(COMMANDS["check"], {})["require"]
    assert isinstance(first, list)
    first.append("x")

    assert check(COMMANDS["check"], {})["require"] == []


# -- in words


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ps", "ps [-s run|wait|idle|switches|id|name] [-f FILTER] [-n N]"),
        ("where", "where [-g] [-n N] ID|all"),
        ("shutdown", "shutdown ID..."),
        ("interrupt", "interrupt ID [EXCEPTION]"),
        ("set", "set [selfishness|latency-warning|stall-threshold] [VALUE]"),
        ("eval", "eval CODE"),
        ("quit", "quit"),
    ],
)
def test_usage_is_one_line(name: str, expected: str) -> None:
    assert usage(COMMANDS[name]) == expected


@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_every_argument_and_example(name: str) -> None:
    command = COMMANDS[name]
    text = "\n".join(help_text(command))

    assert text.startswith(usage(command))
    for parameter in command.parameters:
        assert parameter.summary in text
    for example in command.examples:
        assert example in text


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_of_the_table_are_proper_uses(name: str) -> None:
    for example in COMMANDS[name].examples:
        words = split(example)
        assert words[0] == name
        parse(COMMANDS[name], words[1:])


@pytest.mark.parametrize(
    ("name", "expected"),
    [("wher", "; did you mean 'where'?"), ("xyzzy", ""), ("", ""), ("w" * 100_000, "")],
    ids=["close", "far", "empty", "long"],
)
def test_close_names_are_proposed(name: str, expected: str) -> None:
    assert did_you_mean(name, COMMANDS) == expected
