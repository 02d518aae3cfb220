"""werkzeug's own server: a thread per connection."""

from __future__ import annotations

import logging
from importlib.metadata import version

from measured import Options, run
from web_app import app, serve
from werkzeug.serving import WSGIRequestHandler, make_server


class Handler(WSGIRequestHandler):
    """Keeps connections."""

    protocol_version = "HTTP/1.1"


def main(options: Options) -> int:
    """Serve until the clients are done."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Handler)
    try:
        return serve(options, server.server_port, server.serve_forever, server.shutdown)
    finally:
        server.server_close()


if __name__ == "__main__":
    run(f"werkzeug {version('werkzeug')}", main)
