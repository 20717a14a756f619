"""Notices that a config file, or a file that it refers to, has become another one: how mounted volumes change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

from goldwatch.errors import GoldwatchError
from goldwatch.file_identity import identity

_EVERY_S = 2.0


class Gone(GoldwatchError):
    """The file was there, and is no more."""


async def follow(
    path: Path, changed: asyncio.Event, every_s: float = _EVERY_S, also: Callable[[], Iterable[Path]] = tuple
) -> None:
    """Set `changed` each time that the file is another one, until cancelled. Raises Gone once it is away for good.

    A file that is not there in the beginning is waited for; one that an editor replaces may be away for a moment.
    `also` returns the files that are followed besides; one that is away has changed.
    """
    before, besides = identity(path), _identities(also())
    missed = False
    while True:
        await asyncio.sleep(every_s)
        known, besides = besides, _identities(also())
        if any(known.get(file, found) != found for file, found in besides.items()):
            changed.set()
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


def _identities(files: Iterable[Path]) -> dict[Path, object]:
    return {file: identity(file) for file in files}
