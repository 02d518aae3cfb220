"""The benchmarks run: every row, with whatever peers are installed, tiny.  No test here looks at a time.

What is not installed is the missing peer: its row says so and the run goes on.
"""

import ast
import dataclasses
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from benchmarks import full, measurement, page, quick, runner, sections, unaccounted
from benchmarks.machine import OWN, PEERS, Machine
from benchmarks.report import Sample
from benchmarks.results import HotSpot, Measured, Profile, Results, ResultsError, read, write
from benchmarks.rows import ROWS, Contender, Load, Row, smoke
from benchmarks.summary import Outcome, compare, ratio_spread

ROOT = Path(__file__).parent.parent
SCHEMA = json.loads((ROOT / "benchmarks" / "results-1.json").read_text())
HAS_MATPLOTLIB = importlib.util.find_spec("matplotlib") is not None


def contender(label: str, bound: float | None = None, library: str = "coro") -> Contender:
    return Contender(label, library, "yields", (2, 10), bound)


def row_of(*peers: Contender, fastest_way_only: bool = False) -> Row:
    return Row("yield-2", "CPU per yield", "us", contender("coro"), peers, fastest_way_only=fastest_way_only)


def measured_by(outcomes: list[Outcome]) -> Measured:
    subject, *peers = (outcome.contender for outcome in outcomes)
    return Measured(Row("yield-2", "CPU per yield", "us", subject, tuple(peers)), tuple(outcomes), 0.5)


def results_of(*measured: Measured, is_smoke: bool = False) -> Results:
    machine = Machine("CPython 3.11.7", "Linux 6.18", "a processor", 2, 1, 0, 0.1, {"coro": "1", "trio": None})
    spot = HotSpot(0.5, "coro.scheduler.park()", "a | b")
    profiles = (Profile("yield", "yield, 1000 threads", 10, 0.25, (spot,)),)
    return Results(machine, "2026-01-31", is_smoke, 5, 3, 60.0, measured, profiles)


# -- all of it, tiny


def smoke_run(folder: Path, *options: str) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Run everything tiny, with a gevent that cannot be imported."""
    broken = folder / "broken"
    broken.mkdir()
    (broken / "gevent.py").write_text("raise ImportError('gevent is broken on purpose')\n")
    path = folder / "results.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.full", "--smoke", "--json", str(path), *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(broken)},
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    jsonschema.validate(json.loads(path.read_text()), SCHEMA)
    return done, path


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, len(ROWS), 3))
def test_smoke_run_measures_every_peer_that_works_and_names_one_that_does_not(tmp_path: Path, first: int) -> None:
    rows = [row.name for row in ROWS[first : first + 3]]

    done, path = smoke_run(tmp_path, "--no-profile", "--only", ",".join(rows))

    results = read(path)
    assert results.smoke
    assert [one.row.name for one in results.measured] == rows
    broken = "failed: ImportError: gevent is broken on purpose"
    for one in results.measured:
        for outcome in one.outcomes:
            library = outcome.contender.library
            there = library in OWN or importlib.util.find_spec(library) is not None
            expected = broken if library == "gevent" else "" if there else "not installed"
            assert outcome.note == (outcome.contender.left_out or expected), (one.row.name, outcome.contender.label)
            assert len(outcome.samples) == (0 if outcome.note else 1)
            assert not outcome.note or outcome.note in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not HAS_MATPLOTLIB, reason="matplotlib is not installed: make bench installs it")
def test_page_and_pictures_are_made_of_a_run(tmp_path: Path) -> None:
    _, path = smoke_run(tmp_path, "--only", "echo-10,yield-10,memory")
    for private in (str(ROOT), str(Path.home()), os.uname().nodename):
        # A host called "x" would be found in any text.
        assert len(private) < 4 or private not in path.read_text()
    copy = tmp_path / "performance.md"
    copy.write_text(page.PAGE.read_text())
    command = [sys.executable, "-m", "benchmarks.page", str(path), "--smoke"]
    command += ["--page", str(copy), "--pictures", str(tmp_path)]

    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=20)

    text = copy.read_text()
    assert "- gevent, in `echo-10`" in text
    assert re.search(r"^\| resident bytes per idle thread.* bytes \|", text, re.MULTILINE)
    assert "**echo, 100 connections**: " in text
    for name in sections.PICTURES:
        picture = (tmp_path / name).read_text()
        assert f"pictures/{name}" in text
        assert "prefers-color-scheme: dark" in picture
        assert re.search(r'<path [^>]*stroke="#0550ae"', picture)
        assert '[stroke="#0550ae"] { stroke: #58a6ff }' in picture
    # A second time nothing changes: the parts are replaced, not added.
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=20)
    assert copy.read_text() == text


@pytest.mark.slow
def test_ourselves_failing_is_a_failure_of_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "coro"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise ImportError('no runtime today')\n")
    path = tmp_path / "results.json"
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from benchmarks import full, measurement\n"
        f"measurement.ROOT = {str(tmp_path)!r}\n"
        "sys.exit(full.main(['--smoke', '--no-profile', '--only', 'fifo', '--json', sys.argv[1]]))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, str(path)],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )

    assert done.returncode == 1, done.stderr
    outcome = read(path).measured[0].outcomes[0]
    assert outcome.note == "failed: ImportError: no runtime today"


def test_profile_names_the_lines_that_run_and_how_much_the_kernel_has() -> None:
    document = measurement.profiled(Contender("coro", "coro", "yields", (100, 4000)))

    taken = Profile("x", "x", document["samples"], document["system_share"], ())
    spots = [HotSpot(**spot) for spot in document["spots"]]
    assert taken.samples > 0
    assert 0 <= taken.system_share < 1
    assert sum(spot.share for spot in spots) <= 1.001
    assert "coro.scheduler.yield_slice()" in [spot.function for spot in spots]
    assert all(spot.source for spot in spots)


# -- what is compared


def test_rows_cover_every_bound_and_every_peer() -> None:
    names = {row.name for row in ROWS}

    assert {f"echo-{10**power}" for power in range(1, 5)} <= names
    assert {f"yield-{10**power}" for power in range(1, 6)} <= names
    libraries = {peer.library for row in ROWS for peer in row.peers}
    assert libraries == {*PEERS, *OWN}
    # Of performance.md's table, with echo at 100 connections counted three times and spawn for both shapes; and
    # echo over TLS twice.
    assert sum(peer.bound is not None for row in ROWS for peer in row.peers) == 25


def test_scenarios_of_rows_exist_and_take_their_smoke_sizes() -> None:
    for row in ROWS:
        for one in smoke(row).contenders():
            assert one.load is None or one.load.connections < 10
            module = (
                "coro" if one.library == "unaccounted" else "asyncio" if one.library == "uvloop" else one.library
            )
            source = (ROOT / "benchmarks" / f"on_{module}.py").read_text()
            assert re.search(rf'^    "{one.scenario}": {one.scenario},$', source, re.MULTILINE), (row.name, one)


def test_quick_keeps_rows_short_and_peers_with_bounds() -> None:
    options = quick.parse(["--only", "echo,fifo"])

    assert [row.name for row in options.rows] == ["echo-1", "echo-100", "echo-1000", "fifo"]
    assert [peer.label for peer in options.rows[1].peers] == ["gevent", "uvloop streams", "uvloop Protocol"]
    assert [peer.label for peer in options.rows[3].peers] == ["gevent"]


def test_ratio_takes_only_rounds_in_which_both_were_measured() -> None:
    ratio = ratio_spread([1.0, 2.0, 90.0], [2.0, 2.0])

    assert ratio is not None
    assert (ratio.middle, ratio.low, ratio.high) == (0.75, 0.5, 1.0)


def test_cheapest_way_of_each_library_is_compared() -> None:
    ways = [contender("a-one", 0.5, "a"), contender("a-two", 0.5, "a"), contender("b", None, "b")]
    costs = [10, 30, 20, 40]
    row = row_of(*ways, fastest_way_only=True)
    outcomes = [Outcome(one, (Sample(cost, 1),)) for one, cost in zip([row.subject, *ways], costs, strict=True)]

    assert [one.peer_label for one in compare(row, outcomes)] == ["a-two", "b"]


def test_peer_without_bound_is_measured_in_first_rounds_only(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def measure(one: Contender) -> Sample:
        asked.append(one.label)
        return Sample(1, 1)

    monkeypatch.setattr(runner, "measure", measure)
    row = row_of(contender("bound", 0.5), contender("free"))

    outcomes = runner.run_row(row, 3, 1)

    assert asked == ["coro", "bound", "free", "coro", "bound", "coro", "bound"]
    assert [len(outcome.samples) for outcome in outcomes] == [3, 3, 1]


def test_peer_that_fails_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def measure(one: Contender) -> Sample:
        tried.append(one.label)
        if one.label == "bad":
            raise measurement.MeasurementError("bad: ended with status 1", "Traceback:\n  x\nOSError: no luck\n")
        return Sample(1, 1)

    monkeypatch.setattr(runner, "measure", measure)

    ours, bad = runner.run_row(row_of(contender("bad", 0.5)), 2)

    assert tried == ["coro", "bad", "coro"]
    assert len(ours.samples) == 2
    assert bad == Outcome(contender("bad", 0.5), (), "failed: OSError: no luck")
    assert runner.failures([ours, bad]) == [bad]


def test_absent_peer_and_too_many_connections_are_said() -> None:
    row = row_of()

    assert runner.absence(row, contender("x", library="no_such_library")) == "not installed"
    assert runner.absence(row, contender("x")) == ""
    crowd = dataclasses.replace(contender("x"), load=Load(10_000_000))
    assert re.fullmatch(r"needs 10000064 descriptors, the limit is \d+", runner.absence(row, crowd))


def test_reason_of_a_failure_is_one_line_without_paths() -> None:
    error = measurement.MeasurementError(
        "x: ended", f"Warning: y\nOSError: cannot open {ROOT}/z\nimport eventlet\n"
    )

    assert error.reason == "OSError: cannot open …/z"
    assert measurement.MeasurementError("x: did not finish\nmore").reason == "x: did not finish"


def test_worker_that_prints_no_sample_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurement, "_command", lambda *_: [sys.executable, "-c", "print('hello')"])

    with pytest.raises(measurement.MeasurementError, match="x: "):
        measurement.measure(contender("x"))


# -- the runtime without its accounting


def test_accounting_is_found_in_the_sources_and_taken_out() -> None:
    trees: dict[str, ast.Module] = {}
    for change in unaccounted.CHANGES:
        source = (ROOT / f"{change.module.replace('.', '/')}.py").read_text()
        unaccounted.changed(trees.setdefault(change.module, ast.parse(source)), change)

    text = "\n".join(map(ast.unparse, trees.values()))
    assert "me.run_time_ns +=" not in text.partition("def _failed")[0]
    assert "self.lag_histogram[took" not in text


def test_sources_that_have_changed_fail_clearly() -> None:
    change = unaccounted.Change("coro.scheduler", "park", "now = self.clock()")

    with pytest.raises(unaccounted.ChangeError, match=r"coro.scheduler must have one function park\(\), it has 0"):
        unaccounted.changed(ast.parse("x = 1"), change)
    for body, times in (("pass", 0), ("now = self.clock(); now = self.clock()", 2)):
        with pytest.raises(unaccounted.ChangeError, match=rf"has them {times} times:now = self.clock\(\)"):
            unaccounted.changed(ast.parse(f"def park(self): {body}"), change)


def test_runtime_without_accounting_works_and_leaves_no_trace() -> None:
    program = (
        "import sys\n"
        "from benchmarks import on_unaccounted, unaccounted\n"
        "assert on_unaccounted.run('yields', [2, 100]).count == 200\n"
        "from coro.scheduler import scheduler\n"
        "assert scheduler.ended_count == 0, 'threads were accounted for'\n"
        "try:\n"
        "    unaccounted.install()\n"
        "except RuntimeError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "coro.scheduler was imported before" in done.stdout

    # Nor does the changed module come back from a cache.
    check = (
        "import coro; coro.run(coro.yield_slice); from coro.scheduler import scheduler as s; print(s.ended_count)"
    )
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1"]


# -- results and the page


def test_results_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    samples = (Sample(1000, 2, 0.5), Sample(3000, 2))
    served = dataclasses.replace(contender("served", 0.5), load=Load(10, 1, 2), arguments=())
    results = results_of(
        measured_by([Outcome(contender("coro"), samples), Outcome(served, (), "not installed")]),
    )
    path = tmp_path / "results.json"

    write(results, path)

    assert read(path) == results
    jsonschema.validate(json.loads(path.read_text()), SCHEMA)
    path.write_text(path.read_text().replace("coro-benchmarks/1", "coro-benchmarks/2"))
    with pytest.raises(ResultsError, match="has the format 'coro-benchmarks/2', not 'coro-benchmarks/1'"):
        read(path)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": "coro-benchmarks/0"}', '{"format": "coro-benchmarks/1"}']
)
def test_file_that_is_no_results_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)

    with pytest.raises(
        ResultsError, match=f"^{re.escape(str(path))} (holds no|has the format 'coro-benchmarks/0')"
    ):
        read(path)


def test_sections_show_figures_gaps_and_verdicts() -> None:
    cheap, dear = (Sample(1000, 1),) * 2, (Sample(4000, 1),) * 2
    results = results_of(
        measured_by(
            [
                Outcome(contender("coro"), cheap),
                Outcome(contender("gevent", 0.5, "gevent"), dear),
                Outcome(contender("trio", 0.5, "trio"), (), "not installed"),
            ]
        )
    )

    texts = sections.sections(results)

    assert "| CPU per yield | 1.00 µs | gevent 4.00 µs | 0.25 (0.25–0.25) | 0.50 |  | reached |" in texts["bounds"]
    assert "|  |  | trio – | – | 0.50 |  | trio not installed |" in texts["bounds"]
    assert texts["gaps"] == "- trio, in `yield-2`: not installed"
    assert "| CPU per yield | 1.00 µs | 4.00 µs | – | – | – | – | – |" in texts["tasks"]
    assert "coro 1;" in texts["run"]
    assert "probability of 94%" in texts["run"]
    assert r"`a \| b`" in texts["profile"]


def test_page_has_exactly_the_parts_that_are_filled_in() -> None:
    text = page.PAGE.read_text()

    filled = page.filled(text, {name: f"text of {name}" for name in sections.sections(results_of())})

    assert "text of bounds" in filled
    with pytest.raises(page.PageError, match="the page must have the marked parts"):
        page.filled(text.replace("<!-- measured: bounds -->", ""), sections.sections(results_of()))


def test_no_page_is_made_of_a_smoke_run() -> None:
    page.check(results_of(is_smoke=True), Path("x.json"), smoke=True)
    with pytest.raises(page.PageError, match=r"x\.json is from a smoke run"):
        page.check(results_of(is_smoke=True), Path("x.json"), smoke=False)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--only", "nonsense"], "no row nonsense"),
        (["--rounds", "0"], "rounds must be at least 1"),
        (["--rounds", "2", "--unbounded-rounds", "3"], "got 2 and 3"),
        (["--smoke"], "a smoke run needs --json"),
        (["--json", "/no/such/folder/x.json"], "cannot write to"),
    ],
)
def test_mistakes_on_the_command_line_are_named(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        full.parse(arguments)

    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err
