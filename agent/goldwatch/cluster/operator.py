"""The operator: kopf watches the Watches, and each namespace that changed is reconciled, once for a burst of changes.

kopf keeps the event streams and the liveness endpoint alive; it writes nothing itself, neither progress nor
finalizers: the work to do is read from the cluster each time (see `reconciler`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import kopf
from aiohttp import web

from goldwatch.cluster.api import Api, ApiError
from goldwatch.cluster.controllers import OperatorMetrics
from goldwatch.cluster.membership import Membership
from goldwatch.cluster.reconciler import Reconciler, list_watches
from goldwatch.cluster.resource import GROUP, PLURAL, VERSION
from goldwatch.config import Lease
from goldwatch.http_serving import HttpServer

log = logging.getLogger("goldwatch")

_SETTLE_S = 0.5
"""So long after a change others are waited for."""
_AGAIN_S = 30.0


class Operator:
    """Reconciles namespaces with their Watches, until it is cancelled. Agents are asked every `every_s` seconds.

    With `discover` it makes Watches of the annotations of pods, Services and InferenceServices, of those with these
    labels; "" is all. With a `lease` one of several replicas acts, and the others wait.
    """

    def __init__(
        self,
        api: Api,
        namespaces: Sequence[str],
        defaults: Mapping[str, Any],
        every_s: float,
        *,
        discover: str | None = None,
        lease: Lease | None = None,
    ) -> None:
        """Make one. Raises NotInCluster."""
        self._discover = discover
        self._metrics = OperatorMetrics(namespaces, "" if lease is None else lease.name)
        self._membership = None if lease is None else self._joined(lease)
        self._api = api
        self._defaults = defaults
        self._every_s = every_s
        self._changed = {namespace: asyncio.Event() for namespace in namespaces}
        self._seen: dict[str, object] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._ending = contextlib.AsyncExitStack()

    async def serve(self, health_port: int) -> None:
        """Run until SIGTERM, with /healthz and /metrics. Raises OSError, and ApiError if it may not begin."""
        async with self._api, contextlib.AsyncExitStack() as ending:
            for namespace in self._changed:  # fail now if something is missing, rather than retry for ever
                await list_watches(self._api, namespace)
            server = HttpServer(self._pages())  # kopf's own listens on one address, and so on IPv4 or IPv6
            ending.push_async_callback(server.stop)
            await server.start("", health_port)
            try:
                await kopf.operator(
                    registry=self._registry(), settings=_settings(), namespaces=list(self._changed), standalone=True
                )
            except Exception:
                for namespace in self._changed:
                    await list_watches(self._api, namespace)  # says so if the definition was removed meanwhile
                raise

    def _pages(self) -> web.Application:
        async def healthz(_: web.Request) -> web.Response:
            return web.Response(text="ok\n")

        app = web.Application()
        app.router.add_get("/healthz", healthz)
        app.router.add_get("/metrics", self._metrics.serve)
        return app

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(self._login)
        kopf.on.startup(registry=registry)(self._start)
        kopf.on.cleanup(registry=registry)(self._stop)
        kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)(self._event)
        return registry

    async def _login(self, **_: Any) -> kopf.ConnectionInfo:  # noqa: ANN401 - as kopf calls it
        return kopf.ConnectionInfo(
            server=self._api.url, ca_path=str(self._api.authority), scheme="Bearer", token=self._api.token
        )

    async def _start(self, **_: Any) -> None:  # noqa: ANN401 - as kopf calls it
        if self._membership is not None:
            await self._membership.start()
            self._ending.push_async_callback(self._membership.stop)
        session = await self._ending.enter_async_context(aiohttp.ClientSession())
        for namespace, changed in self._changed.items():
            reconciler = Reconciler(
                self._api, session, namespace, self._defaults, self._metrics, discover=self._discover
            )
            self._tasks.append(asyncio.create_task(self._keep(namespace, reconciler, changed)))
        log.info("operating", extra={"namespaces": ", ".join(self._changed)})

    async def _stop(self, **_: Any) -> None:  # noqa: ANN401 - as kopf calls it
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._ending.aclose()

    async def _event(self, event: Mapping[str, Any], **_: Any) -> None:  # noqa: ANN401 - as kopf calls it
        """Note that a namespace has changed; that a status was written, by this operator, is no change."""
        metadata = event["object"]["metadata"]
        uid, state = metadata["uid"], (metadata.get("generation"), metadata.get("labels"))
        if event["type"] == "DELETED":
            self._seen.pop(uid, None)
        elif self._seen.get(uid) == state:
            return
        else:
            self._seen[uid] = state
        self._changed[metadata["namespace"]].set()

    def _joined(self, lease: Lease) -> Membership:
        def lead(_: bool) -> None:
            self._metrics.lead(leads=True)
            self._look_everywhere()

        return Membership(lease, lead, lambda: self._metrics.lead(leads=False), self._metrics.lease_error)

    def _look_everywhere(self) -> None:
        for changed in self._changed.values():
            changed.set()

    def _acts(self) -> bool:
        return self._membership is None or self._membership.may_replay()

    async def _keep(self, namespace: str, reconciler: Reconciler, changed: asyncio.Event) -> None:
        while True:
            wait_s = self._every_s
            try:
                if self._acts():
                    await reconciler.run()
            except ApiError as error:
                log.warning("not reconciled", extra={"namespace": namespace, "why": str(error)})
                wait_s = min(self._every_s, _AGAIN_S)
            except Exception:
                log.exception("reconciling failed in goldwatch itself", extra={"namespace": namespace})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), wait_s)
                await asyncio.sleep(_SETTLE_S)
            changed.clear()


def _settings() -> kopf.OperatorSettings:
    logging.getLogger("kopf").setLevel(logging.WARNING)  # otherwise it logs each event
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True  # neither namespaces nor definitions come and go under it
    settings.watching.server_timeout = 270  # a stream that has died silently is replaced
    return settings
