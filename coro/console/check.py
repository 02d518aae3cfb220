"""`coro check`: the daemon's health as monitoring plugins tell it, by an exit code and one line.

0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.  A daemon that takes the connection and does not answer in time is CRITICAL,
and the line tells what the system shows of its process; where nobody listens, or the question itself is wrong, the
health is UNKNOWN.  `--expr` is evaluated here, over the fields of the loop's health and those of
coro.wire.health.health_fields().

Invariant: answers within its --timeout, counted from the start of this process as far as that can be known.
Imports little: it is started every few seconds.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from typing import Any, Final

from coro.console import link as links
from coro.console import target
from coro.console.failures import CommandFailure, Failure, NoAnswer, UsageFailure
from coro.console.options import Options
from coro.console.outside import Watcher, listener_of, process_age
from coro.wire.commands import COMMANDS, Command, Parameter
from coro.wire.health import EXIT_CODES, health_line
from coro.wire.protocol import STALLED

__all__ = ["CHECK", "DEFAULT_TIMEOUT_S", "UNKNOWN", "run"]

DEFAULT_TIMEOUT_S: Final = 0.8
UNKNOWN: Final = EXIT_CODES["unknown"]
_CHECK_ITSELF: Final = COMMANDS["check"]

CHECK: Final[Command] = dataclasses.replace(
    _CHECK_ITSELF,
    parameters=(
        *_CHECK_ITSELF.parameters,
        Parameter("format", "str", "how to answer", default="text", option=("--format",), choices=("text", "json")),
        Parameter(
            "fail_on",
            "str",
            "from which status on to exit with a code other than 0",
            default="warning",
            option=("--fail-on",),
            choices=("warning", "critical"),
        ),
    ),
)
# What is only ours, and not the daemon's to know.
_OURS: Final = ("format", "fail_on", "expr")


def run(options: Options) -> int:
    """Ask, print one line or one JSON object, and return the plugin's exit code.  Never raises Failure."""
    timeout = options.timeout or DEFAULT_TIMEOUT_S
    # The age is not to be believed when a shell replaced itself by us; half of the time is left in any case.
    deadline = time.monotonic() + timeout - min(process_age() or 0.0, timeout / 2)
    arguments: dict[str, Any] = {}
    try:
        arguments = _arguments(options)
        health = _judged(_ask(options, arguments, deadline), arguments["expr"] or ())
    except NoAnswer as failure:
        health = _verdict("critical", str(failure), failure.pid)
    except Failure as failure:
        stalled = isinstance(failure, CommandFailure) and failure.code == STALLED
        health = _verdict("critical" if stalled else "unknown", str(failure))
    except Exception as fault:
        # A traceback would exit with 1, which a monitor takes for a warning.
        health = _verdict("unknown", f"a fault of coro check itself: {type(fault).__name__}: {fault}")
    if options.json or arguments.get("format") == "json":
        print(json.dumps(health, ensure_ascii=True))
    else:
        print(health_line(health))
    status = health["status"]
    if status == "warning" and arguments.get("fail_on") == "critical":
        status = "ok"
    return EXIT_CODES[status]


def _arguments(options: Options) -> dict[str, Any]:
    from coro.wire.arguments import UsageError, parse

    if options.fault is not None:
        raise options.fault
    if options.watch is not None:
        raise UsageFailure("check cannot be watched; let the monitor repeat it")
    try:
        values: dict[str, Any] = parse(CHECK, options.words)
        if values["expr"]:
            from coro.wire.filters import compile_filter

            for expression in values["expr"]:
                # A wrong one is wrong whatever the daemon answers.
                compile_filter(expression)
    except UsageError as error:
        raise UsageFailure(str(error)) from error
    return values


def _ask(options: Options, arguments: dict[str, Any], deadline: float) -> dict[str, Any]:
    """The daemon's health record.  Raises Failure; NoAnswer tells what the outside shows."""
    address = target.find(options.target)
    try:
        link = links.connect(options, address, deadline, secret=False)
    except target.Crowded as failure:
        raise _with_outside(failure, address) from failure
    # A parameter that was not typed is not sent: an older daemon may not know it, and has the same default.
    params = {
        parameter.name: arguments[parameter.name]
        for parameter in CHECK.parameters
        if parameter.name not in _OURS and arguments[parameter.name] not in (parameter.default, [], ())
    }
    with link:
        client = link.client
        hello = client.hello_message("coro-check", links.token_for(options, address))
        request = client.request("check", params)
        try:
            client.send(hello, request, deadline=deadline)
            value = client.answer_to(request, deadline)["value"]
        except NoAnswer as failure:
            raise links.with_outside(failure, link) from failure
    if not isinstance(value, dict) or value.get("status") not in tuple(EXIT_CODES):
        raise Failure(f"{address.text} answered with something else than a health record")
    return value


def _with_outside(failure: target.Crowded, address: target.Address) -> NoAnswer:
    """The failure with what the system shows of a daemon to which there is no connection that could name it."""
    pid = address.pid
    if address.path is not None:
        pid = listener_of(address.path, time.monotonic() + 0.1) or pid
    if pid is None:
        return failure
    watcher = Watcher(pid)
    # Its CPU use cannot be told in no time.
    time.sleep(Watcher.SHORTEST_S)
    told = NoAnswer(f"{failure}: {watcher.look().text()}")
    told.pid = pid
    return told


def _verdict(status: str, text: str, pid: int | None = None) -> dict[str, Any]:
    """A health record made by the client, which knows nothing of the daemon."""
    return {
        "schema": "coro.health/1",
        "status": status,
        "code": EXIT_CODES[status],
        "pid": pid,
        "uptime_s": None,
        "loop": None,
        "threads": None,
        "checks": [_check("answer", status, " ".join(text.split()))],
        "answered_by": None,
    }


def _check(name: str, status: str, text: str) -> dict[str, Any]:
    return {"name": name, "status": status, "value": None, "warn": None, "crit": None, "unit": "", "text": text}


# -- --expr


def _judged(health: dict[str, Any], expressions: Sequence[str]) -> dict[str, Any]:
    """The health with one check more for each expression, and the worst status of all.  Raises UsageFailure."""
    if not expressions:
        return health
    from coro.wire.filters import FilterError, compile_filter
    from coro.wire.health import health_fields

    loop = health.get("loop")
    facts = {**(loop if isinstance(loop, dict) else {}), **health_fields(health)}
    checks = list(health.get("checks") or ())
    status = health["status"]
    for expression in expressions:
        try:
            holds = compile_filter(expression).matches(facts)
        except FilterError as error:
            raise UsageFailure(str(error)) from error
        text = f"{expression}: {'holds' if holds else 'does not hold'}"
        checks.append(_check("expr", "ok" if holds else "critical", text))
        if not holds and status != "unknown":
            status = "critical"
    return {**health, "checks": checks, "status": status, "code": EXIT_CODES[status]}
