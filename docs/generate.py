"""Write the pages that are made from the program itself: docs/commands.md, docs/schemas.md and docs/schemas/*.json.

    python docs/generate.py            writes them
    python docs/generate.py --check    writes nothing; names the files that are stale, and exits 1 if there are any

The tests run it with --check, so that the pages cannot differ from the program.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from coro.wire.commands import COMMANDS, Command, Parameter
from coro.wire.schemas import SCHEMAS, schema
from coro.wire.usage import metavar, usage

DOCS = Path(__file__).resolve().parent

HEAD = """\
# Commands

<!-- Made by docs/generate.py from coro/wire/commands.py.  Do not edit. -->

After reading this page you can give every command of the console, at its prompt or at the shell, and know what
comes back.

At the prompt a command begins with a colon (`:ps`); at the shell the same words follow `coro` (`coro ps`),
which has `coro ls` and `coro attach` besides.
`--json` prints the records themselves, by the published [schemas](schemas), in place of text.  Words are cut as a
shell cuts them: quotes and backslashes protect blanks.

What stands in brackets may be left out; dots mean that it may be repeated.  A *role* may do what those before it
in the list observe, operate, eval may.  Commands marked **sentinel** are answered also while the loop is stuck.
"""

FILTER = """\
## Filters

FILTER compares fields of the records, as Python would: `state == "waiting" and waiting_s > 5`,
`"smtp" in name`, `waiting_for in ("read", "write")`, `error is not None`, `0.1 < share <= 0.5`.

There are fields (with dots where a record stands in a record), numbers, strings, `True`, `False`, `None`, the
comparisons `== != < <= > >= in not in is`, `and`, `or`, `not` and parentheses; no calls and no arithmetic.  None is
neither less nor greater than anything.  A filter has at most 1000 characters and 20 levels.  It is evaluated where
the result is shown: by the client, or, at the daemon's own text console, by a parser that can do nothing else.

The comparisons of `check --expr` know the fields of the [health record](schemas/health-1.json), and as plain
numbers `threads`, `runnable`, `waiting`, `ended`, `uncaught`, `lag`, `lag_max`, `stall`, `stalls`, and the value of
every check by its name.
"""

SCHEMAS_HEAD = """\
# Schemas

<!-- Made by docs/generate.py from coro/wire/schemas.py.  Do not edit. -->

After this page you can check by machine what the console sends.  Every record that `--json` prints, and that the
[protocol](protocol.md) carries, has a name with a version, and a JSON Schema under that name.

| record | file |
|---|---|
"""

GROUPS = (("look", "Look"), ("act", "Act"), ("session", "The session"))


def pages() -> dict[Path, str]:
    """Path to text, of every file that is generated."""
    found = {DOCS / "commands.md": reference(), DOCS / "schemas.md": list_of_schemas()}
    for name in SCHEMAS:
        text = json.dumps(schema(name), indent=2, ensure_ascii=False)
        found[DOCS / "schemas" / file_name(name)] = f"{text}\n"
    return found


def file_name(schema_name: str) -> str:
    """ "coro.thread/1" is in "thread-1.json"."""
    return schema_name.removeprefix("coro.").replace("/", "-") + ".json"


def reference() -> str:
    """The text of docs/commands.md."""
    parts = [HEAD, overview()]
    for group, title in GROUPS:
        parts.append(f"## {title}\n")
        parts += [section(command) for command in COMMANDS.values() if command.group == group]
    parts.append(FILTER)
    return "\n".join(parts)


def list_of_schemas() -> str:
    """The text of docs/schemas.md."""
    rows = [f"| `{name}` | [{file_name(name)}](schemas/{file_name(name)}) |\n" for name in sorted(SCHEMAS)]
    return SCHEMAS_HEAD + "".join(rows)


def overview() -> str:
    """A table of all commands, one line each."""
    lines = ["| command | what it does | role |", "|---|---|---|"]
    for command in COMMANDS.values():
        link = f"[`{command.name}`](#{command.name})"
        lines.append(f"| {link} | {escaped(command.summary)} | {command.role} |")
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Text for a cell of a table."""
    return text.replace("|", "\\|")


def section(command: Command) -> str:
    """Everything about one command."""
    lines = [f"### {command.name}", "", "```", usage(command), "```", ""]
    summary = command.summary[:1].upper() + command.summary[1:]
    lines += [f"{summary}.{'  ' + command.description if command.description else ''}", ""]
    if command.parameters:
        lines += ["| argument | meaning | default |", "|---|---|---|"]
        lines += [row(parameter) for parameter in command.parameters]
        lines.append("")
    lines += [facts(command), ""]
    if command.examples:
        examples = ", ".join(f"`{example}`" for example in command.examples)
        lines += [f"{'Example' if len(command.examples) == 1 else 'Examples'}: {examples}", ""]
    return "\n".join(lines)


def row(parameter: Parameter) -> str:
    """One argument, as a line of a table."""
    if not parameter.option:
        spelling = f"`{metavar(parameter)}`"
    elif parameter.kind == "flag":
        spelling = ", ".join(f"`{option}`" for option in parameter.option)
    else:
        spelling = ", ".join(f"`{option} {metavar(parameter)}`" for option in parameter.option)
    notes = [f"`{parameter.name}` in JSON"]
    if parameter.presentation:
        notes = ["presentation: not sent"]
    if parameter.many:
        notes.append("a list")
    default = "required" if parameter.required else "-" if parameter.default is None else f"`{parameter.default}`"
    return f"| {escaped(spelling)} | {escaped(parameter.summary)} ({', '.join(notes)}) | {default} |"


def facts(command: Command) -> str:
    """Role, place, result."""
    place = {"prompt": "at the prompt only", "shell": "at the shell only"}.get(command.where, "at prompt and shell")
    result = f"[{command.schema}](schemas/{file_name(command.schema)})"
    result = f"a list of {result}" if command.many else result
    sentinel = "; **sentinel**" if command.by_sentinel else ""
    return f"Role {command.role}; {place}; result: {result}{sentinel}."


def stale(wanted: dict[Path, str]) -> list[str]:
    """What is wrong with the files on disk, a line each."""
    found = []
    for path, text in wanted.items():
        if not path.exists():
            found.append(f"{path.relative_to(DOCS.parent)} is missing")
        elif path.read_text(encoding="utf-8") != text:
            found.append(f"{path.relative_to(DOCS.parent)} is stale")
    for path in sorted((DOCS / "schemas").glob("*.json")):
        if path not in wanted:
            found.append(f"{path.relative_to(DOCS.parent)} belongs to no record")
    return found


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0, or 1 if --check found stale files, 2 for wrong usage."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python docs/generate.py [--check]\n")
        return 2
    wanted = pages()
    if arguments:
        problems = stale(wanted)
        for problem in problems:
            sys.stderr.write(f"{problem}: run python docs/generate.py\n")
        return 1 if problems else 0
    (DOCS / "schemas").mkdir(exist_ok=True)
    for path, text in wanted.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
