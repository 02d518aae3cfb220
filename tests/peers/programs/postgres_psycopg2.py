"""psycopg2 with its own wait callback, which waits in Python instead of in C."""

from __future__ import annotations

import threading

import psycopg2
import psycopg2.extensions
import psycopg2.extras
from measured import Options, in_threads, paced, run

starting = threading.BoundedSemaphore(20)


def main(options: Options) -> int:
    """Each thread asks, every third time for an error."""
    psycopg2.extensions.set_wait_callback(psycopg2.extras.wait_select)

    def work(number: int) -> int:
        with starting:
            connection = psycopg2.connect(**options.peer)
        cursor = connection.cursor()
        for request in paced(options, number):
            cursor.execute("SELECT %s + 1, pg_sleep(0.01)", (request,))
            assert cursor.fetchone()[0] == request + 1
            connection.commit()
            if request % 3 == 0:
                try:
                    cursor.execute("SELECT 1 / 0")
                except psycopg2.errors.DivisionByZero:
                    connection.rollback()
                else:
                    raise AssertionError("divided by zero")
        connection.close()
        return options.requests

    return in_threads(options, work)


if __name__ == "__main__":
    run(f"psycopg2 {psycopg2.__version__.partition(' ')[0]}", main)
