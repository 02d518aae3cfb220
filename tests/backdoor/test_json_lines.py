"""Lines of JSON, and what is accepted as a JSON-RPC request."""

import json
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coro.backdoor.json_lines import (
    MAX_ID_CHARS,
    MAX_METHOD_CHARS,
    JsonLines,
    LineTooLong,
    Request,
    RequestError,
    parse_request,
)
from coro.wire.protocol import INVALID_PARAMS, INVALID_REQUEST, MAX_LINE_BYTES


def fed(*pieces: bytes, limit: int = MAX_LINE_BYTES) -> tuple[list[bytes], int, bytes | None]:
    """All lines, how often a line was too long, and the half-line at the end."""
    reader = JsonLines(limit)
    lines: list[bytes] = []
    too_long = 0
    for piece in pieces:
        try:
            lines += reader.feed(piece)
        except LineTooLong as error:
            lines += error.lines
            too_long += 1
    return lines, too_long, reader.finish()


def bytewise(data: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in data]


def test_lines_are_separated_and_blank_ones_skipped() -> None:
    data = b'{"a": 1}\n\n \t\r\n{"b": 2}\r\n{"c"'

    for pieces in ([data], bytewise(data)):
        assert fed(*pieces) == ([b'{"a": 1}', b'{"b": 2}'], 0, b'{"c"')


def test_line_at_the_limit_is_taken_and_one_byte_more_is_not() -> None:
    assert fed(b"first\n12345678\n", limit=8) == ([b"first", b"12345678"], 0, None)
    for pieces in ([b"first\n123456789\nlate\n"], bytewise(b"first\n123456789\nlate\n")):
        assert fed(*pieces, limit=8) == ([b"first"], 1, None)


def test_too_long_line_is_reported_before_its_end_comes() -> None:
    reader = JsonLines(8)

    with pytest.raises(LineTooLong, match="8 bytes") as caught:
        reader.feed(b"one\n123456789")

    assert caught.value.lines == [b"one"]
    assert reader.feed(b"\nlate\n") == []


def test_endless_line_takes_no_memory() -> None:
    reader = JsonLines()
    piece = b"x" * 65536
    with pytest.raises(LineTooLong):
        reader.feed(b"x" * (MAX_LINE_BYTES + 1))
    tracemalloc.start()
    try:
        for _ in range(192):
            reader.feed(piece)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held < 4096
    assert peak < 2 * len(piece)


def test_time_is_linear_for_one_byte_at_a_time() -> None:
    reader = JsonLines(1 << 20)
    began = time.process_time()
    for _ in range(500_000):
        reader.feed(b"x")

    # 0.2 s here; a copy per byte takes more than 5.
    assert time.process_time() - began < 3
    assert reader.feed(b"\n") == [b"x" * 500_000]


def request(**members: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": "ps"} | members


def test_request_is_parsed() -> None:
    assert parse_request(request(params={"target": "all"}, new="ignored")) == Request(1, "ps", {"target": "all"})


def test_missing_params_are_empty() -> None:
    assert parse_request(request()).params == {}


def test_request_without_id_is_a_notification() -> None:
    message = request()
    del message["id"]

    assert parse_request(message).is_notification
    assert not parse_request(request(id=0)).is_notification
    assert not parse_request(request(id="")).is_notification


@pytest.mark.parametrize("id", [0, -1, 2**63 - 1, -(2**63), "", "x", "é" * MAX_ID_CHARS])
def test_id_comes_back(id: int | str) -> None:
    assert parse_request(request(id=id)).id == id


@pytest.mark.parametrize("id", [None, True, False, 1.0, 1.5, [], {}, 2**63, -(2**63) - 1, "x" * (MAX_ID_CHARS + 1)])
def test_bad_id_is_refused_without_an_id(id: object) -> None:
    with pytest.raises(RequestError) as caught:
        parse_request(request(id=id))

    assert (caught.value.code, caught.value.id) == (INVALID_REQUEST, None)
    assert "id" in caught.value.message


@pytest.mark.parametrize(
    ("message", "code", "says"),
    [
        (request(jsonrpc="1.0"), INVALID_REQUEST, '"2.0"'),
        (request(jsonrpc=2.0), INVALID_REQUEST, '"2.0"'),
        ({"id": 1, "method": "ps"}, INVALID_REQUEST, '"2.0"'),
        (request(method=None), INVALID_REQUEST, "method"),
        (request(method=""), INVALID_REQUEST, "method"),
        (request(method="x" * (MAX_METHOD_CHARS + 1)), INVALID_REQUEST, str(MAX_METHOD_CHARS)),
        ({"jsonrpc": "2.0", "id": 1}, INVALID_REQUEST, "method"),
        (request(params=[1]), INVALID_PARAMS, "an array"),
        (request(params=None), INVALID_PARAMS, "null"),
        (request(params="x"), INVALID_PARAMS, "a string"),
        (request(params=True), INVALID_PARAMS, "true or false"),
    ],
)
def test_refusal_says_why_and_carries_the_id(message: dict[str, Any], code: int, says: str) -> None:
    with pytest.raises(RequestError, match=says) as caught:
        parse_request(message)

    assert (caught.value.code, caught.value.id) == (code, 1)


def test_batch_is_refused_by_name() -> None:
    with pytest.raises(RequestError, match="batches"):
        parse_request([request()])


@pytest.mark.parametrize("message", [None, 1, 1.5, "x", True])
def test_what_is_no_object_is_refused(message: object) -> None:
    with pytest.raises(RequestError, match="object") as caught:
        parse_request(message)

    assert (caught.value.code, caught.value.id) == (INVALID_REQUEST, None)


noise = st.lists(
    st.one_of(st.binary(max_size=6), st.sampled_from([b"\n", b"\r\n", b"\r", b" ", b"{}", b"\n\n"])), max_size=40
).map(b"".join)


@settings(deadline=None)
@given(noise, st.integers(1, 20), st.data())
def test_noise_means_the_same_however_it_is_split(data: bytes, limit: int, draw: st.DataObject) -> None:
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=10)))
    pieces = [data[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True)]

    whole = fed(data, limit=limit)

    assert fed(*pieces, limit=limit) == whole
    assert fed(*bytewise(data), limit=limit) == whole


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(
    values
    | st.fixed_dictionaries(
        {},
        optional={"jsonrpc": st.just("2.0") | values, "id": values, "method": values, "params": values},
    )
)
def test_any_value_is_a_request_or_refused(value: object) -> None:
    try:
        parsed = parse_request(value)
    except RequestError as error:
        json.dumps({"id": error.id, "error": {"code": error.code, "message": error.message}})
    else:
        assert isinstance(value, dict)
        assert (parsed.id, parsed.method) == (value.get("id"), value["method"])
