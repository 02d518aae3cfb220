"""coro: cheap threads, one loop underneath, and a door through which a running daemon can be seen and steered.

    import coro

    def main():
        print("Hello world!")
        coro.set_exit(0)

    coro.spawn(main)
    coro.event_loop()

This package re-exports the public names and does nothing else when it is imported: no signal handlers, no
patched modules, no files, no OS threads.
"""

from __future__ import annotations

from coro import signal_handler, tb
from coro.clock import (
    absolute_secs_to_ticks,
    absolute_time_to_ticks,
    seconds_to_ticks,
    ticks_per_sec,
    ticks_per_usec,
    ticks_to_absolute_secs,
    ticks_to_relative_sec,
    ticks_to_usec,
    usec_to_ticks,
)
from coro.clocks import tsc_time
from coro.connecting import create_connection
from coro.exceptions import (
    ClosedError,
    DeadCoroutine,
    InParallelError,
    Interrupted,
    LockError,
    NotStartedError,
    ScheduleError,
    Shutdown,
    SimultaneousError,
    TimeoutError,
    WakeUp,
    YieldFromMain,
)
from coro.fifo import fifo
from coro.forking import fork
from coro.group import Group
from coro.hooks import set_exception_notifier, set_latency_hook, set_latency_warning
from coro.leftovers import set_exit_grace
from coro.local import ThreadLocal
from coro.os_thread import (
    call_from_os_thread,
    in_os_thread,
    schedule_from_os_thread,
    set_os_threads,
)
from coro.parallel import FAILURE, SUCCESS, in_parallel
from coro.pool import Pool
from coro.process import waitpid
from coro.read_stream import buffered_stream, sock_stream
from coro.readiness import READ, WRITE, event_map, set_handler, wait_for, wait_for_read, wait_for_write
from coro.runtime import (
    _yield,
    all_threads,
    coro_is_running,
    current,
    event_loop,
    get_live_coros,
    get_now,
    get_thread_by_id,
    new,
    run,
    schedule,
    set_exit,
    set_max_parked_carriers,
    set_print_exit_string,
    sleep_absolute,
    sleep_relative,
    spawn,
    where,
    where_all,
    yield_slice,
)
from coro.scheduler import scheduler as _scheduler
from coro.server import Server, inherited_sockets, listen_tcp, listen_unix, tcp_server, unix_server
from coro.shield import shielded
from coro.socket import (
    AF,
    PF,
    SHUT,
    SO,
    SOCK,
    SOL,
    fd_sock,
    file_sock,
    get_live_sockets,
    has_ipv6,
    make_socket,
    sock,
    socketpair,
    tcp6_sock,
    tcp_sock,
    udp6_sock,
    udp_sock,
    unix_sock,
)
from coro.stderr import print_stderr, saved_stderr, write_stderr
from coro.sync import condition_variable, event, inverted_semaphore, mutex, rw_lock, semaphore
from coro.thread import coro, set_selfishness
from coro.timeouts import deadline, timeout, with_timeout

__all__ = [
    # coro
    "signal_handler",
    "tb",
    # coro.clock
    "absolute_secs_to_ticks",
    "absolute_time_to_ticks",
    "seconds_to_ticks",
    "ticks_per_sec",
    "ticks_per_usec",
    "ticks_to_absolute_secs",
    "ticks_to_relative_sec",
    "ticks_to_usec",
    "usec_to_ticks",
    # coro.clocks
    "tsc_time",
    # coro.connecting
    "create_connection",
    # coro.exceptions
    "ClosedError",
    "DeadCoroutine",
    "InParallelError",
    "Interrupted",
    "LockError",
    "NotStartedError",
    "ScheduleError",
    "Shutdown",
    "SimultaneousError",
    "TimeoutError",
    "WakeUp",
    "YieldFromMain",
    # coro.fifo
    "fifo",
    # coro.forking
    "fork",
    # coro.group
    "Group",
    # coro.hooks
    "set_exception_notifier",
    "set_latency_hook",
    "set_latency_warning",
    # coro.leftovers
    "set_exit_grace",
    # coro.local
    "ThreadLocal",
    # coro.os_thread
    "call_from_os_thread",
    "in_os_thread",
    "schedule_from_os_thread",
    "set_os_threads",
    # coro.parallel
    "FAILURE",
    "SUCCESS",
    "in_parallel",
    # coro.pool
    "Pool",
    # coro.process
    "waitpid",
    # coro.read_stream
    "buffered_stream",
    "sock_stream",
    # coro.readiness
    "READ",
    "WRITE",
    "event_map",
    "set_handler",
    "wait_for",
    "wait_for_read",
    "wait_for_write",
    # coro.runtime
    "_yield",
    "all_threads",
    "coro_is_running",
    "current",
    "event_loop",
    "get_live_coros",
    "get_now",
    "get_thread_by_id",
    "new",
    "run",
    "schedule",
    "set_exit",
    "set_max_parked_carriers",
    "set_print_exit_string",
    "sleep_absolute",
    "sleep_relative",
    "spawn",
    "where",
    "where_all",
    "yield_slice",
    # coro.scheduler
    # coro.server
    "Server",
    "inherited_sockets",
    "listen_tcp",
    "listen_unix",
    "tcp_server",
    "unix_server",
    # coro.shield
    "shielded",
    # coro.socket
    "AF",
    "PF",
    "SHUT",
    "SO",
    "SOCK",
    "SOL",
    "fd_sock",
    "file_sock",
    "get_live_sockets",
    "has_ipv6",
    "make_socket",
    "sock",
    "socketpair",
    "tcp6_sock",
    "tcp_sock",
    "udp6_sock",
    "udp_sock",
    "unix_sock",
    # coro.stderr
    "print_stderr",
    "saved_stderr",
    "write_stderr",
    # coro.sync
    "condition_variable",
    "event",
    "inverted_semaphore",
    "mutex",
    "rw_lock",
    "semaphore",
    # coro.thread
    "coro",
    "set_selfishness",
    # coro.timeouts
    "deadline",
    "timeout",
    "with_timeout",
    # set by users
    "install_signal_handlers",
]

# Read by event_loop() and run() when they start: whether SIGTERM and SIGINT call set_exit().
install_signal_handlers = True


def __getattr__(name: str) -> int:
    if name == "now":
        return _scheduler.now
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
