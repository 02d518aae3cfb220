"""Everything about one thread."""

from __future__ import annotations

from coro.inspect.names import safe_function_name, safe_name, type_name
from coro.inspect.spawn_lines import spawn_line
from coro.inspect.stacks import stack_record
from coro.inspect.threads import thread_record
from coro.records import ThreadDetailRecord
from coro.runtime import get_thread_by_id
from coro.scheduler import scheduler
from coro.state import ThreadState

__all__ = ["info"]

MAX_CHAIN = 100
MAX_JOINERS = 1000


def info(thread_id: int) -> ThreadDetailRecord:
    """Everything about one thread.

    The spawn chain ends at the first spawner that has ended, at the main greenlet, or after a hundred.
    `function` is "" once the thread has dropped it, as it ends.
    Raises KeyError if the thread has ended or never was.  From any OS thread; does not yield.
    """
    thread = get_thread_by_id(thread_id)
    record = thread_record(thread)
    if record is None:
        raise KeyError(thread_id)
    function = thread.function
    return ThreadDetailRecord(
        thread=record,
        stack=stack_record(thread),
        spawn_chain=_spawn_chain(thread),
        shielded=thread.shield is not None,
        pending=_pending(thread),
        joined_by=tuple(
            [joiner.id for joiner in list(thread.joiners or ())[:MAX_JOINERS] if isinstance(joiner, ThreadState)]
        ),
        function="" if function is None else safe_function_name(function),
    )


def _spawn_chain(thread: ThreadState) -> tuple[tuple[int, str, str | None], ...]:
    chain: list[tuple[int, str, str | None]] = []
    seen = {thread.id}
    creator = scheduler.all_threads.get(thread.creator_id)
    # An id given by hand may be used again, so a chain may bite its tail.
    while creator is not None and creator.id not in seen and len(chain) < MAX_CHAIN:
        seen.add(creator.id)
        line = spawn_line(creator.spawn_code, creator.spawn_lasti)
        chain.append((creator.id, safe_name(creator), line))
        creator = scheduler.all_threads.get(creator.creator_id)
    return tuple(chain)


def _pending(thread: ThreadState) -> tuple[str, ...]:
    exception = thread.exception
    waiting = list(thread.interrupts or ())
    if exception is not None:
        waiting.insert(0, exception)
    return tuple([type_name(type(one)) for one in waiting])
