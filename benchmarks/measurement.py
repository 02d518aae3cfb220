"""One measurement: start fresh processes, wait, read their one line.

A process that crashes, hangs or prints anything else raises `MeasurementError` with the end of its standard
error. Every process started here has ended when the function returns, whichever way it returns.
"""

import select
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

from benchmarks.machine import client_core, worker_core
from benchmarks.report import Sample
from benchmarks.rows import CLIENT_WARM_MS, CLIENT_WINDOW_MS, Contender

ROOT = Path(__file__).resolve().parent.parent
LIMIT_S = 60
START_LIMIT_S = 20
SHOWN_CHARACTERS = 3000


class MeasurementError(Exception):
    """A measuring process gave no number; the message says which one and why."""


def measure(contender: Contender, connections: int | None) -> Sample:
    """Measure one contender once; with `connections` it is an echo server driven by the client.

    Takes seconds. Raises MeasurementError.
    """
    if connections is None:
        return _finished(_worker_command(contender), contender.label)
    return _measure_echo(contender, connections)


def _measure_echo(contender: Contender, connections: int) -> Sample:
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        server = subprocess.Popen(
            _worker_command(contender), stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT
        )
        try:
            port = _announced_port(server, errors, contender)
            numbers = (port, server.pid, connections, CLIENT_WARM_MS, CLIENT_WINDOW_MS)
            command = [*_python("benchmarks.echo_client", client_core()), *map(str, numbers)]
            try:
                return _finished(command, f"echo client of {contender.label}")
            except MeasurementError as error:
                status = server.poll()
                state = "still ran" if status is None else f"had ended with status {status}"
                raise MeasurementError(
                    f"{error}\nthe server {state}; its standard error:\n{_beginning(errors)}"
                ) from error
        finally:
            server.kill()
            server.communicate()


def _announced_port(server: subprocess.Popen[str], errors: IO[str], contender: Contender) -> int:
    if server.stdout is None:
        raise MeasurementError(f"{contender.label}: the server's output is not a pipe")
    ready, _, _ = select.select([server.stdout], [], [], START_LIMIT_S)
    line = server.stdout.readline().strip() if ready else ""
    if not line.isdecimal():
        raise MeasurementError(
            f"{contender.label}: the echo server announced no port within {START_LIMIT_S} s, "
            f"but {line!r}; its standard error:\n{_beginning(errors)}"
        )
    return int(line)


def _finished(command: list[str], who: str) -> Sample:
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=LIMIT_S, cwd=ROOT, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise MeasurementError(f"{who}: did not finish within {LIMIT_S} s") from error
    shown = ended.stderr[-SHOWN_CHARACTERS:]
    if ended.returncode:
        raise MeasurementError(f"{who}: ended with status {ended.returncode}; its standard error:\n{shown}")
    try:
        return Sample.from_line(ended.stdout)
    except ValueError as error:
        raise MeasurementError(f"{who}: {error}; its standard error:\n{shown}") from error


def _worker_command(contender: Contender) -> list[str]:
    arguments = [str(argument) for argument in contender.arguments]
    return [*_python("benchmarks.worker", worker_core()), contender.library, contender.scenario, *arguments]


def _python(module: str, core: int | None) -> list[str]:
    return [sys.executable, "-m", module, "-" if core is None else str(core)]


def _beginning(errors: IO[str]) -> str:
    # The beginning: when one connection fails the others follow, and the first traceback is the cause.
    errors.seek(0)
    return errors.read(SHOWN_CHARACTERS)
