"""What was tried and never begun is audited, too: unknown commands, wrong usage, Python that does not compile."""

from __future__ import annotations

import re
from typing import Any

from coro.backdoor.audit import MAX_COMMAND_CHARACTERS
from tests.backdoor.conftest import until
from tests.backdoor.talking import Talk


def commands_of(daemon: Any) -> list[str]:
    """What stands in the audit about commands: command and outcome."""
    return [
        match[1]
        for match in re.finditer(r"^coro\.audit INFO command .* (command=.* outcome=\S+)", daemon.log(), re.M)
    ]


def test_what_a_text_session_tried_is_audited_once(daemon: Any) -> None:
    with Talk(daemon.connect()) as talk:
        for line in (":drop all", ":", ":where", ":info x", "1 +* 2", ":exit-daemon"):
            talk.ask(line)
        assert talk.ask("no") == "the daemon goes on\n"
        talk.ask("x = = 1")
    expected = [
        'command=":drop all" outcome=unknown',
        "command=: outcome=unknown",
        "command=:where outcome=usage",
        'command=":info x" outcome=usage',
        'command="1 +* 2" outcome=syntax',
        'command=:exit-daemon outcome="not',
        'command="x = = 1" outcome=syntax',
    ]
    until(lambda: len(commands_of(daemon)) >= len(expected))
    assert [line.replace('":exit-daemon"', ":exit-daemon") for line in commands_of(daemon)] == [
        line.replace('":exit-daemon"', ":exit-daemon") for line in expected
    ]


def test_a_block_that_goes_on_is_not_audited_before_its_end(daemon: Any) -> None:
    with Talk(daemon.connect()) as talk:
        talk.ask("for n in ():")
        talk.ask("    n")
        assert commands_of(daemon) == []
        talk.ask("")
        until(lambda: len(commands_of(daemon)) == 2)


def test_what_a_program_tried_is_audited_once(daemon: Any) -> None:
    with daemon.rpc() as rpc:
        rpc.error("drop", what="all")
        rpc.error("where")
        rpc.error("info", id="x")
        rpc.sock.sendall(
            b'{"jsonrpc": "2.0", "id": 99, "method": "subscribe", "params": {"method": "ps", "every": -1}}\n'
        )
        assert "every must be" in rpc.wait(99)["error"]["message"]
        rpc.error("eval")
        rpc.call("eval", code="1 +* 2")
        assert commands_of(daemon) == [
            "command=\"drop what='all'\" outcome=unknown",
            "command=where outcome=usage",
            "command=\"info id='x'\" outcome=usage",
            "command=\"subscribe method='ps' every=-1\" outcome=usage",
            "command=eval outcome=usage",
            'command="1 +* 2" outcome=syntax',
        ]


def test_what_was_tried_is_cut(daemon: Any) -> None:
    with daemon.rpc() as rpc:
        rpc.call("eval", code="?" * 5000)
        assert commands_of(daemon) == [
            f'command="{"?" * MAX_COMMAND_CHARACTERS}"…+{5000 - MAX_COMMAND_CHARACTERS} outcome=syntax'
        ]
