"""The HTTP port of the agent, which stays open while configs are refused, replaced and loaded."""

from __future__ import annotations

from pathlib import Path

from goldwatch.config import Defaults, Prometheus, Rejection, written_prometheus
from goldwatch.daemon.access import Access
from goldwatch.daemon.endpoints import Endpoints
from goldwatch.daemon.in_force import CannotStart
from goldwatch.errors import GoldwatchError
from goldwatch.http_serving import Tls


class Port:
    """Opens the endpoints by the config. One port outlives the services that it shows."""

    def __init__(self, path: Path, defaults: Defaults | None = None) -> None:
        """Make one for a config file; `defaults` are for the keys that the file lacks."""
        self.defaults = defaults or Defaults()
        self.endpoints = Endpoints(lambda _: (b"", "text/plain"), lambda: "goldwatch is starting", lambda: None)
        self._path = path
        self._open: Prometheus | None = None

    async def open_early(self) -> None:
        """Listen before the config is loaded. Raises CannotStart.

        If the file names no address that can be read, the port stays where it is, or opens at the default.
        """
        written = written_prometheus(self._path)
        if written is None and self._open is not None:
            return
        try:
            section = self.defaults.fill(written or Prometheus())
        except GoldwatchError as error:
            raise CannotStart(str(error), Rejection.ADDRESS) from None
        if self._open is not None and "listen" not in section.model_fields_set:
            section = section.model_copy(update={"listen": self._open.listen})
        await self.open(section)

    async def open(self, section: Prometheus) -> int:
        """Listen at the address of `section`, and there alone, and return the port. Raises CannotStart."""
        listen, files = section.listen, section.tls_server_config
        try:
            tls = None if files is None else Tls(Path(files.cert_file), Path(files.key_file))
            self.admit(section)  # before a request can come
            port = await self.endpoints.start(listen.host, listen.port, tls)
        except GoldwatchError as error:
            where = f"{self._path}: exporters.prometheus.tls_server_config"
            raise CannotStart(f"{where}: {error}", Rejection.ADDRESS) from None
        except OSError as error:
            where = f"{listen.host}:{listen.port}"
            why = str(error.strerror or error).rpartition(": ")[2]  # asyncio puts the address before it once more
            raise CannotStart(
                f"{self._path}: exporters.prometheus.listen: cannot listen on {where}: {why}; "
                "choose another port, or end what uses it",
                Rejection.ADDRESS,
            ) from None
        self._open = section
        return port

    def admit(self, section: Prometheus) -> None:
        """Ask requests for the tokens of `section` from now on, and know its names."""
        self.endpoints.access = Access.of(section)

    async def close(self) -> None:
        """Stop listening."""
        self._open = None
        await self.endpoints.stop()
