"""Sessions in a real daemon, from end to end: text and JSON-RPC."""

import socket
import time
from typing import Any

import pytest


def read_until(sock: socket.socket, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        piece = sock.recv(4096)
        assert piece, data
        data += piece
    return data


def test_text_session_evaluates_and_remembers_the_last_value(daemon: Any) -> None:
    with daemon.connect() as sock:
        read_until(sock, b">>> ")
        sock.sendall(b"6 * 7\n")
        assert read_until(sock, b">>> ") == b"42\n>>> "
        sock.sendall(b"_ + 1\n")
        assert read_until(sock, b">>> ") == b"43\n>>> "


def test_rpc_hello_and_ps(daemon: Any) -> None:
    with daemon.rpc() as rpc:
        hello = rpc.call("hello")
        assert hello["pid"] == daemon.pid
        assert hello["role"] == "eval"
        names = {thread["name"] for thread in rpc.call("ps")}
        assert {"worker-0", "worker-1", "worker-2", "ticker"} <= names


def test_output_of_a_line_goes_to_its_session_only(daemon: Any) -> None:
    with daemon.rpc() as one, daemon.rpc() as two:
        one.eval("print('mine')")
        two.eval("1")
        assert one.output() == "mine\n"
        assert two.output() == ""


@pytest.mark.slow
def test_a_line_that_spins_is_stopped_by_the_eval_limit(daemon: Any) -> None:
    with daemon.rpc() as rpc:
        before = time.monotonic()
        value = rpc.call("eval", code="while True: pass")
        assert time.monotonic() - before < 1.5
        assert "eval limit of 1 s" in value["error"]
        assert rpc.eval("1 + 1") == "2"
