"""The workloads of `on_coro`, on the runtime without its accounting."""

import importlib
from collections.abc import Sequence

from benchmarks import unaccounted
from benchmarks.report import Sample


def run(scenario: str, arguments: Sequence[int]) -> Sample:
    """Run one scenario of `on_coro`.  Raises RuntimeError if `coro` was imported before."""
    unaccounted.install()
    # Not at the top: the import must come after the changes.
    sample: Sample = importlib.import_module("benchmarks.on_coro").run(scenario, arguments)
    return sample
