"""Returns unused memory of the agent to the system.

glibc gives many threads a heap each, and rarely returns freed memory from them: large answers, parsed in several
threads, leave tens of megabytes of free memory in the process. With another C library the functions do nothing.
"""

from __future__ import annotations

import ctypes

_M_ARENA_MAX = -8
_HEAPS = 2


def limit_heaps() -> None:
    """Make all threads share two heaps. Call it before any thread starts."""
    if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_M_ARENA_MAX, _HEAPS)


def trim() -> None:
    """Return free memory to the system, which takes some milliseconds without the interpreter's lock."""
    if (malloc_trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        malloc_trim(0)
