"""The history of a watch as charts on one time axis: score, latency, evidence, and a lane of events and alerts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import attrgetter

from goldwatch.config import format_seconds
from goldwatch.config.quantities import LatencyObjective
from goldwatch.daemon.page_parts import text, when
from goldwatch.daemon.trend import Trend
from goldwatch.daemon.watch_view import WatchView
from goldwatch.face.html import Column, Content, Html, Table, join, tag
from goldwatch.face.plot import Plot, decades, ticks

_SERIES = 6
"""So many monitors have a line; the others have less evidence, and are in the table."""
_MOST_EVIDENCE = 2.0

STYLE = """
.plot .band{fill:var(--accent-soft)}.plot .gap{fill:var(--hatch);fill-opacity:.45}.plot .open{fill:var(--alert-soft)}
:root{--s2:#a34700;--s3:#5b3f8f;--s4:#1b6b5f}
@media screen and (prefers-color-scheme:dark){:root{--s2:#f5a66a;--s3:#bfa5ee;--s4:#72cbb9}}
.k0{stroke:var(--accent)}.k1{stroke:var(--s2)}.k2{stroke:var(--s3)}.k3{stroke:var(--s4)}.k4{stroke:var(--text)}
.k5{stroke:var(--quiet)}.k0,.k1,.k2,.k3,.k4,.k5{stroke-width:1.6}.k1{stroke-dasharray:6 3}.k2{stroke-dasharray:2 2}
.k3{stroke-dasharray:8 3 2 3}.k4{stroke-dasharray:1 3}.k5{stroke-dasharray:10 4}
.days{margin-bottom:0}.days .chart{margin-top:.6rem}
.keys{display:flex;flex-wrap:wrap;gap:.1rem 1.1rem;font-size:.8125rem;margin:0;padding:0;list-style:none}
.keys svg{width:1.9rem;height:.7rem;vertical-align:-.05rem;margin-right:.35rem}.keys path{fill:none}
.keys i{display:inline-block;width:1.6rem;height:.7rem;vertical-align:-.05rem;margin-right:.35rem}
.keys .band{background:var(--accent-soft)}.keys .gap{background:var(--hatch);opacity:.45}
.keys .open{background:var(--alert-soft);border:1px solid var(--line)}
.lane{position:relative;height:3.6rem;margin:.3rem .5rem 0 3rem;border-top:1px solid var(--line);font-size:.75rem}
.lane .ev{position:absolute;top:.15rem;height:.9rem;border-left:2px solid var(--text)}
.lane a{position:absolute;height:.75rem;min-width:5px;display:block}.lane .page{top:1.3rem;background:var(--alert)}
.lane .ticket{top:2.3rem;border:2px solid var(--alert)}.lane .hushed{border:2px dotted var(--quiet);background:none}
.lane span.yl{transform:none}
@media screen and (max-width:40rem){.lane{margin-left:2.4rem}}
"""


def charts(view: WatchView) -> Iterator[Content]:
    """Yield the charts and their tables."""
    found, limit = view.trend, view.assignment.watch.objectives.latency
    if not (found.scores or found.evidence or found.latency):
        yield tag("p", "Nothing valid was measured in this time.")
    else:
        yield _legend(found)
        yield _score(found, view)
        yield _latency(found, limit)
        yield _evidence(found)
    yield _lane(found)
    yield _marks(found)


def _legend(found: Trend) -> Html:
    rest = f"; only the newest {len(found.gaps):,} of these times are marked" if found.older_gaps else ""
    rows = (
        ("band", "95% interval over examples like these"),
        ("gap", f"nothing valid was measured{rest}"),
        ("open", "a page was open"),
    )
    return tag("ul", *(tag("li", tag("i", class_=css), words) for css, words in rows), class_="keys")


def _plot(found: Trend, y0: float, y1: float, says: str, height: int) -> Plot:
    """Return an empty chart over the whole time, with what all of them have."""
    plot = Plot(found.since, found.until, y0, y1, says, height)
    for alert in found.alerts:
        if alert.severity == "page" and alert.calls:
            closed = found.until if alert.closed_at is None else alert.closed_at
            plot.ground(alert.opened_at, closed, "open")
    for began, ended in found.gaps:
        plot.ground(began, ended, "gap")
    plot.columns(_times(found))
    return plot


def _times(found: Trend) -> list[tuple[float, str]]:
    """Return the labels of the time axis: round times in UTC."""
    days = (found.until - found.since) / 86_400
    step_h = next(h for h in (4, 24, 48, 120, 360) if days * 24 / h <= 8 or h == 360)
    at = datetime.fromtimestamp(found.since, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    places = []
    while at.timestamp() < found.until:
        if at.timestamp() >= found.since:
            places.append((at.timestamp(), f"{at:%H:%M}" if step_h < 24 else f"{at.day} {at:%b}"))
        at += timedelta(hours=step_h)
    return places


def _runs(found: Trend, points: Sequence[tuple[float, ...]]) -> Iterator[list[tuple[float, ...]]]:
    """Yield runs of points, rising in time, between which nothing was measured: no line crosses that."""
    ends = [ended for _, ended in found.gaps]
    run: list[tuple[float, ...]] = []
    for point in points:
        while ends and point[0] >= ends[0]:
            ends.pop(0)
            if run:
                yield run
            run = []
        run.append(point)
    if run:
        yield run


def _drawn(found: Trend, plot: Plot, points: Sequence[tuple[float, float, float]], css: str) -> None:
    """Draw least and greatest of each bin as one line, so that one bad replay stays visible."""
    for run in _runs(found, points):
        line = [(at, value) for at, least, greatest in run for value in dict.fromkeys((least, greatest))]
        plot.line(line, css)
        if len(run) == 1:
            plot.dots(line, css="dot")


def _score(found: Trend, view: WatchView) -> Content:
    if not found.scores:
        return None
    values = found.scores
    last = next((s for s in view.last.findings.scores if s.name == found.score), None) if view.last else None
    known = [b.low for b in values] + [b.high for b in values]
    reference = None if last is None else last.reference
    known += [] if reference is None else [reference]
    margin = (max(known) - min(known)) * 0.08 or abs(known[0]) * 0.02 or 0.1
    y0, y1 = min(known) - margin, max(known) + margin
    now = "" if last is None else f", now {last.value:.4f}"
    least, greatest = min(b.least for b in values), max(b.greatest for b in values)
    says = f"{found.score} between {least:.4f} and {greatest:.4f}{now}"
    plot = _plot(found, y0, y1, says, 170)
    plot.rows(ticks(y0, y1), lambda v: f"{v:.4g}")
    for run in _runs(found, [(b.at, b.low, b.high) for b in values]):
        plot.band([(at, low, high) for at, low, high in run])
    keys = [("k0", f"{found.score}{now}")]
    if reference is not None:
        plot.line([(found.since, reference), (found.until, reference)], "fr")
        keys.append(("fr", f"reference {reference:.4f}"))
    _drawn(found, plot, [(b.at, b.least, b.greatest) for b in values], "k0")
    return _chart(join((text(found.score), f", from {y0:.3g} to {y1:.3g}, not from zero")), plot, keys)


def _latency(found: Trend, limit: LatencyObjective | None) -> Content:
    series = {q: list(bins) for q, bins in groupby(found.latency, attrgetter("q"))}
    if not series:
        return None
    low = min(b.least_s for b in found.latency)
    high = max(b.greatest_s for b in found.latency)
    shown = limit is not None and limit.limit_s < 20 * high
    ends = [low, high, *([limit.limit_s] if limit is not None and shown else [])]
    y0, y1 = math.log10(max(min(ends), 1e-9)) - 0.1, math.log10(max(ends)) + 0.1
    last = {q: bins[-1].greatest_s for q, bins in series.items()}
    told = ", ".join(f"p{100 * q:g} {format_seconds(v)}" for q, v in last.items())
    plot = _plot(found, y0, y1, f"Quantiles of latency, lately {told}", 130)
    plot.rows([math.log10(v) for v in decades(10**y0, 10**y1)], lambda v: format_seconds(10**v))
    keys = []
    for place, (q, bins) in enumerate(series.items()):
        css = f"k{min(place, _SERIES - 1)}"
        points = [(b.at, math.log10(max(b.least_s, 1e-9)), math.log10(max(b.greatest_s, 1e-9))) for b in bins]
        _drawn(found, plot, points, css)
        keys.append((css, f"p{100 * q:g} {format_seconds(last[q])}"))
    if limit is not None:
        where = "" if shown else ", far above the chart"
        keys.append(("lim", f"limit {format_seconds(limit.limit_s)} at p{100 * limit.quantile:g}{where}"))
        if shown:
            plot.line([(found.since, math.log10(limit.limit_s)), (found.until, math.log10(limit.limit_s))], "lim")
    every = f", of every {found.latency_every} replays one" if found.latency_every > 1 else ""
    return _chart(f"Latency, logarithmic{every}", plot, keys)


def _evidence(found: Trend) -> Content:
    series = {name: list(bins) for name, bins in groupby(found.evidence, attrgetter("monitor"))}
    if not series:
        return None

    def share(name: str) -> float:
        return max(b.evidence / b.threshold for b in series[name])

    names = sorted(series, key=share, reverse=True)
    y1 = min(max(share(names[0]), 1.0) * 1.15, _MOST_EVIDENCE)
    now = {name: f"{bins[-1].evidence:.1f} of {bins[-1].threshold:.1f} needed" for name, bins in series.items()}
    told = "; ".join(f"{name} {now[name]}" for name in names[:_SERIES])
    plot = _plot(found, 0, y1, f"Evidence of the monitors: {told}", 130)
    plot.rows([v for v in (0, 0.5, 1, 1.5, 2) if v <= y1], lambda v: f"{v:.0%}")
    for place, name in enumerate(names[:_SERIES]):
        points = [(b.at, max(b.evidence / b.threshold, 0.0)) for b in series[name]]
        for run in _runs(found, points):
            plot.line([(at, value) for at, value in run], f"k{place}")
    plot.line([(found.since, 1.0), (found.until, 1.0)], "lim")
    keys = [(f"k{place}", f"{name} {now[name]}") for place, name in enumerate(names[:_SERIES])]
    keys.append(("lim", "100%: an alert opens"))
    more = len(names) - _SERIES
    beyond = f" Beyond {y1:.0%} it is drawn at the top." if share(names[0]) > y1 else ""
    left_out = f" {more} monitors with less are not drawn." if more > 0 else ""
    return _chart(f"Evidence, the greatest of each time, in percent of what is needed.{beyond}{left_out}", plot, keys)


def _chart(title: Content, plot: Plot, keys: Sequence[tuple[str, str]]) -> Html:
    sample = '<svg viewBox="0 0 30 10" aria-hidden="true"><path class="{}" d="M0 5H30"/></svg>'
    items = [tag("li", Html(sample.format(css)), text(words)) for css, words in keys]
    return tag("figure", tag("figcaption", title), tag("ul", *items, class_="keys"), plot.html(), class_="days")


def _lane(found: Trend) -> Html:
    """Return events as marks, and alerts as bars: pages filled, tickets as outlines, silenced ones dotted."""

    def at(moment: float) -> float:
        return min(max((moment - found.since) / (found.until - found.since), 0.0), 1.0)

    parts: list[Html] = [tag("span", "events", class_="yl", style="top:.2rem")]
    parts += [tag("span", kind, class_="yl", style=f"top:{top}rem") for kind, top in (("page", 1.3), ("ticket", 2.3))]
    parts += [
        tag("span", class_="ev", style=f"left:{at(e.at):.2%}", title=f"{when(e.at)} {e.field}: {e.before} → {e.after}")
        for e in found.events
    ]
    for alert in found.alerts:
        closed = found.until if alert.closed_at is None else alert.closed_at
        left, width = at(alert.opened_at), max(at(closed) - at(alert.opened_at), 0.0)
        css = f"{alert.severity}{'' if alert.calls else ' hushed'}"
        style = f"left:{left:.2%};width:{width:.2%}"
        words = f"alert {alert.number}: {alert.headline}"
        number = f"../alerts/{alert.number}"
        parts.append(tag("a", href=number, class_=css, style=style, title=words, aria_label=words))
    return tag("div", *parts, class_="lane")


def _marks(found: Trend) -> Html:
    """Return the events and alerts as a table."""
    rows: list[tuple[float, Sequence[Content]]] = [
        (e.at, (when(e.at), "event", join((text(e.field), ": ", text(e.before or "?", 60), " → ", text(e.after, 60)))))
        for e in found.events
    ]
    for alert in found.alerts:
        closed = "still open" if alert.closed_at is None else f"closed {when(alert.closed_at)}"
        link = tag("a", f"alert {alert.number}", href=f"../alerts/{alert.number}")
        told = join((link, ": ", text(alert.headline, 300), f", {closed}"))
        rows.append((alert.opened_at, (when(alert.opened_at), alert.severity, told)))
    if not rows:
        return tag("p", "No event and no alert in this time.", class_="q s")
    by_time: Callable[[tuple[float, Sequence[Content]]], float] = lambda row: row[0]  # noqa: E731 - a key with a type
    columns = (Column("when"), Column("what"), Column("which"))
    table = Table("Events and alerts, oldest first.", columns, [row for _, row in sorted(rows, key=by_time)])
    return tag("details", tag("summary", f"{len(rows)} events and alerts as a table"), table.html())
