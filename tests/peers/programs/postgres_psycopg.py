"""psycopg's blocking connections.  PSYCOPG_WAIT_FUNC=wait_selector has them wait in Python instead of in C."""

from __future__ import annotations

import threading

import psycopg
from measured import Options, in_threads, paced, run

starting = threading.BoundedSemaphore(20)


def main(options: Options) -> int:
    """Each thread asks, also for an error, and streams some rows in with COPY."""

    def work(number: int) -> int:
        with starting:
            connection = psycopg.connect(**options.peer)
        with connection:
            connection.execute("CREATE TEMPORARY TABLE item (request integer)")
            for request in paced(options, number):
                row = connection.execute("SELECT %s + 1, pg_sleep(0.01)", (request,)).fetchone()
                assert row is not None
                assert row[0] == request + 1
                with connection.cursor() as cursor, cursor.copy("COPY item FROM STDIN") as copy:
                    copy.write_row((request,))
                try:
                    with connection.transaction():
                        connection.execute("SELECT 1 / 0")
                except psycopg.errors.DivisionByZero:
                    continue
                raise AssertionError("divided by zero")
            assert connection.execute("SELECT count(*) FROM item").fetchone() == (options.requests,)
        return options.requests

    return in_threads(options, work)


if __name__ == "__main__":
    run(f"psycopg {psycopg.__version__} ({psycopg.pq.__impl__})", main)
