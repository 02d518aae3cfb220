"""A process that is profiled: `python -m benchmarks.profile_worker CORE coro SCENARIO [ARGUMENT …]`.

As `benchmarks.worker`, but prints a profile; an echo server prints it when it gets SIGTERM.
"""

import sys

from benchmarks.profile import work


def main() -> None:
    """Run the command line."""
    core, _library, scenario, *arguments = sys.argv[1:]
    work(None if core == "-" else int(core), scenario, [int(argument) for argument in arguments])


if __name__ == "__main__":
    main()
