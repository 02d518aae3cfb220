"""Which first bytes mean which language."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coro.backdoor.language import detect


@pytest.mark.parametrize(
    ("first", "on_unix", "on_tcp"),
    [
        (b"", None, None),
        (b"{", "rpc", "rpc"),
        (b'{"jsonrpc"', "rpc", "rpc"),
        (b"[", "text", "text"),
        (b" {", "text", "text"),
        (b"G", None, None),
        (b"GE", None, None),
        (b"GET", None, None),
        (b"GET ", None, None),
        (b"GET /", "http", "refuse-http"),
        (b"GET /healthz HTTP/1.1\r\n", "http", "refuse-http"),
        (b"HEAD /", "http", "refuse-http"),
        (b"POST /x", "http", "refuse-http"),
        (b"PUT /", "http", "refuse-http"),
        (b"PATCH /", "http", "refuse-http"),
        (b"DELETE /", "http", "refuse-http"),
        (b"OPTIONS *", "http", "refuse-http"),
        (b"TRACE /", "http", "refuse-http"),
        (b"GET http://x/", "http", "refuse-http"),
        (b"GET https:/", None, None),
        (b"PRI * HTTP/2.0\r\n", "http", "refuse-http"),
        (b"GET = 3\n", "text", "text"),
        (b"GET\n", "text", "text"),
        (b"GET(", "text", "text"),
        (b"GET  /", "text", "text"),
        (b"GET help", "text", "text"),
        (b"POST is None\n", "text", "text"),
        (b"get /", "text", "text"),
        (b"p", "text", "text"),
        (b"PRINT", "text", "text"),
        (b"\n", "text", "text"),
        (b"\r\nGET / HTTP/1.1", "text", "text"),
        (b":ps\n", "text", "text"),
        (b"\xff", "text", "text"),
        (b"\xff\xfb\x1f", "text", "text"),
        (b"\x00", "text", "text"),
        (b"\x16", None, None),
        (b"\x16\x03", "tls", "tls"),
        (b"\x16\x03\x01\x02\x00", "tls", "tls"),
        (b"\x16a", "text", "text"),
    ],
)
def test_first_bytes_tell_the_language(first: bytes, on_unix: str | None, on_tcp: str | None) -> None:
    assert detect(first, is_unix=True) == on_unix
    assert detect(first, is_unix=False) == on_tcp


@given(
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from([b"GET / HTTP/1.1", b"PRI * HTTP/2.0", b"\x16\x03\x01", b"POST https://x", b"OPTIONS *"]),
    ),
    st.booleans(),
)
def test_more_bytes_never_change_a_decision(data: bytes, is_unix: bool) -> None:
    decisions = [detect(data[:length], is_unix=is_unix) for length in range(len(data) + 1)]
    made = [decision for decision in decisions if decision is not None]

    assert len(set(made)) <= 1
    assert decisions == [None] * (len(decisions) - len(made)) + made


@given(st.binary(min_size=16), st.booleans())
def test_sixteen_bytes_always_decide(data: bytes, is_unix: bool) -> None:
    assert detect(data, is_unix=is_unix) is not None
