"""Metrics of the operator and the webhook themselves, which Prometheus scrapes at `/metrics` of either process.

Each has its own exporter of the metrics in `catalogue.controllers`. A number that only the acting replica of an
operator knows ends when that replica stands by, so that no old number is shown next to the new one.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from enum import StrEnum

from aiohttp import web

from goldwatch import __version__
from goldwatch.cluster.api import ApiError
from goldwatch.export.catalogue import LEASE_ERRORS
from goldwatch.export.catalogue import controllers as c
from goldwatch.export.measurement import Measurement, of_lease
from goldwatch.export.prometheus import PrometheusExporter
from goldwatch.http_serving import Tls

_OF_THE_ACTING = (c.WATCHES, c.PODS_WITHOUT_SIDECAR, c.RECONCILE_TIMESTAMP)


class Failure(StrEnum):
    """How the API server failed the operator; `internal` is a bug of goldwatch."""

    FORBIDDEN = "forbidden"
    CONFLICT = "conflict"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    INTERNAL = "internal"

    @classmethod
    def of(cls, error: ApiError) -> Failure:
        """Classify an error by its HTTP status."""
        if error.status in (401, 403):
            return cls.FORBIDDEN
        if error.status == 409:
            return cls.CONFLICT
        return cls.REFUSED if 400 <= error.status < 500 and error.status != 429 else cls.UNREACHABLE


class Result(StrEnum):
    """The result of a review of the webhook."""

    INJECTED = "injected"
    UNASKED = "unasked"
    REFUSED = "refused"
    MALFORMED = "malformed"


class _Exported:
    """The common part of both processes: an exporter."""

    def __init__(self, component: str) -> None:
        self._exporter = PrometheusExporter(metrics=c.CONTROLLERS)
        info = {"component": component, "version": __version__}
        self._exporter.publish([Measurement(c.CONTROLLER_INFO, info, 1)])

    async def serve(self, request: web.Request) -> web.Response:
        """Answer a scrape."""
        body, kind = self._exporter.render(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": kind})


class OperatorMetrics(_Exported):
    """The numbers of one replica of the operator. `wall` gives Unix seconds."""

    def __init__(self, namespaces: Iterable[str], lease: str = "", wall: Callable[[], float] = time.time) -> None:
        """Start with every counter at zero, so that no increase is missed."""
        super().__init__("operator")
        self._wall = wall
        self._lease = lease
        self._acts = True
        for namespace in namespaces:
            for reason in Failure:
                self._count(namespace, reason, 0)
        self.lead(leads=False)

    def lead(self, *, leads: bool) -> None:
        """Note whether this replica holds the lease, if there is one.

        What a reconcile that was running then still finds is left out: another replica may have newer numbers.
        """
        if self._lease:
            self._acts = leads
            self._exporter.publish(of_lease(self._lease, leads=leads))
            if not leads:
                self._exporter.forget(_OF_THE_ACTING)

    def lease_error(self) -> None:
        """Count a failed attempt to take or renew the lease."""
        self._exporter.publish([Measurement(LEASE_ERRORS, {"lease": self._lease}, 1)])

    def reconciled(self, namespace: str, duration_s: float, *, well: bool) -> None:
        """Note an attempt to reconcile a namespace, and whether it came to its end."""
        where = {"model_namespace": namespace}
        found = [Measurement(c.RECONCILE_DURATION, where, [duration_s])]
        if well and self._acts:
            found.append(Measurement(c.RECONCILE_TIMESTAMP, where, self._wall()))
        self._exporter.publish(found)

    def failed(self, namespace: str, reason: Failure) -> None:
        """Count a request that failed."""
        self._count(namespace, reason, 1)

    def watches(self, namespace: str, reasons: Iterable[str]) -> None:
        """Note the reasons of the conditions of all Watches of a namespace; without a Watch, that none is accepted."""
        if not self._acts:
            return
        counts = {"Accepted": 0} | Counter(reasons)
        self._exporter.publish(
            Measurement(c.WATCHES, {"model_namespace": namespace, "reason": reason}, count)
            for reason, count in counts.items()
        )

    def pods_without_sidecar(self, namespace: str, count: int) -> None:
        """Note how many pods ask for a sidecar and have none."""
        if self._acts:
            self._exporter.publish([Measurement(c.PODS_WITHOUT_SIDECAR, {"model_namespace": namespace}, count)])

    def _count(self, namespace: str, reason: Failure, count: int) -> None:
        labels = {"model_namespace": namespace, "reason": reason}
        self._exporter.publish([Measurement(c.RECONCILE_ERRORS, labels, count)])


class WebhookMetrics(_Exported):
    """The numbers of one replica of the webhook, which serves with the certificate of `tls`."""

    def __init__(self, tls: Tls | None = None) -> None:
        """Start with every counter at zero."""
        super().__init__("webhook")
        self._tls = tls
        self._exporter.publish(Measurement(c.REVIEWS, {"result": result}, 0) for result in Result)

    def reviewed(self, result: Result) -> None:
        """Count a review."""
        self._exporter.publish([Measurement(c.REVIEWS, {"result": result}, 1)])

    async def serve(self, request: web.Request) -> web.Response:
        """Answer a scrape, with the dates of the certificate that is in use now."""
        if self._tls is not None and self._tls.validity is not None:
            begins, ends = self._tls.validity
            found = [Measurement(c.CERTIFICATE_BEGINS, {}, begins), Measurement(c.CERTIFICATE_ENDS, {}, ends)]
            self._exporter.publish(found)
        else:
            self._exporter.forget((c.CERTIFICATE_BEGINS, c.CERTIFICATE_ENDS))
        return await super().serve(request)
