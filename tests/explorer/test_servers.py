"""Servers under many schedules."""

from __future__ import annotations

from coro.testing import explore
from tests.explorer.scaling import scaled
from tests.explorer.services_servers import is_no_acceptor, server_at_its_cap, server_stopped, servers


def test_connections_are_handled_once_and_closed() -> None:
    explore(servers, schedules=scaled(800))


def test_servers_whose_threads_are_interrupted_at_any_switch() -> None:
    explore(servers, schedules=scaled(800), interrupts=2, victims=is_no_acceptor)


def test_a_server_at_its_cap_serves_everybody_in_the_end() -> None:
    explore(server_at_its_cap, schedules=scaled(600))


def test_a_server_that_is_stopped_leaves_nobody_waiting() -> None:
    explore(server_stopped, schedules=scaled(600), exhaustive=True, deviations=3)
