"""The servers of Debian's packages: redis-server, postgresql, nginx, openssh-server."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.peers.server import HOST, find_program, listening, temporary_folder

PAGE = "0123456789abcdef" * 64
MAX_CLIENTS = 250

NGINX = """\
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000;
    default_type text/plain;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{ listen {host}:{port}; root {folder}/www; }}
}}
"""

# The user's shell reads what is in HOME before each command, and that may take its time.
SSHD = """\
ListenAddress {host}:{port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
StrictModes no
UsePAM no
UseDNS no
PasswordAuthentication no
PermitRootLogin yes
MaxStartups 300
LoginGraceTime 120
PidFile none
LogLevel ERROR
SetEnv HOME={folder}
"""


@contextlib.contextmanager
def redis() -> Iterator[dict[str, Any]]:
    """redis-server, keeping nothing on disk."""
    program = find_program("redis-server")
    with temporary_folder() as folder:

        def command(port: int) -> list[str]:
            return [program, "--port", str(port), "--bind", HOST, "--save", "", "--appendonly", "no"]

        with listening(command, folder) as port:
            yield {"host": HOST, "port": port}


@contextlib.contextmanager
def nginx() -> Iterator[dict[str, Any]]:
    """nginx, serving one page of 1 KiB."""
    program = find_program("nginx")
    with temporary_folder() as folder:
        write_page(folder / "www")
        conf = folder / "nginx.conf"

        def command(port: int) -> list[str]:
            conf.write_text(NGINX.format(folder=folder, host=HOST, port=port))
            return [program, "-e", "stderr", "-p", str(folder), "-c", str(conf)]

        with listening(command, folder) as port:
            yield {"host": HOST, "port": port}


def write_page(folder: Path) -> None:
    """What the HTTP servers serve."""
    folder.mkdir()
    (folder / "page.txt").write_text(PAGE)


@contextlib.contextmanager
def postgres() -> Iterator[dict[str, Any]]:
    """PostgreSQL with a cluster of its own, in which everybody is trusted."""
    program = find_postgres()
    with temporary_folder() as folder:
        # It refuses to run as root; Debian's package has a user for it.
        become = []
        if os.geteuid() == 0:
            become = [find_program("setpriv"), "--reuid=postgres", "--regid=postgres", "--init-groups"]
            shutil.chown(folder, "postgres")
        data = folder / "data"
        initdb = [str(program.with_name("initdb")), "--no-sync", "--auth=trust", "--username=peer", str(data)]
        subprocess.run([*become, *initdb], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        settings = {
            "listen_addresses": HOST,
            "unix_socket_directories": "",
            "max_connections": MAX_CLIENTS,
            "fsync": "off",
            "synchronous_commit": "off",
            "log_min_messages": "fatal",
            "log_min_error_statement": "fatal",
        }

        def command(port: int) -> list[str]:
            options = [f"--{name}={value}" for name, value in {**settings, "port": port}.items()]
            return [*become, str(program), "-D", str(data), *options]

        # SIGINT: end now, connections or not.
        with listening(command, folder, end_signal=signal.SIGINT) as port:
            yield {"host": HOST, "port": port, "user": "peer"}


def find_postgres() -> Path:
    """The server's program of the newest version: Debian keeps each in a folder of its own."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: folder.parent.name.zfill(4))
    return Path(find_program("postgres", *(str(folder) for folder in reversed(folders)))).resolve()


@contextlib.contextmanager
def postgres_for_psycopg() -> Iterator[dict[str, Any]]:
    """The same; its drivers do not agree on what a database's name is called."""
    with postgres() as peer:
        yield {**peer, "dbname": "postgres"}


@contextlib.contextmanager
def postgres_for_pg8000() -> Iterator[dict[str, Any]]:
    """The same, for the drivers that call it `database`."""
    with postgres() as peer:
        yield {**peer, "database": "postgres"}


@contextlib.contextmanager
def ssh() -> Iterator[dict[str, Any]]:
    """sshd, which lets the user in who runs this."""
    program, keygen = find_program("sshd"), find_program("ssh-keygen")
    with temporary_folder() as folder, separation_folder():
        for name in ("host_key", "user_key"):
            key = [keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(key, check=True)
        conf = folder / "sshd_config"

        def command(port: int) -> list[str]:
            conf.write_text(SSHD.format(folder=folder, host=HOST, port=port))
            return [program, "-D", "-e", "-f", str(conf)]

        with listening(command, folder) as port:
            yield {"host": HOST, "port": port, "user": getpass.getuser(), "key": str(folder / "user_key")}


@contextlib.contextmanager
def separation_folder() -> Iterator[None]:
    """The empty folder that sshd wants as root; where systemd runs it is there already."""
    folder = Path("/run/sshd")
    if os.geteuid() != 0 or folder.exists():
        yield
        return
    folder.mkdir(mode=0o755)
    try:
        yield
    finally:
        folder.rmdir()
