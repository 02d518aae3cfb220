"""lookups: questions are shared, remembered, bounded, and can be left."""

import os
import socket
from typing import Any

import pytest

import coro
import coro.dns
import coro.testing
from coro.dns import functions
from coro.resolve import lookup_pool
from tests.dns.conftest import ANSWER, SlowSystem
from tests.os_thread.waiting import wait_until

NOT_KNOWN = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
TRY_AGAIN = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


def look_up(name: str = "known.example") -> coro.coro:
    """Look a name up in a thread of its own, whose failure is the test's affair."""
    thread = coro.spawn(coro.dns.gethostbyname, name)
    thread.observers += 1
    return thread


def failure_of(name: str) -> BaseException:
    with pytest.raises(OSError) as caught:
        coro.dns.gethostbyname(name)
    return caught.value


# -- sharing


def test_equal_questions_at_a_time_are_asked_once(slow: SlowSystem) -> None:
    slow.gate.clear()

    def main() -> list[str]:
        threads = [look_up() for _ in range(100)]
        wait_until(lambda: slow.asked)
        threads += [look_up() for _ in range(100)]
        coro.yield_slice()
        slow.gate.set()
        return [thread.result() for thread in threads]

    assert coro.run(main) == [ANSWER] * 200
    assert len(slow.asked) == 1


def test_each_who_waits_gets_an_error_of_his_own(slow: SlowSystem) -> None:
    slow.errors["x.example"] = NOT_KNOWN

    def main() -> list[BaseException | None]:
        threads = [look_up("x.example") for _ in range(3)]
        for thread in threads:
            thread.join()
        return [thread.error for thread in threads]

    errors = coro.run(main)
    assert len(slow.asked) == 1
    assert len({id(error) for error in errors}) == 3
    assert [(type(error), error.args) for error in errors if error is not None] == [
        (socket.gaierror, NOT_KNOWN.args)
    ] * 3


# -- leaving


def test_interrupted_caller_returns_at_once_and_the_others_get_their_answer(slow: SlowSystem) -> None:
    slow.gate.clear()

    def main() -> str:
        leaving, staying = look_up(), look_up()
        wait_until(lambda: slow.asked)
        leaving.raise_exception(coro.WakeUp)
        with pytest.raises(coro.WakeUp):
            leaving.result()
        slow.gate.set()
        return str(staying.result())

    assert coro.run(main) == ANSWER
    assert len(slow.asked) == 1


def test_answer_that_nobody_waits_for_any_more_is_remembered(slow: SlowSystem) -> None:
    slow.gate.clear()

    def main() -> str:
        with pytest.raises(coro.TimeoutError):
            coro.with_timeout(0.01, coro.dns.gethostbyname, "known.example")
        slow.gate.set()
        wait_until(lambda: functions.lookups.under_way == 0)
        return coro.dns.gethostbyname("known.example")

    assert coro.run(main) == ANSWER
    assert len(slow.asked) == 1


def test_failure_that_nobody_waits_for_is_no_news(slow: SlowSystem) -> None:
    slow.gate.clear()
    slow.errors["x.example"] = NOT_KNOWN
    notified: list[BaseException] = []
    former = coro.set_exception_notifier(lambda thread, error: notified.append(error))

    def main() -> None:
        with pytest.raises(coro.TimeoutError):
            coro.with_timeout(0.01, coro.dns.gethostbyname, "x.example")
        slow.gate.set()
        wait_until(lambda: functions.lookups.under_way == 0)
        coro.sleep_relative(0.002)

    try:
        coro.run(main)
    finally:
        coro.set_exception_notifier(former)
    assert notified == []


def test_question_that_nobody_waits_for_is_never_asked_if_no_os_thread_has_begun(slow: SlowSystem) -> None:
    slow.gate.clear()

    def main() -> None:
        busy = [look_up(f"{number}.example") for number in range(lookup_pool.size)]
        wait_until(lambda: len(slow.asked) == lookup_pool.size)
        queued = look_up("queued.example")
        wait_until(lambda: "1 calls queued" in repr(lookup_pool))
        queued.shutdown()
        queued.join()
        assert functions.lookups.under_way == lookup_pool.size
        slow.gate.set()
        for thread in busy:
            thread.result()
        assert "0 calls queued" in repr(lookup_pool)

    coro.run(main)
    assert ("gethostbyname", ("queued.example",)) not in slow.asked


def test_question_that_was_dropped_is_asked_anew_by_who_asks_at_that_moment(slow: SlowSystem) -> None:
    slow.gate.clear()

    def ask_twice() -> str:
        try:
            return coro.dns.gethostbyname("queued.example")
        except coro.WakeUp:
            return coro.dns.gethostbyname("queued.example")

    def main() -> str:
        busy = [look_up(f"{number}.example") for number in range(lookup_pool.size)]
        wait_until(lambda: len(slow.asked) == lookup_pool.size)
        thread = coro.spawn(ask_twice)
        wait_until(lambda: "1 calls queued" in repr(lookup_pool))
        thread.raise_exception(coro.WakeUp)
        coro.yield_slice()
        slow.gate.set()
        for one in busy:
            one.result()
        return str(thread.result())

    assert coro.run(main) == ANSWER


def test_question_that_was_dropped_can_be_asked_again_at_once(slow: SlowSystem) -> None:
    def main() -> str:
        first = look_up()
        coro.yield_slice()
        first.shutdown()
        first.join()
        return coro.dns.gethostbyname("known.example")

    assert coro.run(main) == ANSWER


def test_look_up_that_is_shut_down_fails_those_who_wait_for_now(slow: SlowSystem) -> None:
    slow.gate.clear()

    def main() -> str:
        waiting = look_up()
        wait_until(lambda: slow.asked)
        [flight] = [thread for thread in coro.all_threads.values() if thread.name == "name look-up"]
        flight.shutdown()
        with pytest.raises(socket.gaierror, match="interrupted") as caught:
            waiting.result()
        assert caught.value.errno == socket.EAI_AGAIN
        slow.gate.set()
        return coro.dns.gethostbyname("known.example")

    assert coro.run(main) == ANSWER


def test_loop_ends_while_a_look_up_is_under_way_and_the_next_loop_asks_anew(slow: SlowSystem) -> None:
    slow.gate.clear()

    def leave() -> None:
        look_up()
        wait_until(lambda: slow.asked)

    coro.run(leave)
    slow.gate.set()

    assert coro.run(coro.dns.gethostbyname, "known.example") == ANSWER
    assert len(slow.asked) == 2


def test_forked_child_asks_for_itself(slow: SlowSystem) -> None:
    slow.gate.clear()

    def main() -> int:
        waiting = look_up()
        wait_until(lambda: slow.asked)
        pid = coro.fork()
        if pid == 0:
            slow.gate.set()
            found = coro.with_timeout(20, coro.dns.gethostbyname, "known.example")
            os._exit(0 if found == ANSWER else 1)
        slow.gate.set()
        waiting.result()
        return coro.waitpid(pid)[1]

    assert coro.run(main) == 0


# -- remembering


def seconds_until_asked_again(slow: SlowSystem, name: str) -> float:
    """How long a second question is answered from the cache, in seconds, up to 100."""

    def main() -> float:
        started = coro.get_now()
        outcome(name)
        asked = len(slow.asked)
        while len(slow.asked) == asked and coro.get_now() - started < 100 * 10**9:
            coro.sleep_relative(0.5)
            outcome(name)
        return (coro.get_now() - started) / 10**9

    return float(coro.testing.run(main))


def outcome(name: str) -> Any:
    try:
        return coro.dns.gethostbyname(name)
    except OSError as error:
        return error.args


def test_answer_is_believed_for_ten_seconds(slow: SlowSystem) -> None:
    assert seconds_until_asked_again(slow, "known.example") == 10


@pytest.mark.parametrize("number", [socket.EAI_NONAME, socket.EAI_NODATA])
def test_certain_no_is_believed_for_two_seconds(number: int, slow: SlowSystem) -> None:
    slow.errors["x.example"] = socket.gaierror(number, "no")

    assert seconds_until_asked_again(slow, "x.example") == 2


@pytest.mark.parametrize("error", [TRY_AGAIN, socket.gaierror(socket.EAI_MEMORY, "no memory"), MemoryError()])
def test_failure_that_may_be_over_soon_is_asked_again(error: Exception, slow: SlowSystem) -> None:
    slow.errors["x.example"] = error

    def main() -> None:
        for _ in range(3):
            with pytest.raises(type(error)):
                coro.dns.gethostbyname("x.example")

    coro.run(main)
    assert len(slow.asked) == 3


@pytest.mark.parametrize(("number", "is_kept"), [(1, True), (2, False), (3, False), (4, True)])
def test_reverse_look_up_is_believed_if_it_is_certain(number: int, is_kept: bool, slow: SlowSystem) -> None:
    slow.errors["192.0.2.1"] = socket.herror(number, "no")

    def main() -> None:
        for _ in range(3):
            with pytest.raises(socket.herror):
                coro.dns.gethostbyaddr("192.0.2.1")

    coro.run(main)
    assert len(slow.asked) == (1 if is_kept else 3)


def test_times_can_be_set(slow: SlowSystem) -> None:
    slow.errors["x.example"] = NOT_KNOWN
    coro.dns.set_cache(found=3, failed=1)

    assert seconds_until_asked_again(slow, "known.example") == 3
    assert seconds_until_asked_again(slow, "x.example") == 1


def test_cache_can_be_switched_off(slow: SlowSystem) -> None:
    coro.dns.set_cache(0)

    def main() -> None:
        for _ in range(3):
            coro.dns.gethostbyname("known.example")

    coro.run(main)
    assert len(slow.asked) == 3


def test_cache_is_bounded(slow: SlowSystem) -> None:
    coro.dns.set_cache(5)

    def main() -> None:
        for number in range(20):
            coro.dns.gethostbyname(f"{number}.example")
        assert len(functions.lookups.cache) == 5
        coro.dns.set_cache(2)
        assert len(functions.lookups.cache) == 2

    coro.run(main)


def test_cleared_cache_knows_nothing_not_even_what_is_on_its_way(slow: SlowSystem) -> None:
    slow.gate.clear()

    def main() -> None:
        waiting = look_up()
        wait_until(lambda: slow.asked)
        coro.dns.clear_cache()
        slow.gate.set()
        waiting.result()
        coro.dns.gethostbyname("known.example")
        coro.dns.clear_cache()
        coro.dns.gethostbyname("known.example")

    coro.run(main)
    assert len(slow.asked) == 3


def test_returned_list_is_the_callers_own(slow: SlowSystem) -> None:
    def main() -> None:
        coro.dns.getaddrinfo("known.example", 80).clear()
        coro.dns.gethostbyname_ex("known.example")[2].clear()
        assert len(coro.dns.getaddrinfo("known.example", 80)) == 1
        assert coro.dns.gethostbyname_ex("known.example")[2] == [ANSWER]

    coro.run(main)


# -- bounds


def test_look_ups_are_done_so_many_at_a_time(slow: SlowSystem) -> None:
    slow.gate.clear()

    def main() -> None:
        threads = [look_up(f"{number}.example") for number in range(lookup_pool.size + 7)]
        wait_until(lambda: "7 calls queued" in repr(lookup_pool))
        wait_until(lambda: len(slow.asked) == lookup_pool.size)
        slow.gate.set()
        for thread in threads:
            thread.result()

    coro.run(main)


def test_too_many_questions_are_refused_for_now(slow: SlowSystem) -> None:
    functions.lookups.max_under_way = 3
    slow.gate.clear()

    def main() -> None:
        threads = [look_up(f"{number}.example") for number in range(3)]
        coro.yield_slice()
        error = failure_of("one.more.example")
        assert isinstance(error, socket.gaierror)
        assert error.errno == socket.EAI_AGAIN
        assert "3 look-ups are under way, the limit is 3" in str(error)
        # One that is being asked takes no place.
        threads.append(look_up("0.example"))
        slow.gate.set()
        for thread in threads:
            thread.result()
        coro.dns.gethostbyname("one.more.example")

    coro.run(main)
