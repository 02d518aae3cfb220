"""The life of a CoroWorker: graceful ends, reloads, stuck and killed workers; each on a gunicorn of its own."""

import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.gunicorn.daemon import Gunicorn, exchange, wait_until

Start = Callable[..., Gunicorn]

# Each starts a gunicorn of its own.
pytestmark = pytest.mark.slow


class Asking(threading.Thread):
    """Ask for one thing, in an OS thread; then it has `answer` or `error`."""

    def __init__(self, server: Gunicorn, path: str) -> None:
        super().__init__()
        self.server = server
        self.path = path
        self.answer: tuple[int, bytes] | None = None
        self.connection: str | None = None
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        client = self.server.client()
        try:
            client.request("GET", self.path)
            answer = client.getresponse()
            self.connection = answer.getheader("Connection")
            self.answer = answer.status, answer.read()
        except Exception as error:
            self.error = error
        finally:
            client.close()


class Held:
    """A request that the application is at until release()."""

    def __init__(self, server: Gunicorn, folder: Path) -> None:
        begun, self.end = folder / "begun", folder / "end"
        self.asking = Asking(server, f"/until?begun={begun}&end={self.end}")
        wait_until(begun.exists, server.log)

    def release(self) -> Asking:
        """Let the application go on; returns how the client fared."""
        self.end.touch()
        self.asking.join()
        return self.asking

    def cut_off(self) -> Asking:
        """Wait for the end without letting it go on."""
        self.asking.join()
        return self.asking


def has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def port_is_closed(server: Gunicorn) -> bool:
    try:
        server.connect().close()
    except OSError:
        return True
    return False


# -- the end


def test_term_lets_requests_finish_and_ends_with_status_0(start: Start, tmp_path: Path) -> None:
    server = start()
    held = Held(server, tmp_path)
    server.signal(signal.SIGTERM)
    # The worker has heard: nobody is accepted any more.
    wait_until(lambda: port_is_closed(server), server.log)

    asking = held.release()
    assert (asking.answer, asking.connection) == ((200, b"at last"), "close")
    assert server.wait() == 0
    assert "Traceback" not in server.log() + server.printed()


def test_idle_connections_do_not_delay_the_end(start: Start) -> None:
    server = start("--keep-alive", "60", "--graceful-timeout", "60")
    client = server.client()
    client.request("GET", "/")
    client.getresponse().read()
    with server.connect() as silent:
        assert server.ask("/")[0] == 200
        server.signal(signal.SIGTERM)
        started = time.monotonic()
        assert server.wait() == 0
        assert time.monotonic() - started < 20
        # In silence: no error page for who has asked nothing.
        assert silent.recv(100) == b""
        assert client.sock.recv(100) == b""
    client.close()
    assert "Traceback" not in server.log() + server.printed()


def test_request_on_an_idle_connection_while_the_worker_ends_is_answered(start: Start, tmp_path: Path) -> None:
    server = start("--keep-alive", "60")
    client = server.client()
    client.request("GET", "/")
    client.getresponse().read()
    held = Held(server, tmp_path)
    server.signal(signal.SIGTERM)
    wait_until(lambda: port_is_closed(server), server.log)

    client.request("GET", "/")
    answer = client.getresponse()
    assert (answer.status, answer.getheader("Connection")) == (200, "close")
    client.close()
    held.release()
    assert server.wait() == 0


def test_request_that_goes_on_for_ever_is_cut_off_at_the_graceful_timeout(start: Start, tmp_path: Path) -> None:
    server = start("--graceful-timeout", "4")
    held = Held(server, tmp_path)
    server.signal(signal.SIGTERM)

    assert held.cut_off().error is not None
    assert server.wait() == 0
    assert "Request cut off by the end of the worker: GET /until" in server.log()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGQUIT])
def test_int_and_quit_wait_for_nobody(signum: int, start: Start, tmp_path: Path) -> None:
    server = start("--graceful-timeout", "60")
    held = Held(server, tmp_path)
    started = time.monotonic()
    server.signal(signum)

    assert held.cut_off().error is not None
    assert server.wait() == 0
    assert time.monotonic() - started < 20
    assert "Traceback" not in server.log() + server.printed()


def test_worker_whose_parent_was_killed_ends(start: Start) -> None:
    server = start()
    [worker] = server.workers()
    server.ask("/")
    server.process.kill()
    server.process.wait()

    wait_until(lambda: has_ended(worker), server.log)
    assert "Parent changed" in server.log()


# -- reloads and replacements


def test_reload_loses_no_request(start: Start, tmp_path: Path) -> None:
    server = start("--workers", "2")
    # One that is told to end while it starts does not hear it.
    wait_until(lambda: server.log().count("Backdoor at") == 2, server.log)
    before = server.workers()
    held = Held(server, tmp_path)
    results: list[Any] = []
    stop = threading.Event()

    def ask_again_and_again() -> None:
        client = server.client()
        while not stop.is_set():
            client.request("GET", "/pid")
            answer = client.getresponse()
            results.append((answer.status, int(answer.read())))
            if answer.getheader("Connection") == "close":
                client.close()
                client = server.client()
        client.close()

    clients = [threading.Thread(target=ask_again_and_again) for _ in range(4)]
    for client in clients:
        client.start()
    server.signal(signal.SIGHUP)
    try:
        # Until new workers answer everybody, also who was connected to the old ones.
        wait_until(lambda: results and not {pid for _, pid in results[-50:]} & set(before), server.log)
        assert held.release().answer == (200, b"at last")
    finally:
        stop.set()
        for client in clients:
            client.join()

    assert {status for status, _ in results} == {200}
    wait_until(lambda: not set(server.workers()) & set(before), server.log)
    assert "Traceback" not in server.log() + server.printed()


def test_worker_is_replaced_after_so_many_requests(start: Start) -> None:
    server = start("--max-requests", "5")
    client = server.client()
    headers = []
    pids = set()
    for _ in range(5):
        client.request("GET", "/pid")
        answer = client.getresponse()
        headers.append(answer.getheader("Connection"))
        pids.add(answer.read())
    client.close()

    assert headers == ["keep-alive"] * 4 + ["close"]
    assert len(pids) == 1
    wait_until(lambda: server.ask("/pid")[1] not in pids, server.log)


def test_worker_that_does_not_yield_is_killed_and_says_where_it_is(start: Start) -> None:
    server = start("--timeout", "2", "--graceful-timeout", "1")
    stuck = Asking(server, "/spin")

    server.wait_for_log("WORKER TIMEOUT")
    server.wait_for_log("has not yielded for 2 s")
    stuck.join()
    assert stuck.error is not None or stuck.answer == (500, stuck.answer[1])
    assert "in spin" in server.log()
    wait_until(lambda: server.log().count("Booting worker") == 2, server.log)
    assert server.ask("/")[0] == 200


def test_worker_that_only_waits_is_not_killed(start: Start) -> None:
    server = start("--timeout", "1")

    assert server.ask("/sleep?4")[0] == 200
    assert server.log().count("Booting worker") == 1


def test_killed_worker_hangs_nobody_and_is_replaced(start: Start, tmp_path: Path) -> None:
    server = start()
    held = Held(server, tmp_path)
    [worker] = server.workers()
    os.kill(worker, signal.SIGKILL)

    assert held.cut_off().error is not None
    wait_until(lambda: server.log().count("Booting worker") == 2, server.log)
    assert server.ask("/")[0] == 200


def test_usr1_reopens_the_logs(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "access"
    server = start("--access-logfile", str(log))
    server.ask("/?before")
    wait_until(lambda: "before" in log.read_text())
    log.rename(tmp_path / "access.1")
    server.signal(signal.SIGUSR1)
    wait_until(log.exists)
    wait_until(lambda: server.ask("/?after") and "after" in log.read_text())


# -- settings


def test_no_more_connections_are_handled_than_the_setting_says(start: Start) -> None:
    server = start("--worker-connections", "2", "--keep-alive", "60")
    first, second = (server.client() for _ in range(2))
    for client in (first, second):
        client.request("GET", "/")
        assert client.getresponse().read()
    with server.connect() as third:
        third.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        third.settimeout(0.5)
        with pytest.raises(TimeoutError):
            third.recv(1)
        first.close()
        third.settimeout(30)
        assert exchange(third, b"").startswith(b"HTTP/1.1 200")
    second.close()


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHo", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_client_that_sends_no_request_in_time_is_left(sent: bytes, start: Start) -> None:
    server = start("--keep-alive", "1")
    with server.connect() as connection:
        received = exchange(connection, sent)

    assert received.endswith(b"Hello, world!\n") if sent.endswith(b"\r\n\r\n") else received == b""
    assert "Traceback" not in server.log()


def test_without_keep_alive_each_request_has_a_connection_of_its_own(start: Start) -> None:
    server = start("--keep-alive", "0")
    with server.connect() as connection:
        received = exchange(connection, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 2)

    assert received.count(b"HTTP/1.1 200 OK") == 1
    assert b"Connection: close" in received


def test_unix_socket(start: Start, tmp_path: Path) -> None:
    server = start(bind=f"unix:{tmp_path}/http.sock")

    assert server.ask("/") == (200, b"Hello, world!\n")
    assert server.ask("/show?name=REMOTE_ADDR&name=SERVER_NAME") == (200, b"\nlocalhost")


def test_proxy_protocol_tells_the_client_for_the_whole_connection(start: Start) -> None:
    server = start("--proxy-protocol", "v1")
    request = b"GET /show?name=REMOTE_ADDR HTTP/1.1\r\nHost: x\r\n%b\r\n"
    with server.connect() as connection:
        sent = b"PROXY TCP4 192.0.2.7 192.0.2.1 1000 80\r\n" + request % b"" + request % b"Connection: close\r\n"
        received = exchange(connection, sent)

    assert received.count(b"\r\n\r\n192.0.2.7") == 2


def uwsgi_request(**variables: str) -> bytes:
    """A request as nginx's uwsgi_pass sends it."""
    pairs = b"".join(struct.pack("<H", len(text)) + text.encode() for pair in variables.items() for text in pair)
    return struct.pack("<BHB", 0, len(pairs), 0) + pairs


def test_uwsgi_protocol_is_spoken_by_gunicorns_own_loop(start: Start) -> None:
    server = start("--protocol", "uwsgi", "--keep-alive", "1")
    request = uwsgi_request(
        REQUEST_METHOD="GET",
        PATH_INFO="/sleep",
        QUERY_STRING="0.1",
        REQUEST_URI="/sleep",
        SERVER_PROTOCOL="HTTP/1.1",
    )
    with server.connect() as connection, server.connect() as silent:
        assert exchange(connection, request).startswith(b"HTTP/1.1 200 OK")
        # Left in silence, as on the other path.
        assert exchange(silent, b"") == b""
    assert "Traceback" not in server.log()


def test_application_loaded_before_the_fork_is_served_too(start: Start) -> None:
    server = start("--preload", "--workers", "2")

    assert server.ask("/thread") == (200, b"coroutine")
    assert server.ask("/sleep?0.1")[0] == 200


def test_hooks_are_called(start: Start, tmp_path: Path) -> None:
    (tmp_path / "conf.py").write_text(
        "def pre_request(worker, req): worker.log.info('pre %s', req.path)\n"
        "def post_request(worker, req, environ, resp): worker.log.info('post %s', resp.status)\n"
        "def worker_exit(server, worker): worker.log.info('exit hook')\n"
    )
    server = start("--config", str(tmp_path / "conf.py"))
    server.ask("/")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0

    assert [text for text in ("pre /", "post 200 OK", "exit hook") if text not in server.log()] == []


# -- the backdoor


def coro_command(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "coro.console", *arguments], capture_output=True, text=True, check=False, timeout=30
    )
    return done.stdout + done.stderr


def test_every_worker_has_a_backdoor(start: Start, tmp_path: Path) -> None:
    server = start("--workers", "2")
    wait_until(lambda: server.log().count("Backdoor at") == 2, server.log)
    held = Held(server, tmp_path)

    listed = coro_command("ls")
    assert [pid for pid in server.workers() if str(pid) not in listed] == []
    threads = [coro_command("-t", str(pid), "ps") for pid in server.workers()]
    assert all("heartbeat" in text for text in threads)
    assert sum("gunicorn 127.0.0.1:" in text for text in threads) == 1
    held.release()


@pytest.mark.parametrize("switch", ["environment", "option"])
def test_backdoor_can_be_switched_off(switch: str, start: Start) -> None:
    if switch == "environment":
        server = start(environment={"CORO_BACKDOOR": "off"})
    else:
        server = start("--env", "CORO_BACKDOOR=off")

    assert server.ask("/")[0] == 200
    assert "Backdoor" not in server.log()


def test_emulation_can_be_switched_off(start: Start) -> None:
    server = start(environment={"CORO_EMULATION": "off"})

    assert server.ask("/thread") == (200, b"OS thread")
