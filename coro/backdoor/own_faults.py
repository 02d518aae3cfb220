"""Faults of the backdoor's own, which no session may die of: told to the peer, and logged with their traceback."""

from __future__ import annotations

import logging
from typing import Final

from coro.backdoor.safe_repr import describe_error
from coro.stderr import default_hook_failed
from coro.wire.escape import printable

__all__ = ["report_own_fault"]

logger = logging.getLogger("coro.backdoor")

# Kinds of faults whose traceback was logged; a client may cause one again and again.
MAX_KINDS: Final = 100
_kinds: set[tuple[type, str, int]] = set()


def report_own_fault(what: str, error: Exception) -> str:
    """Log what failed; returns a line for the peer.  The traceback is logged once for each place and class.

    what: what was being done, any text.  In the loop's OS thread; does not yield.
    """
    told = printable(describe_error(error))
    kind = _kind_of(error)
    is_new = kind not in _kinds and len(_kinds) < MAX_KINDS
    if is_new:
        _kinds.add(kind)
    try:
        logger.error(
            "the backdoor failed at %s: %s", printable(what[:200]), told, exc_info=error if is_new else None
        )
    except Exception as failure:
        # Logging is the application's; a handler that fails must not end the session after all.
        default_hook_failed("log of the backdoor", failure)
    return f"internal error: {told}; the daemon's log has the traceback"


def _kind_of(error: Exception) -> tuple[type, str, int]:
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None:
        return type(error), "", 0
    return type(error), traceback.tb_frame.f_code.co_filename, traceback.tb_lineno
