"""What is imported lazily elsewhere, for the client's quick start, and must be there before it is needed here.

The package on disk may be another one by then; and the sentinel must not import, since a stuck thread may hold the
import lock.
"""

from __future__ import annotations

import difflib
import pydoc
import tokenize
import unicodedata
from encodings import idna
from types import ModuleType

from coro.wire import filters

__all__ = ["PRELOADED"]

PRELOADED: tuple[ModuleType, ...] = (difflib, filters, idna, pydoc, tokenize, unicodedata)
