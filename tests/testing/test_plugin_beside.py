"""The plugin where it has nothing to say, beside other plugins, and marks that make no sense."""

import subprocess
import sys

import pytest

import coro.testing.plugin
from tests.testing.conftest import Planted

pytest_plugins = ["pytester"]


# -- without the mark


def test_runtime_is_imported_for_the_first_marked_test_and_no_sooner(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_a="""
import sys

def test_unmarked():
    assert [name for name in sys.modules if name == "coro" or name.startswith("coro.")] == []
    assert "greenlet" not in sys.modules
""",
        test_b="""
import sys
import pytest

@pytest.mark.coro(fake_clock=True)
def test_marked():
    assert sys.modules["coro"].current().name == "test_marked"
""",
    )

    result = pytester.runpytest_subprocess("-p", "no:randomly", "-p", "no:hypothesispytest", "-p", "no:asyncio")

    result.assert_outcomes(passed=2)


def test_importing_coro_does_not_import_pytest() -> None:
    script = "import sys, coro, coro.testing; print([n for n in sys.modules if 'pytest' in n])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)

    assert done.stdout == "[]\n"


def test_mark_is_declared_and_fixture_is_listed(planted: Planted) -> None:
    result = planted("", "--markers", "--strict-markers")
    result.stdout.fnmatch_lines(["@pytest.mark.coro(?, fake_clock=False, *): run the test in a thread of coro, *"])

    result = planted("def test_it(): pass", "--fixtures")
    result.stdout.fnmatch_lines(["coro_clock*", "*The fake clock of a test marked coro(fake_clock=True)*"])


def test_unmarked_tests_are_left_alone_also_when_marked_ones_run(planted: Planted) -> None:
    planted("""
@pytest.fixture
def fixture():
    assert not coro.coro_is_running()
    yield
    assert not coro.coro_is_running()

@pytest.mark.coro
def test_marked():
    pass

def test_unmarked(fixture):
    assert coro.current().id == -1
    coro.new(print).shutdown()
    socket.socket().close()

def test_loop_of_its_own():
    assert coro.run(lambda: 5) == 5
""").assert_outcomes(passed=3)


def test_mark_may_be_added_by_a_conftest(planted: Planted, pytester: pytest.Pytester) -> None:
    pytester.makeconftest("""
import pytest

def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.coro(fake_clock=True))
""")
    planted("""
def test_it():
    assert coro.current().name == "test_it"
""").assert_outcomes(passed=1)


def test_plugin_can_be_switched_off(planted: Planted) -> None:
    planted(
        """
@pytest.mark.coro
def test_it():
    assert not coro.coro_is_running()
""",
        "-p",
        "no:coro",
        "-Wignore",
        process=True,
    ).assert_outcomes(passed=1)


# -- beside others


def test_asyncio_tests_beside_marked_ones(planted: Planted, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(
        test_planted="""
import asyncio
import coro
import pytest

@pytest.fixture
async def answer():
    await asyncio.sleep(0)
    yield 42

@pytest.mark.parametrize("number", [1, 2])
async def test_asyncio(answer, number):
    await asyncio.sleep(0)
    assert answer == 42
    assert not coro.coro_is_running()

@pytest.mark.coro(fake_clock=True)
def test_coro():
    coro.sleep_relative(3600)
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()

async def test_asyncio_after():
    await asyncio.sleep(0)

@pytest.mark.coro
async def test_both():
    pass
"""
    )

    result = pytester.runpytest_subprocess("-p", "no:randomly", "-p", "no:hypothesispytest", "-Werror")

    result.assert_outcomes(passed=4, errors=1)
    assert "this is an `async def`" in result.stdout.str()


def test_marked_tests_are_shared_among_processes(planted: Planted) -> None:
    result = planted(
        """
pytestmark = pytest.mark.coro(fake_clock=True)

@pytest.mark.parametrize("number", range(6))
def test_it(number, worker_id):
    assert worker_id in ("gw0", "gw1")
    coro.sleep_relative(3600)

def test_that_leaves_a_thread():
    coro.spawn(coro.sleep_relative, 100)
""",
        "-n2",
        process=True,
    )

    result.assert_outcomes(passed=6, failed=1)
    result.stdout.fnmatch_lines(
        ["the test leaves behind thread #* 'sleep_relative', made at *test_planted.py:11, *"]
    )


# -- marks that make no sense


@pytest.mark.parametrize(
    ("mark", "complaint"),
    [
        (
            "coro(fake_clok=True)",
            "the mark 'coro' has no option 'fake_clok'; it has fake_clock, real_descriptors, ",
        ),
        ("coro(5)", "the mark 'coro' takes keyword arguments only, got 5"),
        ("coro(fake_clock=1)", "the mark 'coro' needs True or False as fake_clock, got 1"),
        ("coro(real_descriptors=False)", "the mark 'coro' needs fake_clock=True where real_descriptors=False"),
        ("coro(timeout=0)", "the mark 'coro' needs more than 0 seconds or None as timeout, got 0"),
        ("coro(timeout='5')", "the mark 'coro' needs more than 0 seconds or None as timeout, got '5'"),
        ("coro(timeout=float('nan'))", "the mark 'coro' needs more than 0 seconds or None as timeout, got nan"),
        (
            "coro(leftovers='ignore')",
            "the mark 'coro' needs one of 'fail', 'shutdown', 'allow' as leftovers, got 'ignore'",
        ),
    ],
)
def test_options_that_make_no_sense_fail_the_test(planted: Planted, mark: str, complaint: str) -> None:
    result = planted(f"""
@pytest.mark.{mark}
def test_it():
    pass

@pytest.mark.coro
def test_other():
    pass
""")

    result.assert_outcomes(passed=1, errors=1)
    assert complaint in result.stdout.str()


def test_what_cannot_run_as_a_thread_is_refused(planted: Planted) -> None:
    result = planted("""
import unittest

pytestmark = pytest.mark.coro

class TestOfUnittest(unittest.TestCase):
    def test_method(self):
        pass

async def test_async():
    pass

async def test_async_generator():
    yield
""")

    result.assert_outcomes(errors=3)
    result.stdout.fnmatch_lines(
        [
            "the mark 'coro' is not for TestOfUnittest, a unittest.TestCase, *",
            "the mark 'coro' is for plain functions; this is an `async def`: *",
        ]
    )


def test_generator_is_refused_by_pytest_itself(planted: Planted) -> None:
    result = planted("""
@pytest.mark.coro
def test_it():
    yield
""")

    assert result.ret != 0
    assert "'yield' keyword is allowed in fixtures, but not in tests (test_it)" in result.stdout.str()


def test_doctest_is_refused(planted: Planted, pytester: pytest.Pytester) -> None:
    pytester.makeconftest("""
import pytest

def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker("coro")
""")
    result = planted('def function():\n    """\n    >>> 1\n    1\n    """\n', "--doctest-modules")

    result.assert_outcomes(errors=1)
    assert "the mark 'coro' is for test functions; this is a DoctestItem" in result.stdout.str()


def test_marked_test_inside_a_running_loop_says_so(planted: Planted) -> None:
    def inside() -> pytest.RunResult:
        return planted("""
@pytest.mark.coro
def test_it():
    pass
""")

    result = coro.run(inside)

    result.assert_outcomes(failed=1)
    assert "a loop is running in this process already" in result.stdout.str()
