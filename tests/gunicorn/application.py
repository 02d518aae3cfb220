"""The application that the tests of the worker serve; what it does is told by the path."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

Start = Callable[..., Any]
Environ = dict[str, Any]
Answer = Iterable[bytes]

TEXT = ("Content-Type", "text/plain")


def text(start: Start, body: bytes, status: str = "200 OK") -> Answer:
    """A whole answer of known length."""
    start(status, [TEXT, ("Content-Length", str(len(body)))])
    return [body]


def hello(environ: Environ, start: Start) -> Answer:
    """A short answer."""
    return text(start, b"Hello, world!\n")


def pid(environ: Environ, start: Start) -> Answer:
    """The worker's pid."""
    return text(start, str(os.getpid()).encode())


def sleep(environ: Environ, start: Start) -> Answer:
    """Sleep so many seconds, as any library would, and say in what thread."""
    time.sleep(float(environ["QUERY_STRING"]))
    return text(start, threading.current_thread().name.encode())


def until(environ: Environ, start: Start) -> Answer:
    """Tell that the request has come, by a file, and wait until another file is there."""
    query = parse_qs(environ["QUERY_STRING"])
    Path(query["begun"][0]).touch()
    while not os.path.exists(query["end"][0]):
        time.sleep(0.01)
    return text(start, b"at last")


def spin(environ: Environ, start: Start) -> Answer:
    """Never yield."""
    while True:
        pass


def echo(environ: Environ, start: Start) -> Answer:
    """The body of the request."""
    return text(start, environ["wsgi.input"].read())


def ignore(environ: Environ, start: Start) -> Answer:
    """Do not read the body of the request."""
    return text(start, b"ignored")


def chunks(environ: Environ, start: Start) -> Answer:
    """An answer of unknown length, with empty pieces in it."""
    start("200 OK", [TEXT])
    return [b"", b"one ", b"", b"two ", b"x" * 100_000, b""]


def empty(environ: Environ, start: Start) -> Answer:
    """An answer without a body."""
    start("204 No Content", [])
    return []


def stream(environ: Environ, start: Start) -> Iterator[bytes]:
    """A piece, then nothing until a file is there, then another piece."""
    start("200 OK", [TEXT])
    yield b"first "
    while not os.path.exists(environ["QUERY_STRING"]):
        time.sleep(0.01)
    yield b"second"


def big(environ: Environ, start: Start) -> Answer:
    """Ten million bytes."""
    return text(start, b"0123456789" * 1_000_000)


def endless(environ: Environ, start: Start) -> Iterator[bytes]:
    """Send for ever."""
    start("200 OK", [TEXT])
    while True:
        yield b"x" * 65536


def file(environ: Environ, start: Start) -> Answer:
    """A file, by the server's own wrapper."""
    path = Path(environ["QUERY_STRING"])
    start("200 OK", [("Content-Length", str(path.stat().st_size))])
    wrapped: Answer = environ["wsgi.file_wrapper"](path.open("rb"))
    return wrapped


def write(environ: Environ, start: Start) -> Answer:
    """Send by the old way: the function that start_response() returns."""
    send = start("200 OK", [TEXT])
    send(b"by ")
    send(b"write")
    return []


def fail_early(environ: Environ, start: Start) -> Answer:
    """Fail before anything is sent."""
    raise ValueError("early")


def fail_unsent(environ: Environ, start: Start) -> Iterator[bytes]:
    """Fail after an empty piece: nothing is sent yet."""
    start("200 OK", [TEXT, ("Content-Length", "5")])
    yield b""
    raise ValueError("unsent")


def fail_late(environ: Environ, start: Start) -> Iterator[bytes]:
    """Fail in the middle of the body."""
    start("200 OK", [TEXT, ("Content-Length", "100")])
    yield b"half"
    raise ValueError("late")


def fail_stop(environ: Environ, start: Start) -> Answer:
    """Let a StopIteration out."""
    next(iter([]))
    return []


def fail_exit(environ: Environ, start: Start) -> Answer:
    """Let a SystemExit out."""
    sys.exit(3)


def fail_timeout(environ: Environ, start: Start) -> Answer:
    """Let a timeout of coro's out."""
    import coro

    coro.with_timeout(0.01, coro.sleep_relative, 60)
    return []


def fail_io(environ: Environ, start: Start) -> Answer:
    """Let an error of the application's own connections out."""
    raise ConnectionRefusedError(111, "the database is down")


def replaced(environ: Environ, start: Start) -> Answer:
    """Begin an answer, then send an error page instead, as frameworks do."""
    start("200 OK", [TEXT])
    try:
        raise ValueError("replaced")
    except ValueError:
        start("503 Service Unavailable", [TEXT, ("Content-Length", "5")], sys.exc_info())
    return [b"sorry"]


def show(environ: Environ, start: Start) -> Answer:
    """What the environment says, a line each."""
    wanted = parse_qs(environ["QUERY_STRING"])["name"]
    return text(start, "\n".join(str(environ.get(name)) for name in wanted).encode())


def thread(environ: Environ, start: Start) -> Answer:
    """Start a thread of the standard library, wait for it, and say whether the kernel knows of it."""
    seen: list[str] = []
    other = threading.Thread(target=lambda: (time.sleep(0.01), seen.append(os.readlink("/proc/thread-self"))))
    other.start()
    other.join()
    return text(start, b"OS thread" if seen != [os.readlink("/proc/thread-self")] else b"coroutine")


def app(environ: Environ, start_response: Start) -> Answer:
    """The application."""
    answer: Answer = globals()[environ["PATH_INFO"].strip("/") or "hello"](environ, start_response)
    return answer
