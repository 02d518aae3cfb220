"""The echo client over TLS: as `benchmarks.echo_client`, which says what it does."""

import socket
import ssl

from benchmarks.echo_client import Connection, main


class TLSConnection(Connection):
    """One connection in ping-pong; a message is one record."""

    def connect(self, port: int) -> socket.socket:
        """Return a connected TLS socket, its handshake done."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        return context.wrap_socket(super().connect(port))


if __name__ == "__main__":
    main(TLSConnection)
