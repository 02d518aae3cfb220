"""Commands and checks of an application's own: how they are declared, and that they appear everywhere."""

from __future__ import annotations

import functools
import os
import re
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest

import coro.backdoor
from coro.backdoor.commands import find, known_commands
from coro.wire.protocol import CANCELLED, COMMAND_FAILED, INVALID_PARAMS, METHOD_NOT_FOUND, NOT_ALLOWED
from tests.backdoor.talking import Talk, validate

TIMEOUT_S = 10.0
DAEMON = '''
import dataclasses, enum, typing

calls = []

@coro.backdoor.command
def reload_it(what: str, *, times: int = 1, force: bool = False, factor: float = 0.5,
              kind: typing.Literal["soft", "hard"] = "soft", note: str | None = None) -> str:
    """Read a configuration file again.

    Nobody is disconnected."""
    calls.append((what, times, force, factor, kind, note))
    return f"reloaded {what}"

@coro.backdoor.command(role="observe")
def lengths(first: str, *names: str):
    return [{"name": name, "length": len(name)} for name in (first, *names)]

@coro.backdoor.command(name="sum-of")
def add(scale: int = 1, *numbers: int):
    "Add numbers."
    return scale * sum(numbers)

@dataclasses.dataclass
class Point:
    x: int
    label: str

class Colour(enum.Enum):
    RED = 1

class Nasty:
    def __repr__(self):
        raise RuntimeError("no repr for you")

circle = []
circle.append(circle)
RESULTS = {
    "none": None,
    "text": "two\\nlines \\x1b[31m",
    "number": 42,
    "fraction": 2.5,
    "yes": True,
    "nan": float("nan"),
    "huge": 10 ** 5000,
    "dict": {"a": 1, "b": [1, 2], 3: None, "nan": float("inf")},
    "point": Point(1, "one"),
    "bad-point": Point(Nasty(), "one"),
    "points": [Point(1, "one"), Point(2, "two")],
    "dicts": [{"a": 1}, {"a": 2, "b": "x"}],
    "mixed": [1, "two", None, [3, 4]],
    "nothing": [],
    "tuple": (1, 2),
    "set": {7},
    "bytes": b"raw",
    "enum": Colour.RED,
    "nasty": Nasty(),
    "circle": circle,
    "module": typing,
}

@coro.backdoor.command(role="observe")
def result(which: str):
    return RESULTS[which]

@coro.backdoor.command
def refuse():
    raise coro.backdoor.CommandError("not on a Monday")

@coro.backdoor.command
def fail():
    return 1 / 0

@coro.backdoor.command
def wait():
    try:
        coro.sleep_relative(1000)
    finally:
        calls.append("cleaned up")

@coro.backdoor.command
def spin():
    calls.append("spins")
    while True:
        pass

@coro.backdoor.command
def talk():
    print("to the daemon's stdout or the session")
    return "said"

@coro.backdoor.command(role="eval")
def strict():
    return "done"
'''


@pytest.fixture
def application(start_daemon: Any) -> Any:
    """A daemon with commands of its own."""
    return start_daemon(DAEMON)


@pytest.fixture
def declared() -> Iterator[None]:
    """Take the commands away again that a test declares in this process."""
    before = {command.name for command in known_commands()}
    yield
    for command in known_commands():
        if command.name not in before:
            coro.backdoor.remove_command(command.name)


def soon(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, "this did not come true in time"
        time.sleep(0.01)


# -- declaring


@pytest.mark.usefixtures("declared")
def test_signature_and_docstring_describe_the_command() -> None:
    @coro.backdoor.command
    def do_it(
        which: Literal["a", "b"],
        at: float,
        *rest: int,
        count: int = 3,
        quiet: bool = False,
        where: str | None = None,
    ) -> None:
        """Do it.

        Or do not.
        """

    described = find("do-it").command
    assert (described.role, described.group, described.schema) == ("operate", "act", "app.do-it/1")
    assert (described.summary, described.description) == ("Do it.", "Or do not.")
    parameters = {parameter.name: parameter for parameter in described.parameters}
    assert [(one.name, one.kind, one.required, one.many) for one in described.parameters] == [
        ("which", "str", True, False),
        ("at", "float", True, False),
        ("rest", "int", False, True),
        ("count", "int", False, False),
        ("quiet", "flag", False, False),
        ("where", "str", False, False),
    ]
    assert parameters["which"].choices == ("a", "b")
    assert parameters["count"].option == ("--count",)
    assert parameters["count"].default == 3
    assert parameters["where"].default is None
    assert do_it("a", 1.0) is None, "it is still the function"


def bad_default(size: bytes = b"") -> None: ...
def bad_hint(size: list[int]) -> None: ...
def bad_choice(size: Literal[1, 2]) -> None: ...
def bad_union(size: int | str) -> None: ...
def unknown_hint(size: "Nonsense") -> None: ...  # type: ignore[name-defined]  # noqa: F821, UP037
def any_option(**options: int) -> None: ...


@pytest.mark.usefixtures("declared")
@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            bad_default,
            r"the command 'bad-default' cannot take size: .*bytes.*; use int, float, str, bool or a Literal",
        ),
        (bad_hint, r"the command 'bad-hint' cannot take size: list\[int\]"),
        (bad_choice, r"the command 'bad-choice' cannot take size: .*Literal\[1, 2\]"),
        (bad_union, r"the command 'bad-union' cannot take size: int \| str"),
        (unknown_hint, r"the command 'unknown-hint' has an annotation that cannot be read: .*Nonsense"),
        (any_option, r"the command 'any-option' cannot take \*\*options: name its options"),
        (7, r"a command must be a function, got 7"),
    ],
)
def test_a_signature_that_cannot_be_typed_is_a_type_error(function: Any, message: str) -> None:
    before = len(known_commands())
    with pytest.raises(TypeError, match=message):
        coro.backdoor.command(function)
    assert len(known_commands()) == before


@pytest.mark.usefixtures("declared")
def test_names_and_roles_are_checked() -> None:
    def one() -> None: ...
    def other() -> None: ...

    coro.backdoor.command(name="our-own")(one)
    # The same function again, as when a module is reloaded or imported twice by hand.
    coro.backdoor.command(name="our-own")(one)
    with pytest.raises(ValueError, match="there is a command 'our-own' already"):
        coro.backdoor.command(name="our-own")(other)
    with pytest.raises(ValueError, match="there is a command 'ps' already"):
        coro.backdoor.command(name="ps")(one)
    for name in ("two words", "", "-x", "9lives", "naïve", "x\x1b"):
        with pytest.raises(ValueError, match="name must consist of letters, digits and hyphens"):
            coro.backdoor.command(name=name)(one)
    with pytest.raises(ValueError, match="role must be one of observe, operate, eval, got 'root'"):
        coro.backdoor.command(name="x", role="root")(one)  # type: ignore[call-overload]
    with pytest.raises(KeyError, match="built-in"):
        coro.backdoor.remove_command("ps")
    coro.backdoor.remove_command("our-own")
    with pytest.raises(KeyError):
        coro.backdoor.remove_command("our-own")
    coro.backdoor.command(name="our-own")(other)


@pytest.mark.usefixtures("declared")
def test_methods_can_be_commands_and_other_callables_are_refused() -> None:
    class Door:
        def open_wide(self, far: int = 1) -> str:
            return f"open {far}"

    coro.backdoor.command(Door().open_wide)
    assert find("open-wide").run(None, {"far": 2}) == "open 2"  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        coro.backdoor.command(name="partial")(functools.partial(print, "x"))


# -- running


def test_arguments_are_typed_at_the_prompt_and_over_rpc(application: Any) -> None:
    full = ("mx.conf", 3, True, 2.5, "hard", "now then")
    with Talk(application.connect()) as talk, application.rpc() as rpc:
        assert talk.ask(":reload-it mx.conf") == "reloaded mx.conf\n"
        line = ":reload-it --times 3 --force mx.conf --factor=2.5 --kind hard --note 'now then'"
        assert talk.ask(line) == "reloaded mx.conf\n"
        assert rpc.call("reload-it", what="mx.conf") == "reloaded mx.conf"
        named = dict(zip(("what", "times", "force", "factor", "kind", "note"), full, strict=True))
        assert rpc.call("reload-it", **named) == "reloaded mx.conf"
        default = ("mx.conf", 1, False, 0.5, "soft", None)
        assert rpc.eval("calls") == repr([default, full, default, full])

        assert talk.ask(":sum-of 1 2 3") == "6\n"
        assert talk.ask(":sum-of --scale 10 1 2 3 -6") == "0\n"
        assert rpc.call("sum-of") == 0
        assert rpc.call("sum-of", scale=2, numbers=[1, 2]) == 6
        assert rpc.call("lengths", first="a", names=["bcd", ""]) == [
            {"name": "a", "length": 1},
            {"name": "bcd", "length": 3},
            {"name": "", "length": 0},
        ]
        assert talk.ask(":lengths a bcd").split() == ["name", "length", "a", "1", "bcd", "3"]

        refused = {
            ":reload-it": r"reload-it: what is missing \(usage: reload-it .*WHAT.*\)\n",
            ":reload-it a b": r"reload-it: unexpected argument 'b' .*\n",
            ":reload-it a --times many": r"reload-it: times must be a whole number, got 'many'.*\n",
            ":reload-it a --kind rough": r"reload-it: kind must be one of soft, hard, got 'rough'.*\n",
            ":reload-it a --force=1": r"reload-it: --force takes no value, got '1'.*\n",
            ":sum-of 1 x": r"sum-of: numbers must be a whole number, got 'x'.*\n",
            ":reload a": r"there is no command 'reload'; did you mean 'reload-it'\?; .*\n",
        }
        for line, message in refused.items():
            text = talk.ask(line)
            assert re.fullmatch(message, text), f"{line}: {text}"
        for params in ({}, {"what": 1}, {"what": "a", "times": "1"}, {"what": "a", "kind": "x"}, {"whta": "a"}):
            assert rpc.error("reload-it", **params)["code"] == INVALID_PARAMS, params


def test_commands_of_the_application_appear_in_help_hello_and_role(start_daemon: Any) -> None:

    daemon = start_daemon(DAEMON + f"BACKDOOR['roles'] = {{'uid:{os.getuid()}': 'operate'}}")
    with Talk(daemon.connect()) as talk, daemon.rpc() as rpc:
        text = talk.ask("help")
        assert re.search(r"^  reload-it \.\.\. +Read a configuration file again\.$", text, re.MULTILINE)
        assert re.search(r"^  lengths FIRST \[NAMES?\.\.\.\] ", text, re.MULTILINE)
        assert "strict" not in text
        told = talk.ask("help reload-it")
        assert "Nobody is disconnected." in told
        assert re.search(r"--times N", told)
        described = rpc.call("help", command="reload-it")
        validate("coro.command/1", described)
        assert described[0]["schema"] == "app.reload-it/1"
        assert {"reload-it", "lengths", "sum-of"} <= set(rpc.call("hello")["commands"])
        assert "strict" not in rpc.call("hello")["commands"]
        assert rpc.error("strict")["code"] == NOT_ALLOWED
        assert talk.ask("strict") == "strict needs the role eval\n"
        assert talk.ask("sum-of 1 2") == "3\n"


def test_results_of_all_kinds_come_through(application: Any) -> None:
    expected: dict[str, Any] = {
        "none": (None, ""),
        "text": ("two\nlines \x1b[31m", "two\nlines \\x1b[31m\n"),
        "number": (42, "42\n"),
        "fraction": (2.5, "2.5\n"),
        "yes": (True, None),
        "nan": (None, None),
        "dict": ({"a": 1, "b": "[1, 2]", "3": None, "nan": None}, None),
        "point": ({"x": 1, "label": "one"}, "x:     1\nlabel: one\n"),
        "points": ([{"x": 1, "label": "one"}, {"x": 2, "label": "two"}], "x  label\n1  one\n2  two\n"),
        "dicts": ([{"a": 1}, {"a": 2, "b": "x"}], None),
        "mixed": ([1, "two", None, [3, 4]], None),
        "nothing": ([], ""),
        "tuple": ([1, 2], None),
        "set": ("{7}", "{7}\n"),
        "bytes": ("b'raw'", "b'raw'\n"),
        "enum": ("<Colour.RED: 1>", "<Colour.RED: 1>\n"),
        "huge": (hex(10**5000), None),
        "nasty": ..., "circle": ..., "bad-point": ..., "module": ...,
    }  # fmt: skip
    with Talk(application.connect()) as talk, application.rpc() as rpc:
        for which, wanted in expected.items():
            answer = rpc.wait(rpc.send("result", which=which))
            assert answer["result"]["schema"] == "app.result/1", (which, answer)
            text = talk.ask(f":result {which}")
            assert "Traceback" not in text, text
            assert "\x1b" not in text
            if wanted is not ...:
                value, shown = wanted
                assert answer["result"]["value"] == value, which
                assert shown is None or text == shown, (which, text)
        assert rpc.eval("len(RESULTS)") == str(len(expected))


def test_a_command_that_fails_answers_its_session_only(application: Any) -> None:
    with Talk(application.connect()) as talk, application.rpc() as rpc:
        assert rpc.error("refuse") == {"code": COMMAND_FAILED, "message": "not on a Monday"}
        assert talk.ask(":refuse") == "not on a Monday\n"
        error = rpc.error("fail")
        assert error["code"] == COMMAND_FAILED
        assert error["message"].startswith("Traceback ")
        assert error["message"].endswith("ZeroDivisionError: division by zero")
        assert "coro/backdoor" not in error["message"]
        assert talk.ask(":fail").endswith("ZeroDivisionError: division by zero\n")
        assert rpc.call("sum-of", numbers=[1]) == 1
        assert talk.ask(":sum-of 1") == "1\n"
    assert "ZeroDivisionError" not in application.errors()


def test_a_command_that_blocks_hurts_nobody_and_can_be_interrupted(application: Any) -> None:
    with Talk(application.connect()) as talk, application.rpc() as rpc, application.rpc() as other:
        other.call("hello")
        talk.type(":wait")
        number = rpc.send("wait")
        soon(lambda: {":wait", "wait"} <= {session["running"] for session in other.call("sessions")})
        talk.sock.sendall(b"\x03")
        assert talk.read() == "interrupted by Ctrl-C\n"
        assert rpc.call("cancel", id=number) == {"cancelled": True}
        (answer,) = [note for note in [*rpc.notifications, rpc.receive()] if note.get("id") == number]
        assert answer["error"] == {"code": CANCELLED, "message": "interrupted by Ctrl-C"}
        assert other.eval("calls") == "['cleaned up', 'cleaned up']"
        assert talk.ask(":sum-of 1") == "1\n"
        assert rpc.call("sum-of", numbers=[2]) == 2


@pytest.mark.slow
def test_a_command_that_spins_is_stopped_by_the_eval_limit_or_by_hand(application: Any) -> None:
    with application.rpc() as rpc:
        before = time.monotonic()
        error = rpc.error("spin")
        assert 0.9 < time.monotonic() - before < 2.0
        assert error["code"] == CANCELLED
        assert error["message"].startswith("interrupted by the eval limit of 1 s")
    with Talk(application.connect()) as talk:
        talk.type(":spin")
        soon(lambda: application.errors().count("has not turned") == 2)
        talk.sock.sendall(b"\x03")
        assert talk.read() == "interrupted by Ctrl-C\n"
        assert talk.ask("calls") == "['spins', 'spins']\n"
        assert talk.ask(":sum-of 1") == "1\n"


def test_a_command_can_be_removed_while_the_daemon_runs(application: Any) -> None:
    with application.rpc() as rpc:
        rpc.eval("coro.backdoor.remove_command('refuse')")
        assert rpc.error("refuse")["code"] == METHOD_NOT_FOUND
        assert "refuse" not in rpc.call("hello")["commands"]
        rpc.eval("coro.backdoor.command(refuse)")
        assert rpc.error("refuse")["message"] == "not on a Monday"


# -- checks

CHECKS = """
state = {"disk": None, "queue": None}

@coro.backdoor.check
def free_disk():
    return state["disk"]

@coro.backdoor.check(name="queue")
def queue_length():
    result = state["queue"]
    if isinstance(result, Exception):
        raise result
    return result

@coro.backdoor.check
def slow():
    coro.sleep_relative(state.get("slow", 0))
"""


def test_checks_of_the_application_are_part_of_the_health(start_daemon: Any) -> None:
    daemon = start_daemon(CHECKS)
    with Talk(daemon.connect()) as talk, daemon.rpc() as rpc:

        def health(key: str, result: str) -> tuple[str, str, str]:
            """The status as a whole, and the check's, and its text, when it gives this result."""
            rpc.eval(f"state.__setitem__({key!r}, {result})")
            found = rpc.call("check")
            validate("coro.health/1", found)
            name = "free-disk" if key == "disk" else key
            mine = next((check for check in found["checks"] if check["name"] == name), None)
            rpc.eval(f"state.__setitem__({key!r}, 0 if {key!r} == 'slow' else None)")
            assert mine is not None
            return found["status"], mine["status"], mine["text"]

        assert health("disk", "None")[:2] == ("ok", "ok")
        assert health("disk", "True")[:2] == ("ok", "ok")
        assert health("disk", "False")[:2] == ("critical", "critical")
        assert health("disk", "'90 % full'") == ("critical", "critical", "90 % full")
        assert health("disk", "('warning', '80 % full')") == ("warning", "warning", "80 % full")
        status = health("queue", "ValueError('no queue')")
        assert status[:2] == ("critical", "critical")
        assert "ValueError: no queue" in status[2]
        before = time.monotonic()
        assert health("slow", "1000")[1] != "ok"
        assert time.monotonic() - before < 2.0
        rpc.eval("state.__setitem__('disk', 'no \\x1b[31m space')")
        assert re.match(r"CRITICAL - .*no \\x1b\[31m space", talk.ask(":check"))


@pytest.mark.parametrize("wrong", ["7", "lambda: None, name=''", "lambda: None, name='deadlock'"])
def test_a_check_that_makes_no_sense_is_refused(wrong: str) -> None:
    if wrong == "7":
        with pytest.raises(TypeError, match="a check must be a function, got 7"):
            coro.backdoor.check(7)  # type: ignore[call-overload]
        return
    name = wrong.partition("name=")[2].strip("'")
    with pytest.raises(ValueError, match="a check's name must not be"):
        coro.backdoor.check(name=name)(lambda: None)
