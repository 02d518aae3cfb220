"""Context variables: a thread inherits a copy of its spawner's, taken when it is made."""

import contextvars
import weakref
from decimal import Decimal, getcontext, localcontext

import pytest

import coro
from coro import testing

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def test_thread_inherits_what_its_spawner_had_when_it_was_made() -> None:
    def main() -> None:
        variable.set("at the making")
        spawned, made = coro.spawn(variable.get), coro.new(variable.get)
        variable.set("later")
        made.start()
        assert (spawned.result(), made.result()) == ("at the making", "at the making")

    testing.run(main, real_descriptors=False)


def test_changes_stay_in_the_thread() -> None:
    def change(value: str) -> str:
        before = variable.get()
        variable.set(value)
        coro.yield_slice()
        assert variable.get() == value
        grandchild = coro.spawn(variable.get)
        coro.sleep_relative(1)
        assert grandchild.result() == value
        return before

    def main() -> None:
        variable.set("parent")
        threads = [coro.spawn(change, f"child {number}") for number in range(5)]
        assert [thread.result() for thread in threads] == ["parent"] * 5
        assert variable.get() == "parent"

    testing.run(main, real_descriptors=False)


def test_carrier_hands_nothing_on_to_its_next_thread() -> None:
    def pollute() -> None:
        variable.set("polluted")

    def fail() -> None:
        variable.set("polluted")
        raise ValueError

    def main() -> None:
        coro.set_exception_notifier(lambda thread, error: None)
        for function in (pollute, fail):
            # Both ways in which a carrier gets its next thread: at once, and out of the pool.
            first, second = coro.spawn(function), coro.spawn(variable.get)
            assert second.result() == "unset"
            assert first.dead
            coro.sleep_relative(1)
            assert coro.spawn(variable.get).result() == "unset"

    testing.run(main, real_descriptors=False)


def test_values_of_an_ended_thread_die_with_it() -> None:
    class Value(str):
        """A str that can be watched."""

        __slots__ = ("__weakref__",)

    def main() -> None:
        watched: list[weakref.ref[Value]] = []

        def hold() -> None:
            value = Value("held")
            watched.append(weakref.ref(value))
            variable.set(value)

        coro.spawn(hold).join()
        # Its carrier is parked now, and the loop has had its turn.
        coro.sleep_relative(1)
        assert [reference() for reference in watched] == [None]

    testing.run(main, real_descriptors=False)


def test_threads_that_are_made_outside_the_loop_inherit_too() -> None:
    token = variable.set("outside")
    try:
        thread = coro.spawn(variable.get)
        seen = coro.run(lambda: (variable.get(), thread.result(), variable.set("inside"))[:2])
        assert seen == ("outside", "outside")
        assert variable.get() == "outside"
    finally:
        variable.reset(token)


def test_every_thread_may_reset_its_own_token() -> None:
    def main() -> None:
        token = variable.set("parent")

        def reset() -> None:
            with pytest.raises(ValueError, match="different Context"):
                variable.reset(token)

        coro.spawn(reset).result()
        variable.reset(token)
        assert variable.get() == "unset"

    testing.run(main, real_descriptors=False)


def test_decimal_precision_is_the_threads_own() -> None:
    """A standard module that keeps its state in a context variable."""

    def divide(precision: int) -> str:
        with localcontext() as context:
            context.prec = precision
            coro.yield_slice()
            return str(Decimal(1) / Decimal(3))

    def main() -> None:
        before = getcontext().prec
        threads = [coro.spawn(divide, precision) for precision in (2, 5, 3)]
        assert [thread.result() for thread in threads] == ["0.33", "0.33333", "0.333"]
        assert getcontext().prec == before

    testing.run(main, real_descriptors=False)
