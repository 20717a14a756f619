"""What all dashboards have around their panels: variables, annotations, links, times."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard, prometheus
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, VariableRefresh, VariableSort

from goldwatch.export import catalogue as c

from dashboards.panels import datasource, link
from dashboards.query import of

DASHBOARDS = {
    "goldwatch-fleet": "goldwatch / Fleet",
    "goldwatch-model": "goldwatch / Model",
    "goldwatch-incident": "goldwatch / Incident",
    "goldwatch-compare": "goldwatch / Compare",
    "goldwatch-agent": "goldwatch / Agent",
}
"""Title by uid. A uid never changes: links and bookmarks hold it."""


def frame(uid: str, text: str, *, since: str = "now-24h", all_of_them: bool = True) -> dashboard.Dashboard:
    """Return a dashboard without panels; with `all_of_them` it begins with every watch and target."""
    found = dashboard.Dashboard(DASHBOARDS[uid]).uid(uid).description(text).tags(["goldwatch"])
    found.time(since, "now").refresh("1m").timezone("browser").readonly().tooltip(DashboardCursorSync.CROSSHAIR)
    found.with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    found.with_variable(_choice("watch", f"label_values({c.WATCH_INTERVAL.name}, watch)", every=all_of_them))
    targets = f'label_values({c.WATCH_INTERVAL.name}{{watch=~"$watch"}}, target)'
    found.with_variable(_choice("target", targets, every=all_of_them))
    found.annotation(
        _annotation(
            "deployments", _deployed(), "blue", "{{target}} is now {{model}} {{version}}", "what targets say they are"
        )
    )
    alerts = f"max by (watch, target, severity) ({of(c.ALERT_ACTIVE)}) == 1"
    found.annotation(_annotation("alerts", alerts, "red", "{{severity}}: {{target}} ({{watch}})", "open alerts"))
    for other, title in DASHBOARDS.items():
        if other != uid:
            found.link(link(title.removeprefix("goldwatch / "), other))
    return found


def _deployed() -> str:
    """Return the targets that say of themselves what they did not say a while ago."""
    told = "max by (watch, target, model, version, digest)"
    now = f"{told} ({of(c.TARGET_INFO)})"
    before = f"{told} (last_over_time({of(c.TARGET_INFO, '5m')} offset 1m))"
    known = f"max by (watch, target) (last_over_time({of(c.TARGET_INFO, '1h')} offset 1m))"
    return f"{now} unless {before} and on (watch, target) {known}"


def _choice(name: str, query: str, *, every: bool) -> dashboard.QueryVariable:
    found = dashboard.QueryVariable(name).label(name.title()).datasource(datasource()).query(query)
    return (
        found.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(every)
        .include_all(every)
    )


def _annotation(name: str, expr: str, colour: str, title: str, text: str) -> dashboard.AnnotationQuery:
    found = dashboard.AnnotationQuery().name(name).enable(True).icon_color(colour).datasource(datasource())
    target = prometheus.Dataquery().expr(expr).ref_id(name).datasource(datasource())
    return found.expr(expr).step("60s").title_format(title).text_format(text).target(target)
