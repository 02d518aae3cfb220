"""ThreadLocal: the same object, other attributes in every thread."""

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import greenlet
import pytest

import coro
import coro.testing
from coro.local import ThreadLocal
from coro.timed import timers


def run(main: Callable[..., Any], *args: Any) -> Any:
    return coro.testing.run(main, *args, real_descriptors=False)


class Thing:
    """Something whose end can be watched."""


def test_seeds_example() -> None:
    """The reference page's dialogue: "the attribute stays the same value for that thread"."""

    def another(local: ThreadLocal) -> None:
        with pytest.raises(AttributeError, match="foo"):
            local.foo  # noqa: B018
        local.foo = 2
        assert local.foo == 2

    def main() -> int:
        local = ThreadLocal()
        local.foo = 1
        coro.spawn(another, local).result()
        return local.foo  # type: ignore[no-any-return]

    assert run(main) == 1


def test_values_survive_switches_between_threads() -> None:
    """As Shrapnel's test_local.py."""
    local = ThreadLocal()

    def count(number: int) -> int:
        assert not hasattr(local, "x")
        local.x = number
        for _ in range(3):
            coro.yield_slice()
            local.x += number
        return local.x  # type: ignore[no-any-return]

    def main() -> list[int]:
        threads = [coro.spawn(count, number) for number in (1, 10, 100)]
        return [thread.result() for thread in threads]

    assert run(main) == [4, 40, 400]


def test_missing_attribute_is_named() -> None:
    local = ThreadLocal()

    with pytest.raises(AttributeError, match="'ThreadLocal' object has no attribute 'colour'") as caught:
        local.colour  # noqa: B018
    assert (caught.value.name, caught.value.obj) == ("colour", local)
    with pytest.raises(AttributeError, match="has no attribute 'colour'") as caught:
        del local.colour
    assert (caught.value.name, caught.value.obj) == ("colour", local)


def test_deleting_an_attribute_deletes_it_in_this_thread_only() -> None:
    local = ThreadLocal()

    def main() -> int:
        local.x = 1

        def other() -> None:
            local.x = 2
            del local.x
            assert not hasattr(local, "x")

        coro.spawn(other).result()
        return local.x  # type: ignore[no-any-return]

    assert run(main) == 1


def test_dict_holds_this_threads_attributes() -> None:
    local = ThreadLocal()

    def main() -> dict[str, object]:
        local.x = 1
        local.__dict__.update(y=2)
        assert local.y == 2
        assert "x" in dir(local)
        return dict(vars(local))

    assert run(main) == {"x": 1, "y": 2}
    assert local.__dict__ == {}
    with pytest.raises(AttributeError, match="'__dict__' is read-only"):
        local.__dict__ = {}
    with pytest.raises(AttributeError, match="'__dict__' is read-only"):
        del local.__dict__


def test_main_greenlet_has_its_own_values_before_in_and_after_the_loop() -> None:
    local = ThreadLocal()
    local.x = "main"
    seen: list[object] = []

    def main() -> None:
        assert not hasattr(local, "x")
        local.x = "thread"
        timers.arm(coro.get_now() + 1, lambda _: seen.append(local.x))
        coro.sleep_relative(1)

    run(main)

    assert seen == ["main"]
    assert local.x == "main"


def test_greenlet_of_the_users_own_shares_with_its_thread() -> None:
    local = ThreadLocal()

    def main() -> object:
        local.x = 1
        return greenlet.greenlet(lambda: local.x).switch()

    assert run(main) == 1


def test_other_os_threads_have_their_own_values() -> None:
    local = ThreadLocal()
    local.x = "main"
    seen: list[object] = []
    thing = Thing()
    watch = weakref.ref(thing)

    def elsewhere(thing: Thing) -> None:
        seen.append(getattr(local, "x", "nothing"))
        local.x = thing

    def main() -> None:
        nonlocal thing
        local.x = "thread"
        other = threading.Thread(target=elsewhere, args=(thing,))
        del thing
        other.start()
        other.join()
        assert local.x == "thread"

    run(main)

    assert seen == ["nothing"]
    assert local.x == "main"
    assert watch() is None


# -- the end of a thread, the end of a ThreadLocal


@pytest.mark.parametrize("ending", [lambda: None, lambda: coro.current().shutdown()])
def test_values_are_dropped_when_the_thread_ends(ending: Callable[[], None]) -> None:
    local = ThreadLocal()
    watches: list[weakref.ref[Thing]] = []

    def work() -> None:
        local.thing = Thing()
        watches.append(weakref.ref(local.thing))
        coro.yield_slice()
        ending()

    def main() -> list[object]:
        threads = [coro.spawn(work) for _ in range(3)]
        coro.yield_slice()
        assert all(watch() is not None for watch in watches)
        for thread in threads:
            thread.join()
        assert all(not thread.locals for thread in threads)
        return [watch() for watch in watches]

    gc.disable()
    try:
        assert run(main) == [None] * 3
    finally:
        gc.enable()


def test_values_are_dropped_in_all_threads_when_the_object_dies() -> None:
    local: ThreadLocal | None = ThreadLocal()
    kept = ThreadLocal()
    watches: list[weakref.ref[Thing]] = []

    def work() -> None:
        assert local is not None
        local.thing = Thing()
        kept.thing = "kept"
        watches.append(weakref.ref(local.thing))
        coro.sleep_relative(10)
        assert kept.thing == "kept"

    def main() -> None:
        nonlocal local
        assert local is not None
        local.thing = Thing()
        watches.append(weakref.ref(local.thing))
        threads = [coro.spawn(work) for _ in range(3)]
        coro.sleep_relative(1)
        local = None
        assert [watch() for watch in watches] == [None] * 4
        assert [len(thread.locals or ()) for thread in threads] == [1] * 3
        for thread in threads:
            thread.result()

    gc.disable()
    try:
        run(main)
    finally:
        gc.enable()


def test_main_greenlets_value_is_dropped_when_the_object_dies() -> None:
    local = ThreadLocal()
    local.thing = Thing()
    watch = weakref.ref(local.thing)

    gc.disable()
    try:
        del local
        assert watch() is None
    finally:
        gc.enable()


def test_many_objects_that_come_and_go_leave_nothing() -> None:
    def main() -> tuple[int, int]:
        me = coro.current()
        for number in range(1000):
            ThreadLocal().x = number
        return len(me.locals or ()), coro.spawn(lambda: len(coro.current().locals or ())).result()

    assert run(main) == (0, 0)


def test_object_does_not_keep_threads_alive() -> None:
    local = ThreadLocal()

    def work() -> None:
        local.x = 1

    def main() -> object:
        thread = coro.spawn(work)
        watch = weakref.ref(thread)
        thread.join()
        del thread
        # The loop's own variables refer to the latest threads until others run.
        coro.sleep_relative(1)
        return watch()

    gc.disable()
    try:
        assert run(main) is None
    finally:
        gc.enable()


# -- subclasses


class Counter(ThreadLocal):
    """A subclass with everything that a subclass may have."""

    step = 1

    def __init__(self, start: int, *, log: list[int]) -> None:
        self.value = start
        log.append(coro.current().id)

    def count(self) -> int:
        self.value += self.step
        return self.value

    @property
    def double(self) -> int:
        return 2 * self.value

    @double.setter
    def double(self, value: int) -> None:
        self.value = value // 2

    @double.deleter
    def double(self) -> None:
        del self.value


def test_init_is_called_again_in_each_thread_that_uses_the_object() -> None:
    log: list[int] = []
    counter = Counter(5, log=log)
    assert (counter.count(), log) == (6, [-1])

    def main() -> tuple[int, int]:
        me = coro.current().id
        assert counter.count() == 6
        assert counter.count() == 7
        assert log == [-1, me]
        idle = coro.spawn(coro.yield_slice)
        idle.join()
        value = coro.spawn(counter.count).result()
        assert len(log) == 3
        return value, counter.count()

    assert run(main) == (6, 8)
    assert counter.count() == 7
    assert len(log) == 3


def test_methods_properties_and_class_attributes_are_shared() -> None:
    def main() -> None:
        counter = Counter(5, log=[])
        counter.double = 40
        assert (counter.value, counter.double) == (20, 40)
        assert "double" not in vars(counter)
        counter.step = 10
        assert counter.count() == 30
        assert Counter.step == 1
        assert coro.spawn(counter.count).result() == 6
        del counter.step
        assert counter.count() == 31
        del counter.double
        assert not hasattr(counter, "value")

    run(main)


def test_failed_init_is_tried_again_at_the_next_use() -> None:
    class Picky(ThreadLocal):
        good = True

        def __init__(self) -> None:
            if not type(self).good:
                raise ValueError("not now")
            self.x = 1

    local = Picky()

    def main() -> int:
        Picky.good = False
        with pytest.raises(ValueError, match="not now"):
            local.x  # noqa: B018
        Picky.good = True
        return local.x

    assert run(main) == 1


def test_getattr_of_a_subclass_gives_defaults() -> None:
    class Lenient(ThreadLocal):
        def __getattr__(self, name: str) -> str:
            return f"no {name}"

    local = Lenient()
    local.x = 1
    assert (local.x, local.y) == (1, "no y")


def test_equality_and_hash_of_a_subclass_do_not_matter() -> None:
    class Odd(ThreadLocal):
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            raise AssertionError("compared")

    one, other = Odd(), Odd()
    one.x, other.x = 1, 2
    assert (one.x, other.x) == (1, 2)


def test_arguments_without_an_init_are_refused() -> None:
    class Plain(ThreadLocal):
        pass

    with pytest.raises(TypeError, match=r"ThreadLocal\(\) takes no arguments"):
        ThreadLocal(1)
    with pytest.raises(TypeError, match=r"Plain\(\) takes no arguments"):
        Plain(a=1)


def test_slots_are_not_supported_and_that_is_said() -> None:
    with pytest.raises(
        TypeError, match=r"__slots__ are not supported in a ThreadLocal: .*Slotted has \['a', 'b'\]"
    ):

        class Slotted(ThreadLocal):
            __slots__ = ("a", "b")


def test_class_of_the_object_is_no_attribute_of_a_thread() -> None:
    class Other(ThreadLocal):
        pass

    local = ThreadLocal()
    assert isinstance(local, ThreadLocal)
    assert local.__class__ is ThreadLocal
    assert "__class__" not in vars(local)
    with pytest.raises(TypeError):
        local.__class__ = int  # type: ignore[assignment]
    assert Other().__class__ is Other
