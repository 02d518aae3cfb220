"""What the tests of the worker share: gunicorns that end with the test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("gunicorn")

from tests.gunicorn.daemon import Gunicorn

Start = Callable[..., Gunicorn]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Give a function that starts a gunicorn with these options."""
    started: list[Gunicorn] = []

    def start_one(*options: str, **settings: object) -> Gunicorn:
        folder = tmp_path / str(len(started))
        folder.mkdir()
        started.append(Gunicorn(folder, *options, **settings))  # type: ignore[arg-type]
        return started[-1]

    yield start_one
    for one in started:
        one.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    """One gunicorn for all tests of a module, which leave it as it was."""
    folder = tmp_path_factory.mktemp("server")
    server = Gunicorn(folder, "--access-logfile", str(folder / "access.log"), "--keep-alive", "20")
    yield server
    server.close()
