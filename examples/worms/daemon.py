"""The daemon: an arena, a telnet server for those who want to see it, a backdoor for those who look after it."""

from __future__ import annotations

import argparse
import os
import random
import sys

import coro
from examples.worms.arena import Arena
from examples.worms.colony import MAX_WORMS, Colony
from examples.worms.console import open_console
from examples.worms.view import Sessions, attend


def serve(options: argparse.Namespace) -> None:
    """Run the arena until the process is told to end; yields.  Raises OSError, ValueError."""
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
        print(f"{len(colony)} worms crawl there, each in a thread of its own; ? shows the keys.", flush=True)
        try:
            open_console(colony)
            print(f"Look into this daemon from another terminal:  coro -t {os.getpid()} attach", flush=True)
        except OSError as error:
            # Worms without a console are better than none.
            print(f"worms: no console: {error}", file=sys.stderr, flush=True)
        if options.until_eof:
            coro.spawn(end_at_eof, thread_name="end of input")
        else:
            print("Ctrl-C here ends it.", flush=True)
        server.join()
    finally:
        server.close()


def end_at_eof() -> None:
    """Wait until whoever holds the other end of stdin, a pipe, is gone, however he went; then end the process."""
    coro.wait_for_read(sys.stdin)
    coro.set_exit()
