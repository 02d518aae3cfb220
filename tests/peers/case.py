"""The cases: which program meets which peer, and how a program is run and judged."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.peers import debian, loopback
from tests.peers.server import ended

ROOT = Path(__file__).parent.parent.parent
PROGRAMS = Path(__file__).with_name("programs")
Peer = Callable[[], contextlib.AbstractContextManager[dict[str, Any]]]

# The promise: a thread that ticks every 10 ms is never later than this.
LATE_LIMIT_S = 0.05
# Under coro a process has the loop's, those that look names up and make blocking calls, and a watchdog.
MAX_OS_THREADS = 30
# How much longer than its own limit a program may take to end.
GRACE_S = 20.0
LATENCY_WARNING = "coro: high latency: "
# So much of what a program said before it failed is told.
MAX_SAID = 4000


@dataclass(frozen=True, slots=True)
class Case:
    """A program and its peer.

    requests: per thread.  pause_s: on average before each, where a request costs its client a millisecond of
        processor time: were the processor full, each thread, and so the ticker, would wait for 200 such turns.
    """

    program: str
    peer: Peer
    peer_name: str
    requests: int
    pause_s: float = 0.0
    needs_debian: bool = True
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What it is called on the command line and in the names of tests."""
        return f"{self.program}-{self.peer_name}".replace(" ", "_")


CASES = [
    Case("redis_client", debian.redis, "redis-server", 10),
    Case("postgres_pg8000", debian.postgres_for_pg8000, "postgresql", 10),
    Case(
        "postgres_psycopg",
        debian.postgres_for_psycopg,
        "postgresql",
        10,
        environment={"PSYCOPG_WAIT_FUNC": "wait_selector"},
    ),
    Case("postgres_psycopg_async", debian.postgres_for_psycopg, "postgresql", 10),
    Case("postgres_psycopg2", debian.postgres_for_psycopg, "postgresql", 10),
    Case("postgres_asyncpg", debian.postgres_for_pg8000, "postgresql", 10),
    Case("http_requests", debian.nginx, "nginx", 10),
    Case("http_urllib3", debian.nginx, "nginx", 10),
    Case("http_httpx", debian.nginx, "nginx", 5, 0.3),
    Case("http_aiohttp", debian.nginx, "nginx", 10),
    Case("http_httpx_async", debian.nginx, "nginx", 10),
    Case("ssh_paramiko", debian.ssh, "sshd", 2, 0.5),
    Case("ssh_asyncssh", debian.ssh, "sshd", 2, 0.5),
    Case("http_requests", loopback.http_server, "http.server", 5, needs_debian=False),
    Case("http_urllib3", loopback.http_server, "http.server", 5, needs_debian=False),
    Case("http_httpx", loopback.http_server, "http.server", 5, 0.3, needs_debian=False),
    Case("http_aiohttp", loopback.http_server, "http.server", 5, needs_debian=False),
    Case("ssh_paramiko", loopback.ssh_server, "asyncssh", 2, 0.5, needs_debian=False),
    Case("websockets_sync", loopback.websocket_server, "websockets", 10, needs_debian=False),
    Case("websockets_asyncio", loopback.websocket_server, "websockets", 10, needs_debian=False),
    Case("serve_websockets", loopback.nobody, "clients", 10, needs_debian=False),
    Case("serve_werkzeug", loopback.nobody, "clients", 10, needs_debian=False),
    Case("serve_waitress", loopback.nobody, "clients", 10, needs_debian=False),
    Case("serve_cheroot", loopback.nobody, "clients", 10, needs_debian=False),
    Case("logging_and_queues", loopback.nobody, "none", 20, needs_debian=False),
]


def run_case(
    case: Case, *, threads: int = 200, requests: int | None = None, plain: bool = False, limit_s: float = 120.0
) -> dict[str, Any]:
    """Run a case's program, as `python -m coro` or, for comparison, as plain Python; what it printed, and more.

    The outcome has `machine_late_s`, what a process that only ticks had as its worst, and `fault`: what went wrong.
    """
    with case.peer() as peer, ticking() as machine:
        command = [sys.executable, "-W", "error::ResourceWarning"]
        command += [] if plain else ["-m", "coro"]
        command += [str(PROGRAMS / f"{case.program}.py"), f"--threads={threads}", f"--pause={case.pause_s}"]
        command += [f"--requests={requests or case.requests}", f"--limit={limit_s}", f"--peer={json.dumps(peer)}"]
        outcome: dict[str, Any] = {"fault": None, "threads": threads}
        try:
            outcome |= outcome_of(command, case.environment, limit_s + GRACE_S)
        except (ValueError, subprocess.TimeoutExpired) as error:
            outcome["fault"] = str(error)
    return outcome | machine


def outcome_of(command: list[str], environment: dict[str, str], limit_s: float) -> dict[str, Any]:
    """What a program printed; raises ValueError, with what it said, if it failed."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )
    # How long a slice may take on a machine that runs others meanwhile is judged by the ticks.
    complaints = [line for line in done.stderr.splitlines() if not line.startswith(LATENCY_WARNING)]
    if done.returncode or complaints:
        said = f"{done.stderr}{done.stdout}"
        raise ValueError(f"{' '.join(command)} ended with {done.returncode}: {said[-MAX_SAID:]}")
    outcome: dict[str, Any] = json.loads(done.stdout)
    return outcome


@contextlib.contextmanager
def ticking() -> Any:
    """A process that ticks beside; fills in `machine_late_s` when the block ends."""
    figures: dict[str, float] = {}
    command = [sys.executable, str(PROGRAMS / "ticker.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        with ended(process):
            yield figures
            stdout, _ = process.communicate("")
        figures["machine_late_s"] = json.loads(stdout)["worst_late_s"]


def fault_of(
    outcome: dict[str, Any], requests: int, *, plain: bool = False, late_limit_s: float = LATE_LIMIT_S
) -> str | None:
    """What is wrong with an outcome, or None.  The time for which the kernel ran other processes is forgiven."""
    if outcome["fault"] is not None:
        return str(outcome["fault"])
    if outcome["answers"] < outcome["threads"] * requests:
        return f"{outcome['answers']} answers, not {outcome['threads'] * requests}"
    if plain:
        return None
    if outcome["os_threads"] > MAX_OS_THREADS:
        return f"{outcome['os_threads']} OS threads: those of the program are none of coro's"
    if outcome["worst_own_s"] > late_limit_s or not outcome["ticks"]:
        return (
            f"a tick was {outcome['worst_own_s'] * 1000:.0f} ms late, the limit being {late_limit_s * 1000:.0f} ms"
        )
    return None
