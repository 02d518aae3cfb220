"""The table has a row for every system call of the runtime, and the scenarios come by each."""

import ast

import pytest

from tests.faults.conftest import Play
from tests.faults.scenarios import SCENARIOS
from tests.faults.sites import Site, _Reader, by_module, call_sites
from tests.faults.table import CANNOT_FAIL, FAILURES, ROWS

# What an OS thread does comes a moment sooner or later.
ATTEMPTS = 10


def test_every_system_call_in_the_source_has_a_row() -> None:
    found = {site for site in call_sites() if site[2] not in CANNOT_FAIL}
    listed = {site for site, row in ROWS.items() if row.kind != "implicit"}
    missing = "\n".join(by_module(found - listed))
    assert not missing, f"these system calls have no row in tests/faults/table.py:\n{missing}"
    gone = "\n".join(by_module(listed - found))
    assert not gone, f"these rows of tests/faults/table.py are of no system call:\n{gone}"


def test_every_row_is_reached_by_a_scenario(play: Play) -> None:
    wanted = {site for site, row in ROWS.items() if row.kind not in ("second", "own", "never")}
    reached: set[Site] = set()
    for _ in range(ATTEMPTS):
        for name in SCENARIOS:
            result = play(name, None)
            assert not result.receipts, (name, result.receipts)
            assert not result.wrong(), (name, result.wrong())
            reached |= set(result.calls)
        if wanted <= reached:
            break
    assert not wanted - reached
    unlisted = {site for site in reached if site[2] in FAILURES} - set(ROWS)
    assert not unlisted


@pytest.mark.parametrize(
    ("source", "calls"),
    [
        ("import os\ndef f(): os.read(0, 1)", {("f", "os.read")}),
        ("import os as o\nclass C:\n def f(self, fd: os.PathLike): return [o.read]", {("C.f", "os.read")}),
        ("from os import read as r\ndef f():\n def g(): r(0, 1)", {("f.<locals>.g", "os.read")}),
        ("import _socket\n_s = _socket.socket.send\ndef f(): return g(_s)", {("f", "sock.send")}),
        ("class C:\n def bind(self): super().bind(1)", {("C.bind", "sock.bind")}),
        ("def f(one): one.setsockopt(1, 2, 3)", {("f", "sock.setsockopt")}),
        ("import socket\ndef f():\n with socket.socket() as probe: pass", {("f", "sock.__init__")}),
        ("def f(probe): probe.bind(1)", {("f", "sock.bind")}),
        ("import select, os\nx = select.EPOLLIN\ny = os.environ.get('A')\nz: os.PathLike", set()),
    ],
)  # fmt: skip
def test_reader_finds_calls_however_they_are_written(source: str, calls: set[tuple[str, str]]) -> None:
    reader = _Reader("m")
    reader.visit(ast.parse(source))
    assert reader.found == {("m", *call) for call in calls}
