"""Requests that are taken and refused, and the shape of answers."""

import http.client
import io
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coro.backdoor.http import (
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MAX_WAITING_BYTES,
    HttpError,
    HttpParser,
    HttpRequest,
    response,
)

# As curl 7.88 sends it over a Unix socket.
CURL = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n"


def fed(*pieces: bytes) -> tuple[list[HttpRequest], int | None]:
    """All requests, and the status of the refusal that ended them."""
    parser = HttpParser()
    requests = []
    for piece in pieces:
        try:
            request = parser.feed(piece)
            while request is not None:
                requests.append(request)
                request = parser.feed(b"")
        except HttpError as error:
            return requests, error.status
    return requests, None


def bytewise(data: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in data]


def get(target: str, *headers: str, version: str = "1.1", method: str = "GET") -> bytes:
    lines = [f"{method} {target} HTTP/{version}", "Host: x", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def test_request_of_curl_is_understood_however_it_is_split() -> None:
    expected = ([HttpRequest("GET", "/healthz", True)], None)

    assert fed(CURL) == expected
    assert fed(*bytewise(CURL)) == expected
    for cut in range(len(CURL)):
        assert fed(CURL[:cut], CURL[cut:]) == expected


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/", "/"),
        ("/metrics?name=x&y", "/metrics"),
        ("/a%20b", "/a%20b"),
        ("http://x/healthz?q", "/healthz"),
        ("HTTPS://x:80", "/"),
        ("http://x?q", "/"),
        ("//x/healthz", "//x/healthz"),
    ],
)
def test_path_is_taken_from_the_target(target: str, path: str) -> None:
    assert fed(get(target)) == ([HttpRequest("GET", path, True)], None)


@pytest.mark.parametrize(
    ("version", "headers", "keep_alive"),
    [
        ("1.1", [], True),
        ("1.1", ["Connection: close"], False),
        ("1.1", ["connection: x, CLOSE"], False),
        ("1.1", ["Connection: x", "Connection: close"], False),
        ("1.0", [], False),
        ("1.0", ["Connection: Keep-Alive"], True),
        ("1.0", ["Connection: keep-alive, close"], False),
    ],
)
def test_connection_is_kept_as_asked(version: str, headers: list[str], keep_alive: bool) -> None:
    assert fed(get("/", *headers, version=version)) == ([HttpRequest("GET", "/", keep_alive)], None)


def test_requests_in_one_piece_come_one_after_the_other() -> None:
    assert fed(CURL + b"\r\n" + get("/metrics", method="HEAD")) == (
        [HttpRequest("GET", "/healthz", True), HttpRequest("HEAD", "/metrics", True)],
        None,
    )


def test_short_request_after_the_rest_of_a_long_one_is_found() -> None:
    short = b"GET /metrics HTTP/1.0\n\n"

    for cut in range(len(CURL)):
        assert fed(CURL[:cut], CURL[cut:] + short)[0] == [
            HttpRequest("GET", "/healthz", True),
            HttpRequest("GET", "/metrics", False),
        ]


def test_request_typed_by_hand_is_taken() -> None:
    assert fed(b"\nGET /healthz HTTP/1.0\n\n") == ([HttpRequest("GET", "/healthz", False)], None)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n", 400),
        (b" GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / http/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (get("*"), 400),
        (get("x"), 400),
        (get("/#x"), 400),
        (get("ftp://x/"), 400),
        (get("/", "Content-Length: 0"), 400),
        (get("/", "content-length: 5") + b"hello", 400),
        (get("/", "Transfer-Encoding: chunked"), 400),
        (get("/", "Transfer-Encoding : chunked"), 400),
        (get("/", " folded: x"), 400),
        (get("/", "\tfolded"), 400),
        (get("/", "X: a\rContent-Length: 5"), 400),
        (get("/", "X: a\0"), 400),
        (get("/", "X: a\x7f"), 400),
        (get("/", ": x"), 400),
        (get("/", "no colon"), 400),
        (get("/", method="POST"), 405),
        (get("/", "Content-Length: 5", method="POST") + b"hello", 405),
        (get("*", method="OPTIONS"), 405),
        (get("/", method="get"), 405),
        (get("/", version="2.0"), 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_after_it_is_a_request(data: bytes, status: int) -> None:
    for pieces in ([data + CURL], bytewise(data + CURL)):
        assert fed(*pieces) == ([], status)


def test_refused_parser_discards_all() -> None:
    parser = HttpParser()
    with pytest.raises(HttpError, match="only GET and HEAD"):
        parser.feed(get("/", method="POST") + CURL)

    assert parser.feed(CURL) is None
    assert parser.feed(b"") is None


def test_head_at_its_limit_is_taken_and_one_byte_more_is_not() -> None:
    padding = MAX_HEAD_BYTES - len(get("/", "X: "))
    longest, longer = get("/", "X: " + "x" * padding), get("/", "X: " + "x" * (padding + 1))

    for pieces in ([longest], bytewise(longest)):
        assert fed(*pieces) == ([HttpRequest("GET", "/", True)], None)
    for pieces in ([longer], bytewise(longer), [longer[:MAX_HEAD_BYTES], longer[MAX_HEAD_BYTES:]]):
        assert fed(*pieces) == ([], 431)


def test_headers_are_counted() -> None:
    # Host is one of them.
    assert fed(get("/", *["X: y"] * (MAX_HEADERS - 1)))[1] is None
    assert fed(get("/", *["X: y"] * MAX_HEADERS))[1] == 431


def test_requests_that_nobody_takes_are_bounded() -> None:
    parser = HttpParser()
    with pytest.raises(HttpError, match=str(MAX_WAITING_BYTES)):
        for _ in range(MAX_WAITING_BYTES):
            parser.feed(CURL * 2)


@pytest.mark.parametrize("space", [" ", "\t", "x"])
def test_header_made_to_be_slow_is_parsed_in_linear_time(space: str) -> None:
    data = get("/", "X:" + space * (MAX_HEAD_BYTES - 100) + "\0")
    began = time.process_time()

    assert fed(data) == ([], 400)

    # 0.1 ms here; quadratic time is 0.1 s and more.
    assert time.process_time() - began < 0.02


def test_endless_blank_lines_take_no_memory() -> None:
    parser = HttpParser()
    piece = b"\r\n" * 32768
    tracemalloc.start()
    try:
        for _ in range(100):
            assert parser.feed(piece) is None
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held < 4096
    assert peak < 4 * len(piece)
    assert parser.feed(CURL) is not None


class _Socket:
    """What http.client reads an answer from."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        assert mode == "rb"
        return io.BytesIO(self._data)


def read_back(data: bytes, method: str) -> tuple[http.client.HTTPResponse, bytes]:
    answer = http.client.HTTPResponse(_Socket(data), method=method)  # type: ignore[arg-type]
    answer.begin()
    body = answer.read()
    answer.close()
    return answer, body


def test_answer_is_read_by_another_client() -> None:
    answer, body = read_back(response(200, b"hello", "text/plain; charset=utf-8", date=0.0), "GET")

    assert (answer.status, answer.reason, body) == (200, "OK", b"hello")
    assert dict(answer.getheaders()) == {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": "5",
        "Connection": "keep-alive",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Date": "Thu, 01 Jan 1970 00:00:00 GMT",
    }


def test_answer_to_head_has_the_length_and_no_body() -> None:
    data = response(503, b"hello", "application/json", head_only=True, close=True)

    assert data.endswith(b"\r\n\r\n")
    answer, _ = read_back(data, "HEAD")
    assert (answer.status, answer.getheader("Content-Length"), answer.getheader("Connection")) == (
        503,
        "5",
        "close",
    )


def test_answer_405_says_what_is_allowed() -> None:
    answer, _ = read_back(response(405, b"", "text/plain"), "POST")

    assert answer.getheader("Allow") == "GET, HEAD"


@pytest.mark.parametrize("content_type", ["text/plain\r\nX: y", "text/plain\n", "té"])
def test_content_type_cannot_break_the_header(content_type: str) -> None:
    with pytest.raises(ValueError, match="content type"):
        response(200, b"", content_type)


noise = st.lists(
    st.one_of(
        st.binary(max_size=6),
        st.sampled_from(
            [b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b":", b"GET / HTTP/1.1\r\n", b"Host: x\r\n", CURL]
        ),
        st.sampled_from([b"Connection: close\r\n", b"Content-Length: 3\r\n", b"HEAD http://x HTTP/1.0\n\n"]),
    ),
    max_size=30,
).map(b"".join)


@settings(deadline=None)
@given(noise, st.data())
def test_noise_means_the_same_however_it_is_split(data: bytes, draw: st.DataObject) -> None:
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=10)))
    pieces = [data[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True)]

    whole = fed(data)

    assert fed(*pieces) == whole
    assert fed(*bytewise(data)) == whole
