"""urllib3: one PoolManager for all threads, which block for its connections; an answer is also read in pieces."""

from __future__ import annotations

import urllib3
from measured import Options, in_threads, paced, run


def main(options: Options) -> int:
    """Each thread asks for a page of 1 KiB; half as many connections as threads."""
    url = "http://{host}:{port}/page.txt".format(**options.peer)
    pool = urllib3.PoolManager(maxsize=options.threads // 2, block=True, timeout=60, retries=False)

    def work(number: int) -> int:
        for _ in paced(options, number):
            answer = pool.request("GET", url)
            assert (answer.status, answer.data) == (200, b"0123456789abcdef" * 64)
        answer = pool.request("GET", url, preload_content=False)
        assert b"".join(answer.stream(100)) == b"0123456789abcdef" * 64
        answer.release_conn()
        return options.requests + 1

    return in_threads(options, work)


if __name__ == "__main__":
    run(f"urllib3 {urllib3.__version__}", main)
