"""Targets of one golden set side by side: frameworks, versions, machines."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.dashboard import FieldColorModeId

from goldwatch.export import catalogue as c

from dashboards.frame import frame
from dashboards.panels import About, AnyPanel, Column, bars, matrix, points, rows, series
from dashboards.query import PAIR, Query, fresh, of, quantile, sliced, worst

_WHAT = "(watch, target, framework, framework_version, version, device)"
_ACCURACY = worst(c.SCORE, score="accuracy")
_P99 = quantile(0.99, c.REQUEST_LATENCY, "$__range")
_JOULES = worst(c.ENERGY_INFERENCE, part="gross")
_COST = f"10000 * {worst(c.COST_INFERENCE)}"
_WEAKEST = f"min by {PAIR} ({of(c.SLICE_RIGHT)})"
_NO_ENERGY = "no target is metered"
_NO_PRICES = "the config states no prices"


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    text = "Targets of one golden set side by side. Differences of accuracy within the intervals say nothing."
    found = frame("goldwatch-compare", text, golden=True)
    found.with_panel(_board()).with_panel(_figures())
    found.with_panel(_slices())
    for panel in (*_bars(), *_frontiers()):
        found.with_panel(panel)
    text = "The score of each target over time, with the score of the reference. The axis is not from zero."
    queries = [
        Query(fresh(_ACCURACY), "{{target}}"),
        Query(f"max({of(c.SCORE_REFERENCE, score='accuracy')})", "reference"),
    ]
    found.with_panel(series(About("Accuracy over time", text, "percentunit"), *queries, from_zero=False))
    text = "The 99th percentile of each target over time."
    p99 = Query(quantile(0.99, c.REQUEST_LATENCY), "{{target}}")
    found.with_panel(series(About("p99 over time", text, "s"), p99))
    return found


def _board() -> AnyPanel:
    text = (
        "What is compared. The bar of accuracy begins at zero; low and high bound its 95 % interval. Two rows for a "
        "target: it says of itself what it did not say before."
    )
    info = f"max by {_WHAT} ({of(c.TARGET_INFO)})"
    scores = ((c.SCORE, "accuracy"), (c.SCORE_LOW, "low"), (c.SCORE_HIGH, "high"))
    asked = {name: f"min by (watch, target) ({of(metric, score='accuracy')})" for metric, name in scores}
    queries = [Query(f"{info} * on (watch, target) group_left () {expr}", name) for name, expr in asked.items()]
    columns = {
        "target": Column("string"),
        "accuracy": Column("percentunit", gauge=1),
        "low": Column("percentunit"),
        "high": Column("percentunit"),
    }
    columns |= {name: Column("string") for name in ("framework", "framework_version", "version", "device", "watch")}
    about = About("Targets", text, "percentunit", 24, height=6, missing="no target of this golden set has a score")
    return rows(about, queries, columns, "accuracy")


def _figures() -> AnyPanel:
    """Return six figures as shares of the best. Grafana's core has no radar; a row of bars reads alike."""
    text = (
        "Six figures of each target at a glance, as a radar would show them: a full bar is the best target of this "
        "golden set, half a bar is half as good. Robustness is the accuracy in the weakest slice."
    )
    more, less = "{0} / scalar(max({0}))", "scalar(min({0})) / ({0})"
    figures = {
        "accuracy": more.format(_ACCURACY),
        "latency (p99)": less.format(_P99),
        "throughput": more.format(worst(c.REPLAY_THROUGHPUT)),
        "energy": less.format(_JOULES),
        "cost": less.format(_COST),
        "robustness": more.format(_WEAKEST),
    }
    columns = {"target": Column("string")} | {name: Column("percentunit", gauge=1) for name in figures}
    about = About("Six figures, as shares of the best target", text, "percentunit", 24, height=7)
    queries = [Query(expr, name) for name, expr in figures.items()]
    hidden = ("Time", "cluster", "namespace", "watch")
    return rows(about, queries, columns, "accuracy", hidden)


def _slices() -> AnyPanel:
    text = "The share of right answers of each target in each slice: the fainter, the fewer."
    about = About("Targets by slices", text, "percentunit", 24, height=9, missing="the golden set names no slices")
    right = f"min by (target, slice, value) ({of(c.SLICE_RIGHT)})"
    panel = matrix(about, Query(sliced(right), "right"), "slice", "target")
    return panel.color_scheme(dashboard.FieldColor().mode(FieldColorModeId.CONTINUOUS_BLUES)).min(0.5).max(1)


def _bars() -> list[AnyPanel]:
    p50 = quantile(0.5, c.REQUEST_LATENCY, "$__range")
    right = "cluster, namespace, watch, target, currency"
    panels = (
        ("Median latency", "Over the time range.", "s", p50, "no answered request"),
        ("p99 latency", "Over the time range; from few requests it is rough.", "s", _P99, "no answered request"),
        (
            "Throughput",
            "Answered examples per second in the last replay.",
            "reqps",
            worst(c.REPLAY_THROUGHPUT),
            "no answered request",
        ),
        ("Start", "How long it last took to load the model or to connect.", "s", worst(c.TARGET_OPEN), "not started"),
        ("First request", "Latency of the first request after that.", "s", worst(c.FIRST_REQUEST), "not started"),
        (
            "Energy of a right answer",
            "Gross joules of an inference over the accuracy.",
            "joule",
            worst(c.ENERGY_RIGHT_ANSWER, part="gross"),
            _NO_ENERGY,
        ),
        (
            "Energy of an output token",
            "Gross joules, of language models.",
            "joule",
            worst(c.ENERGY_OUTPUT_TOKEN, part="gross"),
            "no metered target puts out tokens",
        ),
    )
    found = [_bar(*each) for each in panels]
    text = "Cost of 10,000 right answers by the prices of the config."
    query = Query(f"10000 * {worst(c.COST_RIGHT_ANSWER, right)}", "{{target}} ({{currency}})")
    found.append(bars(About("Cost of right answers", text, "short", 6, _BLUE, 6, _NO_PRICES), query))
    return found


_BLUE = ((None, "blue"),)


def _bar(title: str, text: str, unit: str, expr: str, missing: str) -> AnyPanel:
    return bars(About(title, text, unit, 6, _BLUE, 6, missing), Query(expr, "{{target}}"))


def _frontiers() -> list[AnyPanel]:
    """Return accuracy against what it takes. No target on the upper left edge is beaten on both axes."""
    accuracy = Query(_ACCURACY, "accuracy")
    text = "A point is a target. On the upper left edge no other target that is as accurate takes less."
    joules, cost = Query(_JOULES, "joules of an inference"), Query(_COST, "cost of 10,000")
    return [
        points(
            About(f"Accuracy against {title}", text, "percentunit", missing=missing),
            query,
            accuracy,
            {query.name: unit, "accuracy": "percentunit"},
        )
        for title, query, unit, missing in (
            ("joules", joules, "joule", _NO_ENERGY),
            ("cost", cost, "short", _NO_PRICES),
        )
    ]
