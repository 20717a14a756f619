"""What rules are made of, and how they ask for the metrics of the catalogue."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from goldwatch.export.metric import Kind, Metric

PAIR = "(watch, target)"
"""What alerts are about. Replicas of an agent are one: whichever of them replays speaks for all."""


@dataclass(frozen=True, slots=True)
class Record:
    """A recording rule. `name` is `level:metric:operations`, as Prometheus recommends."""

    name: str
    expr: str


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert. `hold_s` is how long it must hold; `runbook` names a file in the folder of runbooks, without .md.

    `summary` and `explanation` are templates that both Prometheus and Grafana know; `finding` and `details` go on with
    them where Prometheus fills them in, since they ask for other series.
    """

    name: str
    expr: str
    hold_s: int
    severity: str
    runbook: str
    summary: str
    explanation: str
    details: str = ""
    finding: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated one after the other."""

    name: str
    rules: tuple[Record | Alert, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """The watches and targets that rules are about; all of them if none is named."""

    pairs: tuple[tuple[str, str], ...] = ()
    _matchers: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        names = zip(("watch", "target"), zip(*self.pairs, strict=True), strict=True) if self.pairs else ()
        found = tuple(_matcher(label, tuple(dict.fromkeys(values))) for label, values in names)
        object.__setattr__(self, "_matchers", found)

    def of(self, metric: Metric, window: str = "", **labels: str) -> str:
        """Return a selector of the series of a metric within the scope: see `select`."""
        return select(metric, self._matchers if "watch" in metric.labels else (), window, **labels)


def select(metric: Metric, matchers: Sequence[str] = (), window: str = "", **labels: str) -> str:
    """Return a selector of the series of a metric, with label matchers as they are; a label `x_not` must differ.

    Raises KeyError for a label that the metric does not have.
    """
    written = list(matchers)
    for label, value in labels.items():
        name = label.removesuffix("_not")
        if name not in metric.labels:
            raise KeyError(f"{metric.name} has no label {name}")
        written.append(f"{name}{'!=' if name != label else '='}{_quoted(value)}")
    name = metric.name + ("_bucket" if metric.kind is Kind.HISTOGRAM else "")
    selector = f"{name}{{{', '.join(written)}}}" if written else name
    return f"{selector}[{window}]" if window else selector


def templated(queries: Mapping[str, str]) -> str:
    """Return text with the answers to instant queries of one series each, for Prometheus's templates.

    Keys are text with `%s` where the value goes, or `%d` for a whole number; a text whose query has no answer is left
    out. In a query `WHERE` stands for the watch and target of the alert.
    """
    value = "{{ . | first | value | printf `%s` }}"
    where = "watch=%q, target=%q"
    return "".join(
        f"{{{{ with printf `{query.replace('WHERE', where)}` $labels.watch $labels.target | query }}}}"
        f"{text.replace('%s', value % '%.4g').replace('%d', value % '%.0f')}{{{{ end }}}}"
        for text, query in queries.items()
    )


def listed(query: str, label: str, text: str) -> str:
    """Return text with the values of a label in the answer to an instant query as its `%s`; see `templated`."""
    asked = query.replace("WHERE", "watch=%q, target=%q")
    each = f"{{{{ if $i }}}}, {{{{ end }}}}{{{{ $each.Labels.{label} }}}}"
    values = f'{{{{ range $i, $each := . | sortByLabel "{label}" }}}}{each}{{{{ end }}}}'
    return (
        f"{{{{ with printf `{asked}` $labels.watch $labels.target | query }}}}{text.replace('%s', values)}{{{{ end }}}}"
    )


def _matcher(label: str, values: Sequence[str]) -> str:
    if len(values) == 1:
        return f"{label}={_quoted(values[0])}"
    literal = [value.replace(".", r"\.") for value in values]  # names are of letters, digits and ._-
    return f"{label}=~{_quoted('|'.join(literal))}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
