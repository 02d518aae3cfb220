"""The backdoor: one door into a running daemon.

    coro.spawn(coro.backdoor.serve, unix_path="/run/mx/backdoor.sock")

or `backdoor = coro.backdoor.start()`, which listens on a Unix socket named by pid in the user's runtime directory.
Then at the shell: `coro ls`, `coro ps`, `coro attach`; or telnet, nc and socat.

Nothing of it is imported by `import coro`; everything that it needs is imported when this package is.
"""

from __future__ import annotations

from coro.backdoor.binding import BindRefused
from coro.backdoor.checks import check
from coro.backdoor.commands import CommandError, command, remove_command
from coro.backdoor.host import Limits
from coro.backdoor.server import Backdoor
from coro.backdoor.start import serve, start

__all__ = [
    # serving
    "Backdoor",
    "BindRefused",
    "Limits",
    "serve",
    "start",
    # an application's own
    "CommandError",
    "check",
    "command",
    "remove_command",
]
