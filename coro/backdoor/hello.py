"""Saying hello, to the loop's sessions and to the sentinel: who asks, and what he may do here."""

from __future__ import annotations

from typing import Any

from coro.backdoor.commands import known_commands
from coro.backdoor.executing import NotAllowed
from coro.backdoor.rpc_messages import hello_value
from coro.backdoor.session import Session

__all__ = ["say_hello"]


def say_hello(session: Session, params: dict[str, Any]) -> dict[str, Any]:
    """What hello answers; a session that has no role yet gets one by the token in `params`.

    From any OS thread, for the holder of the connection's claim or its reader.  Does not yield.
    Raises NotAllowed if the token is missing or wrong; whoever tells the peer audits it, too.
    """
    token = params.get("token")
    if not session.admit(token):
        raise NotAllowed("the token is wrong" if token else "a token is needed")
    names = [known.name for known in known_commands() if session.may(known.role)]
    return hello_value(session, names)
