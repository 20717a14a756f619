"""Queries of panels: metrics of the catalogue, narrowed by the variables of the dashboard."""

from __future__ import annotations

import re
from dataclasses import dataclass

from goldwatch.export import catalogue as c
from goldwatch.export.catalogue import CATALOGUE
from goldwatch.export.metric import Metric
from goldwatch.rules.rule import select

_LABELS = "cluster, namespace, watch, target"
PAIR = f"({_LABELS})"
"""A model as its owners know it; replicas of an agent are one."""
AGENT = "(cluster, namespace, job, instance)"
_PLACE = ('cluster=~"$cluster"', 'namespace=~"$namespace"')
_CHOSEN = (*_PLACE, 'watch=~"$watch"', 'target=~"$target"')
WINDOW = "${window}s"
"""Three intervals of the chosen watch: counters move once a replay, so a shorter window draws bar codes."""
_WINDOW_INTERVALS, _FRESH_INTERVALS = 3, 2.5
_HIGHER_IS_BETTER = {c.SCORE, c.SCORE_LOW, c.SCORE_HIGH, c.SLICE_RIGHT, c.REPLAY_THROUGHPUT, c.REPLAY_VALID_TIMESTAMP}


@dataclass(frozen=True, slots=True)
class Query:
    """One query; `name` is its legend, or its column in a table."""

    expr: str
    name: str
    heatmap: bool = False

    def needs_full(self) -> bool:
        """Say whether the query reads a metric that agents with `metrics: essential` do not export."""
        return any(
            metric.essential is None for metric in CATALOGUE if re.search(rf"\b{metric.name}(_bucket)?\b", self.expr)
        )


def of(metric: Metric, window: str = "", **labels: str | tuple[str, ...]) -> str:
    """Return a selector of the chosen watches and targets, or of the agents in the chosen places."""
    return select(metric, _CHOSEN if "watch" in metric.labels else _PLACE, window, **labels)


def worst(metric: Metric, by: str = _LABELS, **labels: str) -> str:
    """Return the worst value over the replicas of an agent: the smallest where higher is better, else the largest."""
    return f"{'min' if metric in _HIGHER_IS_BETTER else 'max'} by ({by}) ({of(metric, **labels)})"


def fresh(expr: str) -> str:
    """Return the expression only while replays are valid, so that a line ends where an outage begins.

    Gauges keep the last known value in an outage. The agent's own clock is compared, since clocks differ.
    """
    clock = f"max by (job, instance) ({of(c.CLOCK)})"
    age = f"{clock} - on (job, instance) group_right () {of(c.REPLAY_VALID_TIMESTAMP)}"
    return f"{expr} and on {PAIR} (min by {PAIR} (({age}) / {of(c.WATCH_INTERVAL)}) < {_FRESH_INTERVALS:g})"


def lost() -> str:
    """Return by how many of its examples each slice has fewer right answers than in the reference."""
    right, usual, examples = (of(m) for m in (c.SLICE_RIGHT, c.SLICE_REFERENCE, c.SLICE_EXAMPLES))
    return f"max by ({_LABELS}, slice, value) (({usual} - {right}) * {examples})"


def sliced(expr: str) -> str:
    """Return the expression with the value of each slice in the label `slice`."""
    return f'label_join({expr}, "slice", " = ", "slice", "value")'


def moved() -> str:
    """Return the share of the compared examples whose output is beyond its tolerance."""
    return f"{worst(c.EXAMPLES_MOVED)} / {worst(c.EXAMPLES_COMPARED)}"


def rate(metric: Metric, by: str = _LABELS, window: str = WINDOW, **labels: str | tuple[str, ...]) -> str:
    """Return the increase a second, by labels."""
    return f"sum by ({by}) (rate({of(metric, window, **labels)}))"


def quantile(q: float, metric: Metric, window: str = WINDOW) -> str:
    """Return a quantile of a histogram for each watch and target."""
    return f"histogram_quantile({q:g}, {rate(metric, f'{_LABELS}, le', window)})"


def interval_window() -> str:
    """Return the query for the variable `window`, in whole seconds and at least five minutes."""
    interval = of(c.WATCH_INTERVAL, "$__range")
    return f"ceil(clamp_min({_WINDOW_INTERVALS} * max(max_over_time({interval})), 300)) or vector(900)"
