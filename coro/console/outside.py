"""What the system shows of a process that does not answer: its state, CPU use and where in the kernel it waits.

Invariant: reads /proc only and never fails; what cannot be read is None, as all is elsewhere than on Linux.
The main OS thread stands for the daemon: its loop runs there, normally.
"""

from __future__ import annotations

import itertools
import os
import time
from dataclasses import dataclass
from typing import Final

__all__ = ["Outside", "Watcher", "command_line", "is_alive", "listener_of", "process_age"]

_STATES: Final = {
    "R": "running",
    "S": "sleeping",
    "D": "in uninterruptible sleep",
    "T": "stopped by a signal",
    "t": "stopped by a debugger",
    "Z": "a zombie",
    "X": "dead",
    "I": "idle",
}
# utime, stime and starttime: fields 14, 15 and 22 of proc_pid_stat(5), counted from the state, which is field 3.
_UTIME, _STIME, _STARTTIME = 11, 12, 19


@dataclass(frozen=True, slots=True)
class Outside:
    """A process as others see it.

    state: the letter of proc_pid_stat(5).  cpu: CPU time divided by time, 1.0 for one core; None if too little time
    passed to tell.  wait_channel: a kernel function; None while it runs or where the kernel does not tell.
    tracer: the pid of its debugger.
    """

    pid: int
    command: str | None
    state: str | None
    cpu: float | None
    wait_channel: str | None
    tracer: int | None

    def text(self) -> str:
        """One line for people, such as "pid 42 (mx.py) is stopped by a signal (state T), CPU 0%"."""
        from coro.wire.escape import printable

        who = f"pid {self.pid}" + (f" ({printable(self.command)})" if self.command else "")
        if self.state is None:
            return f"{who}, of which the system shows nothing"
        parts = [f"{who} is {_STATES.get(self.state, 'in an unknown state')} (state {self.state})"]
        if self.tracer:
            parts.append(f"traced by pid {self.tracer}")
        if self.cpu is not None:
            parts.append(f"CPU {self.cpu:.0%}")
        if self.wait_channel:
            parts.append(f"wait channel {printable(self.wait_channel)}")
        return ", ".join(parts)


class Watcher:
    """Looks at a process twice: when made, and when asked, so that its CPU use in between is known."""

    # The kernel counts in ticks of 10 ms; less than five of them say nothing.
    SHORTEST_S = 0.05

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._began = time.monotonic()
        self._cpu_s = _cpu_seconds(_stat(pid))

    def look(self) -> Outside:
        """What the system shows now."""
        fields = _stat(self._pid)
        elapsed_s = time.monotonic() - self._began
        cpu_s = _cpu_seconds(fields)
        cpu = None
        if cpu_s is not None and self._cpu_s is not None and elapsed_s >= self.SHORTEST_S:
            cpu = max(0.0, cpu_s - self._cpu_s) / elapsed_s
        channel = _read(f"/proc/{self._pid}/wchan").strip()
        return Outside(
            pid=self._pid,
            command=command_line(self._pid),
            state=fields[0] if fields else None,
            cpu=cpu,
            wait_channel=channel if channel not in ("", "0") else None,
            tracer=_status_number(self._pid, "TracerPid") or None,
        )


def command_line(pid: int) -> str | None:
    """What runs there, in a word: the script's name if Python runs one, else the program's."""
    words = [word for word in _read(f"/proc/{pid}/cmdline").split("\0") if word]
    if not words:
        return _read(f"/proc/{pid}/comm").strip() or None
    program = os.path.basename(words[0])
    if program.startswith("python"):
        for previous, word in itertools.pairwise(words):
            if previous == "-m" or not word.startswith("-"):
                return os.path.basename(word) if previous != "-c" and word != "-c" else program
    return program


def is_alive(pid: int) -> bool:
    """Whether there is such a process, and not only what its parent has still to take note of."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        # Somebody else's.
        pass
    return _stat(pid)[:1] not in (["Z"], ["X"])


def process_age() -> float | None:
    """For how long this process has existed, in seconds, to 10 ms; None where that cannot be known."""
    fields = _stat(os.getpid())
    if not fields:
        return None
    started_s = int(fields[_STARTTIME]) / os.sysconf("SC_CLK_TCK")
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started_s)


def listener_of(path: str, deadline: float) -> int | None:
    """The pid of the process that listens at a Unix socket, for when it cannot be asked; None if it is not found.

    Reads the descriptors of all processes that we may see, until the deadline (monotonic).
    """
    inodes = set()
    for line in _read("/proc/net/unix").splitlines()[1:]:
        fields = line.split(None, 7)
        # Flags 00010000: __SO_ACCEPTCON, it listens.
        if len(fields) == 8 and fields[7] == path and int(fields[3], 16) & 0x10000:
            inodes.add(f"socket:[{fields[6]}]")
    if not inodes:
        return None
    for pid in sorted((int(name) for name in _names("/proc") if name.isdecimal()), reverse=True):
        for fd in _names(f"/proc/{pid}/fd"):
            if time.monotonic() > deadline:
                return None
            try:
                if os.readlink(f"/proc/{pid}/fd/{fd}") in inodes:
                    return pid
            except OSError:
                continue
    return None


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; [] if it is gone."""
    # The second field is the name in parentheses, which may hold blanks and parentheses.
    return _read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def _cpu_seconds(fields: list[str]) -> float | None:
    if not fields:
        return None
    return (int(fields[_UTIME]) + int(fields[_STIME])) / os.sysconf("SC_CLK_TCK")


def _status_number(pid: int, name: str, index: int = 0) -> int | None:
    for line in _read(f"/proc/{pid}/status").splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[index])
    return None
