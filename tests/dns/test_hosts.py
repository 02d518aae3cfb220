"""hosts: the file of a machine's own names."""

import socket
from pathlib import Path

import pytest

from coro.dns.hosts import HostsFile

TEXT = """\
# of the machine
127.0.0.1   localhost  LocalHost.localdomain
::1 localhost ip6-localhost   # the other one
192.0.2.1\thost.example host
192.0.2.2 host.example
nonsense line
192.0.2.300 too.big
192.0.2.9
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "hosts"
    path.write_text(TEXT)
    return path


@pytest.mark.parametrize(
    ("name", "family", "found"),
    [
        ("host", 0, ("host.example", ["host"], ["192.0.2.1"])),
        ("HOST.example", 0, ("host.example", ["host"], ["192.0.2.1", "192.0.2.2"])),
        ("host.example.", socket.AF_INET, ("host.example", ["host"], ["192.0.2.1", "192.0.2.2"])),
        ("host", socket.AF_INET6, None),
        ("localhost", socket.AF_INET6, ("localhost", ["ip6-localhost"], ["::1"])),
        ("localhost.localdomain", 0, ("localhost", ["LocalHost.localdomain"], ["127.0.0.1"])),
        ("too.big", 0, None),
        ("line", 0, None),
    ],
)
def test_name_is_found_in_its_family(path: Path, name: str, family: int, found: object) -> None:
    assert HostsFile(path).find_name(name, family) == found


def test_address_is_found_by_its_first_line(path: Path) -> None:
    hosts = HostsFile(path)

    assert hosts.find_address("192.0.2.1") == ("host.example", ["host"])
    assert hosts.find_address("::1") == ("localhost", ["ip6-localhost"])
    assert hosts.find_address("192.0.2.9") is None


def test_change_of_the_file_is_seen(path: Path) -> None:
    hosts = HostsFile(path)
    assert hosts.find_name("new.example", 0) is None
    path.write_text("192.0.2.5 new.example\n")
    assert hosts.find_name("new.example", 0) == ("new.example", [], ["192.0.2.5"])
    assert hosts.find_name("host", 0) is None
    path.unlink()
    assert hosts.find_name("new.example", 0) is None


def test_file_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert HostsFile(tmp_path / "none").find_name("host", 0) is None


def test_file_that_is_no_text_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_bytes(b"\xff\xfe\x00 x\n192.0.2.1 h\xff ok\n")

    assert HostsFile(path).find_name("ok", 0) is not None
