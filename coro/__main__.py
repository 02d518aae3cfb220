"""`python -m coro`: run a program with the standard library's blocking calls on coro."""

from __future__ import annotations

import sys

from coro.emulation.running import run_command, run_module, run_path

__all__ = ["main"]

USAGE = """\
usage: python -m coro script.py [arguments]
       python -m coro -m module [arguments]
       python -m coro -c program [arguments]

Run a Python program on coro: its threads are coroutine threads, and what blocks in
the standard library (locks, sockets, sleeping, subprocesses) lets the others run.
"""


def main(arguments: list[str]) -> None:
    """Run the program that the arguments name.  Raises what leaves it, and SystemExit(2) for wrong usage."""
    if arguments[:1] in (["-h"], ["--help"]):
        sys.stdout.write(USAGE)
        return
    option = arguments[0] if arguments else ""
    if option in ("-m", "-c") and len(arguments) > 1:
        runner = run_module if option == "-m" else run_command
        runner(arguments[1], arguments[2:])
    elif not option or option.startswith("-"):
        what = f"unknown option or missing argument: {option}\n" if option else ""
        sys.stderr.write(f"{what}{USAGE}")
        raise SystemExit(2)
    else:
        run_path(option, arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
