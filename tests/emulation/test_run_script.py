"""`python -m coro`: a program behaves as under plain Python, and its main thread is a thread of the loop."""

import os
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

from tests.core.script import ROOT, TIME_LIMIT_S

SHOW = """
import coro, os, sys, threading
print(__name__, sys.argv, repr(sys.path[0]), sys.modules["__main__"].__dict__ is globals())
print(threading.current_thread() is threading.main_thread(), threading.get_ident() == threading.main_thread().ident)
"""


def python(*arguments: str, emulated: bool, **options: object) -> subprocess.CompletedProcess[str]:
    """Run plain Python, or `python -m coro`, with these arguments."""
    command = [sys.executable, "-W", "error", *(["-m", "coro"] if emulated else []), *arguments]
    return subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
        check=False,
        **options,  # type: ignore[call-overload]
    )


def both(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run it both ways; all must be the same, and is returned."""
    plain, ours = (python(*arguments, emulated=emulated, **options) for emulated in (False, True))
    assert (ours.returncode, ours.stdout, ours.stderr) == (plain.returncode, plain.stdout, plain.stderr)
    return ours


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "script.py"


def test_script_sees_what_it_sees_under_plain_python(script: Path) -> None:
    script.write_text(SHOW + "print(__file__, __builtins__, __spec__)\n")

    both(str(script), "a", "-b")
    both("script.py", cwd=script.parent)


def test_module_folder_and_archive_run(tmp_path: Path) -> None:
    folder = tmp_path / "program"
    folder.mkdir()
    (folder / "__main__.py").write_text(SHOW + "import beside\n")
    (folder / "beside.py").write_text("print('beside')\n")
    with zipfile.ZipFile(tmp_path / "archive", "w") as archive:
        archive.write(folder / "__main__.py", "__main__.py")
        archive.write(folder / "beside.py", "beside.py")

    both(str(folder), "x")
    both(str(tmp_path / "archive"))
    both("-m", "beside", cwd=folder)
    assert "No module named no_such_module" in python("-m", "no_such_module", emulated=True).stderr


def test_command_runs() -> None:
    both("-c", SHOW, "a", "b")


def test_failure_is_told_without_frames_of_ours(script: Path) -> None:
    script.write_text("def f():\n    raise ValueError('x')\ntry:\n    f()\nexcept ValueError:\n    1 / 0\n")

    assert both(str(script)).returncode == 1


def test_syntax_error_and_missing_script_are_told(script: Path) -> None:
    script.write_text("def (:\n")

    assert both(str(script)).returncode == 1
    ours = python(str(script.parent / "missing.py"), emulated=True)
    assert ours.returncode != 0
    assert "missing.py" in ours.stderr


@pytest.mark.parametrize("code", ["0", "3", "None", "'a message'", "[1]", "256 + 5"])
def test_exit_codes_are_the_same(code: str, script: Path) -> None:
    script.write_text(f"import sys\nsys.exit({code})\n")

    both(str(script))


def test_excepthook_of_the_program_is_called_once(script: Path) -> None:
    script.write_text("import sys\nsys.excepthook = lambda *args: print('hook', args[1])\n1 / 0\n")

    assert both(str(script)).stdout == "hook division by zero\n"


def test_keyboard_interrupt_ends_the_program_as_the_signal_does(script: Path) -> None:
    script.write_text("import os, signal\nprint('on', flush=True)\nos.kill(os.getpid(), signal.SIGINT)\n")

    plain, ours = (python(str(script), emulated=emulated) for emulated in (False, True))

    assert ours.returncode == plain.returncode
    assert ours.stderr.splitlines()[-1] == plain.stderr.splitlines()[-1] == "KeyboardInterrupt"


def test_keyboard_interrupt_reaches_the_main_thread_wherever_it_waits(script: Path) -> None:
    script.write_text(
        textwrap.dedent("""
        import os, signal, threading, time
        def other():
            time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
            print("other goes on")
        thread = threading.Thread(target=other)
        thread.start()
        for wait in (lambda: time.sleep(20), ):
            try:
                wait()
            except KeyboardInterrupt:
                print("interrupted in", threading.current_thread().name)
        thread.join()
        """)
    )

    assert both(str(script)).stdout == "interrupted in MainThread\nother goes on\n"


def test_event_loop_in_the_program_waits_for_set_exit(script: Path) -> None:
    script.write_text(
        textwrap.dedent("""
        import coro, threading, time
        coro.set_print_exit_string(False)
        print(coro.current().name)
        def worker():
            time.sleep(0.05)
            print("worked")
            coro.set_exit(4)
        threading.Thread(target=worker).start()
        try:
            coro.event_loop()
        finally:
            print("left")
        """)
    )

    done = python(str(script), emulated=True)

    assert (done.returncode, done.stdout, done.stderr) == (4, "MainThread\nworked\nleft\n", "")


def test_program_prints_help_and_names_wrong_usage() -> None:
    assert python("--help", emulated=True).stdout.startswith("usage: python -m coro script.py")
    for arguments in ([], ["-m"], ["-x"]):
        done = python(*arguments, emulated=True)
        assert done.returncode == 2
        assert "usage: python -m coro" in done.stderr
