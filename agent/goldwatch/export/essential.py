"""The level *essential* of metrics: fewer series, among them all that the shipped rules read.

The catalogue declares the essential part of each metric. The store keeps all series at any level: exporters reduce the
series that they read from it. A reload changes the level; at `/metrics` no count is lost, those of a collector begin
anew, since its pusher is a new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from goldwatch.export.metric import Essential, Metric
from goldwatch.export.store import Distribution, Key, Sample


def essential(metric: Metric, series: Mapping[Key, Sample]) -> Mapping[Key, Sample]:
    """Return the essential series of a metric, made of all of its series."""
    part = metric.essential
    if part is None or part == Essential():
        return series if part is not None else {}
    found: dict[Key, Sample] = {}
    for key, sample in series.items():
        if isinstance(sample, Distribution):
            found[key] = _coarser(sample, part.bounds) if part.bounds else sample
        elif (there := part.key(metric.labels, key)) is not None and not (part.nonzero and sample == 0):
            before = found.get(there)
            found[there] = sample + before if isinstance(before, float) else sample
    return found


def _coarser(sample: Distribution, numbers: tuple[int, ...]) -> Distribution:
    """Return the same observations in the buckets of some of the bounds."""
    ends = [0, *(number + 1 for number in numbers), len(sample.counts)]
    counts = tuple(sum(sample.counts[a:b]) for a, b in pairwise(ends))
    exemplars = {
        bucket: sample.exemplars[old]
        for bucket, (a, b) in enumerate(pairwise(ends))
        for old in range(a, b)
        if old in sample.exemplars
    }
    return Distribution(counts, sample.total, tuple(sample.bounds[number] for number in numbers), exemplars)
