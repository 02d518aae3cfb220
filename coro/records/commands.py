"""The commands of the console, described."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CommandRecord", "ParameterRecord"]


@dataclass(frozen=True, slots=True)
class ParameterRecord:
    """One argument of a command; see coro.wire.commands.Parameter."""

    name: str
    kind: str
    summary: str
    required: bool
    default: str | int | float | bool | None
    option: tuple[str, ...] | None
    many: bool
    presentation: bool
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CommandRecord:
    """One command; see coro.wire.commands.Command."""

    name: str
    role: str
    group: str
    summary: str
    schema: str
    many: bool
    where: str
    by_sentinel: bool
    description: str
    parameters: tuple[ParameterRecord, ...]
    examples: tuple[str, ...]
