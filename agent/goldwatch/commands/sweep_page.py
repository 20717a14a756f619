"""The steps of `goldwatch sweep` as a page for people: latency by rate, and what was seen at each."""

from __future__ import annotations

import math
from collections.abc import Sequence

from goldwatch.commands.gate import EXIT_CODES, Result
from goldwatch.commands.report_page import report_page
from goldwatch.commands.sweep import SweepResult, SweepStep, SweepVerdict
from goldwatch.commands.sweep_report import exit_code, in_words
from goldwatch.config import format_latency, format_seconds
from goldwatch.core.latency import certifiable
from goldwatch.face.html import Column, Content, Html, Table, join, name, section, tag
from goldwatch.face.page import hero, verdict
from goldwatch.face.plot import Plot, decades

_KINDS = {EXIT_CODES[Result.PASS]: ("ok", "FOUND"), EXIT_CODES[Result.REGRESSION]: ("bad", "NONE")}
_GLYPHS = {SweepVerdict.MET: "ok", SweepVerdict.MISSED: "bad"}


def as_html(found: SweepResult) -> str:
    """Write the page."""
    assignment = found.assignment
    who = " ".join(dict.fromkeys(assignment.key))
    kind, word = _KINDS.get(exit_code(found), ("un", "NOT MEASURED"))
    rests = (
        f"golden {assignment.golden} · probe {assignment.target.probe} · objective {format_latency(found.objective)}"
    )
    return report_page(
        "sweep",
        who,
        "It holds no example, only counts.",
        hero(kind, word, join((name(who), f": {in_words(found)}")), rests),
        section("Latency by rate", _chart(found)),
        section("Steps", _steps(found)),
    )


def _quantile(step: SweepStep, q: float) -> float | None:
    return step.seen.latencies.quantile(q) if certifiable(len(step.seen.latencies), q) else None


def _chart(found: SweepResult) -> Html:
    """Draw the quantiles that are known, on logarithmic axes; without any, say so."""
    wanted = sorted({0.5, found.objective.quantile})
    steps = sorted(found.steps, key=lambda step: step.rate_per_s)
    lines = {q: [(s.rate_per_s, v) for s in steps if (v := _quantile(s, q))] for q in wanted}
    points = [point for line in lines.values() for point in line]
    if not points:
        return tag("p", "There is no chart: no step had enough answers to know a quantile.", class_="q")
    limit_s = found.objective.limit_s
    x0, x1 = (math.log10(f(s.rate_per_s for s in steps)) for f in (min, max))
    times = [limit_s, *(v for _, v in points)]
    y0, y1 = math.log10(min(times)) - 0.1, math.log10(max(times)) + 0.1
    says = f"Latency by rate on logarithmic axes, {len(steps):,} steps; the limit is {format_seconds(limit_s)}"
    plot = Plot(x0 - 0.05, x1 + 0.05, y0, y1, says, 260)
    plot.rows([math.log10(v) for v in decades(10**y0, 10**y1)], lambda v: format_seconds(10**v))
    plot.columns([(math.log10(v), f"{v:,.4g}") for v in decades(10 ** (x0 - 0.05), 10 ** (x1 + 0.05))])
    plot.line([(x0 - 0.05, math.log10(limit_s)), (x1 + 0.05, math.log10(limit_s))], "lim")
    for q, line in lines.items():
        drawn = [(math.log10(rate), math.log10(value)) for rate, value in line]
        plot.line(drawn, "l1" if q == found.objective.quantile else "fr")
        plot.dots(drawn, "dot" if q == found.objective.quantile else "dot off")
        if drawn:
            plot.label(*drawn[-1], f"p{100 * q:g}")
    left_out = sum(_quantile(s, found.objective.quantile) is None for s in steps)
    words = f"Latency (up) by requests a second (right), both logarithmic; red, dashed: {format_seconds(limit_s)}."
    if left_out:
        words += f" {left_out:,} of {len(steps):,} steps had too few answers for p{100 * found.objective.quantile:g}."
    return tag("figure", tag("figcaption", words), plot.html())


def _steps(found: SweepResult) -> Html:
    heads = ("requests", "over the limit", "failed", "turned wrong", "p50", "p99", "in flight")
    columns = [Column("rate /s"), *(Column(head, numbers=True) for head in heads), Column("verdict"), Column("why")]
    rows: list[Sequence[Content]] = [
        (
            f"{step.rate_per_s:,.4g}",
            *(f"{n:,}" for n in (step.seen.requests, step.seen.over, step.seen.failed, step.seen.harmful)),
            *(_told(_quantile(step, q)) for q in (0.5, 0.99)),
            str(step.in_flight),
            verdict(_GLYPHS.get(step.word, "un"), str(step.word)),
            name("; ".join(filter(None, (*step.reasons, step.spoilt)))),
        )
        for step in found.steps
    ]
    return Table("In the order in which they were taken.", columns, rows).html()


def _told(value_s: float | None) -> str:
    return "not certifiable" if value_s is None else format_seconds(value_s)
