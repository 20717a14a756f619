"""Prunes fetched golden sets from an agent's volume: those that no config has named for a week.

Each has a mark next to it, `.NAME.fetched`, whose time is that of the last naming. A set without a mark was not
fetched, and is never deleted. Agents that share a volume keep the sets of others: each touches the marks of its own.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Collection
from pathlib import Path

FOR_S = 7 * 86400.0
"""How long a set that nobody names is kept: whoever shares the volume may be away, or go back to the version before."""
_UNFINISHED_FOR_S = 86400.0
"""A fetch takes minutes; what is older was left by a process that was killed."""
_MARK = ".fetched"
_UNFINISHED = re.compile(r"\..+-[0-9a-f]{12}\.[0-9a-f]{8}")


def unfinished(folder: Path) -> Path:
    """Return a new name, next to a set, for a set that is incomplete or being deleted."""
    return folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")


def mark(folder: Path) -> None:
    """Say of the folder of a golden set that it is fetched, and named now. Raises OSError."""
    _mark_of(folder).touch()


def name(folder: Path) -> None:
    """Mark a golden set as still named, if it is one that was fetched."""
    with contextlib.suppress(OSError, ValueError):  # a read-only volume, or "/", is never pruned
        os.utime(_mark_of(folder))


def sweep(folder: Path, named: Collection[Path], now: float) -> list[str]:
    """Delete from a folder the fetched golden sets that are not `named` here, and were not anywhere for a week.

    `now` is in seconds since the epoch. Returns their names. Sets that cannot be deleted stay.
    """
    for path in named:
        name(path)
    swept = []
    for found in _fetched(folder):
        if found not in named and now - _changed_at(_mark_of(found), now) > FOR_S and _delete(found):
            _mark_of(found).unlink(missing_ok=True)
            swept.append(found.name)
    for left in _entries(folder):
        if _UNFINISHED.fullmatch(left.name) and now - _changed_at(left, now) > _UNFINISHED_FOR_S:
            shutil.rmtree(left, ignore_errors=True)
    return swept


def _mark_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}{_MARK}")


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:  # nothing was ever fetched
        return []


def _fetched(folder: Path) -> list[Path]:
    marks = [entry for entry in _entries(folder) if entry.name.startswith(".") and entry.name.endswith(_MARK)]
    return [entry.with_name(entry.name[1 : -len(_MARK)]) for entry in marks]


def _changed_at(entry: Path, now: float) -> float:
    try:
        return entry.stat().st_mtime
    except OSError:  # another agent was quicker
        return now


def _delete(found: Path) -> bool:
    """Delete a folder, at once or not at all; not a mount point, or a folder elsewhere."""
    if found.is_symlink() or found.is_mount():
        return False
    going = unfinished(found)
    try:
        found.rename(going)
    except FileNotFoundError:  # its fetch had failed
        return True
    except OSError:
        return False
    shutil.rmtree(going, ignore_errors=True)
    return True
