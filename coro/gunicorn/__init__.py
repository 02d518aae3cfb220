"""A worker for gunicorn: `gunicorn -k coro.gunicorn.CoroWorker app:app`.

Every connection is a thread of coro; ordinary blocking code in the application waits as a thread does, by
`coro.emulation`.  Processes, reloads and restarts are gunicorn's job.  Needs the extra coro[gunicorn].
"""

from __future__ import annotations

from coro.gunicorn.worker import CoroWorker

__all__ = ["CoroWorker"]
