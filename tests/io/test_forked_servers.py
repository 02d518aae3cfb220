"""A Unix server that a fork outside the loop has handed to children: its file is theirs together."""

from pathlib import Path

from tests.core.script import output_of

SCRIPT = """
import os, signal, sys
import coro
coro.set_print_exit_string(False)
path = sys.argv[1]
server = coro.unix_server(path, lambda connection, address: None)

def worker(read_end):
    def main():
        os.read(read_end, 1)
        if sys.argv[2] == "stop":
            server.stop(0)
        coro.set_exit(0)
    coro.spawn(main)
    try:
        coro.event_loop()
    finally:
        os._exit(0)

read_end, write_end = os.pipe()
pid = os.fork()
if pid == 0:
    worker(read_end)
os.write(write_end, b"x")
os.waitpid(pid, 0)
print(os.path.exists(path))
server.close()
print(os.path.exists(path))
"""


def test_worker_that_exits_leaves_the_file_to_the_others(tmp_path: Path) -> None:
    assert output_of(SCRIPT, str(tmp_path / "s"), "exit") == ["True", "False"]


def test_worker_that_stops_the_server_removes_the_file(tmp_path: Path) -> None:
    assert output_of(SCRIPT, str(tmp_path / "s"), "stop") == ["False", "False"]
