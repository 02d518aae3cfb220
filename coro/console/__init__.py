"""The `coro` command at the shell: what an operator types to look into a running daemon, and to steer it.

    coro ls                     which daemons run here
    coro ps, coro where 17, …   the commands of the daemon's prompt, word for word
    coro check                  the same question for a monitor: exit code and one line
    coro attach                 an interactive session, with completion and history

Invariant: uses nothing of the runtime, only coro.records and coro.wire, so that a client never needs what the
daemon runs; and imports what is heavy only where it is used, because `coro check` is started every few seconds.
"""
