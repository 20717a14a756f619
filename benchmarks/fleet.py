"""A fleet of agents as Prometheus sees it: the series of a watch at each level of metrics."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import get_args

from goldwatch.config import MetricsLevel
from goldwatch.export.prometheus import PrometheusExporter

from benchmarks.figures import Figure
from tests.dashboards import day

_PLAIN = day.Model("plain", "plain")
MODELS = {
    "a classifier": _PLAIN,
    "a classifier with energy, cost and live traffic": replace(_PLAIN, joules=1.9, live=True),
    "a language model with energy and cost": replace(_PLAIN, joules=41, language=True, p50_s=0.9),
}
LEVELS: tuple[MetricsLevel, ...] = get_args(MetricsLevel)


def measure() -> list[Figure]:
    """Count series."""
    found = []
    for level in LEVELS:
        for name, model in MODELS.items():
            lines = scraped(model, level)
            watched = [line for line in lines if 'watch="' in line]
            found.append(Figure(f"{level}: series of {name}", len(watched), "series"))
        found.append(Figure(f"{level}: series of an agent itself", len(lines) - len(watched), "series"))
    return found


def scraped(model: day.Model, level: MetricsLevel) -> list[str]:
    """Return the samples of a scrape of an agent with one watch that has replayed, without `process_*`."""
    exporter = PrometheusExporter(lambda: day.START_S)
    exporter.level = level
    exporter.publish(day.started(model))
    exporter.publish(day.Life(model).replay(day.START_S, Random(1)))
    text = exporter.render()[0].decode()
    return [line for line in text.splitlines() if line.startswith("goldwatch_")]
