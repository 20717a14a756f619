"""What changed around an alert."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from goldwatch.export import catalogue as c

from dashboards.frame import frame
from dashboards.panels import About, AnyPanel, bars, rows, series, states
from dashboards.query import Query, lost, moved, of, quantile, rate, worst

_ALERT = "http://${__data.fields.instance}/alerts/${__value.raw}"
_FACTS = ("Time", "Value", "__name__", "job", "instance")


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    text = "What changed around an alert: verdicts, examples, the target itself, the agent's config."
    found = frame("goldwatch-incident", text, since="now-3h", all_of_them=False)
    found.with_panel(_open()).with_panel(_alerting())
    found.with_panel(_flips()).with_panel(_said())
    found.with_panel(_slices()).with_panel(_drift())
    found.with_panel(_latency()).with_panel(_failed()).with_panel(_config())
    return found


def _open() -> AnyPanel:
    text = (
        "Open alerts. The number leads to the alert's own page at the agent, with flipped examples, slices and a link "
        "to the runbook."
    )
    about = About("Open alerts", text, "none", 10, ((None, "green"), (1, "red")))
    queries = [Query(f"max by (watch, target, instance) ({of(c.ALERT_NUMBER)}) > 0", "alert")]
    return rows(about, queries, {"alert": "none"}, links={"alert": _ALERT})


def _alerting() -> AnyPanel:
    text = "Which monitors alert, and since when: the first is nearest to the cause."
    query = Query(f"max by (target, monitor) ({of(c.VERDICT, state='alerting')})", "{{target}} {{monitor}}")
    return states(About("Monitors that alert", text, "bool_yes_no", 14, ((None, "green"), (1, "red"))), query)


def _flips() -> AnyPanel:
    text = "Examples that turned wrong (harmful), right (helpful) or into another wrong class. A step is a deployment."
    query = Query(f"max by (target, effect) ({of(c.EXAMPLES_FLIPPED)})", "{{target}} {{effect}}")
    return series(About("Flipped examples", text, "short", 10, ((None, "green"), (1, "orange"))), query)


def _said() -> AnyPanel:
    text = "What targets said that they are, at any time of the range: two rows for a target mean a change."
    query = Query(f"last_over_time({of(c.TARGET_INFO, '$__range')})", "info")
    about = About("What the target is, and was", text, "none", 14)
    return rows(about, [query], {"version": "none"}, hidden=[*_FACTS[:1], "info", *_FACTS[2:]])


def _slices() -> AnyPanel:
    text = "Right answers that each slice has lost since the reference. One long bar names the inputs that broke."
    about = About("Slices that lost answers", text, "short", 10, ((None, "green"), (1, "orange")))
    return bars(about, Query(f"topk(10, {lost()} > 0)", "{{target}} {{slice}} = {{value}}"))


def _drift() -> AnyPanel:
    text = (
        "Share of examples with an output beyond its tolerance, and the mean distance where there is an objective for "
        "it. Drift without flips: scores have shifted, answers have not."
    )
    queries = [
        Query(moved(), "{{target}} moved"),
        Query(worst(c.OUTPUT_DISTANCE), "{{target}} distance"),
    ]
    return series(About("Drift of the outputs", text, "percentunit", 14), *queries)


def _latency() -> AnyPanel:
    text = "Whether it is slower since then, and the median too or only the tail."
    queries = [Query(quantile(q, c.REQUEST_LATENCY), f"{{{{target}}}} p{q * 100:g}") for q in (0.5, 0.99)]
    return series(About("Latency", text, "s", 8), *queries)


def _failed() -> AnyPanel:
    text = "Golden requests without a good answer, by how they ended."
    expr = rate(c.REQUESTS, "outcome", outcome_not=("ok", "withheld"))
    return series(About("Failures", text, "reqps", 8, ((None, "green"), (0.001, "red"))), Query(expr, "{{outcome}}"))


def _config() -> AnyPanel:
    text = "How long ago the config was put in force, and the last replay started. A fall to zero is a change."
    queries = [
        Query(f"time() - max({of(c.RELOAD_SUCCESS_TIMESTAMP)})", "config in force"),
        Query(f"time() - {worst(c.REPLAY_TIMESTAMP)}", "{{target}} replayed"),
    ]
    return series(About("Config and replays", text, "s", 8), *queries)
