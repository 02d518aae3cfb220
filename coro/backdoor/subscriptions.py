"""Results that come again and again: what a JSON-RPC client has subscribed to.

Each subscription is a thread that sleeps, looks and sends.  While the peer has not taken the last event, the next
one is dropped and counted: a slow reader loses whole events, and no memory grows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from coro.backdoor.commands import CommandError, Implementation
from coro.backdoor.connection import ConnectionLost
from coro.backdoor.executing import NotAllowed, run_command
from coro.backdoor.own_faults import report_own_fault
from coro.backdoor.session import Session
from coro.backdoor.speech import Speech
from coro.loop import loop
from coro.runtime import spawn
from coro.scheduler import scheduler
from coro.thread import coro
from coro.timed import sleep_relative
from coro.wire.commands import schema_of
from coro.wire.encode import dumps

__all__ = ["MAX_SUBSCRIPTIONS", "Subscriptions"]

MAX_SUBSCRIPTIONS = 8


@dataclass(slots=True)
class _Subscription:
    number: int
    implementation: Implementation
    params: dict[str, Any]
    every: float
    seq: int = 0
    dropped: int = 0


class Subscriptions:
    """Those of one session."""

    def __init__(self, session: Session, speech: Speech) -> None:
        self._session = session
        self._speech = speech
        self._threads: dict[int, coro] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._threads)

    def add(self, implementation: Implementation, params: dict[str, Any], every: float) -> int:
        """Begin one; returns its number.  every: seconds.  Does not yield."""
        self._last += 1
        subscription = _Subscription(self._last, implementation, params, every)
        name = f"{self._session.name} subscription {implementation.command.name}"
        thread = spawn(self._publish, subscription, thread_name=name)
        self._session.threads.append(thread)
        self._threads[subscription.number] = thread
        return subscription.number

    def remove(self, number: object) -> bool:
        """End one; False if there is none of this number.  Does not yield."""
        thread = self._threads.pop(number, None) if type(number) is int else None
        if thread is None:
            return False
        self._session.threads.remove(thread)
        thread.shutdown()
        return True

    def close(self) -> None:
        """End all.  Does not yield."""
        for number in list(self._threads):
            self.remove(number)

    def _publish(self, subscription: _Subscription) -> None:
        try:
            fault = self._publish_until_it_fails(subscription)
            self._send_event(subscription, f'"error":{dumps(fault)}')
        except ConnectionLost as lost:
            self._session.connection.drop(lost.reason)
        finally:
            self._threads.pop(subscription.number, None)

    def _publish_until_it_fails(self, subscription: _Subscription) -> str:
        """Sleep, look and send; returns what went wrong.  Yields; raises ConnectionLost."""
        while True:
            sleep_relative(subscription.every)
            if self._session.connection.pending or self._session.speaking:
                subscription.dropped += 1
                continue
            try:
                event = f'"result":{self._look(subscription)}'
            except (CommandError, NotAllowed) as error:
                return str(error)
            except Exception as error:
                return report_own_fault(f"the subscription to {subscription.implementation.command.name}", error)
            began = scheduler.clock()
            self._send_event(subscription, event)
            # Those that would have been due while the peer did not take this one.
            subscription.dropped += int((scheduler.clock() - began) / 1e9 / subscription.every)

    def _look(self, subscription: _Subscription) -> str:
        """The result as JSON.  Encoded row by row, at run_command()'s pace: all at once would hold up the loop."""
        command = subscription.implementation.command
        rows = run_command(
            self._session, subscription.implementation, subscription.params, f"subscription {command.name}"
        )
        is_list = next(rows)
        found = [dumps(row) for row in rows]
        schema = schema_of(command, subscription.params)
        value = f"[{','.join(found)}]" if is_list else found[0]
        return f'{{"schema":{dumps(schema)},"value":{value},"turn":{loop.iterations},"answered_by":"loop"}}'

    def _send_event(self, subscription: _Subscription, what: str) -> None:
        """Send it as one message, which an interrupt leaves whole in the queue."""
        counts = f'"subscription":{subscription.number},"seq":{subscription.seq},"dropped":{subscription.dropped}'
        subscription.seq += 1
        text = f'{{"jsonrpc":"2.0","method":"event","params":{{{counts},{what}}}}}\n'
        self._speech.send(text.encode())
