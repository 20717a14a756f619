"""Every model that is watched, the worst first."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from goldwatch.export import catalogue as c

from dashboards.frame import frame
from dashboards.panels import EVIDENCE, About, AnyPanel, number, rows, series, worded
from dashboards.query import PAIR, Query, of, quantile, rate, worst

_TO_MODEL = "/d/goldwatch-model?var-watch=${__data.fields.watch}&var-target=${__data.fields.target}&${__url_time_range}"
_EVIDENCE = f"max by {PAIR} ({of(c.EVIDENCE)} / {of(c.EVIDENCE_THRESHOLD)})"
_STATES = {
    4: ("alerting", "red"),
    3: ("unknown", "orange"),
    2: ("suspect", "orange"),
    1: ("recovered", "green"),
    0: ("steady", "green"),
}
"""The verdicts, the one that most needs somebody first."""

_FAILED = f"1 - {rate(c.REQUESTS, outcome='ok')} / {rate(c.REQUESTS, outcome_not='withheld')}"


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    found = frame("goldwatch-fleet", "Every model that goldwatch watches, the worst first.")
    red, orange = ((None, "green"), (1, "red")), ((None, "green"), (1, "orange"))
    for title, text, expr, limits in (
        (
            "Watched",
            "Golden sets against targets, as the configs have them.",
            f"count({worst(c.WATCH_INTERVAL)})",
            ((None, "blue"),),
        ),
        ("Pages", "Open alerts for the person on call.", f"sum({worst(c.ALERT_ACTIVE, severity='page')})", red),
        ("Tickets", "Open alerts for working hours.", f"sum({worst(c.ALERT_ACTIVE, severity='ticket')})", orange),
        (
            "Silenced",
            "Open alerts that call nobody now.",
            f"sum(max by (watch, target, severity) ({of(c.ALERT_SILENCED)}))",
            orange,
        ),
        (
            "Unknown",
            "Watches of which a monitor does not know what to say: no good news.",
            f"count({worst(c.VERDICT, state='unknown')} == 1) or vector(0)",
            orange,
        ),
    ):
        found.with_panel(number(About(title, text, "short", 4, limits, 4), Query(expr, title)))
    oldest = f"max(time() - {worst(c.REPLAY_VALID_TIMESTAMP)})"
    about = About(
        "Oldest scores",
        "How long ago the last valid replay of the most neglected watch was.",
        "s",
        4,
        ((None, "green"),),
        4,
    )
    found.with_panel(number(about, Query(oldest, "age")))
    found.with_panel(_table())
    text = "Evidence for a change as a share of what an alert needs, the most of each model. An alert is at 100 %."
    found.with_panel(
        series(About("Evidence", text, "percentunit", 12, EVIDENCE), Query(f"topk(10, {_EVIDENCE})", "{{target}}"))
    )
    text = "The ten targets with the slowest 99th percentile."
    found.with_panel(
        series(About("p99 latency", text, "s"), Query(f"topk(10, {quantile(0.99, c.REQUEST_LATENCY)})", "{{target}}"))
    )
    return found


def _table() -> AnyPanel:
    text = (
        "Sorted by evidence: at 100 % there is an alert. The verdict is the worst of all monitors: unknown is no good "
        "news. Scores are of the last valid replay, latency and failures of the time range, energy and cost of an "
        "inference of the last measurement. A click on a target opens its dashboard."
    )
    states = " or ".join(f"{number} * {of(c.VERDICT, state=name)}" for number, (name, _) in _STATES.items())
    queries = [
        Query(f"max by {PAIR} ({states})", "verdict"),
        Query(_EVIDENCE, "evidence"),
        Query(f"max by {PAIR} ({of(c.ALERT_ACTIVE)})", "alert"),
        Query(worst(c.SCORE, score="accuracy"), "accuracy"),
        Query(worst(c.SCORE_REFERENCE, score="accuracy"), "reference"),
        Query(quantile(0.99, c.REQUEST_LATENCY).replace("$__rate_interval", "$__range"), "p99"),
        Query(_FAILED.replace("$__rate_interval", "$__range"), "failed"),
        Query(f"time() - {worst(c.REPLAY_VALID_TIMESTAMP)}", "age"),
        Query(worst(c.ENERGY_INFERENCE, part="gross"), "energy"),
        Query(f"10000 * max by (watch, target, currency) ({of(c.COST_INFERENCE)})", "cost of 10,000"),
    ]
    units = {"evidence": "percentunit", "accuracy": "percentunit", "reference": "percentunit", "failed": "percentunit"}
    units |= {"p99": "s", "age": "s", "alert": "bool_yes_no", "energy": "joule", "cost of 10,000": "short"}
    about = About("Models, worst first", text, "short", 24, EVIDENCE, 12)
    return worded(rows(about, queries, units, "evidence", {"target": _TO_MODEL}), "verdict", _STATES)
