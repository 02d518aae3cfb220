"""What a thread waits for, in words, and which threads could end that wait.

The core keeps references only; here they become text.  No attribute of a user's object is read and no repr() of one
is called: a waiting thread's target is always an object of ours, or is named by its type.
"""

from __future__ import annotations

from coro.descriptor_state import DescriptorState
from coro.fifo import fifo
from coro.scheduler import scheduler
from coro.state import ThreadState
from coro.sync import condition_variable, event, inverted_semaphore, mutex, rw_lock, semaphore

__all__ = ["PRIMITIVES", "holders_of", "target_text"]

PRIMITIVES = (condition_variable, event, fifo, inverted_semaphore, mutex, rw_lock, semaphore)


def target_text(thread: ThreadState) -> str:
    """What a waiting thread waits on, such as "descriptor 7" or "mutex held by 5"; "" for nothing in particular."""
    target = thread.waiting_on
    if target is None:
        return ""
    if isinstance(target, DescriptorState):
        return f"descriptor {target.fd}"
    if isinstance(target, ThreadState):
        return f"thread {target.id}"
    if thread.waiting_for == "sleep" and isinstance(target, list):
        return f"{max(0, target[0] - scheduler.clock()) / 1e9:.3f} s"
    if isinstance(target, PRIMITIVES):
        holders = holders_of(thread)
        held = f" held by {', '.join(map(str, holders))}" if holders else ""
        return f"{type(target).__name__} at {id(target):#x}{held}"
    return f"{type(target).__name__} at {id(target):#x}"


def holders_of(thread: ThreadState) -> tuple[int, ...]:
    """Ids of the threads whose doing `thread` waits for: the holders of a lock, or the thread that it joins.

    () where nobody in particular could end the wait: anybody may feed a queue or release a semaphore.
    """
    target = thread.waiting_on
    if isinstance(target, ThreadState):
        return () if target.dead else (target.id,)
    if isinstance(target, mutex):
        return () if target.holder is None else (target.holder.id,)
    if isinstance(target, rw_lock):
        if target.writer is not None:
            return (target.writer.id,)
        return tuple(reader.id for reader in target.readers)
    return ()
