"""The emulated open(): files on pipes, terminals and sockets park the thread; regular files are as ever.

sys.stdin, sys.stdout and sys.stderr are put on such files, too, where they are pipes or terminals.
"""

from __future__ import annotations

import _io
import builtins
import functools
import io
import os
import stat
import sys
import warnings
from typing import Any

from coro.emulation import os_calls
from coro.emulation.buffered import BufferedRandom, BufferedReader, BufferedWriter
from coro.emulation.os_calls import may_block
from coro.emulation.patching import Patcher, original
from coro.emulation.place import may_park
from coro.emulation.raw_file import WaitingFileIO
from coro.loop import loop
from coro.os_thread import OSThreadPool

__all__ = ["install", "open"]

_open = original("io", "open")
_os_open = original("os", "open")
_close = os.close
_STREAMS = ("stdin", "stdout", "stderr")

# Opening a FIFO waits for the other side.
_fifo_pool = OSThreadPool(1000, name="opening FIFOs", report_late_failures=False)
loop.at_close.append(_fifo_pool.dismiss_idle)


@functools.wraps(_open)
def open(
    file: Any,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: Any = None,
) -> Any:
    # What is odd about the arguments is the original's to say, and regular files are its business altogether.
    try:
        status = os.fstat(file) if isinstance(file, int) else os.stat(file)
    except (OSError, TypeError, ValueError, OverflowError):
        return _open(file, mode, buffering, encoding, errors, newline, closefd, opener)
    unusual = opener is not None or not isinstance(buffering, int) or not _is_plain(mode, buffering)
    if unusual or not may_block(status) or ("b" in mode and not encoding is errors is newline is None):
        return _open(file, mode, buffering, encoding, errors, newline, closefd, opener)
    if buffering == 1 and "b" in mode:
        warnings.warn(
            "line buffering (buffering=1) isn't supported in binary mode, the default buffer size will be used",
            RuntimeWarning,
            stacklevel=2,
        )
    by_name = not isinstance(file, int)
    raw = WaitingFileIO(
        file,
        mode.replace("b", "").replace("t", ""),
        closefd,
        _open_fifo if by_name and stat.S_ISFIFO(status.st_mode) else None,
    )
    try:
        return _wrap(raw, mode, buffering, encoding, errors, newline)
    except BaseException:
        raw.close()
        raise


def _is_plain(mode: Any, buffering: int) -> bool:
    """Whether this is a mode that there is, and goes with the buffering."""
    if not isinstance(mode, str):
        return False
    kinds = set(mode)
    return (
        len(kinds) == len(mode)
        and kinds <= set("rwax+bt")
        and len(kinds & set("rwax")) == 1
        and not kinds >= set("bt")
        and (buffering != 0 or "b" in kinds)
    )


def _open_fifo(path: Any, flags: int) -> int:
    """Open a FIFO in an OS thread: the kernel waits for the other side.  Yields.

    When an interrupted caller has left, the descriptor is closed as soon as there is one.
    """
    if not may_park() or flags & os.O_NONBLOCK:
        return _os_open(path, flags, 0o666)  # type: ignore[no-any-return]
    opening = _Opening(path, flags)
    try:
        return _fifo_pool.call(opening.run)
    except BaseException:
        opening.leave()
        raise


class _Opening:
    """An open(2) in an OS thread, and whether its caller waits for it still."""

    __slots__ = ("_fd", "_flags", "_left", "_path")

    def __init__(self, path: Any, flags: int) -> None:
        self._path = path
        self._flags = flags
        self._fd = -1
        self._left = False

    def run(self) -> int:
        fd: int = _os_open(self._path, self._flags, 0o666)
        self._fd = fd
        if self._left:
            self._close()
        return fd

    def leave(self) -> None:
        self._left = True
        self._close()

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            _close(fd)


def _wrap(
    raw: WaitingFileIO, mode: str, buffering: int, encoding: str | None, errors: str | None, newline: str | None
) -> Any:
    """What open() makes of a raw file."""
    if buffering == 0:
        return raw
    line_buffering = buffering == 1 or (buffering < 0 and raw.isatty())
    size = buffering if buffering > 1 else raw._blksize  # type: ignore[attr-defined]
    kind: Any = BufferedRandom if "+" in mode else BufferedReader if "r" in mode else BufferedWriter
    buffer = kind(raw, size)
    if "b" in mode:
        return buffer
    text = io.TextIOWrapper(buffer, io.text_encoding(encoding, 3), errors, newline, line_buffering)
    text.mode = mode  # type: ignore[misc]
    return text


# -- the standard streams


def _replacement(stream: Any) -> Any:
    """A stream of ours on the descriptor of one of the interpreter's own; None where none is needed."""
    if type(stream) is not io.TextIOWrapper or stream.closed:
        return None
    buffer = stream.buffer
    raw = buffer if isinstance(buffer, io.FileIO) else buffer.raw
    if type(raw) is not io.FileIO or not may_block(os.fstat(raw.fileno())):
        return None
    stream.flush()
    mode = "w" if stream.writable() else "r"
    ours: Any = WaitingFileIO(raw.fileno(), mode, closefd=False)
    ours.name = raw.name
    if raw is not buffer:
        ours = BufferedWriter(ours) if mode == "w" else BufferedReader(ours)
    text = io.TextIOWrapper(
        ours,
        stream.encoding,
        stream.errors,
        # Not to be had from the stream.  As the interpreter makes them.
        "\n" if mode == "w" else None,
        stream.line_buffering,
        stream.write_through,
    )
    text.mode = stream.mode  # type: ignore[misc]
    return text


def _input(prompt: object = "", /) -> str:
    """As input(), for a sys.stdin of ours: yields until there is a line."""
    stdin: Any = getattr(sys, "stdin", None)
    raw = getattr(getattr(stdin, "buffer", None), "raw", None)
    # The original says which of the streams is lost.
    lost = getattr(sys, "stdout", None) is None
    if lost or not may_park() or not isinstance(raw, WaitingFileIO):
        return _real_input(prompt)  # type: ignore[no-any-return]
    sys.audit("builtins.input", prompt)
    if sys.stderr is not None:
        sys.stderr.flush()
    sys.stdout.write(str(prompt))
    sys.stdout.flush()
    line: str = stdin.readline()
    if not line:
        raise EOFError("EOF when reading a line")
    sys.audit("builtins.input/result", line)
    return line.removesuffix("\n")


_real_input = original("builtins", "input")


def install(patcher: Patcher) -> None:
    """Put the emulated calls and files in the place of the originals.  Does not yield."""
    os_calls.install(patcher)
    for module in (io, _io, builtins):
        patcher.replace(module, open=open)
    patcher.replace(builtins, input=functools.wraps(_real_input)(_input))
    for name in _STREAMS:
        theirs = getattr(sys, name)
        ours = _replacement(theirs)
        for place in (name, f"__{name}__"):
            if ours is not None and getattr(sys, place) is theirs:
                patcher.replace(sys, **{place: ours})
