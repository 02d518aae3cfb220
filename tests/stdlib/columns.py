"""The columns of the table: how a process of each is started, and whose threads and sockets it must have.

Each runs the same program, `tests.stdlib.child`; only what is installed before it differs.
"""

import importlib
import importlib.metadata
import inspect
import operator
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

CHILD = "tests.stdlib.child"
# What tells that a column is what it says: where threads start, and the lowest layers of what else waits.
OWNED = (
    "_thread.start_new_thread",
    "time.sleep",
    "socket.socket",
    "select.select",
    "select.poll",
    "ssl.SSLContext.sslsocket_class",
)
PACKAGES = ("coro", "gevent")


@dataclass(frozen=True, slots=True)
class Column:
    """One way to run the tests.

    owner: the package that what is named in OWNED must come from, "" for the interpreter itself.
    options: what stands between the interpreter and the program's arguments.
    """

    name: str
    owner: str
    options: tuple[str, ...]
    version: Callable[[], str]

    def command(self, *arguments: str) -> list[str]:
        """The command line that runs the program in this column."""
        return [sys.executable, *self.options, *arguments]

    def check(self) -> None:
        """Raise AssertionError if something in this process is not of this column."""
        for name in OWNED:
            module, _, path = name.partition(".")
            value = operator.attrgetter(path)(importlib.import_module(module))
            owner = owner_of(value)
            if owner != self.owner:
                raise AssertionError(
                    f"column {self.name}: {name} must be {self.owner or 'the interpreter'}'s, it is {value!r}, "
                    f"{owner or 'the interpreter'}'s"
                )


def owner_of(value: Any) -> str:
    """The package that a function or a class comes from, "" for the standard library.

    A name of a module does not tell: what stands in for another may bear the other's.  The functions' globals do.
    """
    parts = [value, *vars(value).values()] if isinstance(value, type) else [value]
    for part in parts:
        function = inspect.unwrap(part)
        module = getattr(function, "__globals__", {}).get("__name__") or getattr(function, "__module__", None) or ""
        package = str(module).partition(".")[0]
        if package in PACKAGES:
            return package
    return ""


COLUMNS = {
    column.name: column
    for column in (
        Column("plain", "", ("-m", CHILD), platform.python_version),
        Column("ours", "coro", ("-m", "coro", "-m", CHILD), lambda: importlib.metadata.version("coro")),
        Column(
            "gevent",
            "gevent",
            ("-m", "gevent.monkey", "--module", CHILD),
            lambda: importlib.metadata.version("gevent"),
        ),
    )
}
