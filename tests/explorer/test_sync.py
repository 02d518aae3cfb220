"""Each primitive of coro.sync, fifo and join() under many orders, with interrupts and time-outs."""

from collections.abc import Callable

import pytest

import coro
from coro.testing import ChanceInterrupt, explore
from tests.explorer.model import Model, program
from tests.explorer.models import MODELS
from tests.explorer.scaling import scaled

by_primitive = pytest.mark.parametrize("make_model", MODELS.values(), ids=MODELS.keys())


@by_primitive
def test_random_programs_of_two_to_four_threads(make_model: type[Model]) -> None:
    explore(program(make_model, 4, 4), schedules=scaled(4000), interrupts=2, descriptors=False)


@by_primitive
def test_short_programs_of_two_threads_walked_with_three_deviations(make_model: type[Model]) -> None:
    """What happens when at most three things are unusual: an operation, the order of two threads, an interrupt."""
    explore(
        program(make_model, 2, 2),
        schedules=scaled(6000),
        exhaustive=True,
        deviations=3,
        interrupts=1,
        descriptors=False,
    )


def handing_a_lock_round(lock: Callable[[], object], unlock: Callable[[], object]) -> None:
    inside: list[coro.coro] = []

    def enter() -> None:
        lock()
        try:
            inside.append(coro.current())
            assert inside == [coro.current()]
            coro.yield_slice()
            inside.pop()
        except ChanceInterrupt:
            inside.pop()
            raise
        finally:
            unlock()

    threads = [coro.spawn(enter, thread_name=f"worker {n}") for n in range(3)]
    for thread in threads:
        thread.join()


def mutex_round() -> None:
    lock = coro.mutex()
    handing_a_lock_round(lock.lock, lock.unlock)
    assert not lock.locked()


def write_lock_round() -> None:
    lock = coro.rw_lock()
    handing_a_lock_round(lock.write_lock, lock.write_unlock)
    assert lock.writer is None


def semaphore_round() -> None:
    one = coro.semaphore(1)
    handing_a_lock_round(one.acquire, one.release)
    assert int(one) == 1


def fifo_round() -> None:
    fifo = coro.fifo()
    got: list[int] = []

    def take() -> None:
        got.append(fifo.pop())

    threads = [coro.spawn(take, thread_name=f"worker {n}") for n in range(3)]
    coro.yield_slice()
    for item in range(3):
        fifo.push(item)
    for thread in threads:
        thread.join()
    assert got + list(fifo) == [0, 1, 2]


def condition_round() -> None:
    condition = coro.condition_variable()
    heard: list[coro.coro] = []

    def listen() -> None:
        condition.wait()
        heard.append(coro.current())

    threads = [coro.spawn(listen, thread_name=f"worker {n}") for n in range(3)]
    coro.yield_slice()
    # Those that were interrupted before they ran are not there to be woken.
    woken = condition.wake_n(2)
    coro.yield_slice()
    coro.yield_slice()
    coro.yield_slice()
    alive = [thread for thread in threads if not thread.dead]
    assert len(heard) >= min(woken, 2) or not alive
    for thread in alive:
        thread.shutdown()


ROUNDS = [mutex_round, write_lock_round, semaphore_round, fifo_round, condition_round]


@pytest.mark.parametrize("scenario", ROUNDS, ids=lambda scenario: scenario.__name__)
def test_every_order_and_every_place_of_one_interrupt(scenario: Callable[[], None]) -> None:
    explored = explore(scenario, schedules=200_000, exhaustive=True, interrupts=1, descriptors=False)
    assert explored.complete
    assert explored.schedules > 100
