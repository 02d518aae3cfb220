"""The daemons that `benchmarks.console` measures: `python -m benchmarks.console_daemon KIND ...`.

quick BACKDOOR      yields and echoes with an idle backdoor (a path) or none (-); prints two figures, then ends.
load BACKDOOR N     N sleeping threads, an echo load of 20 connections, until it is told to end; answers on stdin
                    "window SECONDS" with the load's latency percentiles over that time.
"""

import os
import sys
import time
from collections import deque
from collections.abc import Callable

import coro

YIELDS = 200_000
ECHOES = 50_000
CONNECTIONS = 20


def main() -> None:
    """Run what the command line names."""
    kind, path, *rest = sys.argv[1:]
    coro.set_print_exit_string(False)
    coro.spawn(quick if kind == "quick" else load, path, *map(int, rest), thread_name=kind)
    coro.event_loop()


def open_backdoor(path: str) -> None:
    """Open the backdoor at a path; "-" for none."""
    if path != "-":
        import coro.backdoor

        coro.backdoor.start(unix_path=path)


def quick(path: str) -> None:
    """Print CPU microseconds per yield and per echo."""
    open_backdoor(path)
    coro.sleep_relative(0.3)

    def yielder() -> None:
        for _ in range(YIELDS):
            coro.yield_slice()

    def two_yielders() -> None:
        threads = [coro.spawn(yielder) for _ in range(2)]
        for thread in threads:
            thread.join()

    client, server = coro.socketpair()

    def echo() -> None:
        while data := server.recv(100):
            server.send(data)

    coro.spawn(echo)

    def ask() -> None:
        for _ in range(ECHOES):
            client.send(b"x")
            client.recv(100)

    print(cpu_us(two_yielders) / (2 * YIELDS), cpu_us(ask) / ECHOES, flush=True)
    coro.set_exit(0)


def cpu_us(work: Callable[[], None]) -> float:
    """Microseconds of CPU time that some work takes."""
    before = time.process_time()
    work()
    return (time.process_time() - before) * 1e6


def load(path: str, threads: int) -> None:
    """Sleepers, an echo load, and a window on its latency."""
    # The second thread of all, so that whoever asks knows its id.
    coro.spawn(patient, thread_name="patient")
    open_backdoor(path)
    for number in range(threads):
        coro.spawn(sleeper, number % 50, thread_name=f"sleeper-{number}")
    # Bounded, so that a long run measures the console's memory and not this.
    latencies: deque[float] = deque(maxlen=100_000)
    for _ in range(CONNECTIONS):
        client, server = coro.socketpair()
        coro.spawn(echo_server, server)
        coro.spawn(echo_client, client, latencies)
    print("ready", flush=True)
    pending = b""
    while True:
        coro.wait_for_read(0)
        data = os.read(0, 4096)
        if not data:
            coro.set_exit(0)
            return
        *lines, pending = (pending + data).split(b"\n")
        for line in lines:
            seconds = float(line.split()[1])
            latencies.clear()
            coro.sleep_relative(seconds)
            found = sorted(latencies)
            print(found[len(found) // 2], found[int(len(found) * 0.99)], found[-1], len(found), flush=True)


def patient() -> None:
    """Sleep for ever, whoever interrupts it."""
    while True:
        try:
            coro.sleep_relative(3600)
        except coro.Shutdown:
            return
        except coro.Interrupted:
            continue


def sleeper(depth: int) -> None:
    """Sleep for ever, at one of fifty places."""
    if depth:
        sleeper(depth - 1)
    while True:
        coro.sleep_relative(3600)


def echo_server(server: coro.sock) -> None:
    """Answer for ever."""
    while data := server.recv(100):
        server.send(data)


def echo_client(client: coro.sock, latencies: deque[float]) -> None:
    """Ask every two milliseconds or so, and note how long the answer took."""
    while True:
        before = time.perf_counter()
        client.send(b"x")
        client.recv(100)
        latencies.append(time.perf_counter() - before)
        coro.sleep_relative(0.002)


if __name__ == "__main__":
    main()
