"""The machine that measures: its cores, CPU clocks, memory, and what is installed on it.

All reads are cheap and none needs a package. Where the system offers no such figure the function says so in
its docstring; it never guesses.
"""

import dataclasses
import datetime
import importlib.metadata
import os
import platform
import resource
import sys
import time
from pathlib import Path

PEERS = ("gevent", "eventlet", "asyncio", "uvloop", "trio", "curio")
# Ourselves, as we are and with the accounting taken out.
OWN = ("coro", "unaccounted")
VERSIONED = ("coro", "greenlet", *(peer for peer in PEERS if peer != "asyncio"))
LIBRARIES = (*OWN, *PEERS)
# Above this share of busy or waited-for cores other work distorts caches and clock rates, not only wall time.
BUSY_SHARE = 0.25
# More than any row needs, and less than any kernel refuses.
MOST_DESCRIPTORS = 65_536


@dataclasses.dataclass(frozen=True, slots=True)
class Machine:
    """What the numbers of a run depend on. A version of None means: not installed."""

    python: str
    system: str
    processor: str
    cores: int
    worker_core: int | None
    client_core: int | None
    load_average: float
    versions: dict[str, str | None]


def cores() -> list[int]:
    """Return the cores this process may use, empty where the system cannot pin a process."""
    if sys.platform != "linux":
        return []
    return sorted(os.sched_getaffinity(0))


def worker_core() -> int | None:
    """Return the core for workers and servers, None if there are not two to choose from."""
    usable = cores()
    return usable[-1] if len(usable) > 1 else None


def client_core() -> int | None:
    """Return the core for the echo client, None if there are not two to choose from."""
    usable = cores()
    return usable[0] if len(usable) > 1 else None


def pin(core: int | None) -> None:
    """Keep this process on one core. None leaves it where the system puts it."""
    if core is not None:
        os.sched_setaffinity(0, {core})


def cpu_ns(pid: int) -> int:
    """Return the CPU time of a process (user + system, all OS threads, ended ones too), in nanoseconds.

    Linux only. Raises OSError if there is no such process.
    """
    # The kernel's clock id of a process: its inverted pid over three bits, 2 for the scheduler's exact one.
    # clock_getcpuclockid(3) computes the same; /proc/PID/stat would only count in steps of 10 ms.
    return time.clock_gettime_ns(~pid << 3 | 2)


def waited_ns(pid: int) -> int:
    """Return how long the first OS thread of a process waited for a core, 0 where the system is silent."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1])
    except FileNotFoundError:
        return 0


def resident_bytes() -> int:
    """Return the resident memory of this process. Linux only."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def descriptor_limit() -> int:
    """Return how many descriptors a process may open once its soft limit is raised."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)


def raise_descriptor_limit() -> None:
    """Raise the soft limit of open descriptors as far as `descriptor_limit()`; never lowers it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < descriptor_limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptor_limit(), hard))


def installed_version(distribution: str) -> str | None:
    """Return the version of an installed distribution, None if there is none."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def processor_name() -> str:
    """Return the processor's model name, or its architecture where the system does not name the model."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except FileNotFoundError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def today() -> str:
    """Return the date, in UTC, as YYYY-MM-DD."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def describe() -> Machine:
    """Return a description of this machine as it is now."""
    return Machine(
        python=f"{platform.python_implementation()} {platform.python_version()}",
        # Without what a builder of kernels appends to the number.
        system=f"{platform.system()} {platform.release().partition('-')[0]}",
        processor=processor_name(),
        cores=len(cores()) or os.cpu_count() or 1,
        worker_core=worker_core(),
        client_core=client_core(),
        load_average=os.getloadavg()[0],
        versions={name: installed_version(name) for name in VERSIONED},
    )
