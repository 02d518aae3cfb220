"""When a piece of Python that is being typed is complete, as the interactive interpreter sees it.

The daemon has the last word: it may run another version of Python.
"""

from __future__ import annotations

import codeop
import warnings
from collections.abc import Iterable, Iterator

__all__ = ["indentation_after", "is_complete", "pieces"]

# What continues a compound statement that could be complete.
_CONTINUING = ("elif", "else", "except", "finally", "case")


def is_complete(text: str) -> bool:
    """Whether no further line is needed: also True for what is wrong, which the daemon shall tell.

    A block is complete behind an empty line.
    """
    lines = text.split("\n")
    if len(lines) > 1 and not lines[-1].strip():
        # The blanks of the automatic indentation do not make it less empty.
        text = "\n".join(lines[:-1]) + "\n"
    try:
        with warnings.catch_warnings():
            # The daemon will warn, in its own words.
            warnings.simplefilter("ignore")
            return codeop.compile_command(text, "<input>", "single") is not None
    except SyntaxError as error:
        if "multiple statements" not in str(error):
            return True
    except (ValueError, OverflowError, MemoryError, RecursionError):
        return True
    # Several statements were pasted: complete unless the last one is a block that may go on.
    return not lines[-1].startswith((" ", "\t")) or not lines[-1].strip()


def indentation_after(text: str) -> str:
    """The blanks with which the next line begins."""
    last = text.split("\n")[-1]
    blanks = last[: len(last) - len(last.lstrip())]
    return blanks + "    " if last.rstrip().endswith(":") else blanks


def pieces(lines: Iterable[str]) -> Iterator[str]:
    """The pieces that lines from a pipe make, each ready to be sent; a command behind a colon is one by itself.

    A block ends at an empty line, as typed, but also where a line without indentation follows, as in a file.
    """
    kept: list[str] = []
    for line in lines:
        line = line.rstrip("\r\n")
        if kept and _begins_anew(line) and is_complete("\n".join([*kept, ""])):
            yield "\n".join(kept)
            kept = []
        kept.append(line)
        if (len(kept) == 1 and line.startswith(":")) or is_complete("\n".join(kept)):
            yield "\n".join(kept)
            kept = []
    if kept:
        yield "\n".join(kept)


def _begins_anew(line: str) -> bool:
    """Whether the line may be the first one of a statement."""
    if not line.strip() or line[0] in " \t)]}":
        return False
    word = "".join(char if char.isalnum() else " " for char in line).split(" ", 1)[0]
    return word not in _CONTINUING
