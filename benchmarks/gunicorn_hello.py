"""HTTP "hello" by gunicorn, one worker, keep-alive, driven by wrk: `python -m benchmarks.gunicorn_hello`.

Prints requests per CPU-second of the worker process, for coro's worker and the peers', in alternating rounds of
fresh processes: median (lowest-highest), and the ratio to gevent's of the same round.  Needs wrk (Debian has it).

A worker class that this gunicorn does not have, or whose library is missing, is named and left out: the eventlet
worker is gone since gunicorn 26.  `--also LABEL=PYTHON:CLASS` measures one by another interpreter, which has an
older gunicorn.
"""

import argparse
import contextlib
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import client_core, cpu_ns, describe, worker_core
from benchmarks.table import machine_lines

APPLICATION = """
BODY = b"Hello, world!\\n"
HEADERS = [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))]


def app(environ, start_response):
    start_response("200 OK", HEADERS)
    return [BODY]
"""
BOUND = 1.1
START_LIMIT_S = 20.0
WARM_S = 1


@dataclass(frozen=True, slots=True)
class Contender:
    """A worker class, and the interpreter that has it."""

    label: str
    python: str
    worker: str
    options: tuple[str, ...] = ()


CONTENDERS = (
    Contender("coro", sys.executable, "coro.gunicorn.CoroWorker"),
    Contender("gevent", sys.executable, "gevent"),
    Contender("eventlet", sys.executable, "eventlet"),
    Contender("gthread", sys.executable, "gthread", ("--threads", "8")),
)


class Unavailable(Exception):
    """A contender that cannot be measured here; the message says why."""


def main() -> int:
    """Measure and print; returns 1 if the bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of each measurement")
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--also", action="append", default=[], metavar="LABEL=PYTHON:CLASS")
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        parser.error("this needs wrk (on Debian: apt-get install wrk)")
    contenders = [*CONTENDERS, *map(_other, arguments.also)]
    print("\n".join(machine_lines(describe(), arguments.rounds)))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "hello.py").write_text(APPLICATION)
        figures = _measure_all(contenders, folder, arguments)
    return _report(figures)


def _other(text: str) -> Contender:
    label, _, rest = text.partition("=")
    python, _, worker = rest.rpartition(":")
    return Contender(label, python, worker)


def _measure_all(contenders: list[Contender], folder: str, arguments: argparse.Namespace) -> dict[str, list[float]]:
    figures: dict[str, list[float]] = {}
    for round_number in range(arguments.rounds):
        for contender in list(contenders):
            try:
                figure = _measure(contender, folder, arguments.connections, arguments.seconds)
            except Unavailable as reason:
                print(f"{contender.label}: left out: {reason}")
                contenders.remove(contender)
                continue
            figures.setdefault(contender.label, []).append(figure)
            print(f"round {round_number + 1}: {contender.label} {figure:.0f}", file=sys.stderr)
    return figures


def _measure(contender: Contender, folder: str, connections: int, seconds: int) -> float:
    """Requests per CPU-second of the worker."""
    with _serving(contender, folder) as (worker_pid, place):
        _wrk(place, connections, WARM_S)
        before = cpu_ns(worker_pid)
        requests = _wrk(place, connections, seconds)
        return requests / ((cpu_ns(worker_pid) - before) / 1e9)


def _wrk(place: str, connections: int, seconds: int) -> int:
    """How many requests were answered; fails if any was not."""
    command = [*_pinned(client_core()), "wrk", "-t1", f"-c{connections}", f"-d{seconds}", f"http://{place}/"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise RuntimeError(f"wrk was not served well:\n{output}")
    found = re.search(r"(\d+) requests in", output)
    if found is None:
        raise RuntimeError(f"wrk said something unexpected:\n{output}")
    return int(found[1])


@contextlib.contextmanager
def _serving(contender: Contender, folder: str) -> Iterator[tuple[int, str]]:
    """Run gunicorn with one worker; gives the worker's pid, and host and port."""
    log = Path(folder, "log")
    log.write_text("")
    options = ("--workers", "1", "--bind", "127.0.0.1:0", "--keep-alive", "30", "--error-logfile", str(log))
    command = [
        contender.python,
        "-m",
        "gunicorn",
        "-k",
        contender.worker,
        *options,
        *contender.options,
        "hello:app",
    ]
    environment = os.environ | {"HOME": folder}
    with tempfile.TemporaryFile("w+") as errors:
        arbiter = subprocess.Popen(
            [*_pinned(worker_core()), *command], cwd=folder, env=environment, stdout=errors, stderr=errors
        )
        try:
            place = _place(arbiter, log)
            if place is None:
                errors.seek(0)
                lines = [line.strip() for line in errors if line.strip()]
                named = [line for line in lines if "Error" in line]
                raise Unavailable((named or lines or [f"it ended with status {arbiter.returncode}"])[0])
            yield _worker_pid(arbiter.pid), place
        finally:
            arbiter.send_signal(signal.SIGTERM)
            try:
                arbiter.wait(10)
            except subprocess.TimeoutExpired:
                arbiter.kill()
                arbiter.wait()


def _place(arbiter: subprocess.Popen[bytes], log: Path) -> str | None:
    """Where it listens, once a worker serves there; None if it has ended instead."""
    end = time.monotonic() + START_LIMIT_S
    while arbiter.poll() is None and time.monotonic() < end:
        found = re.search(r"Listening at: http://(\S+)", log.read_text())
        if found is not None and "Booting worker" in log.read_text():
            with contextlib.suppress(subprocess.CalledProcessError):
                subprocess.run(["wrk", "-t1", "-c1", "-d1", f"http://{found[1]}/"], check=True, capture_output=True)
                return found[1] if arbiter.poll() is None else None
        time.sleep(0.05)
    return None


def _worker_pid(arbiter_pid: int) -> int:
    children = Path(f"/proc/{arbiter_pid}/task/{arbiter_pid}/children").read_text().split()
    return int(children[0])


def _pinned(core: int | None) -> list[str]:
    return [] if core is None or shutil.which("taskset") is None else ["taskset", "-c", str(core)]


def _report(figures: dict[str, list[float]]) -> int:
    print(f"\n{'worker':10} {'requests per CPU-second':>32}   ratio to gevent's")
    for label, values in figures.items():
        spread = f"{statistics.median(values):.0f} ({min(values):.0f}-{max(values):.0f})"
        ratios = [own / peer for own, peer in zip(values, figures.get("gevent", []), strict=False)]
        text = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})" if ratios else "-"
        print(f"{label:10} {spread:>32}   {text}")
    if "coro" not in figures or "gevent" not in figures:
        return 0
    ratio = statistics.median(own / peer for own, peer in zip(figures["coro"], figures["gevent"], strict=True))
    print(f"\ncoro / gevent: {ratio:.2f}, the bound is {BOUND}: {'reached' if ratio >= BOUND else 'missed'}")
    return 0 if ratio >= BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
