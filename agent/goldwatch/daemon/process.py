"""The process of the agent: a service that follows signals, and its config file where that is asked for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from goldwatch.config import Config, Defaults, QuantityError, Rejection, parse_host, parse_listen
from goldwatch.config.follow import Gone, follow
from goldwatch.daemon.heap import limit_heaps
from goldwatch.daemon.in_force import CannotStart
from goldwatch.daemon.port import Port
from goldwatch.daemon.service import Service
from goldwatch.daemon.waiting import Waiting
from goldwatch.daemon.words import printable
from goldwatch.errors import GoldwatchError
from goldwatch.ipc.workers import Workers
from goldwatch.log import set_up

log = logging.getLogger("goldwatch")

_END_LIMIT_S = 4.5
"""Five seconds are promised from SIGTERM to the end."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of `goldwatch run`; see `start`."""

    patient: bool = False
    follow: bool = False
    defaults: Defaults = field(default_factory=Defaults)

    @classmethod
    def of(cls, written: tuple[str, ...]) -> RunOptions:
        """Read the options as they are written. Raises CannotStart for an address or a name that cannot be read."""
        given = {name: value for name, has_value, value in (each.partition("=") for each in written) if has_value}
        try:
            listen = parse_listen(given["--listen"]) if "--listen" in given else None
        except QuantityError as error:
            raise CannotStart(f"--listen: {error}") from None
        try:
            hosts = tuple(map(parse_host, filter(None, given.get("--allowed-hosts", "").split(","))))
        except QuantityError as error:
            raise CannotStart(f"--allowed-hosts: {error}") from None
        if ("--cert-file" in given) != ("--key-file" in given):
            raise CannotStart("--cert-file and --key-file belong together; give both or neither")
        certificate, key, token = (given.get(name, "") for name in ("--cert-file", "--key-file", "--credentials-file"))
        return cls("--patient" in written, "--follow" in written, Defaults(listen, certificate, key, token, hosts))


async def serve(path: Path, workers: Workers, options: RunOptions) -> None:
    """Run the agent until SIGTERM or SIGINT, which ends the workers too. Raises CannotStart, unless it is patient.

    With `follow` a file that has changed is reloaded, and one that was taken away ends the watches: without
    a config nothing is to be watched. An agent that is not patient ends then, with CannotStart.
    """
    process = _Process(path, options)
    try:
        await (process.run_patiently(workers) if options.patient else process.run(workers))
    finally:
        await process.port.close()


class _Process:
    """The signals, the port, and one service after the other. Made and used in one event loop."""

    def __init__(self, path: Path, options: RunOptions) -> None:
        self.port = Port(path, options.defaults)
        self._path = path
        self._follows = options.follow
        self._waiting = Waiting(path, self.port) if options.patient else None
        self._ended, self._reload = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, self._reload.set)
        self._ending = asyncio.create_task(self._ended.wait())

    def _end(self) -> None:
        """Begin to end, and end in any case once the time for it is over.

        The interpreter waits for threads, and one may wait for a server that is silent, or for a disk. The ledger
        survives an end at any time, and workers end with the agent.
        """
        if not self._ended.is_set():
            self._ended.set()
            limit = threading.Timer(_END_LIMIT_S, os._exit, [0])
            limit.daemon = True
            limit.start()

    async def run_patiently(self, workers: Workers) -> None:
        """Run services until the agent ends; in between the port shows why there is none."""
        waiting = self._waiting
        assert waiting is not None  # noqa: S101 - it is patient
        while not self._ending.done():
            try:
                await waiting.begin()
                await self.run(workers)
            except CannotStart as error:
                workers.close()
                waiting.refuse(error)
                pause = asyncio.create_task(waiting.wait(self._reload))
                await asyncio.wait({pause, self._ending}, return_when=asyncio.FIRST_COMPLETED)
                pause.cancel()
                workers = Workers()

    async def run(self, workers: Workers) -> None:
        """Run one service until the agent ends, or its file is gone for good. Raises CannotStart."""
        service = Service(self._path, on_config=_log_as_configured, workers=workers, port=self.port)
        following = None
        if self._follows:
            following = asyncio.create_task(follow(self._path, self._reload, also=lambda: service.reference_files))
        ends = {self._ending} if following is None else {self._ending, following}
        try:
            if await _first(asyncio.create_task(service.start()), ends, service):
                while await _first(asyncio.create_task(self._reload.wait()), ends, service):
                    self._reload.clear()
                    if not await _first(asyncio.create_task(service.reload()), ends, service):
                        break
            log.info("stopping")
            if self._waiting is not None and not self._ending.done():
                self._waiting.show()  # a scrape reads no service that ends
                await service.stop()
            else:
                await asyncio.gather(self.port.close(), service.stop())
        finally:
            if following is not None:
                following.cancel()
                await _raise_if_gone(following)


def _log_as_configured(config: Config) -> None:
    set_up(config.log.format, config.log.level)


async def _raise_if_gone(following: asyncio.Task[None]) -> None:
    """Await the end of a task that follows the file. Raises CannotStart if it found that the file is gone."""
    try:
        await following
    except asyncio.CancelledError:
        pass
    except Gone as gone:
        raise CannotStart(str(gone), Rejection.MISSING) from None


async def _first(work: asyncio.Task[Any], ends: set[asyncio.Task[Any]], service: Service) -> bool:
    """Wait for `work`, and return whether it came before any of the ends. If not, it is hurried to its own end."""
    await asyncio.wait({work, *ends}, return_when=asyncio.FIRST_COMPLETED)
    if work.done():
        work.result()
        return True
    service.abort()
    work.cancel()
    with contextlib.suppress(asyncio.CancelledError, CannotStart):
        await work
    return False


def main(workers: Workers, config: str, *options: str) -> int:
    """Run the agent until a signal ends it, and return its exit code. The options are those of `goldwatch run`."""
    limit_heaps()
    try:
        asyncio.run(serve(Path(config), workers, RunOptions.of(options)))
    except GoldwatchError as error:
        print(printable(str(error)), file=sys.stderr, flush=True)  # noqa: T201
        return 2
    return 0
