"""The chat server with real guests: nc, telnet, and one who does not read."""

import re
import signal
import socket
from collections.abc import Callable, Iterator

import pexpect
import pytest

import coro
from coro import testing
from examples.chat import LONGEST_LINE_BYTES, MAX_WAITING_LINES, PATIENCE_S, Room, attend, printable
from examples.telnet import DO, IAC, INTERRUPT_PROCESS, TIMING_MARK, WILL
from tests.examples.program import HOST, TIME_LIMIT_S, Program, wait_until

Serve = Callable[..., Program]
Enter = Callable[[str], Program]


@pytest.fixture
def chat(serve: Serve) -> Program:
    """The server."""
    return serve("examples.chat")


@pytest.fixture
def enter(chat: Program, start: Callable[..., Program], require_tool: Callable[[str], str]) -> Enter:
    """Give enter(name): an nc that has told its name."""

    def enter_by_nc(name: str) -> Program:
        guest = start([require_tool("nc"), HOST, str(chat.port)], has_input=True)
        guest.wait_for("What is your name")
        guest.type(f"{name}\n")
        guest.wait_for(re.escape(f"* {name} has joined\r\n"))
        return guest

    return enter_by_nc


@pytest.fixture
def telnet(chat: Program, require_tool: Callable[[str], str]) -> Iterator["pexpect.spawn[str]"]:
    """A telnet that is connected and was asked for its name."""
    with pexpect.spawn(
        require_tool("telnet"), [HOST, str(chat.port)], timeout=TIME_LIMIT_S, encoding="utf-8"
    ) as client:
        client.expect_exact("What is your name")
        client.setecho(False)
        yield client


def test_nc_and_telnet_talk_to_each_other(enter: Enter, telnet: "pexpect.spawn[str]") -> None:
    alice, bob = enter("alice"), enter("bob")
    telnet.sendline("carol")
    telnet.expect_exact("* carol has joined")

    alice.type("hello, all\n")
    telnet.expect_exact("<alice> hello, all")
    telnet.sendline("grüße")

    for guest in (alice, bob):
        guest.wait_for("<alice> hello, all\r\n")
        guest.wait_for("<carol> grüße\r\n")
    # Who came later has missed what was before.
    assert "* bob has joined" in alice.output
    assert "* alice has joined" not in bob.output


def test_who_nick_help_and_quit(enter: Enter, telnet: "pexpect.spawn[str]") -> None:
    alice = enter("alice")
    telnet.sendline("bob")
    telnet.expect_exact("* bob has joined")

    telnet.sendline("/who")
    telnet.expect_exact("* 2 here: alice, bob\r\n")
    telnet.sendline("/nick robert")
    alice.wait_for(r"\* bob is now robert\r\n")
    telnet.sendline("/nick Robert")
    alice.wait_for(r"\* robert is now Robert\r\n")
    telnet.sendline("/fly")
    telnet.expect_exact("* /who lists the guests")
    telnet.sendline("/quit")
    telnet.expect_exact("* goodbye")
    telnet.expect_exact("Connection closed by foreign host")
    alice.wait_for(r"\* Robert has left\r\n")
    alice.type("/who\n")
    alice.wait_for(r"\* 1 here: alice\r\n")


@pytest.mark.parametrize("name", ["", "a b", "/who", "x" * 21, "ALICE"])
def test_name_that_will_not_do_is_asked_for_again(enter: Enter, chat: Program, name: str) -> None:
    enter("alice")
    with socket.create_connection((HOST, chat.port), timeout=TIME_LIMIT_S) as guest, guest.makefile("r") as lines:
        lines.readline()
        guest.sendall(f"{name}\nbob\n".encode())

        refused, joined = lines.readline(), lines.readline()

    assert refused.startswith("* a name has 1 to 20" if name != "ALICE" else "* the name ALICE is taken")
    assert joined == "* bob has joined\n"


def test_last_line_of_a_pipe_is_said_and_the_connection_closed(
    enter: Enter, chat: Program, start: Callable[..., Program], require_tool: Callable[[str], str]
) -> None:
    alice = enter("alice")
    pipe = start([require_tool("nc"), "-N", HOST, str(chat.port)], has_input=True)
    pipe.type("pipe\nthe last has no end")
    pipe.end_input()

    assert pipe.wait() == 0
    assert pipe.output.endswith("<pipe> the last has no end\r\n* goodbye\r\n")
    alice.wait_for(r"<pipe> the last has no end\r\n\* pipe has left\r\n")


def test_control_characters_are_escaped(enter: Enter) -> None:
    alice, mallory = enter("alice"), enter("mallory")

    mallory.type("\x1b[2J\x07 \u202eevil\u2028 \\ é\n".encode() + b"\xc3\n/nick a\x1bb\n")

    alice.wait_for(re.escape(r"<mallory> \x1b[2J\x07 \u202eevil\u2028 \ é" + "\r\n"))
    alice.wait_for(re.escape(r"<mallory> \xc3" + "\r\n"))
    alice.wait_for(re.escape(r"mallory is now a\x1bb" + "\r\n"))
    assert set(alice.output) & {"\x1b", "\x07", "\u202e", "\u2028"} == set()


def test_printable_takes_line_ends_of_all_clients_away() -> None:
    assert [printable(line) for line in (b"a\n", b"a\r\n", b"a\r\0", b"a", b"\n", b"")] == ["a"] * 4 + ["", ""]


def test_telnet_commands_are_no_text_and_a_timing_mark_is_answered(enter: Enter, chat: Program) -> None:
    alice = enter("alice")
    with socket.create_connection((HOST, chat.port), timeout=TIME_LIMIT_S) as guest:
        # As telnet does for Ctrl-C, in the middle of a line.
        guest.sendall(b"bo" + bytes((IAC, INTERRUPT_PROCESS, IAC, DO, TIMING_MARK)) + b"b\r\n")
        received = b""
        while bytes((IAC, WILL, TIMING_MARK)) not in received or b"* bob has joined" not in received:
            piece = guest.recv(1000)
            assert piece, received
            received += piece

    alice.wait_for(r"\* bob has joined\r\n")


def test_line_too_long_ends_the_connection_with_a_reason(chat: Program) -> None:
    with socket.create_connection((HOST, chat.port), timeout=TIME_LIMIT_S) as guest, guest.makefile("r") as lines:
        guest.sendall(b"bob\n" + b"x" * (LONGEST_LINE_BYTES + 1))

        assert lines.read().endswith(f"* a line may be {LONGEST_LINE_BYTES} bytes long\n")


@pytest.mark.slow
def test_slow_reader_is_dropped_and_blocks_nobody(enter: Enter) -> None:
    sloth, talker, listener = enter("sloth"), enter("talker"), enter("listener")
    sloth.process.send_signal(signal.SIGSTOP)
    lines = [f"{number:05} {'x' * 900}" for number in range(2500)]

    # In steps, so that the listener is never the slow one.
    for at in range(0, len(lines), 50):
        talker.type("".join(f"{line}\n" for line in lines[at : at + 50]))
        wait_until(lambda last=lines[at + 49]: f"<talker> {last}\r\n" in listener.output, f"{at} lines arrive")

    said = re.findall(r"<talker> (.*)\r\n", listener.output)
    assert said == lines
    listener.wait_for(r"\* sloth was dropped: too slow a reader\r\n")
    listener.type("/who\n")
    listener.wait_for(r"\* 2 here: talker, listener\r\n")

    sloth.process.send_signal(signal.SIGCONT)
    farewell = f"* you were dropped: {MAX_WAITING_LINES} lines were waiting for you to read them\r\n"
    sloth.wait_for(re.escape(farewell) + r"\Z")
    # nc ends when both ways have.
    sloth.end_input()
    assert sloth.wait() == 0
    heard = re.findall(r"<talker> (.*)\r\n", sloth.output)
    assert heard == lines[: len(heard)]


def test_guest_who_vanishes_has_left(enter: Enter) -> None:
    alice, bob = enter("alice"), enter("bob")

    bob.process.kill()
    bob.wait()

    alice.wait_for(r"\* bob has left\r\n")


def test_guest_who_never_reads_again_is_cut_off() -> None:
    assert testing.run(_starve_a_guest) == ["sloth", "talker"]


def _starve_a_guest() -> list[str]:
    """Under fake time; returns who was there before one of them was cut off."""
    room = Room()
    server = coro.tcp_server((HOST, 0), attend, room)
    sloth, talker = coro.tcp_sock(), coro.tcp_sock()
    with sloth, talker:
        for guest, name in ((sloth, "sloth"), (talker, "talker")):
            guest.connect(server.address)
            guest.send(f"{name}\n".encode())
            guest.recv(1000)
            coro.sleep_relative(0.1)
        names = list(room.guests)
        # The kernel's buffers take some of it; the rest waits for the sloth.
        coro.spawn(_drain, talker)
        while "sloth" in room.guests:
            talker.send(b"x" * 900 + b"\n")
            coro.sleep_relative(0.01)
        assert len(server.connections) == 2, "dropped, but the last line may still be read"
        coro.sleep_relative(2 * PATIENCE_S + 1)
        assert len(server.connections) == 1, "cut off"
        assert list(room.guests) == ["talker"]
        server.close()
    return names


def _drain(guest: coro.sock) -> None:
    while guest.recv(65536):
        pass
