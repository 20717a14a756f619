"""Changes around an alert."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from goldwatch.export import catalogue as c

from dashboards import state
from dashboards.frame import frame
from dashboards.panels import About, AnyPanel, Column, bars, rows, series, states
from dashboards.query import Query, fresh, lost, moved, of, quantile, rate, worst

_ALERT = "http://${__data.fields.instance}/alerts/${__value.raw}"
_FACTS = ("Time", "info", "__name__", "job", "instance", "pod", "watch", "cluster", "namespace")


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    text = "What changed around an alert: verdicts, examples, the target itself, the agent's config."
    found = frame("goldwatch-incident", text, since="now-3h", all_of_them=False)
    found.with_panel(_open()).with_panel(_monitors())
    found.with_panel(_flips()).with_panel(_said())
    found.with_panel(_slices()).with_panel(_drift())
    found.with_panel(_latency()).with_panel(_failed()).with_panel(_config())
    return found


def _open() -> AnyPanel:
    text = (
        "Open alerts. The number leads to the alert's own page at the agent, with flipped examples, slices and a link "
        "to the runbook."
    )
    about = About("Open alerts", text, "none", 10, ((None, "green"), (1, "red")), missing="no alert is open")
    queries = [Query(f"max by (watch, target, instance) ({of(c.ALERT_NUMBER)}) > 0", "alert")]
    return rows(about, queries, {"alert": Column("none", link=_ALERT)})


def _monitors() -> AnyPanel:
    text = "The state of each monitor, and since when: the first that alerts is nearest to the cause."
    return states(About("Monitors", text, "none", 14), Query(state.ranked("monitor"), "{{monitor}}"))


def _flips() -> AnyPanel:
    text = "Examples that turned wrong (harmful), right (helpful) or into another wrong class. A step is a deployment."
    query = Query(fresh(worst(c.EXAMPLES_FLIPPED, "cluster, namespace, watch, target, effect")), "{{effect}}")
    missing = "no example changed, or none could be compared"
    return series(About("Flipped examples", text, "short", 10, missing=missing), query, up_to=5)


def _said() -> AnyPanel:
    text = "The target's identity at any time of the range: two rows mean a change. Digests are 12 digits."
    query = Query(f"last_over_time({of(c.TARGET_INFO, '$__range')})", "info")
    about = About("What the target is, and was", text, "none", 14, missing="the target has not said what it is")
    columns = {name: Column("string") for name in ("target", "model", "version", "digest", "framework")}
    return rows(about, [query], columns, hidden=_FACTS)


def _slices() -> AnyPanel:
    text = "Right answers that each slice has lost since the reference. One long bar names the inputs that broke."
    missing = "no slice has lost answers, or the golden set names none"
    about = About("Slices that lost answers", text, "short", 10, ((None, "orange"),), missing=missing)
    return bars(about, Query(f"topk(10, {lost()} > 0)", "{{slice}} = {{value}}"))


def _drift() -> AnyPanel:
    text = (
        "Share of examples with an output beyond its tolerance, and the mean distance where there is an objective for "
        "it. Drift without flips: scores have shifted, answers have not."
    )
    queries = [Query(fresh(moved()), "moved"), Query(fresh(worst(c.OUTPUT_DISTANCE)), "distance")]
    return series(About("Drift of the outputs", text, "percentunit", 14), *queries, up_to=0.05)


def _latency() -> AnyPanel:
    text = "Whether it is slower since then, and the median too or only the tail."
    queries = [Query(quantile(q, c.REQUEST_LATENCY), f"p{q * 100:g}") for q in (0.5, 0.99)]
    return series(About("Latency", text, "s", 8, missing="no answered request"), *queries)


def _failed() -> AnyPanel:
    text = "The share of golden requests without a good answer, by how they ended."
    failed = rate(c.REQUESTS, "outcome", outcome_not=("ok", "withheld"))
    sent = f"scalar({rate(c.REQUESTS, '', outcome_not='withheld')})"
    return series(About("Failures", text, "percentunit", 8), Query(f"{failed} / {sent}", "{{outcome}}"), up_to=0.05)


def _config() -> AnyPanel:
    text = "How long ago the agent of this watch loaded its config, and replayed. A fall to zero is a change."
    ours = f"on (job, instance) {of(c.WATCH_INTERVAL)}"
    queries = [
        Query(f"time() - max({of(c.RELOAD_SUCCESS_TIMESTAMP)} and {ours})", "config in force"),
        Query(f"time() - {worst(c.REPLAY_TIMESTAMP)}", "last replay"),
    ]
    return series(About("Config and replays", text, "s", 8), *queries)
