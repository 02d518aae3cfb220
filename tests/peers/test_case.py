"""How a case is judged, and that a program which fails is noticed."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest

from tests.marked_page import write_between
from tests.peers import __main__ as command
from tests.peers import case as case_module
from tests.peers import loopback
from tests.peers import page as page_module
from tests.peers.case import CASES, LATE_LIMIT_S, MAX_OS_THREADS, Case, fault_of, run_case
from tests.peers.page import FOLDER, PAGES, faults_of_page
from tests.peers.server import HOST, MissingProgram, find_program, listening, python_server
from tests.test_docs_examples import examples_of

GOOD = {
    "fault": None,
    "library": "a library",
    "threads": 10,
    "answers": 50,
    "seconds": 1.0,
    "cpu_s": 0.5,
    "os_threads": 2,
    "ticks": 100,
    "worst_own_s": 0.01,
    "worst_late_s": 0.2,
    "machine_late_s": 0.19,
}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, None),
        ({"fault": "it broke"}, "it broke"),
        ({"answers": 49}, "49 answers, not 50"),
        ({"os_threads": MAX_OS_THREADS + 1}, "OS threads"),
        ({"worst_own_s": LATE_LIMIT_S + 0.001}, "a tick was 51 ms late"),
        ({"ticks": 0}, "a tick was"),
    ],
)
def test_outcomes_are_judged(wrong: dict[str, Any], said: str | None) -> None:
    fault = fault_of(GOOD | wrong, 5)

    assert fault is None if said is None else said in str(fault)


def test_threads_and_ticks_of_plain_python_are_not_judged() -> None:
    assert fault_of(GOOD | {"os_threads": 300, "worst_own_s": 1.0}, 5, plain=True) is None


def case_of(folder: Path, text: str) -> Case:
    program = folder / "program.py"
    program.write_text(text)
    # An absolute path replaces the folder of programs.
    return Case(str(program.with_suffix("")), loopback.nobody, "none", 1)


def test_a_program_that_fails_is_a_fault(tmp_path: Path) -> None:
    outcome = run_case(case_of(tmp_path, "raise SystemExit('no luck')"), plain=True)

    assert "no luck" in str(fault_of(outcome, 1))
    assert outcome["machine_late_s"] >= 0


def test_a_program_that_complains_is_a_fault(tmp_path: Path) -> None:
    outcome = run_case(case_of(tmp_path, "import sys; print('oops', file=sys.stderr); print('{}')"), plain=True)

    assert "oops" in str(fault_of(outcome, 1))


def test_a_program_that_hangs_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(case_module, "GRACE_S", 0.5)
    outcome = run_case(case_of(tmp_path, "import time; time.sleep(60)"), plain=True, limit_s=0.5)

    assert "timed out" in str(fault_of(outcome, 1))


def test_names_of_cases_are_different() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


def test_every_program_is_in_a_case() -> None:
    helpers = {"loops", "measured", "ticker", "web_app", "web_load"}
    programs = {path.stem for path in case_module.PROGRAMS.glob("*.py")}

    assert programs - helpers == {case.program for case in CASES}


def test_a_missing_server_is_named_with_the_cure() -> None:
    with pytest.raises(MissingProgram, match="no-such-server is not installed; `make debian-peers`"):
        find_program("no-such-server")


def test_a_server_that_does_not_start_is_said_with_its_reason(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="wrong option"),
        listening(lambda port: ["sh", "-c", "echo wrong option; exit 1"], tmp_path),
    ):
        pass


def test_a_server_is_ended(tmp_path: Path) -> None:
    program = f"import os, http.server as s; print(os.getpid(), flush=True); s.test(port=PORT, bind='{HOST}')"
    with listening(lambda port: ["python3", "-c", program.replace("PORT", str(port))], tmp_path):
        pid = int((tmp_path / "server.log").read_text().split()[0])
        os.kill(pid, 0)

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_table_names_what_failed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    missing = dataclasses.replace(CASES[0], peer=missing_peer, peer_name="gone")
    cases = [missing, dataclasses.replace(CASES[1], peer_name="there"), CASES[2]]
    monkeypatch.setattr(command, "CASES", cases)
    monkeypatch.setattr("sys.argv", ["peers", *(case.name for case in cases[:2])])
    monkeypatch.setattr(
        command, "run_case", lambda case, **_: case.peer() if case is missing else {**GOOD, "answers": 500}
    )

    assert command.main() == 1
    said = capsys.readouterr().out
    assert f"| gone | {missing.program} | 200 | – | – | – | – | – | **failed** |" in said
    assert "| there | a library | 10 | 500 | 1.0 | 0.5 s | 10 ms | 190 ms | as it should be |" in said
    assert f"{missing.name}: gone-server is not installed" in said


def test_pages_have_examples_for_their_servers() -> None:
    for name in PAGES:
        page = f"{FOLDER}/{name}"
        text = (case_module.ROOT / page).read_text(encoding="utf-8")

        assert any(example.not_run and "make peers" in example.not_run for example in examples_of(page, text))


def test_an_example_that_fails_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lines = ["<!-- example: no-run needs it -->", "```python", "import os; print(os.environ['PORT'])", "```"]
    (tmp_path / "page.md").write_text("\n".join([*lines, "```output", "2", "```"]))
    monkeypatch.setattr(page_module, "FOLDER", str(tmp_path))
    peer = contextlib.nullcontext({"port": 1})
    monkeypatch.setitem(PAGES, "page.md", (lambda: peer, {"PORT": "port"}))

    [fault] = faults_of_page("page.md")
    assert "page.md:2: it should print\n2\nbut it prints\n1" in fault


def missing_peer() -> Any:
    raise MissingProgram("gone-server is not installed")


def test_the_table_is_put_between_the_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{command.BEGIN}\nold\n{command.END}\nafter\n")

    write_between(page, command.BEGIN, command.END, "new")

    assert page.read_text() == f"before\n{command.BEGIN}\n\nnew\n\n{command.END}\nafter\n"
    page.write_text("no marks")
    with pytest.raises(SystemExit, match="lacks the marks"):
        write_between(page, command.BEGIN, command.END, "new")


def test_a_python_server_that_does_not_start_is_said_with_its_reason() -> None:
    with pytest.raises(RuntimeError, match="No such file"), python_server("no_such_server"):
        pass
