"""The telnet protocol, byte by byte."""

import pytest

from examples.telnet import (
    ARE_YOU_THERE,
    BREAK,
    DO,
    DONT,
    ECHO,
    IAC,
    LONGEST_SUBNEGOTIATION_BYTES,
    MOST_ANSWERS_BYTES,
    NAWS,
    SB,
    SE,
    SGA,
    TIMING_MARK,
    WILL,
    WONT,
    Telnet,
)

UNKNOWN = 99


def server() -> Telnet:
    """As the worms make it, its greeting sent."""
    telnet = Telnet(allowed=(ECHO, SGA), allowed_to_peer=(NAWS, SGA))
    telnet.offer(ECHO, SGA)
    telnet.ask(NAWS)
    assert telnet.take_answers() == bytes((IAC, WILL, ECHO, IAC, WILL, SGA, IAC, DO, NAWS))
    return telnet


def answers(telnet: Telnet, *command: int) -> list[int]:
    """What is answered to one command, the IAC left out."""
    assert telnet.receive(bytes((IAC, *command))) == b""
    answer = telnet.take_answers()
    assert answer[:1] in (b"", bytes((IAC,)))
    return list(answer[1:])


def test_text_passes_and_a_doubled_iac_is_one_byte() -> None:
    assert Telnet().receive(b"a\r\n\x00\xfe\xff\xffb") == b"a\r\n\x00\xfe\xffb"


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        # What was offered and asked for is agreed to: nothing to say.
        ((DO, ECHO), []),
        ((DO, SGA), []),
        ((WILL, NAWS), []),
        ((DONT, ECHO), []),
        ((WONT, NAWS), []),
        # What is allowed is agreed to, what is not is refused.
        ((WILL, SGA), [DO, SGA]),
        ((WILL, ECHO), [DONT, ECHO]),
        ((DO, NAWS), [WONT, NAWS]),
        ((DO, UNKNOWN), [WONT, UNKNOWN]),
        ((WILL, UNKNOWN), [DONT, UNKNOWN]),
        # It is off already.
        ((DONT, UNKNOWN), []),
        ((WONT, UNKNOWN), []),
        ((DO, TIMING_MARK), [WILL, TIMING_MARK]),
    ],
)
def test_each_option_is_answered_as_it_stands(command: tuple[int, int], answer: list[int]) -> None:
    assert answers(server(), *command) == answer


def test_only_a_change_is_answered() -> None:
    telnet = server()

    assert answers(telnet, WILL, SGA) == [DO, SGA]
    assert answers(telnet, WILL, SGA) == []
    assert answers(telnet, WONT, SGA) == [DONT, SGA]
    assert answers(telnet, WONT, SGA) == []
    assert answers(telnet, DO, ECHO) == []
    assert answers(telnet, DONT, ECHO) == [WONT, ECHO]
    assert answers(telnet, DO, ECHO) == [WILL, ECHO]
    # A timing mark asks each time.
    assert answers(telnet, DO, TIMING_MARK) == [WILL, TIMING_MARK]
    assert answers(telnet, DO, TIMING_MARK) == [WILL, TIMING_MARK]


def test_two_ends_agree_and_fall_silent() -> None:
    here = Telnet(allowed=(ECHO, SGA), allowed_to_peer=(NAWS, SGA))
    there = Telnet(allowed=(NAWS, SGA), allowed_to_peer=(ECHO, SGA), own_size=(255, 24))
    for telnet in (here, there):
        telnet.offer(SGA)
        telnet.ask(SGA)
    here.offer(ECHO)
    here.ask(NAWS)

    for _ in range(4):
        there.receive(here.take_answers())
        here.receive(there.take_answers())

    assert here.take_answers() + there.take_answers() == b""
    assert here.window_size == (255, 24)
    assert there.window_size is None


def test_stream_may_be_cut_anywhere() -> None:
    size = bytes((IAC, SB, NAWS, 1, IAC, IAC, 0, 40, IAC, SE))
    stream = b"a" + bytes((IAC, IAC, IAC, DO, UNKNOWN)) + b"b" + size + bytes((IAC, BREAK)) + b"c"

    for first in range(len(stream) + 1):
        for second in range(first, len(stream) + 1):
            telnet = server()
            pieces = (stream[:first], stream[first:second], stream[second:])
            assert b"".join(telnet.receive(piece) for piece in pieces) == b"a\xffbc"
            assert telnet.window_size == (511, 40)
            assert telnet.commands == [BREAK]
            assert telnet.take_answers() == bytes((IAC, WONT, UNKNOWN))


@pytest.mark.parametrize(
    "detail", [(), (NAWS,), (NAWS, 0, 80, 0), (NAWS, 0, 80, 0, 24, 0), (UNKNOWN, 0, 80, 0, 24)]
)
def test_subnegotiation_that_is_no_window_size_is_passed_over(detail: tuple[int, ...]) -> None:
    telnet = server()

    assert telnet.receive(bytes((IAC, SB, *detail, IAC, SE)) + b"on") == b"on"
    assert telnet.window_size is None


def test_endless_subnegotiation_is_not_kept() -> None:
    telnet = server()
    telnet.receive(bytes((IAC, SB, NAWS)))

    for _ in range(100):
        assert telnet.receive(b"x" * 1000) == b""

    assert len(telnet._detail) == LONGEST_SUBNEGOTIATION_BYTES
    assert telnet.receive(bytes((IAC, SE)) + b"on") == b"on"


def test_command_inside_a_subnegotiation_ends_it() -> None:
    telnet = server()

    assert telnet.receive(bytes((IAC, SB, NAWS, 0, 80, IAC, ARE_YOU_THERE)) + b"on") == b"on"
    assert telnet.commands == [ARE_YOU_THERE]
    assert telnet.window_size is None


def test_peer_that_asks_and_never_reads_does_not_fill_the_memory() -> None:
    telnet = server()

    for _ in range(10):
        telnet.receive(bytes((IAC, DO, UNKNOWN)) * 1000)

    assert MOST_ANSWERS_BYTES <= len(telnet.take_answers()) < MOST_ANSWERS_BYTES + 10
