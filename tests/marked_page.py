"""A table in a page of the documentation, between two marks."""

from pathlib import Path

__all__ = ["write_between"]


def write_between(page: Path, begin: str, end: str, table: str) -> None:
    """Put the table between the page's marks.  Raises SystemExit if it lacks one."""
    text = page.read_text(encoding="utf-8")
    before, found, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise SystemExit(f"{page} lacks the marks {begin} and {end}")
    page.write_text(f"{before}{begin}\n\n{table}\n\n{end}{after}", encoding="utf-8")
