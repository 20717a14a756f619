"""Every model that is watched, the worst first."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from goldwatch.core.judgement import State
from goldwatch.export import catalogue as c

from dashboards import state
from dashboards.frame import frame
from dashboards.panels import EVIDENCE, About, AnyPanel, Column, number, rows, series
from dashboards.query import PAIR, Query, of, quantile, rate, worst

_TO_MODEL = (
    "/d/goldwatch-model?var-cluster=${__data.fields.cluster}&var-namespace=${__data.fields.namespace}"
    "&var-watch=${__data.fields.watch}&var-target=${__data.fields.target}&${__url_time_range}"
)
_EVIDENCE = f"max by {PAIR} ({of(c.EVIDENCE)} / {of(c.EVIDENCE_THRESHOLD)})"
_REPORTED = worst(c.WATCH_INTERVAL)
"""The watches that an agent reports now."""
_SEEN = f"max by {PAIR} (last_over_time({of(c.WATCH_INTERVAL, '$__range')}))"
"""Those that one has reported in the time range."""
_GONE = f"({_SEEN} unless on {PAIR} {_REPORTED})"
_AGENT = [
    state.between(0, 0, "gone", "red"),
    state.between(1, 1, "down", "red"),
    state.between(2, 2, "no watch", "orange"),
    state.between(3, 3, "up", "green"),
]


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    found = frame("goldwatch-fleet", "Every model that goldwatch watches, the worst first.")
    for panel in _numbers():
        found.with_panel(panel)
    found.with_panel(_table())
    text = "Evidence for a change as a share of what an alert needs, the most of each model. An alert is at 100 %."
    evidence = Query(f"topk(10, clamp_max({_EVIDENCE}, 2))", "{{target}}")
    found.with_panel(series(About("Evidence", text, "percentunit", 12, EVIDENCE), evidence, up_to=1.2))
    text = "The ten targets with the slowest 99th percentile of the last hour."
    p99 = Query(f"topk(10, {quantile(0.99, c.REQUEST_LATENCY, '1h')})", "{{target}}")
    found.with_panel(series(About("p99 latency", text, "s", missing="no answered request"), p99))
    return found


def _numbers() -> list[AnyPanel]:
    red, orange = ((None, "green"), (1, "red")), ((None, "green"), (1, "orange"))
    calm, unknown = ((None, "blue"),), ((None, "green"), (1, state.UNKNOWN))
    each = worst(c.ALERT_SILENCED, "cluster, namespace, watch, target, severity")
    silenced = f"sum({each}) or 0 * count({_REPORTED})"
    return [
        number(About(title, text, unit, 3, limits, 4), Query(expr, title))
        for title, text, expr, limits, unit in (
            (
                "Gone",
                "Watches of the time range that no agent reports now.",
                f"count({_GONE}) or 0 * count({_SEEN})",
                red,
                "short",
            ),
            ("Pages", "Open alerts for the person on call.", _alerts("page"), red, "short"),
            ("Tickets", "Open alerts for working hours.", _alerts("ticket"), orange, "short"),
            ("Suspect", "Watches with a suspicious monitor.", _in(State.SUSPECT), orange, "short"),
            (
                "Unknown",
                "Watches with a monitor that knows nothing: no good news.",
                _in(State.UNKNOWN),
                unknown,
                "short",
            ),
            ("Silenced", "Open alerts without notifications now.", silenced, orange, "short"),
            (
                "Watched",
                "Golden sets against targets, as the agents report them.",
                f"count({_REPORTED})",
                calm,
                "short",
            ),
            (
                "Oldest scores",
                "How long ago the last valid replay of the most neglected watch was.",
                f"max(time() - {worst(c.REPLAY_VALID_TIMESTAMP)})",
                calm,
                "s",
            ),
        )
    ]


def _alerts(severity: str) -> str:
    return f"sum({worst(c.ALERT_ACTIVE, severity=severity)})"


def _in(which: State) -> str:
    return f"count({worst(c.VERDICT, state=which)} == 1) or 0 * count({_REPORTED})"


def _failed(window: str) -> str:
    ok, sent = rate(c.REQUESTS, window=window, outcome="ok"), rate(c.REQUESTS, window=window, outcome_not="withheld")
    return f"1 - {ok} / {sent}"


def _state() -> str:
    """Return the rank of each watch; its evidence, as a fraction, orders those of one state."""
    worst_of_all = state.ranked("cluster, namespace, watch, target")
    known = f"({worst_of_all} + clamp_max({_EVIDENCE} / 10, 0.9) or {worst_of_all})"
    gone = f"{state.GONE} + 0 * {_GONE}"
    return f"{known} or {gone} or {state.RANKS[State.UNKNOWN]} + 0 * {_REPORTED}"


def _agent() -> str:
    """Return how its agent is: see _AGENT."""
    up = f"max by (job, instance) (up{{{_PLACE}}})"
    seen = of(c.WATCH_INTERVAL, "$__range")
    scraped = f"max by {PAIR} (1 + 0 * last_over_time({seen}) + on (job, instance) group_left () {up})"
    return f"3 + 0 * {_REPORTED} or {scraped} or 0 * {_SEEN}"


_PLACE = 'cluster=~"$cluster", namespace=~"$namespace"'


def _table() -> AnyPanel:
    text = (
        "Sorted by state, and by evidence within a state. The state is the worst of all monitors; a watch that no "
        "agent reports is gone. Agent is what Prometheus says of the scrape. Scores are of the last valid replay and "
        "the worst replica, latency and failures of the time range, energy and cost of an inference of the last "
        "measurement. A click on a target opens its dashboard."
    )
    queries = [
        Query(_state(), "state"),
        Query(_agent(), "agent"),
        Query(_EVIDENCE, "evidence"),
        Query(worst(c.SCORE, score="accuracy"), "accuracy"),
        Query(worst(c.SCORE_REFERENCE, score="accuracy"), "reference"),
        Query(quantile(0.99, c.REQUEST_LATENCY, "$__range"), "p99"),
        Query(_failed("$__range"), "failed"),
        Query(f"time() - {worst(c.REPLAY_VALID_TIMESTAMP)}", "age"),
        Query(worst(c.ENERGY_INFERENCE, part="gross"), "energy"),
        Query(f"10000 * {worst(c.COST_INFERENCE, 'cluster, namespace, watch, target, currency')}", "cost of 10,000"),
    ]
    columns = {
        "state": Column(words=state.words(gone=True), width=95),
        "agent": Column(words=_AGENT, width=90),
        "target": Column("string", link=_TO_MODEL),
        "watch": Column("string", width=110),
        "namespace": Column("string", width=110),
        "cluster": Column("string", width=110),
        "evidence": Column("percentunit", "none yet", width=95),
        "accuracy": Column("percentunit", width=95),
        "reference": Column("percentunit", width=95),
        "p99": Column("s", width=90),
        "failed": Column("percentunit", width=95),
        "age": Column("s", width=100),
        "energy": Column("joule", "not metered", width=100),
        "cost of 10,000": Column("short", "no prices", width=120),
        "currency": Column("string", width=85),
    }
    about = About("Models, worst first", text, "short", 24, EVIDENCE, 13, "no agent has reported a watch here")
    return rows(about, queries, columns, "state")
