"""Work that would block the loop goes to other OS threads; calls from other OS threads come into the loop.

in_os_thread() parks the caller, and one of a bounded pool of OS threads calls the function.  What cannot be
interrupted there can be left: an interrupted caller returns at once, and what the call comes to later is dropped.
"""

from __future__ import annotations

from coro.os_thread.calls import call_from_os_thread, schedule_from_os_thread
from coro.os_thread.job import Job
from coro.os_thread.pool import OSThreadPool, default_pool, in_os_thread, set_os_threads

__all__ = [
    # into other OS threads
    "in_os_thread",
    "set_os_threads",
    "OSThreadPool",
    "Job",
    "default_pool",
    # from other OS threads
    "schedule_from_os_thread",
    "call_from_os_thread",
]
