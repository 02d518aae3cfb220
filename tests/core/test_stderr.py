"""The process's real stderr, whatever sys.stderr is now."""

import io
import sys
from typing import Any

import pytest

import coro
from tests.core.script import run_script


def test_print_stderr_writes_its_arguments_as_print_does(
    stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced = io.StringIO()
    monkeypatch.setattr(sys, "stderr", replaced)

    coro.print_stderr("text", 5, None, [1])
    coro.print_stderr()
    coro.write_stderr("no line end")

    assert stderr.getvalue() == "text 5 None [1]\n\nno line end"
    assert replaced.getvalue() == ""


def test_saved_stderr_is_what_the_process_began_with() -> None:
    script = """
        import io, sys
        sys.stderr = io.StringIO()
        import coro
        print(coro.saved_stderr is sys.__stderr__)
        coro.write_stderr("seen")
    """
    done = run_script(script)
    assert (done.stdout, done.stderr) == ("True\n", "seen")


@pytest.mark.parametrize("how", ["os.close(2)", "sys.__stderr__.close()", "sys.__stderr__ = sys.stderr = None"])
def test_stderr_that_is_gone_is_no_error(how: str) -> None:
    script = f"""
        import os, sys
        if "None" in {how!r}:
            {how}
        import coro
        {how}
        coro.write_stderr("lost")
        coro.print_stderr("lost")
        coro.spawn(lambda: 1 / 0)
        coro.spawn(coro.set_exit, 4)
        coro.event_loop()
    """
    assert run_script(script).returncode == 4


def test_reader_that_has_gone_is_no_error() -> None:
    script = """
        import os
        read_end, write_end = os.pipe()
        os.dup2(write_end, 2)
        os.close(read_end)
        import coro
        coro.write_stderr("lost")
        coro.spawn(coro.set_exit, 4)
        coro.event_loop()
    """
    assert run_script(script).returncode in (4, 120)


@pytest.mark.parametrize("text", [5, None, b"bytes"])
def test_write_stderr_of_what_is_no_text_is_a_type_error(text: Any) -> None:
    with pytest.raises(TypeError):
        coro.write_stderr(text)


def test_text_that_the_terminal_cannot_show_is_no_error() -> None:
    done = run_script("import coro; coro.write_stderr('\\udc80 \\u2013 end')")
    assert done.returncode == 0
    assert "end" in done.stderr


def test_reader_that_does_not_read_does_not_stop_the_process() -> None:
    script = """
        import os, sys, time
        read_end, write_end = os.pipe()
        os.dup2(write_end, 2)
        import coro
        begin = time.monotonic()
        for number in range(300):
            coro.write_stderr(f"{number} " + "x" * 2000 + "\\n")
        took = time.monotonic() - begin
        os.set_blocking(read_end, False)
        seen = b""
        while True:
            try:
                seen += os.read(read_end, 1 << 20)
            except BlockingIOError:
                break
        coro.write_stderr("again\\n")
        print(took < 10, seen.startswith(b"0 xxx"), b"299 x" in seen)
        print(os.read(read_end, 1000).decode())
    """
    done = run_script(script)
    assert done.returncode == 0, done.stderr
    first, empty, second, third, *_ = done.stdout.splitlines()
    assert first == "True True False"
    assert empty == ""
    assert second.startswith("coro: 2")
    assert second.endswith(" messages are lost: nobody read stderr")
    assert third == "again"


def test_terminal_that_nobody_reads_does_not_stop_the_process() -> None:
    script = """
        import os, pty, time
        master, slave = pty.openpty()
        os.dup2(slave, 2)
        import coro
        begin = time.monotonic()
        for number in range(100):
            coro.write_stderr(f"{number} " + "x" * 2000 + "\\n")
        print(time.monotonic() - begin < 10, os.get_blocking(2))
    """
    done = run_script(script)
    assert done.stdout == "True True\n", done.stderr
