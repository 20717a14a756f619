"""Notices that a config file has become another one: how a ConfigMap that is mounted changes."""

from __future__ import annotations

import asyncio
from pathlib import Path

from goldwatch.errors import GoldwatchError

_EVERY_S = 2.0


class Gone(GoldwatchError):
    """The file was there, and is no more."""


async def follow(path: Path, changed: asyncio.Event, every_s: float = _EVERY_S) -> None:
    """Set `changed` each time that the file is another one, until cancelled. Raises Gone once it is away for good.

    A file that is not there in the beginning is waited for; one that an editor replaces may be away for a moment.
    """
    before = identity(path)
    missed = False
    while True:
        await asyncio.sleep(every_s)
        now = identity(path)
        if now is None:
            if missed and before is not None:
                raise Gone(f"{path}: no such file; it was there before, so nothing is watched any more")
            missed = True
            continue
        missed = False
        if before is not None and now != before:
            changed.set()
        before = now


def identity(path: Path) -> tuple[int, int, int] | None:
    """Return what tells a file from another one; a ConfigMap's name is a link, which is put on a new file at once."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns
