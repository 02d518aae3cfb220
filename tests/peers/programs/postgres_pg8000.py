"""pg8000, a driver in pure Python: each thread has a connection, transactions that commit and that roll back."""

from __future__ import annotations

import threading
from importlib.metadata import version

import pg8000.dbapi
from measured import Options, in_threads, paced, run

# 200 server processes at once are a lot to start.
starting = threading.BoundedSemaphore(20)


def connect(options: Options) -> pg8000.dbapi.Connection:
    """Connect without TLS.  With it, pass a context that all connections share: to make one takes 17 ms of CPU."""
    return pg8000.dbapi.connect(**options.peer, ssl_context=False)


def main(options: Options) -> int:
    """Each thread adds to its own row and, every other time, thinks better of it."""
    with connect(options) as setup:
        cursor = setup.cursor()
        cursor.execute("DROP TABLE IF EXISTS account")
        cursor.execute("CREATE TABLE account (owner integer PRIMARY KEY, balance integer)")
        setup.commit()

    def work(number: int) -> int:
        with starting:
            connection = connect(options)
        with connection:
            cursor = connection.cursor()
            cursor.execute("INSERT INTO account VALUES (%s, 0)", (number,))
            connection.commit()
            for request in paced(options, number):
                cursor.execute("UPDATE account SET balance = balance + 1 WHERE owner = %s", (number,))
                cursor.execute("SELECT balance, pg_sleep(0.01) FROM account WHERE owner = %s", (number,))
                assert cursor.fetchone()[0] == request // 2 + 1
                (connection.commit if request % 2 else connection.rollback)()
        return options.requests

    return in_threads(options, work)


if __name__ == "__main__":
    run(f"pg8000 {version('pg8000')}", main)
