"""`python -m coro`: run a program with the emulation installed before anything of it is imported.

The program is the module `__main__`, its main thread is the main thread, and a thread of the loop from the start.
What leaves it is told as plain Python tells it, without the frames of this package.
"""

from __future__ import annotations

import builtins
import io
import os
import runpy
import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from types import ModuleType, TracebackType

from coro.emulation.driver import driver
from coro.emulation.installing import install
from coro.exceptions import Shutdown

__all__ = ["run_command", "run_module", "run_path"]

_OURS = (__name__.partition(".")[0] + ".", "runpy")


def run_path(path: str, arguments: list[str]) -> None:
    """Run a script; or a folder or an archive that has a `__main__` module."""

    def run() -> None:
        sys.argv[:] = [path, *arguments]
        if os.path.isdir(path) or not _is_source(path):
            sys.path.insert(0, path)
            # As the interpreter does it.
            runpy._run_module_as_main("__main__", alter_argv=False)  # type: ignore[attr-defined]
            return
        _set_first_path(os.path.dirname(os.path.realpath(path)))
        full_path = os.path.abspath(path)
        with io.open_code(full_path) as file:
            code = compile(file.read(), full_path, "exec")
        module = _new_main()
        module.__file__ = full_path
        module.__cached__ = None  # type: ignore[attr-defined]
        module.__loader__ = SourceFileLoader("__main__", full_path)
        exec(code, vars(module))

    _run(run)


def run_module(name: str, arguments: list[str]) -> None:
    """Run a module as `python -m` does."""

    def run() -> None:
        sys.argv[:] = ["-m", *arguments]
        _new_main()
        runpy._run_module_as_main(name)  # type: ignore[attr-defined]

    _run(run)


def run_command(source: str, arguments: list[str]) -> None:
    """Run a program given as text, as `python -c` does."""

    def run() -> None:
        sys.argv[:] = ["-c", *arguments]
        _set_first_path("")
        exec(compile(source, "<string>", "exec"), vars(_new_main()))

    _run(run)


def _is_source(path: str) -> bool:
    """Whether the path is no archive, nor anything else that an import hook knows."""
    for hook in sys.path_hooks:
        try:
            hook(path)
        except ImportError:
            continue
        return False
    return True


def _set_first_path(path: str) -> None:
    """Put the program's folder where the interpreter has put this command's."""
    if not sys.flags.safe_path:
        sys.path[:1] = [path]


def _new_main() -> ModuleType:
    """An empty module `__main__`, for the program."""
    module = ModuleType("__main__")
    vars(module).update(__annotations__={}, __builtins__=builtins)
    sys.modules["__main__"] = module
    return module


def _run(program: Callable[[], None]) -> None:
    install()
    driver.adopt("the program")
    try:
        program()
    except SystemExit:
        raise
    except Shutdown:
        # As in any thread: the end, not a failure.
        return
    except BaseException as error:
        _tell(error)
        # For the exit code, which for KeyboardInterrupt is a signal.
        raise


def _tell(error: BaseException) -> None:
    """Tell of the error as the interpreter does, and have it say nothing more."""
    traceback: TracebackType | None = error.__traceback__
    while traceback is not None and str(traceback.tb_frame.f_globals.get("__name__")).startswith(_OURS):
        traceback = traceback.tb_next
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, traceback
    sys.excepthook(type(error), error.with_traceback(traceback), traceback)
    sys.excepthook = _say_nothing


def _say_nothing(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """The error was told already."""
