"""The charts of a report: confusion matrix, calibration, latency."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from goldwatch.config import format_duration, format_seconds
from goldwatch.core.judgement import Judgement, Quantile
from goldwatch.core.latency import quantiles
from goldwatch.core.outcome import UNSENT
from goldwatch.face.html import Column, Content, Html, Table, join, name, tag
from goldwatch.face.plot import Plot, decades, heat, heat_map
from goldwatch.ipc.judging_jobs import Exhibit

_BINS = 60


def confusion_matrix(exhibit: Exhibit | None) -> Iterator[Content]:
    """Yield the counts of answers by label, as a heat map of mistakes."""
    if exhibit is None or not exhibit.confusion:
        return
    most = max((n for i, row in enumerate(exhibit.confusion) for j, n in enumerate(row) if i != j), default=0)
    heads = [tag("th", name(label), scope="col") for label in exhibit.classes]
    rows = []
    for i, counts in enumerate(exhibit.confusion):
        if not any(counts):
            continue
        cells = [_count(n, i == j, most) for j, n in enumerate(counts)]
        rows.append(tag("tr", tag("th", name(exhibit.classes[i]), scope="row"), *cells))
    head = tag("tr", tag("th", "label ↓ answer →", scope="col"), *heads)
    wrong = sum(map(sum, exhibit.confusion)) - sum(row[i] for i, row in enumerate(exhibit.confusion))
    caption = f"{wrong:,} wrong of {sum(map(sum, exhibit.confusion)):,} answers. Colour: how frequent a mistake is."
    yield heat_map(caption, head, rows, "Confusion matrix")


def _count(n: int, right: bool, most: int) -> Html:
    if right:
        return tag("td", tag("b", f"{n:,}"))
    return heat(n / most, "loss", f"{n:,}") if n else tag("td", tag("span", "0", class_="q"))


def calibration(exhibit: Exhibit | None) -> Iterator[Content]:
    """Yield the share of right answers by the probability that the model gave them, with the numbers in a table."""
    if exhibit is None or not exhibit.calibration:
        return
    bins, n = exhibit.calibration, sum(each.examples for each in exhibit.calibration)
    off = sum(abs(each.right - each.confidence * each.examples) for each in bins) / n
    plot = Plot(0, 1, 0, 1, f"Calibration: over {n:,} answers the mean distance from the diagonal is {off:.3f}", 220)
    plot.rows((0, 0.25, 0.5, 0.75, 1), lambda v: f"{v:g}")
    plot.columns([(v / 5, f"{v / 5:g}") for v in range(6)])
    plot.line([(0, 0), (1, 1)], "fr")
    for each in bins:
        plot.span(each.confidence, each.low, each.high)
    plot.line([(each.confidence, each.right / each.examples) for each in bins], "l1")
    plot.dots([(each.confidence, each.right / each.examples) for each in bins])
    words = (
        "Share of right answers (up) by the probability of the answer (right), with 95% intervals; dashed: as sure "
        f"as right. Mean distance, weighted by answers: {off:.3f}."
    )
    yield tag("figure", tag("figcaption", words), plot.html(), class_="narrow")
    rows: list[Sequence[Content]] = [
        (
            f"{b.confidence:.3f}",
            f"{b.examples:,}",
            f"{b.right:,}",
            f"{b.right / b.examples:.3f}",
            f"[{b.low:.3f}, {b.high:.3f}]",
        )
        for b in bins
    ]
    columns = [Column(c, numbers=True) for c in ("mean probability", "answers", "right", "share right", "95% interval")]
    yield tag("details", tag("summary", "The numbers"), Table("Bins of equal width.", columns, rows).html())


def latency_chart(judgement: Judgement, limit_s: float | None) -> Content:
    """Return the histogram of latencies on a logarithmic axis with the quantiles, and what is not in it."""
    times = judgement.run.latencies_s
    if not len(times):
        return None
    known = judgement.findings.quantiles or quantiles(times)
    low, high = min(times), max(times)
    ends = [low, high] + ([limit_s] if limit_s is not None and limit_s < 20 * high else [])
    x0, x1 = math.log10(max(min(ends), 1e-9)) - 0.02, math.log10(max(ends)) + 0.05
    counts = [0] * _BINS
    for t in times:
        counts[min(int((math.log10(max(t, 1e-9)) - x0) / (x1 - x0) * _BINS), _BINS - 1)] += 1
    told = ", ".join(map(_told, known))
    plot = Plot(x0, x1, 0, 1, f"Histogram of {len(times):,} latencies on a logarithmic axis: {told}", 120)
    if limit_s is not None and limit_s in ends:
        plot.ground(math.log10(limit_s), x1, "bad")
        plot.upright(math.log10(limit_s), "lim")
    edges = [x0 + (x1 - x0) * i / _BINS for i in range(_BINS + 1)]
    plot.bars(edges, [n / max(counts) for n in counts], "bar")
    plot.columns([(math.log10(v), format_seconds(v)) for v in decades(10**x0, 10**x1)])
    for place, q in enumerate(q for q in known if q.latency_s is not None):
        assert q.latency_s is not None  # noqa: S101 - filtered
        plot.upright(math.log10(q.latency_s), "axis")
        plot.mark(math.log10(q.latency_s), f"p{100 * q.q:g}", lift=place % 2)
    return join((plot.html(), tag("p", _caption(judgement, told, limit_s, shown=limit_s in ends), class_="s q")))


def _caption(judgement: Judgement, told: str, limit_s: float | None, *, shown: bool) -> str:
    missing = {k: n for k, n in judgement.findings.outcomes.items() if k != "ok" and k not in UNSENT}
    words = [f"{len(judgement.run.latencies_s):,} answers, logarithmic axis. {told}."]
    if missing:
        words.append("Not in it: " + ", ".join(f"{n:,} {kind.replace('_', ' ')}" for kind, n in missing.items()) + ".")
    if limit_s is not None:
        where = "red, dashed" if shown else "far beyond the right end"
        words.append(f"The limit of {format_duration(limit_s)} is {where}.")
    return " ".join(words)


def _told(q: Quantile) -> str:
    return f"p{100 * q.q:g} {'not certifiable' if q.latency_s is None else format_seconds(q.latency_s)}"
