"""Benchmarks: what `coro` costs beside gevent, eventlet, asyncio, uvloop, trio and curio, in one run.

`python -m benchmarks.quick` measures what has an aim, `python -m benchmarks.full` everything, and
`python -m benchmarks.page` makes docs/performance.md of that. Every measurement is a fresh process, so that no
library inherits the heap, the garbage or the warm caches of another. Only ratios taken in one run count: the
absolute numbers belong to the machine. Nothing here is imported by `coro`, and no test looks at a time.
"""
