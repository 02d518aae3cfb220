"""A fault of the backdoor's own is answered and logged, and the session lives."""

from __future__ import annotations

import http.client
import logging
import re
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from coro.backdoor import own_faults
from coro.wire.protocol import INTERNAL_ERROR
from tests.backdoor.conftest import until
from tests.backdoor.talking import Talk

# What the sessions call fails as long as `broken` says so.
BROKEN = """
from coro.backdoor import executing, rpc_session, http_session
broken = True
def breaking(function, fails=lambda: broken):
    def call(*args, **named):
        if fails():
            raise ZeroDivisionError("the works")
        return function(*args, **named)
    return call
"""
SUBSCRIBE = b'{"jsonrpc": "2.0", "id": 99, "method": "subscribe", "params": {"method": "lag", "every": 0.1}}\n'


@pytest.fixture(autouse=True)
def no_known_kinds(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(own_faults, "_kinds", set())
    yield


def fault(number: int) -> ZeroDivisionError:
    try:
        raise ZeroDivisionError(f"number {number}")
    except ZeroDivisionError as error:
        return error


def test_traceback_is_logged_once_for_each_place(caplog: pytest.LogCaptureFixture) -> None:
    for number in range(3):
        told = own_faults.report_own_fault("the request\nps", fault(number))
        assert told == f"internal error: ZeroDivisionError: number {number}; the daemon's log has the traceback"
    assert [record.exc_info is not None for record in caplog.records] == [True, False, False]
    assert {(record.name, record.levelno) for record in caplog.records} == {("coro.backdoor", logging.ERROR)}
    assert caplog.records[2].getMessage() == (
        "the backdoor failed at the request\\nps: ZeroDivisionError: number 2"
    )


def test_log_that_fails_is_no_further_fault(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    def fail(*args: Any, **named: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(own_faults.logger, "error", fail)
    failures: list[str] = []
    monkeypatch.setattr(own_faults, "default_hook_failed", lambda what, error: failures.append(f"{what}: {error}"))
    assert own_faults.report_own_fault("a line", fault(1)).startswith("internal error: ")
    assert failures == ["log of the backdoor: disk full"]


def test_request_that_meets_a_fault_is_answered_and_the_session_lives(start_daemon: Callable[..., Any]) -> None:
    daemon = start_daemon(BROKEN + "executing.to_plain = breaking(executing.to_plain)")
    with daemon.rpc() as rpc:
        error = rpc.error("lag")
        assert error["code"] == INTERNAL_ERROR
        assert error["message"].startswith("internal error: ZeroDivisionError: the works")
        assert rpc.eval("6 * 7") == "42"
        assert rpc.error("lag")["code"] == INTERNAL_ERROR
    log = daemon.log()
    assert log.count("coro.backdoor ERROR the backdoor failed at the request lag") == 2
    assert log.count("Traceback (most recent call last)") == 1
    assert "uncaught" not in daemon.errors()


def test_quick_method_that_meets_a_fault_is_answered(start_daemon: Callable[..., Any]) -> None:
    daemon = start_daemon(BROKEN + "rpc_session.completion.complete = breaking(rpc_session.completion.complete)")
    with daemon.rpc() as rpc:
        assert rpc.error("complete", text="co")["code"] == INTERNAL_ERROR
        assert rpc.eval("6 * 7") == "42"


def test_check_that_meets_a_fault_is_answered(start_daemon: Callable[..., Any]) -> None:
    daemon = start_daemon(BROKEN + "rpc_session.health_in_time = breaking(rpc_session.health_in_time)")
    with daemon.rpc() as rpc:
        for _ in range(6):
            # More than may be under way at a time.
            assert rpc.error("check")["code"] == INTERNAL_ERROR
        assert rpc.eval("6 * 7") == "42"


def test_line_that_meets_a_fault_ends_with_a_prompt(start_daemon: Callable[..., Any]) -> None:
    daemon = start_daemon(BROKEN + "executing.to_plain = breaking(executing.to_plain)")
    with Talk(daemon.connect()) as talk:
        assert talk.ask(":lag").startswith("internal error: ZeroDivisionError: the works; the daemon's log has ")
        assert talk.ask("6 * 7") == "42\n"
    until(lambda: "ERROR the backdoor failed at a line of session 1" in daemon.log())


def test_list_that_breaks_half_way_is_one_whole_message(start_daemon: Callable[..., Any]) -> None:
    daemon = start_daemon(
        BROKEN
        + """
rows = 0
def late():
    global rows
    rows += 1
    return rows > 200
executing.to_plain = breaking(executing.to_plain, late)
for number in range(400):
    coro.spawn(coro.sleep_relative, 600)
"""
    )
    with daemon.rpc() as rpc:
        answer = rpc.wait(rpc.send("ps"))
        assert answer["result"]["truncated"] is True
        assert len(answer["result"]["value"]) == 200
        assert rpc.eval("6 * 7") == "42"
    until(lambda: "ERROR the backdoor failed at a row of a list" in daemon.log())


def test_subscription_that_meets_a_fault_ends_with_an_error(start_daemon: Callable[..., Any]) -> None:
    daemon = start_daemon(BROKEN + "executing.to_plain = breaking(executing.to_plain)")
    with daemon.rpc() as rpc:
        rpc.sock.sendall(SUBSCRIBE)
        assert rpc.receive()["result"]["value"] == {"subscription": 1}
        event = rpc.receive()
        assert event["method"] == "event"
        assert event["params"]["error"].startswith("internal error: ZeroDivisionError")
        assert rpc.eval("6 * 7") == "42"
    assert "uncaught" not in daemon.errors()


def test_http_request_that_meets_a_fault_gets_500_and_the_next_is_served(
    start_daemon: Callable[..., Any],
) -> None:
    daemon = start_daemon(
        BROKEN + "http_session.inspect.metrics_text = breaking(http_session.inspect.metrics_text)"
    )
    connection = http.client.HTTPConnection("localhost", timeout=10)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(daemon.path)
    try:
        connection.request("GET", "/metrics")
        response = connection.getresponse()
        assert response.status == 500
        assert re.match(rb"internal error: ZeroDivisionError: the works", response.read())
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
    finally:
        connection.close()
