"""asyncio tasks as the console shows them: below the thread that they run in."""

import asyncio
import itertools
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import coro
import coro.aio
from coro import testing
from coro.guests import GuestTask, guests
from coro.inspect.tasks import stack_and_task_records, stacks_and_task_records, thread_and_task_records
from coro.records import StackRecord, ThreadRecord
from coro.wire.encode import to_plain
from coro.wire.layouts import LAYOUTS
from coro.wire.style import PLAIN
from coro.wire.tree import tree


async def innermost(event: asyncio.Event) -> None:
    await event.wait()


async def numbers(event: asyncio.Event) -> AsyncIterator[int]:
    await innermost(event)
    yield 1


async def through_a_generator(event: asyncio.Event) -> None:
    async for _ in numbers(event):
        pass


class Awaitable:
    """Awaitable by a method of its own, and not to be asked anything else."""

    def __init__(self, event: asyncio.Event) -> None:
        self.event = event

    def __await__(self) -> Iterator[Any]:
        return innermost(self.event).__await__()

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"an observer asked for {name}")


async def through_an_awaitable(event: asyncio.Event) -> None:
    await Awaitable(event)


async def program() -> None:
    """Tasks of every kind, all at rest."""
    event = asyncio.Event()
    waiting = asyncio.create_task(innermost(event), name="waits")
    others = [
        waiting,
        asyncio.create_task(through_a_generator(event), name="generator"),
        asyncio.create_task(through_an_awaitable(event), name="awaitable"),
        asyncio.create_task(asyncio.wait_for(asyncio.shield(waiting), 1000), name="shield"),
    ]
    asyncio.current_task().set_name("main")  # type: ignore[union-attr]
    ended = asyncio.create_task(asyncio.sleep(0), name="ended")
    await asyncio.wait(others)
    del ended


def beside(look: Callable[[coro.coro], Any], *, threads: int = 1) -> Any:
    """Run the program in threads, and look at the last one when it is at rest."""

    def main() -> Any:
        spawned = [coro.spawn(coro.aio.run, program(), thread_name=f"aio {n}") for n in range(threads)]
        coro.sleep_relative(1)
        try:
            return look(spawned[-1])
        finally:
            for thread in spawned:
                thread.shutdown()

    return testing.run(main)


def views(thread: coro.coro) -> dict[str, GuestTask]:
    return {view.name: view for view in guests[thread.id].view_tasks() if view is not None}


def functions(view: GuestTask) -> list[str]:
    return [code.co_name for code, _ in view.places]


def test_each_task_with_its_name_state_and_what_it_waits_for() -> None:
    found = beside(views)

    assert {name: (view.state, view.waiting_for) for name, view in found.items()} == {
        "main": ("waiting", "future"),
        "waits": ("waiting", "future"),
        "generator": ("waiting", "future"),
        "awaitable": ("waiting", "future"),
        "shield": ("waiting", "future"),
    }


def test_the_chain_of_awaits_is_followed_through_generators_and_awaitables() -> None:
    found = beside(views)

    assert functions(found["waits"]) == ["innermost", "wait"]
    assert functions(found["generator"]) == ["through_a_generator", "numbers", "innermost", "wait"]
    assert functions(found["awaitable"]) == ["through_an_awaitable", "innermost", "wait"]
    line = found["waits"].places[0][1]
    assert line == innermost.__code__.co_firstlineno + 1


def test_tasks_of_another_threads_loop_are_not_shown() -> None:
    assert len(beside(views, threads=3)) == 5


def test_a_task_that_is_about_to_run_is_runnable() -> None:
    async def main() -> GuestTask:
        other = asyncio.create_task(asyncio.sleep(0), name="other")
        loop: Any = asyncio.get_running_loop()
        (view,) = [view for view in loop.view_tasks() if view is not None and view.name == "other"]
        (own,) = [view for view in loop.view_tasks() if view is not None and view.name != "other"]
        assert own.state == "running"
        await other
        return view  # type: ignore[no-any-return]

    view = testing.run(coro.aio.run, main())

    assert (view.state, view.waiting_for) == ("runnable", None)


def test_there_is_a_pause_after_each_task_and_after_some_of_other_loops() -> None:
    def look(thread: coro.coro) -> list[bool]:
        return [view is None for view in guests[thread.id].view_tasks()]

    pauses = beside(look, threads=30)

    # Five tasks in 150: at most 50 others between two pauses.
    assert pauses.count(False) == 5
    assert pauses.count(True) >= 5 + 1
    assert all(after for before, after in itertools.pairwise(pauses) if not before)


def test_an_observer_keeps_no_task_alive() -> None:
    def look(thread: coro.coro) -> Any:
        async def short() -> None:
            await asyncio.sleep(1)

        loop: Any = guests[thread.id]
        task = asyncio.run_coroutine_threadsafe(short(), loop)
        coro.sleep_relative(0.5)
        (held,) = [task for task in asyncio.all_tasks(loop) if "short" in repr(task)]
        gone = weakref.ref(held)
        del held
        walk = loop.view_tasks()
        walked = [next(walk) for _ in range(3)]
        coro.aio.wait(task)
        # It holds on to its task.
        del task
        coro.sleep_relative(1)
        assert gone() is None
        return walked

    assert beside(look)


def test_a_walk_goes_on_when_tasks_end_and_the_loop_is_closed_meanwhile() -> None:
    def look(thread: coro.coro) -> list[Any]:
        walk = guests[thread.id].view_tasks()
        seen = [next(view for view in walk if view is not None)]
        thread.shutdown()
        thread.join()
        return [*seen, *[view for view in walk if view is not None]]

    assert len(beside(look)) == 1


def test_records_of_tasks_follow_that_of_their_thread() -> None:
    def look(thread: coro.coro) -> list[ThreadRecord]:
        return [record for record in thread_and_task_records() if record is not None]

    records = beside(look)
    lines = list(filter(None, tree([to_plain(record) for record in records], PLAIN, None)))

    assert next(record for record in records if record.name == "aio 0").task is None
    assert {record.task for record in records if record.task} == {
        "main",
        "waits",
        "generator",
        "awaitable",
        "shield",
    }
    (thread,) = [number for number, line in enumerate(lines) if '"aio 0"' in line]
    assert "waiting for asyncio on 0 descriptors" in lines[thread]
    below = lines[thread + 1 : thread + 6]
    assert all("task " in line for line in below)
    (waits,) = [line for line in below if '"waits"' in line]
    assert "waiting for future in Event.wait (locks.py:" in waits


@pytest.mark.parametrize("which", ["one", "all"])
def test_stacks_of_tasks_follow_that_of_their_thread(which: str) -> None:
    def look(thread: coro.coro) -> list[StackRecord]:
        records = stack_and_task_records(thread.id) if which == "one" else stacks_and_task_records()
        return [record for record in records if record is not None]

    records = [record for record in beside(look) if record.name == "aio 0"]

    assert records[0].task is None
    assert records[0].frames[-1].function == "ParkingSelector._park"
    (generator,) = [record for record in records if record.task == "generator"]
    assert [frame.function for frame in generator.frames][:3] == ["through_a_generator", "numbers", "innermost"]
    lines = list(filter(None, LAYOUTS["coro.stack/1"](to_plain(generator), PLAIN, None)))
    assert lines[0].endswith('"aio 0" task "generator": waiting for future')


def test_where_of_a_thread_that_is_no_more_raises() -> None:
    with pytest.raises(KeyError):
        testing.run(stack_and_task_records, 10**9)
