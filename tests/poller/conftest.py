"""Each contract test gets each poller in turn."""

import select
import socket
from collections.abc import Iterator

import pytest

from tests.poller.subjects import SUBJECTS, Pair, Subject

if not hasattr(select, "epoll"):
    # The subjects stand on Linux's epoll, the simulated kqueue too.
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(params=SUBJECTS)
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    made = SUBJECTS[request.param]()
    yield made
    made.poller.close()


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
