"""The few kinds of panels that all dashboards are made of, each with unit, description and thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
    xychart,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import xychart as xy
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
)
from grafana_foundation_sdk.models.dashboard import (
    Panel as PanelModel,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dashboards.query import Query

AnyPanel: TypeAlias = Builder[PanelModel]

HIGH = 8
"""The height of a panel, in Grafana's grid of 24 columns."""

Limits = Sequence[tuple[float | None, str]]
"""Colours from a value on; the first value is None, for all that is lower."""

GOOD: Limits = ((None, "green"),)
EVIDENCE: Limits = ((None, "green"), (0.5, "orange"), (1, "red"))
"""Of evidence divided by its threshold: an alert at one."""


@dataclass(frozen=True, slots=True)
class About:
    """What every panel says of itself. `unit` is Grafana's name of it; `span` counts columns of 24."""

    title: str
    text: str
    unit: str
    span: int = 12
    limits: Limits = GOOD
    height: int = HIGH


def datasource() -> DataSourceRef:
    """Return the Prometheus that the dashboard's variable names."""
    return DataSourceRef(type_val="prometheus", uid="${datasource}")


def series(about: About, *queries: Query, most: float | None = None) -> timeseries.Panel:
    """Return values over time; `most` fixes the top of the axis."""
    panel: timeseries.Panel = _dressed(timeseries.Panel(), about, queries)
    panel.line_width(2).fill_opacity(0).span_nulls(True).show_points(kinds.VisibilityMode.AUTO)
    panel.legend(
        common.VizLegendOptions()
        .display_mode(kinds.LegendDisplayMode.LIST)
        .placement(kinds.LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    panel.tooltip(common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI).sort(kinds.SortOrder.DESCENDING))
    return panel if most is None else panel.min(0).max(most)


def number(about: About, query: Query) -> stat.Panel:
    """Return the value now."""
    panel: stat.Panel = _dressed(stat.Panel(), about, [query], instant=True)
    return panel.color_mode(kinds.BigValueColorMode.VALUE).graph_mode(kinds.BigValueGraphMode.NONE).no_value("unknown")


def bars(about: About, *queries: Query) -> bargauge.Panel:
    """Return a bar for each series, now."""
    panel: bargauge.Panel = _dressed(bargauge.Panel(), about, queries, instant=True)
    return panel.orientation(kinds.VizOrientation.HORIZONTAL).no_value("unknown")


def spread(about: About, query: Query) -> heatmap.Panel:
    """Return a histogram over time."""
    panel: heatmap.Panel = _dressed(heatmap.Panel(), about, [query])
    return panel.calculate(False).y_axis(heatmap.YAxisConfig().unit(about.unit))


def states(about: About, *queries: Query) -> statetimeline.Panel:
    """Return which series are at 1, over time."""
    panel: statetimeline.Panel = _dressed(statetimeline.Panel(), about, queries)
    return panel.merge_values(True).show_value(kinds.VisibilityMode.NEVER)


def rows(
    about: About,
    queries: Sequence[Query],
    units: Mapping[str, str],
    sort_by: str = "",
    links: Mapping[str, str] = {},
    hidden: Sequence[str] = ("Time",),
) -> table.Panel:
    """Return a table: a row for each set of labels, a column for each query. `units` and `links` are by column."""
    panel: table.Panel = _dressed(table.Panel(), about, queries, instant=True)
    _one_row_each(panel, queries, hidden)
    panel.cell_options(kinds.TableAutoCellOptions())
    for column in sorted({*units, *links}):
        properties = [DynamicConfigValue("unit", units[column])] if column in units else []
        if column in links:
            link = [{"title": "open", "url": links[column], "targetBlank": False}]
            properties.append(DynamicConfigValue("links", link))
        panel.override_by_name(column, properties)
    if sort_by:
        panel.sort_by([common.TableSortByFieldState().display_name(sort_by).desc(True)])
    return panel


def worded(panel: table.Panel, column: str, words: Mapping[int, tuple[str, str]]) -> table.Panel:
    """Return the table with words for the numbers of a column: what each stands for, and in which colour."""
    options = {str(number): {"text": text, "color": colour} for number, (text, colour) in words.items()}
    told = DynamicConfigValue("mappings", [{"type": "value", "options": options}])
    coloured = DynamicConfigValue("custom.cellOptions", {"type": "color-text"})
    return panel.override_by_name(column, [DynamicConfigValue("unit", "none"), told, coloured])


def points(about: About, across: Query, up: Query, units: Mapping[str, str]) -> xychart.Panel:
    """Return a point for each set of labels, by two queries; `units` are by their names."""
    panel: xychart.Panel = _dressed(xychart.Panel(), about, [across, up], instant=True)
    _one_row_each(panel, (across, up), ("Time",))
    for column in sorted(units):
        panel.override_by_name(column, [DynamicConfigValue("unit", units[column])])
    chosen = xychart.XYSeriesConfig().x(xychart.XychartXYSeriesConfigX().matcher(_named(across)))
    chosen.y(xychart.XychartXYSeriesConfigY().matcher(_named(up)))
    panel.mapping(xy.SeriesMapping.MANUAL).series([chosen]).show(xy.XYShowMode.POINTS)
    panel.legend(common.VizLegendOptions().show_legend(False))
    return panel.tooltip(common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.SINGLE))


def _named(query: Query) -> xychart.MatcherConfig:
    return xychart.MatcherConfig().id("byName").options(query.name)


def link(title: str, uid: str, *, keep: bool = True) -> dashboard.DashboardLink:
    """Return a link to another dashboard of ours, with the same watch and target."""
    found = dashboard.DashboardLink(title).type(DashboardLinkType.LINK).url(f"/d/{uid}").keep_time(True)
    return found.include_vars(keep).icon("dashboard")


def _one_row_each(panel: Any, queries: Sequence[Query], hidden: Sequence[str]) -> None:  # noqa: ANN401 - as below
    """Merge the answers of several queries into a row for each set of labels, with a column named after each query."""
    panel.with_transformation(DataTransformerConfig(id_val="merge", options={}))
    columns = {f"Value #{_letter(i)}" if len(queries) > 1 else "Value": q.name for i, q in enumerate(queries)}
    panel.with_transformation(
        DataTransformerConfig(
            id_val="organize",
            options={"excludeByName": dict.fromkeys(hidden, True), "indexByName": {}, "renameByName": columns},
        )
    )


def _dressed(panel: Any, about: About, queries: Sequence[Query], *, instant: bool = False) -> Any:  # noqa: ANN401
    """Say of a panel of any kind what all have in common; the SDK's builders have no common type."""
    panel.title(about.title).description(about.text).unit(about.unit).span(about.span).height(about.height)
    panel.datasource(datasource())
    steps = [Threshold(value, colour) for value, colour in about.limits]
    panel.thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
    for index, query in enumerate(queries):
        asked = prometheus.Dataquery().expr(query.expr).ref_id(_letter(index)).datasource(datasource())
        asked.legend_format(query.name)
        if instant:
            of_rows = isinstance(panel, table.Panel | xychart.Panel)
            asked.instant().format(PromQueryFormat.TABLE if of_rows else PromQueryFormat.TIME_SERIES)
        else:
            asked.range().exemplar(query.heatmap)
            asked.format(PromQueryFormat.HEATMAP if query.heatmap else PromQueryFormat.TIME_SERIES)
        panel.with_target(asked)
    return panel


def _letter(index: int) -> str:
    return chr(ord("A") + index)
