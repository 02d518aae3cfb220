"""Draw the pictures of these pages: docs/pictures/thread.svg, loop.svg, byte.svg, layers.svg and console-parts.svg.

python -m docs.diagrams            writes them
python -m docs.diagrams --check    writes nothing; names the files that are stale, and exits 1 if there are any
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from docs.drawing import Colour, Drawing

__all__ = ["PICTURES", "main"]

FOLDER = Path(__file__).resolve().parent / "pictures"


def thread() -> Drawing:
    """The life of a thread."""
    drawing = Drawing(
        860,
        330,
        "The life of a thread",
        "new() makes a new thread, start() makes it runnable, spawn() does both. In its turn it runs. If it yields "
        "it is runnable again; if it waits, something has to wake it up. When its function ends it is dead.",
    )
    new = drawing.box(40, 60, 120, 56, "new\nno stack yet")
    runnable = drawing.box(280, 60, 130, 56, "runnable\nin the queue", colour="blue")
    running = drawing.box(530, 60, 130, 56, "running\none at a time", colour="green")
    dead = drawing.box(740, 60, 90, 56, "dead")
    waiting = drawing.box(390, 230, 160, 56, "waiting\nfor what, since when", colour="amber")
    drawing.arrow(new.at("right"), runnable.at("left"))
    drawing.note(220, 80, "`start()`")
    drawing.note(100, 48, "`new()`")
    drawing.arrow((345, 22), runnable.at("top"), colour="blue")
    drawing.note(356, 40, "`spawn()`", anchor="start")
    drawing.arrow(runnable.at("right", 0.3), running.at("left", 0.3), colour="green")
    drawing.note(470, 70, "its turn")
    drawing.arrow(running.at("left", 0.75), runnable.at("right", 0.75), colour="blue")
    drawing.note(470, 120, "`yield_slice()`")
    drawing.arrow(running.at("right"), dead.at("left"))
    drawing.note(700, 52, "returns\nor raises")
    drawing.arrow(running.at("bottom", 0.6), (608, 258), waiting.at("right"), colour="amber")
    drawing.note(620, 190, "`recv()`\n`sleep_relative()`\n`lock()`", anchor="start")
    drawing.arrow(waiting.at("left"), (332, 258), runnable.at("bottom", 0.4), colour="blue")
    drawing.note(320, 174, "what it waits for is there,\nthe time is over,\nor it is interrupted", anchor="end")
    drawing.arrow(new.at("bottom"), (100, 306), (785, 306), dead.at("bottom"))
    drawing.note(112, 298, "shutdown() before it ran: cancelled", anchor="start")
    return drawing


def loop() -> Drawing:
    """One turn of the loop."""
    drawing = Drawing(
        860,
        370,
        "The loop",
        "Run who is ready, expire timers, poll the kernel, wake who waited for it; and again. Threads hand over to "
        "each other directly while the queue is not empty and half a millisecond has not passed.",
    )
    run = drawing.box(
        40, 40, 300, 96, "1  run who is ready\neach switches straight\nto the next in the queue", colour="green"
    )
    timers = drawing.box(
        520, 40, 300, 96, "2  expire timers\nsleepers and timeouts\nwhose deadline has passed", colour="violet"
    )
    poll = drawing.box(
        520, 232, 300, 96, "3  poll\nepoll or kqueue; sleeps only if\nnobody is runnable", colour="amber"
    )
    wake = drawing.box(
        40,
        232,
        300,
        96,
        "4  wake\nset the flags of descriptors, queue\ntheir waiters, calls from outside",
        colour="blue",
    )
    drawing.arrow(run.at("right"), timers.at("left"), colour="violet")
    drawing.note(430, 66, "queue empty, or 0.5 ms\nsince the last poll")
    drawing.arrow(timers.at("bottom"), poll.at("top"), colour="amber")
    drawing.note(660, 180, "how long: until\nthe next deadline", anchor="end")
    drawing.arrow(poll.at("left"), wake.at("right"), colour="blue")
    drawing.note(430, 262, "(fd, events)")
    drawing.arrow(wake.at("top"), run.at("bottom"), colour="green")
    drawing.note(200, 190, "they are runnable", anchor="start")
    return drawing


def byte() -> Drawing:
    """The way of a byte through an echo server."""
    drawing = Drawing(
        920,
        400,
        "The way of a byte",
        "epoll reports a byte, the descriptor's flag is set, the thread receives, and sends at once.",
    )
    drawing.frame(200, 20, 200, 360, "kernel")
    drawing.frame(420, 20, 480, 360, "your process")
    peer = drawing.box(20, 150, 130, 76, "the peer\na client\nanywhere")
    arrived = drawing.box(220, 60, 160, 60, "receive buffer\nof the socket", colour="amber")
    sending = drawing.box(220, 290, 160, 60, "send buffer\nof the socket", colour="amber")
    poll = drawing.box(440, 60, 180, 60, "epoll_wait\nreports an edge, once", colour="violet")
    flags = drawing.box(440, 172, 180, 70, "descriptor\nreadable: yes\nwritable: yes", colour="blue")
    thread = drawing.box(
        690, 150, 190, 114, "the thread\n`data = recv(4096)`\n`send(data)`\nwritten as if alone", colour="green"
    )
    drawing.arrow(peer.at("top"), (85, 90), arrived.at("left"), colour="amber")
    drawing.number(130, 90, 1)
    drawing.arrow(arrived.at("right"), poll.at("left"), colour="violet")
    drawing.number(408, 90, 2)
    drawing.arrow(poll.at("bottom"), flags.at("top"), colour="blue")
    drawing.number(530, 144, 3)
    drawing.arrow(flags.at("right"), thread.at("left"), colour="green")
    drawing.number(652, 207, 4)
    drawing.arrow(thread.at("bottom"), (785, 320), sending.at("right"), colour="amber")
    drawing.number(740, 320, 5)
    drawing.note(580, 312, "no waiting: the flag says there is room")
    drawing.note(655, 252, "wakes it")
    drawing.note(
        650,
        84,
        "a short read, or EAGAIN, takes\n“readable” away again: the next\nrecv() waits for the next edge",
        anchor="start",
    )
    drawing.arrow(sending.at("left"), (85, 320), peer.at("bottom"), colour="amber")
    drawing.number(150, 320, 6)
    return drawing


LAYERS: tuple[tuple[str, str, Colour], ...] = (
    ("8  gunicorn", "a worker: everything below, for somebody else's server", "violet"),
    ("7  backdoor", "bytes ↔ commands; the sentinel", "violet"),
    ("6  inspect", "live state → records, health, metrics", "violet"),
    ("5  adapters", "emulation, ssl, dns, aio, profiler, testing", "plain"),
    ("4  I/O", "sockets, streams, connecting, servers", "green"),
    ("3  services", "timeouts, locks, groups, OS threads, processes", "green"),
    ("2  core", "threads, run queue, loop, interrupts", "blue"),
    ("1  mechanism", "poller (epoll, kqueue), timers, wake-up", "amber"),
    ("0  leaves", "exceptions, clock, records, wire", "amber"),
)


def layers() -> Drawing:
    """The layers of the house."""
    drawing = Drawing(
        860,
        622,
        "The layers of the house",
        "Nine layers, from a worker for gunicorn at the top to the leaves at the bottom; imports point down only. "
        "The console is a program of its own that imports the leaves only.",
    )
    height, gap, top = 54, 8, 40
    for number, (title, text, colour) in enumerate(LAYERS):
        box = drawing.box(250, top + number * (height + gap), 440, height, f"{title}\n{text}", colour=colour)
    drawing.arrow((730, top + 8), (730, box.y + height), colour="blue")
    drawing.note(746, 280, "imports point\ndown only;\na test reads\nthem all", anchor="start")
    console = drawing.box(30, top, 180, 96, "console\nthe coro command:\na process of its own", colour="plain")
    drawing.arrow(console.at("bottom"), (120, box.y + height / 2), box.at("left"))
    drawing.note(108, 300, "knows only\nrecords and\nwire", anchor="end")
    drawing.arrow(console.at("right", 0.85), (250, console.at("right", 0.85)[1]), colour="violet")
    return drawing


def console_parts() -> Drawing:
    """The parts of the console."""
    drawing = Drawing(
        920,
        430,
        "The console's parts",
        "Clients connect to the backdoor's socket in the daemon: the coro command by JSON-RPC, telnet, nc and "
        "socat with plain text, curl by HTTP. In the daemon the loop answers, or, while it is stuck, the sentinel.",
    )
    drawing.frame(20, 20, 240, 390, "your terminal")
    drawing.frame(380, 20, 520, 390, "the daemon")
    client = drawing.box(
        40, 60, 200, 96, "coro\nattach: a prompt, history\nps, where: tables\ncheck: exit codes", colour="blue"
    )
    plain = drawing.box(40, 190, 200, 78, "telnet, nc, socat\nnothing to install\nwhere it burns")
    web = drawing.box(40, 302, 200, 78, "curl, a probe\n`/healthz`\n`/metrics`")
    door = drawing.box(400, 190, 150, 78, "the backdoor\na Unix socket;\nroles, audit log", colour="violet")
    session = drawing.box(
        610, 60, 270, 78, "sessions, in the loop\nPython and commands;\nlooking costs 5 % at most", colour="green"
    )
    inspect = drawing.box(
        610, 190, 270, 78, "inspect\nlive state → frozen records,\nhealth and metrics from these", colour="amber"
    )
    watcher = "sentinel, an OS thread\nanswers ps, where, check\nwhile the loop is stuck"
    sentinel = drawing.box(610, 302, 270, 78, watcher, colour="red")
    drawing.arrow(client.at("right"), (320, 108), (320, 215), (400, 215), colour="blue")
    drawing.note(312, 100, "JSON-RPC")
    drawing.arrow(plain.at("right"), door.at("left"))
    drawing.note(290, 222, "text")
    drawing.arrow(web.at("right"), (320, 341), (320, 243), (400, 243))
    drawing.note(290, 333, "HTTP")
    drawing.arrow(door.at("right", 0.3), (580, 213.4), (580, 99), session.at("left"), colour="green")
    drawing.arrow(door.at("right", 0.7), (580, 244.6), (580, 341), sentinel.at("left"), colour="red")
    drawing.arrow(session.at("bottom"), inspect.at("top"), colour="amber")
    drawing.arrow(sentinel.at("top"), inspect.at("bottom"), colour="amber")
    return drawing


PICTURES: dict[str, Callable[[], Drawing]] = {
    "thread.svg": thread,
    "loop.svg": loop,
    "byte.svg": byte,
    "layers.svg": layers,
    "console-parts.svg": console_parts,
}


def main(arguments: Sequence[str], folder: Path = FOLDER) -> int:
    """Returns the exit status: 0, or 1 if --check found stale files, 2 for wrong usage."""
    if list(arguments) not in ([], ["--check"]):
        sys.stderr.write("usage: python -m docs.diagrams [--check]\n")
        return 2
    stale = 0
    for name, draw in PICTURES.items():
        path, text = folder / name, draw().svg()
        if not arguments:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            sys.stderr.write(f"{path} is {'stale' if path.exists() else 'missing'}: run python -m docs.diagrams\n")
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
