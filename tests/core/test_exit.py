"""How the loop ends: the last turn, the left-over threads, the message and the exit code."""

import io
from typing import Any

import pytest

import coro
from coro import testing
from tests.core.script import output_of, run_script


def exit_with(code: Any = 0) -> None:
    """Run event_loop() under the fake clock until it exits with this code."""
    with testing.fake_time(real_descriptors=False), pytest.raises(SystemExit) as caught:
        coro.event_loop()
    assert caught.value.code == code


def stubborn() -> None:
    """Survive every Shutdown."""
    while True:
        try:
            coro.sleep_relative(1000)
        except coro.Shutdown:
            continue


# -- the last turn


def test_what_is_runnable_runs_exactly_once_more() -> None:
    ran: list[Any] = []

    def yielder(number: int) -> None:
        while True:
            ran.append(number)
            coro.yield_slice()

    def leave() -> None:
        coro.yield_slice()
        cancelled = coro.spawn(int)
        coro.set_exit(3)
        cancelled.shutdown()
        ran.append("exit")
        coro.yield_slice()
        ran.append("last")

    for number in (1, 2):
        coro.spawn(yielder, number)
    coro.spawn(leave)
    coro.spawn(yielder, 3)

    exit_with(3)

    assert ran[ran.index("exit") :] == ["exit", 3, 1, 2, "last"]


def test_thread_that_set_exit_made_runnable_gets_its_turn() -> None:
    ran: list[str] = []

    def main() -> None:
        thread = coro.spawn(lambda: ran.append(coro._yield()))
        coro.yield_slice()
        coro.set_exit()
        thread.schedule("woken before the exit")

    coro.spawn(main)
    exit_with(0)

    assert ran == ["woken before the exit"]


@pytest.mark.parametrize("code", [0, 1, 255, None, "text", (1, 2)])
def test_code_of_system_exit_is_what_set_exit_was_given(code: Any) -> None:
    coro.spawn(coro.set_exit, code)

    exit_with(code)


def test_later_exit_code_wins() -> None:
    coro.spawn(lambda: (coro.set_exit(1), coro.set_exit(2)))

    exit_with(2)


def test_exit_that_was_asked_for_before_the_loop_is_not_forgotten() -> None:
    ran: list[str] = []
    coro.spawn(ran.append, "runnable")
    coro.set_exit(4)

    exit_with(4)

    assert ran == ["runnable"]
    # And is not remembered after it.
    assert coro.run(lambda: "runs") == "runs"


def test_exit_code_is_that_of_the_process() -> None:
    assert run_script("import coro; coro.spawn(coro.set_exit, 7); coro.event_loop()").returncode == 7
    assert run_script("import coro; coro.spawn(coro.set_exit); coro.event_loop()").returncode == 0


# -- left-over threads


def test_threads_that_were_not_started_are_cancelled_and_the_rest_get_shutdown() -> None:
    ended: list[str] = []

    def waiting(how: str) -> None:
        try:
            if how == "sleeping":
                coro.sleep_relative(1000)
            else:
                coro._yield()
        except coro.Shutdown:
            ended.append(how)
            raise

    unstarted = coro.new(ended.append, "unstarted")
    threads = [coro.spawn(waiting, how) for how in ("sleeping", "parked")]
    spawned: list[coro.coro] = []

    def main() -> None:
        coro.sleep_relative(1)
        coro.set_exit()
        coro.yield_slice()
        spawned.append(coro.spawn(ended.append, "spawned in the last turn"))

    coro.spawn(main)
    exit_with()

    assert ended == ["sleeping", "parked"]
    assert all(thread.dead for thread in [unstarted, *threads, *spawned])
    assert (unstarted.started, spawned[0].started) == (False, False)
    assert isinstance(unstarted.error, coro.Shutdown)
    assert not coro.all_threads


def test_thread_may_clean_up_in_the_grace_time(stderr: io.StringIO) -> None:
    done: list[Any] = []

    def clean() -> None:
        try:
            coro.sleep_relative(1000)
        finally:
            coro.sleep_relative(2)
            helper = coro.spawn(lambda: (coro.sleep_relative(0.5), "helped")[1])
            done.append(helper.result())

    coro.spawn(clean)
    coro.spawn(lambda: (coro.sleep_relative(1), coro.set_exit(5)))
    exit_with(5)

    assert done == ["helped"]
    assert stderr.getvalue() == ""


def test_survivor_of_the_grace_time_is_named_marked_dead_and_never_resumed(stderr: io.StringIO) -> None:
    thread = coro.spawn(stubborn, thread_name="Diehard")
    joiner = coro.spawn(thread.join)
    coro.spawn(lambda: (coro.sleep_relative(1), coro.set_exit()))

    with testing.fake_time(real_descriptors=False) as clock:
        with pytest.raises(SystemExit):
            coro.event_loop()
        # One second until the exit, and the grace time.
        assert clock.now_ns == 5 * coro.ticks_per_sec

    assert stderr.getvalue().count("\n") == 1
    assert "name='Diehard'" in stderr.getvalue()
    assert "did not end within the grace time of 3.0 s" in stderr.getvalue()
    assert thread.dead
    assert not thread.scheduled
    assert joiner.dead
    assert not coro.all_threads
    for resume in (thread.schedule, lambda: thread.raise_exception(KeyError)):
        with pytest.raises(coro.DeadCoroutine):
            resume()
    thread.shutdown()

    def wait_for_nothing() -> None:
        coro.sleep_relative(5000)

    testing.run(wait_for_nothing, real_descriptors=False)


def test_survivor_that_never_sleeps_does_not_stop_the_exit(stderr: io.StringIO) -> None:
    def restless() -> None:
        while True:
            try:
                while True:
                    coro.yield_slice()
                    clock.advance(0.001)
            except coro.Shutdown:
                continue

    coro.spawn(restless)
    coro.spawn(coro.set_exit)
    with testing.fake_time(real_descriptors=False) as clock, pytest.raises(SystemExit):
        coro.event_loop()

    assert "restless" in stderr.getvalue()
    assert "3.0 s" in stderr.getvalue()


def test_finally_blocks_of_survivors_never_run_not_even_when_the_process_ends() -> None:
    script = """
        import coro, threading
        coro.set_exit_grace(0.01)

        def stubborn():
            try:
                while True:
                    try:
                        coro.sleep_relative(1000)
                    except coro.Shutdown:
                        pass
            finally:
                print("resumed", flush=True)

        def main():
            coro.spawn(stubborn)
            coro.sleep_relative(0.001)

        coro.run(main)
        # The same in an OS thread that ends before the process does.
        os_thread = threading.Thread(target=coro.run, args=(main,))
        os_thread.start()
        os_thread.join()
        coro.run(main)
        print("end")
    """
    assert output_of(script) == ["end"]


def test_grace_time_can_be_set_and_zero_leaves_no_time() -> None:
    assert coro.set_exit_grace(0.5) == 3.0
    assert coro.set_exit_grace(0) == 0.5
    cleaned: list[str] = []

    def clean() -> None:
        try:
            coro.sleep_relative(1000)
        finally:
            cleaned.append("without sleeping")
            coro.sleep_relative(0.001)
            cleaned.append("after sleeping")

    for grace_s, expected in ((0.5, ["without sleeping", "after sleeping"]), (0, [])):
        cleaned.clear()
        coro.set_exit_grace(grace_s)
        coro.spawn(clean)
        coro.spawn(lambda: (coro.sleep_relative(1), coro.set_exit()))
        exit_with()
        assert cleaned == expected


@pytest.mark.parametrize(
    ("grace", "error"), [("x", TypeError), (None, TypeError), (-1, ValueError), (float("nan"), ValueError)]
)
def test_wrong_grace_time_is_refused(grace: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"exit grace must be .*got {grace!r}"):
        coro.set_exit_grace(grace)

    assert coro.set_exit_grace(3) == 3.0


def test_exception_of_a_thread_that_cleans_up_is_told() -> None:
    told: list[BaseException] = []
    coro.set_exception_notifier(lambda thread, error: told.append(error))

    def clean() -> None:
        try:
            coro.sleep_relative(1000)
        finally:
            raise ValueError("spilled")

    coro.spawn(clean)
    coro.spawn(lambda: (coro.sleep_relative(1), coro.set_exit()))
    exit_with()

    assert [str(error) for error in told] == ["spilled"]


def test_timers_of_left_over_threads_do_not_fire_in_the_next_loop() -> None:
    thread = coro.spawn(stubborn)
    coro.set_exit_grace(0)
    coro.spawn(lambda: (coro.sleep_relative(1), coro.set_exit()))
    exit_with()

    def main() -> None:
        coro.sleep_relative(3000)
        assert not thread.scheduled

    testing.run(main, real_descriptors=False)


# -- what is printed


def test_exiting_goes_to_the_real_stderr(stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """In Shrapnel it never appears, by a bug."""
    replaced = io.StringIO()
    monkeypatch.setattr("sys.stderr", replaced)
    coro.set_print_exit_string(True)
    coro.spawn(coro.set_exit)

    exit_with()

    assert stderr.getvalue() == "Exiting...\n"
    assert replaced.getvalue() == ""


def test_exiting_is_printed_by_default_and_not_when_it_is_switched_off() -> None:
    script = (
        "import coro, sys, io; sys.stderr = io.StringIO(); SWITCH; coro.spawn(coro.set_exit); coro.event_loop()"
    )
    assert run_script(script.replace("SWITCH; ", "")).stderr == "Exiting...\n"
    assert run_script(script.replace("SWITCH", "coro.set_print_exit_string(False)")).stderr == ""
    assert run_script(script.replace("SWITCH", "coro.set_print_exit_string(True)")).stderr == "Exiting...\n"


def test_run_prints_no_exit_message(stderr: io.StringIO) -> None:
    coro.set_print_exit_string(True)

    coro.run(int)

    assert stderr.getvalue() == ""


def test_closed_stderr_does_not_stop_the_exit() -> None:
    script = "import coro, os; os.close(2); coro.spawn(coro.set_exit, 4); coro.event_loop()"
    assert run_script(script).returncode == 4


# -- run() and the exit


def test_run_whose_thread_ignores_shutdown_still_exits(stderr: io.StringIO) -> None:
    def main() -> None:
        coro.spawn(lambda: (coro.sleep_relative(1), coro.set_exit(6)))
        stubborn()

    with pytest.raises(SystemExit) as caught:
        testing.run(main, real_descriptors=False)
    assert caught.value.code == 6
    assert "main" in stderr.getvalue()


def test_uncaught_keyboard_interrupt_leaves_event_loop_after_the_others_have_cleaned_up() -> None:
    """Fault 7 of the original, second half: there, KeyboardInterrupt ended only the thread, like any other."""
    told: list[BaseException] = []
    coro.set_exception_notifier(lambda thread, error: told.append(error))
    cleaned: list[str] = []

    def other() -> None:
        try:
            coro.sleep_relative(1000)
        finally:
            coro.sleep_relative(1)
            cleaned.append("cleaned")

    def fail() -> None:
        coro.sleep_relative(1)
        raise KeyboardInterrupt

    coro.spawn(other)
    coro.spawn(fail)
    with testing.fake_time(real_descriptors=False), pytest.raises(KeyboardInterrupt):
        coro.event_loop()

    assert cleaned == ["cleaned"]
    assert told == []
    assert not coro.all_threads
    # And is forgotten when the loop starts again.
    assert coro.run(lambda: "again") == "again"
