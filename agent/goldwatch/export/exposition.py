"""The store as Prometheus's text format or as OpenMetrics.

prometheus-client builds an object and two dictionaries for each sample, which for thousands of series takes longer than
a scrape should; what a series is called does not change from scrape to scrape, so here it is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TypeAlias

from prometheus_client.utils import floatToGoString

from goldwatch.export.measurement import Exemplar
from goldwatch.export.metric import Kind, Metric
from goldwatch.export.store import Distribution, Key, Sample

_INFINITE = "+Inf"
_Names: TypeAlias = tuple[tuple[float, ...], tuple[str, ...]]
"""The bounds of a series' buckets, if it is a histogram, and what its lines begin with."""


class Exposition:
    """Renders, and remembers the names of the series of the last time."""

    def __init__(self, unit: Callable[[Metric], str]) -> None:
        """Make one; `unit` gives the text of OpenMetrics' UNIT line, empty for none."""
        self._unit = unit
        self._names: dict[str, dict[Key, _Names]] = {}

    def render(self, metrics: Iterable[tuple[Metric, Mapping[Key, Sample]]], *, openmetrics: bool) -> str:
        """Return the lines of all metrics, without the mark that ends an OpenMetrics exposition."""
        lines: list[str] = []
        for metric, series in metrics:
            lines += _head(metric, self._unit(metric), openmetrics=openmetrics)
            known = self._names.get(metric.name, {})
            names: dict[Key, _Names] = {}
            self._names[metric.name] = names  # without those that have ended
            for key, sample in series.items():
                bounds = sample.bounds if isinstance(sample, Distribution) else ()
                before = known.get(key)
                names[key] = found = before if before and before[0] == bounds else (bounds, _names(metric, key, bounds))
                if isinstance(sample, Distribution):
                    lines += _distribution(found[1], sample, openmetrics=openmetrics)
                else:
                    lines.append(f"{found[1][0]} {_number(sample)}")
        return "".join(f"{line}\n" for line in lines)


def _head(metric: Metric, unit: str, *, openmetrics: bool) -> Iterator[str]:
    name, kind = metric.name, str(metric.kind)
    text = metric.help.replace("\\", r"\\").replace("\n", r"\n")
    if openmetrics:
        text = text.replace('"', r"\"")
        name = name.removesuffix("_total").removesuffix("_info")
    elif metric.kind is Kind.INFO:
        kind = "gauge"
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    if openmetrics and unit:
        yield f"# UNIT {name} {unit}"


def _distribution(names: Sequence[str], sample: Distribution, *, openmetrics: bool) -> Iterator[str]:
    """Yield the lines of a histogram; only OpenMetrics has room for exemplars."""
    *buckets, count, total = names
    exemplars = sample.exemplars if openmetrics else {}
    for number, (name, upto) in enumerate(zip(buckets, accumulate(sample.counts), strict=True)):
        found = exemplars.get(number)
        yield f"{name} {upto}.0" if found is None else f"{name} {upto}.0 {_exemplar(found)}"
    yield f"{count} {sum(sample.counts)}.0"
    yield f"{total} {_number(sample.total)}"


def _exemplar(found: Exemplar) -> str:
    ids = f'{{trace_id="{found.trace_id}",span_id="{found.span_id}"}}'
    return f"# {ids} {_number(found.value)} {found.at:.3f}"


def _names(metric: Metric, key: Key, buckets: Sequence[float]) -> tuple[str, ...]:
    """Return the names of a series with its labels; of a histogram a bucket each, the count and the sum."""
    labels = _labels(metric, key)
    if metric.kind is not Kind.HISTOGRAM:
        return (metric.name + _braces(labels),)
    bounds = [*(floatToGoString(bound) for bound in buckets), _INFINITE]  # type: ignore[no-untyped-call]
    limits = [_braces([*labels, f'le="{bound}"']) for bound in bounds]
    named = [f"{metric.name}_bucket{limit}" for limit in limits]
    return (*named, f"{metric.name}_count{_braces(labels)}", f"{metric.name}_sum{_braces(labels)}")


def _labels(metric: Metric, key: Key) -> list[str]:
    return [f'{label}="{_escaped(value)}"' for label, value in zip(metric.labels, key, strict=True)]


def _braces(labels: Iterable[str]) -> str:
    inside = ",".join(labels)
    return f"{{{inside}}}" if inside else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]
