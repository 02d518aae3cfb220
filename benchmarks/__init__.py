"""Benchmarks: what `coro` costs beside gevent, uvloop and asyncio, in one run on one machine.

`python -m benchmarks.quick` is the command. It starts every measurement as a fresh process, so that no
library inherits the heap, the garbage or the warm caches of another. Only ratios taken in one run count: the
absolute numbers belong to the machine. Nothing here is imported by `coro` or by its tests.
"""
