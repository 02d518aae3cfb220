"""The sentinel: an OS thread that watches the loop, and answers in its place while it is stuck.

It sleeps in poll() and wakes ten times a second, four times while nobody is connected.  Then it compares the
loop's count of turns with what it saw last, and looks for lines that hog the loop.  What it reads of the threads
may be in motion; what it says is marked.

Rules: it takes no lock that a stuck thread may hold (no logging, no import, no stdout); it reports a stall once, by
os.write, and the loop logs it afterwards.  When it has overslept itself (the whole process was stopped), that is no
stall of the loop's.
"""

from __future__ import annotations

import errno
import logging
import os
import resource
import select
import sys
import threading
import time
import traceback
from typing import Any

from coro import collector
from coro.backdoor.host import Host
from coro.backdoor.interrupting import REPEAT_S, strikes
from coro.backdoor.long_turns import LongTurns, who_ran
from coro.backdoor.stalled import StalledService
from coro.inspect import outside
from coro.inspect.history import history
from coro.inspect.lag import queue_ns
from coro.inspect.names import safe_name
from coro.inspect.stalls import Stall, stall_log
from coro.loop import loop
from coro.records import CulpritRecord, FrameRecord, StallRecord
from coro.scheduler import scheduler
from coro.wakeup import Wakeup
from coro.wire.escape import printable

__all__ = ["Sentinel"]

logger = logging.getLogger("coro.backdoor")

TICK_S = 0.1
# While nobody is connected.  Each waking of an OS thread takes the GIL from a busy loop, which costs it some
# milliseconds: ten times a second that was 4 % of an echo's time.
UNOBSERVED_TICK_S = 0.25
# So late a tick means that this OS thread was kept from running.
OVERSLEPT_S = 0.2
# While a stall lasts, its culprit's stack is read again so often.
CULPRIT_PERIOD_S = 0.25
# How often the server is reminded of what is to be done now and then.
HOUSE_PERIOD_NS = 60_000_000_000
STDERR = 2
# Where the kernel does not count by OS thread, the process will do: stopped, it does nothing at all.
_WHOSE = getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)


class Sentinel:
    """The OS thread of one backdoor."""

    def __init__(self, host: Host, server: Any) -> None:
        self._host = host
        self._server = server
        self._service = StalledService(host, server)
        self._thread: threading.Thread | None = None
        self._wakeup: Wakeup | None = None
        self._stopping = False
        # What was seen at the last tick.
        self._tick_ns = 0
        self._own_switches = 0
        self._turns = -1
        # The loop is not late before this moment: the process was stopped, or has just begun.
        self._not_before_ns = 0
        self._stall: Stall | None = None
        self._stall_since_ns = 0
        self._culprit_read_ns = 0
        self._run_times: dict[int, int] = {}
        self._period_s = TICK_S
        self._house_due_ns = 0
        self._long_turns = LongTurns()
        self._looked_ns = 0

    def start(self) -> None:
        """Start watching.  Does nothing if it watches already."""
        if self._thread is not None or self._stopping:
            return
        self._wakeup = Wakeup()
        self._not_before_ns = self._looked_ns = scheduler.clock()
        self._long_turns.forget()
        self._thread = threading.Thread(target=self._run, name="coro sentinel", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; the OS thread ends within milliseconds, and is waited for unless this is it."""
        self._stopping = True
        thread, wakeup = self._thread, self._wakeup
        if thread is None or wakeup is None:
            return
        wakeup.notify()
        if thread.is_alive() and thread is not threading.current_thread():
            thread.join(1.0)
        self._thread = None

    def forget(self) -> None:
        """In a forked child: the OS thread is the parent's."""
        self._thread = None
        self._stopping = True
        stall, self._stall = self._stall, None
        if stall is not None:
            # It may have been the stuck thread that forked; here nobody would see the end of it.
            stall.finish(int(stall.record.duration_s * 1e9))
        if self._wakeup is not None:
            self._wakeup.close()

    # -- the OS thread

    def _run(self) -> None:
        wakeup = self._wakeup
        assert wakeup is not None
        failures = 0
        self._tick_ns = scheduler.clock()
        self._own_switches = _switches()
        while not self._stopping:
            try:
                self._sleep(wakeup)
                if not self._stopping:
                    self._tick()
            except Exception:
                failures += 1
                if failures == 1:
                    # Told once; it goes on, since a watchman who leaves is worse.
                    _tell(f"coro: the sentinel failed:\n{traceback.format_exc()}")
                time.sleep(TICK_S)
        if self._stall is not None:
            # Nobody will see its end, and the log must not say for ever that it goes on.
            self._end_stall(scheduler.clock())
        wakeup.close()

    def _sleep(self, wakeup: Wakeup) -> None:
        poller = select.poll()
        poller.register(wakeup.fileno(), select.POLLIN)
        in_charge = self._stall is not None
        if in_charge:
            for fd, events in self._service.wanted():
                poller.register(fd, events)
        period_s = TICK_S if self._host.sessions or self._host.tickets else UNOBSERVED_TICK_S
        if in_charge or strikes.lines or strikes.wanted or self._host.stall_threshold < 2 * TICK_S:
            period_s = REPEAT_S
        self._period_s = period_s
        try:
            poller.poll(period_s * 1000)
        except OSError as error:
            # A descriptor that the loop closed meanwhile is reported as an event, not as an error.
            if error.errno != errno.EINTR:
                raise
        wakeup.drain()

    def _tick(self) -> None:
        now = scheduler.clock()
        self._notice_oversleeping(now)
        self._tick_ns = now
        history.sample(now)
        self._watch(now)
        self._strike(now)
        if self._stall is not None and self._stall.record.kind == "slice":
            self._service.serve(now, self._stall.record)
        self._service.answer_late_checks(now, self._stall is not None)
        if now >= self._house_due_ns:
            self._house_due_ns = now + HOUSE_PERIOD_NS
            loop.post(self._server.keep_house)
        # Again: answering may have taken a while.
        self._tick_ns = scheduler.clock()
        self._own_switches = _switches()

    def _notice_oversleeping(self, now: int) -> None:
        """Tell a stopped process from a call that kept the GIL: for the latter we have waited, awake."""
        late_ns = now - self._tick_ns
        if late_ns < (self._period_s + OVERSLEPT_S) * 1e9:
            return
        if (_switches() - self._own_switches) * sys.getswitchinterval() * 4e9 >= late_ns:
            return
        self._not_before_ns = now
        self._long_turns.forget()
        history.forget()
        if self._stall is not None:
            # It was real, as far as it was seen.
            self._end_stall(self._tick_ns)

    # -- watching

    def _watch(self, now: int) -> None:
        threshold_ns = int(self._host.stall_threshold * 1e9)
        since = max(loop.last_poll_ns, self._not_before_ns)
        turns = loop.iterations
        has_turned = turns != self._turns
        self._turns = turns
        idle = not loop.running or outside.loop_is_polling()
        ended = (has_turned or idle) and self._in_slice()
        if ended:
            self._end_slice(since if has_turned else now)
        self._tell_missed(now, threshold_ns)
        if not idle and now - since >= threshold_ns and loop.iterations == turns:
            self._stalled(now, since)
        elif self._in_slice():
            self._end_stall(now)
        elif not ended:
            self._watch_queue(now, threshold_ns)

    def _in_slice(self) -> bool:
        return self._stall is not None and self._stall.record.kind == "slice"

    def _end_slice(self, end: int) -> None:
        """The turn that was seen to last is over: the loop has written it down as well."""
        assert self._stall is not None
        self._long_turns.leave_out(int(self._stall.record.duration_s * 1e9))
        self._end_stall(end)

    def _tell_missed(self, now: int, threshold_ns: int) -> None:
        """Tell of stalls that were over before they were seen."""
        former, self._looked_ns = self._looked_ns, now
        for took_ns in self._long_turns.take():
            # One that may have begun before we did, or before the process was stopped, is none.
            if took_ns < threshold_ns or former - took_ns < self._not_before_ns:
                continue
            stall = stall_log.begin(time.time() - took_ns / 1e9, took_ns, who_ran(took_ns, former - took_ns))
            collector_s = min(collector.pause_ns_within(former - took_ns, now), took_ns) / 1e9
            loop.post(_log_stall, stall.finish(took_ns, collector_s=collector_s))

    def _watch_queue(self, now: int, threshold_ns: int) -> None:
        """Many short slices may add up: then the first in the queue has waited for long."""
        waited = queue_ns(now)
        if waited < threshold_ns or now - self._not_before_ns < threshold_ns:
            if self._stall is not None:
                self._end_stall(now)
            return
        if self._stall is None:
            self._stall_since_ns = now - waited
            self._run_times = _run_times()
            self._stall = stall_log.begin(time.time() - waited / 1e9, waited, None, "queue")
            return
        culprits = _busiest(self._run_times)
        self._stall.update(now - self._stall_since_ns, culprits=culprits)

    def _stalled(self, now: int, since: int) -> None:
        if self._stall is not None and self._stall.record.kind == "queue":
            self._end_stall(now)
        if self._stall is None:
            who = outside.culprit()
            self._stall_since_ns = since
            self._culprit_read_ns = now
            self._stall = stall_log.begin(time.time() - (now - since) / 1e9, now - since, who)
            _tell(f"coro: the loop has not turned for {(now - since) / 1e9:.2f} s: {describe(who)}\n")
        elif now - self._culprit_read_ns >= CULPRIT_PERIOD_S * 1e9:
            self._culprit_read_ns = now
            self._stall.add_culprit(outside.culprit())
        self._stall.update(now - self._stall_since_ns, interrupted=self._stall.record.interrupted)

    def _end_stall(self, end: int) -> None:
        stall, self._stall = self._stall, None
        assert stall is not None
        collector_s = collector.pause_ns_within(self._stall_since_ns, end) / 1e9
        duration = max(end - self._stall_since_ns, int(stall.record.duration_s * 1e9))
        record = stall.finish(duration, collector_s=collector_s)
        loop.post(_log_stall, record)
        self._service.hand_back()

    # -- interrupting

    def _strike(self, now: int) -> None:
        """Interrupt lines that hog the loop, and whoever was asked to be interrupted while it does."""
        running = scheduler.current
        line = None if running is None else strikes.lines.get(running)
        if line is not None:
            limit = self._host.limits.eval_limit
            if line.reason is None and self._service.interrupt_typed(running):
                line.reason = "Ctrl-C"
            if line.reason is None and now - max(scheduler.now, self._not_before_ns) >= limit * 1e9:
                line.reason = f"the eval limit of {limit:g} s, for which it kept all other threads waiting"
        wants = (line is not None and line.reason is not None) or (
            running is not None and running in strikes.wanted
        )
        is_due = wants and now - max(scheduler.now, self._not_before_ns) >= REPEAT_S * 0.5e9
        if is_due and strikes.send() and self._stall is not None:
            self._stall.update(now - self._stall_since_ns, interrupted=True)
        for thread in list(strikes.wanted):
            if thread is not running:
                # It gave way by itself: the loop can interrupt it now.
                exception = strikes.wanted.pop(thread, None)
                if exception is not None:
                    loop.post(_interrupt_in_loop, thread, exception)


def _interrupt_in_loop(thread: Any, exception: BaseException) -> None:
    if not thread.dead and thread is not scheduler.current and thread.started:
        scheduler.interrupt(thread, exception)


def _run_times() -> dict[int, int]:
    return {thread.id: thread.run_time_ns for thread in list(scheduler.all_threads.values())}


def _busiest(before: dict[int, int]) -> tuple[CulpritRecord, ...]:
    """The three threads that ran longest since."""
    ran = [
        (thread.run_time_ns - before.get(thread.id, 0), thread)
        for thread in list(scheduler.all_threads.values())
        if not thread.dead
    ]
    ran.sort(key=lambda entry: -entry[0])
    culprits = []
    for ran_ns, thread in ran[:3]:
        try:
            frames: tuple[FrameRecord, ...] = outside.stack(thread.id).frames
        except KeyError:
            frames = ()
        culprits.append(CulpritRecord(thread.id, safe_name(thread), ran_ns / 1e9, frames, True))
    return tuple(culprits)


def describe(who: CulpritRecord) -> str:
    """A culprit in one line, fit for a terminal."""
    name = f"thread {who.id} {who.name!r}" if who.id is not None else who.name
    place = ""
    if who.frames:
        frame = who.frames[-1]
        place = f" in {frame.function} ({frame.file}:{frame.line})"
    return printable(f"{name}{place}")


def _log_stall(record: StallRecord) -> None:
    """In the loop, when it turns again."""
    who = "; ".join(describe(culprit) for culprit in record.culprits) or "nobody in particular"
    pause = (
        f", of which the garbage collector took {record.collector_s:.2f} s" if record.collector_s >= 0.001 else ""
    )
    logger.warning("the loop was held up for %.2f s (%s)%s: %s", record.duration_s, record.kind, pause, who)


def _switches() -> int:
    """How often this OS thread went to sleep by itself.

    Waiting for the GIL it wakes up at every switch interval, to ask for it; in a stopped process it does not.
    """
    return resource.getrusage(_WHOSE).ru_nvcsw


def _tell(text: str) -> None:
    poller = select.poll()
    poller.register(STDERR, select.POLLOUT)
    try:
        # So much a pipe takes without blocking once it is writable; one that nobody empties must not hold us up.
        if poller.poll(0):
            os.write(STDERR, text.encode("utf-8", "backslashreplace")[-select.PIPE_BUF :])
    except OSError:
        # A daemon without stderr: the stall log has it.
        return
