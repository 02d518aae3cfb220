"""The examples of the pages that need a server: `make test` cannot run them, so `make peers` does."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from unittest import mock

from tests.peers import debian
from tests.peers.case import ROOT, Peer
from tests.test_docs_examples import examples_of, fault_of

FOLDER = "docs/run-what-you-have"
LIMIT_S = 60.0
# Page -> the server, and which variables of the environment its examples take what from.
PAGES: dict[str, tuple[Peer, dict[str, str]]] = {
    "redis.md": (debian.redis, {"REDIS_PORT": "port"}),
    "postgresql.md": (
        debian.postgres_for_psycopg,
        {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGDATABASE": "dbname"},
    ),
    "ssh.md": (debian.ssh, {"SSH_HOST": "host", "SSH_PORT": "port", "SSH_USER": "user", "SSH_KEY": "key"}),
}


def faults_of_page(name: str) -> list[str]:
    """Run the examples of a page that the tests leave out; what is wrong with them.

    Raises MissingProgram if the server is not installed.
    """
    page = f"{FOLDER}/{name}"
    left_out = [e for e in examples_of(page, (ROOT / page).read_text(encoding="utf-8")) if e.not_run is not None]
    if not left_out:
        return [f"{page}: no example needs a server any more"]
    faults = []
    server, variables = PAGES[name]
    with server() as peer, tempfile.TemporaryDirectory() as folder:
        given = {variable: str(peer[key]) for variable, key in variables.items()}
        with mock.patch.dict(os.environ, given):
            for example in left_out:
                fault = fault_of(example, Path(folder), LIMIT_S)
                if fault is not None:
                    faults.append(f"{page}:{example.line}: {fault}")
    return faults
