"""httpx: a Client for every ten threads; the work of its pool grows with the square of those that share it."""

from __future__ import annotations

import httpx
from measured import Options, in_threads, paced, run

SHARING = 10
clients: list[httpx.Client] = []


def prepare(options: Options) -> None:
    """Make the clients: each takes some milliseconds, and reading the certificates for all of them some more."""
    url = "http://{host}:{port}".format(**options.peer)
    context = httpx.create_ssl_context()
    limits = httpx.Limits(max_connections=SHARING // 2)
    for _ in range(-(-options.threads // SHARING)):
        clients.append(httpx.Client(base_url=url, limits=limits, timeout=60, trust_env=False, verify=context))


def main(options: Options) -> int:
    """Each thread asks for a page of 1 KiB, over half as many connections."""

    def work(number: int) -> int:
        client = clients[number // SHARING]
        for _ in paced(options, number):
            answer = client.get("/page.txt")
            assert (answer.status_code, answer.text) == (200, "0123456789abcdef" * 64)
        return options.requests

    answers = in_threads(options, work)
    for client in clients:
        client.close()
    return answers


if __name__ == "__main__":
    run(f"httpx {httpx.__version__}", main, prepare)
