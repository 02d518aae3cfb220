"""A visitor's session: two threads between a connection and a window on the arena.

The reader turns what the visitor types into keys and does what they say.  The painter draws a frame, sends it, and
sleeps until the next is due.  All sessions look at one arena, so a worm that one visitor adds crawls through the
windows of all.

A visitor who does not read slows nobody else down: that painter waits in send(), and when it goes on, it draws
what is there then.  The frames that were due meanwhile are dropped and counted; no queue of old pictures grows
anywhere.

Only the painter sends while it lives, for two threads cannot send on one connection at a time; so telnet's
answers, which the reader finds out, go with the next frame.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Any

import coro
from examples.telnet import ARE_YOU_THERE, BREAK, ECHO, INTERRUPT_PROCESS, NAWS, SGA, Telnet
from examples.worms.colony import LENGTH_STEP, Colony
from examples.worms.keyboard import Keyboard
from examples.worms.screen import BEGIN, END
from examples.worms.window import DEFAULT_SIZE, Window

FRAMES_PER_S = 15
# One who takes nothing for so long is cut off, in seconds.
PATIENCE_S = 60.0
# One who leaves gets so long to read the last bytes, in seconds.
FAREWELL_S = 1.0
NEWS_S = 3.0
# Little, so that a slow visitor sees what is, not what was.
KERNEL_BUFFER_BYTES = 16384


class Sessions:
    """All sessions of a colony.

    open: the views, by name, oldest first.
    news: what a visitor did last, for all to see until `news_until`, in ticks.
    """

    def __init__(self) -> None:
        self.open: dict[str, View] = {}
        self.news = ""
        self.news_until = 0
        self._number = 0

    def next_name(self) -> str:
        """A name for a new session."""
        self._number += 1
        return f"session-{self._number}"

    def tell(self, news: str) -> None:
        """Show a piece of news in all views."""
        self.news = news
        self.news_until = coro.get_now() + int(NEWS_S * coro.ticks_per_sec)


class View:
    """One session.

    frames, dropped: how many frames were drawn, and how many were due while the visitor did not read.
    """

    def __init__(self, name: str, connection: coro.sock, colony: Colony, sessions: Sessions) -> None:
        self.name = name
        self.connection = connection
        self.colony = colony
        self.sessions = sessions
        self.window = Window(colony.arena)
        self.frames = 0
        self.dropped = 0
        self.is_leaving = False
        self.keyboard = Keyboard()
        self.telnet = Telnet(allowed=(ECHO, SGA), allowed_to_peer=(NAWS, SGA))
        self.telnet.offer(ECHO, SGA)
        self.telnet.ask(NAWS)

    # -- the reader

    def read(self) -> None:
        """Do what the visitor's keys say, until the visitor leaves."""
        while not self.is_leaving and (data := self.connection.recv(4096)):
            size = self.telnet.window_size
            typed = self.telnet.receive(data)
            if self.telnet.window_size != size:
                self.fit_window()
            for command in self.telnet.commands:
                self.obey(command)
            self.telnet.commands.clear()
            for key in self.keyboard.receive(typed):
                if action := ACTIONS.get(key):
                    action(self)

    def obey(self, command: int) -> None:
        """A plain telnet command: telnet's escape menu sends them, and Ctrl-C in some modes."""
        if command in (INTERRUPT_PROCESS, BREAK):
            self.leave()
        elif command == ARE_YOU_THERE:
            self.window.screen.forget()

    def fit_window(self) -> None:
        """The visitor's terminal has told its size; 0 means that it does not know."""
        columns, rows = self.telnet.window_size or DEFAULT_SIZE
        self.window.resize(columns or DEFAULT_SIZE[0], rows or DEFAULT_SIZE[1])

    # -- what keys do

    def leave(self) -> None:
        """End this session."""
        self.is_leaving = True

    def add(self, count: int) -> None:
        """Add worms."""
        self.sessions.tell(f"{self.name}: {self.colony.add(count)} more")

    def cull(self, count: int) -> None:
        """Cull worms."""
        self.sessions.tell(f"{self.name}: {self.colony.cull(count)} less")

    def lengthen(self, squares: int) -> None:
        """Make the worms longer, or shorter."""
        self.colony.lengthen(squares)
        self.sessions.tell(f"{self.name}: {'longer' if squares > 0 else 'shorter'}")

    def hurry(self, factor: float) -> None:
        """Make the worms faster, or slower."""
        self.colony.hurry(factor)
        self.sessions.tell(f"{self.name}: {'faster' if factor > 1 else 'slower'}")

    # -- the painter

    def paint(self) -> None:
        """Draw frame after frame; ends when the visitor is gone."""
        interval = coro.ticks_per_sec // FRAMES_PER_S
        due = coro.get_now()
        try:
            self.send(self.telnet.take_answers() + BEGIN)
            while True:
                self.send(self.telnet.take_answers() + self.window.draw(self.status()))
                self.frames += 1
                missed = (coro.get_now() - due) // interval
                self.dropped += missed
                due += (missed + 1) * interval
                coro.sleep_absolute(due)
        except OSError:
            # Gone, or without progress for too long (a coro.TimeoutError is an OSError).  The reader sees the end.
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    def send(self, data: bytes) -> None:
        """Send, for as long as it takes; raises coro.TimeoutError if that is too long."""
        with coro.timeout(PATIENCE_S):
            self.connection.send(data)

    def status(self) -> tuple[str, str]:
        """What the last line says on its left and on its right."""
        arena = self.colony.arena
        dropped = f" ({self.dropped} dropped)" if self.dropped else ""
        at = f"{max(0, self.window.left)},{max(0, self.window.top)}"
        left = (
            f" worms {len(self.colony)}  sessions {len(self.sessions.open)}  frames {self.frames}{dropped}"
            f"  speed x{self.colony.speed:g}  {at} of {arena.width}x{arena.height}"
        )
        if self.window.is_paused:
            return left, "PAUSED "
        return left, f"{self.sessions.news} " if coro.get_now() < self.sessions.news_until else "? help "

    # -- the end

    def put_terminal_back(self) -> None:
        """Give the visitor's terminal back as it was, if there is room to say so.  Does not wait."""
        with contextlib.suppress(OSError):
            self.connection.send(END, socket.MSG_DONTWAIT)
            self.connection.shutdown(socket.SHUT_WR)

    def linger(self) -> None:
        """Wait a little for the visitor to hang up: closing over unread keys would throw the last bytes away."""
        with contextlib.suppress(OSError), coro.timeout(FAREWELL_S):
            while self.connection.recv(4096):
                pass


ACTIONS: dict[str, Callable[[View], None]] = {
    "+": lambda view: view.add(1),
    "=": lambda view: view.add(1),
    "*": lambda view: view.add(100),
    "-": lambda view: view.cull(1),
    "/": lambda view: view.cull(100),
    "l": lambda view: view.lengthen(LENGTH_STEP),
    "s": lambda view: view.lengthen(-LENGTH_STEP),
    "f": lambda view: view.hurry(2),
    "h": lambda view: view.hurry(2),
    "w": lambda view: view.hurry(1 / 2),
    "left": lambda view: view.window.scroll(-8, 0),
    "H": lambda view: view.window.scroll(-8, 0),
    "down": lambda view: view.window.scroll(0, 4),
    "J": lambda view: view.window.scroll(0, 4),
    "up": lambda view: view.window.scroll(0, -4),
    "K": lambda view: view.window.scroll(0, -4),
    "right": lambda view: view.window.scroll(8, 0),
    "L": lambda view: view.window.scroll(8, 0),
    "c": lambda view: view.window.centre(),
    "home": lambda view: view.window.centre(),
    "p": lambda view: view.window.pause(),
    "u": lambda view: view.window.toggle_ascii(),
    "?": lambda view: view.window.toggle_help(),
    "q": View.leave,
    "ctrl-c": View.leave,
    "ctrl-d": View.leave,
}


def attend(connection: coro.sock, address: Any, colony: Colony, sessions: Sessions) -> None:
    """Serve one visitor: this thread is the reader."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER_BYTES)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    name = sessions.next_name()
    coro.current().set_name(name)
    view = View(name, connection, colony, sessions)
    sessions.open[name] = view
    painter = coro.spawn(view.paint, thread_name=f"{name} painter")
    print(f"{name} from {address[0]} port {address[1]}", flush=True)
    try:
        view.read()
    finally:
        # Also when the visitor is lost, and when the program ends.
        painter.shutdown()
        view.put_terminal_back()
        del sessions.open[name]
        print(f"{name} has left after {view.frames} frames, {view.dropped} dropped", flush=True)
    view.linger()
