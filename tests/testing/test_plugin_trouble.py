"""Marked tests that hang or are interrupted."""

import signal

import pytest

import coro.testing.plugin
from tests.testing.conftest import Planted

pytest_plugins = ["pytester"]


# -- hanging


def test_deadlock_is_raised_where_the_test_waits_with_each_threads_place(planted: Planted) -> None:
    result = planted("""
@pytest.mark.coro(fake_clock=True, real_descriptors=False)
def test_it():
    lock = coro.mutex()
    def holder():
        lock.lock()
        coro._yield()
    coro.spawn(holder)
    coro.yield_slice()
    lock.lock()
""")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">       lock.lock()",
            "E       coro.testing.poller.NothingWillHappen: no timer is armed, *",
            "",
            "test_planted.py:11: NothingWillHappen",
            "*Captured threads of coro call*",
            "thread #*, the test's own, waits (mutex) at *test_planted.py:11 in test_it",
            '  File "*test_planted.py", line 11, in test_it',
            "    lock.lock()",
            "thread #* 'test_it.<locals>.holder', made at *test_planted.py:9, waits (schedule) at *",
            '  File "*test_planted.py", line 8, in holder',
            "    coro._yield()",
        ]
    )


def test_deadlock_can_be_what_a_test_expects(planted: Planted) -> None:
    planted("""
import coro.testing

@pytest.mark.coro(fake_clock=True, real_descriptors=False)
def test_it():
    with pytest.raises(coro.testing.NothingWillHappen):
        coro._yield()
    coro.sleep_relative(1)
""").assert_outcomes(passed=1)


def test_timeout_by_the_fake_clock_is_raised_where_the_test_waits(planted: Planted) -> None:
    result = planted("""
pytestmark = pytest.mark.coro(fake_clock=True, timeout=5)

def test_it():
    left, right = coro.socketpair()
    with left, right:
        left.recv(1)

def test_poller():
    while True:
        try:
            coro.sleep_relative(1)
        except Exception:
            pass

@pytest.fixture
def slow():
    yield
    coro.sleep_relative(6)

def test_clean_up(slow):
    pass

def test_in_time():
    coro.sleep_relative(4.9)
""")

    result.assert_outcomes(passed=2, failed=2, errors=1)
    result.stdout.fnmatch_lines(
        [">*left.recv(1)", "E*Failed: the test's timeout of 5 s by the fake clock has expired"]
    )
    assert result.stdout.str().count("has expired") >= 3


def test_timeout_by_the_real_clock_also_ends_threads_that_wait_for_each_other(planted: Planted) -> None:
    result = planted("""
@pytest.mark.coro(timeout=0.05)
def test_it():
    coro._yield()
""")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([">*coro._yield()", "E*timeout of 0.05 s by the real clock has expired"])


def test_step_that_does_not_end_is_given_up_and_cleaned_up_after(planted: Planted) -> None:
    result = planted("""
@pytest.fixture
def server():
    thread = coro.spawn(coro.sleep_relative, 10**6)
    yield
    thread.shutdown()

@pytest.mark.coro(fake_clock=True, timeout=5)
def test_it(server):
    while True:
        try:
            coro.sleep_relative(1000)
        except BaseException:
            pass

@pytest.mark.coro(fake_clock=True)
def test_next():
    coro.sleep_relative(1)
    assert len(coro.all_threads) == 1
""")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*timeout of 5 s by the fake clock has expired"])


def test_timeout_waits_for_the_end_of_a_shielded_block(planted: Planted) -> None:
    result = planted("""
@pytest.mark.coro(fake_clock=True, timeout=5)
def test_it():
    with coro.shielded():
        coro.sleep_relative(8)
        print("the block was not disturbed")
    print("never reached")
""")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([">*with coro.shielded():", "E*has expired", "the block was not disturbed"])
    assert "never reached" not in result.stdout.lines


@pytest.mark.parametrize(
    "hanging",
    [
        pytest.param("coro._yield()", id="everybody waits"),
        pytest.param("coro.spawn(spin); coro._yield()", id="another thread spins"),
        pytest.param("spin()", id="the test spins"),
        pytest.param("coro.spawn(spin_politely); coro._yield()", id="another thread yields for ever"),
    ],
)
def test_timeout_of_the_test_runner_ends_what_hangs(planted: Planted, hanging: str) -> None:
    result = planted(
        f"""
ended = []

def spin():
    while True:
        pass

def spin_politely():
    while True:
        coro.yield_slice()

@pytest.mark.coro(fake_clock=True)
@pytest.mark.timeout(0.3, method="signal")
def test_it():
    try:
        {hanging}
    finally:
        ended.append("yes")

@pytest.mark.coro(fake_clock=True)
def test_next():
    assert ended == ["yes"]
    coro.sleep_relative(1)
    assert len(coro.all_threads) == 1
""",
        "-Wignore",
        process=True,
    )

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["E*Failed: Timeout*from pytest-timeout*"])


# -- Ctrl-C


@pytest.mark.parametrize(
    "waiting",
    [
        pytest.param("coro.sleep_relative(1000)", id="everybody waits"),
        pytest.param("spin()", id="the test spins"),
        pytest.param("(coro.spawn(spin), coro._yield())", id="another thread spins"),
    ],
)
def test_ctrl_c_ends_the_run_and_fixtures_are_cleaned_up(planted: Planted, waiting: str) -> None:
    result = planted(
        f"""
import signal, threading

# In a process that was started in the background it is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

def spin():
    while True:
        pass

@pytest.fixture
def server():
    thread = coro.spawn(coro.sleep_relative, 10**6)
    yield
    thread.shutdown()
    thread.join()
    print("cleaned up")

@pytest.mark.coro
def test_it(server):
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    {waiting}

def test_never():
    print("never reached")
""",
        "-s",
        process=True,
    )

    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*cleaned up", "*KeyboardInterrupt*"])
    assert "never reached" not in result.stdout.str()


def test_exit_first_stops_after_a_failure(planted: Planted) -> None:
    result = planted(
        """
pytestmark = pytest.mark.coro(fake_clock=True)

@pytest.fixture
def server():
    thread = coro.spawn(coro.sleep_relative, 10**6)
    yield
    thread.shutdown()
    thread.join()

def test_one(server):
    coro.sleep_relative(1)
    assert False

def test_two():
    pass
""",
        "-x",
    )

    result.assert_outcomes(failed=1)
    assert not coro.coro_is_running()


def test_ctrl_c_while_threads_are_shut_down_ends_the_run(planted: Planted) -> None:
    result = planted(
        """
import signal

signal.signal(signal.SIGINT, signal.default_int_handler)

def serve():
    try:
        coro.sleep_relative(100)
    finally:
        os.kill(os.getpid(), signal.SIGINT)
        # Here the interpreter looks for signals.
        print("interrupted", end="")

@pytest.mark.coro(fake_clock=True, leftovers="shutdown")
def test_it():
    coro.spawn(serve)
    coro.yield_slice()

def test_never():
    pass
""",
        process=True,
    )

    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.assert_outcomes()


def test_pytest_exit_ends_the_run(planted: Planted) -> None:
    result = planted("""
@pytest.mark.coro(fake_clock=True)
def test_it():
    coro.spawn(pytest.exit, "enough")
    coro.sleep_relative(1)

def test_never():
    pass
""")

    result.assert_outcomes()
    assert "enough" in result.stdout.str()
    assert not coro.coro_is_running()


def test_signal_handlers_are_put_back(planted: Planted) -> None:
    # In a process that was started in the background it is ignored.
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    before = signal.getsignal(signal.SIGTERM)

    try:
        planted("""
import signal

@pytest.mark.coro
def test_it():
    # A daemon's own handling of signals is not the test's.
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    # It is not to be raised in the midst of the runtime.
    assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
""").assert_outcomes(passed=1)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, former)

    assert signal.getsignal(signal.SIGTERM) == before
    assert signal.set_wakeup_fd(-1) == -1
