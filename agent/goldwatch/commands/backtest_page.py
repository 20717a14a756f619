"""The output of `goldwatch backtest` as a page for people: accuracy over time with the alerts that would have been."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from goldwatch.commands.backtest import AlertEpisode, Played
from goldwatch.commands.backtest_report import calls, times
from goldwatch.commands.common_rules import Fired
from goldwatch.commands.report_page import report_page
from goldwatch.config import format_moment
from goldwatch.face.html import Column, Content, Html, Table, name, section, tag
from goldwatch.face.plot import Plot, ticks

_BINS = 240
"""Of the chart: each keeps its lowest and its highest replay, so that one bad replay stays visible."""
_ROWS = 200
_MARKS = 12


def as_html(title: str, played: Played, rules: Sequence[Fired]) -> str:
    """Write the page."""
    alerts = [(monitor, e) for monitor, episodes in played.episodes.items() for e in episodes or ()]
    unknown = [monitor for monitor, episodes in played.episodes.items() if episodes is None]
    first, last = (format_moment(played.records[i].at) for i in (0, -1))
    would = f"{len(alerts):,} alert{'' if len(alerts) == 1 else 's'} would have opened" if alerts else "no alert"
    count = f"{len(played.records):,} replay{'' if len(played.records) == 1 else 's'}"
    silent = f" Not known, the history does not say: {', '.join(unknown)}." if unknown else ""
    return report_page(
        "backtest",
        title,
        "It holds no example, only counts.",
        tag("h1", name(title), f": {would} in {count}"),
        tag("p", f"{first} to {last}, {played.valid:,} of them valid.{silent}"),
        section("Accuracy over time", _chart(played, alerts)),
        section("Alerts that would have been", _alerts(alerts, played)),
        section("Common rules on the same replays", _rules(rules)),
    )


def _chart(played: Played, alerts: Sequence[tuple[str, AlertEpisode]]) -> Html:
    points = [(r.at, r.accuracy[0] / r.accuracy[1]) for r in played.records if r.accuracy and r.accuracy[1]]
    if not points or points[0][0] == points[-1][0]:
        return tag("p", "There is no chart: the history has accuracies of fewer than two replays.", class_="q")
    shares = [share for _, share in points]
    low, high = min(shares), max(shares)
    room = max((high - low) * 0.1, 0.002)
    x0, x1 = played.records[0].at, played.records[-1].at
    says = f"Accuracy of {len(points):,} replays, {low:.4f} to {high:.4f}; {len(alerts):,} alerts would have opened"
    plot = Plot(x0, x1, low - room, min(high + room, 1.0) if high < 1 else 1 + room / 4, says, 200)
    for _, episode in alerts:
        plot.ground(episode.opened, x1 if episode.closed is None else episode.closed, "bad")
    plot.rows(ticks(plot.y0, min(plot.y1, 1.0), 5), lambda v: f"{v:.4g}")
    plot.columns([(at, format_moment(at)[:16]) for at in (x0 + (x1 - x0) * (2 * i + 1) / 8 for i in range(4))])
    plot.line(_thinned(points, x0, x1), "l1")
    for place, (monitor, episode) in enumerate(alerts[:_MARKS]):
        plot.upright(episode.opened, "lim")
        plot.mark(episode.opened, monitor, lift=place % 2)
    words = "Share of right answers, not from zero, over time in UTC. Red ground: an alert would have been open."
    if len(alerts) > _MARKS:
        words += f" Names are at the first {_MARKS} alerts."
    return tag("figure", tag("figcaption", words), plot.html())


def _thinned(points: Sequence[tuple[float, float]], x0: float, x1: float) -> Iterator[tuple[float, float]]:
    """Yield the lowest and the highest point of each bin of time, in their order."""
    if len(points) <= 2 * _BINS:
        yield from points
        return
    bins: dict[int, list[tuple[float, float]]] = {}
    for point in points:
        bins.setdefault(int((point[0] - x0) / (x1 - x0) * _BINS), []).append(point)
    for _, inside in sorted(bins.items()):
        ends = {min(inside, key=lambda p: p[1]), max(inside, key=lambda p: p[1])}
        yield from sorted(ends)


def _alerts(alerts: Sequence[tuple[str, AlertEpisode]], played: Played) -> Html:
    columns = (Column("monitor"), Column("severity"), Column("opened"), Column("closed"), Column("why"))
    rows: list[Sequence[Content]] = [
        (
            monitor,
            str(e.severity),
            format_moment(e.opened),
            "open to the end" if e.closed is None else format_moment(e.closed),
            name(e.summary),
        )
        for monitor, e in sorted(alerts, key=lambda each: each[1].opened)[:_ROWS]
    ]
    quiet = [monitor for monitor, episodes in played.episodes.items() if episodes is not None and not episodes]
    caption = f"Never: {', '.join(quiet)}." if quiet else "Each monitor would have alerted."
    if len(alerts) > _ROWS:
        caption += f" The first {_ROWS} of {len(alerts):,}; --output FILE.json has all."
    return Table(caption, columns, rows).html() if rows else tag("p", caption)


def _rules(rules: Sequence[Fired]) -> Html | None:
    if not rules:
        return None
    rows: list[Sequence[Content]] = [(rule.rule, times(rule.times), calls(rule)) for rule in rules]
    caption = "What people commonly alert by, for comparison: these rules have no budget of false alarms."
    return Table(caption, (Column("rule"), Column("would have called"), Column("details")), rows).html()
