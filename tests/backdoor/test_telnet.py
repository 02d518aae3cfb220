"""Telnet's commands and negotiation; the captured bytes are what Debian's telnet (inetutils 2.4) sent."""

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coro.backdoor.telnet import MAX_ANSWERS, MAX_REPLY_BYTES, Telnet, TelnetEvent
from coro.wire.protocol import MAX_SUBNEGOTIATION_BYTES

Items = list[bytes | TelnetEvent]

ASK = b"\xff\xfd\x1f\xff\xfd\x18"  # IAC DO NAWS, IAC DO TERMINAL-TYPE
SEND = b"\xff\xfa\x18\x01\xff\xf0"  # IAC SB TERMINAL-TYPE SEND IAC SE
MARK = b"\xff\xfb\x06"  # IAC WILL TIMING-MARK
YES = b"\r\n[yes]\r\n"
E = TelnetEvent

# Name, what the client sent, what it means, what we answer (our greeting, ASK, included).
CAPTURED: list[tuple[str, bytes, Items, bytes]] = [
    ("line", b"hello\r\n", [b"hello\r\n"], b""),
    ("Ctrl-C", b"\xff\xf4\xff\xfd\x06", [E.INTERRUPT, E.TIMING_MARK], ASK + MARK),
    ("Ctrl-C with autosynch", b"\xff\xf4\xff\xfd\x06\xff\xf2", [E.INTERRUPT, E.TIMING_MARK], ASK + MARK),
    (
        "Ctrl-C after a line",
        b"typed ahead\r\n\xff\xf4\xff\xfd\x06\xff\xf2",
        [b"typed ahead\r\n", E.INTERRUPT, E.TIMING_MARK],
        ASK + MARK,
    ),
    ("Ctrl-backslash", b"\xff\xf3\xff\xfd\x06", [E.INTERRUPT, E.TIMING_MARK], ASK + MARK),
    ("Ctrl-Z", b"\xff\xed\xff\xfd\x06", [E.TIMING_MARK], ASK + MARK),
    ("Ctrl-D", b"\x04", [b"\x04"], b""),
    ("send ayt", b"\xff\xf6", [], YES + ASK),
    ("send brk", b"\xff\xf3", [E.INTERRUPT], ASK),
    ("send ip", b"\xff\xf4", [E.INTERRUPT], ASK),
    ("send ao", b"\xff\xf5", [E.ABORT_OUTPUT], ASK),
    ("send abort", b"\xff\xee", [E.INTERRUPT], ASK),
    ("send susp", b"\xff\xed", [], ASK),
    ("send eof", b"\xff\xec", [E.END_OF_FILE], ASK),
    ("send ec", b"\xff\xf7", [E.ERASE_CHARACTER], ASK),
    ("send el", b"\xff\xf8", [E.ERASE_LINE], ASK),
    ("send synch", b"\xff\xf2", [], ASK),
    ("send nop", b"\xff\xf1", [], ASK),
    ("send ga", b"\xff\xf9", [], ASK),
    ("send eor", b"\xff\xef", [], ASK),
    ("send do echo", b"\xff\xfd\x01", [], b"\xff\xfc\x01" + ASK),
    ("send will linemode", b'\xff\xfb"', [], b'\xff\xfe"' + ASK),
    ("send will naws", b"\xff\xfb\x1f", [], ASK),
    ("mode character", b"\xff\xfd\x03\xff\xfd\x01", [], b"\xff\xfc\x03" + ASK + b"\xff\xfc\x01"),
    ("raw 0xff", b"x\xff\xff\xfe\r\n", [b"x\xff\xfe\r\n"], b""),
    (
        "options at port 23",
        b"\xff\xfd&\xff\xfb&\xff\xfd\x03\xff\xfb\x18\xff\xfb\x1f\xff\xfb \xff\xfb!\xff\xfb\"\xff\xfb'\xff\xfd\x05",
        [],
        b"\xff\xfc&" + ASK + b"\xff\xfe&\xff\xfc\x03" + SEND + b"\xff\xfe \xff\xfe!\xff\xfe\"\xff\xfe'\xff\xfc\x05",
    ),
    (
        "options that we asked for, then resized to 255 columns",
        (
            b"\xff\xf1\xff\xfb\x1f\xff\xfa\x1f\x00P\x00\x18\xff\xf0\xff\xfb\x18\xff\xfa\x18\x00XTERM\xff\xf0"
            b"\xff\xfa\x1f\x00\xff\xff\x002\xff\xf0"
        ),
        [E.WINDOW_SIZE, E.TERMINAL_TYPE, E.WINDOW_SIZE],
        ASK + SEND,
    ),
    (
        "linemode's characters, which we never ask for",
        b'\xff\xfb"\xff\xfa"\x03\x01\x00\x00\x03b\x03\x04\x02\x0f\x05\x00\x00\x07b\x1c\x08\x02\x04\tB\x1a\xff\xf0ok',
        [b"ok"],
        b'\xff\xfe"' + ASK,
    ),
]
captured = pytest.mark.parametrize(
    ("data", "items", "replies"), [pytest.param(*case[1:], id=case[0]) for case in CAPTURED]
)


def joined(pieces: list[Items]) -> Items:
    """The pieces' items in one list, with neighbouring data as one."""
    items: Items = []
    for item in (item for piece in pieces for item in piece):
        if isinstance(item, bytes) and items and isinstance(items[-1], bytes):
            items[-1] += item
        else:
            items.append(item)
    return items


def fed(*pieces: bytes) -> tuple[Items, bytes]:
    """What a new connection makes of the pieces: items and replies."""
    telnet = Telnet()
    replies = b""
    items = []
    for piece in pieces:
        items.append(telnet.feed(piece))
        replies += telnet.take_replies()
    return joined(items), replies


@captured
def test_client_bytes_are_understood(data: bytes, items: Items, replies: bytes) -> None:
    assert fed(data) == (items, replies)


@captured
def test_client_bytes_are_understood_however_they_are_split(data: bytes, items: Items, replies: bytes) -> None:
    for cut in range(1, len(data)):
        assert fed(data[:cut], data[cut:]) == (items, replies)
    assert fed(*(bytes([byte]) for byte in data)) == (items, replies)


@pytest.mark.parametrize("command", range(256))
def test_every_command_between_data_keeps_the_order_when_split(command: int) -> None:
    tail = {250: b"\x1f\x00P\x00\x18\xff\xf0"}.get(command, b"\x2a" if 251 <= command <= 254 else b"")
    data = b"before" + bytes([255, command]) + tail + b"after"
    whole = fed(data)

    assert b"".join(item for item in whole[0] if isinstance(item, bytes)) == (
        b"before\xffafter" if command == 255 else b"beforeafter"
    )
    for cut in range(1, len(data)):
        assert fed(data[:cut], data[cut:]) == whole


def test_client_without_telnet_is_never_sent_a_command() -> None:
    text = "naïve – 字\r\n\x03\x04\x00\x7f".encode()

    assert fed(text) == ([text], b"")


def test_doubled_iac_alone_is_no_sign_of_telnet() -> None:
    telnet = Telnet()

    assert telnet.feed(b"\xff\xff\xff\x41") == [b"\xff"]
    assert not telnet.speaks_telnet
    assert telnet.take_replies() == b""


def test_options_are_asked_for_once() -> None:
    assert fed(b"\xff\xf1" * 5)[1] == ASK
    assert fed(b"\xff\xfb\x1f" * 5)[1] == ASK


def test_window_size_and_terminal_type_are_kept() -> None:
    telnet = Telnet()
    assert (telnet.window_size, telnet.terminal_type) == (None, None)

    telnet.feed(b"\xff\xfb\x1f\xff\xfb\x18\xff\xfa\x1f\x00\xff\xff\x00\x32\xff\xf0\xff\xfa\x18\x00XTERM\xff\xf0")

    assert telnet.window_size == (255, 50)
    assert telnet.terminal_type == "xterm"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x1f",
        b"\x1f\x00\x50\x00",
        b"\x1f\x00\x50\x00\x18\x00",
        b"\x18",
        b"\x18\x00",
        b"\x18\x01xterm",
        b"\x18\x00x\x1b[31m",
        b"\x18\x00" + b"x" * 41,
        b"\x2a\x00xterm",
    ],
)
def test_malformed_subnegotiation_is_ignored(content: bytes) -> None:
    telnet = Telnet()

    assert telnet.feed(b"\xff\xfb\x1f\xff\xfb\x18\xff\xfa" + content + b"\xff\xf0ok") == [b"ok"]
    assert (telnet.window_size, telnet.terminal_type) == (None, None)


def test_subnegotiation_of_an_option_that_is_off_is_ignored() -> None:
    telnet = Telnet()

    assert telnet.feed(b"\xff\xfa\x1f\x00P\x00\x18\xff\xf0") == []
    assert telnet.window_size is None


def test_interrupt_inside_an_unfinished_subnegotiation_is_obeyed() -> None:
    assert fed(b"\xff\xfa\x18\x00abc\xff\xf4def")[0] == [E.INTERRUPT, b"def"]


def test_option_withdrawn_and_offered_again_is_answered_each_time() -> None:
    telnet = Telnet()
    telnet.feed(b"\xff\xfb\x1f")
    telnet.take_replies()

    telnet.feed(b"\xff\xfc\x1f")
    assert telnet.take_replies() == b"\xff\xfe\x1f"
    telnet.feed(b"\xff\xfb\x1f")
    assert telnet.take_replies() == b"\xff\xfd\x1f"


def test_terminal_type_is_asked_for_once() -> None:
    assert fed(b"\xff\xfb\x18\xff\xfc\x18\xff\xfb\x18")[1].count(SEND) == 1


def test_refusal_of_what_we_asked_for_is_not_answered() -> None:
    telnet = Telnet()
    telnet.feed(b"\xff\xf1")
    telnet.take_replies()

    telnet.feed(b"\xff\xfc\x1f\xff\xfc\x18")

    assert telnet.take_replies() == b""


def test_wont_and_dont_for_what_is_off_are_not_answered() -> None:
    for option in range(256):
        assert fed(bytes([255, 254, option, 255, 252, option]))[1] == ASK


def test_storm_of_negotiation_gets_a_bounded_answer() -> None:
    storm = bytes(byte for option in range(256) for verb in (253, 251, 252, 254) for byte in (255, verb, option))
    telnet = Telnet()
    answered = 0
    for _ in range(100):
        telnet.feed(storm.replace(b"\xff\xfd\x06", b""))
        answered += len(telnet.take_replies())

    assert answered <= 2 * 256 * MAX_ANSWERS * 3 + len(ASK + SEND)
    assert telnet.limit is None
    assert telnet.feed(b"alive\xff\xf4") == [b"alive", E.INTERRUPT]


def test_storm_of_questions_at_once_ends_the_session() -> None:
    telnet = Telnet()

    items = telnet.feed(b"\xff\xf6" * MAX_REPLY_BYTES)

    assert items == [E.LIMIT]
    assert len(telnet.take_replies()) <= MAX_REPLY_BYTES
    assert telnet.limit is not None
    assert telnet.feed(b"late\xff\xf4") == []


def test_every_timing_mark_is_answered() -> None:
    telnet = Telnet()
    replies = b""
    for _ in range(3000):
        assert telnet.feed(b"\xff\xfd\x06") == [E.TIMING_MARK]
        replies += telnet.take_replies()

    assert replies.replace(ASK, b"") == MARK * 3000


def test_subnegotiation_at_its_limit_is_taken_and_one_byte_more_is_not() -> None:
    longest = b"\xff\xfa" + b"\xff\xff" * MAX_SUBNEGOTIATION_BYTES + b"\xff\xf0ok"
    too_long = b"ok\xff\xfa" + b"x" * (MAX_SUBNEGOTIATION_BYTES + 1) + b"\xff\xf0never\xff\xf4"

    assert fed(longest)[0] == [b"ok"]
    assert fed(too_long) == ([b"ok", E.LIMIT], b"")
    assert fed(*(bytes([byte]) for byte in too_long)) == ([b"ok", E.LIMIT], b"")


def test_endless_subnegotiation_takes_no_memory() -> None:
    telnet = Telnet()
    piece = b"x" * 65536
    telnet.feed(b"\xff\xfa")
    tracemalloc.start()
    try:
        for _ in range(192):
            telnet.feed(piece)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held < 4096
    assert peak < 2 * len(piece)


def test_output_for_telnet_ends_lines_in_cr_lf() -> None:
    telnet = Telnet()
    telnet.feed(b"\xff\xf1")

    assert telnet.encode_output(b"a\nb\r\n10%\r20%\xff\n\n") == b"a\r\nb\r\n10%\r\x0020%\xff\xff\r\n\r\n"


def test_output_for_others_keeps_its_line_ends() -> None:
    assert Telnet().encode_output(b"a\nb\r\nc\r\xff") == b"a\nb\r\nc\r\xff\xff"


@given(st.binary(max_size=300).map(lambda data: data.replace(b"\r", b"")))
def test_output_without_cr_is_read_back_as_it_was(data: bytes) -> None:
    telnet = Telnet()
    telnet.feed(b"\xff\xf1")

    sent = telnet.encode_output(data)

    # Another one as the client: commands look the same from both sides.
    received = Telnet().feed(sent)
    assert received == ([data.replace(b"\n", b"\r\n")] if data else [])


noise = st.lists(
    st.one_of(
        st.binary(max_size=8),
        st.sampled_from(
            [b"\xff", b"\xff\xfa", b"\xff\xf0", b"\xff\xfa\x1f", b"\xff\xfa\x18\x00", *(c[1] for c in CAPTURED)]
        ),
        st.tuples(st.integers(236, 255), st.integers(0, 255)).map(lambda pair: bytes([255, *pair])),
    ),
    max_size=40,
).map(b"".join)


@settings(deadline=None)
@given(noise, st.data())
def test_noise_means_the_same_however_it_is_split(data: bytes, draw: st.DataObject) -> None:
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=10)))
    pieces = [data[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True)]

    whole = fed(data)

    assert fed(*pieces) == whole
    assert fed(*(bytes([byte]) for byte in data)) == whole


@settings(deadline=None)
@given(noise)
def test_our_commands_never_answer_each_other(data: bytes) -> None:
    """Two of ours, connected to each other, fall silent: negotiation cannot loop."""
    here, there = Telnet(), Telnet()
    here.feed(data)
    for _ in range(10):
        there.feed(here.take_replies())
        here.feed(there.take_replies())

    assert here.take_replies() == b""
