"""The Python prompt: values, tracebacks, interrupts, and what a session does to itself."""

from __future__ import annotations

import builtins
import gc
import linecache
import pydoc
import signal
import sys
import time
import warnings
import weakref
from types import FrameType
from typing import Any

import pytest

import coro
import coro.backdoor.compiling
from coro.backdoor.evaluation import (
    INCOMPLETE,
    Evaluator,
    LeaveSession,
    LineInterrupted,
    default_namespace,
)
from coro.scheduler import scheduler
from tests.backdoor.prompt import Prompt, Screen, in_loop

# -- values


@in_loop
def test_expression_has_a_value_and_prints_nothing() -> None:
    prompt = Prompt()

    outcome = prompt.run("6 * 7")

    assert (outcome.value_repr, outcome.error_text, prompt.screen.text) == ("42", None, "")


@in_loop
@pytest.mark.parametrize(
    "text", ["None", "x = 1", "", "# only a comment", "pass", "def f(): pass\n", "'a' if 0 else None"]
)
def test_nothing_to_show(text: str) -> None:
    assert Prompt().value(text) is None


@in_loop
def test_all_expressions_of_an_interactive_piece_are_shown() -> None:
    prompt = Prompt()

    assert prompt.value("1; None; 2") == "2"
    assert prompt.screen.text == "1\n"
    assert prompt.printed("for i in range(3): i\n") == "0\n1\n2\n"
    assert prompt.printed("if 1:\n  'then'\nelse:\n  'else'\n") == "'then'\n"
    assert prompt.printed("try:\n  1/0\nexcept ZeroDivisionError:\n  'except'\nfinally:\n  'finally'\n") == (
        "'except'\n'finally'\n"
    )
    assert prompt.printed("match 3:\n  case 3:\n    'three'\n") == "'three'\n"
    assert prompt.printed("def f():\n  'not shown'\n") == ""
    assert prompt.printed("f(); class_ = type('C', (), {})") == ""
    assert prompt.printed("class C:\n  'not shown'\n") == ""


@in_loop
def test_script_shows_its_last_expression_only() -> None:
    prompt = Prompt()

    outcome = prompt.run("x = 20\nx\nif x:\n  x += 1\nx * 2", interactive=False)

    assert outcome.value_repr == "42"
    assert prompt.screen.text == ""
    assert prompt.run("if 1:\n  5", interactive=False).value_repr is None


@in_loop
def test_underscore_keeps_the_last_value() -> None:
    prompt = Prompt()

    assert "NameError" in prompt.error("_")
    prompt.value("41")
    prompt.value("None")
    prompt.value("x = 5")
    prompt.value("def last():\n  return _\n")
    assert prompt.value("_ + 1") == "42"
    assert prompt.value("last()") == "42"
    assert prompt.value("[_ for i in range(2)]") == "[42, 42]"
    assert "_" not in prompt.evaluator.namespace


@in_loop
def test_underscore_is_each_sessions_own_in_shared_names() -> None:
    namespace: dict[str, Any] = {"coro": coro}
    first, second = Prompt(namespace), Prompt(namespace)

    def slowly() -> None:
        first.value("'one'")
        assert first.value("coro.sleep_relative(2); _") == "'one'"
        assert first.value("(lambda: _)()") == "'one'"

    thread = coro.spawn(slowly)
    coro.sleep_relative(1)
    second.value("'two'")
    assert second.value("coro.sleep_relative(2); _") == "'two'"
    thread.join()
    assert thread.error is None
    assert second.value("_") == "'two'"
    assert not hasattr(builtins, "_")


@in_loop
def test_underscore_is_kept_when_its_repr_fails() -> None:
    prompt = Prompt()
    prompt.value("class Broken:\n  def __repr__(self): raise ValueError('no')\n")

    value = prompt.value("Broken()")

    assert value is not None
    assert value.startswith("<Broken at 0x")
    assert value.endswith(": repr() raised ValueError: no>")
    assert prompt.value("type(_).__name__") == "'Broken'"


@in_loop
def test_huge_value_is_cut() -> None:
    value = Prompt().value("'x' * 10**8")

    assert value is not None
    assert len(value) <= 65_536
    assert "more" in value


@in_loop
def test_line_may_block_without_blocking_others() -> None:
    prompt = Prompt({"coro": coro})
    ticks = []

    def tick() -> None:
        while True:
            ticks.append(1)
            coro.sleep_relative(1)

    thread = coro.spawn(tick)
    outcome = prompt.run("coro.sleep_relative(5)")
    thread.shutdown()

    assert len(ticks) in (5, 6)
    assert outcome.seconds == pytest.approx(5)


def test_default_names_are_a_copy_of_mains() -> None:
    namespace = default_namespace()

    assert namespace == vars(sys.modules["__main__"])
    namespace["new"] = 1
    assert "new" not in vars(sys.modules["__main__"])


# -- compiling


@in_loop
@pytest.mark.parametrize(
    ("text", "incomplete"),
    [
        ("if 1:", True),
        ("if 1:\n  x = 1", True),
        ("if 1:\n  x = 1\n", False),
        ("def f(a,", True),
        ("[1,\n2", True),
        ("'''abc", True),
        ("x = 1 + \\", True),
        ("@staticmethod", True),
        ("a = 1\nif a:", True),
        ("a = 1\nif a:\n  b = 2\n", False),
        ("class C:\n  x = 1\n\n  y = 2", True),
        ("1 + 1", False),
        ("for i in (): pass\n", False),
    ],
)
def test_incomplete_piece(text: str, incomplete: bool) -> None:
    assert Prompt().is_incomplete(text) is incomplete
    assert repr(INCOMPLETE) == "INCOMPLETE"


@in_loop
def test_script_needs_no_empty_line() -> None:
    assert not Prompt().is_incomplete("if 1:\n  x = 1", interactive=False)
    assert Prompt().is_incomplete("if 1:", interactive=False)


@in_loop
def test_several_statements_may_be_pasted() -> None:
    prompt = Prompt()

    assert prompt.value("def f():\n  return 1\n\nf() + 1") == "2"


@in_loop
def test_syntax_error_has_a_caret() -> None:
    text = Prompt().refusal("x = = 2")

    assert text == '  File "<session 3, line 1>", line 1\n    x = = 2\n        ^\nSyntaxError: invalid syntax\n'


@in_loop
def test_error_of_the_compilers_later_stages_shows_its_line() -> None:
    text = Prompt().refusal("def f():\n  nonlocal x\n")

    assert "    nonlocal x\n" in text
    assert "^^^" in text


@in_loop
@pytest.mark.parametrize(
    "text",
    [
        "a\0b",
        "(" * 60_000,
        "-" * 60_000 + "1",
        "x" + ".x" * 30_000,
        "+".join("1" * 30_000),
        "'\ud800'\ud800",
        "1_",
        "9" * 5000,
    ],
    ids=["NUL", "parentheses", "minus", "attributes", "sum", "surrogate", "number", "digits"],
)
def test_hostile_source_is_an_error_and_no_more(text: str) -> None:
    prompt = Prompt()

    error = prompt.evaluator.compile_source(text)

    assert isinstance(error, str)
    assert error.endswith("\n")
    assert "Error" in error
    assert len(error) <= 65_536
    assert prompt.value("1") == "1"


@in_loop
def test_future_import_holds_for_later_pieces_and_this_session_only() -> None:
    prompt = Prompt()

    prompt.value("from __future__ import annotations")
    assert prompt.value("def f(x: missing): pass\n") is None
    assert prompt.value("f.__annotations__") == "{'x': 'missing'}"
    assert "NameError" in Prompt().error("def f(x: missing): pass\n")


@in_loop
def test_compilers_warning_is_told_once_and_to_the_session() -> None:
    prompt = Prompt()

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        # The test runner's own way of showing them does not print.
        warnings.showwarning = lambda *details: sys.stderr.write(warnings.formatwarning(*details[:4]))
        assert prompt.value("1 is 1") == "True"

    assert prompt.screen.text.count("SyntaxWarning") == 1


# -- tracebacks


def without_carets(text: str) -> str:
    """A traceback without the marks under its lines, which differ between versions of Python."""
    return "".join(line for line in text.splitlines(keepends=True) if line.strip(" ~^\n"))


@in_loop
def test_traceback_shows_what_was_typed_and_no_frame_of_the_console() -> None:
    prompt = Prompt()

    prompt.value("def f():\n  return 1 / 0\n")
    text = without_carets(prompt.error("f()"))

    assert text.startswith(
        "Traceback (most recent call last):\n"
        '  File "<session 3, line 2>", line 1, in <module>\n    f()\n'
        '  File "<session 3, line 1>", line 2, in f\n    return 1 / 0\n'
    )
    assert text.endswith("ZeroDivisionError: division by zero\n")


@in_loop
def test_frames_of_the_console_are_hidden_wherever_they_are() -> None:
    prompt = Prompt()

    text = prompt.error("try:\n  1/0\nexcept Exception:\n  breakpoint()\n")

    assert "During handling of the above exception" in text
    assert "coro/backdoor" not in text
    assert ":where" in text


@in_loop
def test_cause_group_and_notes_are_told() -> None:
    prompt = Prompt()

    text = prompt.error(
        "e = ExceptionGroup('both', [ValueError(1), KeyError('k')]); e.add_note('a note'); raise e from OSError(5)"
    )

    for part in (
        "OSError: 5",
        "direct cause",
        "ExceptionGroup: both (2 sub-exceptions)",
        "ValueError: 1",
        "a note",
    ):
        assert part in text
    assert "evaluation.py" not in text


@in_loop
def test_deep_recursion_is_told_briefly() -> None:
    prompt = Prompt()
    prompt.value("def down(n): return up(n + 1)\n")
    prompt.value("def up(n): return down(n + 1)\n")

    text = prompt.error("up(0)")

    assert "more calls" in text
    assert '"<session 3, line 3>", line 1, in <module>' in text
    assert text.rstrip().splitlines()[-1].startswith("RecursionError: maximum recursion depth exceeded")
    assert len(text) < 20_000


@in_loop
def test_long_chain_and_long_message_are_bounded() -> None:
    prompt = Prompt()

    text = prompt.error("e = None\nfor i in range(5000):\n  f = ValueError(i); f.__context__ = e; e = f\n\nraise e")
    assert len(text) <= 65_536
    assert text.endswith("ValueError: 4999\n")
    assert "ValueError: 4960\n" in text
    assert "ValueError: 4900\n" not in text
    text = prompt.error("raise ValueError('x' * 10**7)")
    assert len(text) <= 65_536
    assert "more" in text


@in_loop
def test_exception_whose_text_cannot_be_made_is_told() -> None:
    prompt = Prompt()
    prompt.value("class Mute(Exception):\n  def __str__(self): raise KeyError('mute')\n")

    assert "Mute: <exception str() failed>" in prompt.error("raise Mute")


@in_loop
def test_exception_that_breaks_the_traceback_is_told_in_brief() -> None:
    prompt = Prompt()
    prompt.value("class Evil(Exception):\n  @property\n  def __cause__(self): raise OSError('ha')\n")

    text = prompt.error("raise Evil('bad')")

    assert text == "Evil: bad (its traceback cannot be made: OSError: ha)\n"


@in_loop
def test_exception_that_ends_the_session_while_it_is_told_does_not() -> None:
    prompt = Prompt()
    prompt.value("class Evil(Exception):\n  @property\n  def __cause__(self): exit()\n")

    assert "its traceback cannot be made: LeaveSession" in prompt.error("raise Evil('bad')")


@in_loop
@pytest.mark.parametrize(
    ("text", "last_line"),
    [
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise GeneratorExit('x')", "GeneratorExit: x"),
        ("raise MemoryError", "MemoryError"),
        ("raise BaseException('b')", "BaseException: b"),
        ("import coro; raise coro.Interrupted('me')", "coro.exceptions.Interrupted: me"),
        ("import sys; sys.exit(3)", "SystemExit: 3 (use :exit-daemon to end the daemon)"),
        ("raise SystemExit", "SystemExit (use :exit-daemon to end the daemon)"),
        (
            "import coro; coro.with_timeout(1, coro.sleep_relative, 2)",
            "coro.exceptions.TimeoutError: timed out after 1 s",
        ),
    ],
)
def test_every_exception_ends_in_the_session(text: str, last_line: str) -> None:
    prompt = Prompt()

    error = prompt.error(text)

    assert error.splitlines()[-1].startswith(last_line.partition(": timed")[0])
    assert prompt.value("1") == "1"


@in_loop
def test_sources_are_kept_for_a_bounded_number_of_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coro.backdoor.compiling, "MAX_SOURCES", 3)
    prompt = Prompt(label="session 77")

    def kept() -> list[str]:
        return [name for name in linecache.cache if "session 77" in name]

    for _ in range(10):
        prompt.value("1")
    assert kept() == [f"<session 77, line {n}>" for n in (8, 9, 10)]
    monkeypatch.setattr(coro.backdoor.compiling, "MAX_SOURCE_BYTES", 86)
    prompt.value("x = '" + "y" * 80 + "'")
    assert kept() == ["<session 77, line 11>"]
    linecache.checkcache()
    assert kept() == ["<session 77, line 11>"]
    prompt.evaluator.close()
    assert kept() == []


@in_loop
def test_failed_line_keeps_nothing_alive() -> None:
    class Thing:
        pass

    prompt = Prompt({"Thing": Thing, "refs": [], "weakref": weakref})
    gc.disable()
    try:
        prompt.value("def f():\n  t = Thing(); refs.append(weakref.ref(t)); return 1/0\n")
        prompt.error("f()")
        assert [ref() for ref in prompt.evaluator.namespace["refs"]] == [None]
    finally:
        gc.enable()


@in_loop
def test_closed_session_keeps_its_last_value_no_longer() -> None:
    class Thing:
        pass

    prompt = Prompt({"Thing": Thing})
    prompt.value("Thing()")
    prompt.value("def f(): return _\n")
    ref = weakref.ref(prompt.evaluator._last)
    function = prompt.evaluator.namespace["f"]

    prompt.evaluator.close()
    gc.collect()

    assert ref() is None
    with pytest.raises(NameError):
        function()


# -- the names of the session's own


@in_loop
def test_input_asks_the_session() -> None:
    prompt = Prompt()
    prompt.inputs += ["Ada"]

    assert prompt.value("input('name? ')") == "'Ada'"
    assert prompt.prompts == ["name? "]
    assert "EOFError" in prompt.error("input()")


def test_session_without_input_is_at_its_end() -> None:
    def main() -> None:
        evaluator = Evaluator({}, Screen())
        compiled = evaluator.compile_source("input()")
        assert isinstance(compiled, coro.backdoor.compiling.Compiled)
        text = evaluator.run(compiled).error_text
        assert text is not None
        assert text.endswith("EOFError: this session has no input\n")

    in_loop(main)()


@in_loop
@pytest.mark.parametrize("text", ["exit()", "quit()", "exit(3)", "try:\n  exit()\nexcept Exception: pass\n"])
def test_exit_leaves_the_session(text: str) -> None:
    prompt = Prompt()
    compiled = prompt.compile(text)

    with pytest.raises(LeaveSession):
        prompt.evaluator.run(compiled)

    assert not prompt.evaluator.code_is_running
    assert prompt.value("exit, quit") is not None


@in_loop
def test_help_comes_to_the_session_without_a_pager(monkeypatch: pytest.MonkeyPatch) -> None:
    def pager(text: str, title: str = "") -> None:
        raise AssertionError("the daemon's pager was called")

    monkeypatch.setattr(pydoc, "pager", pager)
    prompt = Prompt()

    assert "Return the number of items in a container." in prompt.printed("help(len)")
    assert 'The "if" statement' in prompt.printed("help('if')")
    prompt.inputs += ["len", "quit"]
    assert "Return the number of items" in prompt.printed("help()")
    assert prompt.value("help") == "help(x) explains x, help() asks what; :help lists the console's commands"
    assert pydoc.pager is pager


@in_loop
def test_breakpoint_is_refused_with_a_hint() -> None:
    assert "breakpoint() is refused here" in Prompt().error("breakpoint()")


@in_loop
def test_names_of_the_sessions_own_are_the_real_ones_for_the_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    monkeypatch.setattr(sys, "breakpointhook", lambda: called.append("breakpoint"))
    monkeypatch.setattr(pydoc, "help", lambda *request: called.append("help"))
    namespace: dict[str, Any] = {}
    Prompt(namespace).value("def f(): breakpoint(); help(1)\ndef g(): exit(5)\ndef h(): return input\n")

    namespace["f"]()
    with pytest.raises(SystemExit) as exit_info:
        namespace["g"]()

    assert called == ["breakpoint", "help"]
    assert exit_info.value.code == 5
    assert builtins.breakpoint.__name__ == "breakpoint"
    assert builtins.input is not namespace["h"]()


@in_loop
def test_shared_names_get_their_builtins_back() -> None:
    namespace: dict[str, Any] = {"coro": coro, "__builtins__": builtins}
    first, second = Prompt(namespace), Prompt(namespace)

    thread = coro.spawn(first.value, "coro.sleep_relative(2)")
    coro.sleep_relative(1)
    second.value("coro.sleep_relative(2)")
    thread.join()
    assert namespace["__builtins__"] is builtins
    namespace.pop("__builtins__")
    first.value("1")
    assert namespace["__builtins__"] is builtins


@in_loop
def test_underscore_of_the_daemon_gives_way_to_the_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    # gettext.install() puts its function there.
    monkeypatch.setattr(builtins, "_", "gettext's", raising=False)
    prompt = Prompt()

    assert prompt.value("_") == '"gettext\'s"'
    prompt.value("5")
    assert prompt.value("_ + 1") == "6"
    assert prompt.value("_ + 1") == "7"


@in_loop
def test_new_builtins_of_the_daemon_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    prompt = Prompt()
    prompt.value("1")

    monkeypatch.setattr(builtins, "novelty", 5, raising=False)

    assert prompt.value("novelty") == "5"


# -- sessions survive what they do to themselves


@in_loop
@pytest.mark.parametrize(
    "text",
    [
        "del __builtins__",
        "__builtins__.clear()",
        "__builtins__['print'] = None",
        "__builtins__ = None",
        "globals().clear()",
        "import linecache; linecache.clearcache()",
        "repr = print = len = exec = type = str = None",
        "__coro_show__ = None\ndel __coro_show__",
        "raise StopIteration",
        "import coro; coro.current().set_name('mine')",
    ],
)
def test_session_survives(text: str) -> None:
    prompt = Prompt()

    prompt.run(text)
    prompt.evaluator.namespace.pop("type", None)

    assert prompt.value("6 * 7") == "42"
    assert prompt.printed("__import__('builtins').print('still here')") == "still here\n"
    assert prompt.error("1 / 0").endswith("ZeroDivisionError: division by zero\n")


@in_loop
@pytest.mark.parametrize("name", ["displayhook", "excepthook", "stdout", "stderr", "stdin"])
def test_session_survives_without_a_part_of_sys(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, name, getattr(sys, name))
    prompt = Prompt()

    prompt.value(f"import sys; sys.{name} = None")

    assert prompt.value("6 * 7") == "42"
    assert prompt.printed("print('still here')") == "still here\n"
    assert "ZeroDivisionError" in prompt.error("1 / 0")


@in_loop
@pytest.mark.parametrize("name", ["print", "repr", "exec", "input"])
def test_session_survives_replaced_builtins(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtins, name, getattr(builtins, name))
    prompt = Prompt()

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise AssertionError(f"{name} was called")

    prompt.evaluator.namespace["refuse"] = refuse
    prompt.value(f"import builtins; builtins.{name} = refuse")

    assert prompt.value("'alive'") == "'alive'"
    assert "ZeroDivisionError" in prompt.error("1 / 0")


@in_loop
def test_session_without_a_compiler_answers_still() -> None:
    prompt = Prompt()

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise OSError("no compiler")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builtins, "compile", refuse)
        assert prompt.refusal("1") == "OSError: no compiler\n"
    assert prompt.value("1") == "1"


@in_loop
def test_session_survives_a_low_recursion_limit() -> None:
    limit = sys.getrecursionlimit()
    prompt = Prompt()
    prompt.value("def down(): return down()\n")
    try:
        # As low as the line may set it at its own depth, and what fifty calls take.
        prompt.value(
            "import sys\nfor n in range(20, 500):\n  try:\n    sys.setrecursionlimit(n)\n    break\n"
            "  except RecursionError: pass\n\nsys.setrecursionlimit(n + 45)"
        )
        assert "RecursionError" in prompt.error("down()")
        assert prompt.value("[[1]]") == "[[1]]"
        assert "ZeroDivisionError" in prompt.error("1 / 0")
    finally:
        sys.setrecursionlimit(limit)
    assert prompt.value("1") == "1"


# -- interrupts


@in_loop
def test_interrupted_wait_is_told_and_ends_at_the_typed_line() -> None:
    prompt = Prompt({"coro": coro})
    outcomes = []
    thread = coro.spawn(lambda: outcomes.append(prompt.run("coro.sleep_relative(100)")))
    coro.sleep_relative(1)

    assert prompt.evaluator.thread is thread
    assert prompt.evaluator.code_is_running
    scheduler.interrupt(thread, LineInterrupted("Ctrl-C"))
    thread.join()

    assert without_carets(outcomes[0].error_text) == (
        "Traceback (most recent call last):\n"
        '  File "<session 3, line 1>", line 1, in <module>\n    coro.sleep_relative(100)\n'
        "coro.LineInterrupted: interrupted by Ctrl-C\n"
    )
    assert outcomes[0].seconds == pytest.approx(1)
    assert prompt.evaluator.thread is None


@in_loop
def test_interrupt_left_over_does_not_hit_what_comes_after_the_line() -> None:
    prompt = Prompt({"coro": coro})
    seen = []

    def session() -> None:
        prompt.run("try:\n  coro.sleep_relative(100)\nexcept BaseException: pass\n")
        coro.sleep_relative(5)
        seen.append("waited")
        coro.sleep_relative(5)

    thread = coro.spawn(session)
    coro.sleep_relative(1)
    for _ in range(3):
        scheduler.interrupt(thread, LineInterrupted("Ctrl-C"))
    scheduler.postpone(thread, KeyError("not ours"))
    with pytest.raises(KeyError):
        thread.result()

    assert seen == []


@in_loop
def test_shutdown_leaves_the_session_and_cleans_up() -> None:
    prompt = Prompt({"coro": coro})
    former = sys.stdout
    thread = coro.spawn(prompt.run, "coro.sleep_relative(100)")
    coro.sleep_relative(1)

    thread.shutdown()
    thread.join()

    assert isinstance(thread.error, coro.Shutdown)
    assert not prompt.evaluator.code_is_running
    assert prompt.evaluator.thread is None
    assert sys.stdout is former


@in_loop
def test_interrupted_by_somebody_else_is_told() -> None:
    prompt = Prompt({"coro": coro})
    outcomes = []
    thread = coro.spawn(lambda: outcomes.append(prompt.run("coro.sleep_relative(100)")))
    coro.sleep_relative(1)

    thread.raise_exception(coro.Interrupted("by hand"))
    thread.join()

    assert outcomes[0].error_text.endswith("coro.exceptions.Interrupted: by hand\n")


def test_spinning_line_is_stopped_by_a_signal() -> None:
    stopped_after = []

    def main() -> None:
        prompt = Prompt({"time": time})
        evaluator = prompt.evaluator
        thread = coro.current()

        def handler(number: int, frame: FrameType | None) -> None:
            if evaluator.code_is_running and coro.current() is thread:
                raise LineInterrupted("the eval limit of 0.05 s")

        former = signal.signal(signal.SIGALRM, handler)
        try:
            for text in ("while True: pass\n", "try:\n  while True: pass\nfinally:\n  while True: pass\n"):
                compiled = prompt.compile(text)
                signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
                outcome = evaluator.run(compiled)
                signal.setitimer(signal.ITIMER_REAL, 0)
                stopped_after.append(outcome.seconds)
                assert outcome.error_text is not None
                assert "coro.LineInterrupted: interrupted by the eval limit of 0.05 s\n" in outcome.error_text
            prompt.value("class Slow:\n  def __repr__(self):\n    while True: pass\n")
            compiled = prompt.compile("Slow()")
            signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
            outcome = evaluator.run(compiled)
            signal.setitimer(signal.ITIMER_REAL, 0)
            assert outcome.error_text is not None
            assert "in __repr__" in outcome.error_text
            assert prompt.value("type(_).__name__") == "'Slow'"
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, former)

    coro.set_latency_warning(0)
    try:
        coro.run(main)
    finally:
        coro.set_latency_warning(1)
    assert max(stopped_after) < 5


@in_loop
def test_interrupt_that_escapes_the_inner_guard_ends_in_the_session() -> None:
    # What happens when the signal comes again while the first raise is being handled.
    prompt = Prompt()
    evaluator = prompt.evaluator
    compiled = prompt.compile("1")

    class Late(LineInterrupted):
        def __str__(self) -> str:
            return "late" if not evaluator.code_is_running else "while it may still be interrupted"

    def escape(job: object) -> None:
        evaluator.code_is_running = True
        raise Late

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluator, "_attempt", escape)
        outcome = evaluator.run(compiled)

    assert outcome.error_text == "Late: late\n"
    assert not evaluator.code_is_running
    assert prompt.value("1") == "1"


def _is_of_a_time_limit(frame: FrameType) -> bool:
    """Say whether the handler of a test's time limit is at work: it is to have its say."""
    caller: FrameType | None = frame
    while caller is not None:
        if caller.f_globals.get("__name__") == "pytest_timeout":
            return True
        caller = caller.f_back
    return False


class AtOpcode:
    """Raises in the n-th bytecode that runs while the evaluator says that it may."""

    def __init__(self, evaluator: Evaluator, n: int) -> None:
        self.evaluator = evaluator
        self.left = n

    def trace(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "call" and _is_of_a_time_limit(frame):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and self.evaluator.code_is_running:
            self.left -= 1
            if self.left == 0:
                raise LineInterrupted("the test")
        return self.trace


@pytest.mark.slow
@pytest.mark.parametrize("text", ["x = [1]; x", "1 / 0", "print('a')", "exit"])
def test_interrupt_at_any_bytecode_ends_in_the_session(text: str) -> None:
    @in_loop
    def test() -> None:
        prompt = Prompt()
        evaluator = prompt.evaluator
        former_trace, stdout = sys.gettrace(), sys.stdout
        n, left = 0, 0
        while left <= 0:
            # Every one of the first thousand; then, since a run costs as much as it has bytecodes, fewer of
            # the thousands that format a traceback.
            n += 1 + n // 1000
            compiled = prompt.compile(text)
            at = AtOpcode(evaluator, n)
            # Python 3.12 looks only now whether anybody wants opcodes.
            sys._getframe().f_trace_opcodes = True
            sys.settrace(at.trace)
            try:
                outcome = evaluator.run(compiled)
            finally:
                sys.settrace(former_trace)
            left = at.left
            assert n < 100_000, f"{text!r} runs {n} bytecodes and more"
            assert not evaluator.code_is_running
            assert evaluator.thread is None
            assert sys.stdout is stdout
            if left == 0:
                assert outcome.error_text is not None
        assert n > 30

    test()
