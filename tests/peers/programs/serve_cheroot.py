"""cheroot: a pool of threads, one per connection that is being answered."""

from __future__ import annotations

from importlib.metadata import version

from cheroot.wsgi import Server
from measured import Options, run
from web_app import app, serve


def main(options: Options) -> int:
    """Serve until the clients are done."""
    server = Server(("127.0.0.1", 0), app, numthreads=options.threads, request_queue_size=options.threads)
    server.prepare()
    return serve(options, server.bind_addr[1], server.serve, server.stop)


if __name__ == "__main__":
    run(f"cheroot {version('cheroot')}", main)
