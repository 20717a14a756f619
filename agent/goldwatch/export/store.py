"""The current value of each series, shared by the exporters.

Why not leave that to the instruments of the client libraries: here one publication becomes visible whole, a series that
has ended is gone for Prometheus and OpenTelemetry alike, and a replay's latencies are sorted into buckets at once.
"""

from __future__ import annotations

import math
import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias

from goldwatch.export.catalogue import CATALOGUE, CLOCK
from goldwatch.export.measurement import Exemplar, Measurement
from goldwatch.export.metric import Kind, Metric

_AT_ONCE = 1 << 16


@dataclass(frozen=True, slots=True)
class Distribution:
    """Observations by bucket: `counts[i]` are up to the i-th bound and above the one before; the last has no bound."""

    counts: tuple[int, ...]
    total: float
    bounds: tuple[float, ...]
    exemplars: Mapping[int, Exemplar] = field(default_factory=dict)
    """The last one of each bucket that has had one."""

    @classmethod
    def of(cls, values: Sequence[float], bounds: Sequence[float], exemplars: Iterable[Exemplar] = ()) -> Distribution:
        """Sort values into buckets."""
        counts = [0] * (len(bounds) + 1)
        for start in range(0, len(values), _AT_ONCE):  # a million of them are not to be copied at once
            ordered = sorted(values[start : start + _AT_ONCE])
            upto = [0, *(bisect_right(ordered, bound) for bound in bounds), len(ordered)]
            counts = [count + b - a for count, (a, b) in zip(counts, pairwise(upto), strict=True)]
        last = {bisect_left(bounds, exemplar.value): exemplar for exemplar in exemplars}
        return cls(tuple(counts), math.fsum(values), tuple(bounds), last)

    def __add__(self, other: Distribution) -> Distribution:
        """Return the sum; only the other if its buckets differ: to Prometheus, a counter reset."""
        if self.bounds != other.bounds:
            return other
        counts = tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
        return Distribution(counts, self.total + other.total, self.bounds, {**self.exemplars, **other.exemplars})


Key: TypeAlias = tuple[str, ...]
"""The label values of a series, in the order of its metric's labels."""

Sample: TypeAlias = float | Distribution


class Store:
    """The last values of metrics, and the time at which they are read. Any thread may use it."""

    def __init__(self, wall: Callable[[], float] = time.time, metrics: Sequence[Metric] = CATALOGUE) -> None:
        """Start without series; `wall` gives Unix seconds."""
        self._wall = wall
        self._metrics = metrics
        self._lock = threading.Lock()
        self._series: dict[str, dict[Key, Sample]] = {metric.name: {} for metric in metrics}
        # What is replaced whole is found without a look at the series of all other watches.
        self._grouped: dict[tuple[str, Key], set[Key]] = {}

    def publish(self, measurements: Iterable[Measurement]) -> None:
        """Take measurements in, all or none of them visible to any reader."""
        # Sort latencies before taking the lock: a scrape waits for it.
        batch = [(m.metric, m.key, _sample(m)) for m in measurements]
        with self._lock:
            for group in {(metric.name, _group(metric, key)) for metric, key, _ in batch if metric.group is not None}:
                for key in self._grouped.pop(group, ()):
                    self._series[group[0]].pop(key, None)
            for metric, key, sample in batch:
                series = self._series[metric.name]
                if isinstance(sample, float) and math.isnan(sample):
                    series.pop(key, None)
                    continue
                accumulates = metric.kind in (Kind.COUNTER, Kind.HISTOGRAM)
                series[key] = _sum(series[key], sample) if accumulates and key in series else sample
                if metric.group is not None:
                    self._grouped.setdefault((metric.name, _group(metric, key)), set()).add(key)

    def retire(self, watch: str, target: str) -> None:
        """Forget all series of a watch and target."""
        with self._lock:
            for metric in self._metrics:
                series = self._series[metric.name]
                for key in [k for k in series if metric.matches(k, watch, target)]:
                    del series[key]
                    self._grouped.pop((metric.name, _group(metric, key)), None)

    def forget(self, metrics: Iterable[Metric]) -> None:
        """Forget all series of some metrics."""
        with self._lock:
            for metric in metrics:
                for key in self._series[metric.name]:
                    self._grouped.pop((metric.name, _group(metric, key)), None)
                self._series[metric.name].clear()

    def series(self, metric: Metric) -> Mapping[Key, Sample]:
        """Return the series of one metric as they are now."""
        with self._lock:
            return self._read(metric)

    def snapshot(self) -> list[tuple[Metric, Mapping[Key, Sample]]]:
        """Return all metrics that have series, as they are at one instant, in their order."""
        with self._lock:
            every = [(metric, self._read(metric)) for metric in self._metrics]
        return [(metric, series) for metric, series in every if series]

    def _read(self, metric: Metric) -> dict[Key, Sample]:
        return {(): self._wall()} if metric is CLOCK else dict(self._series[metric.name])


def _sample(measurement: Measurement) -> Sample:
    if isinstance(measurement.value, Sequence):
        bounds = measurement.bounds or measurement.metric.buckets
        return Distribution.of(measurement.value, bounds, measurement.exemplars)
    return float(measurement.value)


def _sum(before: Sample, more: Sample) -> Sample:
    if isinstance(before, Distribution) and isinstance(more, Distribution):
        return before + more
    if isinstance(before, float) and isinstance(more, float):
        return before + more
    raise TypeError("a number and a distribution have no sum")


def _group(metric: Metric, key: Key) -> Key:
    """Return the part of a key that identifies the set of series replaced whole."""
    return tuple(value for label, value in zip(metric.labels, key, strict=True) if label in (metric.group or ()))
