"""Where our own scenarios spend their CPU time: `python -m benchmarks.profile [NAME ...]`; all without names.

It is a sampling profile: every millisecond of CPU time the kernel sends SIGPROF, and the handler notes the line
that runs. The interpreter calls it at the next call or jump, so a line stands for what happens from its last
call or jump to the next; a system call is charged to the line that makes it. Unlike a tracing profile it
does not make calls dearer than they are.
"""

import argparse
import collections
import dataclasses
import json
import linecache
import os
import resource
import signal
import sys
import types
from collections.abc import Mapping
from pathlib import Path

from benchmarks import on_coro
from benchmarks.machine import pin, raise_descriptor_limit
from benchmarks.measurement import MeasurementError, profiled
from benchmarks.results import HotSpot, Profile
from benchmarks.rows import Contender, Load, smaller

INTERVAL_S = 0.001
SHOWN_LINES = 12
ROOT = Path(__file__).resolve().parent.parent


@dataclasses.dataclass(frozen=True, slots=True)
class Scenario:
    """What is profiled, and its name for people."""

    title: str
    contender: Contender


SCENARIOS: Mapping[str, Scenario] = {
    "echo": Scenario("echo, 100 connections", Contender("coro", "coro", "echo", load=Load(100, 250, 3000))),
    "spawn": Scenario("spawn, run, end, join: batches of 1000", Contender("coro", "coro", "spawns", (2000, 1000))),
    "sleepers": Scenario("50 000 threads that sleep", Contender("coro", "coro", "sleepers", (50_000, 2000))),
    "yield": Scenario("yield, 1000 threads", Contender("coro", "coro", "yields", (1000, 3000))),
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status, 1 if a scenario failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__.partition(":")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SCENARIOS)}")
    names = parser.parse_args(arguments).names or list(SCENARIOS)
    unknown = sorted(set(names) - SCENARIOS.keys())
    if unknown:
        parser.error(f"no scenario {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    try:
        for name in names:
            print("\n".join(profile_lines(take(name))), flush=True)
    except MeasurementError as error:
        print(f"FAILED {error}", file=sys.stderr)
        return 1
    return 0


def take(name: str, *, tiny: bool = False) -> Profile:
    """Profile a scenario in a process of its own; `tiny` makes it a smoke test.

    Takes seconds. Raises MeasurementError.
    """
    scenario = SCENARIOS[name]
    document = profiled(smaller(scenario.contender) if tiny else scenario.contender)
    spots = tuple(HotSpot(**spot) for spot in document["spots"])
    return Profile(name, scenario.title, document["samples"], document["system_share"], spots)


def profile_lines(profile: Profile) -> list[str]:
    """Return the profile as lines of text."""
    width = max((len(spot.function) for spot in profile.spots), default=0)
    return [
        f"{profile.title}: {profile.samples} samples, {profile.system_share:.0%} of the CPU time in the kernel",
        *(f"  {spot.share:6.1%}  {spot.function.ljust(width)}  {spot.source}" for spot in profile.spots),
    ]


class Sampler:
    """Counts which line of this process runs, by CPU time."""

    def __init__(self) -> None:
        self.counts: collections.Counter[tuple[types.CodeType, int]] = collections.Counter()

    def start(self) -> None:
        """Begin to count."""
        signal.signal(signal.SIGPROF, self._note)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)

    def stop(self) -> None:
        """End counting."""
        signal.setitimer(signal.ITIMER_PROF, 0)

    def _note(self, _signum: int, frame: types.FrameType | None) -> None:
        if frame is not None:
            self.counts[frame.f_code, frame.f_lineno] += 1

    def document(self) -> dict[str, object]:
        """Return what was counted, as plain values."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        samples = self.counts.total()
        spots = [
            HotSpot(round(count / samples, 4), _function(code), linecache.getline(code.co_filename, line).strip())
            for (code, line), count in self.counts.most_common(SHOWN_LINES)
        ]
        return {
            "samples": samples,
            "system_share": round(usage.ru_stime / (usage.ru_stime + usage.ru_utime), 4),
            "spots": [dataclasses.asdict(spot) for spot in spots],
        }


def _function(code: types.CodeType) -> str:
    path = Path(code.co_filename)
    module = path.stem
    if path.is_relative_to(ROOT):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return f"{module}.{code.co_qualname.rpartition('.')[2]}()"


def work(core: int | None, scenario: str, arguments: list[int]) -> None:
    """Run a scenario in this process and print its profile; an echo server runs until it gets SIGTERM."""
    pin(core)
    raise_descriptor_limit()
    sampler = Sampler()

    def finish(*_: object) -> None:
        sampler.stop()
        print(json.dumps(sampler.document()), flush=True)
        os._exit(0)

    signal.signal(signal.SIGTERM, finish)
    sampler.start()
    on_coro.run(scenario, arguments)
    finish()


if __name__ == "__main__":
    sys.exit(main())
