"""How a command is used, in words: its usage line and its help.  All of it comes from the table of commands."""

from __future__ import annotations

from coro.wire.commands import Command, Parameter
from coro.wire.escape import printable

__all__ = ["help_text", "metavar", "usage"]


def metavar(parameter: Parameter) -> str:
    """What stands for a parameter's value in a usage line: "ID", "run|wait|idle", "N"."""
    if parameter.choices:
        return printable("|".join(parameter.choices))
    if parameter.kind == "target":
        return "ID|all"
    if parameter.option and parameter.kind == "int":
        return "N"
    if parameter.option and parameter.kind == "float":
        return "NUMBER"
    name = printable(parameter.name).upper().replace("_", "-")
    return name.removesuffix("S") if parameter.many and not parameter.option else name


def usage(command: Command) -> str:
    """The usage in one line, such as "ps [-s run|wait] [-f FILTER] [-n N]"."""
    options = [_usage_of_option(parameter) for parameter in command.parameters if parameter.option]
    positional = [_usage_of_positional(parameter) for parameter in command.parameters if not parameter.option]
    return " ".join([printable(command.name), *options, *positional])


def _usage_of_option(parameter: Parameter) -> str:
    spelling = printable(parameter.option[0]) if parameter.option else ""
    text = spelling if parameter.kind == "flag" else f"{spelling} {metavar(parameter)}"
    dots = "..." if parameter.many else ""
    return f"{text}{dots}" if parameter.required else f"[{text}]{dots}"


def _usage_of_positional(parameter: Parameter) -> str:
    text = metavar(parameter) + ("..." if parameter.many else "")
    if parameter.required:
        # Brackets would say that it may be left out.
        return f"{{{text}}}" if parameter.choices else text
    return f"[{text}]"


def help_text(command: Command) -> list[str]:
    """Everything that the table tells about a command, as lines of plain text."""
    lines = [usage(command), "", f"  {_sentence(command.summary)}"]
    if command.description:
        lines += [f"  {printable(line)}" for line in command.description.splitlines()]
    if command.parameters:
        names = [_spelling(parameter) for parameter in command.parameters]
        width = min(24, max(map(len, names)))
        lines += ["", "arguments:"]
        for name, parameter in zip(names, command.parameters, strict=True):
            lines.append(f"  {name:<{width}}  {_about(parameter)}")
    lines += ["", f"role: {printable(command.role)}; {_place(command)}; result: {printable(command.schema)}"]
    if command.examples:
        lines += ["", "examples:", *(f"  {printable(example)}" for example in command.examples)]
    return lines


def _spelling(parameter: Parameter) -> str:
    if not parameter.option:
        return metavar(parameter) + ("..." if parameter.many else "")
    spellings = printable(", ".join(parameter.option))
    return spellings if parameter.kind == "flag" else f"{spellings} {metavar(parameter)}"


def _about(parameter: Parameter) -> str:
    text = printable(parameter.summary)
    notes = []
    if parameter.required:
        notes.append("required")
    if parameter.default is not None and parameter.default != "" and parameter.kind != "flag":
        notes.append(f"default {printable(str(parameter.default))}")
    return f"{text} ({', '.join(notes)})" if notes else text


def _sentence(text: str) -> str:
    text = printable(text)
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _place(command: Command) -> str:
    place = {"prompt": "at the prompt only", "shell": "at the shell only"}.get(command.where, "at prompt and shell")
    return place + ("; answered also while the loop is stuck" if command.by_sentinel else "")
