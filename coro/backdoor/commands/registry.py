"""Which function carries out which command; and commands of the application's own.

    @coro.backdoor.command
    def reload(what: str, times: int = 1) -> str:
        "Read a configuration file again."

The table of the built-in commands is `coro.wire.commands`; here they get their functions.  An application's command
is described by its function's signature and docstring, and appears everywhere at once: at the prompt, at the shell,
in the help and the completion.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeVar, overload

from coro.backdoor.safe_repr import safe_repr
from coro.backdoor.session import Session
from coro.wire.arguments import did_you_mean
from coro.wire.commands import COMMANDS, Command, Kind, Parameter
from coro.wire.encode import EncodeError, to_plain
from coro.wire.protocol import ROLES, Role

__all__ = ["CommandError", "Implementation", "command", "find", "implements", "known_commands", "remove_command"]

F = TypeVar("F", bound=Callable[..., Any])

# Lists in lists; what lies deeper, a list that holds itself for instance, is shown by its repr.
MAX_RESULT_DEPTH = 2

_KINDS: dict[Any, Kind] = {int: "int", float: "float", str: "str", bool: "flag"}


class CommandError(Exception):
    """The command could not do what was asked; the message is for the user.  Applications may raise it."""


@dataclass(frozen=True, slots=True)
class Implementation:
    """A command and the function that carries it out.

    function: built in: `f(session, **parameters)` gives records; the application's takes them as it declares them.
    """

    command: Command
    function: Callable[..., Any]
    is_builtin: bool

    def run(self, session: Session, parameters: dict[str, Any]) -> Any:
        """Carry the command out; returns its result, not yet plain.  May yield.  Raises CommandError and more."""
        if self.is_builtin:
            return self.function(session, **parameters)
        positional: list[Any] = []
        named = {}
        for declared in inspect.signature(self.function).parameters.values():
            value = parameters[declared.name]
            if declared.kind is inspect.Parameter.VAR_POSITIONAL:
                positional += value
            elif declared.kind is inspect.Parameter.KEYWORD_ONLY:
                named[declared.name] = value
            else:
                positional.append(value)
        return self.function(*positional, **named)


_implementations: dict[str, Implementation] = {}


def implements(name: str) -> Callable[[F], F]:
    """Decorate the function of a built-in command."""

    def decorate(function: F) -> F:
        _implementations[name] = Implementation(COMMANDS[name], function, True)
        return function

    return decorate


def find(name: str) -> Implementation:
    """The command of this name.  Raises CommandError, with a suggestion."""
    try:
        return _implementations[name]
    except KeyError:
        hint = did_you_mean(name, _implementations)
        raise CommandError(f"there is no command {name!r}{hint}; `help` lists them") from None


def known_commands() -> list[Command]:
    """All commands that can be carried out here, the application's last.  From any OS thread."""
    mine = [_implementations[name].command for name in COMMANDS if name in _implementations]
    return mine + [known.command for known in list(_implementations.values()) if not known.is_builtin]


@overload
def command(function: F, /) -> F: ...


@overload
def command(*, name: str | None = None, role: Role = "operate") -> Callable[[F], F]: ...


def command(
    function: Callable[..., Any] | None = None, /, *, name: str | None = None, role: Role = "operate"
) -> Any:
    """Make a function a command of the backdoor.

    name: None takes the function's name, with hyphens for underscores.
    role: who may use it: "observe", "operate" or "eval".
    Its parameters are annotated with int, float, str, bool, one of these or None, or a Literal of strings; those
    without a default are positional, those with one are options (`--times 3`), `*names: str` takes what is left.
    The first line of the docstring is the summary, the rest the description.
    It runs in a thread of the session and may block; Ctrl-C interrupts it.  It returns None, a string, a number, a
    dict, a dataclass, or a list of dicts or dataclasses; anything else is shown by its repr.  To refuse, it raises
    `coro.backdoor.CommandError`.
    Returns the function.  Raises TypeError for a signature that cannot be typed, ValueError for a name taken.
    """

    def decorate(function: F) -> F:
        described = _describe(function, name, role)
        known = _implementations.get(described.name)
        if described.name in COMMANDS or (known is not None and known.function is not function):
            raise ValueError(f"there is a command {described.name!r} already")
        _implementations[described.name] = Implementation(described, function, False)
        return function

    return decorate if function is None else decorate(function)


def remove_command(name: str) -> None:
    """Take an application's command away.  Raises KeyError."""
    if name in COMMANDS:
        raise KeyError(f"{name!r} is a built-in command")
    del _implementations[name]


def _describe(function: Callable[..., Any], name: str | None, role: Role) -> Command:
    if not callable(function):
        raise TypeError(f"a command must be a function, got {function!r}")
    if role not in ROLES:
        raise ValueError(f"a command's role must be one of {', '.join(ROLES)}, got {role!r}")
    given = getattr(function, "__name__", "") if name is None else name
    word = given.replace("_", "-")
    if not word or not all(part.isidentifier() for part in word.split("-")) or not word.isascii():
        raise ValueError(f"a command's name must consist of letters, digits and hyphens, got {given!r}")
    summary, _, description = (inspect.getdoc(function) or f"{word} of the application").partition("\n")
    try:
        hints = typing.get_type_hints(function)
    except NameError as error:
        raise TypeError(f"the command {word!r} has an annotation that cannot be read: {error}") from None
    parameters = tuple(
        _parameter(word, parameter, hints.get(parameter.name, str))
        for parameter in inspect.signature(function).parameters.values()
    )
    return Command(
        word,
        role,
        "act",
        summary.strip(),
        f"app.{word}/1",
        parameters,
        description=description.strip(),
        where="both",
    )


def _parameter(word: str, parameter: inspect.Parameter, hint: Any) -> Parameter:
    if parameter.kind is inspect.Parameter.VAR_KEYWORD:
        raise TypeError(f"the command {word!r} cannot take **{parameter.name}: name its options")
    kind, choices = _kind_of(word, parameter.name, hint)
    if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
        return Parameter(parameter.name, kind, f"{kind}, several", many=True, choices=choices)
    required = parameter.default is inspect.Parameter.empty
    if required and kind != "flag":
        return Parameter(parameter.name, kind, kind, required=True, choices=choices)
    default = False if required else parameter.default
    option = ("--" + parameter.name.replace("_", "-"),)
    return Parameter(parameter.name, kind, f"{kind}, {default!r} if not given", default=default, option=option,
                     choices=choices)  # fmt: skip


def _kind_of(word: str, name: str, hint: Any) -> tuple[Kind, tuple[str, ...]]:
    origin = typing.get_origin(hint)
    arguments = [argument for argument in typing.get_args(hint) if argument is not types.NoneType]
    if origin in (typing.Union, types.UnionType) and len(arguments) == 1:
        return _kind_of(word, name, arguments[0])
    if origin is typing.Literal and all(type(argument) is str for argument in arguments):
        return "str", tuple(arguments)
    try:
        return _KINDS[hint], ()
    except (KeyError, TypeError):
        raise TypeError(
            f"the command {word!r} cannot take {name}: {hint!r}; use int, float, str, bool or a Literal of strings"
        ) from None


def plain_result(result: Any, depth: int = 0) -> Any:
    """An application's result as JSON can carry it: whatever it is, this does not fail."""
    if is_dataclass(result) and not isinstance(result, type):
        try:
            return to_plain(result)
        except EncodeError:
            # A field holds what no JSON can.
            return {field.name: _plain_value(getattr(result, field.name)) for field in fields(result)}
    if type(result) is dict:
        return {
            key if type(key) is str else safe_repr(key): _plain_value(value) for key, value in list(result.items())
        }
    if type(result) in (list, tuple) and depth < MAX_RESULT_DEPTH:
        return [plain_result(item, depth + 1) for item in result]
    return _plain_value(result)


def _plain_value(value: Any) -> Any:
    # An int may be too long for JSON, and a float no number.
    return to_plain(value) if value is None or type(value) in (str, bool, int, float) else safe_repr(value)
