"""What a line may do to the daemon that it runs in: the daemon lives, and the other sessions work."""

import contextlib
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest


def read_until(sock: socket.socket, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        piece = sock.recv(65536)
        assert piece, data[-2000:]
        data += piece
    return data


def wait_until(condition: Callable[[], object], timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "this did not come true in time"
        time.sleep(0.005)


class Typist:
    """Somebody at a text session."""

    def __init__(self, daemon: Any) -> None:
        self.sock = daemon.connect()
        # An empty line tells at once that this is text; its prompt comes after the first one.
        try:
            self.sock.sendall(b"\n")
            read_until(self.sock, b">>> >>> ")
        except BaseException:
            self.sock.close()
            raise

    def __enter__(self) -> "Typist":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.sock.close()

    def type(self, text: str) -> str:
        """Type a line and return what it shows, without the prompt."""
        self.sock.sendall(text.encode() + b"\n")
        return read_until(self.sock, b">>> ").decode()[:-4]

    def works(self) -> bool:
        return self.type("6 * 7") == "42\n"


def stdout_of(daemon: Any, lines: int) -> str:
    """What the daemon has printed since it was ready."""
    return "".join(daemon.process.stdout.readline().decode() for _ in range(lines))


@pytest.fixture
def healthy(daemon: Any) -> Iterator[Any]:
    """A daemon; after the test it must be well, answer a newcomer, and end when it is told to."""
    yield daemon
    assert daemon.process.poll() is None, daemon.errors()
    with Typist(daemon) as newcomer:
        assert newcomer.works()
    with daemon.rpc() as rpc:
        names = {thread["name"] for thread in rpc.call("ps")}
        assert {"worker-0", "worker-1", "worker-2", "ticker"} <= names
    assert "Traceback" not in daemon.errors(), daemon.errors()


# -- exceptions that mean something elsewhere


def test_an_exception_that_would_end_a_process_ends_the_line_only(healthy: Any) -> None:
    with Typist(healthy) as typist, healthy.rpc() as rpc:
        for name in ("SystemExit", "KeyboardInterrupt", "BaseException", "coro.Interrupted", "coro.TimeoutError"):
            assert name.rpartition(".")[2] in typist.type(f"raise {name}(1)")
            assert typist.works()
            assert name.rpartition(".")[2] in rpc.call("eval", code=f"raise {name}(1)")["error"]
            assert rpc.eval("6 * 7") == "42"


def test_greenlet_exit_ends_the_session_at_most(healthy: Any) -> None:
    with Typist(healthy) as typist:
        typist.sock.sendall(b"import greenlet\nraise greenlet.GreenletExit\n")
        while typist.sock.recv(4096):
            pass


def test_sys_exit_says_what_to_use(healthy: Any) -> None:
    with Typist(healthy) as typist:
        assert ":exit-daemon" in typist.type("sys.exit(1)")


def test_exit_leaves_the_session_only(healthy: Any) -> None:
    for line in (b"exit()", b"quit()", b"exit", b"quit", b":quit"):
        with Typist(healthy) as typist:
            typist.sock.sendall(line + b"\n")
            assert b"bye" in b"".join(iter(partial(typist.sock.recv, 4096), b"")), line


def test_os_exit_is_audited_before_it_runs(start_daemon: Callable[..., Any]) -> None:
    daemon = start_daemon()
    with daemon.connect() as sock:
        read_until(sock, b">>> ")
        sock.sendall(b"__import__('os')._exit(7)\n")
        assert daemon.process.wait(10) == 7
    assert "_exit(7)" in daemon.log()


# -- the interpreter's furniture


def test_a_replaced_stdout_is_left_to_who_replaced_it(healthy: Any) -> None:
    with Typist(healthy) as one, Typist(healthy) as two:
        one.type("import io; former = sys.stdout; mine = sys.stdout = io.StringIO()")
        assert one.type("sys.stdout = mine; print('kept')") == ""
        # The next line is its session's again.
        assert one.type("print('shown')") == "shown\n"
        assert two.works()
        assert two.type("print('two')") == "two\n"
        assert one.type("mine.getvalue()") == "'kept\\n'\n"
        one.type("sys.stdout = sys.__stdout__")
        assert one.type("print('back')") == "back\n"


def test_a_stdout_of_none_and_a_broken_one(healthy: Any) -> None:
    with Typist(healthy) as one, Typist(healthy) as two:
        one.type("sys.stdout = None")
        assert two.type("print('two')") == "two\n"
        one.type("sys.stdout = 17; sys.stderr = 17")
        assert two.works()
        assert one.works()
        one.type("sys.stdout = sys.__stdout__; sys.stderr = sys.__stderr__")
        assert one.type("print('back')") == "back\n"


def test_deleted_and_replaced_builtins(healthy: Any) -> None:
    with Typist(healthy) as one:
        one.type("import builtins; saved = dict(vars(builtins))")
        one.type("del builtins.print, builtins.exec, builtins.repr")
        assert one.works()
        assert one.type("print('still')") == "still\n"
        one.type("builtins.exec = builtins.print = builtins.repr = None")
        assert one.works()
        one.type("vars(builtins).update(saved)")
        assert one.works()


def test_without_compile_there_is_no_python_but_there_are_commands(daemon: Any) -> None:
    with Typist(daemon) as one:
        one.type("import builtins; del builtins.compile")
        assert "NameError: name 'compile' is not defined" in one.type("6 * 7")
        assert "ticker" in one.type(":ps")


def test_a_recursion_limit_of_fifty(healthy: Any) -> None:
    with Typist(healthy) as one, healthy.rpc() as rpc:
        rpc.call("hello")
        one.type("former = sys.getrecursionlimit(); sys.setrecursionlimit(50)")
        one.type("sys.setrecursionlimit(former)")
        assert one.works()
        assert rpc.eval("6 * 7") == "42"


def test_endless_recursion(healthy: Any) -> None:
    with Typist(healthy) as one:
        one.sock.sendall(b"def f(): return f()\n\nf()\n")
        shown = ""
        while "RecursionError" not in shown:
            shown += read_until(one.sock, b">>> ").decode()
        assert len(shown) < 70_000
        assert one.works()


def test_warnings_as_errors_and_a_broken_warnings_module(healthy: Any) -> None:
    with Typist(healthy) as one:
        one.type("import warnings; warnings.simplefilter('error')")
        assert "SyntaxWarning" in one.type("1 is 1") or one.works()
        assert one.works()
        one.type("saved = warnings.warn, warnings.showwarning; warnings.warn = warnings.showwarning = None")
        one.type("1 is 2")
        assert one.works()
        one.type("warnings.warn, warnings.showwarning = saved; warnings.resetwarnings()")


def test_a_broken_traceback_module(healthy: Any) -> None:
    with Typist(healthy) as one:
        one.type("import traceback; saved = traceback.TracebackException")
        one.type("traceback.TracebackException = None")
        assert "ZeroDivisionError" in one.type("1 / 0")
        one.type("traceback.TracebackException = saved")
        assert one.works()


def test_a_trace_function_that_raises(healthy: Any) -> None:
    with Typist(healthy) as one:
        one.type("def trace(*args): raise ValueError('from trace')\n")
        one.type("sys.settrace(trace)")
        one.type("sys.settrace(None)")
        assert one.works()


def test_the_collector_and_the_switch_interval_are_the_users(healthy: Any) -> None:
    with Typist(healthy) as one:
        one.type("import gc; gc.disable(); sys.setswitchinterval(1)")
        assert one.works()
        one.type("sys.setswitchinterval(0.005); gc.enable()")


# -- values that are hard to show


HARD = {
    "raises": ("def __repr__(self): raise ValueError('no repr')", "no repr"),
    "exits": ("def __repr__(self): raise SystemExit", "SystemExit"),
    "not a str": ("def __repr__(self): return 17", "TypeError"),
    "a str of its own": (
        """def __repr__(self):
  class S(str):
   def __str__(self): return 1/0
   __len__ = __getitem__ = encode = __str__
  return S('shown all the same')""",
        "shown all the same",
    ),
    "deep": ("def __repr__(self): return repr(self)", "RecursionError"),
}


def test_values_that_are_hard_to_show(healthy: Any) -> None:
    with Typist(healthy) as one, healthy.rpc() as rpc:
        for name, (method, expected) in HARD.items():
            value = rpc.call("eval", code=f"class Hard:\n {method}\nHard()")
            assert expected in (value["value"] or "") + (value["error"] or ""), name
            assert expected in one.type("[Hard()]"), name
            assert one.works()


@pytest.mark.slow
def test_a_repr_that_never_ends_is_interrupted(healthy: Any) -> None:
    with Typist(healthy) as one:
        one.sock.sendall(b"class Endless:\n def __repr__(self):\n  while True: pass\n\n\nEndless()\n")
        shown = b""
        while b"eval limit" not in shown:
            shown += one.sock.recv(4096)
        while not shown.endswith(b">>> "):
            shown += one.sock.recv(4096)
        assert one.works()


@pytest.mark.slow
def test_a_repr_of_a_gigabyte_is_cut_and_given_back(healthy: Any) -> None:
    before = healthy.resident_bytes()
    with healthy.rpc(30) as rpc:
        value = rpc.eval("type('Big', (), {'__repr__': lambda self: 'x' * 10**9})()")
        assert value is not None and len(value) < 70_000
        assert "more" in value
        value = rpc.eval("'y' * 10**8")
        assert value is not None and len(value) < 70_000
        rpc.eval("1")
    wait_until(lambda: healthy.resident_bytes() < before + 50_000_000)


def test_an_exception_that_cannot_be_told(healthy: Any) -> None:
    with Typist(healthy) as one:
        one.type("class Odd(Exception):\n def __str__(self): raise ValueError('no text')\n")
        assert "Odd" in one.type("raise Odd")
        one.type(
            "class Odder(Exception):\n"
            " @property\n def __class__(self): raise ValueError\n __cause__ = property(int)\n"
        )
        assert "Odder" in one.type("raise Odder")
        assert one.works()


def test_control_sequences_of_names_do_not_reach_the_terminal(healthy: Any) -> None:
    with Typist(healthy) as one:
        one.type("coro.current().set_name('\\x1b[2J\\x07')")
        assert "\x1b" not in one.type(":ps")
        assert "\x1b" not in one.type(":sessions")


# -- threads


def test_a_line_may_shut_down_its_own_threads(healthy: Any) -> None:
    with Typist(healthy) as one:
        one.sock.sendall(
            b"for t in list(coro.all_threads.values()):\n if t.name.startswith('session'): t.shutdown()\n\n"
        )
        while one.sock.recv(4096):
            pass
    with Typist(healthy) as two:
        assert two.works()


def test_a_line_may_kill_the_threads_of_another_session(healthy: Any) -> None:
    with Typist(healthy) as one, Typist(healthy) as two, healthy.rpc() as rpc:
        rpc.call("hello")
        rpc.eval("1")
        mine = one.type("coro.current().name.split()[1]").strip().strip("'")
        one.type("import itertools")
        one.sock.sendall(
            b"for t in list(coro.all_threads.values()):\n"
            b" if t.name.startswith('session') and t.name.split()[1] != '%s': t.shutdown()\n\n" % mine.encode()
        )
        one.sock.sendall(b"'here'\n")
        read_until(one.sock, b"'here'\n>>> ")
        # They end cleanly.
        while two.sock.recv(4096):
            pass
        with pytest.raises(EOFError):
            rpc.receive()
    with healthy.rpc() as rpc:
        wait_until(lambda: len(rpc.call("sessions")) == 1)


def test_a_line_may_interrupt_the_threads_of_another_session(daemon: Any) -> None:
    with Typist(daemon) as one, Typist(daemon) as two:
        mine = one.type("coro.current().name.split()[1]").strip().strip("'")
        one.type(
            "for t in list(coro.all_threads.values()):\n"
            f" if t.name.startswith('session') and t.name.split()[1] != '{mine}':\n"
            "  t.raise_exception(ValueError('from one'))\n"
        )
        assert one.works()
        # Theirs has ended, as any thread does that does not catch it.
        while two.sock.recv(4096):
            pass


def test_what_a_line_spawns_prints_to_the_daemons_stdout(healthy: Any) -> None:
    with Typist(healthy) as one:
        assert one.type("x = coro.spawn(print, 'from a thread', flush=True)") == ""
        assert stdout_of(healthy, 1) == "from a thread\n"
        one.type("import threading")
        one.type(
            "t = threading.Thread(target=print, args=('from an OS thread',), kwargs={'flush': True}); "
            "t.start(); t.join()"
        )
        assert stdout_of(healthy, 1) == "from an OS thread\n"
        assert one.works()


def test_two_sessions_print_at_once_and_each_to_its_own(healthy: Any) -> None:
    with Typist(healthy) as one, Typist(healthy) as two:
        for typist, word in ((one, "one"), (two, "two")):
            typist.sock.sendall(f"for n in range(200): print('{word}', n); coro.yield_slice()\n\n".encode())
        for typist, word in ((one, "one"), (two, "two")):
            typist.sock.sendall(b"'the end'\n")
            shown = read_until(typist.sock, b"'the end'\n>>> ").decode()
            assert re.findall(r"(\w+) (\d+)\n", shown) == [(word, str(n)) for n in range(200)]


# -- processes


def test_a_forked_child_that_ends_at_once_leaves_the_parent_alone(healthy: Any) -> None:
    with Typist(healthy) as one, Typist(healthy) as two, healthy.rpc() as rpc:
        rpc.call("hello")
        one.type("import os; pid = os.fork() or os._exit(5)")
        assert one.type("os.waitpid(pid, 0)[1] >> 8") == "5\n"
        assert one.works() and two.works()
        assert rpc.eval("6 * 7") == "42"
    assert Path(healthy.path).exists()


def test_a_forked_child_that_goes_on_serves_nobody(healthy: Any) -> None:
    with Typist(healthy) as one, Typist(healthy) as two:
        one.type("import os")
        before = two.type("len(os.listdir('/proc/self/fd'))")
        # In the child the line ends like any other; then it has nobody to talk to, and ends.
        shown = one.type("pid = os.fork()")
        assert shown == ""
        status = one.type("os.waitpid(pid, 0)[1]")
        assert status == "0\n", status
        assert one.works() and two.works()
        assert Path(healthy.path).exists()
        assert two.type("len(os.listdir('/proc/self/fd'))") == before
        assert not [child for child in Path(f"/proc/{healthy.pid}/task").glob("*/children") if child.read_text()]


def test_a_forked_child_holds_no_socket_of_the_parents(healthy: Any) -> None:
    """Or a peer would not see the end of its session."""
    with Typist(healthy) as one:
        one.type("import os; child = os.fork() or time.sleep(30)")
        child = int(one.type("child"))

        def sockets(pid: int) -> set[str]:
            names = set()
            for path in Path(f"/proc/{pid}/fd").iterdir():
                # One that is closed meanwhile is not held.
                with contextlib.suppress(FileNotFoundError):
                    names.add(os.readlink(path))
            return {name for name in names if name.startswith("socket:")}

        wait_until(lambda: not sockets(child) & sockets(healthy.pid))
        assert one.works()
        assert one.type(f"os.kill({child}, 9); os.waitpid({child}, 0)[1]") == "9\n"


def test_a_child_process_gets_none_of_the_backdoors_descriptors(healthy: Any) -> None:
    with Typist(healthy) as one:
        shown = one.type(
            "import subprocess; "
            "print(subprocess.run(['ls', '/proc/self/fd'], close_fds=False, capture_output=True, text=True).stdout)"
        )
        numbers = [int(word) for word in shown.split() if word.isdigit()]
        # 0 to 2, the pipes, and the one that ls itself opened.
        assert max(numbers) <= 5, shown


# -- the backdoor's own parts


def test_a_closed_socket_of_its_own_ends_the_session_only(healthy: Any) -> None:
    with Typist(healthy) as one, Typist(healthy) as two:
        one.type("import __main__, os")
        mine = one.type("coro.current().name.split()[1]").strip().strip("'")
        one.sock.sendall(f"__main__.backdoor.host.sessions[{mine}].connection.sock.close()\n".encode())
        while one.sock.recv(4096):
            pass
        assert two.works()


def test_a_closed_descriptor_of_another_session_ends_that_one_only(daemon: Any) -> None:
    with Typist(daemon) as one, Typist(daemon) as two:
        one.type("import __main__, os")
        theirs = two.type("coro.current().name.split()[1]").strip().strip("'")
        one.type(f"os.close(__main__.backdoor.host.sessions[{theirs}].connection.sock.fileno())")
        assert one.works()
        # The kernel ends it at once: the peer reads the end.
        two.sock.settimeout(5)
        assert two.sock.recv(4096) == b""
        one.type(f":kick {theirs}")
        assert one.works()
    with Typist(daemon) as newcomer:
        assert newcomer.works()


@pytest.mark.parametrize(
    "line",
    [
        "coro.backdoor.text_session.TextSession.write = None",
        "coro.backdoor.text_session.TextSession._next_line = lambda self: 1 / 0",
        "coro.backdoor.connection.Connection.next_event = None",
        "coro.backdoor.evaluation.Evaluator.run = None",
        "coro.backdoor.executing.run_code = coro.backdoor.text_session.run_code = None",
        "coro.backdoor.audit.Audit.command = None",
        "coro.backdoor.session.Session.audit = None",
        "coro.backdoor.sentinel.Sentinel._tick = None",
        "coro.backdoor.interrupting.strikes.lines = None",
        "__import__('__main__').backdoor.host.sessions = None",
        "__import__('__main__').backdoor.host.limits = None",
        "__import__('logging').Logger.info = None",
        "coro.backdoor.routing.leave = None",
    ],
)
def test_replaced_parts_of_the_backdoor_do_not_end_the_daemon(start_daemon: Callable[..., Any], line: str) -> None:
    daemon = start_daemon(
        """
        def work():
            number = 0
            while True:
                number += 1
                with open(sys.argv[2] + ".ticks", "r+" if number > 1 else "w") as file:
                    file.write(str(number))
                coro.sleep_relative(0.01)
        coro.spawn(work)
        """
    )
    ticks = Path(f"{daemon.log_path}.ticks")
    with Typist(daemon) as one:
        one.sock.settimeout(0.2)
        try:
            one.sock.sendall(f"import coro.backdoor; {line}\n".encode())
            one.sock.sendall(b"6 * 7\n")
            while one.sock.recv(4096):
                pass
        except OSError:
            pass
    # The console may be broken; the daemon is not: its own threads go on.
    newcomer = socket.socket(socket.AF_UNIX)
    with newcomer:
        if newcomer.connect_ex(daemon.path) == 0:
            newcomer.settimeout(0.1)
            try:
                newcomer.sendall(b"\n1\n")
                newcomer.recv(4096)
            except OSError:
                pass
    before = int(ticks.read_text() or 0)
    wait_until(lambda: int(ticks.read_text() or 0) > before + 5)
    assert daemon.process.poll() is None


def test_a_closed_backdoor_ends_all_sessions_and_not_the_daemon(daemon: Any) -> None:
    with Typist(daemon) as one, Typist(daemon) as two:
        one.sock.sendall(b"import __main__; __main__.backdoor.close()\n")
        while one.sock.recv(4096):
            pass
        while two.sock.recv(4096):
            pass
    wait_until(lambda: not Path(daemon.path).exists())
    time.sleep(0.1)
    assert daemon.process.poll() is None


# -- input, help, breakpoint


def test_input_at_the_end_of_input_raises_eof_error(healthy: Any) -> None:
    with healthy.connect() as sock:
        read_until(sock, b">>> ")
        sock.sendall(b"input('name? ')\n")
        read_until(sock, b"name? ")
        sock.sendall(b"me\n")
        assert read_until(sock, b">>> ") == b"'me'\n>>> "
        sock.sendall(b"input('name? ')\n")
        read_until(sock, b"name? ")
        sock.shutdown(socket.SHUT_WR)
        rest = b"".join(iter(lambda: sock.recv(4096), b""))
        assert b"EOFError" in rest


def test_input_in_an_eval_whose_peer_is_gone(healthy: Any) -> None:
    with healthy.rpc() as rpc:
        rpc.send("eval", code="input('name? ')")
        while rpc.receive().get("method") != "input":
            pass
    with healthy.rpc() as rpc:
        wait_until(lambda: len(rpc.call("sessions")) == 1)


def test_reading_stdin_asks_the_session(healthy: Any) -> None:
    with Typist(healthy) as one:
        one.sock.sendall(b"sys.stdin.readline()\nhello\n")
        assert b"'hello\\n'" in read_until(one.sock, b">>> ")
        assert one.works()


def test_help_is_the_sessions_own(healthy: Any) -> None:
    with Typist(healthy) as one:
        assert "join" in one.type("help(str.join)")
        one.sock.sendall(b"help()\n")
        read_until(one.sock, b"help> ")
        one.sock.sendall(b"quit\n")
        read_until(one.sock, b">>> ")
        assert one.works()


def test_breakpoint_is_refused_with_a_hint(healthy: Any) -> None:
    with Typist(healthy) as one:
        assert ":where" in one.type("breakpoint()")
        assert one.works()


# -- size


@pytest.mark.slow
def test_a_hundred_thousand_lines_pasted_at_once_run_in_order_and_hold_up_nobody(healthy: Any) -> None:
    """They run at the pace of a guest, some thousand in a second; the rest waits at the sender."""
    with healthy.connect(60) as sock, healthy.rpc() as rpc:
        rpc.call("hello")
        read_until(sock, b">>> ")
        rpc.eval("__import__('__main__').__dict__.update(worst_lag=0)")
        memory = healthy.resident_bytes()
        sock.setblocking(False)
        left = memoryview(b"n = 0\n" + b"n += 1; n\n" * 100_000)
        shown = b""
        begin = time.monotonic()
        while time.monotonic() < begin + 3:
            try:
                left = left[sock.send(left) :]
            except BlockingIOError:
                time.sleep(0.001)
            try:
                shown += sock.recv(1 << 20)
            except BlockingIOError:
                time.sleep(0.001)
        numbers = [int(number) for number in re.findall(rb"\d+(?=\n)", shown)]
        lag = float(rpc.eval("__import__('__main__').worst_lag") or 1)
        print(
            f"{len(numbers) / 3:.0f} lines/s, worst lag {lag * 1000:.1f} ms, {len(left)} bytes wait at the sender"
        )
        assert len(numbers) > 500
        assert numbers == list(range(1, len(numbers) + 1))
        assert lag < 0.05
        assert healthy.resident_bytes() < memory + 20_000_000
    # Gone, it is forgotten: what waited is not run to the end.
    with healthy.rpc() as rpc:
        wait_until(lambda: len(rpc.call("sessions")) == 1)
