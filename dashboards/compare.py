"""Targets of one golden set side by side: frameworks, versions, machines."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from goldwatch.export import catalogue as c

from dashboards.frame import frame
from dashboards.panels import About, AnyPanel, bars, points, rows, series
from dashboards.query import PAIR, Query, of, quantile, worst

_WHAT = "(watch, target, framework, framework_version, version, device)"


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    text = "Targets of one golden set side by side. Differences of accuracy within the intervals say nothing."
    found = frame("goldwatch-compare", text)
    found.with_panel(_table())
    found.with_panel(
        _bars(
            "Accuracy",
            "The share of golden examples that are answered rightly.",
            "percentunit",
            worst(c.SCORE, score="accuracy"),
        )
    )
    p50, p99 = (quantile(q, c.REQUEST_LATENCY).replace("$__rate_interval", "$__range") for q in (0.5, 0.99))
    found.with_panel(_bars("Median latency", "Over the time range.", "s", p50))
    found.with_panel(_bars("p99 latency", "Over the time range; from few requests it is rough.", "s", p99))
    found.with_panel(
        _bars("Throughput", "Answered examples per second in the last replay.", "reqps", worst(c.REPLAY_THROUGHPUT))
    )
    found.with_panel(
        _bars("Start", "How long it last took to load the model or to connect.", "s", worst(c.TARGET_OPEN))
    )
    found.with_panel(_bars("First request", "Latency of the first request after that.", "s", worst(c.FIRST_REQUEST)))
    for panel in _frontiers():
        found.with_panel(panel)
    text = "The score of each target over time, with the score of the reference."
    queries = [
        Query(worst(c.SCORE, score="accuracy"), "{{target}}"),
        Query(f"max({of(c.SCORE_REFERENCE, score='accuracy')})", "reference"),
    ]
    found.with_panel(series(About("Accuracy over time", text, "percentunit"), *queries))
    text = "The 99th percentile of each target over time."
    found.with_panel(series(About("p99 over time", text, "s"), Query(quantile(0.99, c.REQUEST_LATENCY), "{{target}}")))
    return found


def _frontiers() -> list[AnyPanel]:
    """Return accuracy against what it takes. The frontier is the upper left edge: nobody is as accurate for less."""
    accuracy = Query(worst(c.SCORE, score="accuracy"), "accuracy")
    text = "A point is a target. On the upper left edge no other target that is as accurate takes less."
    joules = Query(worst(c.ENERGY_INFERENCE, part="gross"), "joules of an inference")
    cost = Query(f"10000 * {worst(c.COST_INFERENCE)}", "cost of 10,000")
    found: list[AnyPanel] = [
        points(
            About(f"Accuracy against {title}", text, "percentunit"),
            query,
            accuracy,
            {query.name: unit, "accuracy": "percentunit"},
        )
        for title, query, unit in (("joules", joules, "joule"), ("cost", cost, "short"))
    ]
    per_answer = worst(c.ENERGY_RIGHT_ANSWER, part="gross")
    found.append(
        _bars("Energy of a right answer", "Gross joules of an inference over the accuracy.", "joule", per_answer)
    )
    per_token = worst(c.ENERGY_OUTPUT_TOKEN, part="gross")
    found.append(_bars("Energy of an output token", "Gross joules, of language models.", "joule", per_token))
    right = f"10000 * max by (watch, target, currency) ({of(c.COST_RIGHT_ANSWER)})"
    text = "Cost of 10,000 right answers by the prices of the config."
    found.append(
        bars(About("Cost of right answers", text, "short", 8, height=6), Query(right, "{{target}} ({{currency}})"))
    )
    return found


def _bars(title: str, text: str, unit: str, expr: str) -> AnyPanel:
    return bars(About(title, text, unit, 8, height=6), Query(expr, "{{target}}"))


def _table() -> AnyPanel:
    text = "What is compared: accuracy with its 95 % interval, by framework and version."
    info = f"max by {_WHAT} ({of(c.TARGET_INFO)})"
    queries = [
        Query(f"{info} * on {PAIR} group_left () {worst(metric, score='accuracy')}", name)
        for metric, name in ((c.SCORE, "accuracy"), (c.SCORE_LOW, "low"), (c.SCORE_HIGH, "high"))
    ]
    units = dict.fromkeys(("accuracy", "low", "high"), "percentunit")
    return rows(About("Targets", text, "percentunit", 24), queries, units, "accuracy")
