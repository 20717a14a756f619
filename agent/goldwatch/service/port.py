"""The HTTP port of the agent, which stays open while configs are refused, replaced and loaded."""

from __future__ import annotations

from pathlib import Path

from goldwatch.config import Listen, Prometheus, Rejection, written_listen
from goldwatch.pipeline.in_force import CannotStart
from goldwatch.web.http import Endpoints


class Port:
    """Opens the endpoints at the address of the config. One port outlives the services that it shows."""

    def __init__(self, path: Path, default: Listen | None = None) -> None:
        """Make one for a config file; `default` is where to listen if the file names no address."""
        self.default = default
        self.endpoints = Endpoints(lambda _: (b"", "text/plain"), lambda: "goldwatch is starting", lambda: None)
        self._path = path
        self._is_open = False

    async def open_early(self) -> None:
        """Listen before the config is loaded. Raises CannotStart.

        If the file names no address that can be read, the port stays where it is, or opens at the default.
        """
        listen = written_listen(self._path)
        if listen is not None or not self._is_open:
            await self.open(listen or self.default or Prometheus().listen)

    async def open(self, listen: Listen) -> int:
        """Listen at an address, and there alone, and return the port. Raises CannotStart."""
        try:
            port = await self.endpoints.start(listen.host, listen.port)
        except OSError as error:
            where = f"{listen.host}:{listen.port}"
            why = str(error.strerror or error).rpartition(": ")[2]  # asyncio puts the address before it once more
            raise CannotStart(
                f"{self._path}: exporters.prometheus.listen: cannot listen on {where}: {why}; "
                "choose another port, or end what uses it",
                Rejection.ADDRESS,
            ) from None
        self._is_open = True
        return port

    async def close(self) -> None:
        """Stop listening."""
        self._is_open = False
        await self.endpoints.stop()
