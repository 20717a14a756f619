"""The few kinds of panels that all dashboards are made of, each with unit, description and thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
from grafana_foundation_sdk.models import heatmap as heats
from grafana_foundation_sdk.models import xychart as xy
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    ValueMapping,
)
from grafana_foundation_sdk.models.dashboard import (
    Panel as PanelModel,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dashboards.query import Query
from dashboards.state import unknown_word, words

AnyPanel: TypeAlias = Builder[PanelModel]

HIGH = 8
"""The height of a panel, in Grafana's grid of 24 columns."""

Limits = Sequence[tuple[float | None, str]]
"""Colours from a value on; the first value is None, for all that is lower."""

GOOD: Limits = ((None, "green"),)
EVIDENCE: Limits = ((None, "green"), (0.5, "orange"), (1, "red"))
"""Of evidence divided by its threshold: an alert at one."""
_BANDS = ("blue", "purple", "orange")


@dataclass(frozen=True, slots=True)
class About:
    """The texts and sizes of a panel. `unit` is Grafana's name of it; `span` counts columns of 24.

    `missing` is shown instead of "No data". Time series draw the `limits` as dashed lines.
    """

    title: str
    text: str
    unit: str
    span: int = 12
    limits: Limits = GOOD
    height: int = HIGH
    missing: str = "no replay in this time range"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of numbers in a table. `missing` is shown where a row has no value; a `gauge` is a bar from zero."""

    unit: str = "none"
    missing: str = "unknown"
    link: str = ""
    words: Sequence[ValueMapping] = ()
    gauge: float | None = None
    """The value of a full bar, if there is a bar."""
    width: int = 0
    """In pixels; 0 shares what is left."""


def datasource() -> DataSourceRef:
    """Return the Prometheus that the dashboard's variable names."""
    return DataSourceRef(type_val="prometheus", uid="${datasource}")


def series(about: About, *queries: Query, from_zero: bool = True, up_to: float | None = None) -> timeseries.Panel:
    """Return values over time; lines end where values end. The axis reaches at least `up_to`."""
    panel: timeseries.Panel = _dressed(timeseries.Panel(), about, queries)
    panel.line_width(2).fill_opacity(0).span_nulls(False).show_points(kinds.VisibilityMode.AUTO)
    panel.legend(
        common.VizLegendOptions()
        .display_mode(kinds.LegendDisplayMode.LIST)
        .placement(kinds.LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    panel.tooltip(common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI).sort(kinds.SortOrder.DESCENDING))
    if len(about.limits) > 1:
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(kinds.GraphThresholdsStyleMode.DASHED))
    if from_zero:
        panel.axis_soft_min(0)
    return panel if up_to is None else panel.axis_soft_max(up_to)


def bands(panel: timeseries.Panel, *names: str) -> timeseries.Panel:
    """Draw the range from `NAME low` to `NAME high` as a band in the colour of the line `NAME`."""
    for name, colour in zip(names, _BANDS, strict=False):
        fixed = DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour})
        hidden = DynamicConfigValue("custom.hideFrom", {"legend": True, "tooltip": False, "viz": False})
        bound = [fixed, hidden, DynamicConfigValue("custom.lineWidth", 0)]
        fill = [DynamicConfigValue("custom.fillBelowTo", f"{name} low"), DynamicConfigValue("custom.fillOpacity", 20)]
        panel.override_by_name(name, [fixed])
        panel.override_by_name(f"{name} low", bound).override_by_name(f"{name} high", [*bound, *fill])
    return panel


def dashed(panel: timeseries.Panel, **colours: str) -> timeseries.Panel:
    """Draw lines, by name, dashed and in a colour: what values are compared with."""
    for name, colour in colours.items():
        style = DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 6]})
        fixed = DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour})
        panel.override_by_name(name, [fixed, style, DynamicConfigValue("custom.lineWidth", 1)])
    return panel


def number(about: About, query: Query) -> stat.Panel:
    """Return the value now. A value that is not known is called unknown, and is not coloured as good."""
    panel: stat.Panel = _dressed(stat.Panel(), about, [query], instant=True)
    panel.color_mode(kinds.BigValueColorMode.VALUE).graph_mode(kinds.BigValueGraphMode.NONE)
    return panel.mappings([unknown_word()]).no_value("unknown")


def bars(about: About, *queries: Query) -> bargauge.Panel:
    """Return a bar for each series, now, from zero."""
    panel: bargauge.Panel = _dressed(bargauge.Panel(), about, queries, instant=True)
    panel.display_mode(kinds.BarGaugeDisplayMode.BASIC).mappings([unknown_word()])
    return panel.orientation(kinds.VizOrientation.HORIZONTAL).min(0)


def spread(about: About, query: Query) -> heatmap.Panel:
    """Return a histogram over time."""
    panel: heatmap.Panel = _dressed(heatmap.Panel(), about, [query])
    return panel.calculate(False).y_axis(heatmap.YAxisConfig().unit(about.unit))


def heat(about: About, query: Query) -> heatmap.Panel:
    """Return a row of cells for each series over time: nothing at 0, the hottest at 1."""
    panel: heatmap.Panel = _dressed(heatmap.Panel(), about, [query])
    colour = heatmap.HeatmapColorOptions().mode(heats.HeatmapColorMode.OPACITY).fill("dark-orange").exponent(0.5)
    panel.calculate(False).color(colour.scale(heats.HeatmapColorScale.EXPONENTIAL).min(0).max(1).steps(64))
    return panel.cell_values(heatmap.CellValues().unit(about.unit))


def states(about: About, query: Query) -> statetimeline.Panel:
    """Return the states of monitors over time, by their ranks."""
    panel: statetimeline.Panel = _dressed(statetimeline.Panel(), about, [query])
    return panel.merge_values(True).show_value(kinds.VisibilityMode.NEVER).mappings(words())


def rows(
    about: About,
    queries: Sequence[Query],
    columns: Mapping[str, Column],
    sort_by: str = "",
    hidden: Sequence[str] = ("Time",),
    *,
    descending: bool = True,
) -> table.Panel:
    """Return a table: a row for each set of labels, a column for each query. The columns that are named come first.

    A label is text: Grafana would format version 17 as 1700 %.
    """
    panel: table.Panel = _dressed(table.Panel(), about, queries, instant=True)
    _one_row_each(panel, queries, hidden, list(columns))
    panel.cell_options(kinds.TableAutoCellOptions())
    _plain_labels(panel)
    for name, column in columns.items():
        if properties := list(_properties(column)):
            panel.override_by_name(name, properties)
    if sort_by:
        panel.sort_by([common.TableSortByFieldState().display_name(sort_by).desc(descending)])
    return panel


def _plain_labels(panel: table.Panel, missing: str = "unknown") -> None:
    """Show labels as they are, and unknown numbers as unknown; the text for an empty table is not for cells."""
    panel.override_by_field_type("string", [DynamicConfigValue("unit", "string"), DynamicConfigValue("noValue", "")])
    panel.override_by_field_type("number", [DynamicConfigValue("mappings", [unknown_word(missing)])])


def _properties(column: Column) -> Iterator[DynamicConfigValue]:
    if column.unit:
        yield DynamicConfigValue("unit", column.unit)
    if column.link:
        yield DynamicConfigValue("links", [{"title": "open", "url": column.link, "targetBlank": False}])
    if column.words or column.missing != "unknown":
        yield DynamicConfigValue("mappings", [*column.words, unknown_word(column.missing)])
    if column.words:
        yield DynamicConfigValue("custom.align", "left")
        yield DynamicConfigValue("custom.cellOptions", {"type": "color-text"})
    if column.width:
        yield DynamicConfigValue("custom.width", column.width)
    if column.gauge is not None:
        yield DynamicConfigValue("custom.cellOptions", {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"})
        yield DynamicConfigValue("color", {"mode": "fixed", "fixedColor": "blue"})
        yield DynamicConfigValue("min", 0)
        yield DynamicConfigValue("max", column.gauge)


def matrix(about: About, query: Query, row: str, column: str, missing: str = "unknown") -> table.Panel:
    """Return a table of one query, by two labels: a coloured cell for each pair of their values, else `missing`."""
    panel: table.Panel = _dressed(table.Panel(), about, [query], instant=True)
    fields = {"rowField": row, "columnField": column, "valueField": "Value", "emptyValue": "null"}
    panel.with_transformation(DataTransformerConfig(id_val="groupingToMatrix", options=fields))
    _plain_labels(panel, missing)
    return panel.cell_options(kinds.TableColoredBackgroundCellOptions(mode=kinds.TableCellBackgroundDisplayMode.BASIC))


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


def _one_row_each(  # as below
    panel: Any,  # noqa: ANN401
    queries: Sequence[Query],
    hidden: Sequence[str],
    order: Sequence[str] = (),
) -> None:
    """Merge the answers of several queries into a row for each set of labels, with a column named after each query."""
    panel.with_transformation(DataTransformerConfig(id_val="merge", options={}))
    names = {f"Value #{_letter(i)}" if len(queries) > 1 else "Value": q.name for i, q in enumerate(queries)}
    fields = {name: field for field, name in names.items()}
    places = {fields.get(name, name): place for place, name in enumerate(order)}
    panel.with_transformation(
        DataTransformerConfig(
            id_val="organize",
            options={"excludeByName": dict.fromkeys(hidden, True), "indexByName": places, "renameByName": names},
        )
    )


def _dressed(panel: Any, about: About, queries: Sequence[Query], *, instant: bool = False) -> Any:  # noqa: ANN401
    """Set up what all kinds of panels share; the SDK's builders have no common type."""
    text = about.text + _level(queries)
    panel.title(about.title).description(text).unit(about.unit).span(about.span).height(about.height)
    panel.datasource(datasource()).no_value(about.missing)
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


def _level(queries: Sequence[Query]) -> str:
    """Return a sentence for a panel that has no answer, or not all, where agents have `metrics: essential`."""
    full = [query.needs_full() for query in queries]
    return " Needs `metrics: full`." if all(full) else " Parts of it need `metrics: full`." if any(full) else ""


def _letter(index: int) -> str:
    return chr(ord("A") + index)
