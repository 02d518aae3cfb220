"""The reference page that this project implements: every name and every sentence of it holds.

`seed_sentences.txt` has the page's sentences, one per line; each is cited, word for word, by at least one test.
The page speaks Python 2 (`print 'Hello world!'`, `exceptions.Exception`) and of the processor's tick counter (TSC).
"""

import inspect
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

import coro
from coro import testing

SENTENCES = Path(__file__).with_name("seed_sentences.txt")
ROOT = Path(__file__).parent.parent

CITED: dict[str, list[str]] = {}

Test = TypeVar("Test", bound=Callable[..., None])

# Every name that the page describes, `coro.` left out, and the attributes of a thread.
NAMES = frozenset(
    {
        "ClosedError",
        "DeadCoroutine",
        "FAILURE",
        "InParallelError",
        "Interrupted",
        "NotStartedError",
        "SUCCESS",
        "ScheduleError",
        "Shutdown",
        "SimultaneousError",
        "ThreadLocal",
        "TimeoutError",
        "WakeUp",
        "all_threads",
        "coro",
        "coro_is_running",
        "current",
        "event_loop",
        "get_thread_by_id",
        "in_parallel",
        "new",
        "schedule",
        "set_exit",
        "set_print_exit_string",
        "sleep_absolute",
        "sleep_relative",
        "spawn",
        "waitpid",
        "with_timeout",
        "yield_slice",
    }
)
ATTRIBUTES = frozenset(
    {
        "dead",
        "get_name",
        "id",
        "join",
        "name",
        "raise_exception",
        "schedule",
        "scheduled",
        "set_max_selfish_acts",
        "set_name",
        "shutdown",
        "start",
        "started",
        "value",
    }
)


def cites(*sentences: str) -> Callable[[Test], Test]:
    """Mark a test as one that shows these sentences to be true."""

    def mark(test: Test) -> Test:
        for sentence in sentences:
            CITED.setdefault(sentence, []).append(test.__name__)
        return test

    return mark


@pytest.fixture(autouse=True)
def no_exit_message() -> Iterator[None]:
    coro.set_print_exit_string(False)
    yield
    coro.set_print_exit_string(True)


def run(main: Callable[[], Any]) -> Any:
    """Run the body of a test in a thread; sleeping costs nothing."""
    return testing.run(main, real_descriptors=False)


def run_event_loop() -> Any:
    """Run event_loop() until somebody calls set_exit(); returns the exit code."""
    with pytest.raises(SystemExit) as caught:
        coro.event_loop()
    return caught.value.code


def run_script(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def nothing() -> None:
    """A thread's function that ends at once."""


# -- the page as a whole


def test_every_sentence_of_the_page_is_cited_and_nothing_else() -> None:
    sentences = SENTENCES.read_text(encoding="utf-8").splitlines()

    assert [sentence for sentence in sentences if sentence not in CITED] == []
    assert [sentence for sentence in CITED if sentence not in sentences] == []
    assert len(sentences) == len(set(sentences)) > 140


@cites("The coro module defines the following functions:", "The coro module defines the following exceptions:")
def test_every_name_of_the_page_is_there_and_is_public() -> None:
    assert {name for name in NAMES if not hasattr(coro, name)} == set()
    assert NAMES - set(coro.__all__) == set()
    thread = coro.new(nothing)
    assert {name for name in ATTRIBUTES if not hasattr(thread, name)} == set()
    thread.shutdown()


# -- coroutines


@cites(
    "The central concept of Shrapnel is the coroutine.",
    "You can think of a coroutine like it is a thread.",
    "When it runs out of work to do, it yields and allows other coroutines to run.",
    "Scheduling of coroutines is handled by the scheduler which runs an “event loop”.",
)
def test_coroutines_take_turns_when_they_have_no_work() -> None:
    ran: list[tuple[str, int]] = []

    def work(name: str) -> None:
        for turn in range(3):
            ran.append((name, turn))
            coro.sleep_relative(1)

    def main() -> None:
        for name in "ab":
            coro.spawn(work, name)
        coro.sleep_relative(10)

    run(main)
    assert ran == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]


@cites(
    "The event loop is a loop that runs forever until the program ends.",
    "Every Shrapnel program needs to start the event loop as one of the first things it does.",
    "A typical example would be:",
    "import coro",
    "def main():",
    "print 'Hello world!'",
    "# This will cause the process to exit.",
    "coro.set_exit(0)",
    "if __name__ == '__main__':",
    "coro.spawn(main)",
    "coro.event_loop()",
)
def test_typical_example() -> None:
    done = run_script(
        """
        import coro

        def main():
            print('Hello world!')
            # This will cause the process to exit.
            coro.set_exit(0)

        if __name__ == '__main__':
            coro.spawn(main)
            coro.event_loop()
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "Hello world!\n", "Exiting...\n")


@cites(
    "Every coroutine thread is created with either the new() function (which does NOT automatically start the "
    "thread) or the spawn() function (which DOES automatically start it)."
)
def test_new_does_not_start_the_thread_and_spawn_does() -> None:
    def main() -> None:
        made, spawned = coro.new(nothing), coro.spawn(nothing)
        coro.sleep_relative(1)
        assert (made.started, made.dead) == (False, False)
        assert (spawned.started, spawned.dead) == (True, True)

    run(main)


@cites(
    "Every thread has a unique numeric ID.",
    "You may also set the name of the thread when you create it.",
    "id: ‘int’",
    "name: object",
)
def test_id_and_name() -> None:
    def main() -> None:
        threads = [coro.spawn(nothing, thread_name=f"thread {number}") for number in range(100)]
        assert [thread.name for thread in threads] == [f"thread {number}" for number in range(100)]
        assert len({thread.id for thread in threads}) == 100
        assert all(type(thread.id) is int for thread in threads)
        assert coro.new(nothing, thread_name="made").name == "made"

    run(main)


# -- coro.coro


@cites("Bases: object", "coro(fun, args, kwargs, int id, name=None) The coroutine object.")
def test_class_of_threads() -> None:
    def function(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    def main() -> None:
        thread = coro.coro(function, (1, 2), {"a": 3}, 10**9, name="by hand")
        assert isinstance(coro.spawn(nothing), coro.coro)
        assert (thread.id, thread.name) == (10**9, "by hand")
        thread.start()
        assert thread.result() == ((1, 2), {"a": 3})

    assert issubclass(coro.coro, object)
    assert list(inspect.signature(coro.coro).parameters) == ["fun", "args", "kwargs", "id", "name"]
    run(main)


@cites("dead: ‘int’", "scheduled: ‘int’", "started: ‘int’")
def test_flags_say_where_a_thread_stands() -> None:
    def main() -> None:
        thread = coro.new(coro._yield)
        flags = [(thread.started, thread.scheduled, thread.dead)]
        thread.start()
        flags.append((thread.started, thread.scheduled, thread.dead))
        coro.yield_slice()
        flags.append((thread.started, thread.scheduled, thread.dead))
        thread.schedule()
        flags.append((thread.started, thread.scheduled, thread.dead))
        thread.join()
        flags.append((thread.started, thread.scheduled, thread.dead))
        assert flags == [(0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 0), (1, 0, 1)]
        assert all(isinstance(flag, int) for row in flags for flag in row)

    run(main)


@cites("value: object")
def test_value_is_what_the_thread_will_be_resumed_with() -> None:
    def main() -> None:
        thread = coro.spawn(coro._yield)
        coro.yield_slice()
        assert thread.value is None
        value = object()
        thread.schedule(value)
        assert thread.value is value
        assert thread.result() is value

    run(main)


@cites(
    "Get the name of this coroutine thread.",
    "If no name has been specified, then a name is generated.",
    "Returns: | The coroutine name.",
    "Set the name of this coroutine thread.",
    "Parameters: | name – The name of the thread.",
)
def test_get_name_and_set_name() -> None:
    thread = coro.new(nothing)
    generated = thread.get_name()
    assert isinstance(generated, str)
    assert generated
    assert thread.set_name(name="chosen") is thread
    assert (thread.get_name(), thread.name) == ("chosen", "chosen")
    thread.shutdown()


@cites(
    "Wait for thread termination.",
    "This will wait for this thread to exit.",
    "If the thread has already exited, this will return immediately.",
)
def test_join_waits_until_the_thread_has_exited() -> None:
    def main() -> None:
        thread = coro.spawn(coro.sleep_relative, 5)
        begin = coro.get_now()
        thread.join()
        assert thread.dead
        after = coro.get_now()
        assert after - begin == 5 * coro.ticks_per_sec
        ran: list[int] = []
        coro.spawn(ran.append, 1)
        thread.join()
        assert coro.get_now() == after
        assert ran == [], "it did not even yield"

    run(main)


@cites("Warning: If a thread is created, but never started, this function will block forever.")
def test_join_of_a_thread_that_is_never_started_blocks_forever() -> None:
    def main() -> None:
        joiner = coro.spawn(coro.new(nothing).join)
        coro.sleep_relative(10**6)
        assert not joiner.dead
        joiner.join()

    with pytest.raises(testing.NothingWillHappen):
        run(main)


@cites("Schedule this coroutine to resume with an exception.")
def test_raise_exception() -> None:
    def main() -> None:
        thread = coro.spawn(coro.sleep_relative, 1000)
        coro.yield_slice()
        thread.raise_exception(KeyError("a reason"))
        with pytest.raises(KeyError, match="a reason"):
            thread.result()

    run(main)


@cites(
    "Schedule this coroutine to run.",
    "Parameters: | value – The value to resume the coroutine with.",
    "Defaults to None.",
    "Schedule a coroutine to run.",
    "See coro.schedule() for more detail.",
)
def test_schedule_as_a_method_and_as_a_function() -> None:
    def main() -> None:
        for schedule in (coro.coro.schedule, coro.schedule):
            for arguments, value in (((), None), (("a value",), "a value")):
                thread = coro.spawn(coro._yield)
                coro.yield_slice()
                schedule(thread, *arguments)
                assert thread.scheduled
                assert thread.result() == value

    run(main)


@cites(
    "Set the maximum number of selfish acts this coroutine is allowed to perform.",
    "When a coroutine is created, it defaults to 4.",
    "Parameters: | maximum – The maximum number of selfish acts.",
)
def test_set_max_selfish_acts() -> None:
    def operations_between_turns(maximum: int | None) -> list[int]:
        """Do twelve operations that need not wait; after how many did the others get a turn?"""
        turns: list[int] = []
        operations = 0

        def other() -> None:
            while True:
                turns.append(operations)
                coro.yield_slice()

        def main() -> None:
            nonlocal operations
            left, right = coro.socketpair()
            with left, right:
                coro.spawn(other)
                coro.yield_slice()
                turns.clear()
                if maximum is not None:
                    coro.current().set_max_selfish_acts(maximum=maximum)
                for _ in range(12):
                    left.send(b"x")
                    operations += 1
            coro.yield_slice()

        testing.run(main)
        return [turn for turn in turns if 0 < turn < 12]

    thread = coro.new(nothing)
    assert thread.set_max_selfish_acts(9) == 4
    assert thread.set_max_selfish_acts(1) == 9
    thread.shutdown()
    assert operations_between_turns(None) == [4, 8]
    assert operations_between_turns(3) == [3, 6, 9]


@cites("Shut down this coroutine.", "This will raise the Shutdown exception on this thread.")
def test_shutdown_raises_shutdown_on_the_thread() -> None:
    def main() -> None:
        seen: list[type[BaseException]] = []

        def wait() -> None:
            try:
                coro.sleep_relative(1000)
            except BaseException as error:
                seen.append(type(error))
                raise

        thread = coro.spawn(wait)
        coro.yield_slice()
        thread.shutdown()
        thread.join()
        assert seen == [coro.Shutdown]

    run(main)


@cites(
    "This method will not fail.",
    "If the thread is already dead, then it is ignored.",
    "If the thread hasn’t started, then it is canceled.",
)
def test_shutdown_does_not_fail() -> None:
    def main() -> None:
        ran: list[int] = []
        for thread in (coro.new(ran.append, 1), coro.spawn(ran.append, 2)):
            for _ in range(3):
                thread.shutdown()
                assert thread.dead
                assert thread.id not in coro.all_threads
        coro.sleep_relative(1)
        assert ran == []

    run(main)


@cites(
    "Start the coroutine for the first time.",
    "Raises ScheduleError: |",
    "The coro is already started.",
)
def test_start() -> None:
    def main() -> None:
        thread = coro.new(coro._yield)
        thread.start()
        for _ in range(2):
            with pytest.raises(coro.ScheduleError):
                thread.start()
            coro.yield_slice()
        assert thread.started

    run(main)


# -- timeouts


@cites(
    "The shrapnel timeout facility allows you to execute a function which will be interrupted if it does not "
    "finish within a specified period of time.",
    "The TimeoutError exception will be raised if the timeout expires.",
    "See the with_timeout() docstring for more detail.",
    "Call a function with a timeout.",
    "See coro._coro.sched.with_timeout for more detail.",
    "A call to with_timeout() has expired",
)
def test_with_timeout() -> None:
    def main() -> None:
        begin = coro.get_now()
        left: list[int] = []

        def slow(seconds: float) -> None:
            try:
                coro.sleep_relative(seconds)
            finally:
                left.append(coro.get_now() - begin)

        with pytest.raises(coro.TimeoutError):
            coro.with_timeout(2, slow, 100)
        assert left == [2 * coro.ticks_per_sec]
        coro.with_timeout(2, slow, 1)
        assert left == [2 * coro.ticks_per_sec, 3 * coro.ticks_per_sec]

    run(main)
    assert "coro.TimeoutError" in (coro.with_timeout.__doc__ or "")


@cites("Return : | Returns the return value of the function.")
def test_with_timeout_returns_the_value_and_passes_arguments_on() -> None:
    def function(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    assert run(lambda: coro.with_timeout(1, function, 1, 2, a=3)) == ((1, 2), {"a": 3})


@cites(
    "If the event loop is not running (such as in a non-coro process), a custom version of with_timeout is "
    "installed that will operate using SIGALRM so that you may use with_timeout in code that needs to run in "
    "non-coro processes (though this is not recommended and should be avoided if possible).",
    "This version supports running even if the coro event loop isn’t running by using SIGALRM.",
)
def test_with_timeout_outside_the_loop_uses_sigalrm() -> None:
    """In a process of its own: the tests' own time limit is a SIGALRM, too."""
    done = run_script(
        """
        import coro, signal, time

        print(signal.getsignal(signal.SIGALRM) is signal.SIG_DFL)
        seen = []

        def slow():
            seen.append(signal.getsignal(signal.SIGALRM) is not signal.SIG_DFL)
            time.sleep(60)

        try:
            coro.with_timeout(0.1, slow)
        except coro.TimeoutError:
            print("expired", seen)
        print(coro.with_timeout(60, lambda: "in time"))
        print(signal.getsignal(signal.SIGALRM) is signal.SIG_DFL, signal.getitimer(signal.ITIMER_REAL))
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["True", "expired [True]", "in time", "True (0.0, 0.0)"]
    assert signal.SIGALRM


# -- in parallel


@cites(
    "Execute several functions in parallel.",
    "This will block until all functions have returned or raised an exception.",
    "Parameters: | fun_arg_list – A list of (fun, args) tuples.",
    "Returns: | A list of return values from the functions.",
)
def test_in_parallel_waits_for_all_and_returns_their_values() -> None:
    def work(seconds: float, value: str) -> str:
        coro.sleep_relative(seconds)
        return value

    def main() -> None:
        begin = coro.get_now()
        values = coro.in_parallel(fun_arg_list=[(work, (3, "a")), (work, (1, "b")), (work, (2, "c"))])
        assert values == ["a", "b", "c"]
        assert coro.get_now() - begin == 3 * coro.ticks_per_sec
        assert coro.in_parallel([]) == []

    run(main)


@cites(
    "If one or more functions raises an exception, then the InParallelError exception will be raised.",
    "Raises InParallelError: |",
    "One or more of the functions raised an exception.",
    "An error occurred in the in_parallel() function.",
    "Variables: | result_list – A list of (status, result) tuples.",
    "status is either SUCCESS or FAILURE.",
    "For success, the result is the return value of the function.",
    "For failure, it is the output from sys.exc_info.",
    "Bases: exceptions.Exception",
)
def test_in_parallel_error_has_every_result() -> None:
    error = ValueError("spilled")

    def fail() -> None:
        coro.sleep_relative(1)
        raise error

    def succeed() -> str:
        coro.sleep_relative(2)
        return "value"

    def main() -> None:
        begin = coro.get_now()
        with pytest.raises(coro.InParallelError) as caught:
            coro.in_parallel([(fail, ()), (succeed, ())])
        assert coro.get_now() - begin == 2 * coro.ticks_per_sec, "all have returned or raised"
        (failed, info), succeeded = caught.value.result_list
        assert (failed, succeeded) == (coro.FAILURE, (coro.SUCCESS, "value"))
        kind, value, traceback = info
        assert (kind, value) == (ValueError, error)
        assert traceback.tb_frame.f_code.co_name == "fail"

    run(main)
    assert issubclass(coro.InParallelError, Exception)


# -- thread-local storage


@cites(
    "There is a thread-local storage interface available for storing global data that is thread-specific.",
    "You instantiate a ThreadLocal instance and you can assign attributes to it that will be specific to that "
    "thread.",
    "From a design perspective, it is generally discouraged to use thread-local storage.",
    "But nonetheless, it can be useful at times.",
    "Thread Local Storage.",
    "This class implements a thread-local storage facility.",
    "You create an instance of ThreadLocal.",
    "You can get and set arbitrary attributes on that instance, and those attributes will be thread-local.",
    "For example:",
    ">>> local = coro.ThreadLocal()",
    ">>> local.foo = 1",
    ">>> local.foo",
    "1",
    "Now, any code that references this local object can set and get any variable on that object, and the value "
    "will be local to that thread.",
    "Imagine this running in another thread:",
    "Traceback (most recent call last):",
    'File "<stdin>", line 1, in <module>',
    'File "local.pyx", line 35, in coro._coro.ThreadLocal.__getattr__',
    "AttributeError: foo",
    ">>> local.foo = 2",
    "2",
    "Now, in the original thread in the first example, imagine doing this:",
    "Notice how the attribute stays the same value for that thread.",
)
def test_attributes_of_a_thread_local_are_the_threads_own() -> None:
    def another(local: coro.ThreadLocal) -> None:
        with pytest.raises(AttributeError, match="foo"):
            local.foo  # noqa: B018
        local.foo = 2
        coro.sleep_relative(1)
        assert local.foo == 2

    def main() -> None:
        local = coro.ThreadLocal()
        local.foo = 1
        assert local.foo == 1
        thread = coro.spawn(another, local)
        coro.sleep_relative(0.5)
        assert local.foo == 1
        assert thread.result() is None
        assert local.foo == 1

    run(main)
    assert issubclass(coro.ThreadLocal, object)


@cites("Tip: You can subclass ThreadLocal to add any logic you wish.")
def test_thread_local_can_be_subclassed() -> None:
    class Counter(coro.ThreadLocal):
        def increase(self) -> int:
            self.count = getattr(self, "count", 0) + 1
            return self.count

    def main() -> None:
        counter = Counter()
        assert [counter.increase(), counter.increase()] == [1, 2]
        assert coro.spawn(counter.increase).result() == 1
        assert counter.increase() == 3

    run(main)


@cites(
    "Note: This API is very similar to the one in Python (threading.local) with 1 important difference: "
    "__slots__ are not supported.",
    "Python’s implementation allows you to add attributes that are not thread-local by defining __slots__.",
    "This is not supported at this time.",
)
def test_slots_of_a_thread_local_are_not_supported() -> None:
    with pytest.raises(TypeError, match="__slots__"):

        class Slotted(coro.ThreadLocal):
            __slots__ = ("shared",)


# -- functions


@cites(
    "Get a coro thread by ID.",
    "Parameters: | thread_id – The thread ID.",
    "Returns: | The coroutine object.",
    "Raises KeyError: |",
    "The coroutine does not exist.",
)
def test_get_thread_by_id() -> None:
    thread = coro.new(nothing)
    assert coro.get_thread_by_id(thread_id=thread.id) is thread
    thread.shutdown()
    for thread_id in (thread.id, 0, 10**12):
        with pytest.raises(KeyError):
            coro.get_thread_by_id(thread_id)


@cites(
    "Determine if the coro event loop is running.",
    "Returns: | True if the event loop is running, otherwise False.",
)
def test_coro_is_running() -> None:
    assert coro.coro_is_running() is False
    assert run(coro.coro_is_running) is True
    assert coro.coro_is_running() is False


@cites(
    "Start the event loop.",
    "Parameters: | timeout – The amount of time to wait for kevent to return events.",
    "You should probably not set this value.",
)
def test_event_loop_and_its_timeout() -> None:
    for arguments in ({}, {"timeout": 0.001}, {"timeout": 60}):
        coro.spawn(lambda: (coro.sleep_relative(0.01), coro.set_exit(2)))
        with pytest.raises(SystemExit) as caught:
            coro.event_loop(**arguments)
        assert caught.value.code == 2
    assert inspect.signature(coro.event_loop).parameters["timeout"].default == 30


@cites(
    "Create a new coroutine object.",
    "Additional arguments and keyword arguments will be passed to the given function.",
    "This will not start the coroutine.",
    "Call the start method on the coroutine to schedule it to run.",
    "Returns: | The new coroutine object.",
    "Spawn a new coroutine.",
)
def test_new_and_spawn() -> None:
    def function(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs, coro.current().name

    def main() -> None:
        made = coro.new(function, 1, 2, a=3, thread_name="made")
        spawned = coro.spawn(function, 4, b=5, thread_name="spawned")
        assert (type(made), type(spawned)) == (coro.coro, coro.coro)
        assert spawned.result() == ((4,), {"b": 5}, "spawned")
        assert not made.scheduled
        made.start()
        assert made.scheduled
        assert made.result() == ((1, 2), {"a": 3}, "made")

    run(main)


@cites(
    "Wait for a process to exit.",
    "Parameters: | pid – The process ID to wait for.",
    "Returns: | A tuple (pid, status) of the process.",
    "Raises SimultaneousError: |",
    "Something is already waiting for this process ID.",
)
def test_waitpid() -> None:
    def main() -> None:
        process = subprocess.Popen(["sh", "-c", "read line; exit 3"], stdin=subprocess.PIPE)
        assert process.stdin is not None
        waiter = coro.spawn(coro.waitpid, pid=process.pid)
        coro.yield_slice()
        with pytest.raises(coro.SimultaneousError):
            coro.waitpid(process.pid)
        process.stdin.close()
        pid, status = waiter.result()
        assert (pid, os.waitstatus_to_exitcode(status)) == (process.pid, 3)
        # For subprocess, which would warn of a child that it believes to be running.
        process.returncode = 3

    testing.run(main)


@cites(
    "Yield to allow other threads to run.",
    "This will yield to allow other threads to run.",
    "The coroutine will be rescheduled to run during the next pass through the event loop.",
)
def test_yield_slice() -> None:
    ran: list[str] = []

    def main() -> None:
        for name in "abc":
            coro.spawn(ran.append, name)
        ran.append("before")
        coro.yield_slice()
        ran.append("after")

    run(main)
    assert ran == ["before", "a", "b", "c", "after"]


@cites("Return the current coroutine object.")
def test_current() -> None:
    def main() -> None:
        thread = coro.spawn(coro.current)
        assert thread.result() is thread
        assert coro.current() is not thread

    run(main)
    assert coro.current().name == "main/scheduler"


@cites(
    "Indicate that the event loop should exit.",
    "Note that if any other coroutines are scheduled to run, they will be given a chance to run before exiting.",
    "Parameters: | exit_code – The exit code of the process.",
    "Defaults to 0.",
)
def test_set_exit() -> None:
    for arguments, code in (({}, 0), ({"exit_code": 0}, 0), ({"exit_code": 9}, 9)):
        ran: list[str] = []
        coro.spawn(coro.set_exit, **arguments)
        coro.spawn(ran.append, "scheduled to run")
        assert run_event_loop() == code
        assert ran == ["scheduled to run"]


@cites(
    "Set whether or not “Exiting” should be printed when the event loop exits.",
    "By default, the string will be printed.",
    "Parameters: | val – Whether or not “Exiting” should be printed when the event loop exits.",
)
def test_set_print_exit_string() -> None:
    for switch, printed in (
        ("", True),
        ("coro.set_print_exit_string(val=False)", False),
        ("coro.set_print_exit_string(val=True)", True),
    ):
        done = run_script(f"import coro\n{switch}\ncoro.spawn(coro.set_exit)\ncoro.event_loop()")
        assert ("Exiting" in done.stderr) is printed
        assert (done.returncode, done.stdout) == (0, "")


@cites(
    "Sleep until a specific point in time.",
    "Parameters: | when – The TSC value when you want the coroutine to wake up.",
)
def test_sleep_absolute() -> None:
    def main() -> None:
        when = coro.get_now() + 90 * coro.ticks_per_sec
        coro.sleep_absolute(when)
        assert coro.get_now() == when

    run(main)


@cites("Sleep for a period of time.")
def test_sleep_relative() -> None:
    def main() -> None:
        begin = coro.get_now()
        coro.sleep_relative(2.5)
        assert coro.get_now() - begin == 2.5 * coro.ticks_per_sec

    run(main)


@cites(
    "A dictionary of all live coroutine objects.",
    "The key is the coroutine ID, and the value is the coroutine object.",
)
def test_all_threads() -> None:
    def main() -> None:
        made, waiting, ended = coro.new(nothing), coro.spawn(coro._yield), coro.spawn(nothing)
        coro.yield_slice()
        assert isinstance(coro.all_threads, dict)
        assert coro.all_threads == {thread.id: thread for thread in (coro.current(), made, waiting)}
        assert ended.dead

    run(main)
    assert coro.all_threads == {}


# -- exceptions


@cites("attempt to schedule an already-scheduled coroutine", "Bases: exceptions.Exception")
def test_schedule_error() -> None:
    def main() -> None:
        thread = coro.spawn(nothing)
        with pytest.raises(coro.ScheduleError) as caught:
            thread.schedule()
        assert caught.value.thread is thread

    run(main)
    assert coro.ScheduleError.__bases__ == (Exception,)


@cites("attempt to resume a dead coroutine", "Bases: coro._coro.ScheduleError")
def test_dead_coroutine() -> None:
    def main() -> None:
        thread = coro.spawn(nothing)
        thread.join()
        for resume in (thread.schedule, lambda: thread.raise_exception(KeyError)):
            with pytest.raises(coro.DeadCoroutine):
                resume()

    run(main)
    assert coro.DeadCoroutine.__bases__ == (coro.ScheduleError,)


@cites("Attempted to interrupt a thread before it has started.", "Bases: coro._coro.ScheduleError")
def test_not_started_error() -> None:
    def main() -> None:
        for thread in (coro.new(nothing), coro.spawn(nothing)):
            with pytest.raises(coro.NotStartedError):
                thread.raise_exception(KeyError)

    run(main)
    assert coro.NotStartedError.__bases__ == (coro.ScheduleError,)


@cites("Another thread closed this descriptor.")
def test_closed_error() -> None:
    def main() -> None:
        left, right = coro.socketpair()
        reader = coro.spawn(left.recv, 10)
        coro.yield_slice()
        left.close()
        with pytest.raises(coro.ClosedError):
            reader.result()
        right.close()

    testing.run(main)
    assert coro.ClosedError.__bases__ == (Exception,)


@cites(
    "Two threads attempted a conflicting blocking operation (e.g., read() on the same descriptor).",
)
def test_simultaneous_error() -> None:
    def main() -> None:
        left, right = coro.socketpair()
        first = coro.spawn(left.recv, 100)
        coro.yield_slice()
        with pytest.raises(coro.SimultaneousError) as caught:
            left.recv(100)
        # The page's "Variables" are lost; Shrapnel's source names them.
        assert (caught.value.co, caught.value.other) == (coro.current(), first)
        assert left.fileno() in caught.value.event
        right.send(b"for the first")
        assert first.result() == b"for the first"
        left.close()
        right.close()

    testing.run(main)
    assert coro.SimultaneousError.__bases__ == (Exception,)


@cites("Bases: coro._coro.Interrupted", "The thread is shutting down.")
def test_timeout_error_and_shutdown_are_interrupts() -> None:
    assert issubclass(coro.TimeoutError, coro.Interrupted)
    assert coro.Shutdown.__bases__ == (coro.Interrupted,)

    def main() -> None:
        thread = coro.spawn(coro._yield)
        coro.yield_slice()
        thread.shutdown()
        thread.join()
        assert isinstance(thread.error, coro.Shutdown)

    run(main)


@cites("A convenience exception used to wake up a sleeping thread.")
def test_wake_up() -> None:
    def main() -> None:
        begin = coro.get_now()
        slept: list[int] = []

        def sleep() -> None:
            try:
                coro.sleep_relative(1000)
            except coro.WakeUp:
                slept.append(coro.get_now() - begin)

        thread = coro.spawn(sleep)
        coro.sleep_relative(1)
        thread.raise_exception(coro.WakeUp)
        thread.join()
        assert slept == [coro.ticks_per_sec]

    run(main)
    assert coro.WakeUp.__bases__ == (Exception,)
