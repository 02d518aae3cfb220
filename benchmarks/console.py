"""What the console costs: `python -m benchmarks.console [idle] [load] [check] [attach]`; all without arguments.

idle    yields and echoes with an idle backdoor against none, in pairs of processes: median ratio, with a 95 %
        confidence interval of the median.
load    10 000 threads and an echo load: the 99th percentile of its latency while `ps`, `where all --group` and
        `check` are asked in a loop, against the same daemon left alone, in alternating windows.
check   wall time of the whole command `coro check`, from start to exit.
attach  a session that runs every command, again and again: memory, descriptors and threads after a warm-up.
"""

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PARTS = ("idle", "load", "check", "attach")
CHECKS = 41
CALLS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("hello", {}),
    ("ps", {}),
    ("where", {"target": "all", "group": True}),
    ("where", {"target": "all"}),
    ("where", {"target": 1}),
    ("info", {"id": 1}),
    ("tree", {}),
    ("why", {"target": 1}),
    ("why", {"target": "all"}),
    ("fds", {}),
    ("timers", {}),
    ("locks", {}),
    ("dead", {}),
    ("lag", {}),
    ("stalls", {}),
    ("check", {}),
    ("interrupt", {"id": 2}),
    ("selfish", {"id": 1, "maximum": 4}),
    ("name", {"id": 1, "new_name": "first"}),
    ("set", {}),
    ("set", {"setting": "selfishness", "value": 4}),
    ("sessions", {}),
    ("kick", {"session": 999_999_999}),
    ("history", {}),
    ("help", {}),
    ("eval", {"code": "print(len(coro.all_threads)); 1 + 1"}),
    ("eval", {"code": "1 / 0"}),
    ("complete", {"text": "coro.all_th"}),
)


def main() -> int:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.console", description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--rounds", type=int, default=15, help="pairs of idle and load (15)")
    parser.add_argument("--attaches", type=int, default=1000, help="sessions of attach (1000)")
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    with tempfile.TemporaryDirectory() as folder:
        for part in options.parts or PARTS:
            if part == "idle":
                idle(Path(folder), options.rounds)
            elif part == "load":
                load(Path(folder), options.rounds)
            elif part == "check":
                check(Path(folder))
            elif not attach(Path(folder), options.attaches):
                return 1
    return 0


def interval(ratios: list[float]) -> str:
    """The median, with a confidence interval by order statistics (95 % from 6 values on)."""
    ordered = sorted(ratios)
    count = len(ordered)
    low = max(0, int(count / 2 - 0.98 * count**0.5))
    median = statistics.median(ordered)
    return f"{median:.3f}  (95 % interval {ordered[low]:.3f} to {ordered[count - 1 - low]:.3f}, {count} pairs)"


def idle(folder: Path, rounds: int) -> None:
    """Pairs of processes, in turn with and without a backdoor."""
    figures: list[list[float]] = [[], []]
    for number in range(rounds):
        found = {}
        paths = ["-", str(folder / f"idle{number}.sock")]
        for path in paths if number % 2 else reversed(paths):
            command = [sys.executable, "-m", "benchmarks.console_daemon", "quick", path]
            output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            found[path != "-"] = list(map(float, output.split()))
        for kind in (0, 1):
            figures[kind].append(found[True][kind] / found[False][kind])
    print("idle backdoor, CPU time with : without")
    print(f"  yield  {interval(figures[0])}")
    print(f"  echo   {interval(figures[1])}", flush=True)


@contextmanager
def daemon(folder: Path, threads: int) -> Iterator[tuple[Any, str]]:
    """A loaded daemon; gives its process and its socket's path."""
    path = str(folder / f"load{threads}.sock")
    command = [sys.executable, "-m", "benchmarks.console_daemon", "load", path, str(threads)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(3)
        yield process, path
    finally:
        process.terminate()
        process.communicate()


def load(folder: Path, rounds: int, window_s: float = 2.0) -> None:
    """Windows in turn: left alone, and asked all the time."""
    alone, asked, ratios = [], [], []
    answers = 0
    with daemon(folder, 10_000) as (process, path):
        for _ in range(rounds):
            quiet = window(process, window_s)
            asking = threading.Event()
            counted: list[int] = []
            asker = threading.Thread(target=ask_on_and_on, args=(path, asking, counted))
            asker.start()
            busy = window(process, window_s)
            asking.set()
            asker.join()
            answers += counted[0]
            alone.append(quiet[1])
            asked.append(busy[1])
            ratios.append(busy[1] / quiet[1])
            time.sleep(0.3)
    print("echo load beside 10 000 threads, 99th percentile of its latency")
    print(f"  left alone {statistics.median(alone) * 1e6:.0f} us, asked {statistics.median(asked) * 1e6:.0f} us")
    print(f"  ratio  {interval(ratios)}; {answers} answers", flush=True)


def window(process: Any, seconds: float) -> list[float]:
    """Have the daemon measure its load for some seconds: median, 99th percentile, maximum, number."""
    process.stdin.write(f"window {seconds}\n")
    process.stdin.flush()
    return list(map(float, process.stdout.readline().split()))


def ask_on_and_on(path: str, ended: threading.Event, counted: list[int]) -> None:
    """`ps`, `where all --group` and `check` in turn, one after the other, until the window is over."""
    with Client(path) as client:
        count = 0
        while not ended.is_set():
            for method, params in (("ps", {}), ("where", {"target": "all", "group": True}), ("check", {})):
                client.call(method, params)
                count += 1
        counted.append(count)


class Client:
    """A JSON-RPC connection, as plain as can be."""

    def __init__(self, path: str) -> None:
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.settimeout(60)
        self._sock.connect(path)
        self._file = self._sock.makefile("rb")
        self._last = 0

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._file.close()
        self._sock.close()

    def call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Ask, and wait for the answer."""
        self._last += 1
        message = {"jsonrpc": "2.0", "id": self._last, "method": method, "params": params}
        self._sock.sendall(json.dumps(message).encode() + b"\n")
        while True:
            line = self._file.readline()
            if not line:
                raise EOFError("the daemon closed the connection")
            if line.startswith(b'{"jsonrpc":"2.0","id":'):
                # A large answer need not be decoded: this is to measure the daemon, not us.
                return {} if len(line) > 10_000 else json.loads(line)


def check(folder: Path) -> None:
    """Whole runs of the command."""
    command = shutil.which("coro", path=os.path.dirname(sys.executable))
    words = [command] if command else [sys.executable, "-m", "coro.console"]
    with daemon(folder, 100) as (_, path):
        took = []
        for _ in range(CHECKS):
            before = time.perf_counter()
            subprocess.run([*words, "-t", path, "check"], capture_output=True, check=False)
            took.append(time.perf_counter() - before)
    took.sort()
    print("coro check, wall time of the whole command")
    print(
        f"  median {took[CHECKS // 2] * 1e3:.0f} ms, 95th percentile {took[int(CHECKS * 0.95)] * 1e3:.0f} ms",
        flush=True,
    )


def attach(folder: Path, rounds: int) -> bool:
    """Connect, run every command, leave; False if anything grew."""
    warm_up = min(100, rounds // 2)
    with daemon(folder, 20) as (process, path):
        before = None
        for number in range(rounds + warm_up):
            if number == warm_up:
                before = state_of(process.pid, path)
            with Client(path) as client:
                for method, params in CALLS:
                    client.call(method, params)
        time.sleep(0.5)
        after = state_of(process.pid, path)
    assert before is not None
    grown = [later - sooner for sooner, later in zip(before, after, strict=True)]
    print(f"{rounds} sessions with {len(CALLS)} commands each, after {warm_up} to warm up")
    print(f"  memory {grown[0] / 1024:+.0f} KiB, descriptors {grown[1]:+d}, threads {grown[2]:+d}", flush=True)
    return grown[0] <= 1 << 20 and grown[1] <= 0 and grown[2] <= 0


def state_of(pid: int, path: str) -> tuple[int, int, int]:
    """Resident bytes, open descriptors and coroutine threads of the daemon."""
    time.sleep(0.5)
    resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    with Client(path) as client:
        threads = client.call("check", {})["result"]["value"]["threads"]["alive"]
    return resident, descriptors, threads


if __name__ == "__main__":
    sys.exit(main())
