"""`http.server`, `http_server.py FOLDER`: serves the files of a folder; prints its port."""

from __future__ import annotations

import functools
import http.server
import sys


class Handler(http.server.SimpleHTTPRequestHandler):
    """Keeps connections, and says nothing."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


class Server(http.server.ThreadingHTTPServer):
    """Holds as many that knock at once as there are clients."""

    request_queue_size = 500


if __name__ == "__main__":
    with Server(("127.0.0.1", 0), functools.partial(Handler, directory=sys.argv[1])) as server:
        print(server.server_port, flush=True)
        server.serve_forever()
