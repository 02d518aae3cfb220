"""Tokens: where they may come from, and that nothing tells them."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from coro.backdoor.tokens import load_token, matches

TOKEN = "0123456789abcdef"


def needs_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to another user")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(TOKEN)
    path.chmod(0o600)
    return path


def test_token_of_a_file_is_stripped(file: Path) -> None:
    file.write_text(f"  {TOKEN}\r\n\n")
    assert load_token(file, {}) == load_token(str(file), {}) == TOKEN


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_mode_that_lets_only_us_in_serves(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert load_token(file, {}) == TOKEN


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o700, 0o610, 0o4600])
def test_wider_mode_is_refused_with_mode_and_limit(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(PermissionError, match=f"{file} has mode {mode:04o}.*0600"):
        load_token(file, {})


def test_link_is_refused(file: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(file)
    with pytest.raises(PermissionError, match="is a symbolic link"):
        load_token(tmp_path / "link", {})


def test_file_of_another_user_is_refused(file: Path) -> None:
    needs_root()
    os.chown(file, 54_321, 0)
    with pytest.raises(PermissionError, match="belongs to uid 54321"):
        load_token(file, {})


def make_fifo(path: str) -> None:
    os.mkfifo(path, 0o600)


def make_socket(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)


@pytest.mark.parametrize("make", [os.mkdir, make_fifo, make_socket])
def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path, make: Any) -> None:
    make(str(tmp_path / "t"))
    with pytest.raises(OSError, match=r"is not a regular file|No such device"):
        load_token(tmp_path / "t", {})


def test_missing_file_is_an_error_and_not_no_token(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_token(tmp_path / "missing", {"CORO_TOKEN": TOKEN})


def test_environment_serves_without_a_file(file: Path) -> None:
    other = "f" * 16
    assert load_token(None, {"CORO_TOKEN": other}) == other
    assert load_token(file, {"CORO_TOKEN": other}) == TOKEN


@pytest.mark.parametrize("environ", [{}, {"CORO_TOKEN": ""}])
def test_neither_is_no_token(environ: dict[str, str]) -> None:
    assert load_token(None, environ) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"    \n   ", "a token of 0 characters; 16 or more"),
        (b"0123456789abcde\n", "a token of 15 characters; 16 or more"),
        (b"0123456789 abcdef", "other than printable ASCII"),
        (b"0123456789abcdef\x00", "other than printable ASCII"),
        ("0123456789abcdefé".encode(), "other than printable ASCII"),
        (b"0123456789abcdef\nsecond line", "other than printable ASCII"),
        (b"x" * 4097, "more than 4096 bytes"),
    ],
)
def test_token_that_does_not_serve_is_refused_and_not_told(file: Path, content: bytes, message: str) -> None:
    file.write_bytes(content)
    environ = {"CORO_TOKEN": os.fsdecode(content)}
    for token_file, where in ((file, f"the token file {file}"), (None, "the environment variable CORO_TOKEN")):
        with pytest.raises(ValueError, match=message) as caught:
            load_token(token_file, environ)
        assert where in str(caught.value)
        assert content[:8].decode() not in str(caught.value)


def test_longest_token_serves(file: Path) -> None:
    file.write_text("x" * 4096)
    assert load_token(file, {}) == "x" * 4096


@pytest.mark.parametrize(
    ("given", "expected", "same"),
    [
        (TOKEN, TOKEN, True),
        (TOKEN + "x", TOKEN, False),
        (TOKEN[:-1], TOKEN, False),
        ("", TOKEN, False),
        ("", "", True),
        (None, TOKEN, False),
        (TOKEN, None, False),
        (None, None, False),
        ("é\udcff\ud800", TOKEN, False),
        (TOKEN.upper(), TOKEN, False),
    ],
)
def test_matches(given: str | None, expected: str | None, same: bool) -> None:
    assert matches(given, expected) is same
