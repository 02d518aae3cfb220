"""asyncio programs, and libraries that know asyncio only, in threads of the runtime.

    coro.spawn(coro.aio.run, serve(port))      an asyncio program in a thread, beside all the others
    value = coro.aio.wait(future, timeout)     a thread waits for a future of an asyncio loop
    await coro.aio.in_thread(function, ...)    a task has a thread do what blocks

Each such thread has an asyncio event loop of its own, which waits in our loop.  Tasks are scheduled by asyncio, and
between them nothing is switched: to the other threads, all steps of one turn are one slice of this thread.
"""

from __future__ import annotations

from coro.aio.loop import EventLoop
from coro.aio.running import run
from coro.aio.threads import in_thread
from coro.aio.waiting import wait

__all__ = [
    # in a thread
    "run",
    "wait",
    # in a task
    "in_thread",
    # for other runners
    "EventLoop",
]
