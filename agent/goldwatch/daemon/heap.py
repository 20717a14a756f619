"""Gives memory that the agent no longer uses back to the system.

glibc has a heap for each of many threads, and keeps what is freed within one. A few answers of several megabytes, each
parsed in another thread, would stay in the agent's memory for good. Where there is no glibc, nothing is done.
"""

from __future__ import annotations

import ctypes

_M_ARENA_MAX = -8
_HEAPS = 2


def limit_heaps() -> None:
    """Let all threads share two heaps. Call it before there are threads."""
    if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_M_ARENA_MAX, _HEAPS)


def trim() -> None:
    """Return free memory to the system, which takes some milliseconds without the interpreter's lock."""
    if (malloc_trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        malloc_trim(0)
