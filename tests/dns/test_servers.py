"""servers: look-ups that ask name servers, real ones on loopback."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dns.rcode
import dns.resolver
import pytest

import coro
import coro.dns
import coro.testing
from coro.dns import servers
from coro.dns.servers import Servers
from coro.dns.transport import complete
from coro.socket import get_live_sockets
from tests.dns.name_server import NameServer, resolver_of
from tests.os_thread.waiting import wait_until

Start = Callable[..., NameServer]

RECORDS: dict[tuple[str, str], list[Any]] = {
    ("host.example", "A"): [60, "127.0.0.7", "127.0.0.8"],
    ("both.example", "A"): [60, "127.0.0.7"],
    ("both.example", "AAAA"): [20, "::1"],
    ("new.example", "AAAA"): [60, "::1"],
    ("www.example", "CNAME"): [30, "host.example"],
    ("mail.example", "MX"): [60, "10 host.example."],
    ("7.0.0.127.in-addr.arpa", "PTR"): [60, "host.example.", "second.example."],
    ("name.lan.example", "A"): [60, "127.0.0.9"],
    ("zero.example", "A"): [0, "127.0.0.7"],
}


def ask(function: Callable[[], Any], start: Start, **settings: Any) -> tuple[Any, NameServer]:
    """Call the function in a loop where one name server knows RECORDS; returns its value, and the server."""

    def main() -> Any:
        server = start(dict(RECORDS))
        for name, value in settings.items():
            setattr(server, name, value)
        started.append(server)
        coro.dns.set_source(Servers(resolver_of(server), hosts=None))
        return function()

    started: list[NameServer] = []
    return coro.run(main), started[0]


def outcome(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except OSError as error:
        return type(error), error.args


def addresses(name: str, family: int = 0) -> list[str]:
    return [info[4][0] for info in coro.dns.getaddrinfo(name, 80, family, socket.SOCK_STREAM)]


# -- finding


def test_addresses_come_as_from_the_socket_module(name_server: Start) -> None:
    found, _ = ask(lambda: coro.dns.getaddrinfo("host.example", 80, type=socket.SOCK_STREAM), name_server)

    assert sorted(info[4] for info in found) == [("127.0.0.7", 80), ("127.0.0.8", 80)]
    assert {tuple(map(type, info)) for info in found} == {
        (socket.AddressFamily, socket.SocketKind, int, str, tuple)
    }


def test_without_a_type_every_type_is_there_as_for_a_numeric_host(name_server: Start) -> None:
    found, _ = ask(lambda: coro.dns.getaddrinfo("name.lan.example", 80), name_server)

    assert found == socket.getaddrinfo("127.0.0.9", 80)


def test_both_families_are_asked_for_and_what_this_machine_can_reach_comes_first(name_server: Start) -> None:
    found, server = ask(lambda: addresses("both.example"), name_server)

    assert found == (["::1", "127.0.0.7"] if coro.has_ipv6() else ["127.0.0.7", "::1"])
    assert set(server.asked) == {("udp", "both.example", "A"), ("udp", "both.example", "AAAA")}


@pytest.mark.parametrize(("flags", "found"), [(0, ["127.0.0.7", "::1"]), (socket.AI_ADDRCONFIG, ["127.0.0.7"])])
def test_what_this_machine_has_no_route_to_comes_last_or_not_at_all(
    flags: int, found: list[str], name_server: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "_has_route", lambda family, address: family == socket.AF_INET)
    got, _ = ask(
        lambda: coro.dns.getaddrinfo("both.example", 80, type=socket.SOCK_STREAM, flags=flags), name_server
    )

    assert [info[4][0] for info in got] == found


def test_answer_for_one_family_is_enough_but_not_kept(name_server: Start) -> None:
    def main() -> list[str]:
        addresses("both.example")
        return addresses("both.example")

    found, server = ask(main, name_server, failing_type="AAAA")

    assert found == ["127.0.0.7"]
    assert server.asked["udp", "both.example", "A"] == 2


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.7"), (socket.AF_INET6, "::1")])
def test_one_family_is_one_question(family: int, address: str, name_server: Start) -> None:
    found, server = ask(lambda: addresses("both.example", family), name_server)

    assert found == [address]
    assert server.asked.total() == 1


def test_service_name_is_the_systems_to_know(name_server: Start) -> None:
    found, _ = ask(lambda: coro.dns.getaddrinfo("name.lan.example", "http"), name_server)

    assert found == [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.9", 80))]


def test_service_that_there_is_not_is_an_error(name_server: Start) -> None:
    found, _ = ask(lambda: outcome(coro.dns.getaddrinfo, "name.lan.example", "no-such-service"), name_server)

    assert found[0] is socket.gaierror
    assert found[1][0] == socket.EAI_SERVICE


def test_aliases_are_followed_and_the_canonical_name_is_told(name_server: Start) -> None:
    def main() -> Any:
        found = coro.dns.getaddrinfo("www.example", 80, socket.AF_INET, flags=socket.AI_CANONNAME)
        return found[0][3], {info[3] for info in found[1:]}, coro.dns.gethostbyname_ex("www.example")

    (canonical, others, extended), _ = ask(main, name_server)

    assert (canonical, others) == ("host.example", {""})
    assert (*extended[:2], sorted(extended[2])) == ("host.example", ["www.example"], ["127.0.0.7", "127.0.0.8"])


def test_gethostbyname_wants_ipv4(name_server: Start) -> None:
    found, server = ask(lambda: coro.dns.gethostbyname("both.example"), name_server)

    assert found == "127.0.0.7"
    assert list(server.asked) == [("udp", "both.example", "A")]


def test_names_of_an_address(name_server: Start) -> None:
    def main() -> Any:
        return [
            coro.dns.gethostbyaddr("127.0.0.7"),
            coro.dns.getnameinfo(("127.0.0.7", 80), 0),
            coro.dns.getnameinfo(("127.0.0.7", 80), socket.NI_NUMERICSERV),
            coro.dns.getnameinfo(("127.0.0.7", 80), socket.NI_NUMERICHOST),
            coro.dns.getnameinfo(("127.0.0.99", 80), 0),
            coro.dns.getfqdn("127.0.0.7"),
        ]

    (by_address, *by_socket, missing, full), _ = ask(main, name_server)

    assert {by_address[0], *by_address[1]} == {"host.example", "second.example"}
    assert by_address[2] == ["127.0.0.7"]
    hosts = {"host.example", "second.example"}
    assert [(host in hosts, service) for host, service in by_socket[:2]] == [(True, "http"), (True, "80")]
    assert by_socket[2] == ("127.0.0.7", "http")
    assert missing == ("127.0.0.99", "http")
    assert full in hosts


@pytest.mark.parametrize(
    ("function", "arguments", "error"),
    [
        ("getaddrinfo", ("none.example", 80), socket.gaierror(-2, "Name or service not known")),
        ("gethostbyname", ("none.example",), socket.gaierror(-2, "Name or service not known")),
        ("gethostbyname_ex", ("none.example",), socket.gaierror(-2, "Name or service not known")),
        ("gethostbyaddr", ("127.0.0.99",), socket.herror(1, "Unknown host")),
        ("gethostbyaddr", ("none.example",), socket.gaierror(-2, "Name or service not known")),
        (
            "getnameinfo",
            (("127.0.0.99", 80), socket.NI_NAMEREQD),
            socket.gaierror(-2, "Name or service not known"),
        ),
        # They exist, but have no such address.
        ("getaddrinfo", ("mail.example", 80), socket.gaierror(-5, "No address associated with hostname")),
        ("gethostbyname", ("new.example",), socket.gaierror(-5, "No address associated with hostname")),
        # Longer than a name can be, in sum.
        (
            "getaddrinfo",
            (".".join(["x" * 60] * 5), 80),
            socket.gaierror(-2, "Name or service not known"),
        ),
    ],
    ids=str,
)
@pytest.mark.skipif(sys.platform != "linux", reason="the numbers and texts of glibc")
def test_what_is_not_there_is_the_same_error_as_the_systems(
    function: str, arguments: tuple[Any, ...], error: OSError, name_server: Start
) -> None:
    found, _ = ask(lambda: outcome(getattr(coro.dns, function), *arguments), name_server)

    assert found == (type(error), error.args)


@pytest.mark.parametrize("host", ["a" * 64 + ".example", ".example", "a\0b", "", "127.1", b"\xff.example", "x y"])
def test_what_is_no_name_is_the_systems_to_judge(host: Any, name_server: Start) -> None:
    def both() -> list[Any]:
        found = []
        for module in (coro.dns, socket):
            for function, arguments in ((module.getaddrinfo, (host, 80)), (module.gethostbyname, (host,))):
                try:
                    found.append(function(*arguments))
                except Exception as error:
                    found.append((type(error), error.args))
        return found

    found, server = ask(both, name_server)

    assert found[:2] == found[2:]
    assert not server.asked


def test_international_name_is_asked_for_in_ascii(name_server: Start) -> None:
    _, server = ask(lambda: outcome(coro.dns.gethostbyname, "é.example"), name_server)

    assert list(server.asked) == [("udp", "xn--9ca.example", "A")]


def test_flags_that_dns_does_not_know_are_the_systems(name_server: Start) -> None:
    flags = socket.AI_V4MAPPED | socket.AI_ALL
    found, server = ask(lambda: coro.dns.getaddrinfo("localhost", 80, socket.AF_INET6, flags=flags), name_server)

    assert found == socket.getaddrinfo("localhost", 80, socket.AF_INET6, flags=flags)
    assert not server.asked


# -- servers in trouble


def test_truncated_answer_is_asked_for_again_over_tcp(name_server: Start) -> None:
    found, server = ask(lambda: addresses("name.lan.example", socket.AF_INET), name_server, truncates=True)

    assert found == ["127.0.0.9"]
    assert list(server.asked) == [("udp", "name.lan.example", "A"), ("tcp", "name.lan.example", "A")]


def test_truncated_answer_of_a_server_without_tcp_is_none(name_server: Start) -> None:
    def main() -> tuple[Any, int]:
        server = name_server(dict(RECORDS))
        server.truncates = True
        server.close_tcp()
        coro.dns.set_source(Servers(resolver_of(server, lifetime_s=2), hosts=None))
        return outcome(coro.dns.gethostbyname, "host.example"), get_live_sockets()

    found, sockets = coro.run(main)
    assert (found[1][0], sockets) == (socket.EAI_AGAIN, 1)


@pytest.mark.parametrize("trouble", ["refusing", "failing", "closed"])
def test_next_server_is_asked_when_one_cannot_help(trouble: str, name_server: Start) -> None:
    def main() -> Any:
        bad, good = name_server(), name_server(dict(RECORDS))
        if trouble == "closed":
            bad.close()
        else:
            bad.rcode = dns.rcode.REFUSED if trouble == "refusing" else dns.rcode.SERVFAIL
        coro.dns.set_source(Servers(resolver_of(bad, good), hosts=None))
        return addresses("name.lan.example", socket.AF_INET)

    assert coro.run(main) == ["127.0.0.9"]


def test_next_server_is_asked_when_one_does_not_answer(name_server: Start) -> None:
    def main() -> Any:
        mute, good = name_server(), name_server(dict(RECORDS))
        mute.is_mute = True
        coro.dns.set_source(Servers(resolver_of(mute, good, timeout_s=0.05), hosts=None))
        return addresses("name.lan.example", socket.AF_INET), mute.asked.total()

    assert coro.run(main) == (["127.0.0.9"], 1)


@pytest.mark.parametrize("trouble", ["failing", "mute", "closed"])
@pytest.mark.parametrize(
    ("function", "arguments", "error"),
    [
        ("getaddrinfo", ("host.example", 80), (socket.gaierror, socket.EAI_AGAIN)),
        ("gethostbyaddr", ("127.0.0.7",), (socket.herror, 2)),
        ("getnameinfo", (("127.0.0.7", 80), 0), (socket.gaierror, socket.EAI_AGAIN)),
    ],
)
def test_when_no_server_helps_it_may_be_tried_again(
    trouble: str, function: str, arguments: Any, error: Any, name_server: Start
) -> None:
    def main() -> None:
        server = name_server(dict(RECORDS))
        server.rcode = dns.rcode.SERVFAIL if trouble == "failing" else None
        server.is_mute = trouble == "mute"
        resolver = resolver_of(server, timeout_s=0.02, lifetime_s=0.2)
        if trouble == "closed":
            server.close()
        coro.dns.set_source(Servers(resolver, hosts=None))
        kind, values = outcome(getattr(coro.dns, function), *arguments)
        assert (kind, values[0]) == error
        if trouble != "closed":
            # It is: nothing of this is remembered.
            server.rcode, server.is_mute = None, False
            resolver.timeout, resolver.lifetime = 5, 20
            getattr(coro.dns, function)(*arguments)

    coro.run(main)
    assert get_live_sockets() <= 2


def test_server_that_answers_nonsense_is_not_believed(name_server: Start) -> None:
    def main() -> Any:
        server = name_server(dict(RECORDS))
        server._answer = lambda wire, protocol: b"\xff" * 20  # type: ignore[method-assign]
        coro.dns.set_source(Servers(resolver_of(server, timeout_s=0.05, lifetime_s=0.1), hosts=None))
        return outcome(coro.dns.gethostbyname, "host.example")

    assert coro.run(main)[1][0] == socket.EAI_AGAIN


def test_interrupted_caller_leaves_at_once_and_the_answer_is_kept(name_server: Start) -> None:
    def main() -> tuple[float, Any, int]:
        server = name_server(dict(RECORDS))
        server.is_mute = True
        coro.dns.set_source(Servers(resolver_of(server, timeout_s=0.1), hosts=None))
        started = time.monotonic()
        with pytest.raises(coro.TimeoutError):
            coro.with_timeout(0.01, coro.dns.gethostbyname, "name.lan.example")
        took = time.monotonic() - started
        asked = server.asked.total()
        server.is_mute = False
        wait_until(lambda: server.asked.total() > asked)
        wait_until(lambda: not coro.dns.functions.lookups.under_way)
        asked = server.asked.total()
        return took, coro.dns.gethostbyname("name.lan.example"), server.asked.total() - asked

    took, found, asked_again = coro.run(main)
    assert took < 5
    assert (found, asked_again) == ("127.0.0.9", 0)


# -- search domains, hosts


def test_search_domains_are_tried(name_server: Start) -> None:
    def main() -> Any:
        server = name_server(dict(RECORDS))
        resolver = resolver_of(server)
        resolver.search = [dns.name.from_text(domain) for domain in ("none.example", "lan.example")]
        coro.dns.set_source(Servers(resolver, hosts=None))
        return [outcome(coro.dns.gethostbyname, name) for name in ("name", "name.", "host.example")], server.asked

    found, asked = coro.run(main)

    assert [found[0], found[2] in ("127.0.0.7", "127.0.0.8")] == ["127.0.0.9", True]
    assert found[1] == (socket.gaierror, (socket.EAI_NONAME, "Name or service not known"))
    assert [name for _, name, _ in asked] == ["name.none.example", "name.lan.example", "name", "host.example"]


def test_hosts_file_comes_first(name_server: Start, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("127.0.0.5 host.example mine\n::1 mine6\n")

    def main() -> Any:
        server = name_server(dict(RECORDS))
        coro.dns.set_source(Servers(resolver_of(server), hosts=tmp_path / "hosts"))
        return [
            addresses("host.example"),
            coro.dns.gethostbyname_ex("mine"),
            coro.dns.gethostbyaddr("127.0.0.5"),
            coro.dns.getnameinfo(("127.0.0.5", 80), socket.NI_NUMERICSERV),
            addresses("mine6", socket.AF_INET6),
        ], server.asked.total()

    assert coro.run(main) == (
        [
            ["127.0.0.5"],
            ("host.example", ["mine"], ["127.0.0.5"]),
            ("host.example", ["mine"], ["127.0.0.5"]),
            ("host.example", "80"),
            ["::1"],
        ],
        0,
    )


def test_defaults_are_those_of_the_machine() -> None:
    resolver = dns.resolver.Resolver()
    source = Servers()

    assert source.resolver.nameservers == resolver.nameservers
    assert source.resolver.search == resolver.search
    assert repr(source.hosts) == "<hosts file '/etc/hosts'>"


def test_resolver_that_blocks_is_refused() -> None:
    with pytest.raises(TypeError, match=r"needs a dns\.asyncresolver\.Resolver"):
        Servers(dns.resolver.Resolver(configure=False))  # type: ignore[arg-type]


# -- how long an answer holds


def seconds_known(name: str, start: Start, negative_ttl_s: int | None = None, family: int = 0) -> float:
    """For how long a name is not asked for again, in seconds; 100 at most."""

    def main() -> float:
        server = start(dict(RECORDS))
        server.negative_ttl_s = negative_ttl_s
        coro.dns.set_source(Servers(resolver_of(server), hosts=None))
        outcome(coro.dns.getaddrinfo, name, 80, family)
        asked, started = server.asked.total(), coro.get_now()
        while server.asked.total() == asked and coro.get_now() - started < 100 * 10**9:
            outcome(coro.dns.getaddrinfo, name, 80, family)
            coro.sleep_relative(1)
        return (coro.get_now() - started) // 10**9

    return float(coro.testing.run(main))


@pytest.mark.parametrize(
    ("name", "family", "negative_ttl_s", "seconds"),
    [
        ("host.example", socket.AF_INET, None, 60),
        # The shortest of all that it is made of: the alias, both families, a "no such address".
        ("www.example", socket.AF_INET, None, 30),
        ("both.example", 0, None, 20),
        ("host.example", 0, 7, 7),
        ("none.example", 0, 5, 5),
        ("mail.example", 0, 5, 5),
        # A "no" that does not say for how long it holds, and an answer that says "not at all".
        ("none.example", 0, None, 0),
        ("zero.example", socket.AF_INET, None, 0),
    ],
)
def test_answer_is_kept_for_as_long_as_it_says(
    name: str, family: int, negative_ttl_s: int | None, seconds: int, name_server: Start
) -> None:
    # The question that finds it gone comes a second later at most.
    assert seconds_known(name, name_server, negative_ttl_s, family) in (seconds, seconds + 1)


# -- many


def test_hundreds_of_look_ups_need_no_os_thread_and_leave_no_socket(name_server: Start) -> None:
    names = {(f"n{number}.example", "A"): [60, f"127.1.0.{number % 250}"] for number in range(300)}

    def main() -> list[str]:
        server = name_server(dict(names))
        coro.dns.set_source(Servers(resolver_of(server), hosts=None))
        threads = [coro.spawn(coro.dns.gethostbyname, name) for name, _ in names]
        found = [thread.result() for thread in threads]
        assert "0 of" in repr(coro.resolve.lookup_pool)
        assert get_live_sockets() == 2
        return found

    assert coro.run(main) == [texts[1] for texts in names.values()]


def test_questions_are_sent_so_many_at_a_time(name_server: Start) -> None:
    def main() -> int:
        server = name_server(dict(RECORDS))
        server.is_mute = True
        resolver = resolver_of(server, timeout_s=0.2, lifetime_s=0.2)
        coro.dns.set_source(Servers(resolver, hosts=None, max_questions=3))
        threads = [coro.spawn(outcome, coro.dns.gethostbyname, f"{number}.example") for number in range(5)]
        wait_until(lambda: server.asked.total() == 3)
        coro.sleep_relative(0.02)
        count = server.asked.total()
        for thread in threads:
            thread.result()
        return count

    assert coro.run(main) == 3


# -- the bridge to dnspython


def test_coroutine_that_waits_for_something_else_is_an_error() -> None:
    class Foreign:
        def __await__(self) -> Any:
            yield "please"

    async def foreign() -> None:
        await Foreign()

    with pytest.raises(RuntimeError, match="waits for something that is not coro's"):
        complete(foreign())


def test_missing_dnspython_is_named_with_the_extra() -> None:
    script = "import sys; sys.modules['dns'] = None\nimport coro.dns\nimport coro.dns.servers\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "pip install 'coro[dns]'" in done.stderr
