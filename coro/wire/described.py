"""Commands as records, and back: how `help` sends the table, and how a client learns an application's commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coro.records import CommandRecord, ParameterRecord
from coro.wire.commands import Command, Parameter

__all__ = ["command_from_record", "command_record"]

_KINDS = ("int", "float", "str", "flag", "thread", "target", "rest")


def command_record(command: Command) -> CommandRecord:
    """The record of a command."""
    return CommandRecord(
        name=command.name,
        role=command.role,
        group=command.group,
        summary=command.summary,
        schema=command.schema,
        many=command.many,
        where=command.where,
        by_sentinel=command.by_sentinel,
        description=command.description,
        parameters=tuple(_parameter_record(parameter) for parameter in command.parameters),
        examples=command.examples,
    )


def _parameter_record(parameter: Parameter) -> ParameterRecord:
    return ParameterRecord(
        name=parameter.name,
        kind=parameter.kind,
        summary=parameter.summary,
        required=parameter.required,
        default=parameter.default,
        option=parameter.option,
        many=parameter.many,
        presentation=parameter.presentation,
        choices=parameter.choices,
    )


def command_from_record(record: Mapping[str, Any]) -> Command:
    """The command that a daemon described, from the decoded record; fields that are missing have harmless values.

    Raises ValueError if it has no name, or a parameter has none.
    """
    group, where, role = record.get("group"), record.get("where"), record.get("role")
    return Command(
        name=_name(record),
        role=role if role in ("observe", "operate", "eval") else "eval",
        group=group if group in ("look", "act", "session") else "look",
        summary=_text(record.get("summary")),
        schema=_text(record.get("schema")),
        parameters=tuple(
            _parameter(item) for item in _items(record.get("parameters")) if isinstance(item, Mapping)
        ),
        many=record.get("many") is True,
        where=where if where in ("both", "prompt", "shell") else "both",
        by_sentinel=record.get("by_sentinel") is True,
        description=_text(record.get("description")),
        examples=_texts(record.get("examples")),
    )


def _parameter(record: Mapping[str, Any]) -> Parameter:
    kind = record.get("kind")
    option = record.get("option")
    return Parameter(
        name=_name(record),
        # A kind that this side does not know is sent as text: the daemon judges it.
        kind=kind if kind in _KINDS else "str",
        summary=_text(record.get("summary")),
        required=record.get("required") is True,
        default=record.get("default"),
        option=None if option is None else _texts(option),
        many=record.get("many") is True,
        presentation=record.get("presentation") is True,
        choices=_texts(record.get("choices")),
    )


def _name(record: Mapping[str, Any]) -> str:
    name = record.get("name")
    if not isinstance(name, str) or not name:
        raise ValueError(f"a described command or parameter must have a name, got a {type(name).__name__}")
    return name


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _items(value: object) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else []


def _texts(value: object) -> tuple[str, ...]:
    return tuple(item for item in _items(value) if isinstance(item, str))
