"""The documentation as a site: it builds without a warning, no link is dead, and its reference is whole."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

import pytest

import coro
import coro.aio
import coro.backdoor
import coro.dns
import coro.emulation
import coro.inspect
import coro.profiler
import coro.ssl
import coro.testing
from docs import diagrams
from docs.drawing import Drawing
from docs.plain_docstrings import rst_lines

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
DIRECTIVE = re.compile(r"^\.\. (?:auto\w+|py:\w+):: +(?P<name>[\w.]+)$", re.MULTILINE)
MARKDOWN_LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")

# What the tables of docs/migration-gevent.md call an object of these classes.
STANDS_FOR = {
    "thread": "coro.coro",
    "group": "coro.Group",
    "pool": "coro.Pool",
    "queue": "coro.fifo",
    "server": "coro.Server",
    "sock": "coro.sock",
    "greenlet": "gevent.Greenlet",
    "gpool": "gevent.pool.Pool",
    "gqueue": "gevent.queue.Queue",
    "gserver": "gevent.server.StreamServer",
}


# -- the reference


def described() -> Counter[str]:
    """How often each name is described in docs/reference/, as written after its directive."""
    pages = sorted((DOCS / "reference").glob("*.md"))
    return Counter(name for page in pages for name in DIRECTIVE.findall(page.read_text(encoding="utf-8")))


def test_every_public_name_is_in_the_reference_exactly_once() -> None:
    times = described()

    assert {name: times[f"coro.{name}"] for name in coro.__all__ if times[f"coro.{name}"] != 1} == {}


def test_names_in_the_reference_are_public() -> None:
    public = {f"coro.{name}" for name in coro.__all__}

    # coro.now is computed when it is asked for, so it cannot stand in __all__.
    assert {name for name in described() if re.fullmatch(r"coro\.\w+", name)} - public == {
        "coro.now",
        "coro.testing",
        "coro.inspect",
        "coro.records",
        "coro.resolve",
        "coro.backdoor",
        "coro.profiler",
        "coro.emulation",
        "coro.ssl",
        "coro.dns",
        "coro.aio",
        "coro.gunicorn",
    }


@pytest.mark.parametrize(
    "module",
    [
        coro.testing,
        coro.inspect,
        coro.backdoor,
        coro.profiler,
        coro.emulation,
        coro.ssl,
        coro.dns,
        coro.aio,
    ],
    ids=lambda module: module.__name__,
)
def test_public_names_of_a_module_that_is_described_as_a_whole_have_docstrings(module: ModuleType) -> None:
    assert described()[module.__name__] == 1
    assert [name for name in module.__all__ if not (getattr(module, name).__doc__ or "").strip()] == []


# -- the site


class Page(HTMLParser):
    """The anchors of a page, and where its links lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the tag is called and where it leads."""
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif name in ("href", "src") and value:
                self.links.add(value)


# A build takes ten seconds where nothing else runs.
BUILD_LIMIT_S = 150


def with_site(test: Callable[[Path], None]) -> Callable[[Path], None]:
    """Mark a test that needs the site."""
    return pytest.mark.slow(pytest.mark.timeout(BUILD_LIMIT_S + 20)(test))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built by Sphinx with every warning as an error."""
    pytest.importorskip("sphinx")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-n", "-W", "--keep-going", "-q", "-b", "html", "docs", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=BUILD_LIMIT_S,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"the site cannot be built:\n{done.stdout}{done.stderr}", pytrace=False)
    return folder


@with_site
def test_links_of_the_site_lead_to_something(site: Path) -> None:
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    dead = [
        f"{path.relative_to(site)}: {link}"
        for path, page in pages.items()
        for link in sorted(page.links)
        if leads_nowhere(path, link, pages)
    ]

    assert len(pages) > 40
    assert dead == []


def leads_nowhere(page: Path, link: str, pages: dict[Path, Page]) -> bool:
    """Say whether a link within the site is dead."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return False
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if target not in pages:
        return not target.exists()
    return bool(parts.fragment) and unquote(parts.fragment) not in pages[target].anchors


def test_a_dead_link_is_noticed(tmp_path: Path) -> None:
    page, other = tmp_path / "a.html", tmp_path / "b.html"
    other.write_text("")
    pages = {page: Page('<h1 id="top">'), other: Page('<p id="x y">')}

    links = ["#top", "b.html#x%20y", "b.html", "https://example.org/", "#none", "b.html#top", "c.html", "c.png"]
    assert [link for link in links if leads_nowhere(page, link, pages)] == links[4:]


@with_site
def test_the_site_has_what_docstrings_say(site: Path) -> None:
    page = (site / "reference" / "threads.html").read_text(encoding="utf-8")

    assert 'id="coro.spawn"' in page
    assert 'id="coro.coro.join"' in page
    # The name is a link, although the docstring is plain text.
    assert re.search(r'href="[^"]*#coro\.spawn"[^>]*><code[^>]*><span class="pre">spawn\(\)', page)


@with_site
def test_pages_ask_the_network_for_nothing(site: Path) -> None:
    foreign = re.compile(r'<(?:script|link|img)\b[^>]*(?:src|href)="(?:https?:)?//')

    assert [path.name for path in site.rglob("*.html") if foreign.search(path.read_text(encoding="utf-8"))] == []


def test_links_of_the_readme_lead_to_something() -> None:
    targets = MARKDOWN_LINK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    local = [target for target in targets if not urlsplit(target).scheme]

    assert len(local) > 20
    assert [target for target in local if not (ROOT / target.partition("#")[0]).exists()] == []


# -- how docstrings are read


def rendered(*lines: str) -> list[str]:
    return [line for line in rst_lines(list(lines)) if line]


def test_parameters_become_a_list() -> None:
    assert rendered("Wait.", "", "fd: a number.  timeout: seconds,", "    None for ever.", "Returns it.") == [
        "Wait.",
        "* **fd**: a number.",
        "* **timeout**: seconds,",
        "  None for ever.",
        "Returns it.",
    ]


def test_markup_by_accident_is_text() -> None:
    assert rendered("Call f(*args, **kw) of a_b_ | c.") == [r"Call f(\*args, \*\*kw) of a\_b\_ \| c."]


def test_programs_stay_as_they_are() -> None:
    assert rendered("So:", "", "    with x:", "        f(*y)", "", "And on.") == [
        *("So:", "::", "        with x:", "            f(*y)", "And on."),
    ]


def test_public_names_become_links_and_others_do_not() -> None:
    [line] = rendered("As set_exit(), coro.fifo, Shutdown and foo(); `a * b`.")

    assert line.split("\\ ") == [
        "As ",
        ":py:obj:`set\\_exit() <coro.set_exit>`",
        ", ",
        ":py:obj:`coro.fifo <coro.fifo>`",
        ", ",
        ":py:obj:`Shutdown <coro.Shutdown>`",
        " and foo(); ",
        "``a * b``",
        ".",
    ]


# -- the pictures


def test_pictures_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert diagrams.main(["--check"]) == 0, capsys.readouterr().err


def test_a_stale_picture_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert diagrams.main([], tmp_path) == 0
    (tmp_path / "loop.svg").write_text("<svg/>")
    (tmp_path / "byte.svg").unlink()

    assert diagrams.main(["--check"], tmp_path) == 1
    said = capsys.readouterr().err
    assert "loop.svg is stale" in said
    assert "byte.svg is missing" in said
    assert "thread.svg" not in said


def test_words_that_do_not_fit_their_box_are_refused() -> None:
    drawing = Drawing(100, 100, "a drawing", "")

    with pytest.raises(ValueError, match="a drawing: 'far too many words' needs"):
        drawing.box(0, 0, 80, 40, "far too many words")
    with pytest.raises(ValueError, match="needs a height of"):
        drawing.box(0, 0, 80, 40, "a\nb\nc")


# -- the tables of equivalents


def names_of_column(column: int) -> list[str]:
    """The dotted names in one column of the table in docs/migration-gevent.md."""
    found = []
    for line in (DOCS / "migration-gevent.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| "):
            for code in re.findall(r"`([^`]+)`", line.split("|")[column]):
                if name := re.match(r"[a-z]+(?:\.\w+)+", code):
                    found.append(name[0])
    return found


def is_missing(name: str) -> bool:
    """Say whether a dotted name cannot be resolved, modules being imported on the way."""
    first, _, rest = name.partition(".")
    path, *parts = f"{STANDS_FOR.get(first, first)}.{rest}".split(".")
    thing: object = importlib.import_module(path)
    for part in parts:
        path = f"{path}.{part}"
        try:
            thing = getattr(thing, part) if hasattr(thing, part) else importlib.import_module(path)
        except ImportError:
            return True
    return False


def test_equivalents_in_coro_exist() -> None:
    names = names_of_column(3)

    assert len(names) > 40
    assert [name for name in names if is_missing(name)] == []
    assert is_missing("coro.fifo.put")


def test_equivalents_in_gevent_exist() -> None:
    pytest.importorskip("gevent")
    names = names_of_column(1)

    assert len(names) > 40
    assert [name for name in names if is_missing(name)] == []
