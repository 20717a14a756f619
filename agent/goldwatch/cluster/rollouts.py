"""Knows whether the Deployments behind targets are rolling out, by asking the API server every few seconds.

During a rollout, old and new pods both answer: a measurement then belongs to neither. The agent raises no alert, takes
no evidence from such a replay, and an event names the new revision.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

from goldwatch.cluster.api import Api, ApiError, NotInCluster
from goldwatch.core.event import Rollout

log = logging.getLogger("goldwatch")

_EVERY_S = 5.0
_LIMIT_S = 4.0
_REVISION = "deployment.kubernetes.io/revision"


class Rollouts:
    """Asks about the Deployments of targets, in the running loop. Any thread may call it, at any rate."""

    def __init__(self, every_s: float = _EVERY_S) -> None:
        self._every_s = every_s
        self._deployments: dict[str, str] = {}
        self._found: dict[str, Rollout] = {}
        self._unknown: set[str] = set()
        self._running = asyncio.create_task(self._run())

    def __call__(self, target: str) -> Rollout | None:
        """Return what is known of the Deployment of a target; None if it has none, or it could not be asked."""
        return self._found.get(self._deployments.get(target, ""))

    def watch(self, deployments: Mapping[str, str]) -> None:
        """Ask from now on about these: by target, the Deployment as NAME or NAMESPACE/NAME."""
        self._deployments = dict(deployments)

    async def stop(self) -> None:
        """Stop asking, and disconnect."""
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self) -> None:
        try:
            async with Api.in_cluster() as api:
                while True:
                    await self._look(api)
                    await asyncio.sleep(self._every_s)
        except NotInCluster as error:
            log.warning("rollouts are not seen", extra={"why": str(error)})

    async def _look(self, api: Api) -> None:
        wanted = set(self._deployments.values())
        for gone in self._found.keys() - wanted:
            del self._found[gone]
        for deployment in sorted(wanted):
            await self._ask(api, deployment)

    async def _ask(self, api: Api, deployment: str) -> None:
        namespace, _, name = deployment.rpartition("/")
        try:
            path = f"/apis/apps/v1/namespaces/{namespace or api.namespace}/deployments/{name}"
            found = await api.get(path, _LIMIT_S)
            told = rollout(found, self._found.get(deployment), time.time())
        except (ApiError, OSError, LookupError, TypeError, AttributeError) as error:
            self._found.pop(deployment, None)  # an unknown state silences no alert
            if deployment not in self._unknown:
                why = str(error) if isinstance(error, ApiError) else f"{type(error).__name__}: {error}"
                log.warning("rollouts are not seen", extra={"deployment": deployment, "why": why})
            self._unknown.add(deployment)
            return
        self._unknown.discard(deployment)
        self._found[deployment] = told


def rollout(deployment: Mapping[str, Any], before: Rollout | None, now: float) -> Rollout:
    """Say how far a Deployment is, by the rules of `kubectl rollout status`; `before` is what was known of it."""
    metadata, spec, status = deployment["metadata"], deployment.get("spec") or {}, deployment.get("status") or {}
    revision = (metadata.get("annotations") or {}).get(_REVISION, "")
    under_way = _under_way(metadata, spec, status)
    ended_at = before.ended_at if before is not None else 0.0
    if before is not None and before.under_way and not under_way:
        ended_at = now
    return Rollout(str(metadata["name"]), revision, under_way, ended_at, _images(spec))


def _images(spec: Mapping[str, Any]) -> str:
    """Return the images of the pods, with commas between; empty if the Deployment names none."""
    containers = ((spec.get("template") or {}).get("spec") or {}).get("containers") or []
    return ", ".join(str(container["image"]) for container in containers if container.get("image"))


def _under_way(metadata: Mapping[str, Any], spec: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    """Say what is still to come; nothing if it is over, or was given up: a stuck one must not silence for ever."""
    if status.get("observedGeneration", 0) < metadata.get("generation", 0):
        return "a new version was asked for"
    if any(
        c.get("type") == "Progressing" and c.get("reason") == "ProgressDeadlineExceeded"
        for c in status.get("conditions") or []
    ):
        return ""
    wanted, updated = spec.get("replicas", 1), status.get("updatedReplicas", 0)
    if updated < wanted:
        return f"{updated} of {wanted} replicas updated"
    if (old := status.get("replicas", 0) - updated) > 0:
        return f"{old} old replicas to end"
    if status.get("availableReplicas", 0) < updated:
        return f"{status.get('availableReplicas', 0)} of {updated} updated replicas available"
    return ""
