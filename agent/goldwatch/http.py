"""The agent's own HTTP endpoints: /metrics for Prometheus, /healthz and /readyz for Kubernetes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias

from aiohttp import web

Render: TypeAlias = Callable[[str], tuple[bytes, str]]
"""Takes the Accept header and returns the exposition and its content type."""

_INDEX = """goldwatch

/metrics   Prometheus and OpenMetrics
/healthz   is the agent alive
/readyz    is the config in force
"""


class Endpoints:
    """The HTTP server of the agent. It serves nothing that is secret and changes nothing."""

    def __init__(self, render: Render, not_ready_because: Callable[[], str | None]) -> None:
        self._render = render
        self._not_ready_because = not_ready_because
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen and return the port, which is a free one if 0 was asked for. Raises OSError."""
        app = web.Application(client_max_size=1024)
        app.router.add_get("/", self._index)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        try:
            await site.start()
        except OSError:
            await self.stop()
            raise
        address: tuple[str, int] = self._runner.addresses[0]
        return address[1]

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _index(self, _: web.Request) -> web.Response:
        return web.Response(text=_INDEX)

    async def _metrics(self, request: web.Request) -> web.Response:
        # A thousand watches take a second to write, for which no replay should be late.
        body, content_type = await asyncio.to_thread(self._render, request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        why = self._not_ready_because()
        return web.Response(text="ok\n") if why is None else web.Response(text=f"{why}\n", status=503)
