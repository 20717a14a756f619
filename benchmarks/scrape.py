"""A scrape of 10,000 series, compared with the same series in prometheus-client's own registry.

Both render in this process, as text for Prometheus; the bytes are those of one scrape, uncompressed. CPU time is what a
scrape takes where nothing else wants the core.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from goldwatch.config import LatencyObjective, Load, Objectives, Schedule, Watch
from goldwatch.daemon import promises
from goldwatch.export import measurement
from goldwatch.export.metric import Kind
from goldwatch.export.prometheus import PrometheusExporter
from goldwatch.export.store import Store

from benchmarks.figures import Figure

SERIES = 10_000
ROUNDS = 20
AIM_MS = 50.0


def measure() -> list[Figure]:
    """Render both alternately."""
    store, exporter, registry = Store(), PrometheusExporter(), CollectorRegistry()
    number = 0
    while _count(exporter) < SERIES:
        for each in (store, exporter):
            _watch(each, f"watch-{number}")
        number += 1
    _copy(store, registry)
    rounds = [(_taken(exporter.render), _taken(partial(generate_latest, registry))) for _ in range(ROUNDS)]
    (ours, our_cpu), (theirs, their_cpu) = ([*zip(*side, strict=True)] for side in zip(*rounds, strict=True))
    size, other = len(exporter.render()[0]), len(generate_latest(registry))
    return [
        Figure(f"scrape of {_count(exporter):,} series", statistics.median(ours), "ms", AIM_MS, ours),
        Figure("prometheus-client's own registry", statistics.median(theirs), "ms", raw=theirs),
        Figure("time, ours over theirs", _ratio(ours, theirs), "x"),
        Figure("CPU of a scrape", statistics.median(our_cpu), "ms", AIM_MS, our_cpu),
        Figure("CPU, prometheus-client's own", statistics.median(their_cpu), "ms", raw=their_cpu),
        Figure("CPU, ours over theirs", _ratio(our_cpu, their_cpu), "x"),
        Figure("size of a scrape", size / 1024, "KiB"),
        Figure("size, prometheus-client's own", other / 1024, "KiB"),
        Figure("size, ours over theirs", size / other, "x"),
    ]


def _taken(render: Callable[[], object]) -> tuple[float, float]:
    """Return the milliseconds that it took, and those of CPU."""
    gc.collect()
    began, began_cpu = time.perf_counter(), time.thread_time()
    render()
    return 1000 * (time.perf_counter() - began), 1000 * (time.thread_time() - began_cpu)


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def _watch(to: Store | PrometheusExporter, name: str) -> None:
    objectives = Objectives(latency=LatencyObjective(0.05, 0.99))
    watch = Watch(
        name=name,
        golden="g",
        targets=("t",),
        every=Schedule(interval_s=300),
        jitter_s=0,
        deadline_s=60,
        load=Load(),
        objectives=objectives,
    )
    to.publish(measurement.of_watch(name, "t"))
    to.publish(promises.of_promises(watch, "t"))
    to.publish(measurement.of_alert(name, "t", None, ()))


def _copy(store: Store, registry: CollectorRegistry) -> None:
    """Put the same series into instruments of prometheus-client."""
    for metric, series in store.snapshot():
        about: dict[str, Any] = {"labelnames": metric.labels, "registry": registry}
        made: Counter | Gauge | Histogram
        if metric.kind is Kind.HISTOGRAM:
            made = Histogram(metric.name, metric.help, buckets=metric.buckets, **about)
        elif metric.kind is Kind.COUNTER:
            made = Counter(metric.name, metric.help, **about)
        else:
            made = Gauge(metric.name, metric.help, **about)
        for key in series:
            made.labels(*key)


def _count(exporter: PrometheusExporter) -> int:
    lines = exporter.render()[0].decode().splitlines()
    return sum(line.startswith("goldwatch_") for line in lines)
