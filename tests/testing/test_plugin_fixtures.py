"""Fixtures of marked tests: in which thread they are made and cleaned up."""

import coro.testing.plugin  # noqa: F401  (the planted tests' pytest runs in this process)
from tests.testing.conftest import Planted

pytest_plugins = ["pytester"]


def test_fixtures_of_a_test_run_in_its_thread(planted: Planted) -> None:
    planted("""
pytestmark = pytest.mark.coro(fake_clock=True)
threads = []

@pytest.fixture(autouse=True)
def everywhere():
    threads[:] = [coro.current()]
    yield
    assert coro.current() is threads[0]

@pytest.fixture
def plain():
    assert coro.current() is threads[0]
    coro.sleep_relative(1)
    return 5

@pytest.fixture
def lock(plain, request):
    request.addfinalizer(lambda: coro.sleep_relative(plain))
    lock = coro.mutex()
    with lock:
        yield lock
        coro.sleep_relative(plain)

@pytest.fixture
def server(lock):
    left, right = coro.socketpair()
    with left, right:
        def echo():
            while data := left.recv(100):
                left.send(data)
        thread = coro.spawn(echo)
        yield right
        thread.shutdown()
        thread.join()

def test_it(server, lock, plain, request):
    assert plain == 5
    assert coro.current() is threads[0]
    assert lock.has_lock()
    server.send(b"hello")
    assert server.recv(100) == b"hello"
    request.addfinalizer(lambda: coro.sleep_relative(1))
    assert request.getfixturevalue("plain") == 5

def test_finalizer_of_the_test(request):
    ending = coro.spawn(coro.sleep_relative, 100)
    request.addfinalizer(lambda: (ending.shutdown(), ending.join()))

def test_again(server):
    pass
""").assert_outcomes(passed=3)


def test_finalizer_that_a_test_adds_itself_runs_in_its_thread(planted: Planted) -> None:
    planted("""
@pytest.mark.coro(fake_clock=True)
def test_it(request):
    me = coro.current()
    left, right = coro.socketpair()
    def clean_up():
        coro.sleep_relative(1)
        assert coro.current() is me
        left.close()
        right.close()
    request.addfinalizer(clean_up)
""").assert_outcomes(passed=1)


def test_methods_of_a_class_are_fixtures_too(planted: Planted) -> None:
    planted("""
@pytest.mark.coro(fake_clock=True)
class TestIt:
    def setup_method(self):
        coro.sleep_relative(1)
        self.thread = coro.spawn(coro.sleep_relative, 100)

    def teardown_method(self):
        self.thread.shutdown()
        self.thread.join()

    @pytest.fixture
    def me(self):
        coro.sleep_relative(1)
        yield self

    @pytest.fixture
    @classmethod
    def of_class(cls):
        return cls

    @pytest.fixture
    @staticmethod
    def of_nobody():
        return 5

    def test_one(self, me, of_class, of_nobody):
        assert me is self
        assert of_class is TestIt
        assert of_nobody == 5
        assert not self.thread.dead
""").assert_outcomes(passed=1)


def test_wider_fixtures_run_outside_the_loop(planted: Planted) -> None:
    planted("""
@pytest.fixture(scope="module")
def wide():
    assert not coro.coro_is_running()
    yield coro.current().id
    assert not coro.coro_is_running()

@pytest.fixture(scope="module")
def late():
    with socket.socket() as held:
        yield held

@pytest.fixture(scope="class")
def narrower():
    assert not coro.coro_is_running()
    yield
    assert not coro.coro_is_running()

@pytest.mark.coro
class TestIt:
    def test_one(self, wide, narrower):
        assert wide == -1

    def test_late(self, request, wide):
        assert request.getfixturevalue("late").fileno() >= 0

    def test_after(self, late):
        assert late.fileno() >= 0
""").assert_outcomes(passed=3)


def test_fixture_that_yields_never_or_twice_is_reported_as_ever(planted: Planted) -> None:
    result = planted("""
pytestmark = pytest.mark.coro

@pytest.fixture
def never():
    if coro.current().id == -1:
        yield

@pytest.fixture
def twice():
    yield 1
    yield 2

def test_never(never):
    pass

def test_twice(twice):
    pass
""")

    result.assert_outcomes(passed=1, errors=2)
    assert "never did not yield a value" in result.stdout.str()
    assert "fixture function has more than one 'yield'" in result.stdout.str()


def test_skip_in_a_fixture_skips(planted: Planted) -> None:
    planted("""
@pytest.fixture
def needed():
    coro.sleep_relative(0)
    pytest.skip("not here")

@pytest.mark.coro
def test_it(needed):
    pass
""").assert_outcomes(skipped=1)


def test_interrupt_between_fixture_and_test_comes_when_the_test_blocks(planted: Planted) -> None:
    planted("""
@pytest.fixture
def interrupted():
    coro.spawn(coro.current().raise_exception, coro.WakeUp)

@pytest.mark.coro(fake_clock=True)
def test_it(interrupted):
    with pytest.raises(coro.WakeUp):
        coro.sleep_relative(1)
""").assert_outcomes(passed=1)
