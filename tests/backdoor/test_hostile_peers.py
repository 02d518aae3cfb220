"""What broken and hostile clients do: the daemon's other threads and sessions, and its memory, do not notice."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.backdoor.siege import (
    CALM,
    read_to_end,
    read_until,
    refusals,
    reset,
    send_all,
    siege,
    until,
    watched,
)

TCP = 'BACKDOOR["port"] = 0\n' + CALM
STRANGER = 12_345
ANOTHER = 12_346

as_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user"
)


def limits(**values: object) -> str:
    """Code for a daemon with other limits."""
    given = ", ".join(f"{name}={value!r}" for name, value in values.items())
    return f'BACKDOOR["limits"] = coro.backdoor.Limits({given})\n'


def prompted(sock: Any) -> Any:
    """The connection, when its prompt has come."""
    read_until(sock, b">>> ")
    return sock


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """A file that code of a client's makes if it runs."""
    return tmp_path / "executed"


def touching(marker: Path) -> str:
    return f"open({str(marker)!r}, 'w').close()"


# -- another user

# What a process of another user does: it connects, sends and goes, so often; what it got it prints.
_STRANGER = """
import os, socket, sys
path, port, count, text, waits, uid = *sys.argv[1:5], sys.argv[5] == "waits", int(sys.argv[6])
# The folder of the socket is open to it; those above are not.
os.chdir(os.path.dirname(path))
os.setgroups([])
os.setgid(uid)
os.setuid(uid)
for number in range(int(count)):
    sock = socket.socket(socket.AF_INET if port != "0" else socket.AF_UNIX)
    try:
        sock.connect(("127.0.0.1", int(port)) if port != "0" else os.path.basename(path))
        try:
            sock.sendall(text.encode())
            # On TCP a peer that has closed its side is not known any more.
            if waits and port == "0":
                sock.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            # Refused already; why stands in what is to be read.
            pass
        while waits and (data := sock.recv(4096)):
            sys.stdout.write(data.decode())
    except (ConnectionResetError, PermissionError) as error:
        print(type(error).__name__)
    sock.close()
"""


def stranger(
    daemon: Any, text: str, *, tcp: bool = False, count: int = 1, waits: bool = True, uid: int = STRANGER
) -> str:
    """What another user's process is told, up to the end of the connection if it waits."""
    port = daemon.port if tcp else 0
    done = subprocess.run(
        [
            *(sys.executable, "-c", _STRANGER, daemon.path, str(port), str(count), text),
            "waits" if waits else "goes",
            str(uid),
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def evaluating(*codes: str) -> bytes:
    """Requests of JSON-RPC."""
    return b"".join(
        json.dumps({"jsonrpc": "2.0", "id": number, "method": "eval", "params": {"code": code}}).encode() + b"\n"
        for number, code in enumerate(codes, 1)
    )


@as_root
def test_socket_of_mode_0600_keeps_other_users_out(daemon: Any) -> None:
    assert stranger(daemon, "1\n") == "PermissionError\n"


@as_root
@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_another_user_who_waits_is_told_why_he_is_refused(
    start_daemon: Callable[..., Any], marker: Path, tcp: bool
) -> None:
    daemon = start_daemon(TCP)
    os.chmod(daemon.path, 0o666)
    said: list[str] = []

    def attack() -> None:
        said.append(stranger(daemon, touching(marker) + "\n", tcp=tcp))

    siege(daemon, attack)
    assert f"uid {STRANGER} has no role here" in said[0] or "ConnectionResetError" in said[0]
    assert f"uid={STRANGER}" in refusals(daemon)[0]
    assert f"uid {STRANGER} has no role here" in refusals(daemon)[0]
    assert not marker.exists()


@as_root
@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_another_user_who_sends_and_closes_at_once_executes_nothing(
    start_daemon: Callable[..., Any], marker: Path, tcp: bool
) -> None:
    daemon = start_daemon(TCP)
    os.chmod(daemon.path, 0o666)
    request = evaluating(touching(marker)).decode()

    def attack() -> None:
        stranger(daemon, touching(marker) + "\n", tcp=tcp, count=50, waits=False)
        stranger(daemon, request, tcp=tcp, count=50, waits=False)

    siege(daemon, attack)
    assert not marker.exists()
    lines = refusals(daemon)
    # Bounded: 10 a second, and the number of the others.
    assert 1 <= len(lines) <= 40
    assert "role=-" in lines[0]
    assert str(marker) not in daemon.log()


@as_root
@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_another_user_who_has_gone_before_he_is_accepted_executes_nothing(
    start_daemon: Callable[..., Any], marker: Path, tcp: bool
) -> None:
    daemon = start_daemon(TCP)
    os.chmod(daemon.path, 0o666)

    def attack() -> None:
        # Stopped, it cannot accept while the peer is there.
        daemon.signal(signal.SIGSTOP)
        try:
            stranger(daemon, touching(marker) + "\n", tcp=tcp, count=10, waits=False)
        finally:
            began = len(refusals(daemon))
            daemon.signal(signal.SIGCONT)
        until(lambda: len(refusals(daemon)) >= began + 10)

    with watched(daemon):
        attack()
    assert not marker.exists()
    assert str(marker) not in daemon.log()


@as_root
def test_roles_let_one_user_look_and_another_not_at_all(start_daemon: Callable[..., Any], marker: Path) -> None:
    daemon = start_daemon(f'BACKDOOR["roles"] = {{"uid:{STRANGER}": "observe"}}\n' + TCP)
    os.chmod(daemon.path, 0o666)
    said: dict[str, str] = {}

    def attack() -> None:
        said["text"] = stranger(daemon, f":ps\n{touching(marker)}\nquit\n")
        said["rpc"] = stranger(daemon, evaluating(touching(marker)).decode())
        said["another"] = stranger(daemon, ":ps\n", uid=ANOTHER)
        stranger(daemon, touching(marker) + "\n", tcp=True, count=20, waits=False)

    siege(daemon, attack)
    assert "worker-0" in said["text"]
    assert "needs the role eval" in said["rpc"]
    assert "worker-0" not in said["another"]
    assert not marker.exists()


# -- who does not read


@pytest.mark.parametrize("kind", ["text", "rpc"])
def test_client_that_reads_nothing_is_dropped_and_its_line_ends(
    start_daemon: Callable[..., Any], kind: str
) -> None:
    daemon = start_daemon(limits(progress=0.5) + CALM)
    code = "while True: print('x' * 1000)"
    line = f"{code}\n\n".encode()
    if kind == "rpc":
        line = evaluating(code)
    seen: list[int] = []

    def attack() -> None:
        with daemon.connect() as sock:
            sock.sendall(line)
            # Until the daemon ends it: what was sent stays to be read.
            until(lambda: "read nothing for 0.5 s" in daemon.log().partition(f"mark {len(seen)}")[2])
            seen.append(len(read_to_end(sock)))
            daemon.eval(f"__import__('logging').warning('mark {len(seen)}')")

    daemon.eval("__import__('logging').warning('mark 0')")
    siege(daemon, attack, peak_mib=4)
    assert 1000 < seen[0] < 4 << 20
    assert "Traceback" not in daemon.log()


@pytest.mark.slow
def test_giant_ps_for_a_client_that_reads_nothing(start_daemon: Callable[..., Any]) -> None:
    many = """
def idler():
    coro.sleep_relative(1e6)
for number in range(5000):
    coro.spawn(idler, thread_name="idler " + "i" * 100)
"""
    daemon = start_daemon(limits(progress=0.5) + CALM + many)

    def attack() -> None:
        with daemon.connect() as text, daemon.connect() as rpc:
            text.sendall(b":ps\n:where all\n")
            rpc.sendall(b'{"jsonrpc":"2.0","id":1,"method":"ps"}\n')
            until(lambda: len(daemon_sessions(daemon)) <= 2, 30)

    # The records of one ps, and what waits for the peer.
    siege(daemon, attack, peak_mib=24, growth_mib=10)


def daemon_sessions(daemon: Any) -> list[dict[str, Any]]:
    with daemon.rpc() as rpc:
        value: list[dict[str, Any]] = rpc.call("sessions")
        return value


# -- who goes in the middle


@pytest.mark.parametrize("kind", ["text", "rpc", "http"])
@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_reset_in_the_middle_of_a_reply(start_daemon: Callable[..., Any], kind: str, tcp: bool) -> None:
    if tcp and kind == "http":
        pytest.skip("HTTP is not spoken on TCP")
    daemon = start_daemon(TCP)
    code = "for number in range(10**6): print('x' * 1000)"
    line = {
        "text": f"{code}\n\n".encode(),
        "rpc": evaluating(code),
        "http": b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 50,
    }[kind]

    def attack() -> None:
        for _ in range(5):
            sock = daemon.connect_tcp() if tcp else daemon.connect()
            sock.sendall(line)
            assert sock.recv(2000)
            if tcp:
                reset(sock)
            else:
                # With unread data this is a reset.
                sock.close()
            # Its line has ended, not only its connection.
            until(lambda: len(daemon_sessions(daemon)) <= 2)

    siege(daemon, attack)
    assert "Traceback" not in daemon.log()


def test_reset_interrupts_a_line_that_says_nothing(start_daemon: Callable[..., Any]) -> None:
    daemon = start_daemon(TCP)

    def attack() -> None:
        with contextlib.closing(daemon.connect_tcp()) as sock:
            prompted(sock)
            sock.sendall(b"print('begun'); coro.sleep_relative(3600)\n")
            read_until(sock, b"begun\n")
            reset(sock)
        until(lambda: len(daemon_sessions(daemon)) <= 2)

    siege(daemon, attack)


@pytest.mark.parametrize("kind", ["text", "rpc"])
def test_what_was_typed_runs_to_its_end_after_half_close(daemon: Any, kind: str) -> None:
    code = "coro.sleep_relative(0.3); print(6 * 7)"
    data = f"{code}\nprint('last')".encode()
    if kind == "rpc":
        data = evaluating(code, "print('last')").rstrip()
    said: list[bytes] = []

    def attack() -> None:
        with daemon.connect() as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            said.append(read_to_end(sock))

    siege(daemon, attack)
    assert b"42" in said[0]
    assert b"last" in said[0]


@pytest.mark.parametrize("kind", ["text", "rpc"])
def test_half_close_gives_a_line_so_long_and_no_longer(start_daemon: Callable[..., Any], kind: str) -> None:
    daemon = start_daemon(limits(end_of_input=0.3) + CALM)
    line = b"coro.sleep_relative(3600)\n"
    if kind == "rpc":
        line = evaluating("coro.sleep_relative(3600)")
    took: list[float] = []

    def attack() -> None:
        with daemon.connect() as sock:
            sock.sendall(line)
            sock.shutdown(socket.SHUT_WR)
            began = time.monotonic()
            read_to_end(sock)
            took.append(time.monotonic() - began)

    siege(daemon, attack)
    assert 0.25 < took[0] < 3


@pytest.mark.parametrize("how", ["half-close", "close"])
def test_end_of_input_is_seen_behind_more_than_may_wait(start_daemon: Callable[..., Any], how: str) -> None:
    daemon = start_daemon(limits(end_of_input=0.3, waiting_lines=10) + CALM)

    def attack() -> None:
        with daemon.connect() as sock:
            sock.sendall(b"coro.sleep_relative(3600)\n" + b"1\n" * 1000)
            if how == "half-close":
                sock.shutdown(socket.SHUT_WR)
                read_to_end(sock)
        until(lambda: len(daemon_sessions(daemon)) <= 2)

    siege(daemon, attack)


@pytest.mark.parametrize("lines", [1000, 20_000], ids=["little", "much"])
def test_interrupt_is_seen_behind_more_than_may_wait(
    start_daemon: Callable[..., Any], marker: Path, lines: int
) -> None:
    daemon = start_daemon(limits(waiting_lines=10) + CALM)

    def attack() -> None:
        with daemon.connect() as sock:
            typed = touching(marker).encode() + b"\n" * lines
            sock.sendall(b"coro.sleep_relative(3600)\n" + typed + b"\x03")
            # What was typed before it is dropped, as at a terminal.
            said = b""
            while b"interrupted by Ctrl-C" not in said:
                said += sock.recv(4096)
            sock.sendall(b"6 * 7\n")
            read_until(sock, b"42\n>>> ")

    siege(daemon, attack)
    assert not marker.exists()


def test_client_that_types_ahead_and_reads_nothing_leaves_no_thread(start_daemon: Callable[..., Any]) -> None:
    """The reader waits for room among the lines, and the evaluator, who makes it, ends first."""
    daemon = start_daemon(limits(progress=0.3, waiting_lines=10) + CALM)

    def attack() -> None:
        with daemon.connect() as sock:
            send_all(sock, b"print('x' * 50_000)\n" * 1000)
            until(lambda: len(daemon_sessions(daemon)) <= 2)
        with daemon.rpc() as rpc:
            names = [thread["name"] for thread in rpc.call("ps")]
        assert sum(name.endswith("evaluator") for name in names) <= 2, names

    siege(daemon, attack)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["text", "rpc"])
def test_disconnecting_during_ps_of_20000_threads(start_daemon: Callable[..., Any], kind: str) -> None:
    many = """
def idler():
    coro.sleep_relative(1e6)
def many():
    for number in range(20000):
        coro.spawn(idler)
        if number % 50 == 0:
            coro.sleep_relative(0)
coro.spawn(many)
"""
    daemon = start_daemon(limits(end_of_input=0.5) + CALM + many)
    until(lambda: int(daemon.eval("len(coro.all_threads)")) > 20_000, 30)
    line = b":ps\n" if kind == "text" else b'{"jsonrpc":"2.0","id":1,"method":"ps"}\n'

    def attack() -> None:
        for received in (0, 1):
            with daemon.connect(30) as sock:
                sock.sendall(line)
                until(lambda: any(session["running"] for session in daemon_sessions(daemon)[1:-1]))
                if received:
                    sock.recv(1000)
            # Not when the command is at its end, but when it may not run on.
            until(lambda: len(daemon_sessions(daemon)) <= 2, 2)

    siege(daemon, attack, growth_mib=10)


# -- many


def held(daemon: Any, count: int, said: bytes = b"") -> Iterator[socket.socket]:
    """Connections that are opened, if the backlog lets them, and say this and no more."""
    for _ in range(count):
        sock = socket.socket(socket.AF_UNIX)
        sock.setblocking(False)
        try:
            sock.connect(daemon.path)
            if said:
                sock.send(said)
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            # The backlog is full: this one is not even refused.
            sock.close()
            time.sleep(0.001)
            continue
        sock.settimeout(10)
        yield sock


def checks_ok(daemon: Any) -> float:
    """A check works; how long it takes, in seconds.  It waits for its place in the backlog."""
    began = time.monotonic()
    with patient(daemon) as sock:
        sock.sendall(b'{"jsonrpc":"2.0","id":1,"method":"check"}\n')
        health = json.loads(read_until(sock, b"\n"))["result"]["value"]
    assert health["status"] in ("ok", "warning"), health
    return time.monotonic() - began


def patient(daemon: Any) -> socket.socket:
    """A connection, which waits as long as the backlog is full."""
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(daemon.path)
    sock.settimeout(10)
    return sock


def healthz(daemon: Any) -> bytes:
    with daemon.connect() as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return read_to_end(sock)


@pytest.mark.slow
def test_10000_connects_opened_and_closed(daemon: Any) -> None:
    took: list[float] = []

    def attack() -> None:
        count = 0
        while count < 10_000:
            patient(daemon).close()
            count += 1
            if count % 1000 == 0:
                took.append(checks_ok(daemon))

    siege(daemon, attack)
    print(f"checks took {max(took):.2f} s at most, {len(took)} of them")
    assert max(took) < 3
    lines = daemon.log().splitlines()
    assert len([line for line in lines if line.startswith("coro.audit") and " DEBUG " not in line
                and "session=1 " not in line]) < 2000  # fmt: skip


@pytest.mark.slow
def test_10000_tries_to_hold_a_connection_open(daemon: Any) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 11_000:
        pytest.skip(f"{hard} descriptors are too few to hold 10 000 connections")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 11_000), hard))
    took: list[float] = []
    said: list[bytes] = []

    def attack() -> None:
        with contextlib.ExitStack() as stack:
            opened = []
            for sock in held(daemon, 10_000):
                opened.append(stack.enter_context(sock))
                if len(opened) % 500 == 0:
                    took.append(checks_ok(daemon))
            took.append(checks_ok(daemon))
            # All but the sessions that there may be are sent away, and told why.
            for sock in opened[10:200]:
                said.append(read_to_end(sock))

    try:
        siege(daemon, attack)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    print(f"checks took {max(took):.2f} s at most, {len(took)} of them")
    assert max(took) < 3
    assert all(b"sessions are connected already, the most allowed" in text
               or b"connections are new already, the most allowed" in text for text in said)  # fmt: skip
    # Ten a second are told, and the number of the others.
    lines = refusals(daemon)
    assert 1 <= len(lines) < 2000


@pytest.mark.parametrize(
    "said", [b"", b"{", b"G", b"GET /healthz HT", b"\xff\xfb", b"\x16"],
    ids=["nothing", "a brace", "a letter", "half a request", "half a command", "half of TLS"],
)  # fmt: skip
def test_idle_connections_keep_no_check_waiting(start_daemon: Callable[..., Any], said: bytes) -> None:
    """As many as may be new, and as many as may probe."""
    daemon = start_daemon(CALM)
    took: list[float] = []

    def attack() -> None:
        with contextlib.ExitStack() as stack:
            for sock in held(daemon, 60, said):
                stack.enter_context(sock)
            took.append(checks_ok(daemon))
            assert b"200 OK" in healthz(daemon)

    siege(daemon, attack)
    print(f"a check took {took[-1]:.2f} s")
    assert min(took) < 2


def test_dribbling_connections_keep_no_check_waiting(start_daemon: Callable[..., Any]) -> None:
    """A byte now and then, sooner than silence would be noticed, and never a line."""
    daemon = start_daemon(CALM)
    took: list[float] = []

    def attack() -> None:
        with contextlib.ExitStack() as stack:
            socks = [stack.enter_context(sock) for sock in held(daemon, 60)]
            end = time.monotonic() + 1
            while time.monotonic() < end:
                for sock in socks:
                    send_all(sock, b"x")
                time.sleep(0.05)
                took.append(checks_ok(daemon))

    siege(daemon, attack)
    assert max(took) < 2


def test_ninth_session_is_told_and_checks_still_work(start_daemon: Callable[..., Any]) -> None:
    daemon = start_daemon(CALM)

    def attack() -> None:
        with contextlib.ExitStack() as stack:
            for _ in range(7):
                prompted(stack.enter_context(daemon.connect()))
            # With the witness they are eight.
            ninth = stack.enter_context(daemon.connect())
            assert read_to_end(ninth) == b"refused: 8 sessions are connected already, the most allowed\n"
            with daemon.rpc() as rpc:
                error = rpc.error("ps")
                assert (error["code"], error["message"]) == (
                    -32002, "8 sessions are connected already, the most allowed",
                )  # fmt: skip
                assert rpc.call("hello")["pid"] == daemon.pid
            for _ in range(20):
                checks_ok(daemon)
                assert b"200 OK" in healthz(daemon)

    siege(daemon, attack)
    assert any("8 sessions are connected already" in line for line in refusals(daemon))


# -- names that are no names

NAMES = [
    "\x1b[2J\x1b]0;owned\x07",
    "two\nlines\r\x08\x08",
    "bidi\u202eevil\u2066",
    "\x9b31mC1",
    "nul\0tab\t",
    "line\u2028separator",
    "\ud800surrogate",
    "\U000e0041tag",
    "x" * 10_000,
]


def test_control_sequences_in_names_reach_no_terminal(start_daemon: Callable[..., Any]) -> None:
    spawns = "".join(f"coro.spawn(worker, 1e6, thread_name={name!r})\n" for name in NAMES)
    ended = f"coro.spawn(int, thread_name={NAMES[0]!r})\n"
    daemon = start_daemon(CALM + spawns + ended)
    with daemon.rpc() as rpc:
        ids = [thread["id"] for thread in rpc.call("ps")]
    commands = [f":{name}" for name in ("ps", "tree", "where all", "where all --group", "locks", "timers", "fds")]
    commands += [
        ":dead",
        ":sessions",
        *(f":{name} {number}" for name in ("info", "where", "why") for number in ids),
    ]
    said: list[str] = []

    def attack() -> None:
        with prompted(daemon.connect()) as sock:
            for command in commands:
                sock.sendall(command.encode() + b"\n")
                said.append(read_until(sock, b">>> ").decode())

    siege(daemon, attack)
    for command, text in zip(commands, said, strict=False):
        assert all(char.isprintable() or char == "\n" for char in text), (command, text)
    assert r"\x1b[2J" in said[0]
    assert r"two\nlines" in said[0]
    assert r"bidi\u202eevil" in said[0]


def test_control_sequences_in_what_is_typed_come_back_escaped(daemon: Any) -> None:
    words = "\x1b[2J\u202e\x9b\x07"
    lines = [f":{words}", f":info {words}", f":where {words}", f":interrupt 1 {words}", f":ps -n {words}",
             f":name 4 {words}", f":ps -f {words}", f":help {words}", f":set {words} 1", ":history"]  # fmt: skip
    said: list[str] = []

    def attack() -> None:
        with prompted(daemon.connect()) as sock:
            for line in lines:
                sock.sendall(line.encode() + b"\n")
                said.append(read_until(sock, b">>> ").decode())

    siege(daemon, attack)
    for line, text in zip(lines, said, strict=False):
        assert all(char.isprintable() or char == "\n" for char in text), (line, text)
    assert all(char.isprintable() or char == "\n" for char in daemon.log())


# -- two at once


def test_two_sessions_interrupting_the_same_thread(start_daemon: Callable[..., Any]) -> None:
    victim = """
caught = 0
def victim():
    global caught
    while True:
        try:
            coro.sleep_relative(1e6)
        except ValueError:
            caught += 1
coro.spawn(victim, thread_name="victim")
"""
    daemon = start_daemon(CALM + victim)
    with daemon.rpc() as rpc:
        (number,) = [thread["id"] for thread in rpc.call("ps") if thread["name"] == "victim"]
    done: list[int] = []

    def interrupt() -> None:
        with daemon.rpc() as rpc:
            for _ in range(100):
                answer = rpc.wait(rpc.send("interrupt", id=number, exception="ValueError"))
                if "result" in answer:
                    done.append(1)
                else:
                    assert answer["error"]["code"] == -32000, answer

    def attack() -> None:
        threads = [threading.Thread(target=interrupt) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    siege(daemon, attack)
    # Each that was said to be done was done.
    until(lambda: int(daemon.eval("__import__('__main__').caught")) == len(done))
    assert len(done) >= 100
    with daemon.rpc() as rpc:
        assert [thread["state"] for thread in rpc.call("ps") if thread["id"] == number] == ["waiting"]


def test_two_sessions_interrupting_and_shutting_down_the_same_thread(start_daemon: Callable[..., Any]) -> None:
    daemon = start_daemon(CALM + 'coro.spawn(worker, 1e6, thread_name="victim")\n')
    with daemon.rpc() as one, daemon.rpc() as two:
        (number,) = [thread["id"] for thread in one.call("ps") if thread["name"] == "victim"]
        # Both are sent before either is answered.
        asked = one.send("interrupt", id=number), two.send("shutdown", ids=[number])
        answers = [one.wait(asked[0]), two.wait(asked[1])]
        assert any("result" in answer for answer in answers)
        assert all("result" in answer or answer["error"]["code"] == -32000 for answer in answers)
        until(lambda: "victim" not in [thread["name"] for thread in one.call("ps")])
