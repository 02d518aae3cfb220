"""connecting: create_connection() races the addresses of a host, real ones and scripted ones in fake time."""

import builtins
import socket
from collections.abc import Callable
from typing import Any

import pytest

import coro
import coro.testing
from coro import connecting
from coro.connecting import create_connection
from coro.socket import get_live_sockets
from tests.io.pairs import needs_ipv6, refused_port

NEVER = 1000.0


class Plan:
    """What is to happen at each address: (seconds, None for a connection or an error).

    log: (seconds since the beginning, address) of each attempt.
    made: all sockets, in order.
    """

    def __init__(self, **outcomes: tuple[float, OSError | None]) -> None:
        self.outcomes = outcomes
        self.started = coro.get_now()
        self.log: list[tuple[float, str]] = []
        self.made: list[ScriptedSock] = []

    def getaddrinfo(self, host: str, port: int, family: int, type: int) -> list[Any]:
        """An entry for each address; those that begin with "v6" are of that family."""
        families = {"v6": socket.AF_INET6, "v4": socket.AF_INET}
        return [(families[name[:2]], type, 6, "", (name, port)) for name in self.outcomes]

    def sock(self, family: int, type: int, proto: int) -> "ScriptedSock":
        """One more socket."""
        self.made.append(ScriptedSock(self))
        return self.made[-1]

    def seconds(self) -> float:
        """How long it has been."""
        return round((coro.get_now() - self.started) / 1e9, 3)

    def open(self) -> list[str | None]:
        """The addresses of the sockets that are open."""
        return [one.address for one in self.made if not one.closed]


class ScriptedSock:
    """A socket that does as planned."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.address: str | None = None
        self.closed = False
        self.timeout: float | None = None
        self.bound: Any = None

    def bind(self, address: Any) -> None:
        self.bound = address

    def connect(self, place: tuple[str, int]) -> None:
        self.address = place[0]
        self.plan.log.append((self.plan.seconds(), self.address))
        seconds, error = self.plan.outcomes[self.address]
        until = self.plan.seconds() + seconds
        while self.plan.seconds() < until:
            if self.closed:
                raise coro.ClosedError("closed", 0)
            coro.sleep_relative(min(0.01, until - self.plan.seconds()))
        if error is not None:
            raise error

    def settimeout(self, timeout: float | None) -> None:
        self.timeout = timeout

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def race(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Give a function that runs create_connection() by a plan, then lets the losers end.

    It returns the plan, the seconds that it took, and the socket or the error.
    """

    def run(outcomes: dict[str, tuple[float, OSError | None]], *arguments: Any, **options: Any) -> Any:
        def main() -> Any:
            plan = Plan(**outcomes)
            monkeypatch.setattr(connecting, "getaddrinfo", plan.getaddrinfo)
            monkeypatch.setattr(connecting, "sock", plan.sock)
            result: Any
            try:
                result = create_connection(("host.example", 80), *arguments, **options)
            except Exception as error:
                result = error
            except coro.TimeoutError as error:
                result = error
            took = plan.seconds()
            open_now = plan.open()
            coro.sleep_relative(1)
            assert len(coro.all_threads) == 1
            assert open_now == plan.open()
            return plan, took, result

        return coro.testing.run(main)

    return run


def refused(number: int = 1) -> ConnectionRefusedError:
    return ConnectionRefusedError(111, f"refused by {number}")


def test_first_address_that_answers_in_time_is_all_that_is_tried(race: Callable[..., Any]) -> None:
    plan, took, result = race({"v6a": (0.1, None), "v4a": (0, None)})

    assert (took, result.address, plan.log) == (0.1, "v6a", [(0, "v6a")])
    assert plan.open() == ["v6a"]


def test_next_address_starts_beside_one_that_is_silent_for_250_ms(race: Callable[..., Any]) -> None:
    plan, took, result = race({"v6a": (NEVER, None), "v4a": (0.1, None)})

    assert (took, result.address) == (0.35, "v4a")
    assert plan.log == [(0, "v6a"), (0.25, "v4a")]
    assert plan.open() == ["v4a"]


def test_slow_address_may_win_after_the_next_was_started(race: Callable[..., Any]) -> None:
    plan, took, result = race({"v6a": (0.3, None), "v4a": (0.2, None)})

    assert (took, result.address, plan.open()) == (0.3, "v6a", ["v6a"])


def test_next_address_starts_at_once_when_one_fails(race: Callable[..., Any]) -> None:
    plan, took, _ = race({"v6a": (0.1, refused()), "v4a": (0.1, None)})

    assert (took, plan.log, plan.open()) == (0.2, [(0, "v6a"), (0.1, "v4a")], ["v4a"])


def test_families_take_turns_beginning_with_the_first(race: Callable[..., Any]) -> None:
    silent = (NEVER, None)
    names = ["v6a", "v6b", "v6c", "v4a", "v4b"]
    plan, _, result = race({**dict.fromkeys(names, silent), "v4b": (0, None)})

    assert [address for _, address in plan.log] == ["v6a", "v4a", "v6b", "v4b"]
    assert [seconds for seconds, _ in plan.log] == [0, 0.25, 0.5, 0.75]
    assert (result.address, plan.open()) == ("v4b", ["v4b"])


def test_stagger_can_be_set(race: Callable[..., Any]) -> None:
    plan, _, _ = race({"v6a": (NEVER, None), "v4a": (0, None)}, stagger=0.05)

    assert plan.log == [(0, "v6a"), (0.05, "v4a")]


def test_all_fail_and_the_last_address_is_the_one_that_is_told_of(race: Callable[..., Any]) -> None:
    plan, took, result = race({"v6a": (0.3, refused(1)), "v4a": (0.02, refused(2))})

    assert (took, str(result), plan.open()) == (0.3, "[Errno 111] refused by 2", [])


def test_all_errors_can_be_had_in_the_order_of_the_addresses(race: Callable[..., Any]) -> None:
    _, _, result = race({"v6a": (0.3, refused(1)), "v4a": (0.02, refused(2))}, all_errors=True)

    assert isinstance(result, ExceptionGroup)
    assert [str(error) for error in result.exceptions] == ["[Errno 111] refused by 1", "[Errno 111] refused by 2"]


def test_timeout_is_for_all_of_it_and_closes_everything(race: Callable[..., Any]) -> None:
    plan, took, result = race({"v6a": (NEVER, None), "v4a": (NEVER, None)}, 0.6)

    assert (took, type(result), plan.open()) == (0.6, builtins.TimeoutError, [])
    assert "('host.example', 80) timed out after 0.6 s" in str(result)


def test_timeout_and_address_are_set_at_the_socket(race: Callable[..., Any]) -> None:
    _, _, result = race({"v4a": (0, None)}, 7, ("192.0.2.1", 0))

    assert (result.timeout, result.bound) == (7, ("192.0.2.1", 0))


def test_timeout_of_somebody_else_goes_through(race: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def main() -> Plan:
        plan = Plan(v6a=(NEVER, None), v4a=(NEVER, None))
        monkeypatch.setattr(connecting, "getaddrinfo", plan.getaddrinfo)
        monkeypatch.setattr(connecting, "sock", plan.sock)
        with pytest.raises(coro.TimeoutError, match=r"timed out after 0\.3 s"):
            coro.with_timeout(0.3, create_connection, ("host.example", 80), 5)
        assert plan.open() == []
        return plan

    assert len(coro.testing.run(main).made) == 2


def test_attempt_that_lost_ends_in_silence(race: Callable[..., Any]) -> None:
    reported: list[BaseException] = []
    former = coro.set_exception_notifier(lambda thread, error: reported.append(error))
    try:
        _, _, won = race({"v6a": (NEVER, None), "v4a": (0.1, None)})
        _, _, late = race({"v6a": (NEVER, None), "v4a": (NEVER, None)}, 0.6)
    finally:
        coro.set_exception_notifier(former)

    assert (won.address, type(late)) == ("v4a", builtins.TimeoutError)
    assert reported == []


def test_interrupted_caller_leaves_no_socket_open_whenever_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    def main(at: float) -> None:
        plan = Plan(v6a=(0.3, None), v4a=(0.05, None))
        monkeypatch.setattr(connecting, "getaddrinfo", plan.getaddrinfo)
        monkeypatch.setattr(connecting, "sock", plan.sock)
        thread = coro.spawn(create_connection, ("host.example", 80))
        thread.observers += 1
        coro.sleep_relative(at)
        thread.shutdown()
        thread.join()
        coro.sleep_relative(1)
        won = [] if thread.result_value is None else [thread.result_value.address]
        assert plan.open() == won
        assert len(coro.all_threads) == 1

    for milliseconds in range(0, 340, 5):
        coro.testing.run(main, milliseconds / 1000)


def test_attempt_that_somebody_shuts_down_counts_as_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    def main() -> None:
        plan = Plan(v4a=(NEVER, None))
        monkeypatch.setattr(connecting, "getaddrinfo", plan.getaddrinfo)
        monkeypatch.setattr(connecting, "sock", plan.sock)
        thread = coro.spawn(create_connection, ("host.example", 80))
        thread.observers += 1
        coro.sleep_relative(0.1)
        [attempt] = [one for one in coro.all_threads.values() if one.name.startswith("connecting to")]
        attempt.shutdown()
        with pytest.raises(ConnectionAbortedError, match="was shut down"):
            thread.result()
        assert plan.open() == []

    coro.testing.run(main)


# -- on real sockets


@pytest.fixture(autouse=True)
def no_socket_is_left() -> Any:
    before = get_live_sockets()
    yield
    assert get_live_sockets() == before


def test_connection_works() -> None:
    def main() -> bytes:
        with coro.tcp_server(("127.0.0.1", 0), lambda peer, address: peer.send(b"hello")) as server:
            host, port = server.address
            with create_connection((host, port), 5, ("127.0.0.1", 0)) as connection:
                assert type(connection) is coro.sock
                assert connection.gettimeout() == 5
                return connection.recv_exact(5)

    assert coro.run(main) == b"hello"


@needs_ipv6
def test_server_on_one_family_is_found_by_a_name_of_both(monkeypatch: pytest.MonkeyPatch) -> None:
    def both(host: str, port: int, family: int, type: int) -> list[Any]:
        return [(f, type, 6, "", (address, port)) for f, address in ((10, "::1"), (2, "127.0.0.1"))]

    def main() -> Any:
        with (
            coro.tcp_server(("127.0.0.1", 0), lambda peer, address: None) as server,
            create_connection(("both.example", server.address[1]), 30) as connection,
        ):
            return connection.getpeername() == server.address

    monkeypatch.setattr(connecting, "getaddrinfo", both)
    assert coro.run(main)


def test_errors_are_those_of_the_socket_module() -> None:
    port = refused_port()

    def main() -> None:
        with pytest.raises(ConnectionRefusedError, match=f"connecting to .*{port}"):
            create_connection(("127.0.0.1", port))
        with pytest.raises(socket.gaierror):
            create_connection(("", port))
        with pytest.raises(UnicodeError):
            create_connection(("a" * 70, port))
        with pytest.raises(OSError, match=r"\[Errno"):
            create_connection(("127.0.0.1", port), 5, ("192.0.2.99", 0))

    coro.run(main)


@pytest.mark.parametrize(
    ("options", "error"),
    [({"timeout": -1}, ValueError), ({"timeout": "1"}, TypeError), ({"stagger": -0.1}, ValueError)],
)
def test_times_that_make_no_sense_are_refused(options: dict[str, Any], error: type[Exception]) -> None:
    def main() -> None:
        with pytest.raises(error):
            create_connection(("127.0.0.1", 1), **options)

    coro.run(main)


def test_outside_a_thread_it_is_refused() -> None:
    with pytest.raises(coro.YieldFromMain):
        create_connection(("127.0.0.1", 1))
