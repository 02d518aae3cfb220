"""Ten thousand connections at once, and a hundred thousand one after another; the server is what is measured."""

from __future__ import annotations

from collections.abc import Callable

import coro
from tests.soak.echo import ask_held, may_open, running_server
from tests.soak.meter import Outcome, Report

__all__ = ["closed", "opened"]

# A server that is told of a closed connection has not run yet.
SETTLE_S = 0.5


def opened(scale: float, report: Report) -> Outcome:
    """10 000 connections open at once, each answered; three times."""
    allowed = may_open(20_000) - 200
    count = min(max(50, int(10_000 * scale)), allowed)

    def work(port: int) -> list[str]:
        return hold(port, count)

    return served(f"{count:,} connections open at once, answered, three times", 3, work, report)


def closed(scale: float, report: Report) -> Outcome:
    """100 000 connections opened and closed, 200 at a time."""
    count = max(20, int(10_000 * scale))

    def work(port: int) -> list[str]:
        faults: list[str] = []

        def visit(number: int) -> None:
            with coro.tcp_sock() as client:
                client.connect(("127.0.0.1", port))
                text = b"%d" % number
                client.sendall(text)
                if client.recv(100) != text:
                    faults.append(f"connection {number} got something else than it sent")

        with coro.Pool(200) as pool:
            for number in range(count):
                pool.spawn(visit, number)
        return faults

    return served(f"{count * 10:,} connections opened and closed", 10, work, report)


def served(what: str, rounds: int, work: Callable[[int], list[str]], report: Report) -> Outcome:
    """Do the work against a server, once to warm up, and compare what the server holds."""

    def run(port: int) -> Outcome:
        faults = work(port)
        coro.sleep_relative(SETTLE_S)
        report(1 / (rounds + 1))
        before = ask_held(port)
        for number in range(rounds):
            faults += work(port)
            report((number + 2) / (rounds + 1))
        coro.sleep_relative(SETTLE_S)
        return Outcome(what, before, ask_held(port), faults)

    with running_server() as port:
        return coro.run(run, port)


def hold(port: int, count: int) -> list[str]:
    """Open so many connections, use each twice, then close them all."""
    faults: list[str] = []
    gate = coro.event()
    opened_all = coro.inverted_semaphore(count)

    def visit(number: int) -> None:
        text = b"connection %d" % number
        with coro.tcp_sock() as client:
            try:
                client.connect(("127.0.0.1", port))
                client.sendall(text)
                if client.recv(100) != text:
                    faults.append(f"connection {number} got something else than it sent")
            finally:
                opened_all.release()
            gate.wait()
            client.sendall(text)
            if client.recv(100) != text:
                faults.append(f"connection {number} got something else than it sent, the second time")

    threads = [coro.spawn(visit, number) for number in range(count)]
    opened_all.block_till_zero()
    gate.set()
    for thread in threads:
        thread.join()
        if thread.error is not None:
            faults.append(f"a connection failed: {thread.error!r}")
    return faults[:10]
