"""Commands as records, and back."""

from __future__ import annotations

from typing import Any

import pytest

from coro.wire.commands import COMMANDS, Command
from coro.wire.described import command_from_record, command_record
from coro.wire.encode import to_plain


@pytest.mark.parametrize("name", COMMANDS)
def test_command_survives_the_round_trip(name: str) -> None:
    assert command_from_record(to_plain(command_record(COMMANDS[name]))) == COMMANDS[name]


def test_missing_fields_have_harmless_values() -> None:
    assert command_from_record({"name": "x"}) == Command("x", "eval", "look", "", "")


def test_unknown_kind_is_text() -> None:
    command = command_from_record({"name": "x", "parameters": [{"name": "y", "kind": "colour"}, 5]})

    assert [parameter.kind for parameter in command.parameters] == ["str"]


@pytest.mark.parametrize("record", [{}, {"name": 5}, {"name": ""}, {"name": "x", "parameters": [{}]}])
def test_nameless_is_refused(record: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must have a name"):
        command_from_record(record)
