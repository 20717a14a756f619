"""Queries of panels: metrics of the catalogue, narrowed to what the variables of the dashboard say."""

from __future__ import annotations

from dataclasses import dataclass

from goldwatch.export import catalogue as c
from goldwatch.export.metric import Metric
from goldwatch.rules.rule import select

PAIR = "(watch, target)"
_CHOSEN = ('watch=~"$watch"', 'target=~"$target"')


@dataclass(frozen=True, slots=True)
class Query:
    """One query; `name` is its legend, or its column in a table."""

    expr: str
    name: str
    heatmap: bool = False


def of(metric: Metric, window: str = "", **labels: str | tuple[str, ...]) -> str:
    """Return a selector of the chosen watches and targets."""
    return select(metric, _CHOSEN if "watch" in metric.labels else (), window, **labels)


def worst(metric: Metric, **labels: str) -> str:
    """Return the largest value for each watch and target, whichever replica of the agent says it."""
    return f"max by {PAIR} ({of(metric, **labels)})"


def lost() -> str:
    """Return by how many of its examples each slice has fewer right answers than in the reference."""
    right, usual, examples = (of(m) for m in (c.SLICE_RIGHT, c.SLICE_REFERENCE, c.SLICE_EXAMPLES))
    return f"max by (watch, target, slice, value) (({usual} - {right}) * {examples})"


def moved() -> str:
    """Return the share of the compared examples whose output is beyond its tolerance."""
    return f"{worst(c.EXAMPLES_MOVED)} / {worst(c.EXAMPLES_COMPARED)}"


def rate(metric: Metric, by: str = "watch, target", **labels: str | tuple[str, ...]) -> str:
    """Return the increase a second, by labels. Replays come minutes apart, so the window is never short."""
    return f"sum by ({by}) (rate({of(metric, '$__rate_interval', **labels)}))"


def quantile(q: float, metric: Metric) -> str:
    """Return a quantile of a histogram for each watch and target."""
    return f"histogram_quantile({q:g}, {rate(metric, 'watch, target, le')})"
