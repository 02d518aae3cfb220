"""gunicorn's parser and requests; what holds for all requests of a connection is found out once."""

from __future__ import annotations

from functools import partial
from typing import Any

from gunicorn.http import message, parser

__all__ = ["RequestParser"]


class RequestParser(parser.RequestParser):
    """The requests of one connection, for next().

    trust: which headers its peer may set, once the first request has asked.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.trust: Any = None
        self.mesg_class = partial(_Request, self)  # type: ignore[misc,assignment]


class _Request(message.Request):
    def __init__(self, connection: RequestParser, *arguments: Any) -> None:
        self._connection = connection
        # This reads from the client, and parses.
        super().__init__(*arguments)

    def _peer_trusted_for_forwarded(self) -> Any:
        connection = self._connection
        if connection.trust is None:
            connection.trust = super()._peer_trusted_for_forwarded()  # type: ignore[misc]
        return connection.trust
