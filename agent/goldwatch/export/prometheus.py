"""Metrics for Prometheus to scrape, as text or OpenMetrics."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

from goldwatch.config import MetricsLevel
from goldwatch.export.catalogue import CATALOGUE
from goldwatch.export.essential import essential
from goldwatch.export.exposition import Exposition
from goldwatch.export.measurement import Measurement
from goldwatch.export.metric import Metric
from goldwatch.export.store import Store


class PrometheusExporter:
    """Stores published values and renders them, with `process_*` of this process.

    `level` may be changed at any time: what is stored is the same at each.
    """

    def __init__(self, wall: Callable[[], float] = time.time, metrics: Sequence[Metric] = CATALOGUE) -> None:
        """Start without series; `wall` gives Unix seconds."""
        self.level: MetricsLevel = "full"
        self._store = Store(wall, metrics)
        self._exposition = Exposition(_unit)
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)

    def publish(self, measurements: Iterable[Measurement]) -> None:
        """Take measurements in; a scrape sees all of them or none."""
        self._store.publish(measurements)

    def retire(self, watch: str, target: str) -> None:
        """Forget all series of a watch and target."""
        self._store.retire(watch, target)

    def forget(self, metrics: Iterable[Metric]) -> None:
        """Forget all series of some metrics."""
        self._store.forget(metrics)

    def close(self) -> None:
        """Do nothing: there is nothing to hand over."""

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return the exposition and its content type: OpenMetrics if the Accept header asks for it, else text."""
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # a version that is no number
            encode, content_type = choose_encoder("")
        found = self._store.snapshot()
        if self.level == "essential":
            found = [(metric, some) for metric, series in found if (some := essential(metric, series))]
        ours = self._exposition.render(found, openmetrics=content_type.startswith("application/openmetrics-text"))
        return ours.encode("utf-8", "replace") + encode(self._registry), content_type


def _unit(metric: Metric) -> str:
    """Return the text of OpenMetrics' UNIT line, which must be the end of the name."""
    return next(
        (unit for unit in ("seconds", "ratio", "joules", "watts", "grams") if metric.name.endswith(f"_{unit}")), ""
    )
