"""The charts of `goldwatch compare`: a radar for each target, the frontiers, the flips between every two targets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from goldwatch.commands.compare import Board, Row
from goldwatch.config import format_figure, format_seconds
from goldwatch.energy.footprint import DAWNBENCH_INFERENCES
from goldwatch.face.html import Content, Html, name, tag
from goldwatch.face.plot import Plot, decades, heat, heat_map, ticks
from goldwatch.face.radar import Spoke, radar

_POINTS = 0.15
"""From the best accuracy to the centre of a radar."""

_TIMES = 100.0
"""From the best of any other axis to the centre."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A quantity that targets are compared by, besides accuracy: less is better, unless `more`."""

    name: str
    value: Callable[[Row], float | None]
    text: Callable[[float], str]
    more: bool = False
    tested: str = ""
    """The frontier in `Row.best_for`, which only a difference beyond noise takes a target from."""


def _latency(q: float) -> Callable[[Row], float | None]:
    return lambda row: next((x.latency_s for x in row.latency if x.q == q), None)


_AXES = (
    Axis("p50", _latency(0.5), format_seconds),
    Axis("p99", _latency(0.99), format_seconds),
    Axis("throughput", lambda row: row.throughput, lambda v: f"{format_figure(v)} /s", more=True),
    Axis("joules", lambda row: row.joules, lambda v: f"{format_figure(v)} J", tested="joules"),
    Axis(
        "cost of 10,000",
        lambda row: None if row.cost is None else row.cost * DAWNBENCH_INFERENCES,
        format_figure,
        tested="cost",
    ),
)


def _known(rows: Sequence[Row]) -> list[Axis]:
    """Return the axes that any target has a value for."""
    return [axis for axis in _AXES if any((axis.value(row) or 0) > 0 for row in rows)]


def radars(rows: Sequence[Row]) -> Iterator[Content]:
    """Yield a radar for each target, the first one dashed behind the others; none if there is one target."""
    axes = _known(rows)
    if len(rows) < 2 or len(axes) < 2:
        return
    each = [_spokes(row, rows, axes) for row in rows]
    yield tag(
        "p",
        f"Outer ring: the best of this board. Centre: {_TIMES:.0f} times worse on a logarithmic scale, or "
        f"{100 * _POINTS:.0f} points less accurate. Dashed: ",
        name(rows[0].assignment.target.name),
        ". Read the numbers: a radar's area means nothing. “?” is not known, and leaves the shape open.",
        class_="s q",
    )
    figures = [
        radar(
            name(row.assignment.target.name),
            f"{row.assignment.target.name}: " + ", ".join(f"{s.name} {s.text}" for s in spokes),
            spokes,
            each[0] if row is not rows[0] else (),
        )
        for row, spokes in zip(rows, each, strict=True)
    ]
    yield tag("div", *figures, class_="rads")


def _spokes(row: Row, rows: Sequence[Row], axes: Sequence[Axis]) -> list[Spoke]:
    best = max((other.accuracy.value for other in rows if other.accuracy is not None), default=0.0)
    score = row.accuracy
    share = None if score is None else max(1 - (best - score.value) / _POINTS, 0.0)
    found = [Spoke(score.name if score else "accuracy", f"{score.value:.4f}" if score else "not known", share)]
    for axis in axes:
        value = axis.value(row)
        known = [v for v in map(axis.value, rows) if v]
        if not value or not known:
            found.append(Spoke(axis.name, "not known", None))
            continue
        worse = max(known) / value if axis.more else value / min(known)
        found.append(Spoke(axis.name, axis.text(value), max(1 - math.log(worse) / math.log(_TIMES), 0.0)))
    return found


def frontiers(rows: Sequence[Row]) -> Iterator[Content]:
    """Yield accuracy against each thing that costs, where two targets have both."""
    for axis in (axis for axis in _known(rows) if not axis.more):
        points = [(row, axis.value(row), row.accuracy) for row in rows]
        known = [(row, value, score) for row, value, score in points if value and score is not None]
        if len(known) < 2:
            continue
        x = [math.log10(value) for _, value, _ in known]
        low, high = min(score.low for _, _, score in known), max(score.high for _, _, score in known)
        margin = 0.05 * ((high - low) or 1.0)
        x0, x1 = min(x) - 0.1, max(x) + 0.1
        best = [
            (row, value, score)
            for row, value, score in known
            if not any(
                s.value >= score.value and v <= value and (s.value > score.value or v < value) for _, v, s in known
            )
        ]
        on = ", ".join(row.assignment.target.name for row, _, _ in best)
        plot = Plot(x0, x1, low - margin, high + margin, f"Accuracy against {axis.name}; best by values: {on}", 220)
        plot.rows(ticks(low, high, 5), lambda v: f"{v:.3g}")
        plot.columns([(math.log10(v), axis.text(v)) for v in decades(10**x0, 10**x1)])
        steps: list[tuple[float, float]] = []
        for _, value, score in sorted(best, key=lambda point: point[1]):
            steps += [(math.log10(value), steps[-1][1] if steps else low - margin), (math.log10(value), score.value)]
        plot.line([*steps, (x1, steps[-1][1])], "fr")
        for row, value, score in known:
            off = "off" if axis.tested and axis.tested not in row.best_for else ""
            plot.span(math.log10(value), score.low, score.high)
            plot.dots([(math.log10(value), score.value)], f"dot {off}".strip())
            plot.label(math.log10(value), score.value, row.assignment.target.name[:40], off)
        blue = " Grey: another target that is as accurate takes less beyond noise, or that is not known."
        words = f"Accuracy against {axis.name}, logarithmic. Bars: 95% intervals. Dashed: the best by these values, "
        words += f"which may be noise.{blue if axis.tested else ''}"
        yield tag("figure", tag("figcaption", words), plot.html(), class_="narrow")


def flips(board: Board) -> Content:
    """Return how many examples each target has right and each other one wrong."""
    if not board.pairs:
        return None
    rows = board.rows
    heads = [tag("th", name(row.assignment.target.name), scope="col") for row in rows]
    most = max(max(pair.only_first, pair.only_other) for pair in board.pairs.values()) or 1
    lines = [
        tag(
            "tr",
            tag("th", name(row.assignment.target.name), scope="row"),
            *(_flip(board, i, j, most) for j in range(len(rows))),
        )
        for i, row in enumerate(rows)
    ]
    words = (
        "Examples that the row has right and the column wrong. * and bold: the two differ beyond chance (McNemar, "
        f"exact, 1% over all {len(board.pairs):,} pairs). Without it no difference was seen, which does not mean that "
        "there is none."
    )
    head = tag("tr", tag("th", "right ↓ wrong →", scope="col"), *heads)
    return heat_map(words, head, lines, "Flips between every two targets")


def _flip(board: Board, i: int, j: int, most: int) -> Html:
    if i == j:
        return tag("td", "·", class_="q")
    pair = board.pairs.get((min(i, j), max(i, j)))
    if pair is None:
        return tag("td", "not known", class_="hx")
    count = pair.only_first if i < j else pair.only_other
    said = f"{count:,}"
    return heat(count / most, "accent", tag("b", f"{said}*") if board.differ(pair) else said)
