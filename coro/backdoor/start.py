"""Opening the backdoor: `serve`, with Shrapnel's signature, and `start`."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from coro.backdoor import routing
from coro.backdoor.audit import Audit
from coro.backdoor.binding import bind_tcp, bind_unix
from coro.backdoor.evaluation import default_namespace
from coro.backdoor.host import Host, Limits
from coro.backdoor.interrupting import strikes
from coro.backdoor.listening import ListeningSocket
from coro.backdoor.preloaded import PRELOADED
from coro.backdoor.roles import Roles
from coro.backdoor.server import Backdoor
from coro.backdoor.socket_mode import check_mode, checked_group
from coro.backdoor.tokens import load_token
from coro.inspect import start_recording, stop_recording
from coro.inspect.dead import leave_out
from coro.scheduler import scheduler
from coro.wire.places import default_socket_path
from coro.wire.protocol import Role

__all__ = ["PRELOADED", "serve", "start"]

logger = logging.getLogger("coro.backdoor")

_open: weakref.WeakSet[Backdoor] = weakref.WeakSet()
_fork_hook_is_registered = False
# The dead are recorded because of us, not of the application.
_records_the_dead = False


def start(
    *,
    unix_path: str | os.PathLike[str] | None = None,
    port: int | Iterable[int] | None = None,
    ip: str = "127.0.0.1",
    welcome_message: str | None = None,
    global_dict: dict[str, Any] | None = None,
    client_class: Callable[..., Any] | None = None,
    token_file: str | os.PathLike[str] | None = None,
    allow_remote: bool = False,
    roles: Mapping[str, Role] | None = None,
    mode: int = 0o600,
    group: int | str | None = None,
    eval: bool = True,
    limits: Limits | None = None,
) -> Backdoor:
    """Open the backdoor, and return it: it has `.address` and `.close()`.

    unix_path: where its socket is made.  port: TCP port, or several, of which the first free one is
        taken; 0 has the kernel choose.  With neither, a Unix socket named by pid in the user's runtime directory.
    ip: a loopback address, unless `allow_remote` and there is a token.
    welcome_message: the text console's first line.
    global_dict: the names at the prompt; None for a copy of `__main__`'s, as Shrapnel.
    client_class: what runs a text connection in place of the console, as Shrapnel's hook: called with (socket, line
        separator, welcome message, names), its read_eval_print_loop() does all the talking.
    token_file: a file of mode 0600 with the token that a TCP peer needs whose uid cannot be known; None takes the
        environment's CORO_TOKEN, if any.
    roles: {"uid:1000" | "gid:33" | "user:NAME" | "group:NAME" | "token": "observe" | "operate" | "eval"}; root and
        the daemon's own uid may do everything anyway.
    mode, group: of the Unix socket's file; others than its owner are let in by `mode` only with `roles`, for what
        they may do there.  group: a gid or a name; None leaves the daemon's own.
    eval: False turns the Python prompt off, for everybody.
    limits: None for the defaults.

    May be called before the loop runs; connections are answered when it does.  The backdoor is closed when the loop
    ends.  Does not yield.
    Raises BindRefused (an OSError), ValueError, TypeError.
    """
    limits = limits or Limits()
    gid = checked_group(group)
    check_mode(mode, gid, has_roles=bool(roles))
    if global_dict is not None and not isinstance(global_dict, dict):
        raise TypeError(f"global_dict must be a dict or None, got {type(global_dict).__name__}")
    token = load_token(token_file)
    backdoor = Backdoor(
        Host(
            audit=Audit(token=token),
            roles=Roles(roles, eval_allowed=eval),
            token=token,
            namespace=default_namespace() if global_dict is None else global_dict,
            limits=limits,
            welcome_message=welcome_message,
            eval_allowed=eval,
            client_class=client_class,
        ),
        _listeners(unix_path, port, ip, allow_remote, token is not None, mode, gid),
    )
    _register_fork_hook()
    _opened(backdoor)
    backdoor.open()
    return backdoor


def serve(
    port: int | Iterable[int] | None = None,
    ip: str = "127.0.0.1",
    unix_path: str | os.PathLike[str] | None = None,
    welcome_message: str | None = None,
    global_dict: dict[str, Any] | None = None,
    client_class: Callable[..., Any] | None = None,
    **options: Any,
) -> None:
    """Open the backdoor and stay until it is closed: `coro.spawn(coro.backdoor.serve, ...)`.

    Parameters as start(), in Shrapnel's order; Shrapnel listened on all interfaces unless told otherwise, this does
    not.  A failure to bind is logged as an error and ends only this call: the daemon goes on without its backdoor.
    Yields.  Raises ValueError and TypeError for parameters that make no sense.
    """
    try:
        backdoor = start(
            unix_path=unix_path,
            port=port,
            ip=ip,
            welcome_message=welcome_message,
            global_dict=global_dict,
            client_class=client_class,
            **options,
        )
    except OSError as error:
        logger.error("no backdoor: %s", error)
        return
    with backdoor:
        backdoor.join()


def _listeners(
    unix_path: str | os.PathLike[str] | None,
    port: int | Iterable[int] | None,
    ip: str,
    allow_remote: bool,
    has_token: bool,
    mode: int,
    gid: int | None,
) -> list[ListeningSocket]:
    if unix_path is None and port is None:
        unix_path = default_socket_path(os.getpid())
    listeners = []
    try:
        if unix_path is not None:
            place = bind_unix(unix_path, mode=mode, gid=gid)
            listeners.append(ListeningSocket(place))
            if place.registration_fault is not None:
                logger.warning(
                    "the backdoor's socket %s cannot be found by pid or by `coro ls`, only by its path: %s",
                    place.path,
                    place.registration_fault,
                )
        if port is not None:
            bound = bind_tcp(ip, port, allow_remote=allow_remote, has_token=has_token)
            listeners.append(ListeningSocket(bound))
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _opened(backdoor: Backdoor) -> None:
    """Record the dead while a backdoor is open."""
    global _records_the_dead
    leave_out(os.path.join(os.path.dirname(_opened.__code__.co_filename), ""))
    if scheduler.obituary is None:
        # Else the application records already, perhaps more of them than we would.
        _records_the_dead = True
        start_recording()
    _open.add(backdoor)
    backdoor.at_close.append(_closed)


def _closed(backdoor: Backdoor) -> None:
    """The last one takes back what the first has set up."""
    global _records_the_dead
    _open.discard(backdoor)
    if _records_the_dead and not _open:
        _records_the_dead = False
        stop_recording()


def _register_fork_hook() -> None:
    global _fork_hook_is_registered
    if not _fork_hook_is_registered:
        _fork_hook_is_registered = True
        os.register_at_fork(after_in_child=_after_in_child)


def _after_in_child() -> None:
    """The child serves nothing and keeps no session."""
    routing.abandon()
    strikes.lines.clear()
    strikes.wanted.clear()
    for backdoor in list(_open):
        backdoor.forget()
