"""A Sphinx extension: the docstrings of coro are plain text, and the reference is made of them.

What a docstring may hold, beside sentences:

* `name: text`, at the beginning of a line: a parameter or an attribute.  Indented lines go on with it.
* Lines that begin with Returns, Raises, Yields and the like: facts of their own.
* `* text` and `- text`: a list.
* A paragraph that is indented: a program.
* `code` between single backquotes.  A public name becomes a link where it has its parentheses, as set_exit(), or
  `coro.` before it, or is that of an exception.

Everything else is taken as it stands: no character of a docstring is markup by accident.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import coro
import coro.exceptions

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

__all__ = ["rst_lines", "setup"]

ITEM = re.compile(r"(?P<names>\*{0,2}[A-Za-z_]\w*(?:, \*{0,2}[A-Za-z_]\w*)*): +(?P<text>\S.*)")
BULLET = re.compile(r"[*-] +(?P<text>\S.*)")
FACT = re.compile(
    r"(Returns|Raises|Yields|Does not yield|Safe from|Outside |Not |None |An interrupted|If the caller)\b"
)
# A bare TimeoutError is the builtin one; ours is written coro.TimeoutError.
EXCEPTIONS = sorted({name for name in vars(coro.exceptions) if name in coro.__all__} - {"TimeoutError"})
WORDS = re.compile(
    r"`(?P<code>[^`]+)`"
    r"|(?<![\w.])(?:coro\.)?(?P<called>\w+)\(\)"
    r"|(?<![\w.])coro\.(?P<dotted>\w+)\b"
    rf"|(?<![\w.])(?P<exception>{'|'.join(EXCEPTIONS)})\b"
)
MARKUP = re.compile(r"([\\*`|_<>])")
# A second parameter in the same line: "events: READ or WRITE.  timeout: seconds."
SECOND = re.compile(r"(?<=\.)  (?=[a-z_]+: )")


def rst_lines(text: list[str]) -> list[str]:
    """Turn a docstring, dedented and in lines, into reStructuredText."""
    out: list[str] = []
    kind = ""
    for line in _one_item_each(text):
        stripped = line.strip()
        indent = len(line) - len(line.lstrip())
        if not stripped:
            kind = kind if kind == "program" else ""
            out.append("")
        elif indent >= 4 and kind in ("", "program"):
            if kind != "program":
                out += ["::", ""]
                kind = "program"
            out.append(f"    {line}")
        elif item := ITEM.fullmatch(stripped) if indent == 0 or kind == "item" else None:
            names = ", ".join(f"**{_escaped(name)}**" for name in item["names"].split(", "))
            out += ["", f"* {names}: {_inline(item['text'])}"]
            kind = "item"
        elif bullet := BULLET.fullmatch(stripped):
            out += ["", f"* {_inline(bullet['text'])}"]
            kind = "item"
        elif kind == "item" and indent:
            out.append(f"  {_inline(stripped)}")
        else:
            if kind != "text" or FACT.match(stripped):
                out.append("")
            out.append(_inline(stripped))
            kind = "text"
    return [*out, ""]


def _one_item_each(lines: list[str]) -> list[str]:
    """Have each parameter begin a line."""
    found: list[str] = []
    for line in lines:
        found += SECOND.split(line) if ITEM.fullmatch(line) else [line]
    return found


def _escaped(text: str) -> str:
    return MARKUP.sub(r"\\\1", text)


def _inline(text: str) -> str:
    """One line: code as code, public names as links, and nothing else as markup."""
    parts, at = [], 0
    for match in WORDS.finditer(text):
        parts.append(_escaped(text[at : match.start()]))
        parts.append(_word(match))
        at = match.end()
    return "".join([*parts, _escaped(text[at:])])


def _word(match: re.Match[str]) -> str:
    if match["code"] is not None:
        # The backslashes let letters follow: `fifo`s.
        return f"\\ ``{match['code']}``\\ "
    name = match["called"] or match["dotted"] or match["exception"]
    if name in coro.__all__ and not isinstance(getattr(coro, name), type(re)):
        return f"\\ :py:obj:`{_escaped(match[0])} <coro.{name}>`\\ "
    return _escaped(match[0])


def process_docstring(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """What autodoc calls with each docstring: it changes the lines in place."""
    lines[:] = rst_lines(lines)


def public_names() -> dict[str, str]:
    """Where an object is defined, to the public name under which the reference has it."""
    return {
        f"{value.__module__}.{value.__qualname__}": f"coro.{name}"
        for name in coro.__all__
        if hasattr(value := getattr(coro, name), "__qualname__")
    }


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, text: nodes.TextElement) -> Any:
    """Find what an annotation names: by its public name, or, if it has none, as text without a link.

    A public name that does not exist stays missing, so that Sphinx warns of it.
    """
    target = node["reftarget"]
    if node.get("refdomain") != "py" or re.fullmatch(r"coro\.\w+", target):
        return None
    public = public_names().get(target)
    if public is None:
        return text
    domain = env.domains.python_domain
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", public, node, text)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    connect: Callable[..., int] = app.connect
    connect("autodoc-process-docstring", process_docstring)
    connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
