"""One measurement: start fresh processes, wait, read their one line.

A process that crashes, hangs or prints anything else raises `MeasurementError` with a part of its standard
error. Every process started here has ended when the function returns, whichever way it returns.
"""

import json
import re
import select
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

from benchmarks.machine import client_core, worker_core
from benchmarks.report import Sample
from benchmarks.rows import Contender, Load

ROOT = Path(__file__).resolve().parent.parent
LIMIT_S = 60
START_LIMIT_S = 20
END_LIMIT_S = 10
SHOWN_CHARACTERS = 3000
REASON_CHARACTERS = 120
# As a traceback names an error: "builtins.OSError: what happened", or the bare name.
ERROR_LINE = re.compile(r"(?:[\w.]+\.)?\w*(?:Error|Exception|Exit|Interrupt)\b.*")


class MeasurementError(Exception):
    """A measuring process gave no number; the message says which one and why.

    reason: why, in one short line without any path: results are passed on.
    """

    def __init__(self, message: str, errors: str = "") -> None:
        super().__init__(f"{message}; its standard error:\n{errors}" if errors else message)
        named = [line.strip() for line in errors.splitlines() if ERROR_LINE.fullmatch(line.strip())]
        reason = named[-1] if named else message.partition("\n")[0]
        for path in (str(ROOT), sys.prefix, sys.base_prefix, str(Path.home())):
            reason = reason.replace(path, "…")
        self.reason = reason[:REASON_CHARACTERS]


def measure(contender: Contender) -> Sample:
    """Measure one contender once; with a load it is an echo server driven by the client.

    Takes seconds. Raises MeasurementError.
    """
    command = _command("benchmarks.worker", contender)
    if contender.load is None:
        return _sample(_finished(command, contender.label), contender.label)
    return _served(command, contender, contender.load)[0]


def profiled(contender: Contender) -> dict[str, Any]:
    """Profile one contender, which must be on coro; returns what `benchmarks.profile_worker` prints.

    Takes seconds. Raises MeasurementError.
    """
    command = _command("benchmarks.profile_worker", contender)
    if contender.load is None:
        output = _finished(command, contender.label)
    else:
        output = _served(command, contender, contender.load)[1]
    try:
        document: dict[str, Any] = json.loads(output)
    except ValueError as error:
        raise MeasurementError(f"{contender.label}: not a profile: {output!r}") from error
    return document


def _served(command: list[str], contender: Contender, load: Load) -> tuple[Sample, str]:
    """Start a server, have the client drive it; return the client's sample and the server's further output."""
    who = f"echo client of {contender.label}"
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT)
        try:
            port = _announced_port(server, errors, contender)
            numbers = (port, server.pid, load.connections, load.warm_ms, load.window_ms)
            client = [*_python(client_of(contender), client_core()), *map(str, numbers)]
            try:
                sample = _sample(_finished(client, who), who)
            except MeasurementError as error:
                status = server.poll()
                state = "still ran" if status is None else f"had ended with status {status}"
                # The beginning: when one connection fails the others follow, and the first error is the cause.
                shown = _errors(errors)[:SHOWN_CHARACTERS]
                raise MeasurementError(f"{error}\nthe server {state}", shown) from error
            server.terminate()
            output, _ = server.communicate(timeout=END_LIMIT_S)
            return sample, output
        except subprocess.TimeoutExpired as error:
            raise MeasurementError(f"{who}: the server did not end within {END_LIMIT_S} s") from error
        finally:
            server.kill()
            server.communicate()


def client_of(contender: Contender) -> str:
    """Return the module that drives the contender's server."""
    return "benchmarks.tls_echo_client" if contender.scenario == "tls_echo" else "benchmarks.echo_client"


def _announced_port(server: subprocess.Popen[str], errors: IO[str], contender: Contender) -> int:
    if server.stdout is None:
        raise MeasurementError(f"{contender.label}: the server's output is not a pipe")
    ready, _, _ = select.select([server.stdout], [], [], START_LIMIT_S)
    line = server.stdout.readline().strip() if ready else ""
    if not line.isdecimal():
        did = (
            "ended"
            if ready and not line
            else f"was silent for {START_LIMIT_S} s"
            if not ready
            else f"said {line!r}"
        )
        message = f"{contender.label}: the echo server {did} instead of announcing a port"
        raise MeasurementError(message, _errors(errors)[-SHOWN_CHARACTERS:])
    return int(line)


def _finished(command: list[str], who: str) -> str:
    """Run a process to its end; return its output."""
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=LIMIT_S, cwd=ROOT, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise MeasurementError(f"{who}: did not finish within {LIMIT_S} s") from error
    shown = ended.stderr[-SHOWN_CHARACTERS:]
    if ended.returncode:
        raise MeasurementError(f"{who}: ended with status {ended.returncode}", shown)
    return ended.stdout


def _sample(output: str, who: str) -> Sample:
    try:
        return Sample.from_line(output)
    except ValueError as error:
        raise MeasurementError(f"{who}: {error}") from error


def _command(module: str, contender: Contender) -> list[str]:
    arguments = [str(argument) for argument in contender.arguments]
    return [*_python(module, worker_core()), contender.library, contender.scenario, *arguments]


def _python(module: str, core: int | None) -> list[str]:
    return [sys.executable, "-m", module, "-" if core is None else str(core)]


def _errors(errors: IO[str]) -> str:
    errors.seek(0)
    return errors.read()
