"""Lines, editing and limits of a text session; what is taken for HTTP and TLS."""

import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coro.backdoor.lines import (
    EndOfFile,
    Foreign,
    Interrupt,
    LimitReached,
    Line,
    LineEvent,
    LineReader,
    looks_like_http,
    looks_like_tls,
)
from coro.wire.protocol import MAX_LINE_BYTES


def fed(
    *pieces: bytes, limit: int = MAX_LINE_BYTES, refuse_web: bool = False
) -> tuple[list[LineEvent], str | None]:
    """The events of all pieces, and the half-line at the end."""
    reader = LineReader(limit=limit, refuse_web=refuse_web)
    events = [event for piece in pieces for event in reader.feed(piece)]
    return events, reader.finish()


def bytewise(data: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in data]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r\0", b"\r"])
def test_each_line_end_ends_one_line(end: bytes) -> None:
    data = b"one" + end + end + b"two" + end

    for pieces in ([data], bytewise(data)):
        assert fed(*pieces) == ([Line("one"), Line(""), Line("two")], None)


def test_lone_cr_ends_the_line_at_once() -> None:
    reader = LineReader()

    assert reader.feed(b"one\r") == [Line("one")]
    assert reader.feed(b"") == []
    assert reader.feed(b"\n") == []
    assert reader.feed(b"\n") == [Line("")]


def test_nul_is_dropped_elsewhere() -> None:
    assert fed(b"a\0b\r\0\0\nc\n")[0] == [Line("ab"), Line(""), Line("c")]


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (b"ab\x08c", "ac"),
        (b"ab\x7f\x7f\x7fc", "c"),
        ("é字😀\x7f".encode(), "é字"),
        ("é字\x7f".encode(), "é"),
        ("é\x7f".encode(), ""),
        (b"a\xe5\xad\x7f", "a"),  # an unfinished character
        (b"a\x80\x7f", "a"),  # one that cannot begin
        (b"a\xc3\xa9\x80\x7f", "aé"),
        (b"a\x80\x80\x80\x80\x80\x7f", "a\\x80\\x80\\x80\\x80"),
        (b"\x80\x80\x7f", "\\x80"),
        (b"abc\x15de", "de"),
        (b"\x15\x7f", ""),
    ],
)
def test_editing(typed: bytes, line: str) -> None:
    for pieces in ([typed + b"\n"], bytewise(typed + b"\n")):
        assert fed(*pieces) == ([Line(line)], None)


def test_editing_from_outside_is_the_same_as_the_keys() -> None:
    reader = LineReader()
    reader.feed("aé".encode())
    reader.erase_character()
    assert reader.feed(b"\n") == [Line("a")]
    reader.feed(b"abc")
    reader.erase_line()
    assert reader.end_of_file() == [EndOfFile()]


def test_interrupt_forgets_what_was_typed() -> None:
    assert fed(b"one\ntwo\x03three\n")[0] == [Line("one"), Interrupt(), Line("three")]


def test_end_of_file_counts_at_the_start_of_a_line_only() -> None:
    assert fed(b"\x04one\x04\n\x04")[0] == [EndOfFile(), Line("one"), EndOfFile()]


def test_end_of_file_after_all_was_erased_counts() -> None:
    assert fed(b"a\x7f\x04b\x15\x04")[0] == [EndOfFile(), EndOfFile()]


def test_half_line_at_the_end_is_available_once() -> None:
    reader = LineReader()
    reader.feed(b"one\ntw\xc3")

    assert reader.finish() == "tw\\xc3"
    assert reader.finish() is None


def test_characters_split_over_receives_are_joined() -> None:
    text = "naïve – 字 😀"

    assert fed(*bytewise(text.encode() + b"\n"))[0] == [Line(text)]


def test_invalid_utf8_stays_visible() -> None:
    assert fed(b"a\xff\xc3(\xed\xa0\x80\n")[0] == [Line("a\\xff\\xc3(\\xed\\xa0\\x80")]


def test_line_at_the_limit_is_taken_and_one_byte_more_is_reported_once() -> None:
    longest, longer = b"x" * MAX_LINE_BYTES + b"\n", b"y" * (3 * MAX_LINE_BYTES) + b"\x7f\x04\0\n"
    events = [Line("x" * MAX_LINE_BYTES), LimitReached(MAX_LINE_BYTES), Line("ok")]

    for pieces in ([longest + longer + b"ok\n"], bytewise(longest + longer + b"ok\n")):
        assert fed(*pieces) == (events, None)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r\0", b"\r", b"\x15"])
def test_too_long_line_ends_as_any_other(end: bytes) -> None:
    for pieces in ([b"12345" + end + b"ok\n"], bytewise(b"12345" + end + b"ok\n")):
        assert fed(*pieces, limit=4)[0] == [LimitReached(4), Line("ok")]


def test_interrupt_ends_a_too_long_line() -> None:
    assert fed(b"12345\x03ok\n", limit=4)[0] == [LimitReached(4), Interrupt(), Line("ok")]


def test_half_of_a_too_long_line_is_not_returned() -> None:
    assert fed(b"12345", limit=4) == ([LimitReached(4)], None)


def test_endless_line_takes_no_memory() -> None:
    reader = LineReader()
    piece = b"x" * 65536
    tracemalloc.start()
    try:
        for _ in range(192):
            reader.feed(piece)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held < 4096
    assert peak < 4 * len(piece)


def test_flood_of_line_ends_makes_no_flood_of_objects() -> None:
    reader = LineReader()
    tracemalloc.start()
    try:
        events = reader.feed(b"\n" * 65536)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(events) == 65536
    # A list of pointers, grown as lists grow.
    assert peak < 20 * 65536


def test_time_is_linear_for_one_byte_at_a_time() -> None:
    reader = LineReader(limit=1 << 20)
    began = time.process_time()
    for _ in range(300_000):
        reader.feed(b"x")
    for _ in range(300_000):
        reader.feed(b"\x7f")

    # 0.3 s here; a copy per byte takes more than 5.
    assert time.process_time() - began < 3
    assert reader.feed(b"\n") == [Line("")]


def test_erasing_bytes_that_make_no_character_is_linear() -> None:
    reader = LineReader()
    began = time.process_time()
    reader.feed(b"\x80" * 40_000 + b"\x7f" * 40_000)

    # 0.03 s here; looking back to the start of the line takes more than 30.
    assert time.process_time() - began < 2
    assert reader.feed(b"\n") == [Line("")]


HTTP_LINES = [
    "GET / HTTP/1.1",
    "POST /x?y=1 HTTP/1.1",
    "OPTIONS * HTTP/1.1",
    "CONNECT example.org:443 HTTP/1.1",
    "GET http://127.0.0.1:8000/ HTTP/1.0",
    "PRI * HTTP/2.0",
    "patch / HTTP/1.1",
    "M-SEARCH * HTTP/1.1",
    "get / http/1.1",
    "Host: 127.0.0.1:4000",
    "host:localhost",
    "Host: [::1]:4000",
    "HOST:",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64)",
    "Accept-Encoding: gzip, deflate",
    "Content-Type: text/plain;charset=UTF-8",
    "content-length: 12",
    "Sec-Fetch-Mode: no-cors",
    'sec-ch-ua: "Chromium"',
    "Upgrade-Insecure-Requests: 1",
]
PYTHON_LINES = [
    "",
    "x: int = 3",
    'host: str = "localhost"',
    "host = 3",
    "    host: str",
    "GET = 3",
    "GET / 2",
    "get(1)",
    'sock.send(b"GET / HTTP/1.1\\r\\n")',
    'request = "GET / HTTP/1.1"',
    "print('Host: x')",
    "hosts: list",
    "connection: socket",
    "accept - encoding",
    "accept-encoding",
    "{'Host': 1}",
    "# GET / HTTP is refused",
    "origin: tuple",
    ":where 17",
    "lambda: HTTP/1",
]


@pytest.mark.parametrize("line", HTTP_LINES)
def test_http_is_recognised(line: str) -> None:
    assert looks_like_http(line)


@pytest.mark.parametrize("line", PYTHON_LINES)
def test_python_is_not_taken_for_http(line: str) -> None:
    assert not looks_like_http(line)


# `host: str` at the left margin, and a division by a name HTTP: the price that the docstring names.
@pytest.mark.parametrize("line", ["host: str", "x = HTTP/1"])
def test_in_doubt_it_is_http(line: str) -> None:
    assert looks_like_http(line)


def test_tls_is_recognised() -> None:
    assert looks_like_tls(b"\x16\x03\x01\x02\x00\x01")
    assert not looks_like_tls(b"\x16")
    assert not looks_like_tls(b"x\x16\x03")


@pytest.mark.parametrize("line", HTTP_LINES)
def test_http_ends_a_watched_session_and_nothing_after_it_is_a_line(line: str) -> None:
    data = b"x = 1\n" + line.encode() + b"\r\n\r\nimport os; os._exit(1)\n\x03\x04"

    for pieces in ([data], bytewise(data)):
        assert fed(*pieces, refuse_web=True) == ([Line("x = 1"), Foreign("http")], None)
    assert Line(line) in fed(data)[0]


@pytest.mark.parametrize(
    "line",
    [
        "Host:" + " " * MAX_LINE_BYTES + "x y",
        "Host:" + "x" * MAX_LINE_BYTES + " y",
        "x" * MAX_LINE_BYTES,
        "x" + " " * MAX_LINE_BYTES,
        "x /" + "/" * MAX_LINE_BYTES + " HTTP",
        "x / " + " " * MAX_LINE_BYTES + "HTTP",
    ],
    ids=lambda line: line[:7],
)
def test_line_made_to_be_slow_is_looked_at_in_linear_time(line: str) -> None:
    began = time.process_time()

    assert not looks_like_http(line)

    # 0.3 ms; quadratic time is more than 5 s.
    assert time.process_time() - began < 0.05


@pytest.mark.parametrize("line", PYTHON_LINES)
def test_python_passes_a_watched_session(line: str) -> None:
    assert fed(line.encode() + b"\n", refuse_web=True)[0] == [Line(line)]


def test_request_line_beyond_the_limit_is_http_too() -> None:
    data = b"GET /" + b"x" * MAX_LINE_BYTES + b" HTTP/1.1\r\nAccept: */*\r\n\r\n1\n"

    assert fed(data, refuse_web=True) == ([Foreign("http")], None)
    assert fed(*bytewise(data), refuse_web=True) == ([Foreign("http")], None)


def test_tls_at_the_start_of_a_line_ends_a_watched_session() -> None:
    hello = b"\x16\x03\x01\x02\x00\x01\n\x03one\n"

    assert fed(b"x\n" + hello, refuse_web=True) == ([Line("x"), Foreign("tls")], None)
    assert fed(b"x" + hello, refuse_web=True)[0][0] == Interrupt()
    assert fed(b"\x16\n")[0] == [Line("\x16")]


def test_half_line_of_http_is_not_returned_from_a_watched_session() -> None:
    reader = LineReader(refuse_web=True)
    reader.feed(b"GET / HTTP/1.1")

    assert reader.finish() is None
    assert reader.foreign == "http"


noise = st.lists(
    st.one_of(
        st.binary(max_size=6),
        st.sampled_from(
            [b"\r", b"\n", b"\r\n", b"\r\0", b"\0", b"\x03", b"\x04", b"\x08", b"\x7f", b"\x15", b"\x16"]
        ),
        st.text(max_size=5).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.sampled_from([line.encode() + b"\r\n" for line in HTTP_LINES]),
    ),
    max_size=40,
).map(b"".join)


@settings(deadline=None)
@given(noise, st.integers(1, 30), st.booleans(), st.data())
def test_noise_means_the_same_however_it_is_split(
    data: bytes, limit: int, refuse: bool, draw: st.DataObject
) -> None:
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=10)))
    pieces = [data[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True)]

    whole = fed(data, limit=limit, refuse_web=refuse)

    assert fed(*pieces, limit=limit, refuse_web=refuse) == whole
    assert fed(*bytewise(data), limit=limit, refuse_web=refuse) == whole


@given(st.lists(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"]), max_size=20)))
def test_printable_lines_come_back(lines: list[str]) -> None:
    data = "".join(line + "\r\n" for line in lines).encode()

    assert fed(data)[0] == [Line(line) for line in lines]
