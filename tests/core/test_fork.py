"""fork(): in the child only the caller lives; outside the loop a fork keeps everything."""

import pytest

from tests.core.script import output_of

# Each child ends with the status that tells how it went: 7 is "all is well".
PRELUDE = """
import coro, os, signal, sys, threading
from coro.loop import loop
from coro.scheduler import scheduler

mother = os.getpid()
fork = {"coro.fork": coro.fork, "os.fork": os.fork}[sys.argv[1]]

def status_of(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def child(function):
    status = 9
    try:
        function()
        status = 7
    except BaseException:
        import traceback
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

def other():
    try:
        coro.sleep_relative(1000)
    finally:
        if os.getpid() != mother:
            print("a finally block of the parent ran in the child", flush=True)
"""

pytestmark = pytest.mark.parametrize("fork", ["coro.fork", "os.fork"])


def with_prelude(script: str) -> str:
    return PRELUDE + "\n".join(line[8:] for line in script.splitlines())


def test_child_has_only_the_caller(fork: str) -> None:
    script = """
        def main():
            me = coro.current()
            others = [coro.spawn(other), coro.new(int), coro.spawn(int)]
            others[-1].shutdown()
            others.append(coro.spawn(other))
            coro.yield_slice()
            runnable = coro.spawn(print, "a runnable thread of the parent ran in the child")
            runnable.shutdown()
            pid = fork()
            if pid == 0:
                child(lambda: check(me, others))
            print(status_of(pid), [thread.dead for thread in others], coro.get_live_coros())

        def check(me, others):
            assert coro.current() is me and not me.dead
            assert list(coro.all_threads) == [me.id], coro.all_threads
            assert all(thread.dead for thread in others)
            assert coro.coro_is_running()
            # And it works: spawning, sleeping, joining.
            assert coro.spawn(lambda: (coro.sleep_relative(0.01), 5)[1]).result() == 5

        coro.run(main)
    """
    assert output_of(with_prelude(script), fork) == ["7 [False, False, True, False] 4"]


def test_child_waits_for_none_of_the_parents_timers_and_runnable_threads(fork: str) -> None:
    script = """
        def main():
            coro.spawn(lambda: (coro.sleep_relative(0.05), print("timer", os.getpid() == mother, flush=True)))
            coro.yield_slice()
            coro.spawn(lambda: print("runnable", os.getpid() == mother, flush=True))
            pid = fork()
            if pid == 0:
                child(lambda: coro.sleep_relative(0.2))
            coro.sleep_relative(0.3)
            print(status_of(pid))

        coro.run(main)
    """
    assert output_of(with_prelude(script), fork) == ["runnable True", "timer True", "7"]


def test_registrations_of_the_parent_stay_intact(fork: str) -> None:
    script = """
        def read(fd):
            coro.wait_for_read(fd)
            return os.read(fd, 100)

        def main():
            read_end, write_end = os.pipe()
            reader = coro.spawn(read, read_end)
            coro.sleep_relative(0.01)
            pid = fork()
            if pid == 0:
                child(lambda: use_them(read_end, write_end))
            coro.sleep_relative(0.2)
            print(status_of(pid))
            os.write(write_end, b"to the parent")
            print(reader.result(5))

        def use_them(read_end, write_end):
            # The parent's reader waits for this very descriptor; here nobody does.
            own_read_end, own_write_end = os.pipe()
            coro.spawn(lambda: (coro.sleep_relative(0.01), os.write(own_write_end, b"to the child")))
            assert read(own_read_end) == b"to the child"
            try:
                coro.wait_for_read(read_end, 0.01)
            except coro.TimeoutError:
                pass
            for fd in (read_end, write_end):
                os.close(fd)

        coro.run(main)
    """
    assert output_of(with_prelude(script), fork) == ["7", "b'to the parent'"]


def test_finally_blocks_of_the_parent_do_not_run_in_a_child_that_goes_on_and_ends(fork: str) -> None:
    script = """
        import gc

        def main():
            for _ in range(20):
                coro.spawn(other)
            ended = coro.spawn(int)
            coro.sleep_relative(0.01)
            pid = fork()
            if pid == 0:
                # Use up and reuse memory, collect, end the loop and then the process, as any program would.
                threads = [coro.spawn(coro.sleep_relative, 0.01) for _ in range(50)]
                for thread in threads:
                    thread.join()
                gc.collect()
                return "child"
            print(status_of(pid))
            return "parent"

        if coro.run(main) == "child":
            gc.collect()
            sys.exit(7)
    """
    assert output_of(with_prelude(script), fork) == ["7"]


def test_child_of_run_ends_with_its_main_thread_and_that_of_event_loop_with_set_exit(fork: str) -> None:
    script = """
        def main():
            pid = fork()
            if pid == 0:
                return "child"
            return status_of(pid)

        result = coro.run(main)
        if result == "child":
            os._exit(7)
        print(result)

        def daemon():
            pid = fork()
            if pid:
                print(status_of(pid))
            coro.set_exit(0 if pid else 7)

        coro.spawn(daemon)
        try:
            coro.event_loop()
        except SystemExit as exit:
            if os.getpid() != mother:
                os._exit(exit.code)
    """
    assert output_of(with_prelude(script), fork) == ["7", "7"]


def test_signal_ends_the_child_as_it_ends_the_parent(fork: str) -> None:
    script = """
        import time

        def main():
            pid = fork()
            if pid == 0:
                try:
                    coro.sleep_relative(1000)
                finally:
                    print("child cleaned", flush=True)
            coro.sleep_relative(0.2)
            begin = time.monotonic()
            os.kill(pid, signal.SIGTERM)
            print(status_of(pid), time.monotonic() - begin < 10)

        coro.run(main)
    """
    assert output_of(with_prelude(script), fork) == ["child cleaned", "0 True"]


def test_work_of_a_signal_handler_is_seen_at_once_in_the_child(fork: str) -> None:
    script = """
        import time

        def main():
            pid = fork()
            if pid == 0:
                child(wait)
            print(status_of(pid))

        def wait():
            me = coro.current()
            signal.signal(signal.SIGUSR1, lambda signum, frame: me.schedule("from the handler"))
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1)).start()
            begin = time.monotonic()
            assert coro._yield() == "from the handler"
            assert time.monotonic() - begin < 10

        coro.run(main)
    """
    assert output_of(with_prelude(script), fork) == ["7"]


def test_caller_may_be_in_the_middle_of_anything(fork: str) -> None:
    script = """
        import contextvars
        variable = contextvars.ContextVar("variable")

        def main():
            variable.set("kept")
            joiner = coro.spawn(coro.current().join)
            coro.spawn(other)
            coro.yield_slice()
            try:
                raise KeyError("in flight")
            except KeyError as error:
                pid = deep(200)
                if pid == 0:
                    child(lambda: check(joiner))
                assert sys.exc_info()[1] is error
            print(status_of(pid))

        def deep(depth):
            return deep(depth - 1) if depth else fork()

        def check(joiner):
            assert sys.exc_info()[0] is KeyError
            assert variable.get() == "kept"
            assert joiner.dead
            coro.sleep_relative(0.01)
            assert sys.exc_info()[0] is KeyError

        coro.run(main)
    """
    assert output_of(with_prelude(script), fork) == ["7"]


def test_fork_in_a_timeout_and_an_interrupt_that_is_pending(fork: str) -> None:
    script = """
        def main():
            never = coro.spawn(coro._yield)

            def forker():
                try:
                    coro._yield()
                except KeyError:
                    # A second one waits for the next wait.
                    pid = fork()
                    try:
                        coro.yield_slice()
                    except ValueError:
                        if pid == 0:
                            child(lambda: coro.sleep_relative(0.01))
                        return status_of(pid)

            thread = coro.spawn(forker)
            coro.yield_slice()
            thread.raise_exception(KeyError)
            thread.raise_exception(ValueError)
            print(thread.result(20))

        coro.run(main)
    """
    assert output_of(with_prelude(script), fork) == ["7"]


def test_fork_in_a_greenlet_of_the_users_own(fork: str) -> None:
    script = """
        import greenlet

        def main():
            me = coro.current()
            coro.spawn(other)
            coro.yield_slice()
            pid = greenlet.greenlet(fork).switch()
            if pid == 0:
                child(lambda: check(me))
            print(status_of(pid))

        def check(me):
            assert coro.current() is me and not me.dead
            assert list(coro.all_threads) == [me.id]
            coro.sleep_relative(0.01)

        coro.run(main)
    """
    assert output_of(with_prelude(script), fork) == ["7"]


def test_fork_in_a_hook_of_the_loop_leaves_no_threads(fork: str) -> None:
    script = """
        def hook(fd, events):
            pid = fork()
            if pid == 0:
                child(check)
            print(status_of(pid))

        def check():
            assert not coro.all_threads and not scheduler.ready
            assert coro.coro_is_running()

        def main():
            read_end, write_end = os.pipe()
            coro.set_handler(read_end, coro.READ, hook)
            os.write(write_end, b"x")
            coro.sleep_relative(0.01)

        coro.run(main)
    """
    assert output_of(with_prelude(script), fork) == ["7"]


def test_fork_in_a_foreign_os_thread_leaves_no_loop(fork: str) -> None:
    script = """
        import warnings
        # Python 3.12 warns of any fork beside other OS threads.
        warnings.simplefilter("ignore", DeprecationWarning)

        def foreign():
            pid = fork()
            if pid == 0:
                child(check)
            statuses.append(status_of(pid))

        def check():
            assert not coro.coro_is_running() and not coro.all_threads
            assert coro.current().name == "main/scheduler"
            # Signals are the child's own: its handlers and the wake-up descriptor do not belong to a loop.
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
            assert signal.set_wakeup_fd(-1) == -1
            # And it may have a loop of its own.
            assert coro.run(lambda: (coro.sleep_relative(0.01), 5)[1]) == 5

        statuses = []

        def main():
            coro.spawn(other)
            coro.spawn(coro._yield)
            loop.outside_calls += 1
            os_thread = threading.Thread(target=foreign)
            os_thread.start()
            while not statuses:
                coro.sleep_relative(0.01)
            os_thread.join()
            loop.outside_calls -= 1
            print(statuses, coro.get_live_coros())

        coro.run(main)
    """
    assert output_of(with_prelude(script), fork) == ["[7] 3"]


def test_jobs_of_os_threads_do_not_exist_in_the_child(fork: str) -> None:
    script = """
        def main():
            loop.outside_calls += 1
            loop.post(print, "a call that was meant for the parent")
            pid = fork()
            if pid == 0:
                child(check)
            loop.posted.clear()
            print(status_of(pid))
            loop.outside_calls -= 1

        def check():
            assert loop.outside_calls == 0 and not loop.posted
            coro.sleep_relative(0.01)

        coro.run(main)
    """
    assert output_of(with_prelude(script), fork) == ["7"]


def test_fork_outside_the_loop_keeps_everything(fork: str) -> None:
    script = """
        ran = []

        def work():
            coro.sleep_relative(0.01)
            ran.append(os.getpid())
            coro.set_exit(7)

        # Once before any loop has run, once after: a daemon spawns, then daemonises, then loops.
        for _ in range(2):
            coro.spawn(work)
            pid = fork()
            try:
                coro.event_loop()
            except SystemExit as exit:
                assert ran == [os.getpid()], ran
                if pid == 0:
                    os._exit(exit.code)
            print(status_of(pid), coro.get_live_coros())
            ran.clear()
    """
    assert output_of(with_prelude(script), fork) == ["7 0", "7 0"]


def test_child_of_a_fork_between_two_loops_does_not_share_the_wake_up_pipe(fork: str) -> None:
    """The pipe outlives its loop; a child that kept it would take in the parent's wake-ups."""
    script = """
        coro.run(int)
        parents = loop._pipe.fileno()

        def check():
            assert loop._pipe is None
            assert coro.run(lambda: "runs") == "runs"

        pid = fork()
        if pid == 0:
            child(check)
        print(status_of(pid), loop._pipe.fileno() == parents, coro.run(lambda: "runs"))
    """
    assert output_of(with_prelude(script), fork) == ["7 True runs"]
