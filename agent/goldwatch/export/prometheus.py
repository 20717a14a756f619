"""Metrics for Prometheus to scrape, as text or OpenMetrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from goldwatch.export.measurement import Measurement
from goldwatch.export.metric import Kind, Metric
from goldwatch.export.store import Distribution, Key, Sample, Store


class PrometheusExporter:
    """Keeps what was published and renders it, beside `process_*` of the agent itself."""

    def __init__(self) -> None:
        self._store = Store()
        self._registry = CollectorRegistry()
        self._registry.register(_Families(self._store))
        ProcessCollector(registry=self._registry)

    def publish(self, measurements: Iterable[Measurement]) -> None:
        """Take measurements in; a scrape sees all of them or none."""
        self._store.publish(measurements)

    def retire(self, watch: str, target: str) -> None:
        """Forget all series of a watch and target."""
        self._store.retire(watch, target)

    def close(self) -> None:
        """Do nothing: there is nothing to hand over."""

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return the exposition and its content type: OpenMetrics if the Accept header asks for it, else text."""
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # a version that is no number
            encode, content_type = choose_encoder("")
        return encode(self._registry), content_type


class _Families(Collector):
    """The store, as prometheus_client wants to collect it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterator[Family]:
        for metric, series in self._store.snapshot():
            yield _family(metric, series)


def _family(metric: Metric, series: Mapping[Key, Sample]) -> Family:
    if metric.kind is Kind.HISTOGRAM:
        return _histogram(metric, series)
    family: CounterMetricFamily | InfoMetricFamily | GaugeMetricFamily
    if metric.kind is Kind.COUNTER:
        family = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
    elif metric.kind is Kind.INFO:
        info = InfoMetricFamily(metric.name.removesuffix("_info"), metric.help, labels=metric.labels)
        for key in series:
            info.add_metric(key, {})
        return info
    else:
        family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels, unit=_unit(metric))
    for key, sample in series.items():
        if isinstance(sample, float):
            family.add_metric(key, sample)
    return family


def _histogram(metric: Metric, series: Mapping[Key, Sample]) -> Family:
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels, unit=_unit(metric))
    bounds = [*(floatToGoString(bound) for bound in metric.buckets), "+Inf"]  # type: ignore[no-untyped-call]
    for key, sample in series.items():
        if isinstance(sample, Distribution):
            upto = accumulate(sample.counts)
            family.add_metric(key, list(zip(bounds, upto, strict=True)), sample.total)
    return family


def _unit(metric: Metric) -> str:
    """Return what OpenMetrics says in a line of its own, which must be how the name ends."""
    return next(
        (unit for unit in ("seconds", "ratio", "joules", "watts", "grams") if metric.name.endswith(f"_{unit}")), ""
    )
