"""The page of the results: `python -m benchmarks.page [RESULTS]` fills in docs/performance.md and draws pictures.

The page's prose is written by hand; what was measured stands between two comments,
`<!-- measured: NAME -->` and `<!-- end of measured -->`, and is replaced as a whole. So no figure of a run is ever
typed, and the prose names none.
"""

import argparse
import importlib
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.results import Results, ResultsError, read
from benchmarks.sections import sections

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results.json"
PAGE = ROOT / "docs" / "performance.md"
PICTURES = ROOT / "docs" / "pictures"
MARKED = re.compile(r"(?P<begin><!-- measured: (?P<name>\w+) -->\n).*?(?P<end><!-- end of measured -->)", re.DOTALL)


class PageError(ValueError):
    """The page cannot be filled in; the message says what is missing."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status, 1 if the results cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__.partition("\n")[0])
    parser.add_argument("results", nargs="?", type=Path, default=RESULTS, help="(default %(default)s)")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to fill in (default %(default)s)")
    parser.add_argument("--pictures", type=Path, default=PICTURES, help="their folder (default %(default)s)")
    parser.add_argument("--smoke", action="store_true", help="take the results of a smoke run, too: for a test")
    options = parser.parse_args(arguments)
    try:
        results = read(options.results)
        check(results, options.results, smoke=options.smoke)
        text = filled(options.page.read_text(encoding="utf-8"), sections(results))
        pictures = drawn(results)
    except (PageError, ResultsError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    for name, picture in pictures.items():
        (options.pictures / name).write_text(picture, encoding="utf-8")
    options.page.write_text(text, encoding="utf-8")
    print(f"filled in {options.page}, drew {', '.join(pictures)}")
    return 0


def drawn(results: Results) -> dict[str, str]:
    """Return the pictures by file name.  Raises PageError without matplotlib."""
    try:
        # Not at the top: all but the pictures works, and is tested, without matplotlib.
        plots = importlib.import_module("benchmarks.plots")
    except ModuleNotFoundError as error:
        raise PageError(f"the pictures need matplotlib, of the extra `bench`: {error}") from error
    pictures: dict[str, str] = plots.pictures(results)
    return pictures


def check(results: Results, path: Path, *, smoke: bool) -> None:
    """Raise PageError for results of which no page should be made."""
    if results.smoke and not smoke:
        raise PageError(f"{path} is from a smoke run: its figures mean nothing")


def filled(page: str, texts: Mapping[str, str]) -> str:
    """Return the page with every marked part replaced by the text of its name.

    Raises PageError if a part has no text, or a text no part.
    """
    names = [match["name"] for match in MARKED.finditer(page)]
    if sorted(names) != sorted(texts):
        raise PageError(f"the page must have the marked parts {sorted(texts)}, it has {sorted(names)}")
    return MARKED.sub(lambda match: f"{match['begin']}\n{texts[match['name']]}\n\n{match['end']}", page)


if __name__ == "__main__":
    sys.exit(main())
