"""The worms as people meet them: telnet on a terminal, nc in a pipe.  The demo is in test_worms_demo.py."""

import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pexpect
import pytest

from examples.telnet import IAC, NAWS, SB, SE
from examples.worms.terminal import Terminal
from tests.examples.program import HOST, ROOT, TIME_LIMIT_S, Program, python, wait_until

Serve = Callable[..., Program]
Start = Callable[..., Program]
Spawn = pexpect.spawn


class Watcher:
    """A telnet on a terminal of this size, and what that terminal shows."""

    def __init__(self, telnet: str, port: int, columns: int = 80, rows: int = 24) -> None:
        self.terminal = Terminal(columns, rows)
        self.client: Spawn[bytes] = pexpect.spawn(telnet, [HOST, str(port)], dimensions=(rows, columns))
        self.has_ended = False

    def resize(self, columns: int, rows: int) -> None:
        """Change the terminal's size, as with a mouse."""
        self.terminal = Terminal(columns, rows)
        self.client.setwinsize(rows, columns)

    def see(self, pattern: str) -> "re.Match[str]":
        """Wait until the terminal shows it; returns the match."""
        deadline = time.monotonic() + TIME_LIMIT_S
        while True:
            text = "\n".join(self.terminal.lines())
            if found := re.search(pattern, text, re.MULTILINE):
                return found
            assert time.monotonic() < deadline and not self.has_ended, f"no {pattern} in\n{text}"
            try:
                self.terminal.receive(self.client.read_nonblocking(65536, timeout=1))
            except pexpect.TIMEOUT:
                continue
            except pexpect.EOF:
                self.has_ended = True


@pytest.fixture
def watch(require_tool: Callable[[str], str]) -> Iterator[Callable[..., Watcher]]:
    """Give watch(port, columns, rows)."""
    telnet = require_tool("telnet")
    watchers: list[Watcher] = []

    def join(port: int, columns: int = 80, rows: int = 24) -> Watcher:
        watchers.append(Watcher(telnet, port, columns, rows))
        return watchers[-1]

    yield join
    for watcher in watchers:
        watcher.client.close(force=True)


def test_telnet_session_from_joining_to_leaving(serve: Serve, watch: Callable[..., Watcher]) -> None:
    server = serve("examples.worms", "--worms", 30, "--seed", 1)
    watcher = watch(server.port)

    watcher.see(r"^ worms 30  sessions 1  frames \d+.*  speed x1  41,14 of .*\? help$")
    # Each key arrives at once and is not echoed: telnet is in character mode.
    watcher.client.send("+")
    watcher.see(r"^ worms 31 .* session-1: 1 more$")
    watcher.client.send("*")
    watcher.see("^ worms 1[23]\\d ")
    watcher.client.send("\x1b[C\x1b[B")
    watcher.see(" 49,18 of ")
    watcher.client.send("?")
    watcher.see("a hundred more, a hundred less")
    watcher.client.send("q")
    watcher.see("Connection closed by foreign host")

    assert watcher.terminal.shows_cursor
    server.wait_for(r"session-1 has left after \d+ frames, \d+ dropped\n")


def test_telnet_window_is_followed_when_its_size_changes(serve: Serve, watch: Callable[..., Watcher]) -> None:
    server = serve("examples.worms", "--worms", 30)
    watcher = watch(server.port, 100, 30)
    watcher.see(r"\A(.*\n){29} worms 30 .{81}  \? help$")

    watcher.resize(60, 12)

    watcher.see(r"\A(.*\n){11} worms 30 .{42} \? help$")
    watcher.client.send("q")
    watcher.see("Connection closed")


def test_two_telnets_share_the_arena(serve: Serve, watch: Callable[..., Watcher]) -> None:
    server = serve("examples.worms", "--worms", 20)
    one, other = watch(server.port), watch(server.port, 100, 40)
    one.see("sessions 2")
    other.see("sessions 2")

    one.client.send("+++")
    other.see("^ worms 23 .*session-1: 1 more")
    other.client.send("p")
    other.see("PAUSED")
    one.see("help$")
    one.client.send("q")
    other.see("sessions 1")


def test_ctrl_c_in_telnet_leaves(serve: Serve, watch: Callable[..., Watcher]) -> None:
    server = serve("examples.worms", "--worms", 20)
    watcher = watch(server.port)
    watcher.see("sessions 1")
    # That a key is seen to work shows that telnet is in character mode by now.
    watcher.client.send("+")
    watcher.see("^ worms 21 ")

    watcher.client.sendintr()

    watcher.see("Connection closed by foreign host")
    server.wait_for("session-1 has left")


def test_nc_is_served_too(serve: Serve, start: Start, require_tool: Callable[[str], str]) -> None:
    server = serve("examples.worms", "--worms", 20)
    nc = start([require_tool("nc"), "-N", HOST, str(server.port)], has_input=True)

    def shown() -> str:
        terminal = Terminal()
        # Three telnet commands are all that nc gets to see of telnet.
        terminal.receive(nc.out.read_bytes()[9:])
        return "\n".join(terminal.lines())

    wait_until(lambda: " worms 20 " in shown(), "the first frame")
    nc.type("++\n")
    wait_until(lambda: " worms 22 " in shown(), "two worms more")
    nc.type("q\n")
    server.wait_for("session-1 has left")
    nc.end_input()
    assert nc.wait() == 0
    assert shown().strip() == ""


@pytest.mark.slow
def test_stopped_client_slows_only_its_own_view(
    serve: Serve, start: Start, watch: Callable[..., Watcher], require_tool: Callable[[str], str]
) -> None:
    server = serve("examples.worms", "--worms", 200)
    slow = start([require_tool("nc"), HOST, str(server.port)], has_input=True)
    # Faster worms in a larger window, so that the kernel's buffers are full after a few frames.
    slow.type(b"fff\n" + bytes((IAC, SB, NAWS, 0, 200, 0, 60, IAC, SE)))
    watcher = watch(server.port)
    watcher.see("speed x8")
    slow.process.send_signal(signal.SIGSTOP)

    def frames() -> int:
        return int(watcher.see(r"frames (\d+)")[1])

    def slow_size() -> int:
        return slow.out.stat().st_size

    before, began = frames(), time.monotonic()
    watcher.see(rf"frames {before // 10 + 7}\d")
    assert time.monotonic() - began < 15

    at_stop = slow_size()
    slow.process.send_signal(signal.SIGCONT)
    wait_until(lambda: re.search(rb"\(\d\d+ dropped\)", slow.out.read_bytes()[at_stop:]), "it knows what it missed")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--arena", "big"], "expected WIDTHxHEIGHT, such as 160x50, got 'big'"),
        (["--arena", "9x9"], "an arena's width must be 10 to 1000 squares, got 9"),
        (["--port", "70000"], "a port must be 0 to 65535, got 70000"),
        (["--host", "192.0.2.1"], "Cannot assign requested address"),
        (["--worms", "-1"], "worms must be 0 to 1000, got -1"),
    ],
)
def test_wrong_arguments_get_a_clear_error(arguments: list[str], message: str) -> None:
    done = subprocess.run(
        python("examples.worms", *arguments),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
    )

    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr
