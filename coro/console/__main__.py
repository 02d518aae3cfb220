"""`python -m coro.console`, the same as `coro`."""

from __future__ import annotations

import sys

from coro.console.main import main

if __name__ == "__main__":
    sys.exit(main())
