"""The command line of worms: serve the arena, and with --demo also look at it.

With --demo and a terminal to sit at, it serves until Ctrl-C.  Without one, as in a pipe or a nightly job,
nobody can join; so a scripted visitor does, over TCP like any other, and its frames are printed, with a table
of the threads that made them.
"""

from __future__ import annotations

import argparse
import itertools
import random
import re
import sys
from collections.abc import Iterable

import coro
from examples.worms.arena import Arena
from examples.worms.colony import MAX_WORMS, Colony
from examples.worms.view import Sessions, attend
from examples.worms.visitor import Visitor

# How long the visitor looks before each frame that it prints, in seconds.
LOOK_S = 0.8
THREADS_IN_TABLE = 25


def serve(options: argparse.Namespace) -> int:
    """Run the arena; returns the exit status."""
    if not 0 <= options.worms <= MAX_WORMS:
        raise ValueError(f"worms must be 0 to {MAX_WORMS}, got {options.worms}")
    dice = random.Random(options.seed)
    width, height = options.arena
    colony = Colony(Arena(width, height, dice), dice)
    server = coro.tcp_server((options.host, options.port), attend, colony, Sessions(), name="worms")
    try:
        host, port = server.address[:2]
        print(f"Join the worms from another terminal:  telnet {host} {port}", flush=True)
        colony.add(options.worms)
        print(f"{len(colony)} worms crawl there, each in a thread of its own.", flush=True)
        if options.demo and (options.frames or not is_terminal(sys.stdin)):
            return show(server.address, options.frames or 2)
        print("Press ? there for the keys, and Ctrl-C here to end.", flush=True)
        server.join()
        return 0
    finally:
        server.close()


def show(address: tuple[object, ...], frames: int) -> int:
    """Visit the arena, print what is to be seen there and the threads; returns the exit status."""
    shown: list[list[str]] = []
    with Visitor(address) as visitor:
        if not can_print("│●═▓"):
            visitor.press("u")
        for number in range(1, frames + 1):
            visitor.watch(LOOK_S)
            print(f"\nframe {number} of {frames}, after {number * LOOK_S:.1f} s:\n")
            in_colours = is_terminal(sys.stdout)
            print("\n".join(visitor.terminal.coloured_lines() if in_colours else visitor.terminal.lines()))
            # Without the status line, which counts frames in any case.
            shown.append(visitor.terminal.lines()[:-1])
        print_threads()
        visitor.press("q")
        if visitor.watch(LOOK_S):
            sys.exit("worms: the session did not end")
    if any(before == after for before, after in itertools.pairwise(shown)):
        sys.exit("worms: two frames are equal: nothing crawls")
    return 0


def print_threads() -> None:
    """Print a table of threads: the few that are no worms first, and then by run time."""
    threads = [coro.get_thread_by_id(thread_id) for thread_id in coro.all_threads]
    threads.sort(key=lambda thread: (thread.name.startswith("worm-"), -thread.run_time_ns))
    print(f"\n{'id':>5}  {'name':<20}  {'state':<9}  {'waiting for':<12}  {'run time':>10}")
    for thread in threads[:THREADS_IN_TABLE]:
        state = state_of(thread)
        waiting_for = thread.waiting_for if state == "waiting" else "-"
        run_time = f"{thread.run_time_ns / 1e6:.2f} ms"
        print(f"{thread.id:>5}  {thread.name:<20}  {state:<9}  {waiting_for:<12}  {run_time:>10}")
    if len(threads) > THREADS_IN_TABLE:
        print(f"       and {len(threads) - THREADS_IN_TABLE} more threads, {len(threads)} in all")
    print(flush=True)


def state_of(thread: coro.coro) -> str:
    """Where a thread stands, in one word."""
    if thread is coro.current():
        return "running"
    if thread.dead:
        return "dead"
    if thread.scheduled:
        return "runnable"
    return "waiting" if thread.started else "new"


def can_print(text: str) -> bool:
    """Whether stdout's encoding has these characters."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def is_terminal(stream: object) -> bool:
    """Whether a stream is a terminal; a closed one is None."""
    return bool(stream is not None and stream.isatty())  # type: ignore[attr-defined]


def size(text: str) -> tuple[int, int]:
    """Read WIDTHxHEIGHT."""
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT, such as 160x50, got {text!r}")
    return int(found[1]), int(found[2])


def main(arguments: Iterable[str] | None = None) -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m examples.worms", description="An arena of worms, over telnet.")
    parser.add_argument("--host", default="127.0.0.1", help="address or name to listen at (%(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen at; 0, the default, takes a free one")
    parser.add_argument("--worms", type=int, default=200, help="how many there are at first (%(default)s)")
    parser.add_argument("--arena", type=size, default=(160, 50), metavar="WxH", help="its size (160x50)")
    parser.add_argument("--seed", type=int, help="the seed of the dice")
    parser.add_argument("--demo", action="store_true", help="without a terminal on stdin: visit, print, and exit")
    parser.add_argument("--frames", type=int, default=0, help="with --demo: print so many frames and exit")
    options = parser.parse_args(arguments)
    try:
        sys.exit(coro.run(serve, options))
    except (OSError, ValueError) as error:
        # A port that is taken, a size out of range ...
        sys.exit(f"worms: {error}")


if __name__ == "__main__":
    main()
