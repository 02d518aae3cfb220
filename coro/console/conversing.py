"""A request that takes its time: output comes meanwhile, input is asked for, Ctrl-C cancels it in the daemon.

Invariant: while a request runs, SIGINT raises nothing here, so no message is lost half-read; it sends `cancel`.
When not even `cancel` was answered for a second, Ctrl-C gives up: then the daemon is stuck or gone.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any, Final

from coro.console.client import Answer, Client, Message
from coro.console.failures import NotReached

__all__ = ["Abandoned", "Interrupts", "converse"]

# So long may the answer to `cancel` take before Ctrl-C leaves; the daemon's sentinel answers within 0.25 s.
PATIENCE_S: Final = 1.0
_SEND_TIMEOUT_S: Final = 10.0


class Abandoned(NotReached):
    """The user gave up waiting for a daemon that does not even answer `cancel`."""


class Interrupts:
    """While entered, SIGINT makes a descriptor readable instead of raising KeyboardInterrupt.

    For the main OS thread.
    """

    def __enter__(self) -> Interrupts:
        self.arm()
        return self

    def __exit__(self, *exception: object) -> None:
        self.disarm()

    def arm(self) -> None:
        """Take SIGINT over."""
        self.fd, self._write_fd = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._write_fd, False)
        self._former = signal.signal(signal.SIGINT, lambda *_: None)
        # Written by the C handler itself: a signal just before poll() wakes it all the same.
        self._former_fd = signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)

    def disarm(self) -> None:
        """Put back what was there."""
        signal.set_wakeup_fd(self._former_fd)
        signal.signal(signal.SIGINT, self._former)
        os.close(self.fd)
        os.close(self._write_fd)

    def taken(self) -> bool:
        """Whether SIGINT came since the last call."""
        try:
            return signal.SIGINT in os.read(self.fd, 4096)
        except BlockingIOError:
            return False


class _Conversation:
    """One request from its sending to its answer.  cancels: those sent, by id, with the time."""

    def __init__(
        self,
        client: Client,
        request: Message,
        write: Callable[[str], None],
        read: Callable[[str], str | None],
    ) -> None:
        self.client = client
        self.request = request
        self.write = write
        self.read = read
        self.cancels: dict[Any, float] = {}
        self.interrupts = Interrupts()

    def notified(self, method: str, params: Message) -> None:
        """Output goes out; input is asked for."""
        if method == "output":
            self.write(str(params.get("text", "")))
        elif method == "input" and params.get("id") == self.request["id"]:
            # An editor of lines has a loop of its own, and takes signals in its own way.
            self.interrupts.disarm()
            try:
                text = self.read(str(params.get("prompt", "")))
            except KeyboardInterrupt:
                self.cancel()
                return
            finally:
                self.interrupts.arm()
            answer: Message = {"id": self.request["id"]}
            answer.update({"eof": True} if text is None else {"text": text})
            self.send({"jsonrpc": "2.0", "method": "input", "params": answer})

    def send(self, message: Message) -> None:
        self.client.send(message, deadline=time.monotonic() + _SEND_TIMEOUT_S)

    def cancel(self) -> None:
        """Ask the daemon to interrupt the request; raise Abandoned if it was asked before and did not answer."""
        now = time.monotonic()
        if any(now - sent > PATIENCE_S for sent in self.cancels.values()):
            raise Abandoned(f"{self.client.where} does not answer, not even to Ctrl-C")
        request = self.client.request("cancel", {"id": self.request["id"]})
        self.cancels[request["id"]] = now
        self.send(request)

    def run(self, deadline: float | None) -> Answer:
        """Until the answer."""
        with self.interrupts:
            self.send(self.request)
            while True:
                message = self.client.receive(deadline, beside=self.interrupts.fd)
                if message is None:
                    if self.interrupts.taken():
                        self.cancel()
                    continue
                if self.cancels.pop(message.get("id"), None) is None:
                    answer = self.client.take(message, self.request)
                    if answer is not None:
                        return answer


def converse(
    client: Client,
    request: Message,
    *,
    write: Callable[[str], None],
    read: Callable[[str], str | None],
    deadline: float | None = None,
) -> Answer:
    """Send a request and wait for its answer, while Ctrl-C cancels it.

    write: called with what the line prints.  read: called with the prompt when the line reads; returns a line
    without its end, or None for the end of the input; may raise KeyboardInterrupt, which cancels.
    Raises CommandFailure, NotReached, Abandoned.
    """
    conversation = _Conversation(client, request, write, read)
    former = client.notified
    client.notified = conversation.notified
    try:
        return conversation.run(deadline)
    finally:
        client.notified = former
