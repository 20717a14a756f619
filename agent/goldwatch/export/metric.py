"""The type of a metric, and the rules for names in the catalogue.

A metric has two names. The one for Prometheus follows from the one for OpenTelemetry by OpenTelemetry's own rules of
translation, so a metric has the same name in Prometheus, whether Prometheus scraped the agent or received the metric
over OTLP. A label `watch` is the attribute `goldwatch.watch`. A Prometheus that receives OTLP calls that
`goldwatch_watch`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The type of a metric. An *info* is a gauge whose value is always 1: its labels carry the information."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Essential:
    """The part of a metric that is exported with `metrics: essential`; without arguments all of it.

    Series are left out: those with another value of the label `only[0]` than `only[1:]`, and with `nonzero` those that
    are 0. The values of the label `kept[0]` other than `kept[1:]` are added up as `rest`. A histogram has the buckets
    of the `bounds` with these numbers, counted from 0; its other observations are in the next bucket above.
    """

    only: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    rest: str = ""
    nonzero: bool = False
    bounds: tuple[int, ...] = ()

    def key(self, labels: tuple[str, ...], key: tuple[str, ...]) -> tuple[str, ...] | None:
        """Return the label values under which a series is exported, None if it is left out."""
        if self.only and key[labels.index(self.only[0])] not in self.only[1:]:
            return None
        return tuple(
            self.rest if self.kept and label == self.kept[0] and value not in self.kept[1:] else value
            for label, value in zip(labels, key, strict=True)
        )

    def __str__(self) -> str:
        """Say in words what is exported."""
        said = []
        if self.only:
            said.append(f"`{self.only[0]}` {', '.join(self.only[1:])}")
        if self.kept:
            said.append(f"`{self.kept[0]}` {', '.join(self.kept[1:])}, and the sum of the rest as {self.rest}")
        if self.nonzero:
            said.append("only series that are not 0")
        if self.bounds:
            said.append(f"{len(self.bounds)} of the bounds")
        return "essential" + (f" ({'; '.join(said)})" if said else "")


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family.

    `unit` is in UCUM, as OpenTelemetry writes units: "s", "1" for a ratio, "{request}" for things that are counted,
    empty where there is none. `buckets` are the upper bounds of a histogram in that unit, without +Inf.

    `group` names the labels that distinguish sets of series that are replaced whole: publishing any series of a set
    ends those of its others that are not published with it. None means that each series is independent.

    `essential` is what the level *essential* has of the metric: None for nothing.
    """

    name: str
    otel_name: str
    kind: Kind
    unit: str
    labels: tuple[str, ...]
    help: str
    group: tuple[str, ...] | None = None
    buckets: tuple[float, ...] = ()
    essential: Essential | None = None

    def matches(self, key: tuple[str, ...], watch: str, target: str) -> bool:
        """Say whether the series with the label values `key` belongs to this watch and target."""
        of = dict(zip(self.labels, key, strict=True))
        return of.get("watch") == watch and of.get("target") == target


WATCH = ("watch", "target")
"""The labels of what belongs to one golden set against one target."""

LABELS = {
    "component": "operator, webhook",
    "model_namespace": "the namespaces that the operator keeps",
    "lease": "the lease of the config",
    "watch": "the watches of the config",
    "target": "the targets of the config",
    "golden": "the golden set of the watch; the old series ends when it changes",
    "task": "the tasks that goldwatch knows",
    "digest": "one at a time: the old series ends when it changes",
    "probe": "the probe of the target",
    "model": "one at a time: the old series ends when it changes",
    "version": "one at a time: the old series ends when it changes",
    "python": "one at a time: the interpreter of the agent",
    "framework": "one at a time: the old series ends when it changes",
    "framework_version": "one at a time: the old series ends when it changes",
    "device": "one at a time: the old series ends when it changes",
    "result": "injected, unasked, refused, malformed",
    "validity": "valid, insufficient, invalid",
    "outcome": "the eight ends of a request; with `metrics: essential` ok, not_sent, withheld, and failed for the rest",
    "reason": "the reasons to skip a replay, to refuse a config or a Watch, and those for a time that is not known; "
    "how the API server failed the operator; with `metrics: essential` those to skip a replay are internal_error, "
    "waiting and other",
    "time": "first, next",
    "step": "waited, held, skipped",
    "check": "repeats, lengths",
    "type": "input, output",
    "finish": "stop, length, other",
    "score": "the scores of the golden set's task",
    "call": "graded, reused, failed",
    "called": "good, bad",
    "slice": "the slices of the golden set",
    "value": "the values of a slice; how many the golden set has counts into what the config may make",
    "effect": "harmful, helpful, neutral",
    "label": "the classes in ten mistakes at most",
    "answer": "the classes in ten mistakes at most",
    "monitor": "the monitors of the watch",
    "state": "unknown, steady, suspect, alerting, recovered",
    "severity": "page, ticket",
    "headline": "one at a time: that of the open alert",
    "action": "one at a time: that of the open alert",
    "command": "one at a time: that of the open alert",
    "page": "one at a time: that of the open alert",
    "runbook": "one at a time: that of the open alert",
    "address": "one at a time: that of the config",
    "objective": "accuracy_loss, errors, latency, outputs",
    "signal": "logs, metrics, traces",
    "source": "the meters of the target together; the old series ends when they change",
    "attribution": "exclusive, shared",
    "fate": "judged, sampled_out, synthetic, refused",
    "read": "yes, no",
    "part": "gross, idle, net",
    "currency": "the currency of the config",
    "per": "inference, right_answer, output_token",
}
"""Each label that may be used, and what bounds its values."""

_NAME = re.compile(r"goldwatch(_[a-z0-9]+)+")
_OTEL_NAME = re.compile(r"goldwatch(\.[a-z0-9]+(_[a-z0-9]+)*)+")
_UNIT = re.compile(r"|s|1|J|W|g|\{[a-z0-9]+\}(/s)?")
_RESERVED = ("_bucket", "_sum", "_count", "_created")
FACTS = {
    *("version", "python", "model", "framework", "framework_version", "device", "digest", "golden", "task", "probe"),
    "component",
    *("headline", "action", "command", "page", "runbook", "address"),
}
"""Labels with one value at a time, which only an info has."""


NAMESPACE = "goldwatch."
"""The namespace of our attributes in OpenTelemetry."""


def attribute(label: str) -> str:
    """Return the name of a label as an attribute of OpenTelemetry."""
    return NAMESPACE + label


def pushed_label(label: str) -> str:
    """Return the name of a label in a Prometheus that received it over OTLP."""
    return attribute(label).replace(".", "_")


_WORDS = {"J": "_joules", "W": "_watts", "g": "_grams"}


def prometheus_name(metric: Metric) -> str:
    """Translate the OpenTelemetry name of a metric by the rules of OpenTelemetry's compatibility specification."""
    name = metric.otel_name.replace(".", "_")
    if metric.unit == "s":
        name += "_seconds"
    elif metric.unit in _WORDS:
        name += _WORDS[metric.unit]
    elif metric.unit.endswith("/s"):
        name += "_per_second"
    elif metric.unit == "1" and metric.kind is Kind.GAUGE:
        name += "_ratio"
    return name + "_total" if metric.kind is Kind.COUNTER else name


def problems(metrics: Iterable[Metric]) -> list[str]:
    """Return what is wrong with a catalogue, one line each; nothing if all is well."""
    metrics = list(metrics)
    found = [f"{m.name}: {problem}" for m in metrics for problem in _problems_of(m)]
    for names in ([m.name for m in metrics], [m.otel_name for m in metrics]):
        found += [f"{name}: used {n} times" for name, n in Counter(names).items() if n > 1]
    attributes = [attribute(label) for m in metrics for label in m.labels]
    for names in ([m.otel_name for m in metrics], attributes):
        found += [f"{name} is also a namespace: of {below}" for name, below in _namespaces(names)]
    return found


def _namespaces(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each name that is the namespace of another, with the other; see OpenTelemetry's guidelines for names."""
    distinct = sorted(set(names))
    for name in distinct:
        yield from ((name, other) for other in distinct if other.startswith(f"{name}."))


def _problems_of(metric: Metric) -> Iterator[str]:
    if not _NAME.fullmatch(metric.name) or not _OTEL_NAME.fullmatch(metric.otel_name):
        yield f"the names must begin with goldwatch and be in lower case, also {metric.otel_name}"
    if not _UNIT.fullmatch(metric.unit):
        yield f'"{metric.unit}" is no unit in use here'
    if metric.name != prometheus_name(metric):
        yield f"{metric.otel_name} in {metric.unit or 'no unit'} is {prometheus_name(metric)} in Prometheus"
    if metric.name.endswith(_RESERVED) or (metric.name.endswith("_info") != (metric.kind is Kind.INFO)):
        yield f"a {metric.kind} must not end so"
    if bool(metric.buckets) != (metric.kind is Kind.HISTOGRAM) or list(metric.buckets) != sorted(set(metric.buckets)):
        yield "a histogram, and nothing else, has buckets, in rising order"
    if not metric.help.endswith("."):
        yield "the help must be a sentence"
    yield from _problems_of_labels(metric)
    yield from _problems_of_essential(metric, metric.essential or Essential())


def _problems_of_essential(metric: Metric, part: Essential) -> Iterator[str]:
    if not {*part.only[:1], *part.kept[:1]} <= set(metric.labels) or bool(part.kept) != bool(part.rest):
        yield "what is essential must be chosen by labels of the metric, and the rest must have a name"
    if part.kept and metric.kind is not Kind.COUNTER:
        yield "only counters can be added up"
    if not set(part.bounds) <= set(range(len(metric.buckets))) or list(part.bounds) != sorted(set(part.bounds)):
        yield "the essential bounds must be those of the histogram, in rising order"


def _problems_of_labels(metric: Metric) -> Iterator[str]:
    if unbounded := [label for label in metric.labels if label not in LABELS]:
        yield f"nothing bounds the values of {', '.join(unbounded)}"
    if metric.kind is not Kind.INFO and (facts := FACTS.intersection(metric.labels)):
        yield f"{', '.join(sorted(facts))} may be labels of an info only, where the old series ends"
    if metric.kind is Kind.INFO and metric.group is None:
        yield "an info must have a group, so that the old series ends"
    if metric.group is not None and metric.kind not in (Kind.INFO, Kind.GAUGE):
        yield "a counter or histogram cannot be replaced"
    if not set(metric.group or ()) <= set(metric.labels):
        yield "the group must be labels of the metric"
