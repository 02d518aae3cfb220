"""A small name server on loopback, UDP and TCP, whose wire format is dnspython's."""

import struct
from collections import Counter
from typing import Any

import dns.asyncresolver
import dns.flags
import dns.message
import dns.nameserver
import dns.rcode
import dns.rdatatype
import dns.rrset

import coro

SOA = "ns.example. root.example. 1 7200 3600 86400 {minimum}"


class NameServer:
    """Answers from a table, in threads of the loop that makes it.

    records: (name, type) -> [ttl, text of a record, …].  A name that stands there with any type exists; all others
        are NXDOMAIN.
    negative_ttl_s: of the SOA record that a "no" comes with; None for none.
    rcode: answered to everything, if it is not None.
    failing_type: questions of this type are answered with SERVFAIL.
    is_mute: takes questions and answers none.
    truncates: over UDP, says that the answer is to be had over TCP.
    asked: how often each question came, as (protocol, name, type).
    """

    def __init__(self, records: dict[tuple[str, str], list[Any]] | None = None) -> None:
        self.records = records or {}
        self.negative_ttl_s: int | None = None
        self.rcode: dns.rcode.Rcode | None = None
        self.failing_type: str | None = None
        self.is_mute = False
        self.truncates = False
        self.asked: Counter[tuple[str, str, str]] = Counter()
        self._listener, self._datagrams = _pair_on_one_port()
        self.port: int = self._listener.getsockname()[1]
        coro.spawn(self._serve_udp, thread_name="name server, UDP")
        coro.spawn(self._serve_tcp, thread_name="name server, TCP")

    def close(self) -> None:
        """Take no more questions: from then on they are refused."""
        self._listener.close()
        self._datagrams.close()

    def close_tcp(self) -> None:
        """Take questions over UDP only."""
        self._listener.close()

    def _serve_udp(self) -> None:
        try:
            while True:
                wire, address = self._datagrams.recvfrom(65535)
                answer = self._answer(wire, "udp")
                if answer is not None:
                    self._datagrams.sendto(answer, address)
        except coro.ClosedError:
            return

    def _serve_tcp(self) -> None:
        try:
            while True:
                connection, _ = self._listener.accept()
                with connection:
                    (size,) = struct.unpack("!H", connection.recv_exact(2))
                    answer = self._answer(connection.recv_exact(size), "tcp")
                    if answer is not None:
                        connection.send(struct.pack("!H", len(answer)) + answer)
        except coro.ClosedError:
            return

    def _answer(self, wire: bytes, protocol: str) -> bytes | None:
        question = dns.message.from_wire(wire)
        [asked] = question.question
        name, kind = asked.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(asked.rdtype)
        self.asked[protocol, name, kind] += 1
        if self.is_mute:
            return None
        answer = dns.message.make_response(question)
        if self.rcode is not None:
            answer.set_rcode(self.rcode)
        elif kind == self.failing_type:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif self.truncates and protocol == "udp":
            answer.flags |= dns.flags.TC
        else:
            self._fill(answer, name, kind)
        return answer.to_wire()

    def _fill(self, answer: dns.message.Message, name: str, kind: str) -> None:
        while alias := self.records.get((name, "CNAME")):
            answer.answer.append(dns.rrset.from_text(name + ".", alias[0], "IN", "CNAME", alias[1] + "."))
            name = alias[1]
        found = self.records.get((name, kind))
        if found:
            ttl_s, *texts = found
            answer.answer.append(dns.rrset.from_text(name + ".", ttl_s, "IN", kind, *texts))
            return
        if not any(known == name for known, _ in self.records):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        if self.negative_ttl_s is not None:
            text = SOA.format(minimum=self.negative_ttl_s)
            answer.authority.append(dns.rrset.from_text("example.", self.negative_ttl_s, "IN", "SOA", text))


def _pair_on_one_port() -> tuple[coro.sock, coro.sock]:
    """A TCP and a UDP socket with one number."""
    while True:
        [listener] = coro.listen_tcp(("127.0.0.1", 0))
        datagrams = coro.udp_sock()
        try:
            datagrams.bind(listener.getsockname())
        except OSError:
            listener.close()
            datagrams.close()
            continue
        return listener, datagrams


def resolver_of(
    *servers: NameServer, timeout_s: float = 5.0, lifetime_s: float = 20.0
) -> dns.asyncresolver.Resolver:
    """A resolver that asks these servers in turn, and no other."""
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = [dns.nameserver.Do53Nameserver("127.0.0.1", server.port) for server in servers]
    resolver.timeout = timeout_s
    resolver.lifetime = lifetime_s
    return resolver
