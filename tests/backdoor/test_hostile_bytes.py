"""What broken and hostile clients send: the daemon's other threads and sessions, and its memory, do not notice."""

from __future__ import annotations

import contextlib
import fcntl
import json
import struct
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.backdoor.siege import (
    CALM,
    read_to_end,
    read_until,
    refusals,
    send_all,
    siege,
    until,
    watched,
)

MIB = 1 << 20
IAC, SB, SE = b"\xff", b"\xff\xfa", b"\xff\xf0"
TCP = 'BACKDOOR["port"] = 0\n' + CALM
TLS_HELLO = bytes.fromhex("1603010200010001fc0303") + bytes(range(200))


def prompted(sock: Any) -> Any:
    """The connection, when its prompt has come."""
    read_until(sock, b">>> ")
    return sock


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """A file that code of a client's makes if it runs."""
    return tmp_path / "executed"


def touching(marker: Path) -> bytes:
    return b"open(%r, 'w').close()" % str(marker)


# -- HTTP and TLS on TCP


def post(body: bytes) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def test_what_the_post_would_do_is_done_when_it_is_typed(start_daemon: Callable[..., Any], marker: Path) -> None:
    daemon = start_daemon(TCP)
    with prompted(daemon.connect_tcp()) as sock:
        sock.sendall(touching(marker) + b"\n")
        read_until(sock, b">>> ")
    assert marker.exists()


POSTS = {
    "whole": lambda body: [post(body)],
    "cut in the verb": lambda body: [b"PO", b"ST / HT", b"TP/1.1\r\n", b"\r\n" + body],
    "a long target": lambda body: [b"POST /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n" + body],
    "another verb": lambda body: [b"PROPFIND / HTTP/1.1\r\n\r\n" + body],
    "in small letters": lambda body: [b"post / http/1.1\r\n\r\n" + body],
    "code before it": lambda body: [body + post(body)],
    "headers only": lambda body: [b"Host: localhost\r\n" + body],
}


# The others begin with text, and are as late as any.
AT_ONCE = ["whole", "cut in the verb", "a long target"]


@pytest.mark.parametrize(
    ("name", "late"), [*((name, True) for name in POSTS), *((name, False) for name in AT_ONCE)]
)
def test_post_on_tcp_executes_nothing(
    start_daemon: Callable[..., Any], marker: Path, name: str, late: bool
) -> None:
    daemon = start_daemon(TCP)

    def attack() -> None:
        with daemon.connect_tcp() as sock:
            if late:
                # Half a second after connecting a browser finds a prompt.
                prompted(sock)
            for piece in POSTS[name](touching(marker) + b"\r\n"):
                if not send_all(sock, piece):
                    break
            read_to_end(sock)

    siege(daemon, attack)
    assert not marker.exists()
    assert "HTTP is not spoken here" in refusals(daemon)[0]
    assert str(marker) not in daemon.log()


def test_post_ends_a_session_whose_line_runs(start_daemon: Callable[..., Any], marker: Path) -> None:
    daemon = start_daemon(TCP)

    def attack() -> None:
        with prompted(daemon.connect_tcp()) as sock:
            sock.sendall(b"print('begun'); coro.sleep_relative(3600)\n" + touching(marker) + b"\n")
            read_until(sock, b"begun\n")
            sock.sendall(post(touching(marker)))
            read_to_end(sock)

    siege(daemon, attack)
    assert not marker.exists()
    assert refusals(daemon)


VERBS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "PRI"]


def test_every_http_verb_on_tcp_ends_the_connection(start_daemon: Callable[..., Any], marker: Path) -> None:
    daemon = start_daemon(TCP)

    def attack() -> None:
        for verb in VERBS:
            with daemon.connect_tcp() as sock:
                target = "127.0.0.1:80" if verb == "CONNECT" else "/healthz"
                request = f"{verb} {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
                send_all(sock, request + touching(marker) + b"\r\n")
                assert b"loop" not in read_to_end(sock)

    siege(daemon, attack)
    assert not marker.exists()
    assert len(refusals(daemon)) >= len(VERBS)


@pytest.mark.parametrize("late", [True, False], ids=["late", "at once"])
def test_tls_hello_on_tcp_ends_the_connection(start_daemon: Callable[..., Any], marker: Path, late: bool) -> None:
    daemon = start_daemon(TCP)

    def attack() -> None:
        with daemon.connect_tcp() as sock:
            if late:
                prompted(sock)
            send_all(sock, TLS_HELLO + b"\r\n" + touching(marker) + b"\r\n")
            read_to_end(sock)

    siege(daemon, attack)
    assert not marker.exists()
    assert "TLS is not spoken here" in refusals(daemon)[0]


# -- slow, long and many


def test_one_byte_at_a_time_is_understood_in_all_languages(daemon: Any) -> None:
    request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eval", "params": {"code": "6*7"}}).encode()
    dialogues = [
        (b"6 * 7\nquit\n", b"42\n"),
        (request + b"\n", b'"value":"42"'),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"200 OK"),
    ]
    answers: list[bytes] = [b""] * len(dialogues)

    def drip(number: int) -> None:
        with daemon.connect() as sock:
            for byte in dialogues[number][0]:
                time.sleep(0.01)
                sock.sendall(bytes([byte]))
            while dialogues[number][1] not in answers[number]:
                piece = sock.recv(4096)
                assert piece, answers[number]
                answers[number] += piece

    def attack() -> None:
        in_parallel(drip, len(dialogues))

    siege(daemon, attack)
    for (_, expected), answer in zip(dialogues, answers, strict=True):
        assert expected in answer


def in_parallel(function: Callable[[int], object], count: int) -> None:
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            function(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_line_without_end_is_refused_once_and_the_session_goes_on(daemon: Any) -> None:
    said: list[bytes] = []

    def attack() -> None:
        with prompted(daemon.connect()) as sock:
            sock.sendall(b"'" + b"x" * 12 * MIB + b"'\n6 * 7\n")
            said.append(read_until(sock, b"42\n>>> "))

    siege(daemon, attack, peak_mib=2)
    assert said[0].count(b"a line may be 65536 bytes long; this one was dropped") == 1
    assert b"xxx" not in said[0]


def test_subnegotiation_without_end_takes_no_memory_and_ends_the_session(daemon: Any) -> None:
    said: list[bytes] = []

    def attack() -> None:
        with prompted(daemon.connect()) as sock:
            send_all(sock, SB + b"\x18\x00")
            for _ in range(12):
                if not send_all(sock, b"x" * MIB):
                    break
            said.append(read_to_end(sock))

    siege(daemon, attack, peak_mib=2)
    assert b"a telnet subnegotiation may be 512 bytes long" in said[0]


STORMS = {
    "DO and DONT": (b"\xff\xfd\x01\xff\xfe\x01\xff\xfb\x22\xff\xfc\x22", 1 * MIB),
    "DO with all options": (b"".join(bytes([255, 253, option]) for option in range(254)), MIB // 4),
    "timing marks": (b"\xff\xfd\x06", MIB // 4),
    "AYT": (b"x\xff\xf6" * 5 + b"\xff\xf1" * 20, MIB // 4),
    "interrupts": (b"\xff\xf4", MIB // 256),
    "Ctrl-C": (b"\x03", MIB // 16),
    "erasing": (b"x\xff\xf7\xff\xf8", MIB // 4),
    "empty lines": (b"\n", MIB // 64),
    "short lines": (b"1\n", MIB // 512),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", STORMS)
@pytest.mark.parametrize("reads", [True, False], ids=["reads", "does not read"])
def test_storm_of_commands_holds_nobody_up(start_daemon: Callable[..., Any], name: str, reads: bool) -> None:
    daemon = start_daemon('BACKDOOR["limits"] = coro.backdoor.Limits(progress=0.3)\n' + CALM)
    commands, size = STORMS[name]
    # It is dropped in the middle if it does not read.
    storm = commands * (size // len(commands) // (1 if reads else 4))

    def attack() -> None:
        with prompted(daemon.connect(30)) as sock:
            reader = threading.Thread(target=read_to_end, args=(sock,))
            if reads:
                reader.start()
            send_all(sock, storm)
            with contextlib.suppress(OSError):
                sock.shutdown(1)
            if reads:
                reader.join()

    # 2 MiB of output may wait for a peer that does not read.
    siege(daemon, attack, peak_mib=4)


def test_replies_to_telnet_that_nobody_reads_do_not_pile_up(daemon: Any) -> None:
    """Timing marks must all be answered, so who sends them without end and reads nothing is dropped."""
    storm = b"\xff\xfd\x06" * 20_000

    def attack() -> None:
        with prompted(daemon.connect(30)) as sock:
            for _ in range(200):
                if not send_all(sock, storm):
                    return
            raise AssertionError("12 MiB of telnet were taken from a peer that reads nothing")

    siege(daemon, attack, peak_mib=5)


# -- telnet's commands, cut anywhere

SEQUENCES = {
    "NOP": b"\xff\xf1",
    "GA": b"\xff\xf9",
    "DM": b"\xff\xf2",
    "an escaped 255": b"'\xff\xff';",
    "EC": b"x\xff\xf7",
    "EL": b"garbage\xff\xf8",
    "AYT": b"\xff\xf6",
    "BREAK": b"garbage\xff\xf3",
    "IP with its mark": b"garbage\xff\xf4\xff\xf2\xff\xfd\x06",
    "AO": b"\xff\xf5",
    "SUSP": b"\xff\xed",
    "DO TIMING-MARK": b"\xff\xfd\x06",
    "DO ECHO": b"\xff\xfd\x01",
    "DONT ECHO": b"\xff\xfe\x01",
    "WILL LINEMODE": b"\xff\xfb\x22",
    "WONT LINEMODE": b"\xff\xfc\x22",
    "NAWS": b"\xff\xfb\x1f\xff\xfa\x1f\x00\x50\xff\xff\x18\xff\xf0",
    "TTYPE": b"\xff\xfb\x18\xff\xfa\x18\x00xterm\xff\xf0",
    "an unknown command": b"\xff\x20",
    "an unknown subnegotiation": b"\xff\xfa\x27\x00\xff\xff\xff\xf0",
    "CR NUL": b"1\r\x00",
    "CR LF": b"1\r\n",
}


def wait_until_read(sock: Any) -> None:
    """Until the daemon has taken all that was sent (Linux counts it on Unix sockets)."""
    until(lambda: struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0\0\0\0"))[0] == 0)


def transcript(daemon: Any, pieces: list[bytes]) -> bytes:
    with daemon.connect() as sock:
        sock.sendall(b"'first'\n")
        read_until(sock, b"'first'\n>>> ")
        for piece in pieces:
            sock.sendall(piece)
            wait_until_read(sock)
        sock.sendall(b"6 * 7\nquit\n")
        return read_to_end(sock)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(termios, "TIOCOUTQ"), reason="the queue of a Unix socket is not to be seen here")
def test_telnet_commands_cut_at_every_byte_mean_the_same(daemon: Any) -> None:
    def attack() -> None:
        for name, sequence in SEQUENCES.items():
            whole = transcript(daemon, [sequence])
            assert b"42" in whole, (name, whole)
            for cut in range(1, len(sequence)):
                parts = transcript(daemon, [sequence[:cut], sequence[cut:]])
                assert parts == whole, (name, cut)
            bytewise = transcript(daemon, [bytes([byte]) for byte in sequence])
            assert bytewise == whole, name

    siege(daemon, attack)


# -- text that is none


def test_invalid_utf8_and_nul_in_text_hurt_nobody(daemon: Any) -> None:
    said: list[bytes] = []

    def attack() -> None:
        with prompted(daemon.connect()) as sock:
            # Overlong, surrogates, cut short, beyond Unicode; 0xFF is telnet's.
            sock.sendall(b"'\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80\xfe\xe2\x82'\n")
            said.append(read_until(sock, b">>> "))
            sock.sendall(b"\x00\x006\x00 * \x007\x00\n\x00")
            said.append(read_until(sock, b">>> "))
            sock.sendall(b":info \xc3\x28\x00\n")
            said.append(read_until(sock, b">>> "))

    siege(daemon, attack)
    # In a string literal such a byte is an escape; nothing came back as it was.
    assert said[0].decode().startswith("'")
    assert said[1] == b"42\n>>> "
    assert all(char.isprintable() or char == "\n" for char in b"".join(said).decode())


# -- JSON-RPC


def rpc_answers(daemon: Any, data: bytes) -> list[dict[str, Any]]:
    """What comes for some bytes on a connection whose input then ends."""
    with daemon.connect() as sock:
        if send_all(sock, data):
            with contextlib.suppress(OSError):
                sock.shutdown(1)
        return [json.loads(line) for line in read_to_end(sock).splitlines()]


def request(**members: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "method": "lag", **members}).encode() + b"\n"


BROKEN = {
    "nested lists": (b'{"a":' + b"[" * 60_000, -32700),
    "nested objects": (b'{"a":' * 10_000, -32700),
    "nested and closed": (b'{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}\n", -32700),
    "nested 100 000 deep": (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", -32700),
    "a huge integer": (b'{"jsonrpc":"2.0","method":"lag","id":' + b"9" * 60_000 + b"}\n", -32700),
    "a huge exponent": (b'{"jsonrpc":"2.0","method":"lag","id":1e999999999}\n', None),
    "an id beyond 64 bits": (request(id=2**64), -32600),
    "an id of many characters": (request(id="x" * 1000), -32600),
    "NaN": (b'{"jsonrpc":"2.0","method":"lag","id":NaN}\n', None),
    "an id that is a list": (request(id=[1]), -32600),
    "no method": (b'{"jsonrpc":"2.0","id":1}\n', -32600),
    "no version": (b'{"method":"lag","id":1}\n', -32600),
    "params as a list": (request(id=1, params=[1]), -32602),
    "no such method": (request(id=1, method="no-such"), -32601),
    "invalid UTF-8": (b'{"jsonrpc":"2.0","id":"\xff\xfe","method":"lag"}\n', -32700),
    "NUL": (b'{"jsonrpc":\x00"2.0","id":1,"method":"lag"}\n', -32700),
    "half a surrogate": (b'{"jsonrpc":"2.0","id":"\\ud800","method":"lag"}\n', None),
    "an empty object": (b"{}\n", -32600),
    "binary": (b"{" + bytes(range(256)) * 4 + b"\n", -32700),
}


def test_broken_json_is_refused_by_its_code(daemon: Any) -> None:
    found: dict[str, list[dict[str, Any]]] = {}

    def attack() -> None:
        for name, (data, _) in BROKEN.items():
            found[name] = rpc_answers(daemon, data)

    siege(daemon, attack, peak_mib=4)
    for name, (_, code) in BROKEN.items():
        answers = found[name]
        assert len(answers) == 1, (name, answers)
        if code is not None:
            assert answers[0]["error"]["code"] == code, (name, answers)


def test_request_without_id_gets_no_answer_and_does_nothing(daemon: Any, marker: Path) -> None:
    code = {"code": touching(marker).decode()}

    def attack() -> None:
        answers = rpc_answers(daemon, request(method="eval", params=code) + request(id=7))
        assert [answer["id"] for answer in answers] == [7]

    siege(daemon, attack)
    assert not marker.exists()


def test_id_that_is_not_answered_yet_is_refused(daemon: Any) -> None:
    def attack() -> None:
        slow = request(id=1, method="eval", params={"code": "coro.sleep_relative(0.2)"})
        first, second = rpc_answers(daemon, slow + request(id=1))
        assert first["error"]["code"] == -32600
        assert "not answered yet" in first["error"]["message"]
        assert second["result"]["schema"] == "coro.evaluation/1"

    siege(daemon, attack)


def test_request_of_ten_mebibytes_is_refused_and_takes_no_memory(daemon: Any) -> None:
    def attack() -> None:
        (answer,) = rpc_answers(daemon, b'{"a": "' + b"x" * 10 * MIB + b'"}\n')
        assert answer["error"]["code"] == -32700
        assert "65536 bytes" in answer["error"]["message"]

    siege(daemon, attack, peak_mib=2)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["hello", "lag", "complete", "no-such"])
def test_flood_of_requests_holds_nobody_up(daemon: Any, method: str) -> None:
    params = {"text": "coro.backdoor.", "cursor": 14} if method == "complete" else {}

    def attack() -> None:
        with daemon.connect(30) as sock:
            reader = threading.Thread(target=read_to_end, args=(sock,))
            reader.start()
            flood = b"".join(request(id=number, method=method, params=params) for number in range(800))
            send_all(sock, flood)
            sock.shutdown(1)
            reader.join()

    siege(daemon, attack)


# -- noise, by property

ATOMS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20))
VALUES = st.recursive(
    ATOMS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
# Those that change the daemon are left out: they would do what they are told.
METHODS = st.sampled_from(
    ["hello", "check", "lag", "ps", "where", "info", "tree", "why", "fds", "timers", "locks", "dead", "stalls",
     "sessions", "history", "help", "cancel", "input", "complete", "subscribe", "unsubscribe", "eval", "quit",
     "interrupt", "selfish", "name", "kick", ""]
)  # fmt: skip
# No number in them that could be a thread of the daemon's.
PARAMS = st.dictionaries(
    st.sampled_from(
        ["token", "target", "id", "exception", "maximum", "session", "text", "cursor", "eof", "group", "every"]
    ),
    st.one_of(st.none(), st.booleans(), st.text(max_size=20), st.integers(min_value=10**6), st.floats()),
    max_size=4,
)
REQUESTS = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0"), "method": METHODS},
    optional={"id": st.one_of(st.integers(0, 3), VALUES), "params": st.one_of(PARAMS, VALUES)},
)
LINES = st.one_of(
    st.binary(max_size=300).map(lambda data: b"{" + data),
    VALUES.map(lambda value: b"{" + json.dumps(value).encode()),
    REQUESTS.map(lambda value: json.dumps(value).encode()),
    # A request with a few bytes changed.
    st.tuples(REQUESTS, st.integers(1, 60), st.binary(max_size=4)).map(
        lambda parts: (text := json.dumps(parts[0]).encode())[: parts[1]] + parts[2] + text[parts[1] + 1 :]
    ),
)
NOISE = st.lists(LINES, min_size=1, max_size=4).map(lambda lines: b"\n".join(lines) + b"\n")
TELNET = st.lists(
    st.one_of(
        st.sampled_from([IAC, SB, SE, b"\n", b"\r", b"\x00", b"\x03", b"\x15", b"\x7f", b":ps\n", b":"]),
        st.integers(236, 255).map(lambda byte: bytes([255, byte])),
        st.binary(max_size=6),
    ),
    max_size=60,
).map(b"".join)


@contextlib.contextmanager
def one_daemon_for_all(start_daemon: Callable[..., Any]) -> Iterator[Any]:
    daemon = start_daemon(CALM)
    with watched(daemon):
        yield daemon
    assert daemon.process.poll() is None
    assert "Traceback" not in daemon.log(), daemon.log()
    assert "Traceback" not in daemon.errors(), daemon.errors()


@pytest.mark.slow
def test_noise_in_json_gets_json_back_and_hurts_nobody(start_daemon: Callable[..., Any]) -> None:
    with one_daemon_for_all(start_daemon) as daemon:

        @settings(
            max_examples=300, deadline=None, derandomize=True, database=None,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(NOISE)
        def attack(noise: bytes) -> None:
            for answer in rpc_answers(daemon, noise):
                assert answer["jsonrpc"] == "2.0"
                assert answer.get("error", {}).get("code") != -32603, answer

        siege(daemon, attack, sessions_left=2)


@pytest.mark.slow
def test_noise_in_telnet_hurts_nobody(start_daemon: Callable[..., Any]) -> None:
    with one_daemon_for_all(start_daemon) as daemon:

        @settings(
            max_examples=200, deadline=None, derandomize=True, database=None,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(TELNET)
        def attack(noise: bytes) -> None:
            with daemon.connect() as sock:
                # Not a word of Python may be in it: a colon stands before what is typed.
                if send_all(sock, b":" + noise.replace(b"\n", b"\n:").replace(b"\r", b"\r:")):
                    with contextlib.suppress(OSError):
                        sock.shutdown(1)
                read_to_end(sock)

        siege(daemon, attack, sessions_left=2)
