"""Every built-in command, over JSON-RPC and as text, with good and bad input."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from coro.wire.commands import COMMANDS
from coro.wire.protocol import (
    CANCELLED,
    COMMAND_FAILED,
    INVALID_PARAMS,
    LIMIT_REACHED,
    METHOD_NOT_FOUND,
    NOT_ALLOWED,
)
from tests.backdoor.talking import Talk, validate

TIMEOUT_S = 10.0
ME = f"uid:{os.getuid()}"
DAEMON = """
def worker(seconds):
    while True:
        coro.sleep_relative(seconds)
def fail():
    coro.sleep_relative(0.001)
    raise ValueError("bad port")
def leave():
    coro.sleep_relative(0.001)
workers = [coro.spawn(worker, 1000 + number, thread_name=f"worker-{number}") for number in range(6)]
failed = coro.spawn(fail, thread_name="failed")
left = coro.spawn(leave, thread_name="left")
fresh = coro.new(worker, 1, thread_name="fresh")
"""
DEADLOCK = """
first, second, third = coro.mutex(), coro.mutex(), coro.mutex()
def take(one, other):
    with one:
        coro.sleep_relative(0.01)
        with other:
            pass
lockers = [
    coro.spawn(take, one, other, thread_name=f"locker-{number}")
    for number, (one, other) in enumerate([(first, second), (second, third), (third, first)])
]
"""


@pytest.fixture
def busy(start_daemon: Any) -> Any:
    """A daemon with six sleeping threads, one that never started, one that failed and one that returned."""
    daemon = start_daemon(DAEMON)
    with daemon.rpc() as rpc:
        soon(lambda: {"failed", "left"} <= {thread["name"] for thread in rpc.call("dead")})
    return daemon


def soon(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, "this did not come true in time"
        time.sleep(0.01)


def ids_of(rpc: Any) -> dict[str, int]:
    """The threads' ids by name, the dead included."""
    return {thread["name"]: thread["id"] for method in ("dead", "ps") for thread in rpc.call(method)}


# -- every command


def good_requests(ids: dict[str, int], other: int) -> dict[str, dict[str, Any]]:
    """Parameters for each command, all of them given.  other: a session that may be kicked."""
    one = ids["worker-0"]
    check = {"warn_lag": 1, "crit_lag": 2.5, "max_threads": 1000, "require": ["worker-0"], "deadlock": "critical"}
    return {
        "ps": {"sort": "run", "filter": "id > 3", "limit": 2},
        "where": {"target": "all", "group": False},
        "info": {"id": one},
        "tree": {},
        "why": {"target": one},
        "fds": {},
        "timers": {},
        "locks": {},
        "dead": {},
        "lag": {},
        "stalls": {},
        "check": check | {"warn_stall": 3.0, "crit_stall": 4},
        "interrupt": {"id": one, "exception": "WakeUp"},
        "shutdown": {"ids": [ids["worker-1"], ids["worker-2"], ids["fresh"]]},
        "selfish": {"id": ids["worker-3"], "maximum": 32768},
        "name": {"id": ids["worker-3"], "new_name": "päckchen \x1b[31m"},
        "set": {"setting": "stall-threshold", "value": 0.5},
        "sessions": {},
        "kick": {"session": other},
        "history": {},
        "help": {"command": "where"},
        "quit": {},
        "eval": {"code": "6 * 7"},
        "exit-daemon": {"code": 3, "yes": True},
    }


def test_every_command_over_rpc_answers_by_its_published_schema(busy: Any) -> None:
    with busy.rpc() as rpc, busy.rpc() as other:
        requests = good_requests(ids_of(rpc), other.call("hello")["session"])
        assert set(requests) == set(COMMANDS)
        values = {}
        for name, params in requests.items():
            answer = rpc.wait(rpc.send(name, **params))
            assert "result" in answer, (name, answer)
            result = answer["result"]
            assert result["schema"] == COMMANDS[name].schema
            assert result["answered_by"] == "loop"
            assert type(result["turn"]) is int
            assert isinstance(result["value"], list) == COMMANDS[name].many, name
            validate(result["schema"], result["value"])
            values[name] = result["value"]
    # Those that had something to show have shown it.
    for name in ("ps", "where", "tree", "why", "fds", "timers", "dead", "sessions", "help", "shutdown", "set"):
        assert values[name], name
    assert len(values["ps"]) > 6
    assert {stack["name"] for stack in values["where"]} >= {"worker-0", "fresh"}
    assert values["info"]["thread"]["name"] == "worker-0"
    assert values["check"]["status"] == "ok"
    assert [action["name"] for action in values["shutdown"]] == ["worker-1", "worker-2", "fresh"]
    assert values["eval"]["value"] == "42"
    assert values["set"][0]["old"] == 0.25
    assert values["set"][0]["value"] == 0.5
    assert busy.process.wait(10) == 3


def test_grouped_stacks_have_a_schema_of_their_own(busy: Any) -> None:
    with busy.rpc() as rpc:
        result = rpc.wait(rpc.send("where", target="all", group=True))["result"]
        assert result["schema"] == "coro.stack-group/1"
        validate(result["schema"], result["value"])
        counts = [group["count"] for group in result["value"]]
        assert counts == sorted(counts, reverse=True)
        ids = ids_of(rpc)
        workers = {ids[f"worker-{number}"] for number in range(6)}
        assert any(workers <= set(group["ids"]) for group in result["value"]), "six at one place are one group"


def test_every_command_as_text_answers_in_plain_words(busy: Any) -> None:
    with busy.rpc() as rpc:
        ids = ids_of(rpc)
        number = rpc.call("hello")["session"]
        worker, other = ids["worker-0"], ids["worker-1"]
        lines = {
            ":ps -n 2 -s name -f 'name > \"worker\"'": r"^id  name .*\n.*  worker-0 +waiting .*\n.*worker-1 .*\n\Z",
            f":where {worker}": rf'^{worker} "worker-0"\n.*daemon\.py:\d+ worker\n +coro\.sleep_relative\(',
            f":info {worker}": rf'^{worker} "worker-0"\n  state: +waiting for .*\n  waiting for: +sleep',
            ":tree": r"^\d+ \"worker-0\"  waiting for sleep .*(\n.*)*`- \d+ \"session \d+ evaluator\"  running\n\Z",
            f":why {worker}": rf'^{worker} "worker-0" has waited .* for: sleep .*\n.+\n\Z',
            ":fds": r"^fd  reader  writer  handler +ready\n( *\d+ .*\n)+\Z",
            ":timers -n 3": r"^ *due in  thread  what\n(.*\n){3}\Z",
            ":locks": r"^kind  held by  waiting  ids  what\n(fifo  .*\n)*\Z",
            ":dead": r"^id  name .*\n(.*\n)* *\d+  left .* returned(.*\n)+ *\d+  failed .* ValueError: bad port ",
            ":lag": r"^since the last turn: (.*\n)+window .*\nlast 10 s .*\nlast 5 min .*\nsince the start ",
            ":stalls": r"^no stall\n\Z",
            ":check": r"^OK - .*threads=\d+",
            f":interrupt {worker} WakeUp": rf"^interrupted thread {worker} 'worker-0' with WakeUp\n\Z",
            f":shutdown {other} {ids['worker-2']}": r"^shut down thread .* 'worker-1'\nshut down .* 'worker-2'\n\Z",
            f":selfish {ids['worker-3']} 2": r"^max selfish acts of thread \d+ 'worker-3': 2, was 4\n\Z",
            f":name {ids['worker-3']} 'new name'": r"^thread \d+ 'worker-3' is now called 'new name'\n\Z",
            ":set stall-threshold 0.5": r"^stall-threshold: 0\.25 -> 0\.5 s\n\Z",
            ":sessions": r"^id  kind  peer .*\n(.*\n)* *\d+  text  unix uid \d+ pid \d+ .*  :sessions\n",
            f":kick {number}": rf"^ended session {number}\n\Z",
            ":history": r"^ *1  :ps .*\n(.*\n)+ *\d+  :history\n\Z",
            ":help where": r"^where \[-g\] .*\n(.*\n)*examples:\n",
            ":eval 1": r"^eval works at the shell; at the prompt just type the expression\n\Z",
        }
        with Talk(busy.connect()) as talk:
            for line, expected in lines.items():
                text = talk.ask(line)
                assert re.match(expected, text), f"{line}:\n{text}"
                assert "\x1b" not in text
            assert talk.ask(":quit") == "bye\n"
            with pytest.raises((EOFError, BrokenPipeError, ConnectionResetError)):
                rpc.call("ps")
    tried = {line.split()[0][1:] for line in lines} | {"quit", "exit-daemon"}
    assert tried == set(COMMANDS)


def test_help_lists_every_command_that_the_prompt_takes(busy: Any) -> None:
    with Talk(busy.connect()) as talk:
        text = talk.ask(":help")
        for command in COMMANDS.values():
            listed = re.search(rf"^  {command.name}\b.*{re.escape(command.summary)}$", text, re.MULTILINE)
            assert bool(listed) == (command.where != "shell"), command.name
        assert [line for line in text.splitlines() if not line.startswith(" ")] == ["look", "act", "session"]
        for command in COMMANDS.values():
            told = talk.ask(f":help {command.name}")
            assert told.startswith(command.name), command.name
            for parameter in command.parameters:
                assert parameter.summary.split("; ")[0][:40] in re.sub(r"\s+", " ", told), parameter.name
        assert talk.ask(":help :where") == talk.ask(":help where")
        assert talk.ask(":help whre") == "there is no command 'whre'; did you mean 'where'?; `help` lists them\n"


# -- bad input


def test_bad_requests_get_clear_errors(busy: Any) -> None:
    with busy.rpc() as rpc:
        ids = ids_of(rpc)
        own = rpc.call("hello")["session"]
        worker, fresh, left, failed = (ids[name] for name in ("worker-0", "fresh", "left", "failed"))
        FAILED, WRONG = COMMAND_FAILED, INVALID_PARAMS
        cases: list[tuple[str, dict[str, Any], int, str]] = [
            # Threads that are not there, or not yet, or no more.
            ("info", {"id": 999_999}, FAILED, r"^there is no thread 999999$"),
            ("where", {"target": 999_999}, FAILED, r"^there is no thread 999999$"),
            ("why", {"target": 999_999}, FAILED, r"^there is no thread 999999$"),
            ("interrupt", {"id": 999_999}, FAILED, r"^there is no thread 999999$"),
            ("shutdown", {"ids": [worker, 999_999]}, FAILED, r"^there is no thread 999999$"),
            ("selfish", {"id": 999_999, "maximum": 2}, FAILED, r"^there is no thread 999999$"),
            ("name", {"id": 999_999, "new_name": "x"}, FAILED, r"^there is no thread 999999$"),
            ("info", {"id": left}, FAILED, rf"^thread {left} 'left' ended \d+\.\d s ago: its function returned$"),
            ("info", {"id": failed}, FAILED, rf"^thread {failed} 'failed' ended .* s ago: ValueError: bad port$"),
            ("interrupt", {"id": failed}, FAILED, r"'failed' ended .* ago: ValueError: bad port$"),
            ("shutdown", {"ids": [left]}, FAILED, r"'left' ended .* ago: its function returned$"),
            ("interrupt", {"id": fresh}, FAILED, rf"^thread {fresh} cannot be interrupted: .*not started"),
            # Values out of range.
            ("selfish", {"id": worker, "maximum": 0}, FAILED, r"^max selfish acts must be 1 to 32768, got 0$"),
            ("selfish", {"id": worker, "maximum": 32769}, FAILED, r"must be 1 to 32768, got 32769$"),
            ("selfish", {"id": worker, "maximum": -1}, FAILED, r"must be 1 to 32768, got -1$"),
            ("name", {"id": worker, "new_name": ""}, FAILED, r"^a thread's name must have 1 to 200 .*, got 0$"),
            ("name", {"id": worker, "new_name": "x" * 201}, FAILED, r"1 to 200 characters, got 201$"),
            ("set", {"setting": "selfishness", "value": 0}, FAILED, r"1 to 32768, got 0$"),
            ("set", {"setting": "selfishness", "value": 2.5}, FAILED, r"^selfishness must be a whole .* 2\.5$"),
            ("set", {"setting": "latency-warning", "value": -1}, FAILED, r"^latency-warning must be 0 to .* -1$"),
            ("set", {"setting": "latency-warning", "value": 61}, FAILED, r"0 to 60 s, got 61$"),
            ("set", {"setting": "stall-threshold", "value": 0.01}, FAILED, r"0\.05 to 60 s, got 0\.01$"),
            ("set", {"setting": "stall-threshold", "value": 61}, FAILED, r"0\.05 to 60 s, got 61$"),
            ("exit-daemon", {"code": 256, "yes": True}, FAILED, r"^an exit code must be 0 to 255, got 256$"),
            ("exit-daemon", {"code": -1, "yes": True}, FAILED, r"0 to 255, got -1$"),
            ("exit-daemon", {}, FAILED, r"^this ends the daemon: .*--yes"),
            ("kick", {"session": 999}, FAILED, r"^there is no session 999$"),
            ("kick", {"session": own}, FAILED, rf"^session {own} is this one; use quit$"),
            ("interrupt", {"id": worker, "exception": "Nonsense"}, FAILED, r"^there is no exception 'Nonsense'"),
            ("interrupt", {"id": worker, "exception": "UnicodeDecodeError"}, FAILED, r"it needs arguments$"),
            ("interrupt", {"id": worker, "exception": "print"}, FAILED, r"^there is no exception 'print'"),
            ("help", {"command": "nonsense"}, FAILED, r"^there is no command 'nonsense'"),
            # Wrong kinds.
            ("info", {"id": "1"}, WRONG, r"^info: id must be a thread's id, got '1'$"),
            ("info", {"id": True}, WRONG, r"^info: id must be a thread's id, got "),
            ("info", {"id": 1.0}, WRONG, r"^info: id must be a thread's id, got "),
            ("info", {"id": -1}, WRONG, r"^info: id must be a thread's id from 0 to \d+, got -1$"),
            ("info", {"id": 1 << 63}, WRONG, r"^info: id must be a thread's id from 0 to "),
            ("info", {}, WRONG, r"^info: the parameter id is missing$"),
            ("info", {"id": None}, WRONG, r"^info: the parameter id is missing$"),
            ("info", {"id": worker, "ids": 1}, WRONG, r"^info has no parameter 'ids'; did you mean 'id'\?$"),
            ("where", {"target": "some"}, WRONG, r"^where: target must be a thread's id or all, got 'some'$"),
            ("where", {"target": "all", "group": 1}, WRONG, r"^where: group must be true or false, got 1$"),
            ("shutdown", {"ids": worker}, WRONG, r"^shutdown: ids must be a list, got \d+$"),
            ("shutdown", {"ids": []}, WRONG, r"^shutdown: the parameter ids is missing$"),
            ("shutdown", {"ids": [worker, "x"]}, WRONG, r"^shutdown: ids must be a thread's id, got 'x'$"),
            ("set", {"setting": "colour"}, WRONG, r"^set: setting must be one of selfishness, .*, got 'colour'"),
            ("set", {"setting": "selfishness", "value": "8"}, WRONG, r"^set: value must be a number, got '8'$"),
            ("check", {"deadlock": "fatal"}, WRONG, r"^check: deadlock must be one of ok, warning, critical"),
            ("check", {"require": "x"}, WRONG, r"^check: require must be a list"),
            ("eval", {}, WRONG, r"^eval needs its code as a string$"),
            ("eval", {"code": 1}, WRONG, r"^eval needs its code as a string$"),
            # No such methods.
            ("wher", {"target": 1}, METHOD_NOT_FOUND, r"^there is no command 'wher'; did you mean 'where'\?"),
            ("__class__", {}, METHOD_NOT_FOUND, r"^there is no command '__class__'"),
            # What is no command.
            ("cancel", {}, WRONG, r"^cancel needs the id of a request$"),
            ("complete", {"text": 1}, WRONG, r"^complete needs a text"),
            ("subscribe", {}, WRONG, r"^subscribe needs a method"),
        ]  # fmt: skip
        for method, params, code, message in cases:
            error = rpc.error(method, **params)
            assert (error["code"], bool(re.search(message, error["message"]))) == (code, True), (
                method,
                params,
                error,
            )
        # None of it has changed anything, and the session works.
        assert {"worker-0", "fresh"} <= {thread["name"] for thread in rpc.call("ps")}
        assert [setting["value"] for setting in rpc.call("set")] == [4, 0.2, 0.25]
        assert rpc.eval("1 + 1") == "2"


def test_bad_lines_get_clear_errors(busy: Any) -> None:
    with busy.rpc() as rpc:
        ids = ids_of(rpc)
    worker, fresh, failed = ids["worker-0"], ids["fresh"], ids["failed"]
    lines = {
        ":": r"a command's name is missing; :help lists them",
        ":pss": r"there is no command 'pss'; did you mean 'ps'\?; `help` lists them",
        ":where": r"where: target is missing \(usage: where \[-g\] \[-n N\] ID\|all\)",
        ":where x": r"where: target must be a thread's id or all, got 'x'.*",
        ":where 1 2": r"where: unexpected argument '2' \(usage: .*\)",
        ":where 999999": r"there is no thread 999999",
        ":where --gruop all": r"where: unknown option '--gruop'; did you mean '--group'\?.*",
        f":info {failed}": rf"thread {failed} 'failed' ended \d+\.\d s ago: ValueError: bad port",
        f":interrupt {fresh}": rf"thread {fresh} cannot be interrupted: .*not started.*",
        f":selfish {worker} 0": r"max selfish acts must be 1 to 32768, got 0",
        f":selfish {worker} many": r"selfish: maximum must be a whole number, got 'many'.*",
        f":shutdown {worker} 999999": r"there is no thread 999999",
        f":name {worker} two words": r"name: unexpected argument 'words' .*",
        f":name {worker} 'no end": r".*quot.*",
        ":set latency-warning 100": r"latency-warning must be 0 to 60 s, got 100",
        ":set colour red": r"set: setting must be one of selfishness, latency-warning, stall-threshold, got .*",
        ":ps -n": r"ps: -n needs a value.*",
        ":ps -n -1": r"limit must be 0 or more, got -1",
        ":ps -f 'id >'": r".*filter.*",
        ":ps -f 'nonsense > 1'": r".*nonsense.*",
        ":ps -s colour": r"ps: sort must be one of run, wait, idle, switches, id, name, got .*",
        ":kick 999": r"there is no session 999",
        ":kick me": r"kick: session must be a whole number, got 'me'.*",
        ":exit-daemon 256 --yes": r"an exit code must be 0 to 255, got 256",
        ":check --deadlock fatal": r"check: deadlock must be one of ok, warning, critical, got .*",
    }
    with Talk(busy.connect()) as talk:
        for line, expected in lines.items():
            text = talk.ask(line)
            assert re.fullmatch(expected + r"\n", text), f"{line}: {text}"
        assert talk.ask(f":where\t{worker}").startswith(f'{worker} "worker-0"\n')
        assert talk.ask("  :set   selfishness  ").startswith("setting ")


def test_bytes_of_a_terminal_do_not_pass_through_names(busy: Any) -> None:
    with Talk(busy.connect()) as talk, busy.rpc() as rpc:
        worker = ids_of(rpc)["worker-0"]
        rpc.call("name", id=worker, new_name="\x1b]0;owned\x07\r\nfake  line\u202e")
        for line in (":ps", ":tree", f":where {worker}", f":info {worker}", f":why {worker}", ":where all --group"):
            text = talk.ask(line)
            assert re.search(r"[^\n -~–×µ…]", text) is None, text
            assert "\nfake" not in text
        assert rpc.call("info", id=worker)["thread"]["name"] == "\x1b]0;owned\x07\r\nfake  line\u202e"


# -- acting


def test_interrupt_raises_in_the_thread_and_tells_of_a_shield(start_daemon: Any) -> None:
    daemon = start_daemon("""
        seen = []
        def patient():
            while True:
                try:
                    coro.sleep_relative(1000)
                except coro.Shutdown:
                    raise
                except (coro.Interrupted, OSError) as error:
                    seen.append(f"{type(error).__name__}: {error}")
        one = coro.spawn(patient, thread_name="patient")
        """)
    with daemon.rpc() as rpc:
        number = ids_of(rpc)["patient"]
        for name in ("Interrupted", "ConnectionResetError"):
            told = rpc.call("interrupt", id=number, exception=name)
            assert told["text"] == f"interrupted thread {number} 'patient' with {name}"
        seen = rpc.eval("seen")
        assert seen == str(
            ["Interrupted: interrupted from the backdoor", "ConnectionResetError: interrupted from the backdoor"]
        )


def test_a_session_cannot_interrupt_or_shut_down_itself(busy: Any) -> None:
    with busy.rpc() as rpc:
        rpc.call("ps")
        own = [thread["id"] for thread in rpc.call("ps") if thread["name"].startswith("session ")]
        assert len(own) == 2
        for number in own:
            assert "this session's own" in rpc.error("interrupt", id=number)["message"]
            assert "this session's own" in rpc.error("shutdown", ids=[number])["message"]
        assert rpc.eval("1 + 1") == "2"


def test_shutdown_is_all_or_nothing_and_cancels_what_has_not_started(busy: Any) -> None:
    with busy.rpc() as rpc:
        ids = ids_of(rpc)
        rpc.error("shutdown", ids=[ids["worker-0"], ids["left"]])
        assert "worker-0" in {thread["name"] for thread in rpc.call("ps")}
        told = rpc.call("shutdown", ids=[ids["worker-0"], ids["fresh"], ids["worker-0"]])
        assert [action["text"] for action in told] == [
            f"shut down thread {ids['worker-0']} 'worker-0'",
            f"cancelled, before it ran, thread {ids['fresh']} 'fresh'",
        ]
        soon(lambda: not {"worker-0", "fresh"} & {thread["name"] for thread in rpc.call("ps")})


def test_settings_take_effect(busy: Any) -> None:
    with busy.rpc() as rpc:
        rpc.call("set", setting="selfishness", value=9)
        rpc.call("set", setting="latency-warning", value=1.5)
        rpc.call("set", setting="stall-threshold", value=2)
        assert rpc.eval("coro.new(worker, 1).max_selfish_acts") == "9"
        shown = rpc.call("set")
        assert [(setting["name"], setting["value"], setting["unit"]) for setting in shown] == [
            ("selfishness", 9, ""),
            ("latency-warning", 1.5, "s"),
            ("stall-threshold", 2, "s"),
        ]
        assert rpc.call("set", setting="latency-warning")[0]["old"] is None


@pytest.mark.parametrize("words", ["no", "", "maybe"])
def test_exit_daemon_asks_first_and_goes_on_unless_told_yes(busy: Any, words: str) -> None:
    with Talk(busy.connect()) as talk:
        assert talk.ask(":exit-daemon 3") == "really end the daemon? "
        assert talk.prompt == "(yes/no) "
        assert talk.ask(words) == "the daemon goes on\n"
        assert talk.ask("1 + 1") == "2\n"
        assert talk.ask(":exit-daemon") == "really end the daemon? "
        talk.sock.sendall(b"\x03")
        assert talk.read() == "\nKeyboardInterrupt\n"
    assert busy.process.poll() is None


@pytest.mark.parametrize("line", [":exit-daemon 3", ":exit-daemon 3 --yes"])
def test_exit_daemon_ends_it_with_the_code(busy: Any, line: str) -> None:
    with Talk(busy.connect()) as talk:
        if line.endswith("--yes"):
            talk.type(line)
        else:
            talk.ask(line)
            talk.type("yes")
        assert "the daemon exits with code 3\n" in talk.read()
    assert busy.process.wait(10) == 3
    assert not os.path.exists(busy.path)
    assert re.search(r'command=":exit-daemon 3.*" outcome=ok', busy.log())


# -- roles

ROLE_OF = {name: command.role for name, command in COMMANDS.items()}


@pytest.mark.parametrize("role", ["observe", "operate", "eval"])
def test_a_role_allows_its_commands_and_no_others(start_daemon: Any, role: str) -> None:
    order = ["observe", "operate", "eval"]
    daemon = start_daemon(DAEMON + f"BACKDOOR['roles'] = {{{ME!r}: {role!r}}}")
    with daemon.rpc() as rpc, daemon.rpc() as other:
        hello = rpc.call("hello")
        assert hello["role"] == role
        assert hello["eval"] == (role == "eval")
        allowed = {name for name in COMMANDS if order.index(ROLE_OF[name]) <= order.index(role)}
        assert set(hello["commands"]) == allowed
        assert {command["name"] for command in rpc.call("help")} == allowed
        requests = good_requests(ids_of(rpc), other.call("hello")["session"])
        for name, params in requests.items():
            answer = rpc.wait(rpc.send(name, **params))
            if name in allowed:
                assert "result" in answer, (name, answer)
            else:
                assert answer["error"]["code"] == NOT_ALLOWED, (name, answer)
                assert ROLE_OF[name] in answer["error"]["message"]
                assert re.search(rf"command=\"?{name}.* outcome=refused", daemon.log()) or name == "eval"
        if role == "observe":
            # Showing the settings is looking.
            assert len(rpc.call("set")) == 3
            assert len(rpc.call("set", setting="selfishness")) == 1
            assert "worker-1" in {thread["name"] for thread in rpc.call("ps")}
            assert rpc.call("complete", text="co")["candidates"] == []
    if role == "observe":
        assert daemon.process.poll() is None
        with Talk(daemon.connect()) as talk:
            assert talk.prompt == "coro> "
            assert "Python" not in talk.greeting
            assert talk.ask("set").startswith("setting ")
            assert talk.ask(":set selfishness 8") == "set needs the role operate\n"
            assert talk.ask("exit-daemon") == "exit-daemon needs the role operate\n"
            assert talk.ask("import os").startswith("there is no command 'import'")
            assert "shutdown" not in talk.ask("help")
            assert talk.ask("exit") == "bye\n"
    else:
        assert daemon.process.wait(10) == 3


def test_eval_can_be_turned_off_for_everybody(start_daemon: Any) -> None:
    daemon = start_daemon(DAEMON + "BACKDOOR['eval'] = False")
    with daemon.rpc() as rpc:
        hello = rpc.call("hello")
        assert (hello["role"], hello["eval"]) == ("operate", False)
        assert "eval" not in hello["commands"]
        error = rpc.error("eval", code="open('/dev/null')")
        assert error == {"code": NOT_ALLOWED, "message": "the Python prompt is turned off in this daemon"}
        assert rpc.call("complete", text="co")["candidates"] == []
        assert rpc.call("shutdown", ids=[ids_of(rpc)["worker-0"]])
    assert re.search(r"command=.*open.* outcome=refused", daemon.log())
    with Talk(daemon.connect()) as talk:
        assert talk.prompt == "coro> "
        assert talk.ask("1 + 1").startswith("there is no command '1'")
        assert talk.ask("ps").startswith("id  name")
        assert talk.ask(":ps").startswith("id  name")
        assert "eval" not in talk.ask("help")
        assert talk.ask("quit") == "bye\n"


# -- sessions


def test_sessions_shows_what_each_does(busy: Any) -> None:
    with Talk(busy.connect()) as talk, busy.rpc() as rpc, busy.rpc() as sleeper:
        talk.ask("'typed'")
        number = sleeper.send("eval", code="coro.sleep_relative(1000)  # here")
        soon(lambda: any("# here" in (session["running"] or "") for session in rpc.call("sessions")))
        records = rpc.call("sessions")
        validate("coro.session/1", records)
        by_running = {record["running"]: record for record in records}
        mine, theirs, idle = (by_running[key] for key in ("sessions", "coro.sleep_relative(1000)  # here", None))
        assert (mine["kind"], theirs["kind"], idle["kind"]) == ("rpc", "rpc", "text")
        for record in records:
            assert (record["uid"], record["pid"]) == (os.getuid(), os.getpid())
            assert 0 <= record["idle_s"] <= record["age_s"] < 60
            assert len(record["threads"]) == 2
        names = {thread["id"]: thread["name"] for thread in rpc.call("ps")}
        assert [names[thread] for thread in idle["threads"]] == [
            f"session {idle['id']}",
            f"session {idle['id']} evaluator",
        ]
        sleeper.call("cancel", id=number)


def test_kick_ends_a_session_whatever_it_does(busy: Any) -> None:
    with busy.rpc() as rpc:
        for code in ("coro.sleep_relative(1000)", "input()", "''"):
            with busy.rpc() as victim:
                number = victim.call("hello")["session"]
                victim.send("eval", code=code)
                if code != "''":
                    soon(lambda code=code: code in {session["running"] for session in rpc.call("sessions")})
                told = rpc.call("kick", session=number)
                assert (told["id"], told["text"]) == (number, f"ended session {number}")
                with pytest.raises((EOFError, ConnectionResetError)):
                    while True:
                        victim.receive()
            assert f"kicked by session {rpc.call('hello')['session']}" in busy.log()
        with Talk(busy.connect()) as talk:
            number = int(talk.ask("import re; print(max(__import__('__main__').backdoor.host.sessions))"))
            rpc.call("kick", session=number)
            assert talk.read() == ""
        soon(lambda: len(rpc.call("sessions")) == 1)
        assert len([thread for thread in rpc.call("ps") if thread["name"].startswith("session")]) == 2


def test_history_keeps_lines_and_blocks_in_order(busy: Any) -> None:
    with Talk(busy.connect()) as talk:
        talk.ask("x = 1")
        talk.ask("if x:")
        talk.ask("    x")
        talk.ask("")
        talk.ask("")
        talk.ask("syntax error")
        text = talk.ask(":history")
    assert [line.split(None, 1)[0] for line in text.splitlines() if re.match(r" *\d+  ", line)] == [
        "1",
        "2",
        "3",
        "4",
    ]
    assert "x = 1" in text
    assert "    x" in text
    with busy.rpc() as rpc:
        rpc.eval("1")
        rpc.eval("2")
        assert rpc.call("history") == [{"number": 1, "text": "1"}, {"number": 2, "text": "2"}]


# -- deadlock


def test_why_prints_the_cycle_of_three_threads_over_three_mutexes(start_daemon: Any) -> None:
    daemon = start_daemon(DEADLOCK)
    with daemon.rpc() as rpc:
        ids = ids_of(rpc)
        lockers = [ids[f"locker-{number}"] for number in range(3)]
        soon(lambda: len(rpc.call("locks")) == 3)
        for position, number in enumerate(lockers):
            (found,) = rpc.call("why", target=number)
            validate("coro.why/1", found)
            expected = lockers[position:] + lockers[:position]
            assert found["cycle"] == expected
            assert [link["id"] for link in found["chain"]] == expected
            assert [link["holders"] for link in found["chain"]] == [[one] for one in expected[1:] + expected[:1]]
        (found,) = rpc.call("why", target="all")
        assert set(found["cycle"]) == set(lockers)
        health = rpc.call("check")
        assert health["status"] == "warning"
        assert set(health["threads"]["deadlocked"]) == set(lockers)
        assert rpc.call("check", deadlock="critical")["code"] == 2
        assert rpc.call("check", deadlock="ok")["code"] == 0
        one, two, three = lockers
        with Talk(daemon.connect()) as talk:
            text = talk.ask(f":why {one}")
            assert text.endswith(f"DEADLOCK: {one} -> {two} -> {three} -> {one}\n")
            assert len(text.splitlines()) == 4
            assert f"DEADLOCK: {one} -> {two} -> {three} -> {one}\n" in talk.ask(":why all")
            assert re.match(rf"WARNING - threads {one}, {two}, {three} wait for each other ", talk.ask(":check"))
            # And the way out.
            talk.ask(f":interrupt {two}")
            soon(lambda: talk.ask(":why all") == "no deadlock\n")
        soon(lambda: rpc.call("check")["status"] == "ok")


# -- subscriptions


def subscribe(rpc: Any, method: str, params: dict[str, Any] | None = None, every: object = 0.1) -> dict[str, Any]:
    """The answer to a request to subscribe."""
    rpc.sock.sendall(
        json.dumps(
            {
                "jsonrpc": "2.0",
                "id": f"subscribe {method}",
                "method": "subscribe",
                "params": {"method": method, "params": params or {}, "every": every},
            }
        ).encode()
        + b"\n"
    )
    found: dict[str, Any] = rpc.wait(f"subscribe {method}")
    return found


def subscribed(rpc: Any, method: str, params: dict[str, Any] | None = None, every: float = 0.1) -> int:
    """The number of a new subscription."""
    number: int = subscribe(rpc, method, params, every)["result"]["value"]["subscription"]
    return number


def events(rpc: Any, count: int) -> list[dict[str, Any]]:
    found = []
    while len(found) < count:
        message = rpc.receive()
        if message.get("method") == "event":
            found.append(message["params"])
    return found


def test_subscription_sends_the_result_again_and_again(busy: Any) -> None:
    with busy.rpc() as rpc:
        first = subscribed(rpc, "ps")
        second = subscribed(rpc, "where", {"target": "all", "group": True})
        assert first != second
        found = events(rpc, 6)
        for number, schema in ((first, "coro.thread/1"), (second, "coro.stack-group/1")):
            mine = [event for event in found if event["subscription"] == number]
            assert [event["seq"] for event in mine] == list(range(len(mine)))
            assert len(mine) >= 2
            for event in mine:
                assert event["dropped"] == 0
                assert event["result"]["schema"] == schema
                assert event["result"]["value"]
                validate(schema, event["result"]["value"])
        # Requests are answered in between.
        assert rpc.eval("1 + 1") == "2"
        assert rpc.call("unsubscribe", subscription=first) == {"ended": True}
        assert rpc.call("unsubscribe", subscription=first) == {"ended": False}
        rpc.notifications.clear()
        assert {event["subscription"] for event in events(rpc, 3)} == {second}
        assert rpc.call("unsubscribe", subscription=second) == {"ended": True}
        assert not [thread for thread in rpc.call("ps") if "subscription" in thread["name"]]


def test_bad_subscriptions_get_clear_errors(busy: Any) -> None:
    with busy.rpc() as rpc:
        for method, params, every, code, message in (
            (
                "shutdown",
                {"ids": [1]},
                1,
                INVALID_PARAMS,
                "shutdown cannot be subscribed to: it does not only look",
            ),
            ("eval", {"code": "1"}, 1, INVALID_PARAMS, "eval cannot be subscribed to: it does not only look"),
            ("ps", {}, 0.01, INVALID_PARAMS, "every must be 0.1 to 86400 s, got 0.01"),
            ("ps", {}, 1e6, INVALID_PARAMS, "every must be 0.1 to 86400 s, got 1000000.0"),
            ("ps", {}, "often", INVALID_PARAMS, "every must be 0.1 to 86400 s, got 'often'"),
            ("info", {}, 1, INVALID_PARAMS, "info: the parameter id is missing"),
            ("pss", {}, 1, METHOD_NOT_FOUND, "there is no command 'pss'; did you mean 'ps'?; `help` lists them"),
        ):
            assert subscribe(rpc, method, params, every)["error"] == {"code": code, "message": message}
        assert rpc.call("unsubscribe", subscription=1) == {"ended": False}
        assert rpc.call("unsubscribe", subscription=[1]) == {"ended": False}


def test_subscriptions_end_with_their_session_and_are_counted(busy: Any) -> None:
    with busy.rpc() as rpc:
        for _ in range(8):
            subscribed(rpc, "lag", every=10)
        error = subscribe(rpc, "lag")["error"]
        assert error["code"] == LIMIT_REACHED
        assert error["message"] == "8 subscriptions run already, the most allowed"
    with busy.rpc() as rpc:
        soon(lambda: not [thread for thread in rpc.call("ps") if "subscription" in thread["name"]])


def test_subscription_ends_with_an_error_when_its_thread_is_gone(busy: Any) -> None:
    with busy.rpc() as rpc:
        worker = ids_of(rpc)["worker-0"]
        number = subscribed(rpc, "info", {"id": worker})
        assert events(rpc, 1)[0]["result"]["value"]["thread"]["id"] == worker
        rpc.call("shutdown", ids=[worker])
        while True:
            (event,) = events(rpc, 1)
            if "error" in event:
                break
        assert event["subscription"] == number
        assert re.match(rf"thread {worker} 'worker-0' ended ", event["error"])
        assert rpc.call("unsubscribe", subscription=number) == {"ended": False}


@pytest.mark.slow
def test_slow_reader_loses_whole_events_and_is_told_how_many(start_daemon: Any) -> None:
    # 2000 threads are half a megabyte of records: more than the kernel's buffers take.
    daemon = start_daemon("""
        for number in range(2000):
            coro.spawn(coro.sleep_relative, 1000, thread_name=f"sleeper-{number}")
        coro.spawn(ticker, thread_name="ticker")
        """)
    with daemon.rpc() as rpc, daemon.rpc() as other:
        rpc.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        subscribed(rpc, "ps")
        waiting = (
            "[s.connection.pending and len(s.connection.pending) for s in "
            "__import__('__main__').backdoor.host.sessions.values()]"
        )
        soon(lambda: max(eval(other.eval(waiting), {"bytearray": lambda *_: 0})) > 0)
        before = daemon.resident_bytes()
        time.sleep(1.0)
        assert daemon.resident_bytes() - before < 4 << 20
        assert other.eval("1 + 1") == "2"
        found = events(rpc, 4)
        assert [event["seq"] for event in found] == [0, 1, 2, 3]
        dropped = [event["dropped"] for event in found]
        assert dropped == sorted(dropped)
        assert dropped[0] == 0
        assert dropped[-1] >= 5
        assert all(len(event["result"]["value"]) > 2000 for event in found)


# -- the rest of the protocol


def test_complete_offers_names_attributes_and_keys(busy: Any) -> None:
    with busy.rpc() as rpc:
        rpc.eval('exec(\'table = {"alpha": 1, "beta": 2}; workshop = 3\', globals())')
        found = rpc.call("complete", text="work")
        assert (found["start"], found["truncated"]) == (0, False)
        assert {"worker", "workers", "workshop"} <= {candidate["text"] for candidate in found["candidates"]}
        kinds = {candidate["text"]: candidate["kind"] for candidate in found["candidates"]}
        assert kinds["worker"] == "function"
        found = rpc.call("complete", text="x = coro.all_th + 1", cursor=15)
        assert found["start"] == 9
        assert [candidate["text"] for candidate in found["candidates"]] == ["all_threads"]
        found = rpc.call("complete", text="nothing_begins_like_this")
        assert found["candidates"] == []
        assert rpc.call("complete", text="work", cursor=-1) is not None
        assert rpc.call("complete", text="\x00\ud83d\ude00 (", cursor=10_000)["candidates"] is not None


def test_cancel_interrupts_a_running_request(busy: Any) -> None:
    with busy.rpc() as rpc:
        number = rpc.send("eval", code="print('on'); coro.sleep_relative(1000)")
        soon(lambda: rpc.receive()["method"] == "output")
        assert rpc.call("cancel", id=number) == {"cancelled": True}
        value = next(note for note in [rpc.wait(number)] if note)["result"]["value"]
        validate("coro.evaluation/1", value)
        assert value["error"].endswith("coro.LineInterrupted: interrupted by Ctrl-C\n")
        assert rpc.call("cancel", id=number) == {"cancelled": False}
        assert rpc.call("cancel", id="never heard of") == {"cancelled": False}


def test_cancel_of_a_request_that_waits_means_it_never_runs(busy: Any) -> None:
    with busy.rpc() as rpc, busy.rpc() as other:
        first = rpc.send("eval", code="print(1); coro.sleep_relative(1000)")
        assert rpc.receive()["method"] == "output"
        second = rpc.send("eval", code="__import__('__main__').marked = True")
        third = rpc.send("ps")
        fourth = rpc.send("eval", code="'last'")
        answers = {}
        for number in (third, second, first):
            cancel = rpc.send("cancel", id=number)
            while cancel not in answers:
                message = rpc.receive()
                answers[message["id"]] = message
            assert answers[cancel]["result"]["value"] == {"cancelled": True}
        while fourth not in answers:
            message = rpc.receive()
            answers[message["id"]] = message
        assert "LineInterrupted" in answers[first]["result"]["value"]["error"]
        assert answers[second]["error"]["code"] == CANCELLED
        assert answers[third]["error"]["code"] == CANCELLED
        assert answers[fourth]["result"]["value"]["value"] == "'last'"
        assert other.eval("hasattr(__import__('__main__'), 'marked')") == "False"


def test_an_id_that_was_cancelled_can_be_used_again(busy: Any) -> None:
    with busy.rpc() as rpc:
        for method, params in (("check", "{}"), ("eval", '{"code": "coro.sleep_relative(0.05)"}')):
            rpc.sock.sendall(
                f'{{"jsonrpc":"2.0","id":"x","method":"{method}","params":{params}}}\n'
                '{"jsonrpc":"2.0","method":"cancel","params":{"id":"x"}}\n'.encode()
            )
            assert rpc.receive()["id"] == "x"
            rpc.sock.sendall(b'{"jsonrpc":"2.0","id":"x","method":"eval","params":{"code":"6 * 7"}}\n')
            answer = rpc.receive()
            assert answer["id"] == "x"
            assert answer["result"]["value"]["value"] == "42", answer


def test_input_asks_the_client_for_a_line(busy: Any) -> None:
    with busy.rpc() as rpc:
        number = rpc.send("eval", code="print('first'); [input('name? '), input()]")
        kinds = [rpc.receive() for _ in range(2)]
        assert [kind["method"] for kind in kinds] == ["output", "input"]
        assert kinds[1]["params"] == {"id": number, "prompt": "name? "}
        rpc.sock.sendall(
            f'{{"jsonrpc":"2.0","method":"input","params":{{"id":{number},"text":"wörm"}}}}\n'.encode()
        )
        assert rpc.receive()["params"] == {"id": number, "prompt": ""}
        rpc.sock.sendall(f'{{"jsonrpc":"2.0","method":"input","params":{{"id":{number},"text":""}}}}\n'.encode())
        assert rpc.wait(number)["result"]["value"]["value"] == "['wörm', '']"
        number = rpc.send("eval", code="input()")
        assert rpc.receive()["method"] == "input"
        rpc.sock.sendall(f'{{"jsonrpc":"2.0","method":"input","params":{{"id":{number},"eof":true}}}}\n'.encode())
        error = rpc.wait(number)["result"]["value"]["error"]
        assert error.endswith("EOFError: the session's input has ended\n")
        # Nobody waits any more: it is not kept for the next.
        rpc.sock.sendall(
            f'{{"jsonrpc":"2.0","method":"input","params":{{"id":{number},"text":"late"}}}}\n'.encode()
        )
        number = rpc.send("eval", code="input()")
        assert rpc.receive()["method"] == "input"
        assert rpc.call("cancel", id=number) == {"cancelled": True}
        assert "LineInterrupted" in rpc.wait(number)["result"]["value"]["error"]


def test_eval_over_rpc_tells_of_errors_and_incomplete_code(busy: Any) -> None:
    with busy.rpc() as rpc:
        cases = {
            "1 / 0": (None, "ZeroDivisionError: division by zero\n", False),
            "for": (None, "SyntaxError: invalid syntax\n", False),
            "x = 1": (None, None, False),
            "None": (None, None, False),
            "x": ("1", None, False),
        }
        for code, (value, error, incomplete) in cases.items():
            found = rpc.call("eval", code=code)
            validate("coro.evaluation/1", found)
            assert (found["value"], found["incomplete"]) == (value, incomplete)
            assert (found["error"] or "").endswith(error or "")
            assert (found["error"] is None) == (error is None)
            assert "coro/backdoor" not in (found["error"] or "")
        assert rpc.call("eval", code="for i in []:", interactive=True)["incomplete"]


def test_requests_beyond_the_limit_are_refused_one_by_one(busy: Any) -> None:
    with busy.rpc() as rpc:
        first = rpc.send("eval", code="coro.sleep_relative(1000)")
        with busy.rpc() as other:
            soon(lambda: any(session["running"] for session in other.call("sessions")[:1]))
        numbers = [rpc.send("ps") for _ in range(70)]
        refused = [rpc.wait(number)["error"] for number in numbers[64:]]
        assert {error["code"] for error in refused} == {LIMIT_REACHED}
        assert refused[0]["message"] == "64 requests wait already, the most allowed"
        # Answered in the order in which they came.
        rpc.call("cancel", id=first)
        answered = [note["id"] for note in rpc.notifications if "id" in note]
        while len(answered) < 65:
            answered.append(rpc.receive()["id"])
        assert answered == [first, *numbers[:64]]


# -- schemas


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"target": "all", "group": True}, "coro.stack-group/1"),
        ({"target": "all", "group": False}, "coro.stack/1"),
        # Of one thread there is nothing to group.
        ({"target": 1, "group": True}, "coro.stack/1"),
    ],
)
def test_the_schema_is_that_of_what_is_answered(busy: Any, parameters: dict[str, Any], expected: str) -> None:
    with busy.rpc() as rpc:
        answer = rpc.wait(rpc.send("where", **parameters))["result"]
        number = subscribed(rpc, "where", parameters)
        (event,) = events(rpc, 1)
    assert answer["schema"] == event["result"]["schema"] == expected
    assert event["subscription"] == number
    for found in (answer, event["result"]):
        validate(expected, found["value"])
