"""What the agent does again and again beside replays: each chore at intervals of its own, never twice at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger("goldwatch")

Chore = Callable[[], Awaitable[None]]


class Chores:
    """The chores of an agent, as tasks of the event loop in which they are started."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, every_s: float, chore: Chore) -> None:
        """Do a chore after so many seconds, and again so many seconds after each time."""
        self._tasks.append(asyncio.create_task(_again(every_s, chore)))

    async def stop(self) -> None:
        """End all of them, in the middle if need be."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _again(every_s: float, chore: Chore) -> None:
    while True:
        await asyncio.sleep(every_s)
        try:
            await chore()
        except Exception:
            log.exception("a chore failed in goldwatch itself", extra={"chore": chore.__name__.strip("_")})
