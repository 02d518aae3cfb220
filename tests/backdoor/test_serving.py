"""Opening and closing the backdoor: serve, start, limits, tokens, forks, and the daemon's end."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import coro.backdoor
from coro.wire.protocol import NOT_ALLOWED
from tests.backdoor.talking import Talk

TIMEOUT_S = 10.0
TOKEN = "correct-horse-battery-staple"
# A TCP peer whose uid the kernel cannot tell, as one from another machine.
STRANGER = """
from coro.backdoor import server
from coro.backdoor.peers import Peer
server.tcp_peer = lambda sock: Peer("tcp", None, None, None, (), "192.0.2.1:4711")
BACKDOOR["port"] = 0
"""
PROLOGUE = """\
import logging, os, sys, time
import coro, coro.backdoor
PATH = sys.argv[1]
logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(name)s %(levelname)s %(message)s")
def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())
"""


def soon(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, "this did not come true in time"
        time.sleep(0.01)


class Program:
    """A program of the test's own, whole.  path: for its socket, sys.argv[1]."""

    def __init__(self, folder: Path, code: str, *options: str) -> None:
        self.path = str(folder / "s.sock")
        script = folder / "program.py"
        script.write_text(PROLOGUE + textwrap.dedent(code))
        self.process = subprocess.Popen(
            [sys.executable, *options, str(script), self.path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=Path(__file__).parents[2],
            env={
                **{name: value for name, value in os.environ.items() if name != "CORO_RUNTIME_DIRECTORY"},
                "TMPDIR": str(folder),
                "XDG_RUNTIME_DIR": str(folder / "run"),
            },
            text=True,
        )
        self.output = ""

    def read_until(self, text: str) -> str:
        """Read lines up to one that contains `text`; returns that line."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line
            if text in line:
                return line
        raise AssertionError(f"{text!r} was not written, but:\n{self.output}")

    def end(self) -> tuple[int, str]:
        """Wait for its end; returns the exit status and all that it wrote."""
        assert self.process.stdout is not None
        status = self.process.wait(TIMEOUT_S)
        self.output += self.process.stdout.read()
        return status, self.output

    def close(self) -> None:
        assert self.process.stdout is not None
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Give a function that runs a program of its own; they are ended after the test."""
    programs: list[Program] = []

    def start(code: str, *options: str) -> Program:
        folder = tmp_path / f"p{len(programs)}"
        folder.mkdir()
        programs.append(Program(folder, code, *options))
        return programs[-1]

    yield start
    for one in programs:
        one.close()


def connect(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(TIMEOUT_S)
    try:
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock


def ask(path: str, method: str, **params: Any) -> Any:
    """One request over a connection of its own."""
    with connect(path) as sock, sock.makefile("rb") as file:
        sock.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode() + b"\n")
        return json.loads(file.readline())["result"]["value"]


# -- opening


def test_serve_takes_parameters_in_the_order_of_shrapnel(program: Callable[..., Program]) -> None:
    daemon = program("""
        names = {"answer": 42}
        class Client:
            def __init__(self, sock, line_separator, welcome_message, global_dict):
                self.sock = sock
                self.talk = (line_separator, welcome_message, sorted(global_dict))
            def read_eval_print_loop(self):
                self.sock.send(repr(self.talk).encode() + b"\\n")
                line = self.sock.recv(100)
                coro.sleep_relative(0.01)
                self.sock.send(line.upper())
                self.sock.close()
        coro.spawn(coro.backdoor.serve, None, "127.0.0.1", PATH, "welcome!", names, Client)
        coro.spawn(lambda: say("ready"))
        coro.event_loop()
        """)
    daemon.read_until("ready")
    with connect(daemon.path) as sock, sock.makefile("rwb", buffering=0) as file:
        assert file.readline() == b"('\\r\\n', 'welcome!', ['answer'])\n"
        file.write(b"shout\n")
        assert file.readline() == b"SHOUT\n"
        assert file.read() == b""
    # Programs and probes are served as ever.
    assert ask(daemon.path, "hello")["eval"]
    daemon.process.terminate()
    status, output = daemon.end()
    assert status == 0
    assert re.search(r"outcome=.*(closed|client class)", output)


def test_a_client_class_that_fails_ends_its_session_only(program: Callable[..., Program]) -> None:
    daemon = program("""
        class Client:
            def __init__(self, *args):
                self.sock = args[0]
            def read_eval_print_loop(self):
                raise RuntimeError("no talk today")
        coro.backdoor.start(unix_path=PATH, client_class=Client)
        coro.spawn(lambda: say("ready"))
        coro.event_loop()
        """)
    daemon.read_until("ready")
    for _ in range(3):
        with connect(daemon.path) as sock:
            assert sock.recv(100) == b""
    soon(lambda: [session["kind"] for session in ask(daemon.path, "sessions")] == ["rpc"])
    daemon.process.terminate()
    status, output = daemon.end()
    assert status == 0
    assert output.count("RuntimeError: no talk today") == 3


def test_a_client_class_is_for_those_who_may_evaluate(start_daemon: Any) -> None:
    talker = """
class Client:
    def __init__(self, sock, *others):
        self.sock = sock
    def read_eval_print_loop(self):
        self.sock.send(b"come in")
        coro.sleep_relative(1000)
BACKDOOR["client_class"] = Client
"""
    daemon = start_daemon(talker + STRANGER, CORO_TOKEN=TOKEN)
    with daemon.connect_tcp() as sock:
        assert sock.recv(1000) == b"refused: the role eval is needed\n"
        assert sock.recv(1000) == b""
    with daemon.connect() as sock, daemon.connect() as other:
        assert sock.recv(1000) == b"come in"
        assert other.recv(1000) == b"come in"
        with daemon.rpc() as rpc:
            kinds = {session["id"]: session["kind"] for session in rpc.call("sessions")}
            number = min(kinds)
            assert kinds[number] == "text"
            rpc.call("kick", session=number)
            soon(lambda: number not in {session["id"] for session in rpc.call("sessions")})
        assert sock.recv(1000) == b""
        assert daemon.stop() == 0
        assert other.recv(1000) == b""
    daemon = start_daemon(talker + f"BACKDOOR['roles'] = {{'uid:{os.getuid()}': 'operate'}}")
    with daemon.connect() as sock:
        assert sock.recv(1000) == b"refused: the role eval is needed\n"


def test_global_dict_and_welcome_message_make_the_prompt(start_daemon: Any) -> None:
    daemon = start_daemon("""
        names = {"answer": 42}
        BACKDOOR.update(global_dict=names, welcome_message="mind the gap")
        """)
    with Talk(daemon.connect()) as talk, daemon.rpc() as rpc:
        assert talk.greeting == "mind the gap\n"
        assert talk.ask("answer") == "42\n"
        assert talk.ask("answer = 43") == ""
        assert rpc.eval("answer") == "43", "all sessions share it"
        assert "NameError" in talk.ask("coro")


def test_default_names_are_a_copy_of_those_of_main(start_daemon: Any) -> None:
    daemon = start_daemon("treasure = 1")
    with daemon.rpc() as rpc:
        rpc.call("eval", code="treasure = 2")
        assert rpc.eval("treasure, __import__('__main__').treasure") == "(2, 1)"


def test_start_before_the_loop_serves_when_it_runs(program: Callable[..., Program]) -> None:
    daemon = program("""
        with coro.backdoor.start(unix_path=PATH) as backdoor:
            say(backdoor, backdoor.address == PATH, oct(os.stat(PATH).st_mode & 0o777))
            coro.spawn(lambda: say("ready"))
            try:
                coro.event_loop()
            finally:
                say(backdoor, os.path.exists(PATH))
        """)
    assert daemon.read_until("<backdoor").endswith(" True 0o600\n")
    # In the backlog already when the loop begins.
    assert ask(daemon.path, "hello")["pid"] == daemon.process.pid
    daemon.process.terminate()
    status, output = daemon.end()
    assert status == 0
    assert output.endswith("<backdoor closed> False\n")


def test_default_socket_is_named_by_pid_in_the_runtime_directory(program: Callable[..., Program]) -> None:
    daemon = program("""
        os.mkdir(os.environ["XDG_RUNTIME_DIR"], 0o700)
        backdoor = coro.backdoor.start()
        coro.spawn(lambda: say("at", backdoor.address))
        coro.event_loop()
        """)
    path = daemon.read_until("at ").split()[1]
    assert Path(path).parent == Path(daemon.path).parent / "run" / "coro"
    assert str(daemon.process.pid) in Path(path).name
    assert ask(path, "hello")["pid"] == daemon.process.pid


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("unix_path='/nonexistent/dir/s.sock'", "/nonexistent/dir"),
        ("unix_path=os.path.dirname(PATH)", "directory"),
        ("unix_path=__file__", "a file is in the way"),
        ("port=taken", "taken"),
        ("unix_path=PATH + '.two', token_file='/nonexistent'", "/nonexistent"),
    ],
)
def test_a_failure_to_bind_is_logged_and_the_daemon_goes_on(
    program: Callable[..., Program], arguments: str, message: str
) -> None:
    daemon = program(f"""
        import socket
        listener = socket.create_server(("127.0.0.1", 0))
        taken = listener.getsockname()[1]
        def serve():
            coro.backdoor.serve({arguments})
            say("served")
        def work():
            for number in range(3):
                coro.sleep_relative(0.01)
                say("works", number)
            coro.set_exit(7)
        coro.spawn(serve)
        coro.spawn(work)
        coro.event_loop()
        """)
    status, output = daemon.end()
    assert status == 7
    line = next(line for line in output.splitlines() if "no backdoor" in line)
    assert line.startswith("coro.backdoor ERROR no backdoor: ")
    assert message in line
    assert "Traceback" not in output
    assert output.index("served") < output.index("works 2")


def test_a_second_daemon_at_the_same_path_is_refused_and_the_first_goes_on(start_daemon: Any) -> None:
    first = start_daemon()
    with pytest.raises(OSError, match=rf"pid {first.pid} listens there already") as refused:
        coro.backdoor.start(unix_path=first.path)
    assert first.path in str(refused.value)
    assert isinstance(refused.value, coro.backdoor.BindRefused)
    assert first.eval("1 + 1") == "2"


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"ip": "0.0.0.0", "port": 0}, ValueError, "allow_remote"),
        ({"ip": "192.0.2.1", "port": 0, "allow_remote": True}, ValueError, "token"),
        ({"port": 70_000}, ValueError, "65535"),
        ({"port": []}, ValueError, "empty"),
        ({"global_dict": [], "port": 0}, TypeError, "global_dict must be a dict or None, got list"),
        ({"roles": {"uid:1": "king"}, "port": 0}, ValueError, "must be one of observe, operate, eval, got 'king'"),
        ({"roles": {"nobody": "eval"}, "port": 0}, ValueError, "must be like"),
    ],
)
def test_parameters_that_make_no_sense_are_refused_before_anything_listens(
    parameters: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        coro.backdoor.start(**parameters)


def test_several_ports_mean_the_first_free_one(program: Callable[..., Program]) -> None:
    daemon = program("""
        import socket
        listener = socket.create_server(("127.0.0.1", 0))
        taken = listener.getsockname()[1]
        backdoor = coro.backdoor.start(port=[taken, 0], unix_path=PATH)
        say(len(backdoor.addresses), backdoor.address == PATH, backdoor.addresses[1][1] not in (0, taken))
        """)
    status, output = daemon.end()
    assert status == 0
    assert "2 True True\n" in output


# -- limits


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"sessions": 0}, "the limit sessions must be an int of 1 or more, got 0"),
        ({"sessions": True}, "the limit sessions must be an int of 1 or more, got True"),
        ({"probes": 1.5}, "the limit probes must be an int of 1 or more, got 1.5"),
        ({"new": -1}, "the limit new must be an int of 1 or more, got -1"),
        ({"repr_bytes": "64k"}, "the limit repr_bytes must be an int of 1 or more, got '64k'"),
        ({"waiting_lines": None}, "the limit waiting_lines must be an int of 1 or more, got None"),
        ({"silence": 0}, "the limit silence must be 0.01 s or more, got 0"),
        ({"eval_limit": float("nan")}, "the limit eval_limit must be 0.01 s or more, got nan"),
        ({"progress": None}, "the limit progress must be 0.01 s or more, got None"),
        ({"idle": 0}, "the limit idle must be 0.01 s or more, got 0"),
        ({"stall_threshold": float("inf")}, "the limit stall_threshold must be 0.01 s or more, got inf"),
    ],
)
def test_limits_are_checked(limits: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        coro.backdoor.Limits(**limits)


def test_idle_may_be_for_ever() -> None:
    assert coro.backdoor.Limits(idle=None).idle is None


def test_limits_are_kept_and_told(start_daemon: Any) -> None:
    daemon = start_daemon("""
        BACKDOOR["limits"] = coro.backdoor.Limits(sessions=2, idle=0.4, repr_bytes=100, silence=0.05)
        """)
    with Talk(daemon.connect()) as one, daemon.rpc() as two:
        assert len(one.ask("'x' * 1000")) < 200
        two.eval("1")
        with daemon.connect() as sock:
            assert sock.recv(1000) == b"refused: 2 sessions are connected already, the most allowed\n"
        with daemon.rpc() as three:
            assert three.call("check")["status"] == "ok", "a check has a slot of its own"
            assert three.error("ps")["message"] == "2 sessions are connected already, the most allowed"
        assert one.read() == "\nidle for too long\n"
        with pytest.raises(EOFError):
            two.receive()
    assert "2 sessions are connected already" in daemon.log()


# -- tokens


def test_a_loopback_peer_of_our_own_uid_needs_no_token(start_daemon: Any, tmp_path: Path) -> None:
    daemon = start_daemon('BACKDOOR["port"] = 0', CORO_TOKEN=TOKEN)
    with Talk(daemon.connect_tcp()) as talk:
        assert talk.prompt == ">>> "
        assert talk.ask("1 + 1") == "2\n"


def test_a_stranger_gives_the_token_in_hello(start_daemon: Any) -> None:
    daemon = start_daemon(STRANGER, CORO_TOKEN=TOKEN)
    with daemon.rpc() as known:
        rpc_class = type(known)
    for wrong, message in (
        ({}, "a token is needed"),
        ({"token": "wrong"}, "the token is wrong"),
        ({"token": TOKEN[:-1]}, "the token is wrong"),
        ({"token": 7}, "the token is wrong"),
    ):
        with rpc_class(daemon.connect_tcp()) as rpc:
            error = rpc.error("hello", **wrong)
            assert error == {"code": NOT_ALLOWED, "message": message}
            assert rpc.error("eval", code="1")["message"] == "a token is needed: say hello with it first"
            assert rpc.error("check")["code"] == NOT_ALLOWED
            assert rpc.error("subscribe")["code"] == NOT_ALLOWED
            assert rpc.error("complete", text="co")["code"] == NOT_ALLOWED
    with rpc_class(daemon.connect_tcp()) as rpc:
        assert rpc.call("hello", token=TOKEN)["role"] == "eval"
        assert rpc.eval("6 * 7") == "42"
    log = daemon.log()
    assert "the token is wrong" in log
    assert TOKEN not in log
    assert TOKEN not in daemon.errors()


def test_a_wrong_token_is_audited_once(start_daemon: Any) -> None:
    daemon = start_daemon(STRANGER, CORO_TOKEN=TOKEN)
    with daemon.rpc() as known:
        rpc_class = type(known)
    with rpc_class(daemon.connect_tcp()) as rpc:
        rpc.error("hello", token="wrong")
    soon(lambda: "the token is wrong" in daemon.log())
    assert daemon.log().count("coro.audit WARNING refused") == 1


def test_a_stranger_gives_the_token_as_first_line(start_daemon: Any) -> None:
    daemon = start_daemon(STRANGER + "BACKDOOR['roles'] = {'token': 'operate'}", CORO_TOKEN=TOKEN)
    with Talk(daemon.connect_tcp()) as talk:
        assert (talk.greeting, talk.prompt) == ("", "token: ")
        assert talk.ask("wrong") == "refused: wrong token\n"
        assert talk.prompt == ""
    with Talk(daemon.connect_tcp()) as talk:
        assert talk.ask(TOKEN).startswith("coro backdoor of ")
        assert talk.prompt == "coro> "
        assert TOKEN not in talk.ask("history")
        assert talk.ask("ps").startswith("id  name")
    assert "the token is wrong" in daemon.log()
    assert TOKEN not in daemon.log()


def test_a_stranger_without_any_token_is_sent_away(start_daemon: Any) -> None:
    daemon = start_daemon(STRANGER)
    with daemon.connect_tcp() as sock:
        assert b"it is not known who you are" in sock.recv(1000)
        assert sock.recv(1000) == b""
    soon(lambda: re.search(r"refused pid=- uid=- peer=192\.0\.2\.1:4711 .*not known who you are", daemon.log()))


def test_a_token_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o644)
    with pytest.raises(PermissionError, match="mode 0644"):
        coro.backdoor.start(port=0, token_file=file)
    file.chmod(0o600)
    file.write_text("short")
    with pytest.raises(ValueError, match="16 or more are needed"):
        coro.backdoor.start(port=0, token_file=file)


# -- closing


def test_close_ends_sessions_and_leaves_nothing(program: Callable[..., Program]) -> None:
    daemon = program("""
        import threading
        def descriptors():
            return len(os.listdir("/proc/self/fd"))
        def run():
            coro.sleep_relative(0.01)
            before = descriptors(), threading.active_count(), len(coro.all_threads)
            for round in range(3):
                backdoor = coro.backdoor.start(unix_path=PATH)
                say("open", round)
                while not len(backdoor.host.sessions) >= 2:
                    coro.sleep_relative(0.01)
                coro.sleep_relative(0.05)
                backdoor.close()
                backdoor.close()
                while len(coro.all_threads) > before[2]:
                    coro.sleep_relative(0.01)
                after = descriptors(), threading.active_count(), len(coro.all_threads)
                say("after", round, backdoor, os.path.exists(PATH), after == before or (before, after))
            coro.set_exit(0)
        coro.spawn(run)
        coro.event_loop()
        """, "-X", "dev")  # fmt: skip
    for number in range(3):
        daemon.read_until(f"open {number}")
        with connect(daemon.path) as text, connect(daemon.path) as rpc:
            text.sendall(b"coro.sleep_relative(1000)\n")
            rpc.sendall(b'{"jsonrpc":"2.0","id":1,"method":"eval","params":{"code":"coro.sleep_relative(1000)"}}\n')
            assert daemon.read_until("after ") == f"after {number} <backdoor closed> False True\n"
            for sock in (text, rpc):
                while sock.recv(1000):
                    pass
    status, output = daemon.end()
    assert status == 0
    assert "Warning" not in output
    assert "Traceback" not in output


def test_sigterm_with_sessions_open_is_a_clean_exit(start_daemon: Any) -> None:
    daemon = start_daemon('BACKDOOR["port"] = 0', PYTHONDEVMODE="1")
    with (
        Talk(daemon.connect()) as idle,
        Talk(daemon.connect_tcp()) as asleep,
        Talk(daemon.connect()) as asked,
        daemon.rpc() as rpc,
        daemon.connect() as web,
    ):
        asleep.type("coro.sleep_relative(1000)")
        asked.type("input('what? ')")
        rpc.sock.sendall(
            b'{"jsonrpc":"2.0","id":1,"method":"subscribe","params":{"method":"ps","every":0.1}}\n'
            b'{"jsonrpc":"2.0","id":2,"method":"eval","params":{"code":"coro.sleep_relative(1000)"}}\n'
        )
        web.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert web.recv(100).startswith(b"HTTP/1.1 200")
        while rpc.receive().get("method") != "event":
            pass
        silent = daemon.connect()
        with silent:
            assert Path(daemon.path + ".lock").exists()
            before = time.monotonic()
            daemon.signal(signal.SIGTERM)
            assert daemon.process.wait(10) == 0
            assert time.monotonic() - before < 2.0
        for sock in (idle.sock, asleep.sock, asked.sock):
            while sock.recv(1000):
                pass
    assert not Path(daemon.path).exists()
    assert not Path(daemon.path + ".lock").exists()
    errors = daemon.errors()
    assert "Warning" not in errors, errors
    assert "Traceback" not in errors, errors
    assert "unclosed" not in errors, errors


def test_a_daemon_that_ends_by_itself_takes_its_socket_along(program: Callable[..., Program]) -> None:
    daemon = program("""
        coro.spawn(coro.backdoor.serve, unix_path=PATH)
        def end():
            coro.sleep_relative(0.05)
            say(os.path.exists(PATH))
            coro.set_exit(4)
        coro.spawn(end)
        coro.event_loop()
        """, "-X", "dev")  # fmt: skip
    status, output = daemon.end()
    assert (status, output.splitlines()[0]) == (4, "True")
    assert not Path(daemon.path).exists()
    assert not Path(daemon.path + ".lock").exists()
    assert "Warning" not in output


# -- forking

DAEMONISE = """
if os.fork():
    time.sleep(0.3)
    os._exit(0)
os.setsid()
"""


def test_a_daemon_that_forks_before_it_serves_is_served(program: Callable[..., Program]) -> None:
    daemon = program("coro.spawn(coro.backdoor.serve, unix_path=PATH)" + DAEMONISE + """
def ready():
    coro.sleep_relative(0.01)
    say("pid", os.getpid())
    coro.sleep_relative(20)
    coro.set_exit(5)
coro.spawn(ready)
coro.event_loop()
""")  # fmt: skip
    pid = int(daemon.read_until("pid").split()[1])
    assert pid != daemon.process.pid
    try:
        assert ask(daemon.path, "hello")["pid"] == pid
    finally:
        os.kill(pid, signal.SIGTERM)
    assert daemon.end()[0] == 0
    soon(lambda: not Path(daemon.path).exists())


def test_a_child_forked_after_start_serves_nothing(program: Callable[..., Program]) -> None:
    # Which of the two keeps the loop does not matter: who opened it serves.
    daemon = program("""
        backdoor = coro.backdoor.start(unix_path=PATH)
        child = os.fork()
        def run():
            coro.sleep_relative(0.1)
            say("child" if not child else "parent", backdoor.closed, os.path.exists(PATH))
            if child:
                say("status", os.waitpid(child, 0)[1])
                coro.sleep_relative(1000)
            coro.set_exit(0)
        coro.spawn(run)
        coro.event_loop()
        """)
    daemon.read_until("status 0")
    assert "child True True\n" in daemon.output
    assert "parent False True\n" in daemon.output
    assert ask(daemon.path, "hello")["pid"] == daemon.process.pid
    daemon.process.terminate()
    assert daemon.end()[0] == 0
    assert not Path(daemon.path).exists()


def test_a_child_forked_in_the_loop_serves_nothing_and_keeps_no_session(program: Callable[..., Program]) -> None:
    daemon = program("""
        import stat
        backdoor = coro.backdoor.start(unix_path=PATH)
        def sockets():
            return sum(stat.S_ISSOCK(os.stat(f"/proc/self/fd/{fd}").st_mode) for fd in os.listdir("/proc/self/fd")
                       if os.path.exists(f"/proc/self/fd/{fd}"))
        def fork():
            while not any(session.kind == "text" for session in backdoor.host.sessions.values()):
                coro.sleep_relative(0.01)
            coro.sleep_relative(0.05)
            child = os.fork()
            if not child:
                # The loop goes on in the child, with this thread alone.
                coro.sleep_relative(0.05)
                say("child", backdoor.closed, len(backdoor.host.sessions), sockets(), len(coro.all_threads))
                own = coro.backdoor.start(unix_path=PATH + ".child")
                coro.sleep_relative(0.05)
                say("own", own.address == PATH + ".child", os.path.exists(PATH))
                own.close()
                coro.set_exit(0)
                return
            while os.waitpid(child, os.WNOHANG) == (0, 0):
                coro.sleep_relative(0.01)
            say("gone", os.path.exists(PATH))
        coro.spawn(fork)
        coro.spawn(lambda: say("ready"))
        coro.event_loop()
        """)
    daemon.read_until("ready")
    with Talk(connect(daemon.path)) as talk:
        talk.ask("x = 1")
        daemon.read_until("gone True")
        assert "child True 0 0 1\n" in daemon.output, daemon.output
        assert "own True True\n" in daemon.output, daemon.output
        # The parent's session has not noticed.
        assert talk.ask("x") == "1\n"
    daemon.process.terminate()
    status, output = daemon.end()
    assert status == 0
    assert "Traceback" not in output


def test_a_line_that_forks_leaves_one_daemon(start_daemon: Any) -> None:
    daemon = start_daemon()
    with Talk(daemon.connect()) as talk, daemon.rpc() as rpc:
        rpc.call("hello")
        talk.ask("import os")
        child = int(talk.ask("os.fork()"))
        assert child > 0
        assert talk.ask("os.waitpid(_, 0)[1]") == "0\n"
        assert rpc.eval("__import__('os').waitpid(__import__('os').fork() or 0, 0)[1]") == "0"
        assert talk.ask("1 + 1") == "2\n"
    assert daemon.eval("1") == "1"


# -- at rest


def test_nothing_is_imported_late(start_daemon: Any) -> None:
    # An upgraded package on disk must not matter ninety days later.
    daemon = start_daemon("""
        coro.spawn(coro.sleep_relative, 1000)
        modules = None
        """)
    with daemon.rpc() as rpc:
        rpc.call("eval", code="import sys; known = set(sys.modules)")
        rpc.call("hello")
        for method, params in (
            ("ps", {}), ("where", {"target": "all", "group": True}), ("tree", {}), ("why", {"target": "all"}),
            ("fds", {}), ("timers", {}), ("locks", {}), ("dead", {}), ("lag", {}), ("stalls", {}), ("check", {}),
            ("set", {}), ("sessions", {}), ("history", {}), ("help", {}), ("complete", {"text": "co"}),
        ):  # fmt: skip
            rpc.call(method, **params)
        for wrong in ("pss", "interupt"):
            rpc.error(wrong)
        with Talk(daemon.connect()) as talk:
            for line in (":ps -s run -f 'id > 0'", ":help", ":tree", ":check", ":pss", "1 / 0", "for", ":lag"):
                talk.ask(line)
        with daemon.connect() as web:
            web.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            while web.recv(65_536):
                pass
        late = rpc.eval("sorted(set(sys.modules) - known)")
        assert late == "[]"
