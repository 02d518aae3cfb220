"""Every place of the runtime that makes a system call, read from its source.

A site is (module, function, call).  Calls have one name each, however they are written: "os.read", "sock.recv" for
the methods of the socket's C class, "epoll.poll", "file.write".  A function that is handed on to be called counts
where it is named.
"""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

from tests.test_layers import LAYERS, ROOT

Site = tuple[str, str, str]

LIBRARIES = {"os", "socket", "_socket", "select", "signal", "time", "fcntl", "_thread"}
# Classes whose making is a system call.
MAKERS = {"socket.socket": "sock.__init__", "select.epoll": "select.epoll"}
SOCKET_METHODS = {
    *("accept", "_accept", "bind", "connect", "connect_ex", "detach", "getpeername", "getsockname", "getsockopt"),
    *("listen", "recv", "recv_into", "recvfrom", "recvfrom_into", "recvmsg", "recvmsg_into", "send", "sendall"),
    *("sendmsg", "sendto", "setblocking", "setsockopt", "settimeout", "shutdown", "_real_close", "__init__"),
}
# Those that coro's own sockets leave as they are: whoever calls them makes the system call.
INHERITED_METHODS = {"getpeername", "getsockname", "getsockopt", "listen", "setsockopt", "shutdown"}
# The layers that make system calls on behalf of the user, and one file that this system cannot run.
FIRST_LAYER, LAST_LAYER = 1, 4
NOT_HERE = {"coro.poller.kqueue": "tests/poller runs it over a simulated kernel, which can fail"}


def runtime_modules() -> dict[str, Path]:
    """Dotted name to file, of the modules of the layers in question."""
    found = {}
    for layer in range(FIRST_LAYER, LAST_LAYER + 1):
        for name in LAYERS[layer].split():
            package = ROOT / "coro" / name
            for path in sorted(package.rglob("*.py")) or [package.with_suffix(".py")]:
                parts = path.relative_to(ROOT).with_suffix("").parts
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return {name: path for name, path in found.items() if name not in NOT_HERE and path.exists()}


def call_sites() -> set[Site]:
    """All of them."""
    sites: set[Site] = set()
    for name, path in runtime_modules().items():
        reader = _Reader(name)
        reader.visit(ast.parse(path.read_text(encoding="utf-8")))
        sites |= reader.found
    return sites


class _Reader(ast.NodeVisitor):
    """Reads one module."""

    def __init__(self, module: str) -> None:
        self.module = module
        # Local name -> what it stands for: "os", "socket.getaddrinfo", "sock.recv".
        self.names: dict[str, str] = {}
        self.scope: list[str] = []
        self.in_function = False
        self.found: set[Site] = set()

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.name in LIBRARIES:
                self.names[alias.asname or alias.name] = alias.name

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.module in LIBRARIES:
            for alias in node.names:
                self.names[alias.asname or alias.name] = f"{node.module}.{alias.name}"

    def visit_Assign(self, node: ast.Assign) -> None:
        if not self.scope and isinstance(node.targets[0], ast.Name):
            parts = ast.unparse(node.value).split(".")
            if parts[:2] == ["_socket", "socket"] and len(parts) == 3:
                self.names[node.targets[0].id] = f"sock.{parts[2]}"
                return
        self.visit(node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._inside([node.name], node.body)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        outer, self.in_function = self.in_function, True
        self._inside(["<locals>", node.name] if outer else [node.name], node.body)
        self.in_function = outer

    def _inside(self, names: list[str], body: list[ast.stmt]) -> None:
        self.scope += names
        for statement in body:
            self.visit(statement)
        del self.scope[len(self.scope) - len(names) :]

    def visit_Call(self, node: ast.Call) -> None:
        function = node.func
        if isinstance(function, ast.Attribute):
            self._note(MAKERS.get(self._dotted(function)))
            self._note(_method_call(function))
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._note_function(self._dotted(node))
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        self._note_function(self.names.get(node.id, ""))

    def _dotted(self, node: ast.Attribute) -> str:
        """ "os.read" for an attribute of a library, "" for any other."""
        library = self.names.get(node.value.id, "") if isinstance(node.value, ast.Name) else ""
        return f"{library}.{node.attr}" if library in LIBRARIES else ""

    def _note_function(self, dotted: str) -> None:
        library, _, name = dotted.partition(".")
        if library == "sock":
            self._note(dotted)
        elif name:
            thing = getattr(importlib.import_module(library), name)
            if callable(thing) and not isinstance(thing, type):
                self._note(dotted)

    def _note(self, call: str | None) -> None:
        if call is not None:
            self.found.add((self.module, ".".join(self.scope) or "<module>", call))


def _method_call(function: ast.Attribute) -> str | None:
    """The call's name, if it is a method of a socket's C class, of an epoll object or of a file."""
    receiver, method = ast.unparse(function.value), function.attr
    if receiver.endswith("._epoll") and method != "closed":
        return f"epoll.{method}"
    if receiver == "stream" and method in ("write", "flush"):
        return f"file.{method}"
    by_class = receiver in ("super()", "probe") and method in SOCKET_METHODS
    return f"sock.{method}" if by_class or method in INHERITED_METHODS else None


def by_module(sites: set[Site]) -> Iterator[str]:
    """The sites as lines of the table, for whoever has to add one."""
    for module, function, call in sorted(sites):
        yield f"{module} {function} {call}"
