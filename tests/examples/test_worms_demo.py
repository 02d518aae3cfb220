"""`make demo` as people meet it: at a terminal, and in a pipe."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import psutil
import pytest

from tests.examples.program import HOST, ROOT, TIME_LIMIT_S, python, wait_until

LEAVE = "\x04"
INTERRUPT = "\x03"


@pytest.fixture(autouse=True)
def own_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon's socket and the console's history lie where nobody else looks."""
    # Not tmp_path itself: a socket's path is 107 bytes long at most.
    monkeypatch.setenv("CORO_RUNTIME_DIRECTORY", f"/tmp/coro-test-{os.getpid()}")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("CORO_TARGET", raising=False)


@pytest.fixture(autouse=True, scope="module")
def runtime_directory() -> Iterator[None]:
    folder = Path(f"/tmp/coro-test-{os.getpid()}")
    folder.mkdir(mode=0o700)
    yield
    left = sorted(path.name for path in folder.iterdir() if path.suffix == ".sock")
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert left == []


def run_demo(*arguments: object, encoding: str = "utf-8") -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        python("examples.worms", "--demo", *arguments),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": encoding},
        timeout=TIME_LIMIT_S,
    )


@pytest.mark.slow
def test_without_a_terminal_it_shows_frames_and_a_session_of_the_console() -> None:
    began = time.monotonic()
    done = run_demo()

    assert (done.returncode, done.stderr) == (0, b"")
    assert time.monotonic() - began < 15
    text = done.stdout.decode()
    assert re.match(r"Join the worms from another terminal:  telnet 127\.0\.0\.1 \d+\n200 worms crawl", text)
    frames = re.findall(r"frame \d of 2, after \d\.\d s:\n\n((?:.*\n){24})", text)
    assert len(frames) == 2
    assert all(re.search(r"\n worms \d+  sessions 1  frames \d+ .*\? help ?\n\Z", frame) for frame in frames)
    assert all(frame.count("●") > 10 for frame in frames)
    pairs = zip(frames[0].splitlines(), frames[1].splitlines(), strict=True)
    assert sum(one != other for one, other in pairs) > 10

    said = dict(re.findall(r"^\$ (.+)\n((?:(?!\$ ).+\n)*)", text, re.MULTILINE))
    assert len(said) == 6
    assert said["coro ps -s run -n 12"].count("worm-") >= 8
    assert said["coro ps -s run -n 12"].count("\n") == 13
    assert "Colony._live\n      coro.sleep_relative(" in said["coro where all --group -n 2"]
    acts = [line for line in said.values() if line.startswith(("interrupted", "max selfish"))]
    assert re.fullmatch(r"interrupted thread \d+ 'worm-\d+-[a-z]+' with Interrupted\n", acts[0])
    assert re.fullmatch(r"max selfish acts of thread \d+ 'worm-\d+-[a-z]+': 2, was 4\n", acts[1])
    assert said["coro check --require queen"].startswith("CRITICAL - no thread queen | ")
    assert said["echo $?"] == "2\n"


@pytest.mark.slow
@pytest.mark.parametrize("frames", [1, 3])
def test_number_of_frames_can_be_chosen(frames: int) -> None:
    done = run_demo("--frames", frames, "--worms", 5, "--arena", "60x15", encoding="ascii")

    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.count(b"\nframe ") == frames
    # Stdout knows no lines and dots, so the view is in ASCII.
    assert b"@" in done.stdout


@pytest.mark.slow
def test_arena_in_which_nothing_crawls_fails() -> None:
    done = run_demo("--worms", 0)

    assert (done.returncode, done.stderr) == (1, b"worms: two frames are equal: nothing crawls\n")


def test_daemon_that_cannot_start_is_explained() -> None:
    done = run_demo("--host", "192.0.2.1")

    assert done.returncode == 1
    assert re.fullmatch(rb"worms: .*Cannot assign requested address.*\n", done.stderr)


def test_place_without_room_for_a_socket_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORO_RUNTIME_DIRECTORY", str(tmp_path / "no" / "such"))

    done = run_demo()

    assert done.returncode == 1
    assert b"no console: " in done.stderr
    assert b"Traceback" not in done.stderr


class Demo:
    """The demo at a terminal.

    pid: the daemon's.
    """

    def __init__(self, *around: str) -> None:
        command, *arguments = [*around, *python("examples.worms", "--demo", "--worms", 30)]
        # Nobody answers here where the cursor is; and numbers are looked for, without colours around them.
        environment = os.environ | {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", "NO_COLOR": "1"}
        self.terminal = pexpect.spawn(
            command,
            arguments,
            cwd=str(ROOT),
            env=environment,
            timeout=TIME_LIMIT_S,
            encoding="utf-8",
            dimensions=(40, 100),
        )
        self.pid = int(self.see(r"30 worms crawl in an arena, each a thread of one daemon, pid (\d+)\.")[1])

    def see(self, pattern: str) -> "re.Match[str]":
        self.terminal.expect(pattern)
        assert self.terminal.match is not None
        return self.terminal.match  # type: ignore[no-any-return]

    def say(self, line: str, answer: str) -> "re.Match[str]":
        self.terminal.send(f"{line}\r")
        return self.see(answer)

    def wait(self) -> int:
        """Wait for its end, and its daemon's; returns its exit status."""
        self.terminal.expect(pexpect.EOF)
        self.terminal.wait()
        wait_until(lambda: not psutil.pid_exists(self.pid), f"the daemon, pid {self.pid}, ends")
        assert self.terminal.exitstatus is not None
        return self.terminal.exitstatus


@pytest.fixture
def demo() -> Iterator[Demo]:
    yield from shown()


@pytest.fixture
def demo_in_script() -> Iterator[Demo]:
    """As with make: not interactive, so there is one process group for all, and a Ctrl-C would end it too."""
    yield from shown("/bin/sh", "-c", '"$@"; status=$?; echo "the script goes on"; exit $status', "sh")


def shown(*around: str) -> Iterator[Demo]:
    demo = Demo(*around)
    try:
        yield demo
    finally:
        demo.terminal.close(force=True)
        wait_until(lambda: not psutil.pid_exists(demo.pid), f"the daemon, pid {demo.pid}, ends")


@pytest.mark.slow
def test_terminal_becomes_the_console_of_a_daemon_that_ends_with_it(demo: Demo) -> None:
    demo.see(r"This terminal is the daemon's console now")
    demo.see(r"worms\[\d+\]>>>")

    demo.say("len(colony)", r"30\r\n")
    worm = demo.say(":worms --longest 1", r"(\d+)  worm-\d+-[a-z]+ ")[1]
    demo.say(f":interrupt {worm}", rf"interrupted thread {worm} 'worm-")
    demo.say("len(colony)", r"29\r\n")
    demo.say("coro.sleep_relative(100)", r"\r\n")
    time.sleep(0.3)
    demo.terminal.send(INTERRUPT)
    demo.see("LineInterrupted: interrupted by Ctrl-C")
    demo.say("len(colony)", r"29\r\n")
    demo.terminal.send(LEAVE)

    demo.see("The worms, and their daemon, end here")
    assert demo.wait() == 0
    assert "Traceback" not in str(demo.terminal.before)


@pytest.mark.slow
def test_interrupted_line_interrupts_nobody_who_waits_for_the_demo(demo_in_script: Demo) -> None:
    demo = demo_in_script
    demo.see(">>>")

    demo.say("coro.sleep_relative(100)", r"\r\n")
    time.sleep(0.3)
    # Ctrl-Z would stop everybody for good.
    demo.terminal.send("\x1a" + INTERRUPT)
    demo.see("LineInterrupted: interrupted by Ctrl-C")
    demo.terminal.send(LEAVE)

    demo.see("end here")
    demo.see("the script goes on")
    assert demo.wait() == 0


@pytest.mark.slow
def test_worms_can_be_joined_at_the_address_that_is_named(demo: Demo) -> None:
    port = int(demo.see(r"telnet 127\.0\.0\.1 (\d+)\r\n")[1])
    demo.see(">>>")

    seen = b""
    with socket.create_connection((HOST, port), TIME_LIMIT_S) as visitor:
        while b" worms 30 " not in seen:
            data = visitor.recv(65536)
            assert data, seen
            seen += data

    demo.say(":quit", "end here")
    assert demo.wait() == 0


@pytest.mark.slow
def test_daemon_told_to_exit_ends_the_demo_with_its_status(demo: Demo) -> None:
    demo.see(">>>")

    demo.say(":exit-daemon 3 --yes", "The daemon has ended by itself")

    assert demo.wait() == 3


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_demo_that_is_terminated_ends_its_daemon(demo: Demo, number: signal.Signals) -> None:
    demo.see(">>>")

    demo.terminal.kill(number)

    assert demo.wait() == 128 + number


@pytest.mark.slow
def test_demo_that_is_killed_leaves_no_daemon(demo: Demo) -> None:
    demo.see(">>>")

    demo.terminal.kill(signal.SIGKILL)

    wait_until(lambda: not psutil.pid_exists(demo.pid), "the daemon notices")
