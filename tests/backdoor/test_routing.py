"""Each thread has its own standard streams while its line runs."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import threading
from collections.abc import Callable

import pytest

import coro
from coro.backdoor import routing
from coro.backdoor.routing import InputRouter, Route, StreamRouter
from tests.backdoor.prompt import Prompt, Screen, in_loop, streams


class Daemon:
    """The daemon's own streams during a test."""

    def __init__(self) -> None:
        self.stdout = io.StringIO()
        self.stderr = io.StringIO()
        self.stdin = io.StringIO("the daemon's own\n")


def in_daemon(test: Callable[[Daemon], None]) -> Callable[[], None]:
    """Run a test in a thread of a daemon; afterwards nothing of ours may stand in `sys`."""

    def run() -> None:
        daemon = Daemon()
        with streams(stdin=daemon.stdin, stdout=daemon.stdout, stderr=daemon.stderr):
            in_loop(test)(daemon)
            assert not routing._routes
            assert not isinstance(sys.stdin, InputRouter)
            assert not isinstance(sys.stdout, StreamRouter)
            assert not isinstance(sys.stderr, StreamRouter)

    run.__name__ = test.__name__
    return run


@in_daemon
def test_line_prints_to_its_session_only(daemon: Daemon) -> None:
    prompt = Prompt()

    prompt.value("import sys; print('out'); print('err', file=sys.stderr); sys.stdout.writelines(['a', 'b'])")

    assert prompt.screen.text == "out\nerr\nab"
    assert daemon.stdout.getvalue() == daemon.stderr.getvalue() == ""


@in_daemon
def test_daemon_prints_to_its_stdout_while_a_line_waits(daemon: Daemon) -> None:
    prompt = Prompt()

    def work() -> None:
        for _ in range(3):
            print("work")
            coro.sleep_relative(1)

    coro.spawn(work)
    prompt.value("import coro; print('before'); coro.sleep_relative(10); print('after')")

    assert prompt.screen.text == "before\nafter\n"
    assert daemon.stdout.getvalue() == "work\n" * 3


@in_daemon
def test_what_a_line_spawns_prints_to_the_daemons_stdout(daemon: Daemon) -> None:
    prompt = Prompt()

    prompt.value("import coro; t = coro.spawn(print, 'spawned'); t.join(); print('typed')")

    assert prompt.screen.text == "typed\n"
    assert daemon.stdout.getvalue() == "spawned\n"


@in_daemon
def test_two_sessions_do_not_see_each_others_output(daemon: Daemon) -> None:
    first, second = Prompt(), Prompt()

    def repeat(prompt: Prompt, word: str) -> None:
        prompt.value(f"import coro\nfor _ in range(3):\n    print('{word}'); coro.sleep_relative(1)\n")

    threads = [coro.spawn(repeat, first, "one"), coro.spawn(repeat, second, "two")]
    for thread in threads:
        thread.join()

    assert first.screen.text == "one\n" * 3
    assert second.screen.text == "two\n" * 3


@in_daemon
def test_other_os_threads_print_to_the_daemons_stdout(daemon: Daemon) -> None:
    prompt = Prompt({"threading": threading})

    prompt.value("t = threading.Thread(target=print, args=('elsewhere',)); t.start(); t.join()")

    assert prompt.screen.text == ""
    assert daemon.stdout.getvalue() == "elsewhere\n"


@in_daemon
def test_greenlet_of_a_lines_own_prints_to_its_session(daemon: Daemon) -> None:
    prompt = Prompt()

    prompt.value("import greenlet; greenlet.greenlet(lambda: print('mine')).switch()")

    assert prompt.screen.text == "mine\n"


@in_daemon
def test_finaliser_run_by_the_collector_is_not_the_lines(daemon: Daemon) -> None:
    prompt = Prompt()

    prompt.value("class Old:\n    def __del__(self): print('old')\n")
    prompt.value("import gc; a = Old(); a.itself = a; del a; n = gc.collect()")

    assert prompt.screen.text == ""
    assert daemon.stdout.getvalue() == "old\n"


@in_daemon
def test_streams_are_the_daemons_between_lines(daemon: Daemon) -> None:
    prompt = Prompt()

    prompt.value("1")

    assert sys.stdout is daemon.stdout
    assert sys.stderr is daemon.stderr
    assert sys.stdin is daemon.stdin


@in_daemon
def test_stream_that_a_line_put_in_place_stays(daemon: Daemon) -> None:
    prompt = Prompt({})
    mine = io.StringIO()
    prompt.evaluator.namespace["mine"] = mine

    prompt.value("import sys; sys.stdout = mine; print('redirected')")
    assert sys.stdout is mine
    assert prompt.printed("print('next line')") == "next line\n"
    assert sys.stdout is mine
    prompt.value("sys.stdout = sys.__stdout__")
    sys.stdout = daemon.stdout

    assert mine.getvalue() == "redirected\n"


@in_daemon
def test_redirection_within_a_line_works(daemon: Daemon) -> None:
    prompt = Prompt()

    value = prompt.value(
        "import io, contextlib\nwith contextlib.redirect_stdout(io.StringIO()) as f: print('x')\n\nf.getvalue()"
    )

    assert value == repr("x\n")
    assert prompt.screen.text == ""


@in_daemon
def test_redirected_line_and_another_session_do_not_mix(daemon: Daemon) -> None:
    first, second = Prompt(), Prompt()

    def redirected() -> None:
        first.value("import coro, io, contextlib; f = io.StringIO()")
        first.value(
            "with contextlib.redirect_stdout(f):\n    coro.sleep_relative(2); print('captured')\n"
            "    coro.sleep_relative(2)\n"
        )
        assert first.value("f.getvalue()") == repr("captured\n")

    def plain() -> None:
        coro.sleep_relative(1)
        second.value("import coro\nfor i in range(5):\n    print(i); coro.sleep_relative(1)\n")

    threads = [coro.spawn(redirected), coro.spawn(plain)]
    for thread in threads:
        thread.join()
        assert thread.error is None

    assert first.screen.text == ""
    assert second.screen.text == "0\n1\n2\n3\n4\n"
    assert daemon.stdout.getvalue() == ""


@in_daemon
def test_daemon_that_redirects_across_a_line_gets_its_stream_back(daemon: Daemon) -> None:
    prompt = Prompt()
    captured = io.StringIO()

    def redirect() -> None:
        coro.sleep_relative(1)
        with contextlib.redirect_stdout(captured):
            print("daemon")
            coro.sleep_relative(2)
        assert isinstance(sys.stdout, StreamRouter)

    thread = coro.spawn(redirect)
    prompt.value("import coro; coro.sleep_relative(2)")
    thread.join()
    print("later")
    assert prompt.printed("print('session')") == "session\n"

    assert captured.getvalue() == "daemon\n"
    assert daemon.stdout.getvalue() == "later\n"
    assert sys.stdout is daemon.stdout


@in_daemon
def test_wrapper_around_the_router_makes_no_circle(daemon: Daemon) -> None:
    prompt = Prompt()

    prompt.value(
        "import sys\nclass Tee:\n    def __init__(self, s): self.s = s\n"
        "    def write(self, t): return self.s.write(t.upper())\n    def flush(self): pass\n\n"
        "sys.stdout = Tee(sys.stdout)"
    )
    assert prompt.printed("print('in')") == "in\n"
    print("out")
    sys.stdout = daemon.stdout

    assert daemon.stdout.getvalue() == "OUT\n"


@in_daemon
def test_handler_made_in_a_line_goes_on_for_the_daemon(daemon: Daemon) -> None:
    prompt = Prompt({"logging": logging})

    prompt.value("handler = logging.StreamHandler(); handler.emit(logging.makeLogRecord({'msg': 'typed'}))")
    prompt.evaluator.namespace["handler"].emit(logging.makeLogRecord({"msg": "later"}))

    assert prompt.screen.text == "typed\n"
    assert daemon.stderr.getvalue() == "later\n"


@in_daemon
def test_deleted_stdout_hurts_neither_line_nor_session(daemon: Daemon) -> None:
    prompt = Prompt()

    prompt.value("import sys; del sys.stdout")
    assert prompt.printed("print('alive')") == "alive\n"
    sys.stdout = daemon.stdout


@pytest.mark.parametrize("stream", [None, "closed"])
def test_daemon_without_a_stdout(stream: object) -> None:
    if stream == "closed":
        stream = io.StringIO()
        stream.close()

    @in_loop
    def test() -> None:
        prompt = Prompt()
        assert prompt.printed("print('seen', flush=True)") == "seen\n"
        thread = coro.current()
        route = Route(Screen(), input)
        former = routing.enter(thread, route)  # type: ignore[arg-type]
        router = sys.stdout
        routing.leave(thread, former)  # type: ignore[arg-type]
        assert isinstance(router, StreamRouter)
        assert not router.isatty() if stream is None else router.closed
        if stream is None:
            print("nobody hears", file=router, flush=True)
            assert not router.closed
            with pytest.raises(AttributeError, match="no such standard stream"):
                router.fileno()
        else:
            with pytest.raises(ValueError, match="closed"):
                print("as without us", file=router)

    with streams(stdin=stream, stdout=stream, stderr=stream):
        test()
        assert sys.stdout is stream


@in_loop
def test_router_is_the_original_in_all_else() -> None:
    with open(os.devnull, "w", encoding="latin-1") as original, streams(stdout=original):
        prompt = Prompt({"result": []})
        prompt.value("import sys; result += [sys.stdout.fileno(), sys.stdout.buffer, sys.stdout.name, sys.stdout]")
        number, buffer, name, router = prompt.evaluator.namespace["result"]

        assert (number, buffer, name) == (original.fileno(), original.buffer, original.name)
        assert (router.encoding, router.closed, router.isatty()) == ("latin-1", False, False)
        assert prompt.value("sys.stdout.encoding, sys.stdout.isatty()") == "('utf-8', False)"


@in_daemon
def test_line_cannot_close_the_daemons_stdout(daemon: Daemon) -> None:
    prompt = Prompt()

    prompt.value("import sys; sys.stdout.close(); sys.stdin.close()")
    prompt.value("with sys.stdout: pass\n")

    assert not daemon.stdout.closed
    assert not daemon.stdin.closed


@in_daemon
def test_writing_what_is_no_text_is_refused(daemon: Daemon) -> None:
    assert "TypeError: write() argument must be str, not bytes" in Prompt().error(
        "import sys; sys.stdout.write(b'x')"
    )


@in_daemon
def test_stdin_of_a_line_is_its_sessions(daemon: Daemon) -> None:
    prompt = Prompt()
    prompt.inputs += ["one", "two", "three", "four"]

    prompt.value("import sys, builtins")
    assert prompt.value("sys.stdin.readline()") == repr("one\n")
    # Code of the daemon's has the interpreter's own input().
    assert prompt.value("builtins.input('name? ')") == repr("two")
    assert prompt.screen.text == "name? "
    assert prompt.value("sys.stdin.readlines()") == "['three\\n', 'four\\n']"
    assert prompt.value("sys.stdin.read()") == "''"
    assert prompt.value("next(sys.stdin, None)") is None
    assert "UnsupportedOperation" in prompt.error("sys.stdin.read(1)")
    assert "EOFError" in prompt.error("builtins.input()")
    assert daemon.stdin.read() == "the daemon's own\n"


@in_daemon
def test_daemon_reads_its_own_stdin_while_a_line_waits(daemon: Daemon) -> None:
    prompt = Prompt()
    read = []

    def reader() -> None:
        read.append(sys.stdin.readline())
        read.append(sys.stdin.read())

    coro.spawn(reader)
    prompt.value("import coro; coro.sleep_relative(1)")

    assert read == ["the daemon's own\n", ""]


@in_daemon
def test_abandoned_routes_leave_no_trace(daemon: Daemon) -> None:
    prompt = Prompt({"routing": routing})

    prompt.value("routing.abandon(); print('the child')")

    assert prompt.screen.text == ""
    assert daemon.stdout.getvalue() == "the child\n"


@in_daemon
def test_nested_routes_of_one_thread(daemon: Daemon) -> None:
    outer, inner = Prompt(), Prompt()
    outer.evaluator.namespace["inner"] = inner

    outer.value("print(1); inner.value('print(2)'); print(3)")

    assert (outer.screen.text, inner.screen.text) == ("1\n3\n", "2\n")
