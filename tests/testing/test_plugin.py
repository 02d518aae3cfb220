"""Tests that are marked `coro`: where they and their fixtures run, and what is reported of them."""

import pytest

import coro.testing.plugin  # noqa: F401  (the planted tests' pytest runs in this process)
from tests.test_docs_examples import ROOT, examples_of
from tests.testing.conftest import Planted

pytest_plugins = ["pytester"]


# -- the test itself


def test_marked_test_runs_in_a_thread_named_after_it(planted: Planted) -> None:
    planted("""
@pytest.mark.coro
def test_it():
    assert coro.current().name == "test_it"
    assert coro.spawn(lambda: coro.current().creator_id).result() == coro.current().id

def test_unmarked():
    assert not coro.coro_is_running()
    assert coro.current().id == -1
""").assert_outcomes(passed=2)


def test_sleeping_costs_nothing_on_the_fake_clock(planted: Planted) -> None:
    planted("""
@pytest.mark.coro(fake_clock=True)
def test_it(coro_clock):
    begin = coro.get_now()
    coro.sleep_relative(3600)
    assert coro.get_now() - begin == 3600 * coro.ticks_per_sec
    coro_clock.advance(5)
    assert coro.get_now() - begin == 3605 * coro.ticks_per_sec
    left, right = coro.socketpair()
    with left, right:
        left.send(b"x")
        assert right.recv(1) == b"x"

@pytest.mark.coro
def test_real_clock():
    begin = time.monotonic()
    coro.sleep_relative(0.02)
    assert time.monotonic() - begin >= 0.02

@pytest.mark.coro(fake_clock=True, real_descriptors=False)
def test_no_descriptors():
    with pytest.raises(coro.TimeoutError):
        coro.wait_for_read(10**6, 1)
""").assert_outcomes(passed=3)


def test_clock_is_asked_for_without_a_fake_one(planted: Planted) -> None:
    result = planted("""
def test_unmarked(coro_clock):
    pass

@pytest.mark.coro
def test_real_clock(coro_clock):
    pass
""")

    result.assert_outcomes(errors=2)
    assert result.stdout.str().count("coro_clock is the clock of a test that is marked coro(fake_clock=True)") >= 2


def test_marks_of_class_and_module_hold_and_the_nearest_goes_before(planted: Planted) -> None:
    planted("""
pytestmark = pytest.mark.coro(fake_clock=True, leftovers="allow")

def is_fake():
    begin = coro.get_now()
    coro.sleep_relative(0.01)
    return coro.get_now() - begin == 10_000_000

def test_module():
    assert is_fake()
    coro.spawn(coro.sleep_relative, 100)

@pytest.mark.coro(fake_clock=False)
class TestClass:
    def test_class(self):
        assert not is_fake()
        coro.spawn(coro.sleep_relative, 100)

    @pytest.mark.coro(fake_clock=True)
    def test_own(self):
        assert is_fake()
""").assert_outcomes(passed=3)


def test_parametrised_tests_run_in_a_loop_each(planted: Planted) -> None:
    planted("""
seen = set()

@pytest.mark.coro(fake_clock=True)
@pytest.mark.parametrize("seconds", [1, 2])
def test_it(seconds, coro_clock):
    assert coro_clock.now_ns == coro.ticks_per_sec
    coro.sleep_relative(seconds)
    assert coro.current().id not in seen
    seen.add(coro.current().id)
""").assert_outcomes(passed=2)


def test_outcomes_are_pytests_own(planted: Planted) -> None:
    planted("""
pytestmark = pytest.mark.coro(fake_clock=True)

def test_skip():
    coro.sleep_relative(1)
    pytest.skip("no")

def test_xfail():
    coro.sleep_relative(1)
    pytest.xfail("no")

@pytest.mark.xfail(raises=ZeroDivisionError, strict=True)
def test_marked_xfail():
    coro.sleep_relative(1)
    1 / 0

@pytest.mark.skip
def test_marked_skip():
    pass

def test_fail():
    pytest.fail("no")

def test_raises():
    with pytest.raises(KeyError):
        coro.spawn({}.__getitem__, 1).result()

@pytest.mark.skipif(True, reason="and what is wrong with the mark does not matter then")
@pytest.mark.coro(nonsense=True)
def test_skipif():
    pass
""").assert_outcomes(passed=1, failed=1, skipped=3, xfailed=2)


def test_capture_and_monkeypatch_and_tmp_path_work(planted: Planted) -> None:
    planted("""
@pytest.mark.coro(fake_clock=True)
def test_it(capfd, monkeypatch, tmp_path, recwarn):
    import warnings
    monkeypatch.setenv("PLANTED", "1")
    coro.spawn(print, "out")
    coro.sleep_relative(1)
    assert capfd.readouterr().out == "out\\n"
    (tmp_path / "file").write_text("x")
    warnings.warn("planted", stacklevel=1)
    assert len(recwarn) == 1
    assert os.environ["PLANTED"] == "1"

@pytest.mark.coro
def test_capsys(capsys):
    coro.spawn(print, "out")
    coro.yield_slice()
    assert capsys.readouterr().out == "out\\n"
    assert "PLANTED" not in os.environ
""").assert_outcomes(passed=2)


def test_hypothesis_runs_all_its_examples_in_the_thread(planted: Planted) -> None:
    planted("""
from hypothesis import given, settings, strategies

@pytest.mark.coro(fake_clock=True)
@settings(max_examples=20, database=None)
@given(strategies.integers(0, 1000))
def test_it(seconds):
    begin = coro.get_now()
    coro.sleep_relative(seconds)
    assert coro.get_now() - begin == seconds * coro.ticks_per_sec
""").assert_outcomes(passed=1)


def test_set_exit_is_a_system_exit_in_the_test(planted: Planted) -> None:
    result = planted("""
pytestmark = pytest.mark.coro(fake_clock=True)

def test_caught():
    coro.spawn(coro.set_exit, 3)
    with pytest.raises(SystemExit) as caught:
        coro.sleep_relative(1)
    assert caught.value.code == 3
    coro.sleep_relative(1)

def test_left():
    coro.spawn(coro.set_exit, 7)
    coro.sleep_relative(1)

def test_at_the_end():
    coro.set_exit(8)

def test_after():
    coro.sleep_relative(1)
""")

    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["*SystemExit: 7", "*SystemExit: 8"])


def test_running_a_loop_inside_the_test_is_refused_by_the_runtime(planted: Planted) -> None:
    planted("""
@pytest.mark.coro
def test_it():
    with pytest.raises(RuntimeError, match="there is one loop in a process"):
        coro.run(int)
""").assert_outcomes(passed=1)


# -- tracebacks


def test_report_of_a_failed_assertion_shows_the_test_only(planted: Planted) -> None:
    result = planted("""
@pytest.mark.coro(fake_clock=True)
def test_it():
    seconds = [1, 2]
    coro.sleep_relative(1)
    assert seconds == [1, 3]
""")

    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    assert "assert [1, 2] == [1, 3]" in text
    assert "At index 1 diff: 2 != 3" in text
    assert "test_planted.py:7: AssertionError" in text
    for ours in ("plugin.py", "stepped.py", "running_test.py", "scheduler.py"):
        assert ours not in text


def test_report_of_a_failing_fixture_shows_the_fixture_only(planted: Planted) -> None:
    result = planted("""
pytestmark = pytest.mark.coro(fake_clock=True)

@pytest.fixture
def plain():
    coro.sleep_relative(1)
    raise KeyError("in set-up")

@pytest.fixture
def generator():
    coro.sleep_relative(1)
    yield
    coro.sleep_relative(1)
    raise KeyError("in clean-up")

def test_plain(plain):
    pass

def test_generator(generator):
    pass
""")

    result.assert_outcomes(passed=1, errors=2)
    text = result.stdout.str()
    assert "KeyError: 'in set-up'" in text
    assert "KeyError: 'in clean-up'" in text
    for ours in ("plugin.py", "stepped.py", "running_test.py"):
        assert ours not in text


def test_report_of_a_failing_fixture_from_elsewhere_shows_that_only(
    planted: Planted, pytester: pytest.Pytester
) -> None:
    pytester.makeconftest("""
import coro
import pytest

@pytest.fixture
def broken():
    coro.sleep_relative(1)
    raise KeyError("in set-up")
""")
    result = planted("""
@pytest.mark.coro(fake_clock=True)
def test_it(broken):
    pass
""")

    result.assert_outcomes(errors=1)
    text = result.stdout.str()
    assert "conftest.py:7: KeyError" in text
    for ours in ("plugin.py", "stepped.py", "running_test.py"):
        assert ours not in text


# -- the documentation


MARKED_EXAMPLES = [
    example.code
    for example in examples_of("testing.md", (ROOT / "docs" / "testing.md").read_text())
    if "@pytest.mark.coro" in example.code
]


@pytest.mark.parametrize("code", MARKED_EXAMPLES, ids=range(len(MARKED_EXAMPLES)))
def test_marked_tests_of_the_documentation_pass(planted: Planted, code: str) -> None:
    result = planted(code)

    assert result.ret == pytest.ExitCode.OK
    assert result.parseoutcomes()["passed"] >= 1


def test_documentation_has_marked_tests() -> None:
    assert len(MARKED_EXAMPLES) == 2
