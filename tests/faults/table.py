"""What can fail, how, and who is told: a row for every system call that the runtime makes.

A row is a function, the call that it makes, and what is unlike the rule.  The rule: EAGAIN, EINTR and "short" are
nobody's affair, the call is made again; anything else is raised in the thread that called ("caller").  Otherwise:
    nobody=...  the scenario goes on as if nothing had happened; with "caller/nobody" that is so in a server's
                handler, for a server only counts the connections whose peer has vanished
    server=...  the server reports it, and accepts again after a pause
    stderr=...  it is reported where nothing may be raised
    loop=...    the loop cannot go on: it ends, and event_loop() or run() raises it
    second      made only after another call has failed
    implicit    made by a `with` statement, so not seen by who reads the source
    never       cannot fail: a question that is answered with no, or a handler of SIGALRM in the main OS thread,
                which is checked before
    own         no scenario comes here: there is a test of its own
"""

from dataclasses import dataclass

from tests.faults.shim import SHORT
from tests.faults.sites import Site

# Call -> the failures that its manual page documents and that the interpreter does not hide.
FAILURES = {
    # making descriptors
    "sock.__init__": "EMFILE ENFILE ENOBUFS ENOMEM EACCES EAFNOSUPPORT",
    "socket.socketpair": "EMFILE ENFILE ENOMEM EAFNOSUPPORT",
    "select.epoll": "EMFILE ENFILE ENOMEM",
    "select.poll": "ENOMEM",
    "os.pipe": "EMFILE ENFILE",
    "os.dup": "EMFILE EBADF ENOMEM",
    "os.pidfd_open": "EMFILE ENFILE ENOMEM ENODEV ESRCH ENOSYS",
    # sockets
    "sock.settimeout": "EBADF ENOTTY ENOMEM",
    "sock.setblocking": "EBADF ENOTTY ENOMEM",
    "sock.bind": "EADDRINUSE EADDRNOTAVAIL EACCES ENOMEM EBADF",
    "sock.listen": "EADDRINUSE EBADF EOPNOTSUPP",
    "sock.setsockopt": "EBADF ENOMEM ENOPROTOOPT EPERM",
    "sock.getsockopt": "EBADF ENOBUFS ENOPROTOOPT",
    "sock.getsockname": "EBADF ENOBUFS",
    "sock._accept": (
        "EAGAIN ECONNABORTED EPROTO EPERM ENETDOWN EHOSTUNREACH ETIMEDOUT EMFILE ENFILE ENOBUFS ENOMEM EBADF EINVAL"
    ),
    "sock.connect_ex": (
        "EINTR EAGAIN ECONNREFUSED ENETUNREACH EHOSTUNREACH ETIMEDOUT EADDRNOTAVAIL EACCES EPERM EBADF ENOBUFS"
    ),
    "sock.recv": f"EAGAIN ECONNRESET ETIMEDOUT EHOSTUNREACH ENOMEM EBADF {SHORT}",
    "sock.recv_into": f"EAGAIN ECONNRESET ETIMEDOUT EHOSTUNREACH ENOMEM EBADF {SHORT}",
    "sock.recvfrom": "EAGAIN ECONNRESET ECONNREFUSED ENOMEM EBADF",
    "sock.recvfrom_into": "EAGAIN ECONNRESET ECONNREFUSED ENOMEM EBADF",
    "sock.recvmsg": "EAGAIN ECONNRESET ENOMEM EBADF",
    "sock.recvmsg_into": "EAGAIN ECONNRESET ENOMEM EBADF",
    "sock.send": f"EAGAIN EPIPE ECONNRESET ETIMEDOUT EHOSTUNREACH ENOBUFS ENOMEM EBADF {SHORT}",
    "sock.sendto": "EAGAIN ENETUNREACH EHOSTUNREACH EMSGSIZE ENOBUFS ENOMEM EPERM EBADF",
    "sock.sendmsg": f"EAGAIN EPIPE ECONNRESET ENOBUFS ENOMEM EBADF {SHORT}",
    "sock._real_close": "EINTR EIO ENOSPC EDQUOT",
    # files, pipes
    "os.read": f"EAGAIN EIO EBADF {SHORT}",
    "os.readv": f"EAGAIN EIO ECONNRESET EBADF {SHORT}",
    "os.write": f"EAGAIN EPIPE EIO ENOSPC EDQUOT ENOMEM EBADF {SHORT}",
    "os.writev": f"EAGAIN EPIPE ECONNRESET EIO ENOSPC EBADF {SHORT}",
    "os.sendfile": f"EAGAIN EPIPE ECONNRESET EIO ENOMEM EINVAL EBADF {SHORT}",
    "os.isatty": "",
    "os.ttyname": "EBADF ENOTTY ENODEV",
    "os.open": "EACCES EMFILE ENFILE ENOMEM ENXIO EIO",
    "os.close": "EINTR EIO ENOSPC EDQUOT",
    "os.fstat": "ENOMEM EOVERFLOW EBADF",
    "os.get_blocking": "EBADF ENOMEM",
    "os.set_blocking": "EBADF ENOMEM EPERM",
    "os.set_inheritable": "EBADF ENOMEM",
    "os.lstat": "ENOENT EACCES ENOMEM",
    "os.unlink": "ENOENT EACCES EPERM EROFS EIO",
    "os.chmod": "ENOENT EPERM EROFS EIO",
    "os.fchmod": "EBADF EPERM EROFS EIO",
    # the poller
    "epoll.poll": "EINTR EBADF EINVAL ENOMEM",
    "epoll.register": "ENOMEM ENOSPC EBADF EPERM EEXIST",
    "epoll.modify": "ENOMEM ENOENT EBADF",
    "epoll.unregister": "ENOENT EBADF ENOMEM",
    "epoll.close": "EIO EINTR",
    # the rest
    "os.waitpid": "ECHILD",
    "os.fork": "EAGAIN ENOMEM",
    "signal.signal": "EINVAL ValueError",
    "signal.set_wakeup_fd": "EBADF ValueError",
    "socket.getaddrinfo": "EAI_AGAIN EAI_MEMORY EAI_FAIL EAI_NONAME EMFILE",
    "socket.gethostbyname": "EAI_AGAIN EAI_MEMORY EMFILE",
    "socket.getnameinfo": "EAI_AGAIN EAI_MEMORY EMFILE",
    "_thread.start_new_thread": "RuntimeError",
    "_thread.allocate_lock": "RuntimeError MemoryError",
    "file.write": "ENOSPC EPIPE EIO",
    "file.flush": "ENOSPC EPIPE EIO",
}

_ROWS = """\
coro.forking
    _reopen signal.set_wakeup_fd own
    fork os.fork own
coro.os_thread.calls
    _Call.__init__ _thread.allocate_lock
coro.os_thread.pool
    OSThreadPool._start _thread.start_new_thread
    OSThreadPool._start_afresh _thread.allocate_lock own
    _Worker.__init__ _thread.allocate_lock
coro.poller.epoll
    EpollPoller.__init__ select.epoll loop=*
    EpollPoller.add epoll.modify second
    EpollPoller.add epoll.register server=ENOMEM,ENOSPC nobody=EPERM,EEXIST
    EpollPoller.add_process epoll.register
    EpollPoller.add_process os.close second
    EpollPoller.add_process os.pidfd_open
    EpollPoller.close epoll.close nobody=*
    EpollPoller.poll epoll.poll loop=EBADF,EINVAL,ENOMEM
    EpollPoller.rearm epoll.modify nobody=ENOENT loop=ENOMEM,EBADF
    EpollPoller.rearm epoll.register loop=*
    EpollPoller.remove epoll.unregister nobody=*
    EpollPoller.remove_process os.close caller=EINTR
coro.process
    waitpid os.waitpid
coro.resolve
    gethostbyname socket.gethostbyname
    getnameinfo socket.getnameinfo
    resolve socket.getaddrinfo nobody=EAI_AGAIN,EAI_MEMORY,EAI_FAIL,EAI_NONAME
coro.server.given
    listeners_of sock.getsockopt
coro.server.inherited
    inherited_sockets os.set_inheritable
coro.server.listening
    _clear_stale os.lstat nobody=ENOENT
    _clear_stale sock.__init__
    _clear_stale sock._real_close implicit caller=EINTR
    _clear_stale sock.connect_ex caller=EINTR,EAGAIN nobody=ECONNREFUSED
    _clear_stale sock.setblocking
    _listen_at_all sock.getsockname
    _listener sock.listen nobody=EADDRINUSE
    _listener sock.setsockopt
    _unlink os.unlink nobody=ENOENT
    identity_of_bound os.lstat
    listen_unix os.chmod
    listen_unix os.fchmod
    listen_unix sock.listen
    remove_unix_path os.lstat nobody=ENOENT stderr=EACCES,ENOMEM
coro.server.server
    Server.address sock.getsockname
    Server.addresses sock.getsockname
coro.signal_handler
    _Registration.restore signal.signal
    register signal.signal
coro.signals
    _install signal.signal loop=*
    installed signal.set_wakeup_fd loop=*
    restore signal.set_wakeup_fd nobody/loop=*
    restore signal.signal loop=*
coro.socket.base
    CoroSocket.__init__ sock.__init__
    CoroSocket.__init__ sock._real_close second
    CoroSocket.__init__ sock.settimeout
    CoroSocket._connect sock.connect_ex caller=EAGAIN
    CoroSocket._connect sock.getsockopt
    CoroSocket._real_close sock._real_close caller=EINTR
    CoroSocket.bind sock.bind nobody=EADDRINUSE
    CoroSocket.dup os.close second
    CoroSocket.dup os.dup
    CoroSocket.set_nonblocking sock.settimeout
    CoroSocket.set_reuse_addr sock.setsockopt
    _connect_unix sock.connect_ex
coro.socket.files
    _identity os.fstat
    _is_blocking os.get_blocking nobody=EBADF
    _make_blocking os.set_blocking
    fd_sock.__init__ os.get_blocking
    fd_sock.__init__ os.set_blocking
    fd_sock._restore os.set_blocking
    fd_sock.close os.close caller=EINTR
    fd_sock.dup os.close second
    fd_sock.dup os.dup
    fd_sock.read os.read nobody=EIO
    fd_sock.readv os.readv
    fd_sock.writev os.write
    file_sock os.close second
    file_sock os.dup
coro.socket.make
    has_ipv6 sock.__init__ nobody=EACCES,EAFNOSUPPORT
    has_ipv6 sock._real_close implicit nobody=EINTR,EIO,EDQUOT
    has_ipv6 sock.bind nobody=EADDRINUSE,EADDRNOTAVAIL,EACCES,EBADF
    socketpair socket.socketpair
coro.socket.receiving
    ReceivingSocket._fill sock.recv_into
    ReceivingSocket._peek_all sock.recv
    ReceivingSocket._recv_with_flags sock.recv caller=EAGAIN
    ReceivingSocket.recv sock.recv caller/nobody=ECONNRESET,ETIMEDOUT,EHOSTUNREACH
    ReceivingSocket.recv_into sock.recv_into
    ReceivingSocket.recvfrom sock.recvfrom
    ReceivingSocket.recvfrom_into sock.recvfrom_into
    ReceivingSocket.recvmsg sock.recvmsg
    ReceivingSocket.recvmsg_into sock.recvmsg_into
    _readv os.readv
coro.socket.sending
    SendingSocket._send_rest sock.send
    SendingSocket.send sock.send
    SendingSocket.sendmsg sock.sendmsg
    SendingSocket.sendto sock.sendto
    _sendfile os.sendfile
    _writev os.writev
coro.socket.sock
    sock._accepted os.close second
    sock.accept sock._accept nobody=* server=EMFILE,ENFILE,ENOBUFS,ENOMEM caller=EBADF,EINVAL
    sock.accept_many sock._accept nobody=*
coro.stderr
    _pour os.close own
    _pour os.isatty never
    _pour os.open own
    _pour os.ttyname own
    _pour_pieces os.write own
    _pour_pieces select.poll own
    write_stderr file.flush own
    write_stderr file.write own
coro.timeouts
    Alarm._put_back signal.signal never
    Alarm.call signal.signal never
coro.wakeup
    Wakeup.__init__ os.pipe loop=*
    Wakeup.__init__ os.set_blocking loop=*
    Wakeup.close os.close own
    Wakeup.drain os.read nobody=EIO,EBADF
    Wakeup.notify os.write nobody=*
"""

# Calls that are none, or cannot fail as they are made here.
CANNOT_FAIL = {
    "_thread.get_ident": "no system call",
    "os.fsencode": "no system call",
    "os.fspath": "no system call",
    "os.getpid": "getpid(2): always successful",
    "os.register_at_fork": "no system call",
    "os.strerror": "no system call",
    "os.sysconf": "of what every system has, when the module is imported",
    "select.select": "of one descriptor of ours, for the poller in memory that tests use",
    "signal.default_int_handler": "no system call",
    "signal.getsignal": "no system call",
    "signal.setitimer": "setitimer(2): fails for bad arguments only, and these are ours",
    "signal.valid_signals": "no system call",
    "sock.detach": "no system call",
    "sock.shutdown": "not the socket's: threads have a method of this name",
    "epoll.fileno": "no system call",
    "socket.inet_ntoa": "no system call",
    "socket.inet_pton": "no system call",
    "time.ctime": "no system call",
    "time.monotonic": "clock_gettime(2): fails for bad arguments only",
    "time.sleep": "the interpreter goes on sleeping after EINTR",
    "time.time_ns": "clock_gettime(2): fails for bad arguments only",
}

_NOBODY = {"EAGAIN", "EINTR", SHORT}


@dataclass(frozen=True, slots=True)
class Row:
    """One call of one function.  outcomes: failure -> who is told."""

    site: Site
    kind: str
    outcomes: dict[str, str]

    def __str__(self) -> str:
        return " ".join(self.site)


def _rows() -> dict[Site, Row]:
    found = {}
    module = ""
    for line in _ROWS.splitlines():
        if not line.startswith(" "):
            module = line
            continue
        function, call, *words = line.split()
        site = module, function, call
        failures = FAILURES[call].split()
        outcomes = {failure: "nobody" if failure in _NOBODY else "caller" for failure in failures}
        for word in words:
            who, _, listed = word.partition("=")
            outcomes |= dict.fromkeys(failures if listed == "*" else listed.split(",") if listed else [], who)
        kinds = [word for word in words if "=" not in word]
        found[site] = Row(site, kinds[0] if kinds else "", outcomes)
    return found


ROWS = _rows()
