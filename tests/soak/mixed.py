"""An hour of a daemon's life, as fast as it goes: 100 requests a second with all that belongs to them."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import coro
import coro.backdoor
from tests.soak.meter import Outcome, Report, measured

__all__ = ["hour"]

REQUESTS = 100 * 3600
CLIENTS = 100
ROUNDS = 10
SETTLE_S = 0.5
# Of a hundred requests: how many are of each kind.
KINDS = (
    ("echo", 60),
    ("reconnect", 10),
    ("time-out", 6),
    ("interrupt", 6),
    ("group", 5),
    ("pool", 3),
    ("queue", 5),
    ("lock", 4),
    ("OS thread", 1),
)
# Fewer, since each makes a process or a session.
PROCESSES_PER_ROUND = 20
SESSIONS_PER_ROUND = 20


class Refused(Exception):
    """What some jobs raise."""


class Daemon:
    """Clients and servers in one process, and what they share."""

    def __init__(self, folder: str, per_round: int, scale: float) -> None:
        self.faults: list[str] = []
        self.path = str(Path(folder) / "backdoor.sock")
        self.per_client = max(1, per_round // CLIENTS)
        self.extras = max(1, int(PROCESSES_PER_ROUND * scale))
        self.chance = random.Random(22)
        self.lock = coro.rw_lock()
        self.queue = coro.fifo(maxsize=10)
        self.permits = coro.semaphore(10)
        self.server = coro.tcp_server(("127.0.0.1", 0), self.serve)
        self.address = self.server.address
        self.kinds = [kind for kind, share in KINDS for _ in range(share)]
        self.jobs: dict[str, Callable[[coro.sock], object]] = {
            "echo": self.echo,
            "time-out": self.time_out,
            "interrupt": self.interrupt,
            "group": self.group,
            "pool": self.pool,
            "queue": self.through_the_queue,
            "lock": self.with_locks,
            "OS thread": self.in_os_thread,
        }

    def serve(self, connection: coro.sock, address: object) -> None:
        while data := connection.recv(4096):
            connection.sendall(data)

    def connect(self) -> coro.sock:
        client = coro.tcp_sock()
        client.connect(self.address)
        return client

    def expect(self, condition: bool, what: str) -> None:
        if not condition and len(self.faults) < 20:
            self.faults.append(what)

    # -- what clients do

    def round(self) -> None:
        """What every client, and the engineers, do in one round."""
        with coro.Group() as group:
            for _ in range(CLIENTS):
                group.spawn(self.client)
            group.spawn(self.engineers)
            group.spawn(self.processes)
        # The daemon's ends of the last connections and sessions end too.
        coro.sleep_relative(SETTLE_S)

    def client(self) -> None:
        connection = self.connect()
        try:
            for _ in range(self.per_client):
                kind = self.chance.choice(self.kinds)
                if kind == "reconnect":
                    connection.close()
                    connection = self.connect()
                else:
                    self.jobs[kind](connection)
        finally:
            connection.close()

    def echo(self, connection: coro.sock) -> None:
        text = os.urandom(self.chance.randrange(1, 2000))
        connection.sendall(text)
        got = b""
        while len(got) < len(text):
            got += connection.recv(4096)
        self.expect(got == text, "an echo differs")

    def time_out(self, connection: coro.sock) -> None:
        # Nothing was sent, so nothing comes.
        try:
            with coro.timeout(0.002):
                connection.recv(10)
        except coro.TimeoutError:
            return
        self.expect(False, "silence was answered")

    def interrupt(self, connection: coro.sock) -> None:
        sleeper = coro.spawn(coro.sleep_relative, 60)
        coro.yield_slice()
        sleeper.raise_exception(coro.WakeUp)
        sleeper.observers += 1
        sleeper.join()
        self.expect(isinstance(sleeper.error, coro.WakeUp), "an interrupt was lost")

    def group(self, connection: coro.sock) -> None:
        def refuse() -> None:
            coro.yield_slice()
            raise Refused

        failed = False
        try:
            with coro.Group() as group:
                group.spawn(refuse)
                for _ in range(3):
                    group.spawn(coro.sleep_relative, 60)
        except* Refused:
            failed = True
        self.expect(failed, "a group lost its failure")

    def pool(self, connection: coro.sock) -> None:
        with coro.Pool(3) as pool:
            self.expect(pool.map(abs, [-1, -2, -3, -4]) == [1, 2, 3, 4], "a pool's results differ")

    def through_the_queue(self, connection: coro.sock) -> None:
        self.queue.push(1)
        self.expect(self.queue.pop(timeout=60) == 1, "the queue lost an item")

    def with_locks(self, connection: coro.sock) -> None:
        with self.permits, self.lock.read():
            coro.yield_slice()
        with self.lock.write():
            coro.yield_slice()

    def in_os_thread(self, connection: coro.sock) -> None:
        digest = coro.in_os_thread(hashlib.sha256, b"x" * 10_000)
        self.expect(digest.digest_size == 32, "an OS thread's result differs")

    # -- beside them

    def processes(self) -> None:
        for _ in range(self.extras):
            process = subprocess.Popen([sys.executable, "-S", "-c", "pass"])
            pid, status = coro.waitpid(process.pid)
            process.returncode = os.waitstatus_to_exitcode(status)
            self.expect(pid == process.pid and status == 0, "a process ended oddly")

    def engineers(self) -> None:
        """Sessions of the backdoor, one after another."""
        for _ in range(self.extras):
            with coro.unix_sock() as session:
                session.connect(self.path)
                stream = coro.sock_stream(session)
                for number, method in enumerate(("ps", "check", "lag", "why")):
                    params = {"target": "all"} if method == "why" else {}
                    request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
                    session.sendall(json.dumps(request).encode() + b"\n")
                    while "result" not in (answer := json.loads(stream.read_until(b"\n"))):
                        self.expect("error" not in answer, f"{method} failed: {answer}")
                        if "error" in answer:
                            break


def hour(scale: float, report: Report) -> Outcome:
    """An hour of mixed load, at 100 requests a second, without the pauses."""
    per_round = max(CLIENTS, int(REQUESTS / ROUNDS * scale))

    def run() -> Outcome:
        with tempfile.TemporaryDirectory() as folder:
            daemon = Daemon(folder, per_round, scale)
            backdoor = coro.backdoor.start(unix_path=daemon.path)
            try:
                what = f"an hour of mixed load: {per_round * ROUNDS:,} requests"
                outcome = measured(what, ROUNDS, daemon.round, report)
            finally:
                backdoor.close()
                daemon.server.close()
            return Outcome(outcome.what, outcome.before, outcome.after, daemon.faults)

    return coro.run(run)
