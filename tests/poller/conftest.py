"""Each contract test gets each poller in turn."""

import os
import socket
from collections.abc import Iterator

import pytest

from tests.poller.subjects import ON_LINUX, SUBJECTS, Pair, Subject

if ON_LINUX:
    from tests.poller.queues import DIALECTS, Queue
else:
    # The contract runs on the real kqueue there.
    collect_ignore_glob = ["test_simulated_*.py", "test_runtime.py"]


@pytest.fixture(params=SUBJECTS)
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    made = SUBJECTS[request.param]()
    yield made
    made.poller.close()


@pytest.fixture(params=DIALECTS if ON_LINUX else ())
def queue(request: pytest.FixtureRequest) -> "Iterator[Queue]":
    """A simulated kqueue, in each dialect."""
    queue = Queue(DIALECTS[request.param])
    yield queue
    queue.kernel.close()


@pytest.fixture
def pipe() -> Iterator[list[int]]:
    """The read end and the write end; one that a test closes is to be set to -1."""
    ends = list(os.pipe())
    for end in ends:
        os.set_blocking(end, False)
    yield ends
    for end in ends:
        if end >= 0:
            os.close(end)


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two connected stream sockets."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def tcp_pair() -> Iterator[Pair]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    with ours, theirs:
        yield ours, theirs
