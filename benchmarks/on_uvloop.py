"""The workloads of `on_asyncio`, on uvloop."""

from collections.abc import Sequence

import uvloop

from benchmarks.on_asyncio import SCENARIOS
from benchmarks.report import Sample


def run(scenario: str, arguments: Sequence[int]) -> Sample:
    """Run one scenario of `on_asyncio` to its end on uvloop."""
    sample: Sample = uvloop.run(SCENARIOS[scenario](*arguments))
    return sample
