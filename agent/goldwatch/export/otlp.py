"""Metrics, logs and traces pushed to an OpenTelemetry collector, latencies as exponential histograms."""

from __future__ import annotations

import logging
import math
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Histogram, Observation
from opentelemetry.sdk.metrics import (
    AlwaysOffExemplarFilter,
    MeterProvider,
    ObservableCounter,
    ObservableGauge,
    TraceBasedExemplarFilter,
)
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from goldwatch import __version__
from goldwatch.config import MetricsLevel
from goldwatch.energy.meter import Counting
from goldwatch.export import gen_ai
from goldwatch.export.catalogue import CATALOGUE
from goldwatch.export.collector import Collector
from goldwatch.export.essential import essential
from goldwatch.export.exporter import Replayed
from goldwatch.export.hardware import Hardware
from goldwatch.export.measurement import Exemplar, Measurement
from goldwatch.export.metric import Kind, Metric, attribute
from goldwatch.export.otlp_logs import QUEUE as RECORDS
from goldwatch.export.otlp_logs import OtlpLogs
from goldwatch.export.otlp_traces import QUEUE as SPANS
from goldwatch.export.otlp_traces import OtlpTraces, of_pair, of_server
from goldwatch.export.push import Backlog, Failures, Push
from goldwatch.export.store import Store

log = logging.getLogger("goldwatch")

_PUSH_LIMIT_S = 10.0
_RECORDS_EVERY_S = 5.0
_CLOSE_LIMIT_MS = 1500.0
_MOST_SERIES = 100_000
"""The SDK's own limit, 2,000 series of a metric, is reached by the verdicts of a hundred targets."""

_NO_SPAN = Context()

_INSTANCES = uuid.UUID("4d63009a-8d0f-11ee-aad7-4c796ed8e320")
"""The namespace that OpenTelemetry prescribes for UUIDs of instances made from something stable."""

_OF_THE_POD = {
    "POD_CONTAINER": "k8s.container.name",
    "POD_NAME": "k8s.pod.name",
    "POD_NAMESPACE": "k8s.namespace.name",
    "POD_UID": "k8s.pod.uid",
    "NODE_NAME": "k8s.node.name",
    "NODE_ZONE": "cloud.availability_zone",
    "NODE_REGION": "cloud.region",
}


@dataclass(frozen=True, slots=True)
class Pushing:
    """How to push: the interval, attributes besides service.name and service.version, and whether traces too.

    `failed` takes the signal of each push that fails, `lost` the signal and number of records that were given up or
    rejected.
    `meters` are read at each push, for what the components of this machine take. `dropped` takes the number of their
    readings that were implausible. Metrics that are not of the `level` are not pushed.
    """

    every_s: float
    resource: Mapping[str, str] = field(default_factory=dict)
    traces: bool = False
    failed: Callable[[str], None] = lambda _: None
    lost: Callable[[str, int], None] = lambda _, __: None
    meters: Sequence[Counting] = ()
    dropped: Callable[[int], None] = lambda _: None
    level: MetricsLevel = "full"


class OtlpExporter:
    """Pushes the current values every `every_s` seconds from a thread of its own.

    Gauges and counters are observed from our own store, so their series end when they should. A histogram of the SDK
    cannot forget: its retired points are left out of each push, and come back with their old counts if the watch does.
    """

    def __init__(self, collector: Collector, pushing: Pushing) -> None:
        """Begin to push. Raises GoldwatchError."""
        self._store = Store()
        self._lock = threading.Lock()
        self._retired: frozenset[tuple[str, str]] = frozenset()
        self._closed = False
        self._collector, self._pushing = collector, pushing
        every_s = pushing.every_s
        limit_s = min(every_s, _PUSH_LIMIT_S)
        failures = self._failures("metrics")
        self._push = Push(collector.metrics(limit_s, failures.reject), failures)
        who = _resource(pushing.resource)
        self._provider = MeterProvider(
            [_reader(self._push, every_s)],
            who,
            exemplar_filter=TraceBasedExemplarFilter() if pushing.traces else AlwaysOffExemplarFilter(),
            shutdown_on_exit=False,
            views=[
                View(instrument_name=name, aggregation=ExponentialBucketHistogramAggregation())
                for name in (*(m.otel_name for m in CATALOGUE if m.kind is Kind.HISTOGRAM), *gen_ai.METRICS)
            ],
        )
        self._histograms = self._instruments()
        instruments = self._provider.get_meter("goldwatch", __version__)
        self._client = gen_ai.ClientMetrics(instruments)
        self._hardware = Hardware(pushing.meters, every_s, instruments, dropped=pushing.dropped)
        often_s = min(every_s, _RECORDS_EVERY_S)
        self._traces: OtlpTraces | None = None
        if pushing.traces:
            failures, room = self._failures("traces"), Backlog(SPANS, partial(pushing.lost, "traces"))
            self._traces = OtlpTraces(collector.spans(limit_s, failures.reject), failures, room, who, often_s)
        failures, room = self._failures("logs"), Backlog(RECORDS, partial(pushing.lost, "logs"))
        self._logs = OtlpLogs(collector.logs(limit_s, failures.reject), failures, room, who, often_s)
        log.addHandler(self._logs)

    def publish(self, measurements: Iterable[Measurement]) -> None:
        """Take measurements in; the next push carries them."""
        batch = list(measurements)
        self._restore({(m.labels["watch"], m.labels["target"]) for m in batch if "target" in m.labels})
        self._store.publish(m for m in batch if m.metric.kind is not Kind.HISTOGRAM)
        for m in batch:
            if not isinstance(m.value, int | float) and self._pushes(m.metric):
                histogram = self._histograms[m.metric.name]
                labels = {attribute(label): text for label, text in m.labels.items()}
                spans = {exemplar.value: exemplar for exemplar in m.exemplars} if self._pushing.traces else {}
                for value in m.value:
                    within = _within(spans.get(value))
                    histogram.record(value, labels, within)

    def follow(self, replayed: Replayed) -> None:
        """Take a replay in, request by request."""
        self._client.follow(replayed, of_pair(replayed) | of_server(replayed))
        if self._traces is not None:
            self._traces.follow(replayed)

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
        closing = [self._logs.close, *([self._traces.close] if self._traces is not None else [])]
        endings = [threading.Thread(target=close, daemon=True) for close in closing]
        for ending in endings:  # a collector that hangs delays no other
            ending.start()
        try:
            self._provider.shutdown(timeout_millis=_CLOSE_LIMIT_MS)
        except Exception:  # the SDK raises a bare one
            log.debug("the OpenTelemetry exporter did not end cleanly", exc_info=True)
        self._hardware.close()
        until = time.monotonic() + _CLOSE_LIMIT_MS / 3000
        for ending in endings:
            ending.join(max(until - time.monotonic(), 0))

    def _failures(self, signal: str) -> Failures:
        failed, lost = partial(self._pushing.failed, signal), partial(self._pushing.lost, signal)
        loggers = [self._collector.logger(signal)]
        return Failures(signal, self._collector.endpoint, loggers, failed=failed, lost=lost)

    def _restore(self, published: set[tuple[str, str]]) -> None:
        with self._lock:
            if self._retired & published:
                self._retired -= published
                self._push.leave_out(self._retired)

    def _instruments(self) -> dict[str, Histogram]:
        """Make the instruments of the catalogue, and return those that record each value."""
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

    def _pushes(self, metric: Metric) -> bool:
        return self._pushing.level == "full" or metric.essential is not None

    def _observe(self, metric: Metric, _: CallbackOptions) -> Iterable[Observation]:
        names = [attribute(label) for label in metric.labels]
        series = self._store.series(metric)
        for key, sample in (series if self._pushing.level == "full" else essential(metric, series)).items():
            if isinstance(sample, float) and math.isfinite(sample):  # the SDK warns of another at each push
                yield Observation(sample, dict(zip(names, key, strict=True)))


def _reader(push: Push, every_s: float) -> PeriodicExportingMetricReader:
    options: dict[str, Any] = {}
    if "cardinality_limits" in signature(PeriodicExportingMetricReader).parameters:  # older ones have no limit
        options["cardinality_limits"] = {ObservableCounter: _MOST_SERIES, ObservableGauge: _MOST_SERIES}
    return PeriodicExportingMetricReader(push, every_s * 1000, _PUSH_LIMIT_S * 1000, **options)


def _within(exemplar: Exemplar | None) -> Context:
    """Return the context of the span of an observation: the SDK takes its exemplars from there."""
    if exemplar is None:
        return _NO_SPAN
    ids = SpanContext(int(exemplar.trace_id, 16), int(exemplar.span_id, 16), False, TraceFlags(TraceFlags.SAMPLED))
    return set_span_in_context(NonRecordingSpan(ids), _NO_SPAN)


def _resource(about: Mapping[str, str]) -> Resource:
    """Return the agent's resource. `OTEL_RESOURCE_ATTRIBUTES` goes before the attributes `about` the agent."""
    given = OTELResourceDetector().detect().attributes
    own = {name: value for name, value in about.items() if name not in given}
    return Resource.create({"service.name": "goldwatch", "service.version": __version__, **own})


def kubernetes(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the facts of Kubernetes' downward API about the pod, under OpenTelemetry's names."""
    return {name: environ[variable] for variable, name in _OF_THE_POD.items() if environ.get(variable)}


def identity(environ: Mapping[str, str], host: str, ledger: Path) -> dict[str, str]:
    """Return `service.instance.id` and, in a pod, `service.namespace`. They survive a restart of the agent.

    In a pod the id is namespace, pod and container, as OpenTelemetry's conventions for Kubernetes have it. Elsewhere it
    is a UUID of host and ledger, which only one agent at a time can use, as the conventions for services have it.
    """
    namespace, pod = environ.get("POD_NAMESPACE", ""), environ.get("POD_NAME", "")
    if namespace and pod:
        container = environ.get("POD_CONTAINER") or "goldwatch"
        return {"service.namespace": namespace, "service.instance.id": f"{namespace}.{pod}.{container}"}
    return {"service.instance.id": str(uuid.uuid5(_INSTANCES, f"{host} {ledger}"))}
