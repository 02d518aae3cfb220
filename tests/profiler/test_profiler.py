"""The profiler: time goes to the function that ran, in the thread that ran it."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import greenlet
import pytest

import coro
from coro import profiler
from coro.profiler.recorder import FunctionProfile, Profile, Recorder
from coro.profiler.report import function_text, html_report


@pytest.fixture(autouse=True)
def stopped() -> Iterator[None]:
    yield
    sys.setprofile(None)
    greenlet.settrace(None)
    assert not profiler.is_running()


def burn(seconds: float) -> None:
    # One call of a builtin: the profiler's own time, which is left out, does not count.
    time.sleep(seconds)


def recorded(function: object) -> Profile:
    recorder = Recorder()
    recorder.start()
    try:
        function()  # type: ignore[operator]
    finally:
        recorder.stop()
    return recorder.profile()


def of(profile: Profile, function: object) -> FunctionProfile:
    return profile.functions[function.__code__]  # type: ignore[attr-defined]


def test_waiting_is_charged_to_nobody_and_another_threads_time_not_to_the_waiter() -> None:
    def waiter() -> None:
        coro.sleep_relative(0.01)

    def worker() -> None:
        for _ in range(3):
            burn(0.02)
            coro.yield_slice()

    def main() -> None:
        threads = [coro.spawn(waiter), coro.spawn(worker)]
        for thread in threads:
            thread.join()

    profile = recorded(lambda: coro.run(main))

    assert of(profile, burn).calls == 3
    assert of(profile, burn).total_ns > 0.055e9
    assert of(profile, worker).total_ns >= of(profile, burn).total_ns
    # It waited through two of the three burns.
    assert of(profile, waiter).total_ns < 0.02e9
    assert profile.run_ns <= profile.wall_ns
    assert profile.switches >= 6


def test_threads_that_waited_before_the_profile_began_are_profiled_when_they_run() -> None:
    def late() -> None:
        coro._yield()
        burn(0.01)

    def main() -> Profile:
        thread = coro.spawn(late)
        coro.yield_slice()
        recorder = Recorder()
        recorder.start()
        thread.schedule()
        thread.join()
        recorder.stop()
        return recorder.profile()

    profile = coro.run(main)

    assert of(profile, burn).calls == 1
    # The call itself was made before.
    assert of(profile, late).calls == 0
    assert of(profile, late).total_ns >= of(profile, burn).total_ns > 0.009e9


def test_recursion_counts_every_call_and_its_time_once() -> None:
    def fall(depth: int) -> None:
        if depth:
            fall(depth - 1)
        else:
            burn(0.01)

    profile = recorded(lambda: fall(5))

    assert of(profile, fall).calls == 6
    assert 0.009e9 < of(profile, fall).total_ns <= profile.run_ns
    assert of(profile, fall).callees[fall.__code__][0] == 5


def test_exceptions_leave_the_stack_in_order() -> None:
    def fail() -> None:
        raise ValueError

    def caller() -> None:
        for _ in range(3):
            with pytest.raises(ValueError):
                fail()
        burn(0.01)

    profile = recorded(caller)

    assert of(profile, fail).calls == 3
    assert of(profile, caller).callees[burn.__code__][0] == 1
    assert of(profile, fail).total_ns < 0.01e9


def test_carriers_that_ended_are_forgotten() -> None:
    old = coro.set_max_parked_carriers(0)
    recorder = Recorder()

    def main() -> None:
        for _ in range(20):
            for thread in [coro.spawn(coro.sleep_relative, 0) for _ in range(50)]:
                thread.join()

    recorder.start()
    try:
        coro.run(main)
    finally:
        coro.set_max_parked_carriers(old)
        recorder.stop()

    assert len(recorder._stacks) < 500
    assert profiler.is_running() is False


def test_go_writes_a_page_and_hands_over_the_value(tmp_path: Path) -> None:
    page = tmp_path / "out.html"

    def value(number: int, *, more: int) -> int:
        return sum(range(number)) + more

    assert profiler.go(value, 4, more=1, profile_filename=str(page)) == 7

    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert "test_go_writes_a_page_and_hands_over_the_value.&lt;locals&gt;.value" in text
    assert "builtins.sum" in text


def test_go_writes_the_page_also_when_the_function_raises(tmp_path: Path) -> None:
    page = tmp_path / "out.html"

    with pytest.raises(ZeroDivisionError):
        profiler.go(lambda: 1 / 0, profile_filename=str(page))

    assert "</html>" in page.read_text(encoding="utf-8")
    assert sys.getprofile() is None
    assert greenlet.gettrace() is None


def test_start_and_stop_come_in_pairs(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no profile is being taken"):
        profiler.stop()
    profiler.start()
    with pytest.raises(RuntimeError, match="being taken already"):
        profiler.start()
    assert profiler.stop(str(tmp_path / "a.html")) == tmp_path / "a.html"


def test_another_os_thread_cannot_stop_it(tmp_path: Path) -> None:
    errors: list[RuntimeError] = []

    def stop() -> None:
        try:
            profiler.stop(str(tmp_path / "a.html"))
        except RuntimeError as error:
            errors.append(error)

    profiler.start()
    thread = threading.Thread(target=stop)
    thread.start()
    thread.join()
    profiler.stop(str(tmp_path / "a.html"))

    assert "stop it there" in str(errors[0])


def test_another_profiler_in_the_way_is_an_error() -> None:
    sys.setprofile(lambda *event: None)
    try:
        with pytest.raises(RuntimeError, match="another profiler"):
            profiler.start()
    finally:
        sys.setprofile(None)


def test_go_refuses_what_cannot_be_called() -> None:
    with pytest.raises(TypeError, match="go\\(\\) needs a function to profile, got 5"):
        profiler.go(5)  # type: ignore[arg-type]


def test_page_escapes_names_and_copes_with_an_empty_profile() -> None:
    assert "0.000 s" in html_report(Profile({}, 0, 0, 0))
    text = html_report(Profile({"<b>": FunctionProfile(calls=1, self_ns=10, total_ns=10)}, 10, 10, 0))
    assert "<b>" not in text
    assert "&lt;b&gt;" in text


def test_function_is_named_by_file_line_and_qualified_name() -> None:
    assert function_text(burn.__code__) == f"profiler/test_profiler.py:{burn.__code__.co_firstlineno} burn"
