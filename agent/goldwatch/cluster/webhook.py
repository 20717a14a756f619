"""The admission webhook's server: answers the API server over TLS, and reports what it could not add as an Event."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from pathlib import Path
from typing import Any

from aiohttp import web

from goldwatch.bounded_json import parse_json
from goldwatch.cluster.api import Api, NotInCluster
from goldwatch.cluster.controllers import Result, WebhookMetrics
from goldwatch.cluster.events import reference, warn
from goldwatch.cluster.injection import Sidecar, review
from goldwatch.http_serving import HttpServer, Tls

log = logging.getLogger("goldwatch")

_MOST_BYTES = 3 * 2**20
"""The API server itself takes no larger object."""


class Webhook:
    """Serves /inject and /readyz. Without an identity in the cluster it warns, and makes no Events."""

    def __init__(self, sidecar: Sidecar, api: Api | None, metrics: WebhookMetrics) -> None:
        self._sidecar = sidecar
        self._api = api
        self._metrics = metrics
        self._telling: set[asyncio.Task[None]] = set()

    def app(self) -> web.Application:
        """Return the application to serve."""
        app = web.Application(client_max_size=_MOST_BYTES)
        app.router.add_post("/inject", self._inject)
        app.router.add_get("/readyz", self._readyz)
        return app

    async def _readyz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _inject(self, http: web.Request) -> web.Response:
        try:
            version, request = _read(await http.read())
            answer, problem = review(request, self._sidecar)
            about = _about(request["object"]) if problem is not None else {}
        except (ValueError, LookupError, TypeError, AttributeError):
            self._metrics.reviewed(Result.MALFORMED)
            return web.Response(status=400, text="not an AdmissionReview of admission.k8s.io/v1\n")
        dry_run = request.get("dryRun")  # of no pod that starts
        if not dry_run:
            self._metrics.reviewed(
                Result.REFUSED if problem is not None else Result.INJECTED if "patch" in answer else Result.UNASKED
            )
        if problem is not None:
            namespace = request.get("namespace") or "default"
            log.warning("not injected", extra={"namespace": namespace, "reason": problem})
            if self._api is not None and not dry_run:
                said = f"{problem}; the pod starts without goldwatch"
                # the pod does not wait for that
                task = asyncio.create_task(warn(self._api, namespace, about, "NotInjected", said))
                self._telling.add(task)
                task.add_done_callback(self._telling.discard)
        return web.json_response({"apiVersion": version, "kind": "AdmissionReview", "response": answer})


def _read(raw: bytes) -> tuple[str, dict[str, Any]]:
    """Return the version and the request of a review. Raises ValueError, LookupError, TypeError, AttributeError."""
    asked = parse_json(raw)
    request = asked["request"]
    texts = asked["apiVersion"], request["uid"], request.get("namespace") or ""
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("these are texts")
    return texts[0], request


def _about(pod: dict[str, Any]) -> dict[str, Any]:
    """Return the object of an Event: the pod, or its owner, since its own name is still unknown."""
    owners = pod["metadata"].get("ownerReferences") or []
    return (
        {key: owners[0][key] for key in ("apiVersion", "kind", "name", "uid")}
        if owners
        else reference(pod, "v1", "Pod")
    )


def _pages(metrics: WebhookMetrics) -> web.Application:
    app = web.Application()
    app.router.add_get("/metrics", metrics.serve)
    return app


async def serve(sidecar: Path, certificate: Path, key: Path, host: str, port: int, metrics_port: int) -> None:
    """Run until SIGTERM, with /metrics on a port of its own, without TLS.

    Raises GoldwatchError, and OSError if a port cannot be had.
    """
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    tls = Tls(certificate, key)
    async with contextlib.AsyncExitStack() as ending:
        api = None
        with contextlib.suppress(NotInCluster):
            api = await ending.enter_async_context(Api.in_cluster())
        metrics = WebhookMetrics(tls)
        server, scraped = HttpServer(Webhook(Sidecar.read(sidecar), api, metrics).app()), HttpServer(_pages(metrics))
        for each in (server, scraped):
            ending.push_async_callback(each.stop)
        await server.start(host, port, tls=tls)
        await scraped.start(host, metrics_port)
        log.info("serving the webhook", extra={"port": port})
        await ended.wait()
