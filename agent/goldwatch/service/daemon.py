"""The process of the agent: a service that follows signals, and its config file where that is asked for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
import time
from pathlib import Path
from typing import Any

from goldwatch.config.follow import Gone, follow
from goldwatch.log import set_up
from goldwatch.pipeline.in_force import CannotStart
from goldwatch.replay.workers import Workers
from goldwatch.service.service import Service

log = logging.getLogger("goldwatch")

_TRY_AGAIN_S = 10.0


async def serve(path: Path, workers: Workers, *, follows: bool = False) -> None:
    """Run the agent until SIGTERM or SIGINT, which ends the workers too. Raises CannotStart.

    With `follows` a file that has changed is reloaded, and one that was taken away ends the agent with CannotStart: who
    took it wants nothing to be watched any more.
    """
    service = Service(path, on_config=lambda config: set_up(config.log.format, config.log.level), workers=workers)
    ended, reload = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    ending = asyncio.create_task(ended.wait())
    following = asyncio.create_task(follow(path, reload)) if follows else None
    if following is not None:
        following.add_done_callback(lambda _: ended.set())
    if await _first(asyncio.create_task(service.start()), ending, service):
        while await _first(asyncio.create_task(reload.wait()), ending, service):
            reload.clear()
            if not await _first(asyncio.create_task(service.reload()), ending, service):
                break
    log.info("stopping")
    await service.stop()
    if following is not None:
        following.cancel()
        try:
            await following
        except asyncio.CancelledError:
            pass
        except Gone as gone:
            raise CannotStart(str(gone)) from None


async def _first(work: asyncio.Task[Any], ending: asyncio.Task[Any], service: Service) -> bool:
    """Wait for `work`, and return whether it came before the end. If not, it is hurried to its own end."""
    await asyncio.wait({work, ending}, return_when=asyncio.FIRST_COMPLETED)
    if work.done():
        work.result()
        return True
    service.abort()
    work.cancel()
    with contextlib.suppress(asyncio.CancelledError, CannotStart):
        await work
    return False


def main(workers: Workers, config: str, *options: str) -> int:
    """Run the agent until it is told to end, and return its exit code. The options are those of `goldwatch run`."""
    while True:
        try:
            asyncio.run(serve(Path(config), workers, follows="--follow" in options))
        except CannotStart as error:
            print(error, file=sys.stderr, flush=True)  # noqa: T201
            if "--patient" not in options:
                return 2
        else:
            return 0
        _wait(_TRY_AGAIN_S)
        workers = Workers()


def _wait(seconds: float) -> None:
    """Sleep, and end at SIGTERM: the first process of a container would not, without a handler."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    time.sleep(seconds)
    signal.signal(signal.SIGTERM, before)
