"""What the worms add to their console, driven by the `coro` command; and the README's picture of such a session."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from docs.capture import BEGIN, END, PLACE, excerpt, without_place
from docs.picture import GROUNDS, LEAST_CONTRAST, contrast, legible, svg
from examples.worms.terminal import Terminal
from tests.examples.program import ROOT, TIME_LIMIT_S, Program

PICTURES = ROOT / "docs" / "pictures"
SVG = "{http://www.w3.org/2000/svg}"

COMMANDS = [
    r"coro ps -s run -n 8",
    r"coro where all --group -n 2",
    r"coro interrupt \d+",
    r"coro selfish \d+ 2",
    r"coro check --require queen",
    r"echo \$\?",
    r"coro attach",
]


@pytest.fixture(autouse=True)
def own_directory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The daemon's socket lies where nobody else looks."""
    # Not tmp_path: a socket's path is 107 bytes long at most.
    folder = tempfile.mkdtemp(prefix="coro-", dir="/tmp")
    monkeypatch.setenv("CORO_RUNTIME_DIRECTORY", folder)
    monkeypatch.delenv("CORO_TARGET", raising=False)
    yield
    shutil.rmtree(folder)


Ask = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def ask(serve: Callable[..., Program]) -> Ask:
    """Give ask(word, ...): the `coro` command, with a daemon of five worms."""
    server = serve("examples.worms", "--worms", 5, "--seed", 1)
    pid = server.wait_for(r"coro -t (\d+) attach\n")[1]

    def coro(*words: object) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "coro.console", "-t", pid, *map(str, words)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIME_LIMIT_S)

    return coro


# -- the daemon's own commands and its check


@pytest.mark.slow
def test_worms_lists_the_longest(ask: Ask) -> None:
    listed = json.loads(ask("worms", "--json").stdout)
    threads = {thread["id"]: thread["name"] for thread in json.loads(ask("ps", "--json").stdout)}

    assert len(listed) == 5
    assert {worm["id"]: worm["name"] for worm in listed}.items() <= threads.items()
    lengths = [worm["length"] for worm in listed]
    assert lengths == sorted(lengths, reverse=True)
    assert len(json.loads(ask("worms", "--longest", 2, "--json").stdout)) == 2
    assert ask("worms", "--longest", 1).stdout.split()[:6] == ["id", "name", "length", "wanted", "x", "y"]


@pytest.mark.slow
def test_feed_makes_a_worm_grow(ask: Ask) -> None:
    worm = json.loads(ask("worms", "--json").stdout)[0]

    done = ask("feed", worm["id"], "--squares", 7)

    grown = worm["wanted"] + 7
    assert done.stdout == f"{worm['name']} wants to be {grown} squares long, was {worm['wanted']}\n"
    assert {each["id"]: each["wanted"] for each in json.loads(ask("worms", "--json").stdout)}[worm["id"]] == grown


@pytest.mark.slow
def test_only_worms_are_fed(ask: Ask) -> None:
    done = ask("feed", 1)

    assert (done.returncode, done.stdout) == (1, "")
    assert "thread 1 is no worm; `worms` lists some" in done.stderr
    assert ask("feed").returncode == 2


@pytest.mark.slow
def test_health_knows_of_the_arena(ask: Ask) -> None:
    assert ask("check").returncode == 0

    # Nobody can move, and nobody gives up within the next second.
    assert ask("eval", "for row in arena.rows: row[:] = [1] * len(row)").returncode == 0
    crowded = ask("check")
    assert crowded.returncode == 1
    assert crowded.stdout.startswith("WARNING - the arena is crowded: 0 squares of 8000 are free | ")

    assert ask("eval", "colony.cull(5)").stdout == "5\n"
    nobody = ask("check")
    assert nobody.returncode == 2
    assert nobody.stdout.startswith("CRITICAL - no worm lives | ")


@pytest.mark.slow
def test_daemon_ends_with_its_input_if_told_so(start: Callable[..., Program]) -> None:
    daemon = start([sys.executable, "-m", "examples.worms", "--worms", "5", "--until-eof"], has_input=True)
    daemon.wait_for("attach\n")

    daemon.end_input()

    assert daemon.wait() == 0
    assert daemon.errors == ""


# -- the picture


def test_captured_text_is_the_whole_session() -> None:
    text = (PICTURES / "console.txt").read_text(encoding="utf-8")
    commands = re.findall(r"^\$ (.+)$", text, re.MULTILINE)

    assert len(commands) == len(COMMANDS)
    for command, pattern in zip(commands, COMMANDS, strict=True):
        assert re.fullmatch(pattern, command)
    for said in (
        r"^interrupted thread \d+ 'worm-.+' with Interrupted$",
        r"^max selfish acts of thread \d+ 'worm-.+': 2, was 4$",
        r"^CRITICAL - no thread queen \| ",
        r"^\$ echo \$\?\n2$",
        r">>> len\(colony\)\n199$",
        r">>> while True: pass\n +\.\.\.\n\^CTraceback",
        r"^coro\.LineInterrupted: interrupted by Ctrl-C$",
        r">>> colony\.\n +add +function",
    ):
        assert re.search(said, text, re.MULTILINE), said


@pytest.mark.parametrize("name", ["console.txt", "console.svg"])
def test_capture_shows_nothing_of_the_machine(name: str) -> None:
    text = (PICTURES / name).read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")

    paths = re.findall(r"(?<![\w.…<*])/[A-Za-z][\w/.-]*", text)

    assert [path for path in paths if not path.startswith(f"{PLACE}/")] == []
    assert any(path.startswith(f"{PLACE}/examples/worms/") for path in paths)


def test_picture_shows_the_captured_text() -> None:
    root = ElementTree.fromstring((PICTURES / "console.svg").read_text(encoding="utf-8"))
    rows: dict[float, str] = {}
    for text in root.iter(f"{SVG}text"):
        y = float(text.attrib["y"])
        rows[y] = rows.get(y, "") + (text.text or "")

    lines = (PICTURES / "console.txt").read_text(encoding="utf-8").splitlines()
    shown = ["".join(row.split()) for _, row in sorted(rows.items())]
    assert shown == ["".join(line.split()) for line in lines]


def test_picture_stands_alone_and_explains_itself() -> None:
    source = (PICTURES / "console.svg").read_text(encoding="utf-8")
    root = ElementTree.fromstring(source)

    assert root.attrib["role"] == "img"
    assert root.attrib["aria-labelledby"] == "title desc"
    assert root.findtext(f"{SVG}title") and root.findtext(f"{SVG}desc")
    assert "prefers-color-scheme: dark" in source
    assert source.count("http") == 1
    assert not re.search(r"url\(|href|@import|@font-face|<image|<script", source)


def test_readme_shows_a_part_of_the_capture_and_the_picture() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    text = (PICTURES / "console.txt").read_text(encoding="utf-8")

    block = readme.partition(BEGIN)[2].partition(END)[0]

    assert block == f"```text\n{excerpt(text)}```\n"
    assert [line for line in block.splitlines() if line.startswith("$ ")]
    assert "](docs/pictures/console.svg)" in readme


@pytest.mark.slow
def test_capture_of_today_is_like_the_committed_one(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "docs.capture", str(tmp_path / "pictures")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        env={key: value for key, value in os.environ.items() if key != "CORO_RUNTIME_DIRECTORY"},
    )

    assert (done.returncode, done.stderr) == (0, "")
    texts = [(folder / "console.txt").read_text(encoding="utf-8") for folder in (PICTURES, tmp_path / "pictures")]
    before, now = (
        [re.sub(r"\d+", "N", line) for line in re.findall(r"^\$ .+|.*>>>.*$", text, re.MULTILINE)] for text in texts
    )
    assert now == before
    ElementTree.parse(tmp_path / "pictures" / "console.svg")


def test_folder_of_the_project_is_hidden_also_where_it_is_cut() -> None:
    assert without_place(f"  {ROOT}/coro/loop.py:7 run") == f"  {PLACE}/coro/loop.py:7 run"
    end = str(ROOT)[2:]
    assert without_place(f"at …{end}/coro/loop.py:7") == "at …/coro/loop.py:7"
    assert without_place("at …s/colony.py:57") == "at …s/colony.py:57"


@pytest.mark.parametrize("behind", [ground for ground, _ in GROUNDS] + [(188, 188, 188), (148, 148, 148)])
def test_every_colour_can_be_read(behind: tuple[int, int, int]) -> None:
    steps = (0, 64, 128, 192, 255)
    for colour in [(red, green, blue) for red in steps for green in steps for blue in steps]:
        assert contrast(legible(colour, behind), behind) >= LEAST_CONTRAST
    assert legible((0, 0, 0), (255, 255, 255)) == (0, 0, 0)


def test_picture_keeps_colours_and_escapes_text() -> None:
    terminal = Terminal(30, 2)
    terminal.receive(b"\x1b[31ma<b\x1b[0m & \x1b[1;4;38;5;21mblue\x1b[0m\r\n\x1b[7m x \x1b[0m")

    source = svg(terminal.rows, 30, "a & b", "c")

    root = ElementTree.fromstring(source)
    texts = {text.text: text.attrib for text in root.iter(f"{SVG}text")}
    assert list(texts) == ["a<b", "&", "blue", "x"]
    rules = dict(re.findall(r"\.(\w+) \{ (.+) \}", source.partition("@media")[0]))
    assert rules[texts["a<b"]["class"]] == "fill: #cf222e"
    assert rules[texts["blue"]["class"]] == "fill: #0000ff; font-weight: bold; text-decoration: underline"
    # Reversed: light on dark, with a box behind it.
    assert rules[texts["x"]["class"]] == "fill: #f6f8fa"
    assert rules[f"{texts['x']['class']}b"] == "fill: #1f2328"
    boxes = [box.attrib for box in root.iter(f"{SVG}rect") if box.attrib["class"] != "ground"]
    assert len(boxes) == 1 and boxes[0]["class"] == f"{texts['x']['class']}b"
