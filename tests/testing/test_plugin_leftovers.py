"""What marked tests leave behind, and how they are failed for it."""

import pytest

import coro.testing.plugin  # noqa: F401  (the planted tests' pytest runs in this process)
from tests.testing.conftest import Planted

pytest_plugins = ["pytester"]


def test_thread_left_over_fails_the_test_with_its_spawn_line(planted: Planted) -> None:
    result = planted("""
def serve():
    coro.sleep_relative(1000)

@pytest.mark.coro(fake_clock=True)
def test_it():
    coro.spawn(serve)
    coro.sleep_relative(1)

@pytest.mark.coro(fake_clock=True)
def test_next():
    assert len(coro.all_threads) == 1
""")

    result.assert_outcomes(passed=1, failed=1)
    made, waits = "made at *test_planted.py:8", "waits (sleep) at *test_planted.py:4 in serve"
    result.stdout.fnmatch_lines([f"the test leaves behind thread #* 'serve', {made}, {waits}"])


@pytest.mark.parametrize(
    ("line", "state"),
    [
        ("coro.new(print)", "was never started"),
        ("coro.spawn(coro._yield)", "waits (schedule)"),
        ("coro.spawn(lambda: [coro.yield_slice() for _ in iter(int, 1)])", "is runnable"),
    ],
)
def test_thread_is_left_over_however_far_it_came(planted: Planted, line: str, state: str) -> None:
    result = planted(f"""
@pytest.mark.coro(fake_clock=True)
def test_it():
    {line}
""")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"the test leaves behind thread #* made at *test_planted.py:5, {state}*"])


def test_threads_that_are_about_to_end_are_not_left_over(planted: Planted) -> None:
    planted("""
def work(steps):
    for _ in range(steps):
        coro.yield_slice()

@pytest.mark.coro(fake_clock=True)
def test_it():
    left, right = coro.socketpair()
    with left:
        right.close()
        coro.spawn(work, 100)
        coro.spawn(left.recv, 1)
        coro.spawn(coro.in_os_thread, time.sleep, 0.05)
        coro.yield_slice()

@pytest.fixture
def server():
    left, right = coro.socketpair()
    def serve():
        with left:
            while left.recv(100):
                pass
    coro.spawn(serve)
    with right:
        yield right

@pytest.mark.coro(fake_clock=True)
def test_that_closes_the_peer(server):
    server.send(b"x")
""").assert_outcomes(passed=2)


def test_several_leftovers_stand_on_a_line_each(planted: Planted) -> None:
    result = planted("""
@pytest.mark.coro(fake_clock=True)
def test_it():
    coro.spawn(coro.sleep_relative, 100)
    coro.spawn(coro._yield)
    coro.yield_slice()
""")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["the test leaves behind 2 things:", "- thread #* 'sleep_relative', *", "- thread #* '_yield', *"]
    )


def test_thread_of_a_fixture_may_stay_until_the_fixture_is_cleaned_up(planted: Planted) -> None:
    result = planted("""
@pytest.fixture
def tidy():
    thread = coro.spawn(coro.sleep_relative, 1000)
    yield
    thread.shutdown()

@pytest.fixture
def untidy():
    yield coro.spawn(coro.sleep_relative, 2000)

@pytest.mark.coro(fake_clock=True)
class TestIt:
    def test_tidy(self, tidy):
        pass

    def test_untidy(self, untidy, tidy):
        pass
""")

    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of TestIt.test_untidy*",
            "the test leaves behind thread #* 'sleep_relative', made at *test_planted.py:11, *",
        ]
    )


def test_thread_from_before_the_test_is_told_apart(planted: Planted) -> None:
    result = planted("""
@pytest.fixture(scope="module")
def server():
    coro.spawn(coro.sleep_relative, 1000)

@pytest.mark.coro(fake_clock=True)
def test_it(server):
    pass
""")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*test_planted.py:5, *(it was made before the test; a loop ends with its test)"])


def test_timer_left_over_fails_the_test(planted: Planted) -> None:
    result = planted("""
from coro.timed import timers

def remind(who):
    pass

@pytest.mark.coro(fake_clock=True)
def test_it():
    timers.arm(coro.get_now() + 90 * coro.ticks_per_sec, remind, "me")
    cancelled = timers.arm(coro.get_now() + 5, remind)
    timers.cancel(cancelled)

@pytest.mark.coro(fake_clock=True)
def test_timers_of_threads_are_the_threads():
    coro.spawn(coro.with_timeout, 100, coro._yield)
    coro.yield_slice()
""")

    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "the test leaves behind timer, due in 90.000 s, that calls remind('me')",
            "the test leaves behind thread #* 'with_timeout', *",
        ]
    )


def test_timer_from_before_the_test_is_not_the_tests(planted: Planted) -> None:
    planted("""
from coro.timed import timers

@pytest.fixture(scope="module")
def early():
    timers.arm(coro.get_now() + 90 * coro.ticks_per_sec, print)

@pytest.mark.coro
def test_it(early):
    pass
""").assert_outcomes(passed=1)


def test_descriptor_left_over_fails_the_test(planted: Planted) -> None:
    result = planted(
        """
kept = []
pytestmark = pytest.mark.coro(fake_clock=True)

def test_socket():
    server = coro.tcp_sock()
    server.bind(("127.0.0.1", 0))
    server.listen(5)
    kept.append(server)

def test_pipe():
    kept.extend(os.pipe())

def test_file(tmp_path):
    kept.append(open(tmp_path / "planted.txt", "w"))

def test_handler():
    from coro.descriptors import descriptors
    read_end, write_end = kept[1:3]
    descriptors.set_handler(read_end, coro.READ, print)

def test_circle_of_garbage():
    circle = [socket.socket()]
    circle.append(circle)

def test_nothing():
    left, right = coro.socketpair()
    with left, right, open(os.devnull):
        pass
""",
        "-Wignore::ResourceWarning",
        "-Wignore::pytest.PytestUnraisableExceptionWarning",
        process=True,
    )

    result.assert_outcomes(passed=2, failed=4)
    result.stdout.fnmatch_lines(
        [
            "the test leaves behind descriptor * (AF_INET socket at ('127.0.0.1', *))",
            "the test leaves behind 2 things:",
            "- descriptor * (pipe)",
            "- descriptor * (pipe)",
            "the test leaves behind descriptor * (*planted.txt)",
            "the test leaves behind handler of descriptor * (print)",
        ]
    )


def test_descriptors_of_a_thread_that_is_left_over_are_the_threads(planted: Planted) -> None:
    result = planted("""
def serve():
    left, right = coro.socketpair()
    with left, right:
        left.recv(1)

@pytest.mark.coro(fake_clock=True)
def test_it():
    coro.spawn(serve)
    coro.yield_slice()
""")

    result.assert_outcomes(failed=1)
    assert "- descriptor" not in result.stdout.str()
    assert "2 things" not in result.stdout.str()


def test_test_that_has_failed_is_not_failed_again(planted: Planted) -> None:
    result = planted("""
@pytest.fixture
def fixture():
    yield

@pytest.mark.coro(fake_clock=True)
def test_it(fixture):
    coro.spawn(coro.sleep_relative, 100)
    coro.yield_slice()
    assert False
""")

    result.assert_outcomes(failed=1)


def test_leftovers_can_be_allowed(planted: Planted) -> None:
    planted("""
ended = []

def serve():
    try:
        coro.sleep_relative(100)
    finally:
        ended.append("yes")

@pytest.mark.coro(fake_clock=True, leftovers="allow")
def test_it():
    coro.spawn(serve)
    coro.new(serve)
    coro.yield_slice()

def test_they_ended_with_the_loop():
    assert ended == ["yes"]
    assert not coro.all_threads
""").assert_outcomes(passed=2)


def test_leftovers_can_be_shut_down(planted: Planted) -> None:
    result = planted("""
pytestmark = pytest.mark.coro(fake_clock=True, leftovers="shutdown")

def test_tidy():
    coro.spawn(coro.sleep_relative, 1000)
    coro.new(print)
    coro.yield_slice()

def test_stubborn():
    def stubborn():
        while True:
            try:
                coro.sleep_relative(1000)
            except coro.Shutdown:
                pass
    coro.spawn(stubborn)
    coro.yield_slice()

def test_that_fails_on_its_way_out():
    def serve():
        try:
            coro.sleep_relative(1000)
        finally:
            raise KeyError("on the way out")
    coro.spawn(serve)
    coro.yield_slice()

def test_next():
    assert len(coro.all_threads) == 1
""")

    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(
        ["the test leaves behind thread * 'test_stubborn.<locals>.stubborn', made at *; Shutdown did not end it"]
    )
    result.stdout.fnmatch_lines(["*KeyError: 'on the way out'"])
