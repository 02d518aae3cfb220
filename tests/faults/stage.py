"""Running a scenario with a fault, and looking at what it did and left."""

import gc
import io
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import coro
from coro import signals, testing
from coro.descriptors import descriptors
from coro.leftovers import abandon
from coro.loop import loop
from coro.timed import timers
from tests.faults.shim import OS_THREAD, Fault, Shim
from tests.faults.sites import Site

# How long descriptors that OS threads hold may take to be closed.
_GRACE_S = 2.0
_ROUNDS = 5
# What those see whose peer met the fault.
# The last one: the file of a Unix socket goes with its server.
CONSEQUENCES = (ConnectionError, EOFError, coro.ClosedError, coro.Shutdown, FileNotFoundError)


@dataclass(frozen=True, slots=True)
class Receipt:
    """An exception, and the thread that got it; "loop" if it left the loop, "report" for a server's report."""

    who: str
    error: str
    # Whether it is, or was raised because of, what the shim injected.
    injected: bool
    consequence: bool


@dataclass(slots=True)
class Result:
    """What a run came to.

    hits, threads, whats: where faults happened, in which threads, and what they were.
    calls: all system calls, in order.
    """

    hits: list[Site]
    threads: list[str]
    whats: list[str]
    receipts: list[Receipt]
    leftovers: list[str]
    bystander_finished: bool
    loop_failed: bool
    calls: list[Site]
    stderr: str

    @property
    def outcome(self) -> str:
        """Who was told of the fault, in the words of the table; a longer text if that is nobody of those."""
        told = {receipt.who for receipt in self.receipts if receipt.injected}
        if self.loop_failed:
            return "loop" if "loop" in told else f"the loop failed otherwise: {self.receipts}"
        if "report" in told:
            return "server"
        # What was raised in a thread's stead in an OS thread comes to whoever waits for that.
        if told and (told <= set(self.threads) or OS_THREAD in self.threads):
            return "caller"
        if told:
            return f"it happened to {self.threads}, and these were told: {told}"
        # A socket in the way that cannot be asked counts as one that is in use, and so on.
        if any(receipt.who in self.threads and not receipt.consequence for receipt in self.receipts):
            return "caller"
        return "stderr" if self.stderr else "nobody"

    def wrong(self) -> list[str]:
        """What must not be, whatever has failed: leftovers, strange errors, somebody who did not finish."""
        found = list(self.leftovers)
        found += [
            f"{receipt.who} got {receipt.error}"
            for receipt in self.receipts
            if not receipt.injected and not receipt.consequence and receipt.who not in self.threads
        ]
        if not self.bystander_finished and not self.loop_failed:
            found.append("the bystander did not finish")
        if "abandoned" in self.stderr:
            found.append(self.stderr)
        return found


class Stage:
    """Where a scenario plays; its parts are threads."""

    def __init__(self, shim: Shim, folder: str, ends: tuple[coro.sock, coro.sock]) -> None:
        self.shim = shim
        self.folder = folder
        self.receipts: list[Receipt] = []
        self.parts: list[coro.coro] = []
        # Of the bystander and its friend; made and closed where no fault is injected.
        self.ends = ends
        self.bystander_finished = False

    def part(self, function: Callable[..., object], *args: Any, name: str) -> None:
        """Start a thread of the scenario; what it raises is kept."""
        self.parts.append(coro.spawn(self._play, function, args, thread_name=name))

    def join(self) -> None:
        """Wait for all parts to end."""
        while self.parts:
            self.parts.pop().join()

    def note(self, who: str, error: BaseException) -> None:
        """Keep what somebody got; without its traceback, which would keep sockets alive."""
        chain: BaseException | None = error
        injected = False
        while chain is not None and not injected:
            injected = any(self._is(chain, who, cause) for cause in self.shim.errors)
            chain = chain.__cause__ or chain.__context__
        text = f"{type(error).__name__}: {error}"
        self.receipts.append(Receipt(who, text, injected, isinstance(error, CONSEQUENCES)))

    def _is(self, error: BaseException, who: str, cause: BaseException) -> bool:
        """Whether an error is what the shim injected, or that in another form: then it has its number still."""
        if error is cause:
            return True
        same = isinstance(error, OSError) and isinstance(cause, OSError) and error.errno == cause.errno
        return same and who in (*self.shim.hit_threads, "loop")

    def report(self, message: str) -> None:
        """What a server reports."""
        expected = any(os.strerror(getattr(error, "errno", 0) or 0) in message for error in self.shim.errors)
        self.receipts.append(Receipt("report", message, expected, False))

    def _play(self, function: Callable[..., object], args: tuple[Any, ...]) -> None:
        try:
            function(*args)
        except coro.Shutdown:
            raise
        except BaseException as error:
            self.note(coro.current().name, error)

    def main(self, scenario: Callable[["Stage"], object]) -> None:
        """The first thread: plays the scenario beside a bystander."""
        bystanders = [coro.spawn(_exchange, end, thread_name="bystander") for end in self.ends]
        self._play(scenario, (self,))
        self.join()
        for bystander in bystanders:
            bystander.join()
        self.bystander_finished = True


def _exchange(end: coro.sock) -> None:
    for _ in range(_ROUNDS):
        end.send(b"x")
        end.recv(1)
        coro.sleep_relative(0.001)


def run(
    scenario: Callable[[Stage], object], fault: Fault | None, shim: Shim, folder: str, patch: pytest.MonkeyPatch
) -> Result:
    """Play a scenario in a loop of its own, with a fault or without."""
    loop.replace_wakeup()
    before, live_before = open_descriptors(), coro.get_live_sockets()
    left, right = coro.socketpair()
    stderr = io.StringIO()
    unraisable: list[str] = []
    with patch.context() as during, warnings.catch_warnings():
        warnings.simplefilter("error")
        during.setattr("coro.stderr.saved_stderr", stderr)
        during.setattr(sys, "unraisablehook", lambda args: unraisable.append(f"{args.err_msg}: {args.exc_value!r}"))
        with left, right:
            stage = Stage(shim, folder, (left, right))
            coro.set_exception_notifier(lambda thread, error: stage.note(thread.name, error))
            loop_failed = _run_armed(stage, scenario, fault)
        leftovers = _leftovers(before, live_before)
        if leftovers:
            # The next run is not to be blamed for them.
            abandon()
        coro.set_exception_notifier(None)
    return Result(
        shim.hits,
        shim.hit_threads,
        shim.whats,
        stage.receipts,
        leftovers + unraisable,
        stage.bystander_finished,
        loop_failed,
        shim.calls,
        stderr.getvalue(),
    )


def _run_armed(stage: Stage, scenario: Callable[[Stage], object], fault: Fault | None) -> bool:
    """Run the loop; returns whether it failed."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)}
    stage.shim.arm(fault)
    try:
        testing.run(stage.main, scenario)
    except coro.Shutdown:
        return True
    except Exception as error:
        stage.note("loop", error)
        return True
    finally:
        stage.shim.disarm()
        # In case that this has failed.
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        signals._replaced.clear()
        # The clock's reference to the loop that has failed, and what its threads held.
        loop.replace_wakeup()
    return False


def open_descriptors() -> dict[str, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            # The one that listdir() read with.
            continue
    return found


def _leftovers(before: dict[str, str], live_before: int) -> list[str]:
    """What a run left behind."""
    gc.collect()
    found = [f"thread {thread!r}" for thread in coro.all_threads.values()]
    found += [f"timer {timer!r}" for timer in timers.pending()]
    found += [f"entry {entry!r} in the table of descriptors" for entry in descriptors.table.values()]
    if loop.running or coro.coro_is_running():
        found.append("a loop that is running")
    if coro.get_live_sockets() > live_before:
        found.append(f"{coro.get_live_sockets() - live_before} sockets")
    deadline = time.monotonic() + _GRACE_S
    while (more := _more_than(before)) and time.monotonic() < deadline:
        time.sleep(0.001)
    return found + [f"descriptor {number} -> {target}" for number, target in more.items()]


def _more_than(before: dict[str, str]) -> dict[str, str]:
    return {number: target for number, target in open_descriptors().items() if before.get(number) != target}
