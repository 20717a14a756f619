"""Reconciles a namespace with its Watches: a ConfigMap for each agent's config, and a status for each Watch.

A Watch belongs to the ConfigMap that its label goldwatch.dev/config names, as a pod belongs to it by the annotation of
that name. Each run reads everything and writes only differences, so missed events, frequency and the choice of replica
do not matter: any state kept can be computed again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp

from goldwatch.cluster import fleet
from goldwatch.cluster.api import Api, ApiError, Resource, labels_of, name_of
from goldwatch.cluster.controllers import Failure, OperatorMetrics
from goldwatch.cluster.discovery import Discovery
from goldwatch.cluster.events import reference, warn
from goldwatch.cluster.resource import API_VERSION, PLURAL
from goldwatch.cluster.watches import BadDefaults, Composed, compose
from goldwatch.config.policy import is_refusal

log = logging.getLogger("goldwatch")

CONFIG = "goldwatch.dev/config"
"""The label of a Watch that names its ConfigMap."""
DEFAULT_CONFIG = "goldwatch-watches"
KEY = "goldwatch.yaml"
MANAGED = {"app.kubernetes.io/managed-by": "goldwatch-operator"}
_SELECTOR = ",".join(f"{key}={value}" for key, value in MANAGED.items())
_LIMIT_S = 15.0
_AT_ONCE = 8
_COUNT_PODS_EVERY_S = 60.0
"""A namespace may have thousands of pods."""


@dataclass(frozen=True, slots=True)
class _Result:
    """The result for the Watches of one ConfigMap: why each is not in it, "" for one that is."""

    problems: Mapping[str, str]
    common_reason: str = ""

    def reason(self, name: str) -> str:
        """Return the reason of the condition of a Watch."""
        if name not in self.problems:
            return "Accepted"
        return self.common_reason or ("NotAllowed" if is_refusal(self.problems[name]) else "Invalid")


class Reconciler:
    """One namespace. `session` asks the agents."""

    def __init__(
        self,
        api: Api,
        session: aiohttp.ClientSession,
        namespace: str,
        defaults: Mapping[str, Any],
        metrics: OperatorMetrics,
        *,
        discover: str | None = None,
    ) -> None:
        """Make one; with `discover` it makes Watches of annotations too, of objects with these labels."""
        self._discovery = None if discover is None else Discovery(api, namespace, discover, self._failed)
        self._api = api
        self._session = session
        self._namespace = namespace
        self._defaults = defaults
        self._metrics = metrics
        self._count_pods_at_s = 0.0
        self._core = f"/api/v1/namespaces/{namespace}"
        self._watches = _path(namespace)
        self._composed: dict[str, tuple[object, Composed]] = {}

    async def run(self) -> None:
        """Reconcile once, and measure it. Raises ApiError if the API server cannot be read."""
        began_s, well = time.monotonic(), False
        try:
            await self._run()
            well = True
        except ApiError as error:
            self._failed(error)
            raise
        except Exception:
            self._metrics.failed(self._namespace, Failure.INTERNAL)
            raise
        finally:
            self._metrics.reconciled(self._namespace, time.monotonic() - began_s, well=well)

    def _failed(self, error: ApiError) -> None:
        self._metrics.failed(self._namespace, Failure.of(error))

    async def _run(self) -> None:
        watches = await list_watches(self._api, self._namespace)
        if self._discovery is not None and await self._discovery.run(watches):
            watches = await list_watches(self._api, self._namespace)
        maps = await self._api.all_of(f"{self._core}/configmaps", _LIMIT_S, _SELECTOR)
        found = fleet.agents(await self._api.all_of(f"{self._core}/pods", _LIMIT_S, fleet.AGENT))
        existing = {held["metadata"]["name"]: held for held in maps}
        wanted: dict[str, list[Resource]] = {name: [] for name in existing}
        for watch in watches:
            wanted.setdefault(config_of(watch), []).append(watch)
        for name in self._composed.keys() - wanted.keys():
            del self._composed[name]
        results = {name: await self._config(name, mine, existing.get(name)) for name, mine in wanted.items()}
        told = await fleet.ask(self._session, [agent for agent in found if agent.config in wanted])
        await _few_at_once(
            self._tell(watch, results[name], told.get(name, {}), sum(agent.config == name for agent in found))
            for name, mine in wanted.items()
            for watch in mine
        )
        reasons = [results[name].reason(name_of(watch)) for name, mine in wanted.items() for watch in mine]
        self._metrics.watches(self._namespace, reasons)
        if time.monotonic() >= self._count_pods_at_s:
            asking = await fleet.pods_without_sidecar(self._api, self._namespace)
            self._metrics.pods_without_sidecar(self._namespace, asking)
            self._count_pods_at_s = time.monotonic() + _COUNT_PODS_EVERY_S

    async def _config(self, name: str, watches: list[Resource], existing: Resource | None) -> _Result:
        before = ((existing or {}).get("data") or {}).get(KEY, "")
        try:
            composed = await self._compose(name, watches, before)
            if composed.text != before or (existing is None and composed.text):
                await self._write(name, composed.text, existing)
        except BadDefaults as error:
            return _Result({name_of(watch): str(error) for watch in watches}, "Refused")
        except ApiError as error:
            about = f"the ConfigMap {name} cannot be written: {error}"
            if error.status == 409 and existing is None:
                about = (
                    f"there is a ConfigMap {name} already, which is not the operator's; name another one by {CONFIG}"
                )
            self._failed(error)
            log.warning("config not written", extra={"namespace": self._namespace, "config": name, "why": str(error)})
            return _Result({name_of(watch): about for watch in watches}, "NotWritten")
        return _Result(composed.problems)

    async def _compose(self, name: str, watches: list[Resource], before: str) -> Composed:
        """Make the text, unless it was made of the same Watches the last time."""
        made_of = (before, sorted((name_of(w), w["metadata"].get("generation")) for w in watches))
        if name in self._composed and self._composed[name][0] == made_of:
            return self._composed[name][1]
        specs = {name_of(watch): watch.get("spec") or {} for watch in watches}
        composed = await asyncio.to_thread(compose, specs, self._defaults, before)
        self._composed[name] = ((composed.text, made_of[1]), composed)  # what will be there the next time
        return composed

    async def _write(self, name: str, text: str, existing: Resource | None) -> None:
        """Create or replace the ConfigMap. One without a Watch is emptied: a volume of a deleted one would stay."""
        data = {KEY: text} if text else {}
        metadata = {"name": name, "namespace": self._namespace, "labels": MANAGED}
        body: Resource = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        if existing is None:
            await self._api.post(f"{self._core}/configmaps", body, _LIMIT_S)
        else:
            body["metadata"] = existing["metadata"]  # with its version: who else has changed it is not overwritten
            await self._api.put(f"{self._core}/configmaps/{name}", body, _LIMIT_S)
        log.info("config written", extra={"namespace": self._namespace, "config": name, "bytes": len(text)})

    async def _tell(self, watch: Resource, result: _Result, told: Mapping[str, list[fleet.Told]], agents: int) -> None:
        """Write the status of a Watch, if it is another than it was."""
        name, before = name_of(watch), watch.get("status") or {}
        problem = result.problems.get(name, "")
        status = fleet.status(told.get(name, ()), agents)
        if problem:
            status["message"] = problem
        reason = result.reason(name)
        status["conditions"] = [_accepted(watch, problem, reason)]
        if all(before.get(key) == value for key, value in status.items()):
            return
        if problem and _said(before) != problem:
            await warn(self._api, self._namespace, reference(watch, API_VERSION, "Watch"), reason, problem)
        # null takes a key away, and some API servers keep the null where there was none
        changed = {key: value for key, value in status.items() if value is not None or key in before}
        try:
            await self._api.patch(f"{self._watches}/{name}/status", {"status": changed}, _LIMIT_S)
        except ApiError as error:
            if error.status != 404:  # it was deleted meanwhile
                self._failed(error)
                log.warning("status not written", extra={"watch": name, "why": str(error)})


async def list_watches(api: Api, namespace: str) -> list[Resource]:
    """Return the Watches of a namespace. Raises ApiError, which says so if the cluster has no definition of Watch."""
    try:
        return await api.all_of(_path(namespace), _LIMIT_S)
    except ApiError as error:
        if error.status != 404:
            raise
        raise ApiError(
            "the cluster has no definition of Watch; install it: "
            "helm show crds CHART | kubectl apply --server-side -f -",
            error.status,
        ) from None


def _path(namespace: str) -> str:
    return f"/apis/{API_VERSION}/namespaces/{namespace}/{PLURAL}"


def config_of(watch: Resource) -> str:
    """Return the name of the ConfigMap of a Watch."""
    return labels_of(watch).get(CONFIG) or DEFAULT_CONFIG


def _said(status: Mapping[str, Any]) -> str:
    """Return why a Watch was not accepted, as its status has it; empty if it was."""
    conditions = status.get("conditions") or []
    return next((c["message"] for c in conditions if c.get("type") == "Accepted" and c.get("status") == "False"), "")


def _accepted(watch: Resource, problem: str, reason: str) -> dict[str, Any]:
    """Return the condition Accepted, with the time of the one before if it is as it was."""
    conditions = (watch.get("status") or {}).get("conditions") or []
    before: Mapping[str, Any] = next((c for c in conditions if c.get("type") == "Accepted"), {})
    status = "False" if problem else "True"
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "type": "Accepted",
        "status": status,
        "reason": reason,
        "message": problem or "in the config",
        "observedGeneration": watch["metadata"].get("generation", 0),
        "lastTransitionTime": before.get("lastTransitionTime", now) if before.get("status") == status else now,
    }


async def _few_at_once(work: Iterable[Awaitable[None]]) -> None:
    turn = asyncio.Semaphore(_AT_ONCE)

    async def one(each: Awaitable[None]) -> None:
        async with turn:
            await each

    await asyncio.gather(*map(one, work))
