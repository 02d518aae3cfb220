"""Sockets under many schedules."""

from __future__ import annotations

from coro.testing import explore
from tests.explorer.scaling import scaled
from tests.explorer.services_sockets import (
    closed_while_waiting,
    echo,
    large_piece,
    lines,
    second_reader,
    streams,
    waits_by_number,
)


def test_each_byte_of_a_stream_arrives_once_and_in_order() -> None:
    explore(streams, schedules=scaled(500))


def test_streams_whose_threads_are_interrupted_at_any_switch() -> None:
    explore(streams, schedules=scaled(400), interrupts=2)


def test_an_echo_is_complete() -> None:
    explore(echo, schedules=scaled(400))


def test_a_reader_of_lines_loses_nothing_when_it_is_interrupted() -> None:
    explore(lines, schedules=scaled(600), interrupts=3)


def test_closing_a_socket_wakes_all_that_wait_for_it() -> None:
    explore(closed_while_waiting, schedules=scaled(500), interrupts=1)


def test_a_second_reader_is_refused_and_nothing_is_lost() -> None:
    explore(second_reader, schedules=scaled(500), interrupts=1)


def test_a_piece_larger_than_all_buffers_arrives() -> None:
    explore(large_piece, schedules=scaled(100))


def test_waits_by_number_and_by_socket_get_along() -> None:
    explore(waits_by_number, schedules=scaled(300), interrupts=2)
