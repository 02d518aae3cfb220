"""What the tests of hostile clients share: a siege of a daemon, in which its other users are watched.

What an attack costs the others is measured in the daemon (its ticker's `worst_lag`), at a second session (which
evaluates all the time), and from outside (resident memory, descriptors).
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

MAX_LAG_S: Final = 0.05
MAX_GROWTH_MIB: Final = 4.0
# Another process may keep the daemon from the processor: a lag that is the daemon's own doing is there every time.
ATTEMPTS: Final = 3
SETTLE_S: Final = 15.0
# A measuring ticker, and a few workers to be looked at.
CALM: Final = """
def worker(seconds):
    while True:
        coro.sleep_relative(seconds)
for number in range(3):
    coro.spawn(worker, 0.1 + number, thread_name=f"worker-{number}")
coro.spawn(ticker, thread_name="ticker")
"""


@dataclass
class Damage:
    """What an attack did: seconds and MiB."""

    lag_s: float
    attempts: int
    growth_mib: float
    peak_mib: float
    worst_answer_s: float

    def __str__(self) -> str:
        return (
            f"lag {self.lag_s * 1e3:.1f} ms (attempt {self.attempts} of {ATTEMPTS}), "
            f"memory +{self.growth_mib:.1f} MiB, peak +{self.peak_mib:.1f} MiB, "
            f"slowest answer elsewhere {self.worst_answer_s * 1e3:.0f} ms"
        )


class Witness:
    """Another session, at work all the time in an OS thread of the test's."""

    def __init__(self, daemon: Any) -> None:
        self.worst_s = 0.0
        self.answers = 0
        # What hurt it.
        self._rpc = daemon.rpc()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def eval(self, code: str) -> str:
        """The repr of an expression in the daemon."""
        with self._lock:
            return str(self._rpc.eval(code))

    def _work(self) -> None:
        try:
            while not self._stopping.wait(0.02):
                began = time.monotonic()
                answer = self.eval("6 * 7")
                assert answer == "42", answer
                self.answers += 1
                self.worst_s = max(self.worst_s, time.monotonic() - began)
        except BaseException as error:
            self.error = error

    def stop(self) -> None:
        """End it."""
        self._stopping.set()
        self._thread.join(15)
        self._rpc.__exit__()


def _memory_kib(pid: int, field: str) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition(f"{field}:")[2].split()[0])


def _worst_lag(witness: Witness) -> float:
    return float(witness.eval("__import__('__main__').worst_lag"))


def _await_no_session_but(witness: Witness, count: int) -> None:
    until(lambda: int(witness.eval("len(__import__('__main__').backdoor.host.sessions)")) <= count, SETTLE_S)


@contextmanager
def watched(daemon: Any) -> Iterator[Witness]:
    """Another session is at work meanwhile, and must get its answers."""
    witness = Witness(daemon)
    try:
        yield witness
        # Still at work after the attack.
        before = witness.answers
        until(lambda: witness.answers > before or witness.error is not None)
    finally:
        witness.stop()
    assert witness.error is None, f"another session was hurt: {witness.error!r}"


def siege(
    daemon: Any,
    attack: Callable[[], object],
    *,
    growth_mib: float = MAX_GROWTH_MIB,
    peak_mib: float | None = None,
    sessions_left: int = 1,
) -> Damage:
    """Attack, and check what the others noticed: no lag of 50 ms, no memory kept, no descriptor, no session.

    The attack is repeated, three times in all, if a lag was measured: the machine's noise does not come three
    times.  Memory is compared with what it was before the first of these.
    """
    with watched(daemon) as witness:
        # What is made once, at first use, is not the attack's doing.
        with daemon.connect() as sock:
            sock.sendall(b":lag\n1/0\nquit\n")
            read_to_end(sock)
        _await_no_session_but(witness, sessions_left)
        descriptors = daemon.descriptors()
        before = _memory_kib(daemon.pid, "VmRSS")
        Path(f"/proc/{daemon.pid}/clear_refs").write_text("5")
        lags: list[float] = []
        while not lags or (lags[-1] >= MAX_LAG_S and len(lags) < ATTEMPTS):
            witness.eval("__import__('__main__').__dict__.__setitem__('worst_lag', 0.0)")
            attack()
            lags.append(_worst_lag(witness))
            _await_no_session_but(witness, sessions_left)
        peak = (_memory_kib(daemon.pid, "VmHWM") - before) / 1024
        with suppress(AssertionError):
            until(lambda: _memory_kib(daemon.pid, "VmRSS") - before <= growth_mib * 1024)
        growth = (_memory_kib(daemon.pid, "VmRSS") - before) / 1024
        damage = Damage(lags[-1], len(lags), growth, peak, witness.worst_s)
    print(damage)
    assert lags[-1] < MAX_LAG_S, f"the daemon's other threads waited, each time: {lags}"
    assert growth <= growth_mib, f"memory grew by {growth:.1f} MiB"
    assert peak_mib is None or peak <= peak_mib, f"memory grew by {peak:.1f} MiB for a while"
    until(lambda: daemon.descriptors() <= descriptors)
    assert daemon.process.poll() is None, daemon.errors()
    assert "Traceback" not in daemon.errors(), daemon.errors()
    return damage


def until(condition: Callable[[], object], timeout: float = 5.0) -> None:
    """Wait for a condition; fail after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "this did not come true in time"
        time.sleep(0.01)


def read_until(sock: socket.socket, end: bytes) -> bytes:
    """Read up to and with `end`."""
    data = b""
    while not data.endswith(end):
        piece = sock.recv(65536)
        assert piece, f"the connection ended after {data!r}"
        data += piece
    return data


def read_to_end(sock: socket.socket) -> bytes:
    """All that comes until the daemon ends the connection, by closing it or by a reset."""
    data = b""
    with suppress(ConnectionResetError):
        while piece := sock.recv(65536):
            data += piece
    return data


def send_all(sock: socket.socket, data: bytes) -> bool:
    """Send; False if the daemon ended the connection before it had all."""
    try:
        sock.sendall(data)
    except (BrokenPipeError, ConnectionResetError):
        return False
    return True


def reset(sock: socket.socket) -> None:
    """Close at once, with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def refusals(daemon: Any) -> list[str]:
    """The audit's lines of refusals."""
    return [line for line in daemon.log().splitlines() if line.startswith("coro.audit WARNING refused")]
