"""One model: evidence, scores, latency, throughput, and what it said that it is."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from goldwatch.export import catalogue as c

from dashboards.frame import frame
from dashboards.panels import About, AnyPanel, series, spread, states
from dashboards.query import Query, of, quantile, rate, worst


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    found = frame("goldwatch-model", "One model under watch: is it what was validated?", all_of_them=False)
    found.with_panel(_verdicts()).with_panel(_evidence())
    found.with_row(dashboard.Row("Answers"))
    found.with_panel(_scores()).with_panel(_flips())
    found.with_row(dashboard.Row("Speed"))
    found.with_panel(_latency()).with_panel(_quantiles()).with_panel(_throughput()).with_panel(_outcomes())
    return found


def _verdicts() -> AnyPanel:
    text = "What each monitor says. Alerting is red; unknown is no good news."
    queries = [
        Query(f"max by (monitor) ({of(c.VERDICT, state='alerting')})", "{{monitor}} alerting"),
        Query(f"max by (monitor) ({of(c.VERDICT, state='unknown')})", "{{monitor}} unknown"),
    ]
    return states(About("Verdicts", text, "bool_yes_no", 12, ((None, "green"), (1, "red"))), *queries)


def _evidence() -> AnyPanel:
    text = "log10 of each monitor's e-value, and the threshold that the budget of false alarms gives it."
    queries = [
        Query(f"max by (monitor) ({of(c.EVIDENCE)})", "{{monitor}}"),
        Query(f"max by (monitor) ({of(c.EVIDENCE_THRESHOLD)})", "{{monitor}}: alert"),
    ]
    return series(About("Evidence against threshold", text, "short"), *queries)


def _scores() -> AnyPanel:
    text = "Each score with its 95 % interval over examples, and the same score of the reference outputs."
    queries = [
        Query(f"max by (score) ({of(metric)})", f"{{{{score}}}}{name}")
        for metric, name in (
            (c.SCORE, ""),
            (c.SCORE_LOW, " low"),
            (c.SCORE_HIGH, " high"),
            (c.SCORE_REFERENCE, " reference"),
        )
    ]
    return series(About("Scores", text, "percentunit"), *queries)


def _flips() -> AnyPanel:
    text = "Golden examples whose class differs from the reference. Harmful ones were right and are wrong now."
    queries = [
        Query(f"max by (effect) ({of(c.EXAMPLES_FLIPPED)})", "{{effect}}"),
        Query(f"max({of(c.EXAMPLES_MOVED)})", "output moved"),
    ]
    limits = ((None, "green"), (1, "orange"))
    return series(About("Examples that changed", text, "short", 12, limits), *queries)


def _latency() -> AnyPanel:
    text = "Latency of answered golden requests, warm-up left out."
    query = Query(rate(c.REQUEST_LATENCY, "le"), "{{le}}", heatmap=True)
    return spread(About("Latency", text, "s"), query)


def _quantiles() -> AnyPanel:
    text = "Quantiles from the histogram, and the objective where there is one."
    objective = f"{worst(c.OBJECTIVE_LATENCY)} < +Inf"
    queries = [Query(quantile(q, c.REQUEST_LATENCY), f"p{q * 100:g}") for q in (0.5, 0.9, 0.99)]
    return series(About("Latency quantiles", text, "s"), *queries, Query(objective, "objective"))


def _throughput() -> AnyPanel:
    text = "Answered examples per second within a replay. It follows from the load that the watch asks for."
    return series(About("Throughput", text, "reqps"), Query(worst(c.REPLAY_THROUGHPUT), "examples"))


def _outcomes() -> AnyPanel:
    text = "Golden requests per second by how they ended."
    return series(About("Requests by outcome", text, "reqps"), Query(rate(c.REQUESTS, "outcome"), "{{outcome}}"))
