"""The threads that ended lately, and why.

Off until somebody asks for it; then each end leaves a handful of plain values in a bounded ring.  It refers to no
thread, error, frame or argument; of where the thread was made it keeps the code object, which lives anyway.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from coro.exceptions import Shutdown
from coro.inspect.names import safe_name, type_name
from coro.inspect.slices import gathered
from coro.inspect.spawn_lines import spawn_line
from coro.records import DeadRecord
from coro.scheduler import scheduler
from coro.state import ThreadState

__all__ = [
    "DEFAULT_SIZE",
    "MAX_SIZE",
    "dead",
    "dead_records",
    "error_text",
    "leave_out",
    "start_recording",
    "stop_recording",
]

DEFAULT_SIZE = 200
MAX_SIZE = 100_000
MAX_TEXT = 200

# id, name, error, when it ended, run time, switches, longest slice, spawner, code and instruction that made it.
_Obituary = tuple[int, str, str | None, int, int, int, int, int, object, int]

_ring: deque[_Obituary] = deque(maxlen=DEFAULT_SIZE)


# Threads made by code of these directories are remembered only if an error ended them.
_quiet_directories: tuple[str, ...] = ()


def leave_out(directory: str) -> None:
    """Remember threads that code in `directory` made only if an error ended them.

    For observers such as the backdoor, whose own short threads would push the daemon's out of the ring.
    directory: as code objects name their files, ended by a separator.  Does not yield.
    """
    global _quiet_directories
    _quiet_directories = (*dict.fromkeys((*_quiet_directories, directory)),)


def start_recording(size: int = DEFAULT_SIZE) -> None:
    """Remember the threads that end from now on, the latest `size` of them; 0 to 100 000.

    Those that are remembered already stay, as far as they fit.  An end costs 0.2 us more then.
    Raises TypeError, ValueError.  Does not yield.
    """
    global _ring
    if not isinstance(size, int) or isinstance(size, bool):
        raise TypeError(f"the number of dead threads to remember must be an int, got {size!r}")
    if not 0 <= size <= MAX_SIZE:
        raise ValueError(f"the number of dead threads to remember must be 0 to {MAX_SIZE}, got {size}")
    if _ring.maxlen != size:
        _ring = deque(_ring, maxlen=size)
    scheduler.obituary = _remember if size else None


def stop_recording() -> None:
    """Remember no more, and forget what was remembered.  Does not yield."""
    scheduler.obituary = None
    _ring.clear()


def dead() -> list[DeadRecord]:
    """The threads that ended lately, latest first; [] if nobody asked to record.  Yields, in slices."""
    return gathered(dead_records())


def dead_records() -> Iterator[DeadRecord]:
    """As dead(), each record made when it is asked for.  Does not yield."""
    now = scheduler.clock()

    def record(obituary: _Obituary) -> DeadRecord:
        id, name, error, ended_ns, run_time_ns, switches, longest_ns, spawned_by, code, instruction = obituary
        return DeadRecord(
            id=id,
            name=name,
            error=error,
            ended_s_ago=max(0, now - ended_ns) / 1e9,
            run_time_s=run_time_ns / 1e9,
            switches=switches,
            longest_slice_s=longest_ns / 1e9,
            spawned_by=spawned_by,
            spawn_line=spawn_line(code, instruction),  # type: ignore[arg-type]
        )

    return map(record, reversed(list(_ring)))


def _remember(thread: ThreadState) -> None:
    """The scheduler calls this at each end."""
    error = thread.error
    code = thread.spawn_code
    is_quiet = code is not None and _quiet_directories and code.co_filename.startswith(_quiet_directories)
    if is_quiet and (error is None or isinstance(error, Shutdown)):
        return
    if error is not None:
        text: str | None = error_text(error)
    elif thread.started and thread.function is not None:
        # It never got as far as dropping its function.
        text = "abandoned when the loop ended"
    else:
        text = None
    _ring.append(
        (
            thread.id,
            safe_name(thread),
            text,
            scheduler.now if thread.started else scheduler.clock(),
            thread.run_time_ns,
            thread.switches,
            thread.longest_slice_ns,
            thread.creator_id,
            thread.spawn_code,
            thread.spawn_lasti,
        )
    )


def error_text(error: BaseException) -> str:
    """An error in one line of at most 200 characters: class and message; for a Shutdown just "Shutdown".

    What its `__str__` raises is named instead.  It may not park: the thread has ended.
    """
    kind = type_name(type(error))
    if isinstance(error, Shutdown):
        return kind
    # As inside the collector: a message that wants to wait for something gets an exception.
    before = scheduler.collecting
    scheduler.collecting = True
    try:
        # Not str(error): that may be of a subclass whose methods are anybody's.
        message = str.__str__(str(error))[:MAX_TEXT]
    except BaseException as failure:
        scheduler.note_interrupt(failure)
        message = f"<its __str__ raised {type_name(type(failure))}>"
    finally:
        scheduler.collecting = before
    return f"{kind}: {message}"[:MAX_TEXT] if message else kind[:MAX_TEXT]
