"""Charts as SVG that is stretched to its box, with all text in HTML: the same file fits 390 px, 1280 px and paper."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from goldwatch.face.html import Content, Html, join, tag

WIDTH = 1000
"""Of the drawing, in its own units."""

_LABEL_WIDTH, _LABEL_HEIGHT = 150, 14


@dataclass(slots=True)
class Plot:
    """A chart from `x0` to `x1` and `y0` to `y1`, `height` px high; `says` is its finding, for those who cannot see it.

    Strokes keep their width at any size (`non-scaling-stroke`), dots are lines of no length with round ends.
    """

    x0: float
    x1: float
    y0: float
    y1: float
    says: str
    height: int = 170
    _back: list[str] = field(default_factory=list)
    _front: list[str] = field(default_factory=list)
    _texts: list[Html] = field(default_factory=list)
    _labelled: list[tuple[float, float]] = field(default_factory=list)

    def x(self, value: float) -> float:
        """Return where a value is, in the drawing's units."""
        return round((min(max(value, self.x0), self.x1) - self.x0) / (self.x1 - self.x0) * WIDTH, 1)

    def y(self, value: float) -> float:
        """Return where a value is, in px from above; values beyond the chart are at its edge."""
        return round((1 - (min(max(value, self.y0), self.y1) - self.y0) / (self.y1 - self.y0)) * self.height, 1)

    def path(self, css: str, d: str) -> None:
        """Draw a path."""
        self._front.append(f'<path class="{css}" d="{d}"/>')

    def line(self, points: Iterable[tuple[float, float]], css: str) -> None:
        """Draw a line through points."""
        places = [f"{self.x(x):g} {self.y(y):g}" for x, y in points]
        if places:
            self.path(css, "M" + "L".join(places))

    def dots(self, points: Iterable[tuple[float, float]], css: str = "dot") -> None:
        """Draw a dot at each point."""
        if d := "".join(f"M{self.x(x):g} {self.y(y):g}h0" for x, y in points):
            self.path(css, d)

    def upright(self, x: float, css: str) -> None:
        """Draw a vertical line."""
        self.path(css, f"M{self.x(x):g} 0V{self.height}")

    def span(self, x: float, low: float, high: float, css: str = "eb") -> None:
        """Draw an interval at a place."""
        self.path(css, f"M{self.x(x):g} {self.y(low):g}V{self.y(high):g}")

    def band(self, points: Sequence[tuple[float, float, float]], css: str = "band") -> None:
        """Fill what is between two lines; a point is its place, the lower and the upper value."""
        if points:
            there = [f"{self.x(x):g} {self.y(high):g}" for x, _, high in points]
            back = [f"{self.x(x):g} {self.y(low):g}" for x, low, _ in reversed(points)]
            self._back.append(f'<path class="{css}" d="M{"L".join(there + back)}Z"/>')

    def ground(self, x0: float, x1: float, css: str) -> None:
        """Tint the ground between two places."""
        a, b = f"{self.x(x0):g}", f"{self.x(x1):g}"
        self._back.append(f'<path class="{css}" d="M{a} 0H{b}V{self.height}H{a}Z"/>')

    def bars(self, edges: Sequence[float], heights: Sequence[float], css: str) -> None:
        """Draw a histogram; `edges` are one more than `heights`."""
        each = zip(edges[:-1], edges[1:], heights, strict=True)
        bottom = self.height
        d = "".join(f"M{self.x(a):g} {bottom}V{self.y(v):g}H{self.x(b):g}V{bottom}Z" for a, b, v in each if v > 0)
        if d:
            self.path(css, d)

    def rows(self, values: Iterable[float], form: Callable[[float], str]) -> None:
        """Label the y axis, with a faint line at each value."""
        for value in values:
            self._back.append(f'<path class="grid" d="M0 {self.y(value):g}H{WIDTH}"/>')
            self._texts.append(tag("span", form(value), class_="yl", style=f"top:{self.y(value) / self.height:.2%}"))

    def columns(self, places: Iterable[tuple[float, str]]) -> None:
        """Label the x axis; a phone shows every other label."""
        for i, (value, text) in enumerate(places):
            css = "xl opt" if i % 2 else "xl"
            self._texts.append(tag("span", text, class_=css, style=f"left:{self.x(value) / WIDTH:.2%}"))

    def mark(self, x: float, text: str, *, lift: int = 0) -> None:
        """Write above the chart what is at a place, `lift` lines up."""
        where = f"left:{self.x(x) / WIDTH:.2%};top:{-1.1 - 1.1 * lift:.1f}rem"
        self._texts.append(tag("span", text, class_="mk", style=where))

    def label(self, x: float, y: float, text: str, css: str = "") -> None:
        """Write next to a point; left of it near the right end, and below it where another label is."""
        side = "left" if self.x(x) > 0.6 * WIDTH else ""
        at = self.x(x), self.y(y)
        if any(abs(at[0] - a) < _LABEL_WIDTH and abs(at[1] - b) < _LABEL_HEIGHT for a, b in self._labelled):
            side = f"{side} below".strip()
        self._labelled.append(at)
        style = f"left:{self.x(x) / WIDTH:.2%};top:{self.y(y) / self.height:.2%}"
        self._texts.append(tag("span", tag("bdi", text), class_=f"pl {side} {css}".strip(), style=style))

    def html(self) -> Html:
        """Return the chart."""
        inside = Html("".join((*self._back, *self._front)))
        size = f"0 0 {WIDTH} {self.height}"
        svg = tag("svg", inside, viewBox=size, preserveAspectRatio="none", role="img", aria_label=self.says)
        texts = tag("div", *self._texts, aria_hidden="true")
        return tag("div", tag("div", svg, texts, class_="plot", style=f"--h:{self.height}px"), class_="chart has-x")


def interval(value: float, low: float, high: float, reference: float | None, span: tuple[float, float]) -> Html:
    """Draw a value with its interval, and the reference as a mark, over a span: a cell of a table."""
    x0, x1 = span

    def at(v: float) -> float:
        return min(max((v - x0) / ((x1 - x0) or 1), 0.0), 1.0)

    parts = [tag("span", class_="ivr", style=f"left:{at(reference):.1%}")] if reference is not None else []
    parts.append(tag("span", class_="ivl", style=f"left:{at(low):.1%};width:{at(high) - at(low):.1%}"))
    parts.append(tag("span", class_="ivp", style=f"left:{at(value):.1%}"))
    return join(parts)


def decades(low: float, high: float) -> list[float]:
    """Return round values on a logarithmic axis: 1, 2 and 5 times powers of ten, at most a dozen."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [m * 10.0**p for p in powers for m in (1, 2, 5)]
    inside = [value for value in found if low <= value <= high]
    if len(inside) < 2:  # the axis is too short for them
        return ticks(low, high, 4)
    return inside if len(inside) <= 12 else [value for value in inside if f"{value:e}".startswith("1")]


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return round values between two."""
    if not high > low:
        return [low]
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(step * m for m in (1, 2, 5, 10) if (high - low) / (step * m) <= most)
    return [round(i * step, 10) for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def heat_map(caption: str, head: Html, rows: Iterable[Html], label: str) -> Html:
    """Return a heat map of `rows` of cells; its caption is above, since that of a small table would be as narrow."""
    table = tag("table", tag("thead", head), tag("tbody", *rows), class_="heat", aria_label=label)
    # what may be scrolled must be reached by keys
    scrolled = tag("div", table, class_="wide", tabindex="0", role="region", aria_label=label)
    return join((tag("p", caption, class_="q s"), scrolled))


def heat(share: float, css: str, content: Content, title: str = "") -> Html:
    """Return a cell of a heat map; `share` is how much of the colour, 0 to 1. The text is readable on all of them."""
    part = min(max(share, 0.0), 1.0)
    return tag("td", content, class_=f"h-{css}", style=f"--a:{part:.2f}", title=title or None)
