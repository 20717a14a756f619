"""Replaces the service while the config cannot be used: the port answers, and shows what is wrong.

Part of the agent's process with `--patient`. /metrics has the agent's own metrics with the state of the config,
/healthz answers, and /readyz gives the reason why nothing is watched. Once the config can be used, the same port shows
the service.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

from goldwatch import __version__
from goldwatch.daemon.exports import Exports
from goldwatch.daemon.in_force import CannotStart
from goldwatch.daemon.port import Port
from goldwatch.daemon.words import printable
from goldwatch.export import measurement
from goldwatch.file_identity import identity

_FIRST_DELAY_S = 10.0
_MAX_DELAY_S = 60.0
"""A golden set is read as a whole at each attempt, which costs the model server beside the agent CPU time."""
_LOOK_EVERY_S = 1.0


class Waiting:
    """One wait for a config that can be used. Made and used in one event loop."""

    def __init__(self, path: Path, port: Port) -> None:
        """Wait for the config file at `path`, with the agent's port."""
        self._path = path
        self._port = port
        self._exports = Exports()
        self._exports.publish(measurement.of_build(__version__))
        self._why = "the config is being loaded"
        self._delay_s = _FIRST_DELAY_S
        self._tried = identity(path)

    async def begin(self) -> None:
        """Open the port before an attempt to start. Raises CannotStart."""
        self._tried = identity(self._path)
        self.show()
        await self._port.open_early()

    def refuse(self, error: CannotStart) -> None:
        """Report why an attempt failed: on standard error if the reason is new, and on the port."""
        if str(error) != self._why:
            print(printable(str(error)), file=sys.stderr, flush=True)  # noqa: T201
        self._why = str(error)
        self._exports.reject_config(error.reason)
        self.show()

    def show(self) -> None:
        """Have the port show the state of the config."""
        self._port.endpoints.show(self._exports.page.render, lambda: self._why, lambda: None)

    async def wait(self, reload: asyncio.Event) -> None:
        """Wait until another attempt makes sense: the file has changed, `reload` is set, or some time has passed."""
        left_s = self._delay_s
        self._delay_s = min(2 * self._delay_s, _MAX_DELAY_S)
        while left_s > 0 and not reload.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reload.wait(), _LOOK_EVERY_S)
            left_s -= _LOOK_EVERY_S
            if identity(self._path) != self._tried:
                break
        if left_s > 0:
            self._delay_s = _FIRST_DELAY_S
        reload.clear()
