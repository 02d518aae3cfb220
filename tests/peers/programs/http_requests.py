"""requests: a session per thread, with kept connections; pages of 1 KiB, redirects, posts, errors."""

from __future__ import annotations

import requests
from measured import Options, in_threads, paced, run


def main(options: Options) -> int:
    """Each thread asks for a page, checks it, and closes its session in the end."""
    url = "http://{host}:{port}".format(**options.peer)

    def work(number: int) -> int:
        with requests.Session() as session:
            session.trust_env = False
            for _ in paced(options, number):
                answer = session.get(f"{url}/page.txt", timeout=60)
                assert answer.status_code == 200
                assert answer.text == "0123456789abcdef" * 64
            answer = session.get(f"{url}/no such page", timeout=60)
            assert answer.status_code == 404
        return options.requests + 1

    return in_threads(options, work)


if __name__ == "__main__":
    run(f"requests {requests.__version__}", main)
