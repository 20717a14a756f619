"""The watcher watched: does it replay when it should, validly, and without harm."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from goldwatch.export import catalogue as c

from dashboards.frame import frame
from dashboards.panels import About, Limits, bars, series
from dashboards.query import Query, of, quantile, rate, worst

_OURS = f"on (job, instance) group_left () max by (job, instance) ({c.BUILD_INFO.name})"


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    found = frame(
        "goldwatch-agent", "The watcher watched: lateness, skipped replays, validity, its own CPU and memory."
    )
    red = ((None, "green"), (0.000001, "red"))
    text = (
        "How long after its scheduled time the last replay started. More than the jitter: too much work for one agent."
    )
    found.with_panel(series(About("Lateness", text, "s"), Query(worst(c.REPLAY_LATENESS), "{{target}} ({{watch}})")))
    text = "How much of its interval the last replay took. At 100 % the next one is skipped."
    busy = f"{worst(c.REPLAY_DURATION)} / {worst(c.WATCH_INTERVAL)}"
    limits: Limits = ((None, "green"), (0.5, "orange"), (1, "red"))
    found.with_panel(
        series(
            About("Share of the interval in use", text, "percentunit", 12, limits),
            Query(busy, "{{target}} ({{watch}})"),
        )
    )
    text = "Replays per second by validity. Only valid ones add evidence."
    found.with_panel(
        series(About("Replays by validity", text, "ops"), Query(rate(c.REPLAYS, "validity"), "{{validity}}"))
    )
    text = "Replays that were due and did not take place, by reason."
    found.with_panel(
        series(About("Skipped replays", text, "ops", 12, red), Query(rate(c.REPLAYS_SKIPPED, "reason"), "{{reason}}"))
    )
    text = "By how much goldwatch itself sent requests of open loads too late. What suffers from it is invalid."
    found.with_panel(
        series(
            About("Late dispatch, p99", text, "s"), Query(quantile(0.99, c.DISPATCH_LATENESS), "{{target}} ({{watch}})")
        )
    )
    text = "Replays for which goldwatch waited, which it held or skipped, because the target had no room."
    found.with_panel(
        series(About("Stepped back", text, "ops"), Query(rate(c.STEPPED_BACK, "target, step"), "{{target}} {{step}}"))
    )
    text = "CPU of the agent itself, without its workers; in cores."
    cpu = f"rate(process_cpu_seconds_total[$__rate_interval]) * {_OURS}"
    found.with_panel(series(About("CPU", text, "suffix: cores", 6), Query(cpu, "{{instance}}")))
    text = "Memory of the agent itself, without its workers."
    memory = f"process_resident_memory_bytes * {_OURS}"
    found.with_panel(series(About("Memory", text, "bytes", 6), Query(memory, "{{instance}}")))
    text = "Pushes that an OpenTelemetry collector did not take."
    pushes = f"sum by (instance, signal) (rate({of(c.PUSHES_FAILED, '$__rate_interval')}))"
    found.with_panel(series(About("Failed pushes", text, "ops", 6, red), Query(pushes, "{{instance}} {{signal}}")))
    text = "Log records and spans that were given up: the queue was full, or the push that had them failed."
    lost = f"sum by (instance, signal) (rate({of(c.RECORDS_LOST, '$__rate_interval')}))"
    found.with_panel(series(About("Lost records", text, "ops", 6, red), Query(lost, "{{instance}} {{signal}}")))
    text = "Overdue by how much: time since the next replay was due. Negative while all is well."
    overdue = f"time() - {worst(c.REPLAY_NEXT)}"
    found.with_panel(
        bars(
            About("Overdue", text, "s", 12, ((None, "green"), (60, "orange"))), Query(overdue, "{{target}} ({{watch}})")
        )
    )
    text = "Whether the last attempt to load the config succeeded."
    reloaded = f"max by (instance) ({of(c.RELOAD_SUCCESSFUL)})"
    limits = ((None, "red"), (1, "green"))
    found.with_panel(bars(About("Config in force", text, "bool_yes_no", 12, limits), Query(reloaded, "{{instance}}")))
    return found
