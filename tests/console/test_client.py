"""The client against whatever may answer."""

import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from coro.console.client import Client
from coro.console.failures import CommandFailure, ConnectionLost, Garbage, NoAnswer, UsageFailure
from tests.console.double import encoded, error, result


@pytest.fixture
def pair() -> Iterator[tuple[Client, socket.socket]]:
    ours, theirs = socket.socketpair()
    with Client(ours, "x.sock") as client, theirs:
        yield client, theirs


def soon() -> float:
    return time.monotonic() + 5


def test_answer_of_several_megabytes_is_one_message(pair: tuple[Client, socket.socket]) -> None:
    client, theirs = pair
    request = client.request("ps")
    value = ["x" * 1000] * 5000
    sender = threading.Thread(target=theirs.sendall, args=(encoded(result(request["id"], value)),))
    sender.start()

    assert client.answer_to(request, soon())["value"] == value
    sender.join()


def test_answer_that_comes_byte_by_byte_is_put_together(pair: tuple[Client, socket.socket]) -> None:
    client, theirs = pair
    request = client.request("ps")
    for byte in encoded(result(request["id"], "ä")):
        theirs.send(bytes([byte]))
        if byte != ord("\n"):
            assert client.receive_nowait() is None

    assert client.answer_to(request, soon())["value"] == "ä"


def test_unknown_notifications_old_answers_and_further_fields_are_passed_over(
    pair: tuple[Client, socket.socket],
) -> None:
    client, theirs = pair
    seen = []
    client.notified = lambda method, params: seen.append((method, params))
    given_up, request = client.request("complete"), client.request("lag")
    for message in (
        {"jsonrpc": "2.0", "method": "weather", "params": {"rain": True}, "era": 3},
        {"jsonrpc": "2.0", "method": "odd", "params": [1]},
        result(given_up["id"], "late"),
        error(given_up["id"], -1, "late"),
        {"jsonrpc": "2.0", "id": 99, "method": "request of the daemon's"},
        {},
        result(request["id"], 7, colour="red"),
    ):
        theirs.sendall(encoded(message))

    assert client.answer_to(request, soon())["value"] == 7
    assert seen == [("weather", {"rain": True}), ("odd", {})]


def test_error_without_an_id_answers_whatever_was_asked(pair: tuple[Client, socket.socket]) -> None:
    client, theirs = pair
    theirs.sendall(encoded(error(None, -32002, "8 sessions are \x1b[31mconnected")))
    theirs.close()

    with pytest.raises(CommandFailure, match=r"8 sessions are \\x1b\[31mconnected") as caught:
        client.call("hello")
    assert caught.value.code == -32002


@pytest.mark.parametrize("odd", ["no", 7, None, {"code": "x"}, {}])
def test_odd_error_is_a_command_failure(pair: tuple[Client, socket.socket], odd: object) -> None:
    client, theirs = pair
    request = client.request("ps")
    theirs.sendall(encoded({"id": request["id"], "error": odd, "result": 5}))

    with pytest.raises((CommandFailure, Garbage)):
        client.answer_to(request, soon())


@pytest.mark.parametrize(
    "line", [b"220 mail.example ESMTP\r\n", b"\xff\xfd\x01\n", b"[1]\n", b"\n", b"[" * 100_000 + b"\n", b"{]\n"]
)
def test_what_is_no_message_is_garbage(pair: tuple[Client, socket.socket], line: bytes) -> None:
    client, theirs = pair
    threading.Thread(target=theirs.sendall, args=(line,)).start()

    with pytest.raises(Garbage, match="does not speak this protocol"):
        client.call("hello", timeout=5)


@pytest.mark.parametrize("answer", [{}, {"result": 5}, {"result": {}}, {"result": None}])
def test_answer_without_a_value_is_garbage(pair: tuple[Client, socket.socket], answer: dict[str, object]) -> None:
    client, theirs = pair
    request = client.request("hello")
    theirs.sendall(encoded({"id": request["id"], **answer}))

    with pytest.raises(Garbage):
        client.answer_to(request, soon())


def test_silence_ends_at_the_deadline(pair: tuple[Client, socket.socket]) -> None:
    client, _ = pair
    began = time.monotonic()

    with pytest.raises(NoAnswer):
        client.call("hello", timeout=0.1)
    assert 0.1 <= time.monotonic() - began < 0.5


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece",
    [
        pytest.param(b" ", id="part of the answer"),
        pytest.param(encoded({"method": "progress", "params": {"id": 1}}), id="notification"),
    ],
)
def test_answer_that_gets_on_may_take_longer_than_the_silence_that_is_borne(
    pair: tuple[Client, socket.socket], piece: bytes
) -> None:
    client, theirs = pair
    began = time.monotonic()

    def get_on() -> None:
        while time.monotonic() - began < 1.5:
            theirs.sendall(piece)
            time.sleep(0.1)
        theirs.sendall(encoded(result(1, "at last")))

    sender = threading.Thread(target=get_on)
    sender.start()
    try:
        assert client.call_patiently("ps", None, 1.0)["value"] == "at last"
        assert time.monotonic() - began >= 1.5
    finally:
        sender.join()


def test_silence_in_the_middle_of_an_answer_is_told_so(pair: tuple[Client, socket.socket]) -> None:
    client, theirs = pair
    theirs.sendall(b'{"id": 1, ')

    with pytest.raises(NoAnswer, match=r"x\.sock was at work, then said nothing for 0\.2 s"):
        client.call_patiently("ps", None, 0.2)


def test_request_that_is_given_up_is_cancelled(pair: tuple[Client, socket.socket]) -> None:
    client, theirs = pair
    for call in (client.call, client.call_patiently):
        with pytest.raises(NoAnswer, match="did not answer in time"):
            call("ps", None, 0.05)
        request, cancel = map(json.loads, theirs.recv(65536).splitlines())
        assert (request["method"], cancel["method"]) == ("ps", "cancel")
        assert cancel["params"] == {"id": request["id"]}


def test_end_of_stream_is_a_lost_connection(pair: tuple[Client, socket.socket]) -> None:
    client, theirs = pair
    theirs.sendall(b'{"half": ')
    theirs.close()

    with pytest.raises(ConnectionLost, match=r"x\.sock closed"):
        client.call("hello", timeout=5)


def test_peer_that_never_reads_ends_the_sending_at_the_deadline(pair: tuple[Client, socket.socket]) -> None:
    client, _ = pair
    with pytest.raises(NoAnswer):
        while True:
            client.send(client.request("eval", {"code": "x" * 60_000}), deadline=time.monotonic() + 0.05)


def test_request_longer_than_the_daemon_takes_is_not_sent(pair: tuple[Client, socket.socket]) -> None:
    client, theirs = pair
    with pytest.raises(UsageFailure, match="65536 at most"):
        client.call("eval", {"code": "ä" * 20_000})
    theirs.setblocking(False)
    with pytest.raises(BlockingIOError):
        theirs.recv(1)


def test_two_messages_go_out_in_one_write() -> None:
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    with Client(ours, "x") as client, theirs:
        client.send(client.hello_message("test", "secret"), client.request("check"), deadline=soon())

        lines = theirs.recv(65536).splitlines()

    hello, check = map(json.loads, lines)
    assert hello["method"] == "hello"
    assert hello["params"] == {"protocol": 1, "client": "test", "token": "secret"}
    assert check == {"jsonrpc": "2.0", "id": 2, "method": "check", "params": {}}


def test_second_descriptor_ends_the_waiting(pair: tuple[Client, socket.socket]) -> None:
    client, theirs = pair
    ours, other = socket.socketpair()
    with ours, other:
        other.send(b"x")
        assert client.receive(soon(), beside=ours.fileno()) is None
        # What has come goes first.
        theirs.sendall(b"{}\n")
        assert client.receive(soon(), beside=ours.fileno()) == {}
