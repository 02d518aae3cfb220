"""CoroWorker serves: requests, responses, keep-alive, errors, on one gunicorn for all of these tests."""

import http.client
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.gunicorn.daemon import Gunicorn, exchange, wait_until


def access_log(server: Gunicorn) -> list[str]:
    return (server.folder / "access.log").read_text().splitlines()


def test_hello(server: Gunicorn) -> None:
    client = server.client()
    client.request("GET", "/")
    answer = client.getresponse()

    assert (answer.status, answer.read()) == (200, b"Hello, world!\n")
    assert answer.getheader("Connection") == "keep-alive"
    assert answer.getheader("Server") == "gunicorn"
    date = time.strptime(answer.getheader("Date", ""), "%a, %d %b %Y %H:%M:%S GMT")
    assert abs(time.time() - time.mktime(date) + time.timezone) < 3600
    client.close()


def test_connection_is_kept_for_many_requests(server: Gunicorn) -> None:
    client = server.client()
    for number in range(20):
        client.request("POST", "/echo", body=f"number {number}")
        assert client.getresponse().read() == f"number {number}".encode()
    client.close()


def test_pipelined_requests_are_answered_in_order(server: Gunicorn) -> None:
    with server.connect() as connection:
        one = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n%b"
        last = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        received = exchange(connection, b"".join(one % b"%d" % n for n in range(5)) + last)

    bodies = [part.partition(b"\r\n\r\n")[2] for part in received.split(b"HTTP/1.1 200 OK\r\n")[1:]]
    assert bodies == [b"0", b"1", b"2", b"3", b"4", b"Hello, world!\n"]


def test_head_and_body_of_a_short_answer_come_together(server: Gunicorn) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        received = connection.recv(65536)

    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert received.endswith(b"\r\n\r\nHello, world!\n")


def test_old_client_gets_its_answer_and_the_end(server: Gunicorn) -> None:
    with server.connect() as connection:
        received = exchange(connection, b"GET /chunks HTTP/1.0\r\n\r\n")

    head, _, body = received.partition(b"\r\n\r\n")
    assert b"Connection: close" in head
    assert b"chunked" not in head
    assert body == b"one two " + b"x" * 100_000


def test_answer_of_unknown_length_comes_in_chunks(server: Gunicorn) -> None:
    client = server.client()
    client.request("GET", "/chunks")
    answer = client.getresponse()

    assert answer.getheader("Transfer-Encoding") == "chunked"
    assert answer.read() == b"one two " + b"x" * 100_000
    # And the connection is good for more.
    client.request("GET", "/")
    assert client.getresponse().status == 200
    client.close()


@pytest.mark.parametrize(
    ("path", "method", "status", "body"),
    [
        ("/empty", "GET", 204, b""),
        ("/", "HEAD", 200, b""),
        ("/chunks", "HEAD", 200, b""),
        ("/write", "GET", 200, b"by write"),
        ("/replaced", "GET", 503, b"sorry"),
        ("/thread", "GET", 200, b"coroutine"),
    ],
)
def test_answers_of_every_shape(server: Gunicorn, path: str, method: str, status: int, body: bytes) -> None:
    client = server.client()
    # Twice on one connection: what follows must begin where the first one ended.
    for _ in range(2):
        client.request(method, path)
        answer = client.getresponse()
        assert (answer.status, answer.read()) == (status, body)
    client.close()


def test_big_bodies_both_ways(server: Gunicorn) -> None:
    assert server.ask("/big") == (200, b"0123456789" * 1_000_000)
    body = b"abcdefghij" * 500_000
    assert server.ask("/echo", "POST", body=body) == (200, body)


def test_body_in_chunks_is_understood(server: Gunicorn) -> None:
    pieces = iter([b"one ", b"two ", b"three"])

    assert server.ask(
        "/echo", "POST", body=pieces, encode_chunked=True, headers={"Transfer-Encoding": "chunked"}
    ) == (
        200,
        b"one two three",
    )


def test_body_that_nobody_read_is_not_the_next_request(server: Gunicorn) -> None:
    client = server.client()
    for _ in range(2):
        client.request("POST", "/ignore", body=b"x" * 5000)
        assert client.getresponse().read() == b"ignored"
    client.close()


def test_client_that_asks_whether_to_go_on_is_told_to(server: Gunicorn) -> None:
    with server.connect() as connection:
        connection.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"ok")
        assert connection.recv(65536).endswith(b"\r\n\r\nok")


def test_file_is_sent(server: Gunicorn, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content " * 50_000)

    assert server.ask(f"/file?{path}") == (200, b"content " * 50_000)


def test_piece_of_a_stream_is_sent_when_it_is_there(server: Gunicorn, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    client = server.client()
    client.request("GET", f"/stream?{gate}")
    answer = client.getresponse()
    assert answer.read(6) == b"first "
    gate.touch()
    assert answer.read() == b"second"
    client.close()


@pytest.mark.slow
def test_requests_that_wait_do_not_wait_for_each_other(server: Gunicorn) -> None:
    started = time.monotonic()
    with ThreadPoolExecutor(60) as pool:
        answers = list(pool.map(lambda _: server.ask("/sleep?1"), range(60)))

    assert {status for status, _ in answers} == {200}
    assert len(set(answers)) > 1
    assert time.monotonic() - started < 30


# -- what is wrong


@pytest.mark.parametrize(
    "path", ["/fail_early", "/fail_unsent", "/fail_stop", "/fail_exit", "/fail_timeout", "/no_such_function"]
)
def test_failure_of_the_application_is_an_error_page_and_a_traceback(server: Gunicorn, path: str) -> None:
    status, body = server.ask(path)

    assert (status, b"Internal Server Error" in body) == (500, True)
    server.wait_for_log(f"Error handling request GET {path}")
    assert server.ask("/")[0] == 200


def test_failure_in_the_middle_of_an_answer_ends_the_connection(server: Gunicorn) -> None:
    client = server.client()
    client.request("GET", "/fail_late")
    answer = client.getresponse()
    with pytest.raises(http.client.IncompleteRead) as caught:
        answer.read()
    assert caught.value.partial == b"half"
    server.wait_for_log("ValueError: late")
    client.close()


def test_error_of_the_applications_own_connections_is_logged(server: Gunicorn) -> None:
    with server.connect() as connection:
        exchange(connection, b"GET /fail_io HTTP/1.1\r\nHost: x\r\n\r\n")

    server.wait_for_log("the database is down")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", 400),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 9000 + b"\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    ],
)
def test_bad_request_is_told_so(server: Gunicorn, request_bytes: bytes, status: int) -> None:
    with server.connect() as connection:
        received = exchange(connection, request_bytes)

    assert received.startswith(b"HTTP/1.1 %d " % status)


def test_client_that_goes_in_the_middle_is_no_error(server: Gunicorn) -> None:
    before = server.log()
    for request in (
        b"",
        b"GET ",
        b"POST /echo HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf",
        b"GET /endless HTTP/1.1\r\n\r\n",
    ):
        connection = server.connect()
        connection.sendall(request)
        if b"endless" in request:
            connection.recv(1000)
        # With a reset, not in good order.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
    for _ in range(20):
        assert server.ask("/")[0] == 200

    assert "Traceback" not in server.log()[len(before) :]


# -- what the application and the operator see


def test_environment_is_as_with_gunicorns_own_workers(server: Gunicorn) -> None:
    names = ["SERVER_NAME", "SERVER_PORT", "REMOTE_ADDR", "wsgi.multithread", "wsgi.url_scheme", "PATH_INFO"]
    query = "&".join(f"name={name}" for name in names)

    assert server.ask(f"/show?{query}")[1].decode().splitlines() == [
        server.address[0],
        str(server.address[1]),
        "127.0.0.1",
        "True",
        "http",
        "/show",
    ]


def test_trusted_proxy_may_say_that_the_client_came_by_tls(server: Gunicorn) -> None:
    client = server.client()
    for value, scheme in (("https", b"https"), ("http", b"http")):
        client.request("GET", "/show?name=wsgi.url_scheme", headers={"X-Forwarded-Proto": value})
        assert client.getresponse().read() == scheme
    client.close()


def test_access_log_has_a_line_for_each_request(server: Gunicorn) -> None:
    before = len(access_log(server))
    server.ask("/?for=the-log", headers={"User-Agent": "tester"})
    server.ask("/chunks?for=the-log")

    wait_until(lambda: sum("for=the-log" in line for line in access_log(server)[before:]) == 2)
    first, second = (line for line in access_log(server)[before:] if "for=the-log" in line)
    assert '"GET /?for=the-log HTTP/1.1" 200 14 "-" "tester"' in first
    assert '"GET /chunks?for=the-log HTTP/1.1" 200 100008 ' in second


def test_idle_connections_do_not_stand_in_the_way(server: Gunicorn) -> None:
    idle = [server.connect() for _ in range(100)]
    assert server.ask("/")[0] == 200
    for connection in idle:
        connection.close()


def test_many_clients_at_a_time(server: Gunicorn) -> None:
    def talk(number: int) -> int:
        client = server.client()
        for turn in range(10):
            client.request("POST", "/echo", body=f"{number} {turn}")
            assert client.getresponse().read() == f"{number} {turn}".encode()
        client.close()
        return number

    with ThreadPoolExecutor(30) as pool:
        assert list(pool.map(talk, range(30))) == list(range(30))
    assert threading.active_count() < 10
