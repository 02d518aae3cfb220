"""A measuring process: `python -m benchmarks.worker CORE LIBRARY SCENARIO [ARGUMENT …]`.

It imports one library only, runs one scenario once and prints one line: the sample, or the port of an echo
server, which then serves until it is killed. CORE is `-` for no pinning. It knows no rows and no bounds.
"""

import dataclasses
import importlib
import os
import sys
import time

from benchmarks.machine import LIBRARIES, pin, raise_descriptor_limit, waited_ns
from benchmarks.report import Sample


def work(library: str, scenario: str, arguments: list[int]) -> Sample:
    """Run the scenario and add how long this process waited for its core.

    Raises ValueError for an unknown library, and whatever the scenario raises.
    """
    if library not in LIBRARIES:
        raise ValueError(f"library must be one of {', '.join(LIBRARIES)}, got {library!r}")
    module = importlib.import_module(f"benchmarks.on_{library}")
    sample: Sample = module.run(scenario, arguments)
    return dataclasses.replace(sample, waited=waited_ns(os.getpid()) / time.process_time_ns())


def main() -> None:
    """Run the command line, print the sample and end the process."""
    core, library, scenario, *arguments = sys.argv[1:]
    pin(None if core == "-" else int(core))
    raise_descriptor_limit()
    sample = work(library, scenario, [int(argument) for argument in arguments])
    print(sample.to_line(), flush=True)
    # Taking thousands of sleeping threads apart at interpreter exit is slow and no part of the measurement.
    os._exit(0)


if __name__ == "__main__":
    main()
