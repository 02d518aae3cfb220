"""The echo client: `python -m benchmarks.echo_client CORE PORT SERVER_PID CONNECTIONS WARM_MS WINDOW_MS`.

One process, plain Python over epoll, no library under test. Every connection has one message of 1 KiB under
way; each answer is compared with what was sent before the next message leaves. The server's CPU clock is read
here, at both ends of the counted window, so that no process hand-over blurs it. Prints the server's sample.
"""

import select
import socket
import sys
import time

from benchmarks.machine import cpu_ns, pin, raise_descriptor_limit, waited_ns
from benchmarks.report import Sample

MESSAGE_BYTES = 1024
SILENCE_S = 5.0


class Connection:
    """One connection in ping-pong. Its two messages alternate, so a stale answer or another's is noticed."""

    def __init__(self, port: int, index: int) -> None:
        self.socket = self.connect(port)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.messages = [f"{index}/{side};".encode() * MESSAGE_BYTES for side in ("ping", "pong")]
        self.messages = [message[:MESSAGE_BYTES] for message in self.messages]
        self.index = index
        self.side = 0
        self.partial = b""
        self.answers = 0

    def connect(self, port: int) -> socket.socket:
        """Return a connected socket."""
        return socket.create_connection(("127.0.0.1", port), timeout=SILENCE_S)

    def ask(self) -> None:
        """Send the current message."""
        self.socket.sendall(self.messages[self.side])

    def greet(self) -> None:
        """Have one message answered, so that the server has surely accepted the connection.

        A server may accept one connection per turn of its loop: those already talking would hold off the rest
        for seconds, and a window would count fewer connections than its name says.
        """
        self.ask()
        while not self.answered():
            pass

    def answered(self) -> bool:
        """Read; return True if the answer is complete, False if a part is missing.

        Raises RuntimeError if the answer is wrong or the server closed the connection.
        """
        data = self.partial + self.socket.recv(65536)
        expected = self.messages[self.side]
        if data == expected:
            self.partial = b""
            self.answers += 1
            self.side ^= 1
            return True
        if len(data) == len(self.partial):
            raise RuntimeError(f"the server closed connection {self.index} after {self.answers} answers")
        if not expected.startswith(data):
            raise RuntimeError(f"connection {self.index}: answer {self.answers} is not what was sent")
        self.partial = data
        return False


class Client:
    """All connections, of one kind, and the epoll object that watches them."""

    def __init__(self, port: int, connections: int, kind: type[Connection]) -> None:
        self.epoll = select.epoll()
        self.connections = {}
        for index in range(connections):
            connection = kind(port, index)
            connection.greet()
            self.connections[connection.socket.fileno()] = connection
            self.epoll.register(connection.socket, select.EPOLLIN)
        for connection in self.connections.values():
            connection.ask()

    def drive(self, seconds: float) -> int:
        """Keep the ping-pong going for that long; return the number of complete answers.

        Raises RuntimeError if an answer is wrong or no connection says anything for 5 s.
        """
        requests = 0
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            events = self.epoll.poll(SILENCE_S)
            if not events:
                raise RuntimeError(f"no answer on {len(self.connections)} connections for {SILENCE_S} s")
            for descriptor, _ in events:
                connection = self.connections[descriptor]
                if connection.answered():
                    requests += 1
                    connection.ask()
        return requests

    def hang_up(self) -> None:
        """Read the answers still under way, then close: resets would flood the server's errors."""
        for connection in self.connections.values():
            while not connection.answered():
                pass
            connection.socket.close()
        self.epoll.close()

    def check_fairness(self) -> None:
        """Raise RuntimeError if a connection got no answer after its greeting."""
        starved = sum(connection.answers < 2 for connection in self.connections.values())
        if starved:
            raise RuntimeError(f"{starved} of {len(self.connections)} connections got no answer but the first")


def measure(
    port: int, server_pid: int, connections: int, warm_ms: int, window_ms: int, kind: type[Connection] = Connection
) -> Sample:
    """Return the server's CPU time and the requests answered within the window, after the warm-up."""
    client = Client(port, connections, kind)
    client.drive(warm_ms / 1000)
    cpu_before, waited_before = cpu_ns(server_pid), waited_ns(server_pid)
    requests = client.drive(window_ms / 1000)
    spent_ns = cpu_ns(server_pid) - cpu_before
    waited = (waited_ns(server_pid) - waited_before) / spent_ns
    client.hang_up()
    client.check_fairness()
    return Sample(spent_ns, requests, waited)


def main(kind: type[Connection] = Connection) -> None:
    """Run the command line and print the sample."""
    core, *numbers = sys.argv[1:]
    port, server_pid, connections, warm_ms, window_ms = map(int, numbers)
    pin(None if core == "-" else int(core))
    raise_descriptor_limit()
    print(measure(port, server_pid, connections, warm_ms, window_ms, kind).to_line(), flush=True)


if __name__ == "__main__":
    main()
