"""Servers that need no package of Debian's: each a plain Python process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from tests.peers.debian import write_page
from tests.peers.server import python_server, temporary_folder


@contextlib.contextmanager
def http_server() -> Iterator[dict[str, Any]]:
    """`http.server`, serving one page of 1 KiB."""
    with temporary_folder() as folder:
        write_page(folder / "www")
        with python_server("http_server", str(folder / "www")) as peer:
            yield peer


@contextlib.contextmanager
def ssh_server() -> Iterator[dict[str, Any]]:
    """asyncssh's server, which lets the bearer of one key in."""
    with temporary_folder() as folder, python_server("ssh_server", str(folder)) as peer:
        yield {**peer, "user": "peer", "key": str(folder / "user_key")}


@contextlib.contextmanager
def websocket_server() -> Iterator[dict[str, Any]]:
    """websockets' asyncio server, which gives back what it gets."""
    with python_server("websocket_server") as peer:
        yield peer


@contextlib.contextmanager
def nobody() -> Iterator[dict[str, Any]]:
    """No peer: the program has all it needs."""
    yield {}
