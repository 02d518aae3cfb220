"""The command line of worms: serve the arena, or with --demo show it and its console."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable

import coro
from examples.worms import demo
from examples.worms.daemon import serve


def size(text: str) -> tuple[int, int]:
    """Read WIDTHxHEIGHT."""
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT, such as 160x50, got {text!r}")
    return int(found[1]), int(found[2])


def main(arguments: Iterable[str] | None = None) -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.worms", description="An arena of worms, over telnet, with a console."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address or name to listen at (%(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen at; 0, the default, takes a free one")
    parser.add_argument("--worms", type=int, default=200, help="how many there are at first (%(default)s)")
    parser.add_argument("--arena", type=size, default=(160, 50), metavar="WxH", help="its size (160x50)")
    parser.add_argument("--seed", type=int, help="the seed of the dice")
    parser.add_argument("--until-eof", action="store_true", help="end when stdin, a pipe, does")
    parser.add_argument(
        "--demo",
        action="store_true",
        help="serve in a process of its own, and open its console here; without a terminal: visit, look, and exit",
    )
    parser.add_argument("--frames", type=int, default=0, help="with --demo: print so many frames, look, and exit")
    options = parser.parse_args(arguments)
    try:
        if options.demo:
            sys.exit(demo.run(options))
        coro.run(serve, options)
    except (OSError, ValueError) as error:
        # A port that is taken, a size out of range ...
        sys.exit(f"worms: {error}")


if __name__ == "__main__":
    main()
