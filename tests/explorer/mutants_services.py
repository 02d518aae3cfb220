"""Faults planted in groups, pools, timeouts, sockets and the like, each with the scenario that must find it."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import coro
import coro.group
import coro.os_thread.calls
import coro.parallel
import coro.thread
import coro.timeouts
from coro.descriptor_state import DescriptorState
from coro.descriptors import Descriptor, Descriptors
from coro.group import Crew, Group
from coro.os_thread.job import Job
from coro.os_thread.pool import OSThreadPool
from coro.pool import Pool, _MapGroup, _Results
from coro.read_stream import buffered_stream
from coro.run_queue import RunQueue
from coro.scheduler import Scheduler
from coro.server.server import Server
from coro.shield import OwnInterrupt, Shield
from coro.socket.receiving import ReceivingSocket
from coro.socket.sending import SendingSocket
from coro.timeouts import TimeoutScope
from tests.explorer import (
    services_frames,
    services_groups,
    services_joining,
    services_os_threads,
    services_parallel,
    services_parking,
    services_pools,
    services_servers,
    services_sockets,
)
from tests.explorer.mutant import Mutant

__all__ = ["MUTANTS"]


# The schedules that a fault needs at most; most are found within a hundred.
_WITHOUT: dict[str, Any] = {"schedules": 3000, "descriptors": False}
_WITH = {**_WITHOUT, "interrupts": 2}
_MANY = {**_WITHOUT, "schedules": 20_000}
_REAL = {"schedules": 2000}
_OPTIONS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("joining_one", "groups", "group_of_two", "group_ended_by_its_body", "pool_of_one"), _WITH),
    **dict.fromkeys(("pool_closed_while_waiting", "parallel", "parallel_pair", "call_left"), _WITH),
    **dict.fromkeys(("calls_in_os_threads", "scheduled_from_os_thread", "disturbed_sleepers"), _WITH),
    **dict.fromkeys(("maps", "pools"), _MANY),
    "streams": {"schedules": 2000, "interrupts": 2},
    "lines": {"schedules": 2000, "interrupts": 2},
    "waits_by_number": {"schedules": 2000, "interrupts": 2},
    **dict.fromkeys(("echo", "large_piece", "closed_while_waiting", "second_reader"), _REAL),
    **dict.fromkeys(("servers", "server_at_its_cap", "server_stopped"), _REAL),
}


def _mutants(
    area: str,
    scenarios: ModuleType,
    *entries: tuple[str, type | ModuleType, str, str, str, str],
) -> list[Mutant]:
    """Mutants of one area; each entry is (the fault, owner, attribute, old, new, name of the scenario)."""
    made = []
    for fault, owner, attribute, old, new, name in entries:
        scenario: Callable[[], object] = getattr(scenarios, name)
        options = _OPTIONS.get(name, _WITHOUT)
        made.append(Mutant(f"{area}: {fault}", owner, attribute, old, new, scenario, options))
    return made


_JOINING = _mutants(
    "joining",
    services_joining,
    ("believes a bare wake-up", coro.coro, "join", ", lambda: self.dead", "", "join_and_timeout_at_once"),
    ("stays registered", coro.coro, "join", "self.joiners.remove(me)", "pass", "joining"),
    ("goes on observing", coro.coro, "result", "self.observers -= 1", "pass", "joining_one"),
    (
        "interrupts who asks",
        coro.coro,
        "result",
        "isinstance(error, Interrupted) and not isinstance(error, TimeoutError)",
        "False",
        "joining",
    ),
    ("the end wakes nobody", RunQueue, "tell_joiners", "self.wake(joiner)", "pass", "joining_one"),
    ("the timeout wins", coro.thread, "park_timed", "elif done():", "elif done() and timer[2]:", "joining_one"),
    (
        "the end is not awaited",
        RunQueue,
        "tell_joiners",
        "in joiners",
        "in joiners[:0]",
        "join_and_timeout_at_once",
    ),
)

_GROUPS = _mutants(
    "groups",
    services_groups,
    ("waits once", Crew, "join", "while self.threads:", "if self.threads:", "groups"),
    (
        "an interrupt shuts nobody down",
        Crew,
        "join",
        "self.shut_down()\n            return",
        "return",
        "knocked_thrice",
    ),
    ("shuts down twice", Crew, "shut_down", "self._is_shut_down = True", "pass", "group_ended_by_its_body"),
    ("its end is not noticed", Crew, "_ended", "scheduler.wake(waiting)", "pass", "group_ended_by_its_body"),
    ("a failure is swallowed", Group, "_ended", "self._failures.append((thread, error))", "pass", "groups"),
    ("a failure stops nobody", Group, "_ended", "self.shutdown()", "pass", "group_of_two"),
    ("the body goes on", Group, "_ended", "interrupt.send(self)", "pass", "group_of_two"),
    ("Shutdown is a failure", Group, "_ended", " or isinstance(error, Shutdown)", "", "groups"),
    ("its own interrupt stays", Group, "_take_own_interrupt", "interrupt.withdraw()", "pass", "groups"),
    ("failures are told twice", Group, "spawn", "thread.observers += 1", "pass", "groups"),
    ("failures are kept back", Group, "__exit__", "settle(interrupts, failures)", "settle(interrupts)", "groups"),
    ("an interrupt is a failure", coro.group, "_leaves_bare", "return True", "return False", "knocked_owner"),
    (
        "the last interrupt comes first",
        coro.group,
        "settle",
        "interrupts[0]\n",
        "interrupts[-1]\n",
        "knocked_owner",
    ),
    ("interrupts overtake", coro.group, "settle", "in waiting or ()", "in ()", "knocked_thrice"),
    ("wakes who runs", Crew, "_ended", "if waiting is not", "if None is not", "interrupted_before_its_member_ran"),
)

_POOLS = _mutants(
    "pools",
    services_pools,
    ("believes a bare wake-up", Pool, "_take_place", "while not waiter", "if not waiter", "pools"),
    ("a granted place is lost", Pool, "_take_place", "self._grant()", "pass", "pool_of_one"),
    ("who left still waits", Pool, "_take_place", "self._waiters.remove(waiter)", "pass", "pool_of_one"),
    ("a place is given twice", Pool, "_is_full", " + len(self._granted)", "", "pools"),
    ("no place comes back", Pool, "_ended", "self._grant()", "pass", "pool_of_one"),
    ("close() does not wait", Pool, "close", "self._crew.join(self)", "[]", "pool_closed_while_waiting"),
    ("takes jobs when closed", Pool, "_refuse", "self._is_closed = True", "pass", "pool_closed_while_waiting"),
    ("a failed map() goes on", Pool, "map", "if not group.is_open:", "if False:", "maps"),
    ("map() hides failures", _MapGroup, "_hand_on", "notify_later(other, error)", "pass", "maps"),
    ("imap() is out of order", _Results, "__next__", "self._started[0]", "self._started[-1]", "maps"),
    ("imap() is outlived", _Results, "_give_up", "self._crew.join(self)", "[]", "maps"),
    ("imap() runs ahead", _Results, "_start_calls", " and len(self._started) < pool.size", "", "maps"),
    ("a dropped imap() hides failures", _Results, "_drop", "notify_later(thread, thread.error)", "pass", "maps"),
)

_PARALLEL = _mutants(
    "in_parallel",
    services_parallel,
    ("failures are told twice", coro, "in_parallel", "thread.observers += 1", "pass", "parallel_pair"),
    (
        "failures are kept back",
        coro,
        "in_parallel",
        "settle(interrupts, failures)",
        "settle(interrupts)",
        "parallel_pair",
    ),
    ("does not wait", coro, "in_parallel", "crew.join(crew)", "[]", "parallel"),
    (
        "results are out of order",
        coro,
        "in_parallel",
        "thread.result_value for thread in threads",
        "0 for _ in threads",
        "parallel",
    ),
    ("a failure is a success", coro.parallel, "_result", "if error is None:", "if True:", "parallel"),
    (
        "the second interrupt is lost",
        coro.parallel,
        "settle",
        "interrupts[1:]",
        "interrupts[2:]",
        "parallel_knocked",
    ),
    ("the interrupt is lost", coro, "in_parallel", "if interrupt is not None:", "if False:", "parallel_knocked"),
)

_TIMEOUTS = _mutants(
    "timeouts",
    services_frames,
    ("takes another's interrupt", coro, "with_timeout", " or interrupt is not owner[2]", "", "timeouts"),
    ("the interrupt stays", coro, "with_timeout", "scheduler.withdraw(me, owner.pop())", "owner.pop()", "timeouts"),
    ("the timer stays", coro, "with_timeout", "timers.cancel(timer)", "pass", "timeouts"),
    ("is not interrupted", coro.timeouts, "_fire", "interrupt_politely(thread, interrupt)", "now", "timeouts"),
    ("a block's interrupt stays", TimeoutScope, "__exit__", "interrupt.withdraw()", "pass", "item_at_the_deadline"),
    (
        "a block is not interrupted",
        TimeoutScope,
        "_expire",
        "self._interrupt.send(self)",
        "pass",
        "item_at_the_deadline",
    ),
    ("a block takes another's", TimeoutScope, "__exit__", " and error is own", "", "equal_deadlines"),
    ("a block is too early", TimeoutScope, "_arm", "now + ticks if", "now + ticks - 1 if", "equal_deadlines"),
)

_SHIELDS = _mutants(
    "shields",
    services_frames,
    ("what waited is lost", Shield, "__exit__", "_take(thread)", "None", "shield_in_timeout"),
    ("interrupts come in", RunQueue, "interrupt", " or thread.shield is not None", "", "shield_in_timeout"),
    (
        "holds back an inner timeout",
        OwnInterrupt,
        "_deliver",
        "if thread.shield is None or",
        "if True or",
        "timeout_in_shield",
    ),
    ("no outer shield is left", Shield, "__exit__", "_first_not_lifted(self.outer)", "None", "shields"),
    ("a lifted one protects", Shield, "_lift", "thread.shield = _first_not_lifted(self.outer)", "pass", "shields"),
    (
        "what waits when it is lifted is lost",
        Shield,
        "_lift",
        "_interrupt_now(thread, interrupt)",
        "pass",
        "shields",
    ),
    (
        "a second one is held back",
        coro.group,
        "postpone_again",
        "encloses(exception)",
        "lifted",
        "two_timeouts_while_a_group_ends",
    ),
    ("is forgotten", Shield, "__enter__", "me.shield = self", "pass", "timeout_in_shield"),
)

_OS_THREADS = _mutants(
    "in_os_thread",
    services_os_threads,
    ("is made when nobody waits", OSThreadPool, "_abandon", "job.abandoned = True", "pass", "call_left"),
    ("is not taken back", OSThreadPool, "call", "self._abandon(job)", "pass", "call_left"),
    (
        "believes a bare wake-up",
        OSThreadPool,
        "call",
        "while not job.done:",
        "if not job.done:",
        "calls_in_os_threads",
    ),
    ("a late failure is lost", OSThreadPool, "_finish", "self._drop_result(job)", "pass", "calls_in_os_threads"),
    ("a failure at that moment is lost", OSThreadPool, "_abandon", "self._drop_result(job)", "pass", "call_left"),
    (
        "a failure is no failure",
        Job,
        "take",
        "self.value, self.error\n",
        "self.value, None\n",
        "calls_in_os_threads",
    ),
    (
        "nobody is scheduled",
        coro.os_thread.calls,
        "_schedule",
        "scheduler.wake(thread, value)",
        "pass",
        "scheduled_from_os_thread",
    ),
    (
        "the value is lost",
        coro.os_thread.calls,
        "_schedule",
        "(thread, value)",
        "(thread)",
        "scheduled_from_os_thread",
    ),
)

_SOCKETS = _mutants(
    "sockets",
    services_sockets,
    ("forgets what was sent", SendingSocket, "_send_rest", "error.sent_bytes = sent", "pass", "streams"),
    ("forgets what was received", ReceivingSocket, "_fill", "bytes(view[:done])", "b''", "streams"),
    ("who stopped waiting still reads", Descriptor, "wait_readable", "self.reader = None", "pass", "lines"),
    ("who stopped waiting still writes", Descriptor, "wait_writable", "self.writer = None", "pass", "streams"),
    ("readiness is missed", Descriptors, "dispatch", "descriptor.readable = True", "pass", "echo"),
    ("room is missed", Descriptors, "dispatch", "descriptor.writable = True", "pass", "large_piece"),
    ("readers are not woken", Descriptors, "dispatch", "descriptor.reader\n", "None\n", "echo"),
    ("writers are not woken", Descriptors, "dispatch", "descriptor.writer\n", "None\n", "large_piece"),
    ("closing wakes nobody", Descriptors, "_dismiss", "scheduler.wake(thread)", "pass", "closed_while_waiting"),
    ("closing is not told", Descriptor, "wait_readable", "if self.closed:", "if False:", "closed_while_waiting"),
    (
        "a second reader may wait",
        DescriptorState,
        "refuse_second",
        "events & READ and",
        "False and",
        "second_reader",
    ),
    (
        "blames the first reader",
        DescriptorState,
        "refuse_second",
        "(me, self.reader,",
        "(self.reader, me,",
        "second_reader",
    ),
    (
        "a waiter is not taken over",
        Descriptors,
        "_take_over",
        "heir.reader, former.reader =",
        "_ =",
        "waits_by_number",
    ),
    ("a report is missed", Descriptors, "dispatch", "descriptor.reported |= events", "pass", "waits_by_number"),
    (
        "a piece replaces the buffer",
        buffered_stream,
        "_fill",
        "self._buffer += piece",
        "self._buffer[:] = piece",
        "lines",
    ),
    ("a delimiter is overlooked", buffered_stream, "_find", "- len(delim) + 1", "+ 1", "lines"),
)

_SERVERS = _mutants(
    "servers",
    services_servers,
    ("a connection stays open", Server, "_end", "connection.close()", "pass", "server_stopped"),
    ("a place is lost", Server, "_end", "self._places.release()", "pass", "server_at_its_cap"),
    ("the cap is not kept", Server, "_accept_to_place", "places.acquire()", "pass", "server_at_its_cap"),
    ("a connection is not counted", Server, "_begin", "self.connections[thread] = address", "pass", "servers"),
    ("a listener stays open", Server, "_close_listener", "listener.close()", "pass", "servers"),
    ("nobody is shut down", Server, "stop", "thread.shutdown()", "pass", "servers"),
    ("does not wait", Server, "_wait_until_idle", "thread.join(left)", "pass", "server_stopped"),
)

_PARKING = _mutants(
    "parking",
    services_parking,
    ("an exception is replaced", RunQueue, "interrupt", "thread.exception is not None or ", "", "disturbed"),
    ("is scheduled twice", coro.coro, "schedule", "if self.scheduled or", "if", "disturbed"),
    (
        "is interrupted by force",
        coro.coro,
        "raise_exception",
        "if self.scheduled and not force:",
        "if False:",
        "disturbed",
    ),
    ("interrupts overtake", Scheduler, "_before_park", "interrupts.popleft()", "interrupts.pop()", "disturbed"),
    ("a cancelled thread is awaited", RunQueue, "bury", "self.tell_joiners(thread)", "pass", "disturbed_sleepers"),
    ("a timer stays", coro, "sleep_relative", "timers.cancel(timer)", "pass", "disturbed_sleepers"),
    (
        "who yields is first",
        Scheduler,
        "yield_slice",
        "self.ready.append(me)",
        "self.ready.appendleft(me)",
        "yields_in_turn",
    ),
    (
        "who yields overtakes",
        Scheduler,
        "yield_slice",
        "self.ready.append(me)",
        "self.ready.insert(1, me)",
        "yields_in_turn",
    ),
)

MUTANTS = [
    *_JOINING,
    *_GROUPS,
    *_POOLS,
    *_PARALLEL,
    *_TIMEOUTS,
    *_SHIELDS,
    *_OS_THREADS,
    *_SOCKETS,
    *_SERVERS,
    *_PARKING,
]
