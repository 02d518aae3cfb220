"""Marked tests whose other threads end by an exception."""

import coro.testing.plugin  # noqa: F401  (the planted tests' pytest runs in this process)
from tests.testing.conftest import Planted

pytest_plugins = ["pytester"]


def test_exception_of_another_thread_fails_the_test_with_its_traceback(planted: Planted) -> None:
    result = planted("""
def check():
    coro.sleep_relative(1)
    assert 1 + 1 == 3

@pytest.fixture
def fixture():
    yield

@pytest.mark.coro(fake_clock=True)
def test_it(fixture):
    coro.spawn(check)
    coro.sleep_relative(2)
""")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*    def check():",
            ">*assert 1 + 1 == 3",
            "E*assert (1 + 1) == 3",
            "E*It ended thread #* 'check', made at *test_planted.py:13.",
            "test_planted.py:5: AssertionError",
        ]
    )


def test_several_exceptions_make_a_group(planted: Planted) -> None:
    result = planted("""
@pytest.mark.coro(fake_clock=True)
def test_it():
    coro.spawn({}.__getitem__, "first")
    coro.spawn({}.__getitem__, "second")
    coro.sleep_relative(1)
""")

    result.assert_outcomes(failed=1)
    for expected in ("2 threads of the test ended by exceptions", "KeyError: 'first'", "KeyError: 'second'"):
        assert expected in result.stdout.str()


def test_exception_beside_the_tests_own_failure_is_told_in_a_section(planted: Planted) -> None:
    result = planted("""
@pytest.mark.coro(fake_clock=True)
def test_it():
    coro.spawn({}.__getitem__, "other")
    coro.sleep_relative(1)
    assert False, "own"
""")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*AssertionError: own", "*Captured uncaught exceptions of threads call*", "*KeyError: 'other'"]
    )


def test_exceptions_in_fixtures_threads_count_where_they_happen(planted: Planted) -> None:
    result = planted("""
@pytest.fixture
def failing():
    yield
    coro.spawn({}.__getitem__, "clean-up")
    coro.sleep_relative(1)

@pytest.mark.coro(fake_clock=True)
def test_it(failing):
    pass
""")

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_it*", "*KeyError: 'clean-up'"])


def test_outcome_in_another_thread_ends_the_test_at_once(planted: Planted) -> None:
    result = planted("""
pytestmark = pytest.mark.coro(fake_clock=True, real_descriptors=False)

def test_fail():
    coro.spawn(pytest.fail, "from a thread")
    coro._yield()

def test_skip():
    coro.spawn(pytest.skip, "from a thread")
    coro._yield()
""")

    result.assert_outcomes(failed=1, skipped=1)
    result.stdout.fnmatch_lines(["*coro._yield()", "E*Failed: from a thread"])


def test_notifier_of_the_tests_own_takes_the_exceptions(planted: Planted) -> None:
    planted("""
@pytest.mark.coro(fake_clock=True)
def test_it():
    taken = []
    coro.set_exception_notifier(lambda thread, error: taken.append(error))
    coro.spawn({}.__getitem__, "mine")
    coro.sleep_relative(1)
    assert len(taken) == 1

@pytest.mark.coro
def test_notifier_was_put_back():
    coro.set_exception_notifier(coro.set_exception_notifier(None))
    coro.spawn({}.__getitem__, "the plugin's")
    with pytest.raises(KeyError):
        coro.spawn({}.__getitem__, "nobody's").result()

def test_outside():
    assert coro.set_exception_notifier(None) is None
""").assert_outcomes(passed=2, failed=1)
