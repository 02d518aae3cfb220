"""The console with the clients that people have: telnet, also in tmux, nc, socat and curl."""

import contextlib
import json
import os
import re
import selectors
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

Tool = Callable[[str], str]

PROMPT = ">>> "
TIMEOUT_S = 10.0
# The sentinel notices after the stall threshold of 0.25 s; the rest is the clients' and the machine's.
SPIN_LIMIT_S = 0.25 + 0.15
INTERRUPTED = r"coro\.LineInterrupted: interrupted by Ctrl-C\r\n>>> "
DAEMON = """
BACKDOOR["port"] = 0
def worker(seconds):
    while True:
        coro.sleep_relative(seconds)
for number in range(3):
    coro.spawn(worker, 0.1 + number, thread_name=f"worker-{number}")
coro.spawn(ticker, thread_name="ticker")
"""


@pytest.fixture
def telnet_daemon(start_daemon: Any) -> Any:
    """A daemon with a TCP port, workers, and a ticker that measures lag in `worst_lag`."""
    return start_daemon(DAEMON)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Any]]:
    """Give a function that starts a client on a terminal of its own; they are ended after the test."""
    children = []

    def start(program: str, *args: str, columns: int = 100) -> Any:
        child = pexpect.spawn(
            program,
            list(args),
            timeout=TIMEOUT_S,
            dimensions=(40, columns),
            encoding="utf-8",
            codec_errors="replace",
        )
        child.delaybeforesend = None
        children.append(child)
        return child

    yield start
    for child in children:
        child.close(force=True)


@pytest.fixture
def telnet(telnet_daemon: Any, terminal: Callable[..., Any], require_tool: Tool) -> Callable[..., Any]:
    """Give a function that attaches telnet and waits for the prompt."""

    def attach(columns: int = 100) -> Any:
        child = terminal(require_tool("telnet"), "127.0.0.1", str(telnet_daemon.port), columns=columns)
        child.expect_exact(PROMPT)
        return child

    return attach


class Piped:
    """A client whose input and output are pipes."""

    def __init__(self, *command: str) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)

    def send(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def close_input(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def read_until(self, end: bytes) -> bytes:
        """What comes up to the first time that `end` stands last."""
        stdout = self.process.stdout
        assert stdout is not None
        data = b""
        deadline = time.monotonic() + TIMEOUT_S
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while not data.endswith(end):
                assert selector.select(max(0.0, deadline - time.monotonic())), data
                piece = os.read(stdout.fileno(), 65_536)
                assert piece, data
                data += piece
        return data

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()


@pytest.fixture
def piped() -> Iterator[Callable[..., Piped]]:
    """Give a function that starts a client with pipes; they are ended after the test."""
    clients = []

    def start(*command: str) -> Piped:
        clients.append(Piped(*command))
        return clients[-1]

    yield start
    for client in clients:
        client.end()


def finished(*command: str, typed: bytes = b"") -> tuple[int, bytes]:
    """Exit status and output of a client that is given all its input at once."""
    done = subprocess.run(
        command, input=typed, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20, check=False
    )
    return done.returncode, done.stdout


def soon(condition: Callable[[], object]) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, "this did not come true in time"
        time.sleep(0.01)


def wait_for_line(daemon: Any, text: str) -> None:
    """Wait until a session runs a line that contains `text`."""
    with daemon.rpc() as rpc:
        soon(lambda: any(text in (session["running"] or "") for session in rpc.call("sessions")))


def wait_for_width(daemon: Any, columns: int) -> None:
    """Wait until a client has told that its window has so many columns."""
    sessions = "__import__('__main__').backdoor.host.sessions.values()"
    sizes = f"[session.connection.inbound.telnet.window_size for session in {sessions}]"
    with daemon.rpc() as rpc:
        soon(lambda: f"({columns}, " in rpc.eval(sizes))


def ran(daemon: Any, text: str, outcome: str) -> bool:
    """Whether the audit has an entry of a session's line."""
    return re.search(rf"command={text} outcome={outcome}", daemon.log()) is not None


# -- telnet


def test_telnet_attaches_evaluates_and_leaves(telnet: Any, telnet_daemon: Any) -> None:
    child = telnet()
    assert f"(pid {telnet_daemon.pid})" in child.before
    child.sendline("6 * 7")
    child.expect_exact(f"\r\n42\r\n{PROMPT}")
    child.sendline("_ + 1")
    child.expect_exact(f"\r\n43\r\n{PROMPT}")
    child.sendline("1 / 0")
    child.expect_exact("ZeroDivisionError: division by zero\r\n" + PROMPT)
    assert "coro/backdoor" not in child.before
    child.sendline("quit")
    child.expect_exact("bye\r\n")
    child.expect(pexpect.EOF)
    assert telnet_daemon.eval("'still here'") == "'still here'"


def test_telnet_takes_a_block_of_several_lines(telnet: Any) -> None:
    child = telnet()
    child.sendline("for number in range(3):")
    child.expect_exact("... ")
    child.sendline("    print('line', number)")
    child.expect_exact("... ")
    child.sendline("")
    child.expect_exact(f"line 0\r\nline 1\r\nline 2\r\n{PROMPT}")


def test_telnet_shows_threads_stacks_and_why_they_wait(telnet: Any, telnet_daemon: Any) -> None:
    worker = telnet_daemon.eval("next(t.id for t in coro.all_threads.values() if t.name == 'worker-2')")
    child = telnet()
    child.sendline(":ps")
    child.expect(r"id +name +state.*\r\n.*worker-0 +waiting +sleep")
    child.expect_exact(PROMPT)
    child.sendline(f":where {worker}")
    child.expect_exact(f'{worker} "worker-2"\r\n')
    child.expect(r"daemon\.py:\d+ worker\r\n +coro\.sleep_relative\(seconds\)\r\n")
    child.expect_exact(PROMPT)
    child.sendline(f":why {worker}")
    child.expect(rf'{worker} "worker-2" has waited [^\r]* for: sleep')
    child.expect_exact(PROMPT)


def test_telnet_interrupts_a_line_that_sleeps_and_goes_on(telnet: Any) -> None:
    child = telnet()
    child.sendline("print('begun'); coro.sleep_relative(30)")
    child.expect_exact("\r\nbegun\r\n")
    before = time.monotonic()
    child.sendintr()
    child.expect(INTERRUPTED)
    assert time.monotonic() - before < 1.0
    child.sendline("'output is back'")
    child.expect_exact("\r\n'output is back'\r\n" + PROMPT)


def test_telnet_interrupts_a_line_that_spins_and_goes_on(telnet: Any, telnet_daemon: Any) -> None:
    child = telnet()
    # The telnet client discards everything until its timing mark is answered: what the line itself still
    # prints, its traceback, and the next prompt must come after that.
    lines = ("try:", "    print('begun')", "    while True: pass", "finally: print('cleaned', 'up')")
    for line in lines:
        child.sendline(line)
        child.expect_exact("... ")
    child.sendline("")
    child.expect_exact("\r\nbegun\r\n")
    child.sendintr()
    child.expect_exact("cleaned up\r\n")
    child.expect(INTERRUPTED)
    child.sendline("'output is back'")
    child.expect_exact("\r\n'output is back'\r\n" + PROMPT)
    duration = re.findall(r"outcome=interrupted duration_s=([0-9.]+)", telnet_daemon.log())
    assert len(duration) == 1
    assert float(duration[0]) < SPIN_LIMIT_S
    child.sendline("__import__('__main__').worst_lag < 0.4")
    child.expect_exact("\r\nTrue\r\n" + PROMPT)


def test_telnet_interrupt_drops_what_was_typed_ahead(telnet: Any, telnet_daemon: Any) -> None:
    child = telnet()
    for spin in ("while True: pass", "coro.sleep_relative(30)"):
        child.sendline(f"print('be' 'gun')\r{spin}\r")
        child.expect_exact("begun\r\n")
        soon(lambda spin=spin: re.search(re.escape(spin) + r"[^ ]* outcome=started", telnet_daemon.log()))
        child.sendline("print('ah' 'ead')")
        child.sendintr()
        child.expect(INTERRUPTED)
        child.sendline("print('after' 'wards')")
        child.expect_exact("afterwards\r\n" + PROMPT)
        assert "\nahead" not in child.before
    assert not ran(telnet_daemon, ".*ead.*", "started")


def test_telnet_interrupt_at_the_prompt_gives_a_new_prompt(telnet: Any) -> None:
    child = telnet()
    child.sendintr()
    child.expect_exact("\r\nKeyboardInterrupt\r\n" + PROMPT)
    child.sendline("if True:")
    child.expect_exact("... ")
    child.sendintr()
    child.expect_exact("\r\nKeyboardInterrupt\r\n" + PROMPT)
    child.sendline("'no block is open'")
    child.expect_exact("\r\n'no block is open'\r\n" + PROMPT)


def send_telnet_command(child: Any, command: str) -> None:
    child.sendcontrol("]")
    child.expect_exact("telnet> ")
    child.sendline(command)


def test_telnet_asks_are_you_there_and_is_told_also_while_a_line_runs(telnet: Any) -> None:
    child = telnet()
    send_telnet_command(child, "send ayt")
    child.expect_exact("[yes]")
    child.sendline("coro.sleep_relative(30)")
    send_telnet_command(child, "send ayt")
    child.expect_exact("[yes]")
    child.sendintr()
    child.expect(INTERRUPTED)


@pytest.mark.parametrize("command", ["send brk", "send ip", "send abort"])
def test_telnet_break_interrupts_as_ctrl_c_does(telnet: Any, telnet_daemon: Any, command: str) -> None:
    child = telnet()
    child.sendline("coro.sleep_relative(30)")
    wait_for_line(telnet_daemon, "sleep_relative(30)")
    send_telnet_command(child, command)
    child.expect(INTERRUPTED)


def test_telnet_ctrl_d_leaves_the_session_and_not_the_daemon(telnet: Any, telnet_daemon: Any) -> None:
    child = telnet()
    child.sendcontrol("d")
    child.expect(pexpect.EOF)
    soon(lambda: "outcome=closed" in telnet_daemon.log())
    assert telnet_daemon.process.poll() is None
    assert telnet_daemon.eval("1 + 1") == "2"


def test_telnet_table_follows_the_size_of_the_window(telnet: Any, telnet_daemon: Any) -> None:
    child = telnet(columns=100)
    # The first command of telnet's own tells the daemon to ask for the window's size.
    send_telnet_command(child, "send ayt")
    child.expect_exact("[yes]")
    for columns in (70, 180):
        child.setwinsize(40, columns)
        wait_for_width(telnet_daemon, columns)
        child.sendline(":ps")
        child.expect(r"\r\n(id  name [^\r]*)\r\n")
        header = child.match[1]
        child.expect_exact(PROMPT)
        rows = [row for row in child.before.split("\r\n") if row]
        assert len(rows) >= 6
        assert max(map(len, [header, *rows])) <= columns
        assert ("longest" in header) == (columns == 180)


def test_telnet_that_negotiates_first_is_served_as_well(
    telnet_daemon: Any, terminal: Callable[..., Any], require_tool: Tool
) -> None:
    # A minus before the port: telnet sends all its options at once, as to port 23.
    child = terminal(require_tool("telnet"), "--", "127.0.0.1", f"-{telnet_daemon.port}")
    child.expect_exact(PROMPT)
    child.sendline("6 * 7")
    child.expect_exact(f"\r\n42\r\n{PROMPT}")
    child.sendline("coro.sleep_relative(30)")
    wait_for_line(telnet_daemon, "sleep_relative(30)")
    child.sendintr()
    child.expect(INTERRUPTED)
    child.sendline("print('\\xff \\u20ac')")
    child.expect_exact("\r\nÿ €\r\n" + PROMPT)


def test_input_in_a_line_asks_the_client(telnet: Any) -> None:
    child = telnet()
    child.sendline("name = input('your name? ')")
    child.expect_exact("your name? ")
    child.sendline("worm")
    child.expect_exact(PROMPT)
    child.sendline("name")
    child.expect_exact("\r\n'worm'\r\n" + PROMPT)


# -- tmux


class Tmux:
    """A tmux server of its own with one window."""

    def __init__(self, program: str, folder: Path, command: str) -> None:
        self._base = [program, "-S", str(folder / "t"), "-f", "/dev/null"]
        self.run("new-session", "-d", "-x", "120", "-y", "40", command)

    def run(self, *args: str) -> str:
        done = subprocess.run([*self._base, *args], capture_output=True, text=True, timeout=10, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def screen(self) -> str:
        return self.run("capture-pane", "-p")

    def type(self, *keys: str) -> None:
        self.run("send-keys", *keys)

    def expect(self, pattern: str) -> str:
        """Wait until the screen matches; returns it."""
        deadline = time.monotonic() + TIMEOUT_S
        while not re.search(pattern, screen := self.screen(), re.MULTILINE):
            assert time.monotonic() < deadline, screen
            time.sleep(0.02)
        return screen

    def header(self) -> str:
        """The header of the table that stands above the prompt."""
        header = re.compile(r"^>>> :ps -n 1\n(id  name .*)\n.*\n>>>\s*\Z", re.MULTILINE)
        deadline = time.monotonic() + TIMEOUT_S
        while not (found := header.search(self.screen())):
            assert time.monotonic() < deadline, self.screen()
            time.sleep(0.02)
        return found[1].rstrip()


@pytest.fixture
def tmux(telnet_daemon: Any, require_tool: Tool) -> Iterator[Tmux]:
    """A tmux whose window shows telnet, attached to the daemon."""
    program = require_tool("tmux")
    telnet = require_tool("telnet")
    # Short, since a socket's path may have 107 bytes.
    with tempfile.TemporaryDirectory() as folder:
        window = Tmux(program, Path(folder), f"env TERM=xterm {telnet} 127.0.0.1 {telnet_daemon.port}; sleep 60")
        try:
            yield window
        finally:
            window.run("kill-server")


def test_telnet_in_tmux_interrupts_and_follows_the_window(tmux: Tmux, telnet_daemon: Any) -> None:
    tmux.expect(r"^>>> *$")
    tmux.type("while True: pass", "Enter", "Enter")
    soon(lambda: ran(telnet_daemon, ".*while True.*", "started"))
    tmux.type("C-c")
    tmux.expect(r"^coro\.LineInterrupted: interrupted by (Ctrl-C|the eval limit).*\n(.*\n)*>>> *$")
    tmux.type("6 * 7", "Enter")
    tmux.expect(r"^42\n>>> *$")
    for columns in ("180", "60"):
        tmux.run("resize-window", "-x", columns, "-y", "30")
        wait_for_width(telnet_daemon, int(columns))
        tmux.type("clear", "Enter")
        tmux.expect(r"^NameError: name 'clear' .*\n>>> *$")
        tmux.type(":ps -n 1", "Enter")
        header = tmux.header()
        assert len(header) <= int(columns)
        assert ("longest" in header) == (columns == "180")


# -- nc


def test_nc_gets_a_prompt_and_an_answer(daemon: Any, piped: Callable[..., Piped], require_tool: Tool) -> None:
    client = piped(require_tool("nc"), "-U", daemon.path)
    assert client.read_until(b">>> ").startswith(b"coro backdoor of ")
    client.send(b"6 * 7\n")
    assert client.read_until(b">>> ") == b"42\n>>> "
    client.send(b"print('caf\xc3\xa9')\n")
    assert client.read_until(b">>> ") == b"caf\xc3\xa9\n>>> "
    client.send(b"quit\n")
    assert client.read_until(b"bye\n") == b"bye\n"
    assert client.process.wait(5) == 0


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r\0"], ids=["lf", "crlf", "crnul"])
def test_nc_may_end_lines_in_any_way(
    daemon: Any, piped: Callable[..., Piped], require_tool: Tool, end: bytes
) -> None:
    client = piped(require_tool("nc"), "-U", daemon.path)
    client.read_until(b">>> ")
    client.send(b"6 * 7" + end)
    assert client.read_until(b">>> ") == b"42\n>>> "
    client.send(b"for i in range(2):" + end + b"  print(i)" + end)
    assert client.read_until(b"... ... ") == b"... ... "
    client.send(end)
    assert client.read_until(b">>> ") == b"0\n1\n>>> "


def test_nc_half_line_at_the_end_of_input_still_runs(daemon: Any, require_tool: Tool) -> None:
    status, output = finished(require_tool("nc"), "-N", "-U", daemon.path, typed=b"x = 20\nx + 1\nx + 22")
    assert status == 0
    assert output.endswith(b">>> >>> 21\n>>> 42\n>>> ")


def test_nc_input_typed_ahead_of_a_line_that_waits_runs_afterwards(daemon: Any, require_tool: Tool) -> None:
    typed = b"print('one'); coro.sleep_relative(0.1)\n'two'\n:quit\n'never'\n"
    status, output = finished(require_tool("nc"), "-N", "-U", daemon.path, typed=typed)
    assert status == 0
    assert output.endswith(b">>> one\n>>> 'two'\n>>> bye\n")


def test_nc_question_at_the_end_of_input_is_answered_no(daemon: Any, require_tool: Tool) -> None:
    before = time.monotonic()
    status, output = finished(require_tool("nc"), "-N", "-U", daemon.path, typed=b":exit-daemon\n")
    assert time.monotonic() - before < 3.0
    assert status == 0
    assert b"really end the daemon? (yes/no) " in output
    assert daemon.eval("1") == "1"
    status, output = finished(require_tool("nc"), "-N", "-U", daemon.path, typed=b"input('name? ')\n")
    assert b"name? " in output
    assert b"EOFError" in output


def test_nc_that_hangs_up_during_a_long_line_leaves_nothing(
    daemon: Any, piped: Callable[..., Piped], require_tool: Tool
) -> None:
    client = piped(require_tool("nc"), "-U", daemon.path)
    client.read_until(b">>> ")
    client.send(b"while True: print('x' * 1000); coro.sleep_relative(0.001)\n\n")
    client.read_until(b"x\n")
    client.process.kill()
    with daemon.rpc() as rpc:
        soon(lambda: [session["kind"] for session in rpc.call("sessions")] == ["rpc"])
        soon(lambda: not any(thread["name"].startswith("session 1") for thread in rpc.call("ps")))


# -- socat


def test_socat_sends_cr_lf(daemon: Any, piped: Callable[..., Piped], require_tool: Tool) -> None:
    client = piped(require_tool("socat"), "-", f"UNIX-CONNECT:{daemon.path},crnl")
    client.read_until(b">>> ")
    client.send(b"6 * 7\n")
    assert client.read_until(b">>> ") == b"42\n>>> "


def test_socat_on_a_raw_terminal_interrupts_edits_and_leaves_by_keys(
    daemon: Any, terminal: Callable[..., Any], require_tool: Tool
) -> None:
    child = terminal(require_tool("socat"), "-,rawer", f"UNIX-CONNECT:{daemon.path}")
    child.expect_exact(PROMPT)
    # Enter sends CR alone, Ctrl-C and backspace themselves.
    child.send("6 * 78\x7f\r")
    child.expect_exact(f"42\n{PROMPT}")
    child.send("coro.sleep_relative(30)\r")
    wait_for_line(daemon, "sleep_relative(30)")
    child.send("\x03")
    child.expect_exact(f"coro.LineInterrupted: interrupted by Ctrl-C\n{PROMPT}")
    child.send("while True: pass\r\r")
    soon(lambda: ran(daemon, ".*while True.*", "started"))
    child.send("\x03")
    child.expect_exact(f"coro.LineInterrupted: interrupted by Ctrl-C\n{PROMPT}")
    child.send("typed and thought better of\x15'kept'\r")
    child.expect_exact(f"'kept'\n{PROMPT}")
    child.send("\x04")
    child.expect(pexpect.EOF)
    assert daemon.eval("1 + 1") == "2"


def test_socat_that_closes_its_input_reads_the_rest(daemon: Any, require_tool: Tool) -> None:
    typed = b"for i in range(3): print(i); coro.sleep_relative(0.05)\n\n"
    status, output = finished(require_tool("socat"), "-t5", "-", f"UNIX-CONNECT:{daemon.path}", typed=typed)
    assert status == 0
    assert output.endswith(b">>> ... 0\n1\n2\n>>> ")


# -- several at once


def test_two_clients_at_once_do_not_disturb_each_other(
    telnet: Any, telnet_daemon: Any, piped: Callable[..., Piped], require_tool: Tool
) -> None:
    child = telnet()
    client = piped(require_tool("nc"), "-U", telnet_daemon.path)
    client.read_until(b">>> ")
    child.sendline("for i in range(100): coro.sleep_relative(0.02); print('telnet')")
    child.sendline("")
    child.expect_exact("telnet\r\n")
    client.send(b"'mine'\n")
    assert client.read_until(b">>> ") == b"'mine'\n>>> "
    client.send(b"_\n")
    assert client.read_until(b">>> ") == b"'mine'\n>>> "
    client.send(b":sessions\n")
    listed = client.read_until(b">>> ").decode()
    assert re.search(r"text +127\.0\.0\.1:\d+ uid \d+ +eval ", listed)
    assert re.search(r"text +unix uid \d+ pid \d+ +eval ", listed)
    assert "for i in range(100)" in listed
    child.sendintr()
    child.expect(INTERRUPTED)
    child.sendline("'_' in globals()")
    child.expect_exact("\r\nFalse\r\n" + PROMPT)


# -- curl


def curl(require_tool: Tool, path: str, *args: str) -> tuple[int, str, str]:
    """Status, content type and body of a request to a Unix socket."""
    command = [require_tool("curl"), "-sS", "--max-time", "10", "--unix-socket", path]
    status, output = finished(*command, "-w", "\n%{http_code} %{content_type}", *args)
    assert status == 0, output
    body, _, last = output.decode().rpartition("\n")
    code, _, kind = last.partition(" ")
    return int(code), kind, body


CHECKED_DAEMON = """
sick = False
@coro.backdoor.check
def disk():
    return "the disk is full" if sick else None
coro.spawn(ticker, thread_name='<"strange\\n name">')
"""


def test_curl_gets_200_or_503_from_healthz(start_daemon: Any, require_tool: Tool) -> None:
    daemon = start_daemon(CHECKED_DAEMON)
    code, kind, body = curl(require_tool, daemon.path, "http://localhost/healthz")
    assert (code, kind) == (200, "application/json")
    health = json.loads(body)
    assert (health["schema"], health["status"], health["pid"]) == ("coro.health/1", "ok", daemon.pid)
    with daemon.rpc() as rpc:
        rpc.eval("globals().__setitem__('sick', True)")
        rpc.call("eval", code="import __main__; __main__.sick = True")
    code, kind, body = curl(require_tool, daemon.path, "http://localhost/healthz")
    assert (code, kind) == (503, "application/json")
    health = json.loads(body)
    assert (health["status"], health["code"]) == ("critical", 2)
    assert any("the disk is full" in check["text"] for check in health["checks"])


def test_curl_gets_metrics_that_prometheus_understands(start_daemon: Any, require_tool: Tool) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    daemon = start_daemon(CHECKED_DAEMON)
    code, kind, body = curl(require_tool, daemon.path, "http://localhost/metrics")
    assert code == 200
    assert kind.startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in parser.text_string_to_metric_families(body)}
    states = {sample.labels["state"]: sample.value for sample in families["coro_threads"].samples}
    # The one that answers is running; a ticker whose time has come is runnable.
    assert states["running"] == 1
    assert states["waiting"] + states["runnable"] >= 2
    for name in ("coro_switches", "coro_stalls", "coro_uncaught_exceptions"):
        assert families[name].type == "counter"
    assert families["coro_switches"].samples[0].value > 0
    for name in ("coro_loop_lag_seconds", "coro_slice_seconds", "coro_run_queue_length"):
        assert families[name].samples
        assert families[name].documentation


def test_curl_gets_no_more_than_that(daemon: Any, require_tool: Tool) -> None:
    assert curl(require_tool, daemon.path, "http://localhost/")[0] == 404
    assert curl(require_tool, daemon.path, "--head", "http://localhost/healthz")[0] == 200
    assert curl(require_tool, daemon.path, "--path-as-is", "http://localhost/../healthz")[0] == 404
    post = finished(
        require_tool("curl"), "-sS", "--max-time", "10", "--unix-socket", daemon.path,
        "--data", "x = 'executed'\n", "http://localhost/healthz",
    )  # fmt: skip
    assert b"executed" not in post[1]
    assert daemon.eval("'x' in globals()") == "False"


def test_curl_asks_several_times_over_one_connection(daemon: Any, require_tool: Tool) -> None:
    urls = ["http://localhost/healthz", "http://localhost/metrics", "http://localhost/healthz"]
    status, output = finished(
        require_tool("curl"), "-sSv", "--max-time", "10", "--unix-socket", daemon.path, *urls, "-o", "/dev/null",
        "-o", "/dev/null", "-o", "/dev/null",
    )  # fmt: skip
    assert status == 0
    assert output.count(b"HTTP/1.1 200 OK") == 3
    assert b"Re-using existing connection" in output


def test_curl_on_tcp_is_refused_and_audited(telnet_daemon: Any, require_tool: Tool) -> None:
    url = f"http://127.0.0.1:{telnet_daemon.port}/healthz"
    _, output = finished(require_tool("curl"), "-sS", "--max-time", "10", "--http0.9", url)
    assert b"coro.health" not in output
    post = [require_tool("curl"), "-sS", "--max-time", "10", "--http0.9", "--data-binary", "@-", url]
    _, output = finished(*post, typed=b"import __main__\n__main__.executed = True\n")
    assert b">>>" not in output
    soon(lambda: telnet_daemon.log().count("HTTP is not spoken here") >= 2)
    assert telnet_daemon.eval("'executed' in globals()") == "False"
    assert telnet_daemon.eval("hasattr(__import__('__main__'), 'executed')") == "False"


# -- somebody else


def as_another(require_tool: Tool, how: str, *command: str) -> list[str]:
    """The command line that runs a command under another uid."""
    if os.geteuid() != 0:
        pytest.skip("only root can run a program as somebody else")
    if how == "setpriv":
        return [require_tool("setpriv"), "--reuid=12345", "--regid=12345", "--clear-groups", "--", *command]
    return [require_tool("su"), "-s", "/bin/sh", "daemon", "-c", " ".join(command)]


OTHERS = {"setpriv": 12345, "su": 1}


@pytest.mark.parametrize("how", OTHERS)
def test_another_uid_is_refused_on_tcp_and_audited(telnet_daemon: Any, require_tool: Tool, how: str) -> None:
    nc = require_tool("nc")
    command = as_another(require_tool, how, nc, "-w", "5", "127.0.0.1", str(telnet_daemon.port))
    _, output = finished(*command, typed=b"import __main__; __main__.executed = True\n")
    assert b">>>" not in output
    soon(lambda: re.search(rf"refused .*uid={OTHERS[how]} .*has no role here", telnet_daemon.log()))
    assert telnet_daemon.eval("hasattr(__import__('__main__'), 'executed')") == "False"


@pytest.mark.parametrize("how", OTHERS)
def test_another_uid_is_refused_on_a_unix_socket_and_audited(
    start_daemon: Any, require_tool: Tool, how: str
) -> None:
    nc = require_tool("nc")
    # The path of pytest's own folders is closed to others, and the socket's mode as well: first that is seen to
    # keep others out; then both are opened, as a careless administrator might.
    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o755)
        path = folder / "s.sock"
        daemon = start_daemon(f"BACKDOOR['unix_path'] = {str(path)!r}")
        daemon.path = str(path)
        command = as_another(require_tool, how, nc, "-N", "-U", str(path))
        status, output = finished(*command, typed=b"1\n")
        assert status != 0
        assert b"Permission denied" in output
        path.chmod(0o666)
        _, output = finished(*command, typed=b"import __main__; __main__.executed = True\n")
        assert b">>>" not in output
        soon(lambda: re.search(rf"refused pid=\d+ uid={OTHERS[how]} .*has no role here", daemon.log()))
        # One who sends nothing, and so does not fail at that, is told as well.
        _, output = finished(*as_another(require_tool, how, nc, "-U", str(path)))
        assert f"refused: uid {OTHERS[how]} has no role here".encode() in output
        assert daemon.eval("hasattr(__import__('__main__'), 'executed')") == "False"
        assert daemon.stop() == 0
    finally:
        shutil.rmtree(folder)


def test_another_uid_with_a_role_gets_just_that(
    start_daemon: Any, piped: Callable[..., Piped], require_tool: Tool
) -> None:
    nc = require_tool("nc")
    daemon = start_daemon("BACKDOOR.update(port=0, roles={'uid:12345': 'observe'})")
    client = piped(*as_another(require_tool, "setpriv", nc, "127.0.0.1", str(daemon.port)))
    assert b"Python" not in client.read_until(b"coro> ")
    client.send(b"ps\n")
    assert b"backdoor" in client.read_until(b"coro> ")
    client.send(b":shutdown 1\n")
    assert client.read_until(b"coro> ") == b"shutdown needs the role operate\ncoro> "
    client.send(b":exit-daemon\n")
    assert client.read_until(b"coro> ") == b"exit-daemon needs the role operate\ncoro> "
    client.send(b"1 + 1\n")
    assert client.read_until(b"coro> ").startswith(b"there is no command '1'")
    client.send(b"exit\n")
    assert client.read_until(b"bye\n") == b"bye\n"
    assert re.search(r"uid=12345 .* role=observe .*command=\":shutdown 1\" outcome=refused", daemon.log())


def test_a_member_of_the_sockets_group_gets_his_role_and_nobody_else_gets_in(
    start_daemon: Any, piped: Callable[..., Piped], require_tool: Tool
) -> None:
    nc = require_tool("nc")
    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o755)
        path = folder / "s.sock"
        others = f"unix_path={str(path)!r}, mode=0o660, group=12345, roles={{'gid:12345': 'observe'}}"
        member = as_another(require_tool, "setpriv", nc, "-U", str(path))
        daemon = start_daemon(f"BACKDOOR.update({others})")
        daemon.path = str(path)
        client = piped(*member)
        client.read_until(b"coro> ")
        client.send(b"interrupt 1\n")
        assert client.read_until(b"coro> ") == b"interrupt needs the role operate\ncoro> "
        client.send(b"exit\n")
        assert client.read_until(b"bye\n") == b"bye\n"
        status, output = finished(*as_another(require_tool, "su", nc, "-U", str(path)))
        assert status != 0
        assert b"Permission denied" in output
        assert daemon.stop() == 0
    finally:
        shutil.rmtree(folder)
