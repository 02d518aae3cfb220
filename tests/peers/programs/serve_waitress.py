"""waitress: one thread that selects, and a pool of threads that run the application."""

from __future__ import annotations

import logging
from importlib.metadata import version

import waitress.server
from measured import Options, run
from web_app import app, serve


def main(options: Options) -> int:
    """Serve until the clients are done."""
    # It warns whenever a request has to wait for a thread, which is no fault; what stands on stderr is one here.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    server = waitress.server.create_server(
        app, host="127.0.0.1", port=0, threads=options.threads, connection_limit=options.threads + 10
    )
    try:
        return serve(options, server.effective_port, server.run, server.close)
    finally:
        server.task_dispatcher.shutdown()


if __name__ == "__main__":
    run(f"waitress {version('waitress')}", main)
