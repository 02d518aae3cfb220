"""The tasks of a running daemon, as the shell's commands show them."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.backdoor.conftest import Daemon, start_daemon, until
from tests.backdoor.talking import validate

__all__ = ["start_daemon"]

PROGRAM = """
import asyncio
import coro.aio

async def handle(number):
    await asyncio.sleep(1000)

async def serve():
    tasks = [asyncio.create_task(handle(n), name=f"handler {n}") for n in range(3)]
    hostile = asyncio.create_task(handle(3), name="\\x1b[31mred")
    await asyncio.wait([*tasks, hostile])

server = coro.spawn(coro.aio.run, serve(), thread_name="asyncio server")
"""


def shell(daemon: Daemon, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "coro.console", "-t", daemon.path, *words],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def daemon(start_daemon: Callable[..., Daemon]) -> Daemon:
    daemon = start_daemon(PROGRAM)
    until(lambda: daemon.eval("len(asyncio.all_tasks(coro.guests.guests[server.id]))") == "5")
    return daemon


def test_tree_shows_tasks_below_their_thread(daemon: Daemon) -> None:
    lines = shell(daemon, "tree").splitlines()

    (thread,) = [number for number, line in enumerate(lines) if '"asyncio server"' in line]
    below = lines[thread + 1 : thread + 6]
    assert sum("task " in line for line in below) == 5
    assert sum('"handler ' in line and "waiting for future in " in line for line in below) == 3
    assert "\x1b" not in "".join(lines)


def test_where_shows_the_stacks_of_a_threads_tasks(daemon: Daemon) -> None:
    number = daemon.eval("server.id")
    text = shell(daemon, "where", str(number))

    assert 'task "handler 2": waiting for future' in text
    assert "await asyncio.sleep(1000)" in text
    assert text.count(" handle\n") == 4
    assert 'task "handler 2"' in shell(daemon, "where", "all")
    assert 'task "' not in shell(daemon, "where", "all", "--group")


def test_records_of_tasks_keep_to_the_schemas(daemon: Daemon) -> None:
    with daemon.rpc() as rpc:
        tree: list[dict[str, Any]] = rpc.call("tree")
        where: list[dict[str, Any]] = rpc.call("where", target="all")
        ps: list[dict[str, Any]] = rpc.call("ps")
    for name, records in (("coro.thread/1", tree), ("coro.stack/1", where)):
        for record in records:
            validate(name, record)
        assert len([record for record in records if record["task"]]) == 5
    assert not [record for record in ps if record["task"]]
