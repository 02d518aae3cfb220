"""The contract of pollers: the ends of processes."""

import os
import signal
import time

import pytest

from coro.poller.base import READ
from tests.poller.subjects import LIMIT_NS, Subject, poll_for


def test_process_that_ends_is_reported_once(subject: Subject) -> None:
    reader, writer = os.pipe()
    pid = os.posix_spawn(
        "/bin/sh", ["sh", "-c", "read line"], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, reader, 0)]
    )
    os.close(reader)
    key = subject.poller.add_process(pid)
    try:
        before = subject.poll()
        os.close(writer)
        got = poll_for(subject, key, READ)
        after = subject.poll()
    finally:
        subject.poller.remove_process(key)
        os.waitpid(pid, 0)

    assert (before, got, after) == ({}, READ, {})


def ended_child() -> int:
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 3"], os.environ)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid


def test_process_that_has_ended_but_was_not_waited_for_is_reported(subject: Subject) -> None:
    pid = ended_child()
    key = subject.poller.add_process(pid)
    try:
        before = time.monotonic_ns()
        assert subject.poll(LIMIT_NS) == {key: READ}
        assert time.monotonic_ns() - before < LIMIT_NS
        assert subject.poll() == {}
    finally:
        subject.poller.remove_process(key)
        os.waitpid(pid, 0)


def test_process_whose_watch_was_removed_is_not_reported_but_can_be_watched_again(subject: Subject) -> None:
    pid = ended_child()
    try:
        subject.poller.remove_process(subject.poller.add_process(pid))
        assert subject.poll() == {}
        key = subject.poller.add_process(pid)
        assert subject.poll(LIMIT_NS) == {key: READ}
    finally:
        os.waitpid(pid, 0)
    subject.poller.remove_process(key)


def test_key_of_a_process_is_no_descriptor_that_is_watched(subject: Subject) -> None:
    pid = ended_child()
    reader, writer = os.pipe()
    try:
        subject.poller.rearm(reader, READ)
        key = subject.poller.add_process(pid)
        assert key != reader
        assert subject.poll(LIMIT_NS) == {key: READ}
        subject.poller.remove_process(key)
        os.write(writer, b"x")
        assert subject.poll(LIMIT_NS) == {reader: READ}
    finally:
        os.waitpid(pid, 0)
        os.close(reader)
        os.close(writer)


def test_several_processes_are_reported_each_under_its_key(subject: Subject) -> None:
    pids = [ended_child() for _ in range(5)]
    keys = [subject.poller.add_process(pid) for pid in pids]
    seen: set[int] = set()
    deadline = time.monotonic_ns() + LIMIT_NS
    while len(seen) < len(keys) and time.monotonic_ns() < deadline:
        seen |= set(subject.poll(1_000_000))
    for pid, key in zip(pids, keys, strict=True):
        os.waitpid(pid, 0)
        subject.poller.remove_process(key)

    assert seen == set(keys)


def test_process_that_does_not_exist_is_refused(subject: Subject) -> None:
    pid = ended_child()
    os.waitpid(pid, 0)

    with pytest.raises(ProcessLookupError):
        subject.poller.add_process(pid)


def test_watches_of_processes_hold_nothing_after_they_were_removed(subject: Subject) -> None:
    before = os.listdir("/dev/fd")
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "sleep 30"], os.environ)
    try:
        for _ in range(3):
            subject.poller.remove_process(subject.poller.add_process(pid))
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    assert subject.poll() == {}
    assert len(os.listdir("/dev/fd")) == len(before)
