"""The agent's own HTTP endpoints: /metrics for Prometheus, /healthz and /readyz for Kubernetes, an API and a page.

They change nothing and show nothing that is secret; `access` decides who may ask. Of an address they take names of
watches and targets, numbers, and the filters of the status page, each checked. The ledger is read in a thread, by
connections of its own. An event that is posted to /live goes into the tap of its watch, which answers at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

from aiohttp import web

from goldwatch.core.cloud_events import STRUCTURED, attributed, marks
from goldwatch.daemon.access import LIVE, Access
from goldwatch.daemon.alert_page import alert_page
from goldwatch.daemon.history import LedgerError
from goldwatch.daemon.status import MOST, Status
from goldwatch.daemon.status_page import Query, status_page
from goldwatch.daemon.tap import MOST_REQUEST_BYTES, Pace, Taps
from goldwatch.daemon.trend import MOST_DAYS
from goldwatch.daemon.watch_page import watch_page
from goldwatch.errors import GoldwatchError
from goldwatch.http_serving import Handler, HttpServer, Tls
from goldwatch.shipped import shipped

Render: TypeAlias = Callable[[str], tuple[bytes, str]]
"""Takes the Accept header and returns the exposition and its content type."""

_DAYS = 30
MOST_EVENTS_PER_S = 100.0
"""So many live requests a second are read, of all watches together; the others are counted."""
_AT_ONCE = 2
"""So many readers of the ledger at a time; the others wait, and scrapes do not."""
_RENDERED_AT_ONCE_S = 0.005
"""A page of metrics that took less CPU time the last time is rendered in the event loop."""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _POLICY + "form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

T = TypeVar("T")


class Endpoints:
    """The HTTP server of the agent."""

    def __init__(
        self,
        render: Render,
        not_ready_because: Callable[[], str | None],
        status: Callable[[], Status | None],
        taps: Taps | None = None,
    ) -> None:
        """Serve; `status` returns None as long as there is no ledger, `taps` take live traffic in."""
        self.show(render, not_ready_because, status, taps)
        self.access = Access()
        self._pace = Pace(MOST_EVENTS_PER_S)
        self._reading = asyncio.Semaphore(_AT_ONCE)
        self._server: HttpServer | None = None
        self._rendering_s = math.inf
        self._at: tuple[str, int, Tls | None] = ("", 0, None)
        self._port = 0

    def show(
        self,
        render: Render,
        not_ready_because: Callable[[], str | None],
        status: Callable[[], Status | None],
        taps: Taps | None = None,
    ) -> None:
        """Serve this from the next request on, on the same port."""
        self._render = render
        self._not_ready_because = not_ready_because
        self._status = status
        self._taps = taps or Taps()

    async def start(self, host: str, port: int, tls: Tls | None = None) -> int:
        """Listen, with `tls` over TLS, and return the port: a free one if 0 was asked for. Raises OSError.

        Without a host it is all addresses, of IPv4 and IPv6. If it listens elsewhere already, it moves: it opens the
        new address before it closes the old one, or after if the addresses overlap.
        """
        before, at = self._server, self._at
        if before is not None and at == (host, port, tls):
            return self._port
        try:
            await self._listen(host, port, tls)
        except OSError:
            if before is None or at[1] != port:
                raise
            await before.stop()
            self._server = None
            try:
                await self._listen(host, port, tls)
            except OSError:
                await self._listen(*at)
                raise
        else:
            if before is not None:
                await before.stop()
        return self._port

    async def _listen(self, host: str, port: int, tls: Tls | None) -> None:
        server = HttpServer(self.application())
        self._port = await server.start(host, port, tls=tls)
        self._server, self._at = server, (host, port, tls)

    def application(self) -> web.Application:
        """Return all that is served, for one server."""

        @web.middleware
        async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
            self.access.check(request)
            return await handler(request)

        app = web.Application(client_max_size=MOST_REQUEST_BYTES, middlewares=[admit])
        app.router.add_get("/", self._page)
        app.router.add_get(r"/alerts/{number:\d{1,9}}", self._alert_page)
        app.router.add_get("/watches/{watch}", self._watch_page)
        app.router.add_get("/api/v1/watches", self._watches)
        app.router.add_get("/api/v1/watches/{watch}/history", self._history)
        app.router.add_get("/api/v1/alerts", self._alerts)
        app.router.add_get(r"/api/v1/alerts/{number:\d{1,9}}", self._alert)
        app.router.add_post(LIVE, self._live)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get(r"/runbooks/{name:[a-z-]{1,40}}", self._runbook)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        return app

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            await self._server.stop()
            self._server = None

    async def _metrics(self, request: web.Request) -> web.Response:
        accept = request.headers.get("Accept", "")
        # Where many processes want a core, two changes of threads take longer than a small page. A large one takes a
        # second, and nothing must wait for it.
        small = self._rendering_s < _RENDERED_AT_ONCE_S
        body, content_type = self._rendered(accept) if small else await asyncio.to_thread(self._rendered, accept)
        return web.Response(body=body, headers={"Content-Type": content_type})

    def _rendered(self, accept: str) -> tuple[bytes, str]:
        began_s = time.thread_time()
        try:
            return self._render(accept)
        finally:
            self._rendering_s = time.thread_time() - began_s

    async def _runbook(self, request: web.Request) -> web.Response:
        path = shipped("runbooks") / f"{request.match_info['name']}.md"
        if not path.is_file():
            raise web.HTTPNotFound(text="there is no such runbook\n")
        return web.Response(text=await asyncio.to_thread(path.read_text), headers=_HEADERS)

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        why = self._not_ready_because()
        if why is None:
            return web.Response(text="ok\n")
        shown = why if self.access.allows(request) else "not ready; the reason needs the token"
        return web.Response(text=f"{shown}\n", status=503)

    async def _live(self, request: web.Request) -> web.Response:
        """Take in one CloudEvent. Events beyond the limits are counted, and not even read."""
        tap = self._taps.of(request.match_info["watch"])
        if tap is None or tap.from_a_log:
            raise web.HTTPNotFound(text="no watch of this name takes live traffic here: it has no section `live`\n")
        try:
            found = marks(request.headers, request.content_type)
        except GoldwatchError as error:
            tap.refuse()
            raise web.HTTPBadRequest(text=f"{error}\n") from None
        if found is None:
            return web.Response(text="an answer: only requests are looked at\n")
        if (request.content_length or 0) > MOST_REQUEST_BYTES or not self._pace.allows(time.monotonic()):
            tap.refuse()
            return web.Response(text="counted, not taken: too large, or too many a second\n")
        try:
            body = await request.read()
            if tap.key and request.content_type != STRUCTURED:
                body = attributed(body, request.headers, tap.key)
            tap.offer(body, *found)
        except web.HTTPRequestEntityTooLarge:
            tap.refuse()
            raise
        return web.Response(text="taken\n")

    async def _page(self, request: web.Request) -> web.Response:
        try:
            query = Query.of(request.query)
        except ValueError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from None

        def page(status: Status) -> str:
            return status_page(status.watches(sys.maxsize), status.alerts()["alerts"], query)

        answer = _html(await self._read(page))
        answer.headers["Content-Security-Policy"] = _POLICY + "form-action 'self'"
        return answer

    async def _alert_page(self, request: web.Request) -> web.Response:
        alert = await self._found(request)
        return _html(alert_page(alert, time.time()))

    async def _watch_page(self, request: web.Request) -> web.Response:
        watch, target, days = request.match_info["watch"], request.query.get("target", ""), _days(request)

        def page(status: Status) -> str | None:
            found = status.view(watch, target, days)
            return None if found is None else watch_page(found)

        return _html(_existing(await self._read(page)))

    async def _history(self, request: web.Request) -> web.Response:
        watch, target, days = request.match_info["watch"], request.query.get("target", ""), _days(request)
        return _json(request, _existing(await self._read(lambda status: status.history(watch, target, days))))

    async def _watches(self, request: web.Request) -> web.Response:
        limit = _limit(request, MOST)
        return _json(request, await self._read(lambda status: status.watches(limit)))

    async def _alerts(self, request: web.Request) -> web.Response:
        limit = _limit(request, 100)
        return _json(request, await self._read(lambda status: status.alerts(limit)))

    async def _alert(self, request: web.Request) -> web.Response:
        return _json(request, await self._found(request))

    async def _found(self, request: web.Request) -> dict[str, Any]:
        number = int(request.match_info["number"])
        alert = await self._read(lambda status: status.alert(number))
        if alert is None:
            raise web.HTTPNotFound(text=f"there is no alert {number}\n")
        return alert

    async def _read(self, question: Callable[[Status], T]) -> T:
        """Ask the ledger, in a thread."""
        status = self._status()
        if status is None:
            raise web.HTTPServiceUnavailable(text=f"{self._not_ready_because() or 'goldwatch is starting'}\n")
        async with self._reading:
            try:
                return await asyncio.to_thread(question, status)
            except (LedgerError, sqlite3.Error) as error:
                raise web.HTTPServiceUnavailable(text=f"the ledger cannot be read: {error}\n") from None


def _limit(request: web.Request, default: int) -> int:
    return _number(request, "limit", default, MOST)


def _days(request: web.Request) -> int:
    return _number(request, "days", _DAYS, MOST_DAYS)


def _number(request: web.Request, name: str, default: int, most: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > len(str(most)) or not 1 <= int(text) <= most:
        raise web.HTTPBadRequest(text=f"{name} is a number from 1 to {most}\n")
    return int(text)


def _existing(found: T | None) -> T:
    if found is None:
        raise web.HTTPNotFound(text="no watch of this name has this target\n")
    return found


def _json(request: web.Request, value: Mapping[str, Any]) -> web.Response:
    """Answer with a document, or with 304 if the client has it already.

    The entity tag is weak: it leaves out `at`, when the document was made, and slots in use beyond whole percents.
    """
    found = _finite(value)
    said = {key: each for key, each in found.items() if key != "at"}
    if (in_use := said.get("slots_in_use")) is not None:
        said["slots_in_use"] = round(in_use, 2)
    tag = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]
    headers = _HEADERS | {"Cache-Control": "private, no-cache", "ETag": f'W/"{tag}"'}
    if any(known.value in (tag, "*") for known in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    text = json.dumps(found, allow_nan=False) + "\n"
    return web.Response(text=text, content_type="application/json", headers=headers)


def _finite(value: Any) -> Any:  # noqa: ANN401 - whatever JSON can hold
    """Return the value with null for each number that JSON cannot hold."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _html(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/html", charset="utf-8", headers=_HEADERS)
