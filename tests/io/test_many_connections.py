"""Thousands of connections in one process, with a real client in another."""

import resource

import pytest

from tests.core.script import output_of

CONNECTIONS = 5000

# Plain sockets and selectors: the client is not to share the server's mistakes.
CLIENT = """
import random, selectors, socket, sys
address, count = ("127.0.0.1", int(sys.argv[1])), int(sys.argv[2])
clients = []
for number in range(count):
    client = socket.create_connection(address)
    client.setblocking(False)
    clients.append(client)
print("connected", flush=True)
sys.stdin.readline()
rng = random.Random(6)
for turn in range(2):
    # In another order each time, so that most of them have waited for long.
    rng.shuffle(clients)
    expected = {}
    with selectors.DefaultSelector() as selector:
        for number, client in enumerate(clients):
            expected[client] = (b"%d.%d " % (turn, number)) * 10
            client.send(expected[client])
            selector.register(client, selectors.EVENT_READ)
        found = dict.fromkeys(clients, b"")
        while expected:
            ready = selector.select(20)
            if not ready:
                sys.exit(f"{len(expected)} of {count} connections got no answer")
            for key, _ in ready:
                found[key.fileobj] += key.fileobj.recv(1000)
                if len(found[key.fileobj]) >= len(expected[key.fileobj]):
                    assert found[key.fileobj] == expected.pop(key.fileobj)
                    selector.unregister(key.fileobj)
for client in clients:
    client.close()
print("answered", flush=True)
"""

SERVER = """
import os, resource, subprocess, sys, coro
from coro.server import tcp_server
coro.set_print_exit_string(False)
coro.set_latency_warning(0)

def echo(connection, address):
    while data := connection.recv(1000):
        connection.send(data)

def main():
    count = int(sys.argv[2])
    server = tcp_server(("127.0.0.1", 0), echo)
    command = [sys.executable, "-c", sys.argv[1], str(server.address[1]), str(count)]
    client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    from_client = coro.file_sock(client.stdout)
    assert from_client.read_exact(10) == b"connected\\n"
    while len(server.connections) < count:
        coro.sleep_relative(0.01)
    print(len(server.connections), coro.get_live_sockets() >= count)
    client.stdin.write(b"go\\n")
    client.stdin.close()
    assert from_client.read_exact(9) == b"answered\\n"
    from_client.close()
    client.stdout.close()
    assert client.wait() == 0
    print(server.stop(), server.lost, coro.get_live_sockets())

hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
coro.run(main)
"""


@pytest.mark.slow
def test_five_thousand_echo_connections_at_once() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < CONNECTIONS + 100:
        pytest.skip(f"only {hard} descriptors are allowed here")
    assert output_of(SERVER, CLIENT, str(CONNECTIONS)) == [f"{CONNECTIONS} True", "0 0 0"]


def test_five_hundred_echo_connections_at_once() -> None:
    assert output_of(SERVER, CLIENT, "500") == ["500 True", "0 0 0"]
