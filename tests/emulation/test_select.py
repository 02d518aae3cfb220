"""The emulated select(), poll objects and epoll objects."""

import errno
import os
import resource
import select
import selectors
import tempfile
from collections.abc import Callable
from typing import Any

import pytest

import coro
from coro import testing
from coro.emulation import selecting, waiting
from coro.emulation.epoll_object import EmulatedEpoll
from coro.emulation.gate import Gate
from coro.emulation.poll_object import poll
from coro.scheduler import scheduler
from tests.emulation.sockets_of_ours import connected, let_others_wait, outcome_of, piped

Wait = Callable[[int, float | None], bool]


def wait_by_select(fd: int, timeout: float | None) -> bool:
    return selecting.select([fd], [], [], timeout) == ([fd], [], [])


def wait_by_poll(fd: int, timeout: float | None) -> bool:
    poller = poll()
    poller.register(fd, select.POLLIN)
    return poller.poll(None if timeout is None else timeout * 1000) == [(fd, select.POLLIN)]


def wait_by_epoll(fd: int, timeout: float | None) -> bool:
    with EmulatedEpoll() as poller:
        poller.register(fd, select.EPOLLIN)
        return poller.poll(timeout) == [(fd, select.EPOLLIN)]


every_way = pytest.mark.parametrize("wait", [wait_by_select, wait_by_poll, wait_by_epoll])


@every_way
def test_it_waits_until_a_descriptor_is_ready(wait: Wait) -> None:
    def main() -> None:
        with piped() as (reading, writing):
            waiters = [coro.spawn(wait, reading, timeout) for timeout in (None, 10, None)]
            let_others_wait()
            assert not any(waiter.dead for waiter in waiters)
            os.write(writing, b"x")
            assert [waiter.result() for waiter in waiters] == [True, True, True]

    testing.run(main)


@every_way
@pytest.mark.parametrize("timeout", [0, 3])
def test_it_gives_up_when_the_time_is_over(wait: Wait, timeout: float) -> None:
    def main() -> None:
        with piped() as (reading, _):
            began = coro.get_now()
            assert not wait(reading, timeout)
            assert (coro.get_now() - began) / coro.ticks_per_sec == pytest.approx(timeout, abs=0.1)

    testing.run(main)


@every_way
def test_others_run_while_one_asks_again_and_again_without_waiting(wait: Wait) -> None:
    def main() -> None:
        with piped() as (reading, writing):
            writer = coro.spawn(os.write, writing, b"x")
            while not wait(reading, 0):
                pass
            assert writer.dead

    coro.run(main)


@every_way
def test_asking_without_waiting_does_not_give_way_between_a_question_and_its_use(wait: Wait) -> None:
    def main() -> None:
        with piped() as (reading, _), connected() as (left, _right):
            left.setblocking(False)
            others = [coro.spawn(int) for _ in range(10)]
            for _ in range(20):
                assert not wait(reading, 0)
                assert outcome_of(left.recv, 1)[0] is BlockingIOError
            assert not any(other.dead for other in others)
            coro.yield_slice()

    # By a clock that stands still while a thread runs.
    testing.run(main)


@every_way
def test_interrupted_waiter_leaves_no_trace(wait: Wait) -> None:
    def main() -> None:
        with piped() as (reading, writing):
            for _ in range(3):
                waiter = coro.spawn(wait, reading, None)
                let_others_wait()
                waiter.shutdown()
                let_others_wait()
                assert waiter.dead
            os.write(writing, b"x")
            assert wait(reading, None)

    testing.run(main)


@pytest.mark.parametrize("wait", [wait_by_select, wait_by_poll])
def test_descriptor_that_is_closed_meanwhile_is_not_ready(wait: Wait) -> None:
    def main() -> None:
        with piped() as (reading, _):
            waiter = coro.spawn(wait, reading, 5)
            let_others_wait()
            os.close(reading)
            assert waiter.result() is False

    testing.run(main)


def test_others_go_on_being_waited_for_when_one_is_closed() -> None:
    def main() -> None:
        with piped() as (gone, _), piped() as (reading, writing):
            waiter = coro.spawn(selecting.select, [gone, reading], [], [])
            let_others_wait()
            os.close(gone)
            coro.sleep_relative(1)
            os.write(writing, b"x")
            assert waiter.result() == ([reading], [], [])

    testing.run(main)


def test_poll_leaves_out_what_was_closed_meanwhile() -> None:
    def main() -> None:
        with piped() as (gone, _), piped() as (reading, writing):
            poller = poll()
            poller.register(gone, select.POLLIN)
            poller.register(reading, select.POLLIN)
            waiter = coro.spawn(poller.poll)
            let_others_wait()
            os.close(gone)
            os.write(writing, b"x")
            assert waiter.result() == [(reading, select.POLLIN)]
            assert (gone, select.POLLNVAL) in poller.poll()

    testing.run(main)


@every_way
def test_waiter_goes_on_waiting_when_another_has_taken_the_data(wait: Wait) -> None:
    def main() -> None:
        with piped() as (reading, writing):

            def take() -> bytes:
                assert wait(reading, None)
                return os.read(reading, 1)

            takers = [coro.spawn(take) for _ in range(3)]
            for _ in takers:
                let_others_wait()
                os.write(writing, b"x")
            assert [taker.result() for taker in takers] == [b"x"] * 3

    testing.run(main)


@pytest.mark.parametrize(
    "arguments",
    [
        ([1 << 20], [], []),
        ([-1], [], []),
        (["1"], [], []),
        (1, [], []),
        ([], [], [], "x"),
        ([], [], [], -1),
        ([], [], [], float("nan")),
        ([], [], [], 1e300),
        ([999], [], [], 0),
    ],
)
def test_select_refuses_what_the_original_refuses(arguments: tuple[Any, ...]) -> None:
    def main() -> None:
        ours = outcome_of(selecting.select, *arguments)
        if arguments[:1] == ([1 << 20],):
            # The original has no room for the number at all.
            assert ours[0] is OSError
        else:
            assert ours == outcome_of(select.select, *arguments)

    testing.run(main)


@pytest.mark.parametrize("timeout", ["x", float("nan"), 1 << 31, 1e300, 1j])
def test_poll_refuses_what_the_original_refuses(timeout: Any) -> None:
    def main() -> None:
        real, ours = select.poll(), poll()
        with piped() as (_, writing):
            real.register(writing)
            ours.register(writing)
            assert outcome_of(ours.poll, timeout) == outcome_of(real.poll, timeout)

    testing.run(main)


def test_poll_object_passes_for_the_original() -> None:
    real, ours = select.poll(), poll()
    assert isinstance(real, type(ours))
    assert (type(ours).__module__, type(ours).__name__) == (type(real).__module__, type(real).__name__)
    with pytest.raises(TypeError, match=r"cannot create 'select\.poll' instances"):
        type(ours)()
    for method, arguments in (
        ("register", (-1,)),
        ("register", ("x",)),
        ("register", (0, 1 << 20)),
        ("modify", (5, 1)),
        ("unregister", (5,)),
    ):
        assert outcome_of(getattr(ours, method), *arguments) == outcome_of(getattr(real, method), *arguments)


def test_second_thread_in_poll_is_refused_as_by_the_original() -> None:
    def main() -> None:
        with piped() as (reading, writing):
            poller = poll()
            poller.register(reading, select.POLLIN)
            first = coro.spawn(poller.poll)
            let_others_wait()
            with pytest.raises(RuntimeError, match="concurrent poll"):
                poller.poll()
            os.write(writing, b"x")
            assert first.result() == [(reading, select.POLLIN)]

    testing.run(main)


def test_regular_file_is_always_ready() -> None:
    def main() -> None:
        with tempfile.TemporaryFile() as file:
            assert selecting.select([file], [file], [], 5) == ([file], [file], [])
            poller = poll()
            poller.register(file, select.POLLIN)
            assert poller.poll() == [(file.fileno(), select.POLLIN)]

    testing.run(main)


def test_iterators_and_sets_of_files_will_do() -> None:
    def main() -> None:
        with connected() as (left, right):
            waiter = coro.spawn(selecting.select, iter([left]), iter(()), set(), 5)
            let_others_wait()
            right.send(b"x")
            assert waiter.result() == ([left], [], [])
            assert selecting.select({left}, {left}, (), None) == ([left], [left], [])

    testing.run(main)


def test_descriptors_beyond_the_size_of_select_are_waited_for() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 3000:
        pytest.skip(f"this process may have no more than {hard} descriptors")

    def main() -> None:
        with piped() as (reading, writing):
            high = os.dup2(reading, 2500)
            try:
                waiter = coro.spawn(selecting.select, [reading, high], [writing], [high], 5)
                assert waiter.result() == ([], [writing], [])
                waiter = coro.spawn(selecting.select, [high], [], [])
                let_others_wait()
                os.write(writing, b"x")
                assert waiter.result() == ([high], [], [])
            finally:
                os.close(high)

    resource.setrlimit(resource.RLIMIT_NOFILE, (3000, hard))
    try:
        testing.run(main)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_hang_up_that_nobody_asked_for_does_not_keep_the_loop_busy() -> None:
    def main() -> None:
        with piped() as (reading, writing):
            os.close(writing)
            before = scheduler.current.switches  # type: ignore[union-attr]
            assert selecting.select([], [], [reading], 1) == ([], [], [])
            assert scheduler.current.switches - before < 100  # type: ignore[union-attr]

    testing.run(main)


def test_what_was_closed_while_a_duplicate_lives_disturbs_no_later_wait() -> None:
    def main() -> None:
        with piped() as (reading, writing), piped() as (other, _):
            gone = os.dup(reading)
            waiter = coro.spawn(selecting.select, [gone], [], [], 1)
            let_others_wait()
            os.close(gone)
            assert waiter.result() == ([], [], [])
            # The kernel goes on reporting the closed number wherever it was registered.
            os.write(writing, b"x")
            before = scheduler.current.switches  # type: ignore[union-attr]
            assert selecting.select([other], [], [], 1) == ([], [], [])
            assert scheduler.current.switches - before < 100  # type: ignore[union-attr]

    testing.run(main)


def test_two_threads_wait_for_one_epoll_object() -> None:
    def main() -> None:
        with EmulatedEpoll() as poller, piped() as (reading, writing):
            poller.register(reading, select.EPOLLIN)
            waiters = [coro.spawn(poller.poll) for _ in range(3)]
            let_others_wait()
            os.write(writing, b"x")
            assert [waiter.result() for waiter in waiters] == [[(reading, select.EPOLLIN)]] * 3

    testing.run(main)


def test_epoll_object_passes_for_the_original() -> None:
    with EmulatedEpoll() as ours, select.epoll() as real:
        assert isinstance(real, EmulatedEpoll)
        assert (EmulatedEpoll.__module__, EmulatedEpoll.__name__) == ("select", "epoll")
        twin = EmulatedEpoll.fromfd(os.dup(ours.fileno()))
        twin.close()
        assert (twin.closed, ours.closed) == (True, False)
        for arguments in ((-1,), ("x",), (999,)):
            assert outcome_of(ours.register, *arguments) == outcome_of(real.register, *arguments)
        for arguments in (("x",), (0, 0), (1, -5), (1 << 31,), (float("nan"),)):
            assert outcome_of(ours.poll, *arguments) == outcome_of(real.poll, *arguments)
    assert outcome_of(ours.poll) == outcome_of(real.poll)
    assert outcome_of(ours.fileno) == outcome_of(real.fileno)


@pytest.mark.parametrize("name", ["SelectSelector", "PollSelector", "EpollSelector"])
def test_selectors_wait_in_the_loop(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selectors.SelectSelector, "_select", staticmethod(selecting.select))
    monkeypatch.setattr(selectors.PollSelector, "_selector_cls", staticmethod(poll))
    monkeypatch.setattr(selectors.EpollSelector, "_selector_cls", EmulatedEpoll)

    def main() -> None:
        with piped() as (reading, writing), getattr(selectors, name)() as selector:
            key = selector.register(reading, selectors.EVENT_READ)
            waiter = coro.spawn(selector.select)
            let_others_wait()
            assert not waiter.dead
            os.write(writing, b"x")
            assert waiter.result() == [(key, selectors.EVENT_READ)]

    testing.run(main)


def test_in_another_os_thread_it_blocks_that_one() -> None:
    def main() -> None:
        with piped() as (reading, writing):
            for wait in (wait_by_select, wait_by_poll, wait_by_epoll):
                assert coro.in_os_thread(wait, reading, 0.01) is False
            waiters = [
                coro.spawn(coro.in_os_thread, wait, reading, None)
                for wait in (wait_by_select, wait_by_poll, wait_by_epoll)
            ]
            let_others_wait()
            os.write(writing, b"x")
            assert [waiter.result() for waiter in waiters] == [True, True, True]

    coro.run(main)


@every_way
@pytest.mark.parametrize("trouble", [errno.EINVAL, errno.EMFILE, errno.ENOSYS])
def test_it_waits_also_where_the_kernel_has_no_gate(
    wait: Wait, trouble: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(wanted: object) -> Gate:
        raise OSError(trouble, os.strerror(trouble))

    monkeypatch.setattr(waiting, "open_gate", refuse)

    def main() -> None:
        with piped() as (reading, writing):
            waiters = [coro.spawn(wait, reading, timeout) for timeout in (None, 10)]
            assert wait(reading, 1) is False
            os.write(writing, b"x")
            assert [waiter.result() for waiter in waiters] == [True, True]

    testing.run(main)


def test_more_duplicates_of_a_descriptor_than_the_kernel_watches_at_one_gate() -> None:
    def main() -> None:
        with piped() as (reading, writing):
            twins = [os.dup(reading) for _ in range(600)]
            try:
                waiter = coro.spawn(selecting.select, twins, [], [])
                let_others_wait()
                os.write(writing, b"x")
                assert waiter.result() == (twins, [], [])
            finally:
                for twin in twins:
                    os.close(twin)

    testing.run(main)
