"""The history file."""

import os
import stat
from pathlib import Path

import pytest

from coro.console.history import KEPT_BYTES, MAX_BYTES, UserHistory, history_path


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "coro" / "history"


def load(path: Path) -> list[str]:
    return list(UserHistory(str(path), pytest.fail).load_history_strings())


def test_path_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/var/x")
    assert history_path() == "/var/x/coro/history"
    monkeypatch.setenv("HOME", "/home/me")
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_STATE_HOME", value)
        assert history_path() == "/home/me/.local/state/coro/history"


def test_entries_come_back_newest_first(path: Path) -> None:
    history = UserHistory(str(path), pytest.fail)
    for text in ("x = 1", "for i in x:\n    y\n", "ä\x1b", "+plus", "# comment"):
        history.store_string(text)

    assert load(path) == ["# comment", "+plus", "ä\x1b", "for i in x:\n    y\n", "x = 1"]


def test_file_is_closed_to_others_whatever_the_umask(path: Path) -> None:
    former = os.umask(0)
    try:
        UserHistory(str(path), pytest.fail).store_string("x")
    finally:
        os.umask(former)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_line_behind_a_blank_is_not_kept(path: Path) -> None:
    UserHistory(str(path), pytest.fail).store_string(" password = 'x'")

    assert not path.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_full_disk_is_told_once(path: Path, warnings: list[str]) -> None:
    path.parent.mkdir(parents=True)
    path.symlink_to("/dev/full")
    history = UserHistory(str(path), warnings.append)
    for _ in range(3):
        history.store_string("x")

    assert warnings == [f"the history is not kept: {path}: No space left on device"]


def test_home_that_cannot_be_written_is_told_once(path: Path, warnings: list[str]) -> None:
    path.parent.parent.mkdir()
    path.parent.write_text("a file is in the way")
    history = UserHistory(str(path), warnings.append)
    list(history.load_history_strings())
    history.store_string("x")

    assert len(warnings) == 1


def test_large_file_is_cut_to_its_newest_entries(path: Path) -> None:
    history = UserHistory(str(path), pytest.fail)
    history.store_string("first")
    with open(path, "a") as file:
        for number in range(MAX_BYTES // 100):
            file.write(f"\n# x\n+{number:0100}\n")
    entries = load(path)

    assert entries[0] == f"{MAX_BYTES // 100 - 1:0100}"
    assert "first" not in entries
    assert path.stat().st_size <= KEPT_BYTES
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["history"]
    assert load(path) == entries


def test_file_that_is_none_is_not_read_for_ever(path: Path, warnings: list[str]) -> None:
    path.parent.mkdir(parents=True)
    path.symlink_to("/dev/zero")
    assert load(path) == []
    path.unlink()
    os.mkfifo(path)
    history = UserHistory(str(path), warnings.append)
    assert list(history.load_history_strings()) == []
    history.store_string("x")
    assert len(warnings) == 1


@pytest.mark.parametrize("data", [b"", b"\xff\xfe\n+\xff\n", b"junk\n", b"+a\n+b", b"\0" * 100])
def test_damaged_file_is_read_as_well_as_can_be(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(data)

    assert load(path) == {b"+a\n+b": ["a\nb"], b"\xff\xfe\n+\xff\n": ["\ufffd"]}.get(data, [])
