"""Serve HTTP to clients that are not trusted: bounded connections, bounded time, and no decompression.

The agent and the admission webhook serve with it. aiohttp alone keeps idle connections for ever, waits without limit
for a request's head, and decompresses bodies before a handler sees them. A thousand idle connections would use up the
descriptors that replays need, and a few small bodies would fill the memory.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from goldwatch import certificate as certificates
from goldwatch.errors import GoldwatchError
from goldwatch.file_identity import identity

_MAX_CONNECTIONS = 256
_LIMIT_S = 60.0
"""A connection is closed if it completes no request for this long, whether it is idle or slow."""
_SHARE_OF_DESCRIPTORS = 4
"""Connections may take one in so many of the process's descriptors; replays, workers and the ledger need the others."""
_QUIET_S = 10.0

_RENEW_S = 15.0
"""How often the files of a certificate are looked at."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Tls:
    """A certificate and its key in PEM, which are read again when they change: cert-manager renews them in place.

    Two that read the same files are equal. `validity` has the Unix times between which the certificate in use is valid.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        """Read both files. Raises GoldwatchError."""
        self._files = certificate, key
        self._read = [identity(file) for file in self._files]
        self.context = self._loaded()
        self.validity = certificates.validity(certificate)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tls) and self._files == other._files

    def __hash__(self) -> int:
        return hash(self._files)

    def renew(self) -> None:
        """Take what has been renewed; what cannot be used leaves the certificate that there is, with a warning."""
        found = [identity(file) for file in self._files]
        if found == self._read:
            return
        self._read = found
        try:
            self._loaded()  # a failure would spoil the context in use
            self.context.load_cert_chain(*self._files)
            self.validity = certificates.validity(self._files[0])
        except (GoldwatchError, OSError) as error:
            logging.getLogger("goldwatch").warning("the certificate is not renewed", extra={"reason": str(error)})

    def _loaded(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(*self._files)
        except OSError as error:  # ssl.SSLError is one; it names no file
            names = " and ".join(str(file) for file in self._files)
            raise GoldwatchError(f"{names}: not a certificate and its key in PEM: {error}") from None
        return context


class HttpServer:
    """An application on one socket. Call `start`, then `stop`, in one event loop."""

    def __init__(self, app: web.Application, *, limit_s: float = _LIMIT_S, max_connections: int | None = None) -> None:
        """Serve `app`; without `max_connections` it is 256, or less if the process may open few files."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._max_connections = max_connections or max(8, min(_MAX_CONNECTIONS, soft // _SHARE_OF_DESCRIPTORS))
        self._limit_s = limit_s
        self._connections: dict[asyncio.BaseTransport, _Connection] = {}

        @web.middleware  # it marks functions, and cannot mark a method
        async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._count(request, handler)

        app.middlewares.append(count)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=1.0,
            auto_decompress=False,
            lingering_time=1.0,
            logger=_log,
        )
        self._server: asyncio.Server | None = None
        self._tls: Tls | None = None
        self._sweeping: asyncio.Task[None] | None = None

    async def start(
        self, host: str = "", port: int = 0, *, sock: socket.socket | None = None, tls: Tls | None = None
    ) -> int:
        """Listen, on `sock` if there is one, and return the port; without a host on all addresses. Raises OSError."""
        self._tls = tls
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        if sock is None and not host:
            sock = everywhere(port)
        where: dict[str, Any] = {"host": host, "port": port} if sock is None else {"sock": sock}
        try:
            self._server = await loop.create_server(self._connection, **where, ssl=None if tls is None else tls.context)
        except OSError:
            await self.stop()
            raise
        self._sweeping = asyncio.create_task(self._sweep())
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening, and close all connections."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()

    def _connection(self) -> asyncio.Protocol:
        assert self._runner.server is not None  # noqa: S101 - set up by start
        return _Connection(self, self._runner.server())

    def enter(self, connection: _Connection) -> None:
        """Take a connection in. If there are too many, close the one that has been idle longest, else this one."""
        if len(self._connections) >= self._max_connections:
            idle = [each for each in self._connections.values() if not each.busy]
            min(idle, key=lambda each: each.since, default=connection).transport.abort()
        self._connections[connection.transport] = connection

    def leave(self, connection: _Connection) -> None:
        """Forget a connection that was closed."""
        self._connections.pop(connection.transport, None)

    async def _count(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Note which connections wait for an answer, and refuse bodies that would have to be unpacked."""
        if request.headers.get("Content-Encoding", "identity") != "identity":
            raise web.HTTPUnsupportedMediaType(text="send the body without Content-Encoding\n")
        connection = self._connections.get(request.transport) if request.transport is not None else None
        if connection is None:
            return await handler(request)
        connection.busy = True
        try:
            return await handler(request)
        finally:
            connection.busy, connection.since = False, time.monotonic()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(min(self._limit_s / 4, _RENEW_S))
            if self._tls is not None:
                self._tls.renew()
            latest = time.monotonic() - self._limit_s
            for connection in list(self._connections.values()):
                if connection.since < latest:
                    connection.transport.abort()


def everywhere(port: int) -> socket.socket:
    """Return a socket on all addresses: of IPv6 too, where the machine has it. Raises OSError."""
    family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    found = socket.socket(family)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        found.bind(("", port))
    except OSError:
        found.close()
        raise
    return found


class _Connection(asyncio.Protocol):
    """Passes everything on to aiohttp's handler of a connection, and keeps when the last request was completed."""

    transport: asyncio.Transport

    def __init__(self, server: HttpServer, handler: asyncio.Protocol) -> None:
        self._server = server
        self._handler = handler
        self.busy = False
        self.since = time.monotonic()
        self.data_received = handler.data_received  # type: ignore[method-assign]  # one call less for each packet
        self.eof_received = handler.eof_received  # type: ignore[method-assign]
        self.pause_writing = handler.pause_writing  # type: ignore[method-assign]
        self.resume_writing = handler.resume_writing  # type: ignore[method-assign]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP and TLS are
        self.transport = transport
        self._handler.connection_made(transport)
        self._server.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.leave(self)
        self._handler.connection_lost(exc)


class _OneIn(logging.Filter):
    """Passes one record per interval, since a client can cause an error with every request."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self._next = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        if record.exc_info and isinstance(record.exc_info[1], HttpProcessingError):  # the client's fault, not ours
            record.msg, record.exc_info = "malformed request from %s", None
            record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True


_log = logging.getLogger("goldwatch.http")
_log.addFilter(_OneIn(_QUIET_S))
