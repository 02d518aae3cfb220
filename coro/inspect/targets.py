"""What a thread waits for, in words, and which threads could end that wait.

The core keeps references only; here they become text.  No attribute of a user's object is read and no repr() of one
is called: a waiting thread's target is always an object of ours, or is named by its type.

Other OS threads may ask while the loop changes everything, so each fact is read once, into a local name.
"""

from __future__ import annotations

from collections.abc import Iterable

from coro.descriptor_state import DescriptorState
from coro.fifo import fifo
from coro.guests import GuestWait
from coro.inspect.names import type_name
from coro.scheduler import scheduler
from coro.state import ThreadState
from coro.sync import condition_variable, event, inverted_semaphore, mutex, rw_lock, semaphore

__all__ = ["PRIMITIVES", "has_holders", "holders_in", "holders_of", "primitive_text", "target_text"]

PRIMITIVES = (condition_variable, event, fifo, inverted_semaphore, mutex, rw_lock, semaphore)

# A text names so many holders; the rest are counted.
NAMED_HOLDERS = 5


def target_text(thread: ThreadState) -> str:
    """What a waiting thread waits on, such as "descriptor 7" or "mutex held by 5"; "" for nothing in particular."""
    target = thread.waiting_on
    if target is None:
        return ""
    if isinstance(target, DescriptorState):
        return f"descriptor {target.fd}"
    if isinstance(target, ThreadState):
        return f"thread {target.id}"
    if isinstance(target, GuestWait):
        return target.wait_text()
    if thread.waiting_for == "sleep" and isinstance(target, list):
        return f"{max(0, target[0] - scheduler.clock()) / 1e9:.3f} s"
    return primitive_text(target)


def primitive_text(target: object) -> str:
    """What is waited on, by type and address, and who holds it: "mutex at 0x... held by 5"."""
    text = f"{type_name(type(target))} at {id(target):#x}"
    holders = _holders(target)
    if holders:
        named = ", ".join([str(holder.id) for holder in holders[:NAMED_HOLDERS]])
        more = len(holders) - NAMED_HOLDERS
        text += f" held by {named}" + (f" and {more} more" if more > 0 else "")
    return text


def holders_of(thread: ThreadState) -> tuple[int, ...]:
    """Ids of the threads whose doing `thread` waits for: the holders of a lock, or the thread that it joins.

    () where nobody in particular could end the wait: anybody may feed a queue or release a semaphore.
    """
    return holders_in(thread.waiting_on)


def has_holders(target: object) -> bool:
    """Whether what a thread waits on is of a kind that certain threads hold."""
    return isinstance(target, (mutex, rw_lock, ThreadState))


def holders_in(target: object) -> tuple[int, ...]:
    """As holders_of(), for what a thread waits on."""
    if isinstance(target, ThreadState):
        return () if target.dead else (target.id,)
    return tuple([holder.id for holder in _holders(target)])


def _holders(target: object) -> tuple[ThreadState, ...]:
    holders: Iterable[ThreadState | None] = ()
    if isinstance(target, mutex):
        holders = (target.holder,)
    elif isinstance(target, rw_lock):
        writer = target.writer
        holders = target.readers if writer is None else (writer,)
    return tuple([holder for holder in holders if holder is not None])
