"""What holds after every test of asyncio programs."""

import asyncio
import sys
from collections.abc import Iterator

import pytest

from coro.guests import guests
from coro.scheduler import scheduler


@pytest.fixture(autouse=True)
def nothing_of_asyncio_is_left() -> Iterator[None]:
    """After each test the OS thread looks as if no asyncio loop had ever run."""
    yield
    assert asyncio._get_running_loop() is None
    assert tuple(sys.get_asyncgen_hooks()) == (None, None)
    assert sys.get_coroutine_origin_tracking_depth() == 0
    assert not scheduler.collecting
    assert not guests
