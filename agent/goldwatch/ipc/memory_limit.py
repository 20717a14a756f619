"""The default memory limit of a worker, if its target has none: what the container, or the machine, leaves it.

Without a limit a model, or the answers of a hostile server, would take the memory of the whole container, and the
kernel might end the agent for it, without a report of the cause.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from goldwatch.cgroups import CGROUPS, PROC, folders

_OTHERS_BYTES = 192 * 2**20
"""What the agent and the worker that judges take; see docs/performance.md."""


@cache
def worker_limit_bytes(cgroups: Path = CGROUPS, proc: Path = PROC) -> int | None:
    """Return the default limit of a worker's resident memory, in bytes; None if no limit can be found out.

    It is the least limit of this process's control groups (version 2 and 1) and of the machine, less what the rest of
    goldwatch needs, but at least half of it.
    """
    found = list(_limits_bytes(cgroups, proc))
    return max(min(found) - _OTHERS_BYTES, min(found) // 2) if found else None


def _limits_bytes(cgroups: Path, proc: Path) -> Iterator[int]:
    for controller, name in (("", "memory.max"), ("memory", "memory.limit_in_bytes")):
        for folder in folders(cgroups, proc, controller):
            yield from _number(folder / name)
    yield from _number(proc / "meminfo", "MemTotal:")


def _number(file: Path, key: str = "") -> Iterator[int]:
    """Yield the number of bytes in a file, or the kilobytes on its line `key`; nothing for `max` or no such file."""
    try:
        lines = [line.split() for line in file.read_text("ascii").splitlines()]
    except (OSError, ValueError):
        return
    for words in lines:
        if key and words[:1] == [key] and words[1].isdecimal():
            yield int(words[1]) * 1024
        elif not key and words and words[0].isdecimal():
            yield int(words[0])
