"""Clients of an HTTP server: `web_load.py PORT THREADS REQUESTS PAUSE_S`; prints how many answers were right."""

from __future__ import annotations

import http.client
import sys

from measured import Options, in_threads, paced


def main(options: Options) -> int:
    """Each thread keeps one connection, if the server does."""

    def work(number: int) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", options.peer["port"], timeout=60)
        for request in paced(options, number):
            connection.request("GET", f"/hello/you?number={number}")
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, f"Hello you! You are {number}.".encode())
            said = f"{number}.{request}".encode() * 20
            connection.request("POST", "/echo", said)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, said)
        connection.close()
        return options.requests * 2

    return in_threads(options, work)


if __name__ == "__main__":
    port, threads, requests = map(int, sys.argv[1:4])
    print(main(Options(threads, requests, float(sys.argv[4]), {"port": port})))
