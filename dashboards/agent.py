"""The watcher watched: does it replay when it should, validly, and without harm."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from goldwatch.export import catalogue as c
from goldwatch.export.catalogue import controllers
from goldwatch.export.metric import Metric
from goldwatch.rules.rule import select

from dashboards import state
from dashboards.frame import frame
from dashboards.panels import About, AnyPanel, Column, Limits, rows, series
from dashboards.query import AGENT, Query, of, quantile, worst

_OURS = f"on (job, instance) group_left () max by (job, instance) ({of(c.BUILD_INFO)})"
_RED: Limits = ((None, "green"), (0.5, "red"))
_UP = [state.between(-1, -1, "gone", "red"), state.between(0, 0, "down", "red"), state.between(1, 1, "up", "green")]
_LOADED = [state.between(0, 0, "rejected", "red"), state.between(1, 1, "in force", "green")]
_NO_COLLECTOR = "no OpenTelemetry collector is configured"
_NO_OPERATOR = "no operator is scraped"
_KEPT = ('cluster=~"$cluster"', 'model_namespace=~"$namespace"')
"""The chosen namespaces, as the operator keeps them: its own is another."""


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    text = "The watcher watched: lateness, skipped replays, validity, its own CPU and memory."
    found = frame("goldwatch-agent", text)
    found.with_panel(_agents())
    text = (
        "How long after its scheduled time the last replay started. More than the jitter: too much work for an agent."
    )
    found.with_panel(series(About("Lateness", text, "s"), Query(worst(c.REPLAY_LATENESS), "{{target}} ({{watch}})")))
    text = "How much of its interval the last replay took. At 100 % the next one is skipped."
    busy = f"{worst(c.REPLAY_DURATION)} / {worst(c.WATCH_INTERVAL)}"
    limits: Limits = ((None, "green"), (0.5, "orange"), (1, "red"))
    about = About("Share of the interval in use", text, "percentunit", 12, limits)
    found.with_panel(series(about, Query(busy, "{{target}} ({{watch}})")))
    for panel in (*_slots(), *_counts(), *_process(), *_pushes(), *_controllers()):
        found.with_panel(panel)
    return found


def _agents() -> AnyPanel:
    text = (
        "The agents of the time range, gone or down ones first. Overdue is the time since a replay was due, by "
        "the agent's own clock; negative while all is well."
    )
    seen = f"max by {AGENT} (last_over_time({of(c.WATCH_INTERVAL, '$__range')}))"
    up = f"max by {AGENT} (up) and on (job, instance) {seen}"
    clock = f"max by (job, instance) ({of(c.CLOCK)})"
    overdue = f"max by {AGENT} ({clock} - on (job, instance) group_right () {of(c.REPLAY_NEXT)})"
    queries = [
        Query(f"{up} or 0 * {seen} - 1", "scrape"),
        Query(f"max by {AGENT} ({of(c.RELOAD_SUCCESSFUL)})", "config"),
        Query(f"count by {AGENT} ({of(c.WATCH_INTERVAL)})", "watches"),
        Query(overdue, "overdue"),
        Query(f"time() - max by {AGENT} ({of(c.RELOAD_SUCCESS_TIMESTAMP)})", "config age"),
    ]
    columns = {
        "scrape": Column(words=_UP, width=90),
        "config": Column(words=_LOADED, width=95),
        "instance": Column("string"),
        "namespace": Column("string"),
        "watches": Column("short", "none", width=90),
        "overdue": Column("s"),
        "config age": Column("s"),
    }
    about = About("Agents", text, "short", 24, missing="no agent has reported a watch here")
    return rows(about, queries, columns, "scrape", descending=False)


def _slots() -> list[AnyPanel]:
    text = (
        "The share of the replay slots in use in 15 minutes. At 100 % replays are late, and what an agent cannot carry "
        "is skipped."
    )
    used = f"rate({of(c.REPLAY_SLOTS_BUSY, '15m')}) / {of(c.REPLAY_SLOTS)}"
    limits: Limits = ((None, "green"), (0.7, "orange"), (0.9, "red"))
    waiting = "Replays that are due and wait for a slot, or for another replay on their server."
    return [
        series(About("Slots in use", text, "percentunit", 12, limits), Query(used, "{{instance}}")),
        series(About("Waiting replays", waiting, "short"), Query(of(c.REPLAYS_WAITING), "{{instance}}"), up_to=5),
    ]


def _counts() -> list[AnyPanel]:
    """Return what is counted once a replay: whole numbers of the last hour, since a rate would draw bar codes."""
    late = Query(quantile(0.99, c.DISPATCH_LATENESS), "{{target}} ({{watch}})")
    text = "By how much goldwatch itself sent requests of open loads too late. Affected replays are invalid."
    return [
        _in_an_hour(
            c.REPLAYS, "validity", "Replays by validity", "Replays in the last hour. Only valid ones add evidence."
        ),
        _in_an_hour(
            c.REPLAYS_SKIPPED,
            "reason",
            "Skipped replays",
            "Replays of the last hour that were due and did not take place, by reason.",
        ),
        series(About("Late dispatch, p99", text, "s", missing="no watch sends at a rate"), late),
        _in_an_hour(
            c.STEPPED_BACK,
            "step",
            "Stepped back",
            "Replays of the last hour that goldwatch delayed, held or skipped, as the target had no room.",
        ),
    ]


def _in_an_hour(metric: Metric, by: str, title: str, text: str) -> AnyPanel:
    query = Query(f"sum by ({by}) (increase({of(metric, '1h')}))", f"{{{{{by}}}}}")
    return series(About(title, text, "short"), query, up_to=5)


def _process() -> list[AnyPanel]:
    cpu = f"rate(process_cpu_seconds_total[$__rate_interval]) * {_OURS}"
    memory = f"process_resident_memory_bytes * {_OURS}"
    text = "CPU of the agent itself, without its workers; in cores."
    return [
        series(About("CPU", text, "suffix: cores", 6), Query(cpu, "{{instance}}")),
        series(
            About("Memory", "Memory of the agent itself, without its workers.", "bytes", 6),
            Query(memory, "{{instance}}"),
        ),
    ]


def _pushes() -> list[AnyPanel]:
    text = "Pushes of the last hour that an OpenTelemetry collector did not take."
    pushes = f"sum by (instance, signal) (increase({of(c.PUSHES_FAILED, '1h')}))"
    about = About("Failed pushes", text, "short", 6, _RED, missing=_NO_COLLECTOR)
    found: list[AnyPanel] = [series(about, Query(pushes, "{{instance}} {{signal}}"))]
    text = "Log records and spans of the last hour that were given up, since their queue was full or their push failed."
    lost = f"sum by (instance, signal) (increase({of(c.RECORDS_LOST, '1h')}))"
    about = About("Lost records", text, "short", 6, _RED, missing=_NO_COLLECTOR)
    found.append(series(about, Query(lost, "{{instance}} {{signal}}")))
    return found


def _controllers() -> list[AnyPanel]:
    """Return what operator and webhook say of themselves."""
    watches = select(controllers.WATCHES, _KEPT)
    pods, errors = controllers.PODS_WITHOUT_SIDECAR, select(controllers.RECONCILE_ERRORS, _KEPT, "1h")
    text = "Watches by the reason of their condition. Only those that are Accepted are in force as they are written."
    about = About("Watches", text, "short", 6, missing=_NO_OPERATOR)
    found: list[AnyPanel] = [
        series(
            about,
            Query(f"sum by (reason) (max by (cluster, model_namespace, reason) ({watches}))", "{{reason}}"),
            up_to=5,
        )
    ]
    text = "Pods that have the annotation goldwatch.dev/config, and no sidecar."
    about = About("Pods without a sidecar", text, "short", 6, _RED, missing=_NO_OPERATOR)
    query = Query(
        f"sum by (model_namespace) (max by (cluster, model_namespace) ({select(pods, _KEPT)}))", "{{model_namespace}}"
    )
    found.append(series(about, query))
    text = "Requests of the operator to the API server that failed in the last hour, by reason."
    about = About("Errors of the operator", text, "short", 6, _RED, missing=_NO_OPERATOR)
    found.append(series(about, Query(f"sum by (reason) (increase({errors}))", "{{reason}}")))
    text = (
        "How long the certificate of the webhook is still valid. cert-manager renews it in the last third of its time."
    )
    about = About("Certificate", text, "s", 6, ((None, "red"), (7 * 86_400, "green")), missing="no webhook is scraped")
    ends = select(controllers.CERTIFICATE_ENDS, _KEPT[:1])
    found.append(series(about, Query(f"min by (cluster, namespace, job) ({ends}) - time()", "{{job}}")))
    return found
