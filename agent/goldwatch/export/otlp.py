"""Metrics pushed to an OpenTelemetry collector over HTTP or gRPC, latencies as exponential histograms."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from inspect import signature
from typing import Any, Literal
from urllib.parse import urlsplit

from opentelemetry.metrics import CallbackOptions, Histogram, Observation
from opentelemetry.sdk.metrics import (
    AlwaysOffExemplarFilter,
    MeterProvider,
    ObservableCounter,
    ObservableGauge,
)
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource

from goldwatch import __version__
from goldwatch.export import otlp_logs
from goldwatch.export.catalogue import CATALOGUE
from goldwatch.export.measurement import Measurement
from goldwatch.export.metric import Kind, Metric
from goldwatch.export.push import Push
from goldwatch.export.store import Store

log = logging.getLogger("goldwatch")

Protocol = Literal["http", "grpc"]

_PUSH_LIMIT_S = 10.0
_LOGS_EVERY_S = 5.0
_CLOSE_LIMIT_MS = 1500.0
_MOST_SERIES = 100_000
"""The SDK's own limit, 2,000 series of a metric, is reached by the verdicts of a hundred targets."""

_LOGGERS: Mapping[Protocol, tuple[str, ...]] = {
    "http": ("opentelemetry.exporter.otlp.proto.http.metric_exporter",),
    "grpc": ("opentelemetry.exporter.otlp.proto.grpc.exporter",),
}


_OF_THE_POD = {
    "POD_NAME": "k8s.pod.name",
    "POD_NAMESPACE": "k8s.namespace.name",
    "POD_UID": "k8s.pod.uid",
    "NODE_NAME": "k8s.node.name",
}


class NotInstalled(Exception):
    """The packages of the extra `otlp` are missing."""


class OtlpExporter:
    """Pushes the current values every `every_s` seconds from a thread of its own.

    Gauges and counters are observed from our own store, so their series end when they should. A histogram of the SDK
    cannot forget: its retired points are left out of each push, and come back with their old counts if the watch does.
    """

    def __init__(
        self,
        endpoint: str,
        protocol: Protocol,
        every_s: float,
        headers: Mapping[str, str] | None = None,
        resource: Mapping[str, str] | None = None,
        failed: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`resource` holds attributes beside service.name and service.version; `failed` is told the signal of a push.

        Raises NotInstalled, ValueError.
        """
        self._store = Store()
        self._lock = threading.Lock()
        self._retired: frozenset[tuple[str, str]] = frozenset()
        self._closed = False
        inner_limit_s = min(every_s, _PUSH_LIMIT_S)
        inner = _exporter(endpoint, protocol, headers or {}, inner_limit_s)
        self._push = Push(inner, endpoint, _LOGGERS[protocol], failed=partial(failed, "metrics"))
        who = Resource.create({"service.name": "goldwatch", "service.version": __version__, **(resource or {})})
        self._provider = MeterProvider(
            [_reader(self._push, every_s)],
            who,
            exemplar_filter=AlwaysOffExemplarFilter(),
            shutdown_on_exit=False,
            views=[
                View(instrument_name=m.otel_name, aggregation=ExponentialBucketHistogramAggregation())
                for m in CATALOGUE
                if m.kind is Kind.HISTOGRAM
            ],
        )
        self._histograms = self._instruments()
        logs = otlp_logs.exporter(protocol, _signal(endpoint, protocol, "logs"), headers or {}, inner_limit_s)
        about = otlp_logs.failures(protocol, endpoint, partial(failed, "logs"))
        self._logs = otlp_logs.OtlpLogs(logs, about, who, min(every_s, _LOGS_EVERY_S))
        log.addHandler(self._logs)

    def publish(self, measurements: Iterable[Measurement]) -> None:
        """Take measurements in; the next push carries them."""
        batch = list(measurements)
        self._restore({(m.labels["watch"], m.labels["target"]) for m in batch if "target" in m.labels})
        self._store.publish(m for m in batch if m.metric.kind is not Kind.HISTOGRAM)
        for m in batch:
            if not isinstance(m.value, int | float):
                histogram = self._histograms[m.metric.name]
                for value in m.value:
                    histogram.record(value, m.labels)

    def retire(self, watch: str, target: str) -> None:
        """Push the series of a watch and target no more."""
        self._store.retire(watch, target)
        with self._lock:
            self._retired |= {(watch, target)}
            self._push.leave_out(self._retired)

    def close(self) -> None:
        """Push once more if the collector takes it at once, and end."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        log.removeHandler(self._logs)
        ending = threading.Thread(target=self._logs.close, daemon=True)  # a collector that hangs holds nobody up
        ending.start()
        try:
            self._provider.shutdown(timeout_millis=_CLOSE_LIMIT_MS)
        except Exception:  # the SDK raises a bare one
            log.debug("the OpenTelemetry exporter did not end cleanly", exc_info=True)
        ending.join(_CLOSE_LIMIT_MS / 3000)

    def _restore(self, published: set[tuple[str, str]]) -> None:
        with self._lock:
            if self._retired & published:
                self._retired -= published
                self._push.leave_out(self._retired)

    def _instruments(self) -> dict[str, Histogram]:
        """Make the instruments of the catalogue, and return those that are told of each value."""
        meter = self._provider.get_meter("goldwatch", __version__)
        histograms = {}
        for m in CATALOGUE:
            observe = [partial(self._observe, m)]
            if m.kind is Kind.HISTOGRAM:
                histograms[m.name] = meter.create_histogram(m.otel_name, m.unit, m.help)
            elif m.kind is Kind.COUNTER:
                meter.create_observable_counter(m.otel_name, observe, m.unit, m.help)
            else:
                meter.create_observable_gauge(m.otel_name, observe, m.unit, m.help)
        return histograms

    def _observe(self, metric: Metric, _: CallbackOptions) -> Iterable[Observation]:
        for key, sample in self._store.series(metric).items():
            if isinstance(sample, float):
                yield Observation(sample, dict(zip(metric.labels, key, strict=True)))


def _reader(push: Push, every_s: float) -> PeriodicExportingMetricReader:
    options: dict[str, Any] = {}
    if "cardinality_limits" in signature(PeriodicExportingMetricReader).parameters:  # older ones have no limit
        options["cardinality_limits"] = {ObservableCounter: _MOST_SERIES, ObservableGauge: _MOST_SERIES}
    return PeriodicExportingMetricReader(push, every_s * 1000, _PUSH_LIMIT_S * 1000, **options)


def _exporter(endpoint: str, protocol: Protocol, headers: Mapping[str, str], timeout_s: float) -> MetricExporter:
    """Make the SDK's exporter. Only the protocol that is used is imported."""
    if urlsplit(endpoint).scheme not in ("http", "https"):
        raise ValueError(f'"{endpoint}" is no address of a collector; write http://HOST:PORT or https://HOST:PORT')
    try:
        if protocol == "grpc":
            from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (  # noqa: PLC0415 - an extra
                OTLPMetricExporter as GrpcExporter,
            )

            metadata = tuple((name.lower(), value) for name, value in headers.items())
            return GrpcExporter(endpoint=endpoint, headers=metadata, timeout=timeout_s)
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import (  # noqa: PLC0415 - an extra
            OTLPMetricExporter as HttpExporter,
        )
    except ImportError as error:
        raise NotInstalled(f"OTLP over {protocol} needs more packages: pip install 'goldwatch[otlp]'") from error
    return HttpExporter(endpoint=_signal(endpoint, protocol, "metrics"), headers=dict(headers), timeout=timeout_s)


def _signal(endpoint: str, protocol: Protocol, signal: str) -> str:
    """Return where a signal is posted: at the path that OTLP prescribes, or beside that of metrics if it is given."""
    if protocol == "grpc":
        return endpoint
    path = urlsplit(endpoint).path.strip("/")
    return endpoint.replace("/v1/metrics", f"/v1/{signal}") if path else f"{endpoint.rstrip('/')}/v1/{signal}"


def kubernetes(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what the downward API of Kubernetes says of the pod, under OpenTelemetry's names."""
    return {name: environ[variable] for variable, name in _OF_THE_POD.items() if environ.get(variable)}
