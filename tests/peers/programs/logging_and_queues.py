"""No peer: `threading`, `queue`, `concurrent.futures` and `logging` as a large program uses them together."""

from __future__ import annotations

import concurrent.futures
import logging
import logging.handlers
import platform
import queue
import tempfile
import threading
import time
from pathlib import Path

from measured import Options, in_threads, paced, run


def main(options: Options) -> int:
    """Each thread asks a pool of workers and logs what it learnt: through a queue, into a file that is rotated."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        file = logging.handlers.RotatingFileHandler(path, maxBytes=20_000, backupCount=10_000)
        file.setFormatter(logging.Formatter("%(threadName)s: %(message)s"))
        lines: queue.Queue[logging.LogRecord] = queue.Queue(100)
        listener = logging.handlers.QueueListener(lines, file)
        listener.start()
        logger = logging.getLogger("program")
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logger.addHandler(Waiting(lines))
        work_all(options, logger)
        listener.stop()
        file.close()
        return sum(check(part) for part in Path(folder).iterdir())


class Waiting(logging.handlers.QueueHandler):
    """Waits for room instead of losing a record."""

    def enqueue(self, record: logging.LogRecord) -> None:
        """Put it into the queue."""
        self.queue.put(record)


def work_all(options: Options, logger: logging.Logger) -> None:
    """All threads' work, with a lock, a condition, a barrier and a thread-local among them."""
    everyone = threading.Barrier(options.threads)
    changed = threading.Condition()
    own = threading.local()
    done = {"count": 0}
    with concurrent.futures.ThreadPoolExecutor(options.threads // 4) as workers:

        def work(number: int) -> int:
            own.number = number
            everyone.wait(60)
            for request in paced(options, number):
                future = workers.submit(square, number + request)
                assert future.result(60) == (own.number + request) ** 2
                logger.info("asked %d, done", request)
            with changed:
                done["count"] += 1
                changed.notify_all()
                assert changed.wait_for(lambda: done["count"] == options.threads, 60)
            return options.requests

        in_threads(options, work)


def square(number: int) -> int:
    """What a worker does."""
    time.sleep(0.001)
    return number**2


def check(path: Path) -> int:
    """How many lines a log has; all of them must be whole."""
    lines = path.read_text(encoding="utf-8").splitlines()
    assert all(line.startswith("client ") and line.endswith(", done") for line in lines)
    return len(lines)


if __name__ == "__main__":
    run(f"logging and queue of Python {platform.python_version()}", main)
