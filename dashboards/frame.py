"""Variables, annotations, links and times, which all dashboards share."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard, prometheus
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, VariableHide, VariableRefresh, VariableSort

from goldwatch.export import catalogue as c

from dashboards.panels import datasource, link
from dashboards.query import interval_window, of

DASHBOARDS = {
    "goldwatch-fleet": "goldwatch / Fleet",
    "goldwatch-model": "goldwatch / Model",
    "goldwatch-incident": "goldwatch / Incident",
    "goldwatch-compare": "goldwatch / Compare",
    "goldwatch-agent": "goldwatch / Agent",
}
"""Title by uid. A uid never changes: links and bookmarks hold it."""

_INTERVAL = c.WATCH_INTERVAL.name
_IN_PLACE = 'cluster=~"$cluster", namespace=~"$namespace"'


def frame(
    uid: str, text: str, *, since: str = "now-24h", all_of_them: bool = True, golden: bool = False
) -> dashboard.Dashboard:
    """Return a dashboard without panels.

    With `all_of_them` it begins with every watch and target, else it shows one; with `golden` it shows the watches and
    targets of one golden set.
    """
    found = dashboard.Dashboard(DASHBOARDS[uid]).uid(uid).description(text).tags(["goldwatch"])
    found.time(since, "now").refresh("1m").timezone("browser").readonly().tooltip(DashboardCursorSync.CROSSHAIR)
    found.with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    found.with_variable(choice("cluster", f"label_values({_INTERVAL}, cluster)", every=all_of_them))
    namespaces = f'label_values({_INTERVAL}{{cluster=~"$cluster"}}, namespace)'
    found.with_variable(choice("namespace", namespaces, every=all_of_them))
    source, among = _INTERVAL, _IN_PLACE
    if golden:
        info = c.GOLDEN_INFO.name
        found.with_variable(choice("golden", f"label_values({info}{{{_IN_PLACE}}}, golden)", every=False))
        source, among = info, f'{_IN_PLACE}, golden="$golden"'
    watches = f"label_values({source}{{{among}}}, watch)"
    found.with_variable(choice("watch", watches, every=all_of_them, bare=not golden))
    targets = f'label_values({source}{{{among}, watch=~"$watch"}}, target)'
    found.with_variable(choice("target", targets, every=all_of_them, bare=not golden))
    found.with_variable(_window())
    found.annotation(
        _annotation(
            "deployments", _deployed(), "purple", "{{target}} is now {{model}} {{version}}", "what targets say they are"
        )
    )
    alerts = f"max by (watch, target, severity) ({of(c.ALERT_ACTIVE)}) == 1"
    found.annotation(_annotation("alerts", alerts, "red", "{{severity}}: {{target}} ({{watch}})", "open alerts"))
    for other, title in DASHBOARDS.items():
        if other != uid:
            found.link(link(title.removeprefix("goldwatch / "), other))
    return found


def choice(name: str, query: str, *, every: bool, bare: bool = True) -> dashboard.QueryVariable:
    """Return a variable with the values of a label; `every` adds the choice of all.

    With `bare`, all means whatever there is, series without the label too; else only the values that are listed.
    """
    found = dashboard.QueryVariable(name).label(name.title()).datasource(datasource()).query(query)
    found.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.ALPHABETICAL_ASC).multi(every)
    found.include_all(every)
    return found.all_value(".*") if every and bare else found


def _window() -> dashboard.QueryVariable:
    """Return the hidden variable with the window of rates."""
    found = dashboard.QueryVariable("window").datasource(datasource()).query(f"query_result({interval_window()})")
    found.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).regex(r"/ (\d+) /")
    return found.hide(VariableHide.HIDE_VARIABLE).include_all(False).multi(False)


def _deployed() -> str:
    """Return the targets whose description has changed within minutes."""
    told = "max by (watch, target, model, version, digest)"
    now = f"{told} ({of(c.TARGET_INFO)})"
    before = f"{told} (last_over_time({of(c.TARGET_INFO, '5m')} offset 1m))"
    known = f"max by (watch, target) (last_over_time({of(c.TARGET_INFO, '1h')} offset 1m))"
    return f"{now} unless {before} and on (watch, target) {known}"


def _annotation(name: str, expr: str, colour: str, title: str, text: str) -> dashboard.AnnotationQuery:
    found = dashboard.AnnotationQuery().name(name).enable(True).icon_color(colour).datasource(datasource())
    target = prometheus.Dataquery().expr(expr).ref_id(name).datasource(datasource())
    return found.expr(expr).step("60s").title_format(title).text_format(text).target(target)
