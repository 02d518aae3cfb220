"""Installing the emulation: what it replaces, what it reports, where it is refused.

Each in a process of its own.
"""

import pytest

from tests.core.script import output_of, run_script


def test_areas_can_be_installed_in_any_order_and_any_number_of_times() -> None:
    assert output_of("""
        import time
        from coro import emulation
        original = {"sleep": time.sleep}
        emulation.install(time=False, ssl=False)
        assert time.sleep is original["sleep"] and "time" not in emulation.installed()
        emulation.install(ssl=True)
        emulated = time.sleep
        assert emulated is not original["sleep"]
        emulation.install()
        emulation.install_thread_emulation()
        assert time.sleep is emulated
        assert emulation.original("time", "sleep") is original["sleep"]
        print(len(emulation.installed()), emulation.report().installed == emulation.install().installed)
    """) == ["9 True"]


def test_unknown_areas_are_named_with_those_that_there_are() -> None:
    assert output_of("""
        from coro import emulation
        try:
            emulation.install(sockets=True, thread=True, dns=False)
        except TypeError as error:
            print(error)
        print(sorted(emulation.installed()))
    """) == [
        (
            "install() got 'dns', 'sockets', which is no area of the emulation; "
            "there are thread, time, signal, queue, select, socket, os, subprocess, ssl"
        ),
        "[]",
    ]


REFUSED = {
    "a running loop": (
        "import coro\ncoro.run(attempt)",
        "cannot be installed while an event loop is running",
    ),
    "another OS thread": (
        """
import coro.emulation, threading, time
thread = threading.Thread(target=time.sleep, args=(0.5,), name="a sleeper", daemon=True)
thread.start()
attempt()
""",
        "before OS threads are started, but there is 'a sleeper'",
    ),
    "from another OS thread": (
        "import coro.emulation, threading\nother = threading.Thread(target=attempt)\nother.start()\nother.join()",
        "must be installed in the main OS thread, not in OS thread",
    ),
    "a held lock": (
        "import threading\nlocks = {'it': threading.Lock()}\nwith locks['it']: attempt()",
        "while locks are held: <locked _thread.lock object at ",
    ),
    "a held re-entrant lock": (
        "import threading\nlocks = {'it': threading.RLock()}\nwith locks['it']: attempt()",
        "while locks are held: <locked _thread.RLock object owner=",
    ),
    "a half import": (
        "import socket\nsocket.__spec__._initializing = True\nattempt()\nsocket.__spec__._initializing = False",
        "cannot be installed while socket is being imported",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_installation_is_refused_with_the_reason_and_nothing_is_changed(case: str) -> None:
    code, reason = REFUSED[case]
    lines = output_of(f"""
import time, _thread, os
def attempt():
    from coro import emulation
    before = time.sleep, _thread.start_new_thread, os.read, _thread.get_ident
    try:
        emulation.install()
    except RuntimeError as error:
        print(error)
    assert before == (time.sleep, _thread.start_new_thread, os.read, _thread.get_ident)
    assert not emulation.installed()
{code}
""")

    assert len(lines) == 1
    assert reason in lines[0]


def test_failing_area_takes_the_others_back() -> None:
    assert output_of("""
        import time, _thread
        from coro import emulation
        from coro.emulation import tls
        def fail(patcher):
            raise OSError("no")
        tls.install, install = fail, tls.install
        before = time.sleep, _thread.get_ident
        try:
            emulation.install()
        except OSError as error:
            print(error)
        assert before == (time.sleep, _thread.get_ident)
        tls.install = install
        emulation.install()
        print(time.sleep is not before[0])
    """) == ["no", "True"]


def test_locks_that_exist_are_replaced_wherever_they_are_held() -> None:
    assert output_of("""
        import collections, functools, logging, queue, threading
        lock, rlock, attribute = threading.Lock(), threading.RLock(), type("Attribute", (), {})()
        class Slots:
            __slots__ = ("lock",)
        slots = Slots()
        slots.lock, attribute.lock, cached = lock, rlock, lock.acquire
        def with_default(lock=lock, *, rlock=rlock):
            return lock, rlock
        def closure():
            cell = threading.Lock()
            return lambda: cell
        get_cell, part = closure(), functools.partial(print, lock)
        listed, set_of, ring = [lock], {lock}, collections.deque([rlock])
        items, mine, event = queue.SimpleQueue(), threading.local(), threading.Event()
        items.put(5)
        mine.value = 7
        from coro import emulation
        report = emulation.install()
        from coro.emulation.locks import Lock, RLock
        assert type(lock) is Lock and type(rlock) is RLock and cached.__self__ is lock
        assert slots.lock is lock and attribute.lock is rlock and with_default() == (lock, rlock)
        assert type(get_cell()) is Lock and part.args == (lock,)
        assert listed == [lock] and set_of == {lock} and ring[0] is rlock
        assert items.get() == 5 and type(items).__module__ == "_queue" and mine.value == 7
        assert type(event._cond._lock) is Lock and event._cond.acquire.__self__ is event._cond._lock
        assert type(logging._lock) is RLock and type(threading._active_limbo_lock) is RLock
        print(report.out_of_reach)
    """) == ["()"]


def test_what_is_out_of_reach_is_reported_with_its_owner() -> None:
    lines = output_of("""
        import threading
        KEPT = (threading.Lock(), 1)
        class Local(threading.local):
            pass
        local = Local()
        from coro import emulation
        for text in emulation.install().out_of_reach:
            if "asyncio" not in text:
                print(text)
    """)

    assert len(lines) == 2
    assert "_thread.lock object at " in lines[0]
    assert lines[0].endswith("held by a builtins.tuple, held by module __main__")
    assert lines[1].startswith("__main__.Local at ")


def test_names_imported_before_are_replaced_in_the_modules_that_have_them() -> None:
    assert (
        output_of("""
        from _thread import allocate_lock, get_ident
        from os import read
        from time import sleep
        from coro import emulation
        emulation.install()
        import _thread, os, time
        assert sleep is time.sleep and get_ident is _thread.get_ident
        assert allocate_lock is _thread.allocate_lock and read is os.read
    """)
        == []
    )


def test_fork_hooks_that_cached_a_lock_s_methods_follow() -> None:
    assert output_of("""
        import os, threading
        lock = threading.Lock()
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock._at_fork_reinit)
        import coro.emulation
        coro.emulation.install()
        pid = os.fork()
        if pid == 0:
            os._exit(7 if not lock.locked() else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), lock.locked())
    """) == ["7 False"]


def test_modules_of_the_runtime_keep_the_originals_also_those_imported_later() -> None:
    assert output_of("""
        import os, select, sys, threading, time
        import coro, coro.emulation
        originals = {"read": os.read, "epoll": select.epoll}
        coro.emulation.install()
        import coro.backdoor.sentinel as late
        for module in (sys.modules["coro.wakeup"], sys.modules["coro.poller.epoll"], late):
            for name in ("os", "select", "time", "threading"):
                if hasattr(module, name):
                    assert getattr(module, name) is not sys.modules[name], (module, name)
        assert sys.modules["coro.wakeup"].os.read is originals["read"] is not os.read
        assert late.select.epoll is originals["epoll"]
        thread = late.threading.Thread(target=lambda: print(late.threading.get_ident() != main))
        main = late.threading.get_ident()
        thread.start()
        thread.join()
    """) == ["True"]


def test_sentinel_s_os_thread_is_no_reason_to_refuse() -> None:
    done = run_script("""
        import coro, tempfile
        from coro import backdoor, emulation
        folder = tempfile.mkdtemp()
        door = backdoor.start(unix_path=folder + "/door")
        emulation.install()
        import threading, time
        thread = threading.Thread(target=time.sleep, args=(0.1,))
        thread.start()
        thread.join()
        door.close()
        print("ok")
    """)

    assert (done.stdout, done.returncode) == ("ok\n", 0), done.stderr


def test_backdoor_of_an_emulated_program_works_and_an_idle_one_reports_no_stall() -> None:
    done = run_script("""
        import coro.emulation
        coro.emulation.install()
        import coro, signal, tempfile
        from coro import backdoor, signal_handler
        folder = tempfile.mkdtemp()
        def main():
            door = backdoor.start(unix_path=folder + "/door")
            signal_handler.register(signal.SIGUSR1, print)
            signal_handler.unregister(signal.SIGUSR1)
            coro.sleep_relative(1)
            door.close()
        coro.run(main)
        print("ok")
    """)

    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")
