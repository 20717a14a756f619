"""Chooses the one replica that replays, by a Lease: the algorithm of client-go's leaderelection package.

A holder renews the lease every retry period. Whoever has not seen it change for its duration, by the own clock, takes
it; the API server lets only one of two do that, since a lease is replaced only in the version that was read. A holder
stops before that: when the renew deadline has passed since the moment at which its last renewal was *sent*.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeAlias

from goldwatch.cluster.api import Api, ApiError, Resource
from goldwatch.config import Lease
from goldwatch.ipc.fence import Fence, now_s

log = logging.getLogger("goldwatch")

_Send: TypeAlias = Callable[[str, Resource, float], Awaitable[Resource]]

_JITTER = 1.2
_RELEASE_LIMIT_S = 1.0
_RELEASED_BY = "goldwatch.dev/released-by"
"""The annotation of a lease that nobody holds: its last holder."""


class Elector:
    """One candidate.

    `on_lead` is called each time that this replica begins to lead, with whether this pod was also the last to hold the
    lease. `on_lost` is called each time that it loses the lease, and `on_error` at each failed request.
    """

    def __init__(
        self,
        *,
        api: Api,
        lease: Lease,
        identity: str,
        fence: Fence,
        on_lead: Callable[[bool], None] = lambda _: None,
        on_lost: Callable[[], None] = lambda: None,
        on_error: Callable[[], None] = lambda: None,
    ) -> None:
        self._api = api
        self._lease = lease
        self._identity = identity
        self._fence = fence
        self._on_lead, self._on_lost, self._on_error = on_lead, on_lost, on_error
        self._leading = False
        self._was_last = False
        self._seen: Resource = {}
        self._seen_at_s = 0.0
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{lease.namespace or api.namespace}/leases"

    def may_replay(self) -> bool:
        """Say whether this replica holds the lease, by its own clock, whatever else has happened."""
        return self._fence.left_s() > 0

    async def run(self) -> None:
        """Try for the lease, keep it, and try again when it is lost, until cancelled."""
        while True:
            asked_at_s = now_s()
            try:
                held = await self._try()
            except ApiError as error:
                held = False
                log.warning(
                    "the lease could not be read or written", extra={"lease": self._lease.name, "error": str(error)}
                )
                self._on_error()
            if held:
                self._renewed(asked_at_s)
            elif self._leading and (self._taken() or not self.may_replay()):
                self._lost()
            period_s = self._lease.retry_period_s
            # Candidates that all wait for one death do not all ask at once.
            await asyncio.sleep(period_s if self._leading else period_s * random.uniform(1, _JITTER))  # noqa: S311

    async def release(self) -> None:
        """Give the lease up, so that another need not wait for it to run out. Call when no replay is running."""
        held, self._leading = self.may_replay(), False
        self._fence.allow_until(0.0)
        if held:
            spec = self._seen["spec"] | {"holderIdentity": "", "leaseDurationSeconds": 1}
            notes = (self._seen["metadata"].get("annotations") or {}) | {_RELEASED_BY: self._identity}
            body = self._seen | {"spec": spec, "metadata": self._seen["metadata"] | {"annotations": notes}}
            with contextlib.suppress(ApiError):
                await self._api.put(f"{self._path}/{self._lease.name}", body, _RELEASE_LIMIT_S)

    async def _try(self) -> bool:
        """Acquire or renew; False if another holds the lease, or was quicker. Raises ApiError."""
        limit_s = self._lease.renew_deadline_s / 2
        if self._leading and not self.may_replay():
            return False  # it was frozen or cut off for too long: first stop, then try like any other
        try:
            found = await self._api.get(f"{self._path}/{self._lease.name}", limit_s)
        except ApiError as error:
            if error.status != 404:
                raise
            return await self._write(self._api.post, self._path, {}, limit_s)
        self._see(found)
        spec = found.get("spec") or {}
        holder = spec.get("holderIdentity")
        runs_out_s = self._seen_at_s + float(spec.get("leaseDurationSeconds") or 0)
        if holder and holder != self._identity and now_s() < runs_out_s:
            return False
        if holder == self._identity and not self._leading and now_s() < runs_out_s:
            return False  # this replica before it was restarted, or lost it: its workers may not have ended
        return await self._write(self._api.put, f"{self._path}/{self._lease.name}", found, limit_s)

    async def _write(self, send: _Send, path: str, found: Resource, limit_s: float) -> bool:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        before = found.get("spec") or {}
        mine = self._leading and before.get("holderIdentity") == self._identity
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": math.ceil(self._lease.duration_s),
            "acquireTime": before.get("acquireTime", now) if mine else now,
            "renewTime": now,
            "leaseTransitions": int(before.get("leaseTransitions") or 0) + (0 if mine or not before else 1),
        }
        metadata = {"name": self._lease.name} | (found.get("metadata") or {})
        metadata["annotations"] = dict(metadata.get("annotations") or {})
        released_by = metadata["annotations"].pop(_RELEASED_BY, "")
        if not self._leading:
            self._was_last = _pod(before.get("holderIdentity") or released_by) == _pod(self._identity)
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        try:
            answer = await send(path, body, limit_s)
        except ApiError as error:
            if error.status == 409:  # another was quicker
                return False
            raise
        self._see(answer)
        return True

    def _see(self, found: Resource) -> None:
        if found.get("spec") != self._seen.get("spec"):
            self._seen_at_s = now_s()
        self._seen = found

    def _taken(self) -> bool:
        return (self._seen.get("spec") or {}).get("holderIdentity") != self._identity

    def _renewed(self, asked_at_s: float) -> None:
        if self._leading and not self.may_replay():
            self._lost()  # the answer took too long: to hold it again is a new term
            return
        self._fence.allow_until(asked_at_s + self._lease.renew_deadline_s)
        if self._leading or not self.may_replay():
            return
        self._leading = True
        log.info("leading: this replica holds the lease", extra={"lease": self._lease.name, "identity": self._identity})
        try:
            self._on_lead(self._was_last)
        except Exception:  # it must not end the election
            log.exception("taking over failed in goldwatch itself")

    def _lost(self) -> None:
        self._leading = False
        self._fence.allow_until(0.0)
        log.warning("the lease is lost: this replica stands by", extra={"lease": self._lease.name})
        self._on_lost()


def _pod(identity: str) -> str:
    """Return the pod of an identity, which its restarted containers share. They also share its ledger."""
    return identity.rpartition("_")[0]
