"""Everything about one thread."""

from __future__ import annotations

import pytest

import coro
from coro import inspect, testing


def test_detail_of_a_thread() -> None:
    def grandparent() -> None:
        coro.spawn(parent, thread_name="parent")
        coro.sleep_relative(100)

    def parent() -> None:
        coro.spawn(child, thread_name="child")
        coro.sleep_relative(100)

    def child() -> None:
        with coro.shielded():
            coro.sleep_relative(50)

    def main() -> None:
        first = coro.spawn(grandparent, thread_name="grandparent")
        coro.sleep_relative(1)
        by_name = {thread.name: thread for thread in coro.all_threads.values()}
        thread = by_name["child"]
        joiners = [coro.spawn(thread.join) for _ in range(2)]
        coro.yield_slice()
        thread.raise_exception(coro.WakeUp)
        thread.raise_exception(ValueError("not yet"))

        detail = inspect.info(thread.id)
        assert detail.thread == inspect.thread(thread.id)
        assert detail.stack == inspect.stack(thread.id)
        assert [(id, name) for id, name, _ in detail.spawn_chain] == [
            (by_name["parent"].id, "parent"),
            (first.id, "grandparent"),
            (coro.current().id, coro.current().name),
        ]
        assert all(str(line).startswith(__file__) for _, _, line in detail.spawn_chain[:2])
        assert detail.shielded
        assert detail.pending == ("WakeUp", "ValueError")
        assert detail.joined_by == tuple(joiner.id for joiner in joiners)
        assert detail.function.endswith("child")
        thread.shutdown()

    testing.run(main, real_descriptors=False)


def test_spawn_chain_stops_at_a_spawner_that_has_ended() -> None:
    def main() -> None:
        children: list[coro.coro] = []
        coro.spawn(lambda: children.append(coro.spawn(coro.sleep_relative, 100)), thread_name="short").join()
        detail = inspect.info(children[0].id)
        assert detail.spawn_chain == ()
        assert not detail.shielded
        assert (detail.pending, detail.joined_by) == ((), ())

    testing.run(main, real_descriptors=False)


def test_exception_that_is_on_its_way_is_pending() -> None:
    def main() -> None:
        thread = coro.spawn(coro.sleep_relative, 100)
        coro.yield_slice()
        thread.shutdown()
        assert inspect.info(thread.id).pending == ("Shutdown",)

    testing.run(main, real_descriptors=False)


def test_spawn_chain_that_bites_its_tail_ends() -> None:
    def main() -> None:
        made: list[coro.coro] = []

        def make() -> None:
            made.append(coro.spawn(coro.sleep_relative, 100))
            coro.sleep_relative(100)

        parent = coro.spawn(make)
        coro.yield_slice()
        coro.yield_slice()
        # As if an id had been given by hand a second time.
        parent.creator_id = made[0].id
        assert [id for id, _, _ in inspect.info(made[0].id).spawn_chain] == [parent.id]

    testing.run(main, real_descriptors=False)


def test_thread_that_is_not_there_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        inspect.info(10**9)


def test_main_greenlet_is_no_link_of_the_chain() -> None:
    thread = coro.new(int)
    try:
        assert thread.creator_id == -1
        assert inspect.info(thread.id).spawn_chain == ()
    finally:
        thread.shutdown()
