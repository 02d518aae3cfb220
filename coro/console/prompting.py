"""The line editor: prompt_toolkit with the daemon's completion, Python's highlighting, and blocks that go on.

Invariant: between two prompts the terminal is in its normal mode, and no event loop runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app, run_in_terminal
from prompt_toolkit.filters import Condition
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import DynamicLexer, PygmentsLexer, SimpleLexer
from pygments.lexers.python import PythonLexer

from coro.console.blocks import indentation_after, is_complete
from coro.console.completion import PromptCompleter
from coro.console.failures import NotReached
from coro.console.history import UserHistory
from coro.console.link import Link
from coro.wire.commands import Command

__all__ = ["Editor", "highlighter"]


class Editor:
    """Asks for entries at the terminal.

    draft: what stood there when a connection was lost; the next prompt begins with it.
    """

    def __init__(
        self,
        link: Callable[[], Link],
        commands: Callable[[], dict[str, Command]],
        history: UserHistory,
        arrived: Callable[[], str],
    ) -> None:
        """link, commands: as PromptCompleter.

        arrived: called when something comes from the daemon during a prompt; returns what to print, raises
        NotReached.
        """
        self.draft = ""
        self._link = link
        self._arrived = arrived
        # Typing a command needs no request; a name in Python does, so there only Tab completes.
        typing = Condition(lambda: get_app().current_buffer.text.startswith(":"))
        self._session: PromptSession[str] = PromptSession(
            history=history,
            completer=PromptCompleter(link, commands),
            complete_while_typing=typing,
            lexer=DynamicLexer(_lexer),
            multiline=True,
            prompt_continuation=_continuation,
            key_bindings=_bindings(),
            mouse_support=False,
        )
        self._plain: PromptSession[str] = PromptSession()

    def entry(self, prompt: str) -> str:
        """The next entry.  Raises EOFError for Ctrl-D, KeyboardInterrupt for Ctrl-C, NotReached for a loss."""
        draft, self.draft = self.draft, ""
        return self._session.prompt(prompt, default=draft, pre_run=self._listen)

    def line(self, prompt: str) -> str | None:
        """One line for a program that reads, or None for Ctrl-D.  Raises KeyboardInterrupt for Ctrl-C."""
        try:
            return self._plain.prompt(prompt)
        except EOFError:
            return None

    def _listen(self) -> None:
        """Notice what comes, and the loss of the connection, while the user types."""
        fd = self._link().client.fileno()
        if fd >= 0:
            asyncio.get_running_loop().add_reader(fd, self._on_readable, fd)

    def _on_readable(self, fd: int) -> None:
        app = get_app()
        try:
            text = self._arrived()
        except NotReached as failure:
            asyncio.get_running_loop().remove_reader(fd)
            if app.future is not None and not app.future.done():
                self.draft = app.current_buffer.text
                app.exit(exception=failure)
            return
        if text:
            run_in_terminal(lambda: print(text, end="" if text.endswith("\n") else "\n"))


def highlighter() -> Callable[[str, bool], str]:
    """A function that colours reprs and, with the flag, tracebacks."""
    from pygments import highlight
    from pygments.formatters.terminal import TerminalFormatter
    from pygments.lexers.python import PythonTracebackLexer

    formatter: Any = TerminalFormatter()

    def coloured(text: str, is_traceback: bool) -> str:
        # Longer ones would take longer to colour than to read.
        if len(text) > 20_000:
            return text
        lexer = PythonTracebackLexer() if is_traceback else PythonLexer(stripnl=False)
        result: str = highlight(text, lexer, formatter)
        return result.rstrip("\n")

    return coloured


_PYTHON = PygmentsLexer(PythonLexer)
_PLAIN = SimpleLexer()


def _lexer() -> PygmentsLexer | SimpleLexer:
    return _PLAIN if get_app().current_buffer.text.startswith(":") else _PYTHON


def _continuation(width: int, line_number: int, is_soft_wrap: int) -> str:
    return " " * width if is_soft_wrap else "... ".rjust(width)


def _bindings() -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("enter")
    def _(event: KeyPressEvent) -> None:
        """Take a chosen completion, begin another line, or hand the entry in."""
        buffer = event.current_buffer
        if buffer.complete_state and buffer.complete_state.current_completion:
            buffer.complete_state = None
            return
        document = buffer.document
        in_last_line = not document.text_after_cursor.strip() or "\n" not in document.text
        if document.text.startswith(":") or (in_last_line and is_complete(document.text)):
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n" + indentation_after(document.text_before_cursor))

    @bindings.add("tab")
    def _(event: KeyPressEvent) -> None:
        """Indent at the start of a line, complete elsewhere."""
        buffer = event.current_buffer
        if not buffer.document.current_line_before_cursor.strip():
            buffer.insert_text("    ")
        elif buffer.complete_state:
            buffer.complete_next()
        else:
            buffer.start_completion(insert_common_part=True)

    return bindings
