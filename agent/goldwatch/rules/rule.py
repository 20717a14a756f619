"""The parts of rules, and their queries for the metrics of the catalogue."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from goldwatch.export.metric import Kind, Metric

_WHERE = "cluster, namespace, job"
"""Labels that a scrape adds. They tell teams and clusters apart, and Alertmanager routes by `namespace`."""
PAIR = f"({_WHERE}, watch, target)"
"""A model as its owners know it. Replicas of an agent, and the pods that replace each other, are one."""
CALLED = f"({_WHERE}, watch, target, severity, monitor)"
"""An alert about a model."""
AGENT = f"({_WHERE}, instance)"
"""One agent, as `up` knows it."""
JOB = f"({_WHERE})"
LEASE = f"({_WHERE}, lease)"
"""Replicas of which one replays."""
MATCHED = ("cluster", "namespace", "job")
"""Labels of the scrape that all rules keep, so that rules can be limited by them."""
_MODEL_LABELS = ("cluster", "namespace", "job", "watch", "target")


@dataclass(frozen=True, slots=True)
class RecordingRule:
    """A recording rule. `name` is `level:metric:operations`, as Prometheus recommends."""

    name: str
    expr: str


@dataclass(frozen=True, slots=True)
class AlertRule:
    """An alert. It fires after `hold_s` seconds and goes on for `keep_s` after its expression ends.

    `runbook` names a file in the folder of runbooks, without .md; a value of the label `runbook_label` replaces it.
    `summary` and `description` are templates that both Prometheus and Grafana know. `details` continue the description
    and `served_at` is the folder of runbooks at a live agent; only Prometheus fills these in, since they query series.
    `labels` are added to those of the series.
    """

    name: str
    expr: str
    hold_s: int
    severity: str
    runbook: str
    summary: str
    description: str
    details: str = ""
    served_at: str = ""
    keep_s: int = 0
    runbook_label: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RuleGroup:
    """Rules that are evaluated one after the other."""

    name: str
    rules: tuple[RecordingRule | AlertRule, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """The watches and targets that rules are about; all of them if none is named.

    With `pushed` their metrics reach Prometheus over OTLP instead of by scrapes: there is no `up`, and histograms are
    native. Rules are still written with the labels of a scrape; `rules.otlp` renames them. `match` are labels of the
    scrape, with their values: of the watches only those with these labels.
    """

    pairs: tuple[tuple[str, str], ...] = ()
    pushed: bool = False
    match: tuple[tuple[str, str], ...] = ()
    _matchers: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        names = zip(("watch", "target"), zip(*self.pairs, strict=True), strict=True) if self.pairs else ()
        found = tuple(_matcher(label, tuple(dict.fromkeys(values))) for label, values in names)
        scraped = tuple(_matcher(label, (value,)) for label, value in self.match)
        object.__setattr__(self, "_matchers", (*found, *scraped))

    def of(self, metric: Metric, window: str = "", **labels: str | tuple[str, ...]) -> str:
        """Return a selector of the series of a metric within the scope: see `select`."""
        written = select(metric, self._matchers if "watch" in metric.labels else (), window, **labels)
        return written.replace(f"{metric.name}_bucket", metric.name, 1) if self.pushed else written

    def matchers(self, **labels: str) -> str:
        """Return the label matchers of the scope and of `labels`, in braces, for a recorded series."""
        written = [*self._matchers, *(f"{name}={_quoted(value)}" for name, value in labels.items())]
        return f"{{{', '.join(written)}}}" if written else ""


def select(metric: Metric, matchers: Sequence[str] = (), window: str = "", **labels: str | tuple[str, ...]) -> str:
    """Return a selector of the series of a metric, with label matchers as they are.

    A label `x_not` must differ from its value, or from each of several. Raises KeyError for a label that the metric
    does not have.
    """
    written = list(matchers)
    for label, value in labels.items():
        name = label.removesuffix("_not")
        if name not in metric.labels:
            raise KeyError(f"{metric.name} has no label {name}")
        equal, among = ("=", "=~") if name == label else ("!=", "!~")
        written.append(
            f"{name}{equal}{_quoted(value)}" if isinstance(value, str) else f"{name}{among}{_quoted('|'.join(value))}"
        )
    name = metric.name + ("_bucket" if metric.kind is Kind.HISTOGRAM else "")
    selector = f"{name}{{{', '.join(written)}}}" if written else name
    return f"{selector}[{window}]" if window else selector


def templated(queries: Mapping[str, str]) -> str:
    """Return text with the answers to instant queries of one series each, for Prometheus's templates.

    Keys are text with `%s` for the value, `%d` for a whole number, `%i` for the instance of the series and `%{NAME}`
    for a label; a text whose query has no answer is left out. In a query `WHERE` means the labels of the alert's model.
    """
    value = "{{ . | first | value | printf `%s` }}"
    marks = {"%s": value % "%.4g", "%d": value % "%.0f", "%i": "{{ . | first | label `instance` }}"}
    return "".join(_with(query, _labels(_replaced(text, marks))) for text, query in queries.items())


def first_of(queries: Mapping[str, str], otherwise: str) -> str:
    """Return the text of the first of some queries that has an answer, or another text; see `templated`."""
    found = otherwise
    for text, query in reversed(list(queries.items())):
        found = f"{templated({text: query}).removesuffix('{{ end }}')}{{{{ else }}}}{found}{{{{ end }}}}"
    return found


def _labels(text: str) -> str:
    return re.sub(r"%\{(\w+)\}", r"{{ . | first | label `\1` }}", text)


def served_at(query: str, instance: str) -> str:
    """Return the address of an agent, for Prometheus's templates: its external URL, or else where it is scraped.

    `query` finds the external URL as the label `address`, and `instance` is the template of the address.
    """
    known = "{{ . | first | label `address` }}"
    return f"{{{{ with {query} | query }}}}{known}{{{{ else }}}}http://{instance}{{{{ end }}}}"


def listed(query: str, label: str, text: str) -> str:
    """Return text with the values of a label in the answer to an instant query as its `%s`; see `templated`."""
    each = f"{{{{ if $i }}}}, {{{{ end }}}}{{{{ $each.Labels.{label} }}}}"
    values = f'{{{{ range $i, $each := . | sortByLabel "{label}" }}}}{each}{{{{ end }}}}'
    return _with(query, text.replace("%s", values))


def _with(query: str, text: str) -> str:
    if "WHERE" not in query:
        return f"{{{{ with query `{query}` }}}}{text}{{{{ end }}}}"
    asked = query.replace("WHERE", ", ".join(f"{label}=%q" for label in _MODEL_LABELS))
    values = " ".join(f"$labels.{label}" for label in _MODEL_LABELS)
    return f"{{{{ with printf `{asked}` {values} | query }}}}{text}{{{{ end }}}}"


def _replaced(text: str, marks: Mapping[str, str]) -> str:
    return re.sub("|".join(marks), lambda match: marks[match[0]], text)


def _matcher(label: str, values: Sequence[str]) -> str:
    if len(values) == 1:
        return f"{label}={_quoted(values[0])}"
    literal = [value.replace(".", r"\.") for value in values]  # names are of letters, digits and ._-
    return f"{label}=~{_quoted('|'.join(literal))}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
