"""A column goes on behind a test that hangs or crashes, and says which one it was."""

import dataclasses
import json
import sys
from pathlib import Path

import pytest

from tests.stdlib.columns import COLUMNS, Column
from tests.stdlib.modules import NoTestPackageError, require_test_package
from tests.stdlib.order import Order, read
from tests.stdlib.outcomes import Outcome
from tests.stdlib.watching import Watcher

ROOT = Path(__file__).parent.parent.parent
# A process tells something at once, also on a machine that has much to do.
LIMIT_S = 8.0

# Stands for tests.stdlib.child: a module has the tests a to d; what they do is in the file "plan" beside it.
PROGRAM = """
import json, os, sys, time
from pathlib import Path

order = json.loads(Path(sys.argv[1]).read_text())
plan = json.loads((Path(sys.argv[0]).parent / "plan").read_text())

def tell(event, **facts):
    with open(order["journal"], "a") as journal:
        journal.write(json.dumps({"event": event, **facts}) + "\\n")

if plan.get("start"):
    sys.exit("no start")
tell("ready", neutralised=[])
for module in order["modules"]:
    tell("module", module=module)
    if plan.get(module) == "exit":
        sys.exit("no module")
    for letter in "abcd":
        test = f"test.{module}.C.{letter}"
        if test in order["done"] or (order["only"] and test not in order["only"]):
            continue
        what = plan.get(test, "passed")
        tell("next", test=test)
        if what == "exit before":
            sys.exit("last words")
        tell("start", test=test)
        if what == "exit":
            sys.exit("last words")
        if what == "hang":
            time.sleep(1000)
        if what == "alone" and not order["only"]:
            what = "failed"
        tell("end", test=test, outcome="passed" if what == "alone" else what, detail="", seconds=0)
tell("done")
"""


def watcher(folder: Path, plan: dict[str, str]) -> Watcher:
    program = folder / "program.py"
    program.write_text(PROGRAM)
    (folder / "plan").write_text(json.dumps(plan))
    column = Column("made up", "", (str(program),), lambda: "1")
    return Watcher(column, folder, [], limit_s=LIMIT_S)


def outcomes(watcher: Watcher, *modules: str) -> dict[str, str]:
    run = watcher.run(list(modules))
    assert not run.fault
    return {test.removeprefix("test."): outcome.outcome for test, outcome in run.outcomes.items()}


def test_all_modules_run_in_one_process_if_nothing_goes_wrong(tmp_path: Path) -> None:
    run = watcher(tmp_path, {"test.m.C.b": "skipped"}).run(["m", "n"])
    assert [outcome.outcome for outcome in run.outcomes.values()] == ["passed", "skipped", *["passed"] * 6]
    assert run.restarts == 0
    assert len(list(tmp_path.glob("order-*"))) == 1


def test_behind_a_test_that_hangs_another_process_goes_on(tmp_path: Path) -> None:
    found = outcomes(watcher(tmp_path, {"test.m.C.b": "hang"}), "m", "n")
    assert found == {
        **dict.fromkeys([f"{module}.C.{letter}" for module in "mn" for letter in "abcd"], "passed"),
        "m.C.b": "hung",
    }


@pytest.mark.parametrize("how", ["exit", "exit before"])
def test_a_test_that_takes_the_process_with_it_has_crashed(tmp_path: Path, how: str) -> None:
    run = watcher(tmp_path, {"test.m.C.d": how}).run(["m", "n"])
    assert run.outcomes["test.m.C.d"].outcome == "crashed"
    assert "last words" in run.outcomes["test.m.C.d"].detail
    assert run.restarts == 1
    assert len(run.outcomes) == 8


def test_a_module_that_ends_the_process_costs_its_own_tests_only(tmp_path: Path) -> None:
    run = watcher(tmp_path, {"m": "exit"}).run(["l", "m", "n"])
    assert run.fixtures["test.m"].outcome == "crashed"
    assert {test.split(".")[1] for test in run.outcomes} == {"l", "n"}
    assert not run.fault


def test_a_column_that_never_starts_is_given_up_with_what_it_said(tmp_path: Path) -> None:
    run = watcher(tmp_path, {"start": "no"}).run(["m", "n"])
    assert "no start" in run.fault
    assert run.outcomes == {}


def test_what_fails_is_run_again_alone_and_is_flaky_if_it_passes(tmp_path: Path) -> None:
    watching = watcher(tmp_path, {"test.m.C.a": "alone", "test.m.C.b": "error", "test.m.C.c": "exit"})
    run = watching.run(["m"])
    watching.rerun(run)
    assert [outcome.outcome for outcome in run.outcomes.values()] == ["flaky", "error", "crashed", "passed"]


def test_an_order_is_read_as_it_was_written(tmp_path: Path) -> None:
    order = Order("plain", ["m"], [], ["test.m.C.a"], ["test.m.D.*"], "journal")
    order.write(tmp_path / "order")
    assert read(tmp_path / "order") == order
    assert [order.wants(f"test.m.{test}") for test in ("C.a", "C.b", "D.a")] == [False, True, False]
    assert not dataclasses.replace(order, only=["test.m.C.c"]).wants("test.m.C.b")


@pytest.mark.parametrize("name", ["plain", "ours"])
def test_a_small_module_of_the_standard_librarys_tests_passes(tmp_path: Path, name: str) -> None:
    try:
        require_test_package()
    except NoTestPackageError as error:
        pytest.skip(str(error))
    if sys.platform != "linux":
        pytest.skip("test_epoll is Linux's")
    watching = Watcher(COLUMNS[name], tmp_path, ["*.test_close"], limit_s=60)
    run = watching.run(["test_epoll"])
    assert not run.fault
    assert run.outcomes.pop("test.test_epoll.TestEPoll.test_close", None) is None
    assert len(run.outcomes) >= 9
    assert {
        test: found for test, found in run.outcomes.items() if found != Outcome("passed", "", found.seconds)
    } == {}


def test_a_test_that_is_usually_short_is_not_waited_for_so_long(tmp_path: Path) -> None:
    usual = {"test.m.C.a": 0.1, "test.m.C.b": 1000.0}
    watching = Watcher(COLUMNS["plain"], tmp_path, [], limit_s=60, usual=usual)
    assert [watching._limit_of(test) for test in ("test.m.C.a", "test.m.C.b", "test.m.C.c", None)] == [
        25.2,
        60,
        60,
        60,
    ]
