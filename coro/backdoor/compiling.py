"""From a typed piece of Python to code: is it complete, is it right, which of its expressions show their values.

The sources of the latest pieces are lent to linecache, so that tracebacks show their lines; that is bounded.
Knows nothing of running.
"""

from __future__ import annotations
import __future__ as future

import ast
import codeop
import linecache
import warnings
from collections import deque
from dataclasses import dataclass
from types import CodeType
from typing import Any, Final

from coro.backdoor.error_text import syntax_error_text

__all__ = ["INCOMPLETE", "SHOW", "Compiled", "Incomplete", "PieceCompiler"]

# Sources kept per session, so that tracebacks can show the lines of functions typed earlier.
MAX_SOURCES: Final = 200
MAX_SOURCE_BYTES: Final = 1 << 20

# The name of the builtin that shows a value: called with it, and with True for the value of the piece.
SHOW: Final = "__coro_show__"

# Statements whose expressions are not shown, and where the others keep theirs.
_SCOPES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_BODIES: Final = ("body", "orelse", "finalbody")
_FUTURE_FLAGS: Final = sum({getattr(future, name).compiler_flag for name in future.all_feature_names})


class Incomplete:
    """More lines are needed; there is one, INCOMPLETE."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "INCOMPLETE"


INCOMPLETE: Final = Incomplete()


@dataclass(frozen=True, slots=True)
class Compiled:
    """A piece of Python that is ready to run in the session that compiled it."""

    code: CodeType
    source: str


class PieceCompiler:
    """Compiles the pieces of one session; remembers what they imported from __future__.

    label: names the session in tracebacks, `<label, line 7>`.
    """

    def __init__(self, label: str) -> None:
        self._label = label
        self._command = codeop.CommandCompiler()
        self._count = 0
        # (file name, length) of the sources that linecache keeps for us, oldest first.
        self._sources: deque[tuple[str, int]] = deque()
        self._source_bytes = 0

    def compile(self, text: str, *, interactive: bool) -> Compiled | Incomplete | str:
        """As Evaluator.compile_source().  Warnings go to sys.stderr."""
        filename = f"<{self._label}, line {self._count + 1}>"
        try:
            if self._is_incomplete(text, filename, interactive):
                return INCOMPLETE
            code = self._code(text, filename, interactive)
        except Exception as error:
            # Mostly SyntaxError; ValueError, MemoryError and RecursionError for hostile sources; anything at all
            # once a line has replaced what compiling needs.
            return syntax_error_text(error, text)
        self._count += 1
        self._remember(filename, text)
        return Compiled(code, text)

    def close(self) -> None:
        """Let go of the sources."""
        while self._sources:
            self._forget_oldest()

    def _is_incomplete(self, text: str, filename: str, interactive: bool) -> bool:
        with warnings.catch_warnings():
            # The real compilation will tell them.
            warnings.simplefilter("ignore")
            if not interactive:
                return self._command(text + "\n", filename, "exec") is None
            try:
                return self._command(text, filename, "single") is None
            except SyntaxError:
                # Several statements that were pasted are right, too.
                if "\n" not in text.strip():
                    raise
            return self._command(text, filename, "exec") is None

    def _code(self, text: str, filename: str, interactive: bool) -> CodeType:
        compiler: Any = self._command.compiler
        tree = compile(text, filename, "exec", ast.PyCF_ONLY_AST | compiler.flags & _FUTURE_FLAGS, True)
        _show_expressions(tree, interactive)
        # The compiler object remembers what the piece imported from __future__.
        code: CodeType = compiler(tree, filename, "exec", incomplete_input=False)
        return code

    def _remember(self, filename: str, text: str) -> None:
        """Keep the source, so that tracebacks show its lines; forget the oldest ones."""
        # Without a time linecache takes it for no file, and does not look whether it changed.
        linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
        self._sources.append((filename, len(text)))
        self._source_bytes += len(text)
        while len(self._sources) > MAX_SOURCES or self._source_bytes > MAX_SOURCE_BYTES:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        filename, length = self._sources.popleft()
        self._source_bytes -= length
        linecache.cache.pop(filename, None)


def _show_expressions(tree: ast.Module, interactive: bool) -> None:
    """Have expressions outside of functions and classes call _show(): all of them, or only the last one."""
    last = tree.body[-1] if tree.body else None
    waiting: list[list[ast.stmt]] = [tree.body]
    while waiting:
        statements = waiting.pop()
        for index, statement in enumerate(statements):
            if isinstance(statement, ast.Expr):
                if interactive or statement is last:
                    statements[index] = _shown(statement, is_last=statement is last)
            elif interactive and not isinstance(statement, _SCOPES):
                blocks = [statement, *getattr(statement, "handlers", ()), *getattr(statement, "cases", ())]
                waiting += [getattr(block, name, []) for block in blocks for name in _BODIES]


def _shown(statement: ast.Expr, *, is_last: bool) -> ast.Expr:
    function = ast.copy_location(ast.Name(id=SHOW, ctx=ast.Load()), statement)
    arguments: list[ast.expr] = [statement.value]
    if is_last:
        arguments.append(ast.copy_location(ast.Constant(value=True), statement))
    call = ast.copy_location(ast.Call(func=function, args=arguments, keywords=[]), statement)
    return ast.copy_location(ast.Expr(value=call), statement)
