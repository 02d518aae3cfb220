"""Buffered reading from streams."""

import random
from collections.abc import Callable
from typing import Any

import pytest

import coro
from coro import testing
from coro.read_stream import buffered_stream, sock_stream
from tests.io.pairs import Own, let_run, stream_pair


def stream_of(*pieces: bytes, limit: int | None = None) -> buffered_stream:
    """A stream that arrives in these pieces."""
    left = list(pieces)
    return buffered_stream(lambda: left.pop(0) if left else b"", limit=limit)


def test_read_until_includes_the_delimiter() -> None:
    stream = stream_of(b"one,tw", b"o,", b"thr", b"ee")
    assert [stream.read_until(b",") for _ in range(4)] == [b"one,", b"two,", b"three", b""]


def test_delimiter_that_comes_in_pieces_is_found() -> None:
    stream = stream_of(b"head\r", b"\n\r", b"\nbody\r\n", b"\r", b"\r\n\r\n")
    assert stream.read_until(b"\r\n\r\n") == b"head\r\n\r\n"
    assert stream.read_until(bytearray(b"\r\n\r\n")) == b"body\r\n\r\r\n\r\n"


def test_read_line_reads_lines_of_the_internet() -> None:
    stream = stream_of(b"a\nb\r\nc", b"\r\n", b"last")
    assert [stream.read_line() for _ in range(4)] == [b"a\nb\r\n", b"c\r\n", b"last", b""]
    assert stream_of(b"x;y").read_line(b";") == b"x;"


def test_iterating_gives_lines() -> None:
    assert list(stream_of(b"one\ntwo", b"\n\nfour")) == [b"one\n", b"two\n", b"\n", b"four"]


def test_read_exact_gives_fewer_only_at_the_end() -> None:
    stream = stream_of(b"abc", b"def", b"ghi")
    assert [stream.read_exact(size) for size in (4, 0, 1, 10, 5)] == [b"abcd", b"", b"e", b"fghi", b""]


def test_read_all_and_flush_give_what_is_there() -> None:
    stream = stream_of(b"ab", b"c", b"d")
    assert stream.read_exact(1) == b"a"
    assert stream.flush() == b"b"
    assert stream.flush() == b""
    assert list(stream.read_all()) == [b"c", b"d"]
    assert list(stream.read_all()) == []


def test_pieces_are_handed_out_as_they_come() -> None:
    asked = 0

    def produce() -> bytes:
        nonlocal asked
        asked += 1
        return [b"abcd", b"efg\r", b"\nhij", b"klmn", b""][asked - 1]

    stream = buffered_stream(produce)
    pieces = stream.read_until(b"\r\n", join=False)
    assert asked == 0
    assert next(pieces) == b"abc"
    assert asked == 1
    assert b"".join(pieces) == b"defg\r\n"
    assert [*stream.read_exact(5, join=False)] == [b"hij", b"kl"]
    assert [*stream.read_exact(5, join=False)] == [b"mn"]
    assert [*stream.read_until(b"x", join=False)] == []


def test_any_cut_of_a_stream_reads_the_same() -> None:
    rng = random.Random(4)
    text = b"".join(rng.choice((b"a", b"b", b"\r", b"\n", b"\r\n")) for _ in range(400))
    expected = [part + b"\r\n" for part in text.split(b"\r\n")]
    expected[-1] = expected[-1][:-2]
    for join in (True, False):
        for _ in range(30):
            cuts = sorted(rng.choices(range(len(text)), k=rng.randint(0, 60)))
            pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
            stream = stream_of(*[piece for piece in pieces if piece])
            found = []
            while line := b"".join(stream.read_until(b"\r\n", join=False)) if not join else stream.read_line():
                found.append(line)
            assert found == [line for line in expected if line]


def test_beyond_its_limit_a_stream_refuses_and_keeps_what_it_has() -> None:
    stream = stream_of(b"abcd", b"efghijkl\n", limit=6)
    for _ in range(2):
        with pytest.raises(ValueError, match="limit of 6 bytes"):
            stream.read_until(b"\n")
    assert stream.read_exact(4) == b"abcd"
    assert stream_of(b"abcde\n", limit=6).read_until(b"\n") == b"abcde\n"
    with pytest.raises(ValueError, match="limit"):
        stream_of(b"abcdef\n", limit=6).read_until(b"\n")
    assert stream_of(b"abcdefghi", limit=6).read_exact(9) == b"abcdefghi"


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda stream: stream.read_until("\n"), TypeError),
        (lambda stream: stream.read_until(b""), ValueError),
        (lambda stream: stream.read_until(b"", join=False), ValueError),
        (lambda stream: stream.read_exact("5"), TypeError),
        (lambda stream: stream.read_exact(-1), ValueError),
        (lambda stream: stream.read_exact(-1, join=False), ValueError),
        (lambda stream: buffered_stream(5), TypeError),
        (lambda stream: buffered_stream(bytes, limit=0), ValueError),
        (lambda stream: buffered_stream(bytes, limit="5"), TypeError),
    ],
)
def test_wrong_arguments_are_refused_at_once(call: Callable[[Any], Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        call(stream_of(b"x"))


def test_stream_of_a_socket(own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("tcp", own)
        stream = sock_stream(left)
        reader = coro.spawn(stream.read_line)
        for part in (b"hel", b"lo\r", b"\nmore"):
            let_run()
            assert not reader.dead
            right.send(part)
        assert reader.result() == b"hello\r\n"
        assert stream.read_exact(2) == b"mo"
        right.close()
        assert b"".join(stream.read_all()) == b"re"

    testing.run(main)


def test_interrupted_line_is_read_whole_by_the_next_call(own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("unix", own)
        stream = sock_stream(left)
        right.send(b"half a ")
        for _ in range(2):
            with pytest.raises(coro.TimeoutError):
                coro.with_timeout(0.1, stream.read_line)
        left.settimeout(0.1)
        with pytest.raises(TimeoutError):
            stream.read_line()
        right.send(b"line\r\nand more")
        assert stream.read_line() == b"half a line\r\n"
        assert stream.flush() == b"and more"

    testing.run(main)


def test_error_of_the_producer_passes_and_reading_goes_on() -> None:
    answers: list[Any] = [b"ab", ConnectionResetError, b"c\n"]

    def produce() -> bytes:
        answer = answers.pop(0)
        if isinstance(answer, bytes):
            return answer
        raise answer

    stream = buffered_stream(produce)
    with pytest.raises(ConnectionResetError):
        stream.read_until(b"\n")
    assert stream.read_until(b"\n") == b"abc\n"
