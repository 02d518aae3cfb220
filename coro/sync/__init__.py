"""Locks, semaphores, condition variables and events: what threads use to wait for each other.

A thread gives up the processor only where it blocks, so data that is changed between two blocking calls needs
none of this.  They are for what must hold *across* blocking calls.

What all of them promise, and how they keep it:

* First come, first served.  What a waiter is given (a lock, permits, an item), it is given by the thread that
  makes it free, before it runs, so nobody can snatch it meanwhile.
* A waiter believes only the record of its own grant: a stranger who schedules it makes it look, and wait on.
* A waiter that is interrupted, times out or is shut down leaves without a trace.  What it had been given at that
  moment goes to the next in line; a waiter that is bound to leave is passed over.  So nothing is lost, and
  nobody waits for something that is free.
* All that is bookkeeping between two switches: it never blocks.

The threads that a fork or the end of the loop has left behind for ever are passed over too; what they held stays
held.  `coro.fifo` is the queue that belongs to these; it has a module of its own.
"""

from __future__ import annotations

from coro.sync.condition_variable import condition_variable
from coro.sync.event import event
from coro.sync.inverted_semaphore import inverted_semaphore
from coro.sync.mutex import mutex
from coro.sync.rw_lock import rw_lock
from coro.sync.semaphore import semaphore

__all__ = ["condition_variable", "event", "inverted_semaphore", "mutex", "rw_lock", "semaphore"]
