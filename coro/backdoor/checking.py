"""A check, answered by the loop or, if that takes longer than 0.25 s, by the sentinel.

Whoever takes the ticket out of the host's table answers; the other finds it gone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from coro.backdoor.commands import CommandError, find
from coro.backdoor.host import Ticket
from coro.backdoor.session import Session
from coro.wire.arguments import check
from coro.wire.commands import COMMANDS
from coro.wire.encode import to_plain

__all__ = ["check_parameters", "health_in_time"]


def check_parameters(params: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a check, with the defaults.  Raises UsageError."""
    return check(COMMANDS["check"], params)


def health_in_time(
    session: Session,
    params: dict[str, Any],
    encode: Callable[[dict[str, Any]], bytes],
    send: Callable[[bytes], object],
) -> dict[str, Any] | None:
    """Judge the daemon's health and send it; None if the sentinel has done so.  Yields.

    params: checked already by check_parameters(), or {} for the defaults.  send: writes the answer.
    Raises CommandError, ConnectionLost.
    """
    host = session.host
    parameters = params or check_parameters({})
    number = host.add_ticket(Ticket(session, parameters, encode))
    try:
        health = to_plain(find("check").run(session, parameters))
    except Exception as error:
        if host.tickets.pop(number, None) is None:
            return None
        raise CommandError(str(error)) from error
    except BaseException:
        host.tickets.pop(number, None)
        raise
    if host.tickets.pop(number, None) is None:
        return None
    send(encode(health))
    return health  # type: ignore[no-any-return]
