"""What daemon and client share: the table of commands, the protocol's numbers, schemas, filters, plain text.

The daemon's backdoor and the `coro` command at the shell both speak through these modules, so that a command is
the same word with the same arguments everywhere.

Invariant: imports nothing of coro but `records`, starts nothing, touches no descriptor.  Must not know threads,
sockets or terminals.
"""
