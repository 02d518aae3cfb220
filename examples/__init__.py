"""Programs to read and to run: `python -m examples.echo_server`, and docs/examples.md for the tour.

echo_server, echo_client: the smallest daemon, and a client that checks it.
spy: a proxy that prints what passes.
chat: rooms full of people, some of whom read slowly.
worms: the arena that `make demo` shows: hundreds of threads, and a view of them for everybody who comes by telnet.
telnet: the telnet protocol, which chat and worms share.
"""
