"""The sentinel: a daemon whose loop is stuck still answers, by the OS thread that watches it."""

import fcntl
import json
import random
import signal
import socket
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.backdoor.stalling import CULPRIT, Victim, get, read_until, result, wait_until


def culprit_of(victim: Victim) -> dict[str, Any]:
    """The culprit of the latest stall."""
    with victim.daemon.rpc() as rpc:
        record = rpc.call("stalls")[0]
    culprit: dict[str, Any] = record["culprits"][0]
    return culprit


# -- who is answered


def test_new_connections_are_answered_during_a_stall_and_name_the_culprit(victim: Victim) -> None:
    victim.hold()
    with victim.daemon.rpc() as rpc:
        hello = result(rpc, "hello")
        assert hello["answered_by"] == "sentinel"
        assert hello["value"]["pid"] == victim.daemon.pid
        assert hello["value"]["role"] == "eval"
        ps = result(rpc, "ps")
        assert ps["answered_by"] == "sentinel"
        states = {thread["name"]: thread["state"] for thread in ps["value"]}
        assert states["culprit"] == "running"
        (number,) = [thread["id"] for thread in ps["value"] if thread["name"] == "culprit"]
        where = result(rpc, "where", target=number)
        assert where["answered_by"] == "sentinel"
        assert "spin" in victim.place(where["value"][0])
        assert result(rpc, "info", id=number)["value"]["thread"]["name"] == "culprit"
        lag = result(rpc, "lag")
        assert lag["answered_by"] == "sentinel"
        assert lag["value"]["current_s"] >= 0.25
        (stall,) = result(rpc, "stalls")["value"]
        assert stall["ongoing"] and stall["kind"] == "slice"
        assert stall["culprits"][0]["name"] == "culprit"
        (frame,) = [one for one in stall["culprits"][0]["frames"] if one["function"] == "spin"]
        assert frame["file"] == str(victim.daemon.script)
        text = victim.daemon.script.read_text().splitlines()
        assert "deadline" in text[frame["line"] - 1] or "pass" in text[frame["line"] - 1]
        check = result(rpc, "check")
        assert check["answered_by"] == check["value"]["answered_by"] == "sentinel"
        assert check["value"]["loop"]["culprit"]["name"] == "culprit"
        assert check["value"]["loop"]["stalled_s"] >= 0.25


def test_groups_and_all_stacks_and_unknown_threads_during_a_stall(victim: Victim) -> None:
    victim.hold()
    with victim.daemon.rpc() as rpc:
        assert result(rpc, "where", target="all")["answered_by"] == "sentinel"
        groups = result(rpc, "where", target="all", group=True)
        assert groups["schema"] == "coro.stack-group/1"
        assert "no thread 9999" in rpc.error("where", target=9999)["message"]
        assert "no thread 9999" in rpc.error("info", id=9999)["message"]
        assert rpc.error("where", target="x")["code"] == -32602
        assert rpc.error("info")["code"] == -32602


def test_healthz_is_answered_during_a_stall(victim: Victim) -> None:
    victim.hold()
    status, health = get(victim.daemon.path)
    assert health["answered_by"] == "sentinel"
    assert health["loop"]["culprit"]["name"] == "culprit"
    assert status == (503 if health["status"] == "critical" else 200)


def test_a_text_connection_is_served_during_a_stall(victim: Victim) -> None:
    victim.hold()
    with victim.daemon.connect() as sock:
        greeting = read_until(sock, b"stalled> ")
        assert b"held up by 'culprit'" in greeting
        sock.sendall(b":ps\n:where all\n")
        shown = read_until(sock, b"stalled> ")
        while shown.count(b"stalled> ") < 2:
            shown += read_until(sock, b"stalled> ")
        assert b"culprit" in shown and b"spin" in shown
        for command in (b":lag", b":stalls", b":check", b":info 1"):
            sock.sendall(command + b"\n")
            assert len(read_until(sock, b"stalled> ")) > 20, command
        victim.release()
        # It comes when the stall is over: then there is a greeting, on a line of its own.
        assert read_until(sock, b">>> ").startswith(b"\ncoro backdoor of ")
        sock.sendall(b"6 * 7\n")
        assert read_until(sock, b">>> ").endswith(b"42\n>>> ")


def test_connections_from_before_the_stall_are_answered(victim: Victim) -> None:
    with victim.daemon.rpc() as rpc, victim.daemon.connect() as text:
        rpc.call("hello")
        read_until(text, b">>> ")
        victim.hold()
        assert result(rpc, "ps")["answered_by"] == "sentinel"
        read_until(text, b"stalled> ")
        text.sendall(b":ps\n")
        assert b"culprit" in read_until(text, b"stalled> ")
        victim.release()
        wait_until(lambda: result(rpc, "ps")["answered_by"] == "loop")
        assert read_until(text, b">>> ") == b"\nthe loop turns again\n>>> "
        text.sendall(b"1 + 1\n")
        assert read_until(text, b">>> ") == b"2\n>>> "


def test_tcp_connections_are_answered_during_a_stall(start_victim: Callable[..., Victim]) -> None:
    victim = start_victim('BACKDOOR["port"] = 0')
    victim.hold()
    with victim.daemon.connect_tcp() as sock:
        sock.sendall(b'{"jsonrpc": "2.0", "id": 1, "method": "check", "params": {}}\n')
        assert json.loads(read_until(sock, b"\n"))["result"]["answered_by"] == "sentinel"


def test_a_slow_typist_and_a_half_request_are_no_matter(victim: Victim) -> None:
    victim.hold()
    with victim.daemon.connect() as sock:
        request = b'{"jsonrpc": "2.0", "id": 1, "method": "ps"}\n'
        sock.sendall(request[:10])
        with victim.daemon.rpc() as rpc:
            result(rpc, "check")
        sock.sendall(request[10:])
        assert json.loads(read_until(sock, b"\n"))["result"]["answered_by"] == "sentinel"
        sock.sendall(request[:20])
        victim.release()
        sock.sendall(request[20:])
        assert json.loads(read_until(sock, b"\n"))["result"]["answered_by"] == "loop"


# -- what waits for the loop


def test_what_does_not_look_waits_and_is_answered_in_order_after_the_stall(victim: Victim) -> None:
    victim.hold()
    with victim.daemon.rpc() as rpc:
        rpc.call("hello")
        numbers = [rpc.send("eval", code=f"order.append({number}) or {number}") for number in range(5)]
        numbers.insert(0, rpc.send("eval", code="order = []"))
        stalled = rpc.receive()
        assert stalled["method"] == "stalled"
        assert stalled["params"]["culprit"] == "culprit"
        victim.stop.touch()
        answers = [rpc.receive() for _ in numbers]
        assert len({answer["id"] for answer in answers}) == 6
        assert all(answer["result"]["answered_by"] == "loop" for answer in answers)
        assert [answer["id"] for answer in answers] == sorted(numbers)


def test_requests_that_wait_are_neither_lost_nor_done_twice(victim: Victim) -> None:
    victim.daemon.eval("order = []")
    victim.hold()
    with victim.daemon.rpc() as rpc:
        for number in range(50):
            rpc.send("eval", code=f"order.append({number})")
        rpc.sock.sendall(b'{"jsonrpc": "2.0", "id": "last", "method": "eval", "params": {"code": "len(')
        victim.stop.touch()
        rpc.sock.sendall(b'order)"}}\n')
        seen = []
        while "last" not in seen:
            message = rpc.receive()
            if "id" in message:
                seen.append(message["id"])
        assert seen == [*range(1, 51), "last"]
        assert rpc.eval("order") == str(list(range(50)))


def test_a_line_typed_during_a_stall_runs_once_afterwards(victim: Victim) -> None:
    with victim.daemon.connect() as sock:
        read_until(sock, b">>> ")
        sock.sendall(b"typed = []\n")
        read_until(sock, b">>> ")
        victim.hold()
        read_until(sock, b"stalled> ")
        sock.sendall(b"typed.append(1)\nlen(typed)\n")
        with victim.daemon.rpc() as rpc:
            result(rpc, "check")
        victim.release()
        shown = b""
        while b"1\n>>> " not in shown:
            shown += read_until(sock, b">>> ")
        sock.sendall(b"typed\n")
        assert b"[1]" in read_until(sock, b">>> ")


def test_a_peer_that_goes_away_during_a_stall_is_no_matter(victim: Victim) -> None:
    victim.hold()
    for _ in range(5):
        with victim.daemon.rpc() as rpc:
            rpc.send("ps")
        with victim.daemon.connect() as sock:
            sock.sendall(b":ps\n")
    with victim.daemon.rpc() as rpc:
        assert result(rpc, "check")["answered_by"] == "sentinel"
    victim.release()
    with victim.daemon.rpc() as rpc:
        wait_until(lambda: len(rpc.call("sessions")) == 2)


def test_a_peer_that_does_not_read_gets_the_rest_after_the_stall(start_victim: Callable[..., Victim]) -> None:
    victim = start_victim("for n in range(1500): coro.spawn(coro.sleep_relative, 600, thread_name=f't{n}')")
    victim.hold()
    with victim.daemon.connect() as sock, victim.daemon.rpc() as rpc:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for number in range(3):
            sock.sendall(b'{"jsonrpc": "2.0", "id": %d, "method": "ps"}\n' % number)
        result(rpc, "check")
        assert sock.recv(100, socket.MSG_PEEK)
        result(rpc, "check")
        victim.release()
        with sock.makefile("rb") as lines:
            answers = [json.loads(lines.readline()) for _ in range(3)]
    assert [answer["id"] for answer in answers] == [0, 1, 2]
    assert all(len(answer["result"]["value"]) >= 1500 for answer in answers)


# -- kinds of stalls


def test_a_thread_that_sleeps_without_the_gil_is_the_culprit(victim: Victim) -> None:
    victim.hold("in_sleep")
    with victim.daemon.rpc() as rpc:
        assert result(rpc, "check")["answered_by"] == "sentinel"
    culprit = culprit_of(victim)
    assert culprit["name"] == "culprit"
    assert "in_sleep" in victim.place(culprit)


def test_a_thread_that_waits_for_a_lock_is_the_culprit(victim: Victim) -> None:
    victim.hold("in_lock", 1.0)
    culprit = culprit_of(victim)
    assert "in_lock" in victim.place(culprit)


def test_a_thread_in_a_system_call_is_interrupted(victim: Victim) -> None:
    victim.hold("in_read")
    with victim.daemon.rpc() as rpc:
        (number,) = [thread["id"] for thread in result(rpc, "ps")["value"] if thread["name"] == "culprit"]
        assert "in_read" in victim.place(culprit_of(victim))
        assert result(rpc, "interrupt", id=number)["answered_by"] == "sentinel"
        assert "Interrupted" in rpc.eval("ended")


def test_a_stall_in_a_handler_names_the_loop_and_the_function(start_victim: Callable[..., Victim]) -> None:
    victim = start_victim("""
reader, writer = os.pipe()
os.set_blocking(reader, False)
def handler(*args):
    os.read(reader, 1)
    run(spin)
def set_it():
    coro.descriptors.descriptors.set_handler(reader, 1, handler)
import coro.descriptors
def wake():
    os.write(writer, b"x")
coro.spawn(set_it)
""")
    victim.hold("wake")
    with victim.daemon.rpc() as rpc:
        health = result(rpc, "check")["value"]
        assert health["answered_by"] == "sentinel"
        assert health["loop"]["culprit"]["id"] is None
        assert health["loop"]["culprit"]["name"] == "the loop"
        assert "spin" in victim.place(health["loop"]["culprit"])


def test_a_long_collection_is_told_apart(start_victim: Callable[..., Victim]) -> None:
    victim = start_victim("""
import coro.collector
def collect():
    gc.disable()
    heap = [[] for _ in range(300_000)]
    for one in heap:
        one.append(heap)
    coro.sleep_relative(0.01)
    deadline = time.monotonic() + 0.6
    while time.monotonic() < deadline:
        gc.collect()
""")
    daemon = victim.daemon
    with daemon.rpc() as rpc:
        victim.begin("collect")
        wait_until(lambda: "returned" in rpc.eval("ended"), 30)
        wait_until(lambda: "was held up" in daemon.log())
        record = rpc.call("stalls")[0]
        assert record["duration_s"] >= 0.25
        assert 0 < record["collector_s"] <= record["duration_s"]
        assert record["collector_s"] >= 0.4
    assert "garbage collector took" in daemon.log()
    assert victim.told() <= 2


def test_many_short_slices_that_add_up_name_the_three_that_ran_longest(start_daemon: Callable[..., Any]) -> None:
    daemon = start_daemon(
        CULPRIT
        + """
def greedy(seconds):
    global until_when
    while time.monotonic() < until_when:
        before = time.monotonic()
        while time.monotonic() - before < seconds: pass
        coro.yield_slice()
until_when = 0
def rush():
    global until_when
    until_when = time.monotonic() + 1.5
    for number in range(20):
        coro.spawn(greedy, 0.018 + 0.001 * number, thread_name=f"greedy-{number}")
"""
    )
    with daemon.rpc() as rpc:
        rpc.eval("rush()")
        wait_until(lambda: "(queue)" in daemon.log())
        queues = [stall for stall in rpc.call("stalls") if stall["kind"] == "queue"]
    longest = max(queues, key=lambda stall: stall["duration_s"])
    assert longest["duration_s"] >= 0.25
    assert len(longest["culprits"]) == 3
    assert all(culprit["name"].startswith("greedy-") for culprit in longest["culprits"]), longest


def test_a_call_that_keeps_the_gil_is_told_of_afterwards(victim: Victim) -> None:
    with victim.daemon.rpc() as rpc, victim.daemon.rpc() as other:
        rpc.call("hello")
        other.call("hello")
        victim.begin("hold_gil", 1.0)
        wait_until(victim.began.exists)
        before = time.monotonic()
        # Nobody can answer: what is asked meanwhile is answered afterwards, by whoever comes first.
        assert other.wait(other.send("check"))["result"]["value"]["pid"] == victim.daemon.pid
        assert time.monotonic() - before > 0.7
        wait_until(lambda: "was held up" in victim.daemon.log())
        stall = rpc.call("stalls")[0]
        assert stall["duration_s"] >= 0.9
        assert not stall["ongoing"]
        assert stall["culprits"][0]["name"] == "culprit"
        assert rpc.eval("1 + 1") == "2"


def test_a_stopped_process_has_no_stall_and_its_lag_is_not_poisoned(victim: Victim) -> None:
    with victim.daemon.rpc() as rpc:
        # Samples of lag begin two seconds after the start.
        wait_until(lambda: rpc.call("lag")["windows"][0]["turns"] > 0)
        for _ in range(2):
            victim.daemon.signal(signal.SIGSTOP)
            time.sleep(0.7)
            victim.daemon.signal(signal.SIGCONT)
            assert rpc.eval("1 + 1") == "2"
            rpc.eval("coro.sleep_relative(0.3)")
        assert rpc.call("stalls") == []
        health = rpc.call("check")
        assert health["loop"]["stalls"] == 0
        window = rpc.call("lag")["windows"][0]
        assert window["max_s"] is None or window["max_s"] < 0.5, window
        assert health["status"] == "ok", health
    assert victim.told() == 0
    assert "was held up" not in victim.daemon.log()


def test_a_process_that_is_stopped_during_a_stall_goes_on(victim: Victim) -> None:
    victim.hold()
    victim.daemon.signal(signal.SIGSTOP)
    time.sleep(0.7)
    victim.daemon.signal(signal.SIGCONT)
    with victim.daemon.rpc() as rpc:
        assert result(rpc, "check")["answered_by"] == "sentinel"
    victim.release()
    assert victim.daemon.eval("1 + 1") == "2"


def test_an_idle_loop_is_no_stall(start_daemon: Callable[..., Any]) -> None:
    daemon = start_daemon("")
    with daemon.rpc() as rpc:
        rpc.call("hello")
        time.sleep(0.8)
        assert rpc.call("stalls") == []
        assert rpc.call("check")["status"] == "ok"


# -- records and reports


def test_a_stall_is_told_once_on_stderr_and_logged_by_the_loop_afterwards(victim: Victim) -> None:
    victim.hold()
    with victim.daemon.rpc() as rpc:
        wait_until(lambda: result(rpc, "lag")["value"]["current_s"] > 0.8)
        victim.release()
        wait_until(lambda: "was held up" in victim.daemon.log())
        (stall,) = rpc.call("stalls")
    assert not stall["ongoing"]
    assert stall["duration_s"] >= 0.8
    assert not stall["interrupted"]
    assert "spin" in victim.place(stall["culprits"][0])
    assert victim.told() == 1
    told = [line for line in victim.daemon.errors().splitlines() if "has not turned" in line]
    assert "thread 1 'culprit' in " in told[0]
    logged = [line for line in victim.daemon.log().splitlines() if "was held up" in line]
    assert len(logged) == 1
    assert "'culprit'" in logged[0] and "coro.backdoor WARNING" in logged[0]


def test_a_daemon_whose_stderr_is_full_is_watched_all_the_same(start_victim: Callable[..., Victim]) -> None:
    victim = start_victim()
    victim.daemon.eval("os.dup2(os.open('/dev/full', os.O_WRONLY), 2)")
    victim.begin("spin")
    wait_until(victim.began.exists)
    with victim.daemon.rpc() as rpc:
        wait_until(lambda: result(rpc, "check")["answered_by"] == "sentinel")
        victim.stop.touch()
        wait_until(lambda: "was held up" in victim.daemon.log())
        assert rpc.eval("1 + 1") == "2"


def test_a_daemon_whose_stderr_nobody_reads_is_watched_all_the_same(start_victim: Callable[..., Victim]) -> None:
    victim = start_victim("""
def fill_stderr():
    global pipe
    pipe = os.pipe()
    os.set_blocking(pipe[1], False)
    try:
        while True:
            os.write(pipe[1], b"x")
    except BlockingIOError:
        os.set_blocking(pipe[1], True)
    os.dup2(pipe[1], 2)
""")
    with victim.daemon.rpc() as rpc:
        # The loop itself would wait for ever to tell of its latency.
        rpc.call("set", setting="latency-warning", value=0)
        rpc.eval("fill_stderr()")
        victim.begin("spin")
        wait_until(victim.began.exists)
        assert result(rpc, "check")["answered_by"] == "sentinel"
        victim.stop.touch()
        assert rpc.eval("1 + 1") == "2"
    # It could not print its last words.
    victim.daemon.process.kill()


def test_the_stall_threshold_is_live(victim: Victim) -> None:
    with victim.daemon.rpc() as rpc:
        rpc.call("set", setting="stall-threshold", value=5)
        victim.begin("time.sleep", 0.5)
        wait_until(lambda: "returned" in rpc.eval("ended"))
        assert rpc.call("stalls") == []
        rpc.call("set", setting="stall-threshold", value=0.05)
        victim.begin("time.sleep", 0.2)
        wait_until(lambda: len(rpc.call("stalls")) == 1)


# -- interrupting from the sentinel


def test_the_spinning_thread_is_interrupted_by_rpc(victim: Victim) -> None:
    victim.hold()
    with victim.daemon.rpc() as rpc:
        ps = result(rpc, "ps")["value"]
        numbers = {thread["name"]: thread["id"] for thread in ps}
        error = rpc.error("interrupt", id=numbers["ticker"])
        assert error["code"] == -32000
        assert f"thread {numbers['ticker']} does not run" in error["message"]
        assert "no thread 9999" in rpc.error("interrupt", id=9999)["message"]
        assert "no exception" in rpc.error("interrupt", id=numbers["culprit"], exception="Nonsense")["message"]
        before = time.monotonic()
        done = result(rpc, "interrupt", id=numbers["culprit"], exception="ValueError")
        assert done["answered_by"] == "sentinel"
        assert f"thread {numbers['culprit']}" in done["value"]["text"]
        assert "ValueError" in rpc.eval("ended")
        assert time.monotonic() - before < 1.0
        assert rpc.eval("worker.dead") == "False"
        wait_until(lambda: not rpc.call("stalls")[0]["ongoing"])
        assert rpc.call("stalls")[0]["interrupted"]


def test_the_spinning_thread_is_interrupted_from_a_text_session(victim: Victim) -> None:
    number = victim.daemon.eval("worker.id")
    victim.hold()
    with victim.daemon.connect() as sock:
        read_until(sock, b"stalled> ")
        sock.sendall(b":interrupt %s\n" % number.encode())
        shown = read_until(sock, b">>> ")
        assert b"interrupting thread" in shown
    assert "Interrupted" in victim.daemon.eval("ended")


def test_an_observer_may_look_but_not_interrupt_during_a_stall(start_victim: Callable[..., Victim]) -> None:
    victim = start_victim("""
def degrade():
    backdoor.host.roles._by_uid[os.geteuid()] = "observe"
""")
    number = int(victim.daemon.eval("worker.id"))
    with victim.daemon.rpc() as former:
        former.eval("degrade()")
        victim.begin("spin")
        wait_until(lambda: victim.told() == 1)
        with victim.daemon.rpc() as rpc, victim.daemon.connect() as text:
            assert result(rpc, "hello")["value"]["role"] == "observe"
            assert result(rpc, "ps")["answered_by"] == "sentinel"
            assert rpc.error("interrupt", id=number)["code"] == -32001
            read_until(text, b"stalled> ")
            text.sendall(b":interrupt %d\n" % number)
            assert b"needs the role operate" in read_until(text, b"stalled> ")
        assert result(former, "check")["answered_by"] == "sentinel"
        victim.stop.touch()
        wait_until(lambda: "returned" in former.eval("ended"))


def test_who_needs_a_token_gets_nothing_without_it_during_a_stall(start_victim: Callable[..., Victim]) -> None:
    victim = start_victim("""
fd = os.open(sys.argv[1] + ".token", os.O_CREAT | os.O_WRONLY, 0o600)
os.write(fd, b"secret" * 6)
BACKDOOR.update(port=0, token_file=sys.argv[1] + ".token")
def forget_uids():
    # As if nobody's uid were known, and only the token counted.
    roles = type(backdoor.host.roles)
    roles.role_of = lambda self, peer, has_token: "observe" if has_token else None
    roles.needs_token = lambda self, peer: True
""")
    with victim.daemon.rpc() as former:
        former.eval("forget_uids()")
        victim.begin("spin")
        wait_until(lambda: victim.told() == 1)
        with victim.daemon.rpc() as rpc, victim.daemon.connect() as text:
            assert rpc.error("ps")["code"] == -32001
            assert rpc.error("check")["code"] == -32001
            assert "token is wrong" in rpc.error("hello", token="secreT" * 6)["message"]
            assert rpc.error("ps")["code"] == -32001
            assert result(rpc, "hello", token="secret" * 6)["value"]["role"] == "observe"
            assert result(rpc, "ps")["answered_by"] == "sentinel"
            text.sendall(b":ps\n")
            result(rpc, "check")
            victim.stop.touch()
            shown = read_until(text, b"refused: wrong token\n")
            assert b"culprit" not in shown


# -- checks


def test_a_check_whose_application_check_is_slow_is_answered_in_time_once(start_daemon: Callable[..., Any]) -> None:
    daemon = start_daemon(
        """
        @coro.backdoor.check
        def slow():
            coro.sleep_relative(30)
        """
    )
    with daemon.rpc() as rpc:
        for _ in range(3):
            before = time.monotonic()
            health = result(rpc, "check")["value"]
            assert time.monotonic() - before < 0.5
            assert health["status"] == "critical"
        rpc.call("hello")
        assert rpc.notifications == []


def test_a_check_whose_application_check_blocks_the_loop_is_answered_by_the_sentinel(
    start_daemon: Callable[..., Any],
) -> None:
    daemon = start_daemon(
        """
        @coro.backdoor.check
        def blocks():
            time.sleep(1.5)
        """
    )
    with daemon.rpc() as rpc:
        before = time.monotonic()
        answer = result(rpc, "check")
        assert time.monotonic() - before < 0.8
        assert answer["answered_by"] == answer["value"]["answered_by"] == "sentinel"
        assert "blocks" in [check["name"] for check in answer["value"]["checks"]]
        assert rpc.eval("1 + 1") == "2"
    assert get(daemon.path)[1]["answered_by"] == "sentinel"


def test_a_check_in_a_loop_that_turns_too_slowly_is_answered_by_the_sentinel(
    start_daemon: Callable[..., Any],
) -> None:
    daemon = start_daemon(
        CULPRIT
        + """
def greedy():
    global until_when
    while time.monotonic() < until_when:
        time.sleep(0.04)
        coro.yield_slice()
until_when = 0
def rush():
    global until_when
    until_when = time.monotonic() + 1.5
    for number in range(20):
        coro.spawn(greedy, thread_name=f"greedy-{number}")
"""
    )
    with daemon.rpc() as rpc, daemon.rpc() as second:
        second.call("hello")
        rpc.eval("rush()")
        # Accepted and read by the loop, then it takes long to be carried out.
        answer = result(second, "check")
        assert answer["value"]["pid"] == daemon.pid
        wait_until(lambda: float(rpc.eval("time.monotonic() - until_when")) > 0)
        second.call("hello")
        assert second.notifications == []


# -- size


@pytest.mark.slow
def test_ten_thousand_threads_by_the_sentinel(start_victim: Callable[..., Victim]) -> None:
    victim = start_victim("for n in range(10000): coro.spawn(coro.sleep_relative, 600, thread_name=f't{n}')")
    with victim.daemon.rpc(60) as rpc:
        wait_until(lambda: rpc.eval("len(coro.all_threads) > 10000") == "True")
        for what in ("spin", "in_sleep"):
            victim.hold(what)
            before = time.monotonic()
            answer = result(rpc, "ps")
            assert time.monotonic() - before < 3.0
            assert answer["answered_by"] == "sentinel"
            assert len(answer["value"]) > 10_000
            before = time.monotonic()
            assert result(rpc, "check")["answered_by"] == "sentinel"
            assert time.monotonic() - before < 1.0
            victim.stop.touch()
            wait_until(lambda: result(rpc, "check")["answered_by"] == "loop")


# -- together


@pytest.mark.slow
@pytest.mark.timeout(90)
def test_every_request_is_answered_exactly_once_through_many_stalls(start_daemon: Callable[..., Any]) -> None:
    daemon = start_daemon(
        CULPRIT
        + """
for n in range(100): coro.spawn(coro.sleep_relative, 600, thread_name=f't{n}')
def stalls():
    while True:
        coro.sleep_relative(random.uniform(0.0, 0.1))
        seconds = random.uniform(0.2, 0.6)
        if random.random() < 0.5:
            time.sleep(seconds)
        else:
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline: pass
coro.spawn(stalls, thread_name="culprit")
"""
    )
    deadline = time.monotonic() + 6
    faults: list[str] = []
    counts = {"loop": 0, "sentinel": 0}

    looks: list[tuple[str, dict[str, Any]]] = [
        ("ps", {}), ("where", {"target": "all"}), ("lag", {}), ("stalls", {}), ("check", {}), ("hello", {}),
        ("where", {"target": "all", "group": True}),
    ]  # fmt: skip
    for_the_loop: list[tuple[str, dict[str, Any]]] = [("eval", {}), ("eval", {}), ("sessions", {})]

    def ask_some(rpc: Any, dice: random.Random) -> None:
        """Send up to four requests at once, and take their answers."""
        expected = {}
        choices = looks + dice.choice([[], for_the_loop])
        for _ in range(dice.randint(1, 4)):
            method, params = dice.choice(choices)
            token = dice.randrange(10**9)
            number = rpc.send(method, **({"code": f"{token}"} if method == "eval" else params))
            expected[number] = method, token
        while expected:
            message = rpc.receive()
            if "method" in message:
                # A notification: it waits, or it is being worked on.
                continue
            # Raises KeyError for what is answered twice.
            method, token = expected.pop(message["id"])
            outcome = message["result"]
            counts[outcome["answered_by"]] += 1
            assert method != "eval" or outcome["value"]["value"] == str(token), message

    def ask(seed: int) -> None:
        dice = random.Random(seed)
        try:
            while time.monotonic() < deadline:
                with daemon.rpc(30) as rpc:
                    for _ in range(dice.randint(1, 6)):
                        ask_some(rpc, dice)
                        # Or the client would go in step with the stalls: an answer, then the next one.
                        time.sleep(dice.uniform(0, 0.3))
        except Exception as error:
            faults.append(repr(error))

    clients = [threading.Thread(target=ask, args=(seed,)) for seed in range(3)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert faults == []
    assert "Traceback" not in daemon.errors(), daemon.errors()
    assert "Traceback" not in daemon.log(), daemon.log()
    assert counts["loop"] > 10 and counts["sentinel"] > 10, daemon.errors()


# -- the end of a stall


def test_a_prompt_that_a_stall_has_overwritten_is_shown_again(victim: Victim) -> None:
    with victim.daemon.connect() as idle, victim.daemon.connect() as block:
        read_until(idle, b">>> ")
        read_until(block, b">>> ")
        block.sendall(b"for n in range(2):\n")
        read_until(block, b"... ")
        victim.hold()
        read_until(idle, b"stalled> ")
        read_until(block, b"stalled> ")
        victim.release()
        assert read_until(idle, b">>> ") == b"\nthe loop turns again\n>>> "
        assert read_until(block, b"... ") == b"\nthe loop turns again\n... "
        block.sendall(b"    n\n\n")
        assert read_until(block, b">>> ").endswith(b"0\n1\n>>> ")


def bytes_on_their_way(sock: socket.socket) -> int:
    """How much of what was sent over a Unix socket the peer has not read; SIOCOUTQ has the number of TIOCOUTQ."""
    left = fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4))
    return int.from_bytes(left, sys.byteorder)


def test_a_prompt_is_not_shown_twice_after_what_was_typed_in_the_stall(victim: Victim) -> None:
    with victim.daemon.connect() as sock:
        read_until(sock, b">>> ")
        victim.hold()
        read_until(sock, b"stalled> ")
        sock.sendall(b"6 * 7\n")
        wait_until(lambda: bytes_on_their_way(sock) == 0)
        with victim.daemon.rpc() as rpc:
            # Whoever is answered now is answered in a later round.
            result(rpc, "check")
        victim.release()
        assert read_until(sock, b">>> ") == b"42\n>>> "
        victim.daemon.eval("coro.sleep_relative(0.3)")
        sock.sendall(b"'end'\n")
        assert read_until(sock, b">>> ") == b"'end'\n>>> "


def test_a_stall_that_follows_another_at_once_is_told_of_by_itself(victim: Victim) -> None:
    # One turn of the loop in between: both are over the threshold, and no look falls in between.
    with victim.daemon.rpc() as rpc:
        rpc.eval("""
def one(): time.sleep(0.6)
def two(): time.sleep(0.6)
def both():
    coro.spawn(one, thread_name="one")
    coro.sleep_relative(0.01)
    two()
""")
        victim.begin("both")
        wait_until(lambda: "returned" in str(rpc.eval("ended")))
        wait_until(lambda: victim.daemon.log().count("was held up") >= 2)
        records = [record for record in rpc.call("stalls") if record["kind"] == "slice"]
        assert len(records) == 2
        assert [record["culprits"][0]["name"] for record in records] == ["culprit", "one"]
        assert all(0.5 < record["duration_s"] < 1.0 and not record["ongoing"] for record in records)


def test_a_backdoor_that_closes_right_after_a_stall_leaves_none_that_goes_on(
    start_victim: Callable[..., Victim],
) -> None:
    victim = start_victim("""
def stall_and_close():
    global again
    time.sleep(0.6)
    # Before the sentinel has looked again.
    backdoor.close()
    again = coro.backdoor.start(unix_path=sys.argv[1] + "2")
""")
    victim.begin("stall_and_close")
    again = victim.daemon.path + "2"
    wait_until(Path(again).exists)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(again)
        sock.sendall(b'{"jsonrpc": "2.0", "id": 1, "method": "stalls"}\n')
        stalls = json.loads(read_until(sock, b"\n"))["result"]["value"]
        assert stalls and not any(stall["ongoing"] for stall in stalls)


# -- stalls that nobody saw


def test_a_short_stall_is_told_of_though_nobody_is_connected(start_daemon: Callable[..., Any]) -> None:
    # Without a connection there are four looks a second: most of such stalls fall in between.
    daemon = start_daemon("""
def stall():
    time.sleep(0.27)
def stalls():
    coro.sleep_relative(1)
    for number in range(6):
        coro.spawn(stall, thread_name=f"short-{number}").join()
        coro.sleep_relative(0.29)
    open(sys.argv[2] + ".done", "w").close()
coro.spawn(stalls, thread_name="stalls")
""")
    wait_until(Path(f"{daemon.log_path}.done").exists, 30)
    with daemon.rpc() as rpc:
        wait_until(lambda: len(rpc.call("stalls")) == 6)
        records = rpc.call("stalls")
    assert all(record["kind"] == "slice" and 0.25 <= record["duration_s"] < 0.6 for record in records), records
    assert daemon.log().count("was held up") == 6


def test_a_thread_that_lives_on_is_named_though_its_stall_was_not_seen(start_daemon: Callable[..., Any]) -> None:
    daemon = start_daemon("""
def stalls():
    coro.sleep_relative(1)
    for number in range(6):
        time.sleep(0.27)
        coro.sleep_relative(0.29)
    open(sys.argv[2] + ".done", "w").close()
    coro.sleep_relative(600)
coro.spawn(stalls, thread_name="stalls")
""")
    wait_until(Path(f"{daemon.log_path}.done").exists, 30)
    with daemon.rpc() as rpc:
        wait_until(lambda: len(rpc.call("stalls")) == 6)
        names = [culprit["name"] for record in rpc.call("stalls") for culprit in record["culprits"]]
    assert set(names) == {"stalls"} and len(names) >= 2


# -- faults of its own


def test_a_look_that_fails_is_left_to_the_loop_and_nobody_else_suffers(start_victim: Callable[..., Victim]) -> None:
    victim = start_victim("""
from coro.inspect import outside
def fail(*args):
    raise RuntimeError("dictionary changed size during iteration")
outside.lag = fail
""")
    victim.hold()
    with victim.daemon.rpc() as first, victim.daemon.rpc() as second:
        number = first.send("lag")
        assert result(second, "ps")["answered_by"] == "sentinel"
        assert result(second, "check")["answered_by"] == "sentinel"
        victim.release()
        answer = first.wait(number)
        assert answer["result"]["answered_by"] == "loop"
    assert victim.daemon.errors().count("the sentinel failed") == 1


def test_a_late_check_that_the_sentinel_cannot_judge_is_answered_by_the_loop(
    start_victim: Callable[..., Victim],
) -> None:
    victim = start_victim("""
from coro.inspect import outside
def fail(*args, **named):
    raise RuntimeError("dictionary changed size during iteration")
outside.facts_from_outside = fail
@coro.backdoor.check
def slow():
    time.sleep(0.6)
""")
    with victim.daemon.rpc() as rpc:
        assert result(rpc, "check")["answered_by"] == "loop"
