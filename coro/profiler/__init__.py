"""A profiler that knows of threads: what ran in one thread is never charged to another that waited meanwhile.

    coro.profiler.go(function, *args)        # profile one call, write coro_profile.html
    coro.profiler.start(); …; coro.profiler.stop()

It profiles the OS thread that starts it, with all of its threads, by the interpreter's profiling hook; Python code
runs several times slower meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from coro.profiler.recorder import Recorder
from coro.profiler.report import html_report

__all__ = ["go", "is_running", "start", "stop"]

DEFAULT_FILENAME = "coro_profile.html"

T = TypeVar("T")

_recorder: Recorder | None = None


def is_running() -> bool:
    """Whether a profile is being taken."""
    return _recorder is not None


def go(function: Callable[..., T], *args: object, profile_filename: str = DEFAULT_FILENAME, **kwargs: object) -> T:
    """Profile `function(*args, **kwargs)`, write the report, and return its value or raise its exception.

    profile_filename: the HTML file that is written, also when the function raises.
    In a thread, everything that other threads do meanwhile is profiled too.
    Raises TypeError if `function` cannot be called, RuntimeError when a profile is being taken already.
    """
    if not callable(function):
        raise TypeError(f"go() needs a function to profile, got {function!r}")
    start()
    try:
        return function(*args, **kwargs)
    finally:
        stop(profile_filename)


def start() -> None:
    """Start taking a profile of this OS thread.  Does not yield.

    Raises RuntimeError when one is being taken already, by this module or by another profiler.
    """
    global _recorder
    if _recorder is not None:
        raise RuntimeError("a profile is being taken already; stop() ends it")
    recorder = Recorder()
    recorder.start()
    _recorder = recorder


def stop(filename: str = DEFAULT_FILENAME) -> Path:
    """Stop taking the profile and write it as an HTML page; returns its absolute path.  Does not yield.

    filename: the file to write, from scratch.
    Raises RuntimeError when none is being taken, or from another OS thread than the one that started it; OSError
    when the file cannot be written: the profile is lost then.
    """
    global _recorder
    if _recorder is None:
        raise RuntimeError("no profile is being taken; start() begins one")
    _recorder.stop()
    recorder, _recorder = _recorder, None
    path = Path(filename).absolute()
    path.write_text(html_report(recorder.profile()), encoding="utf-8")
    return path
