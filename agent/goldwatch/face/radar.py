"""Radar charts, one for each of what is compared: small multiples that are read by their numbers, not by their area."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from goldwatch.face.html import Content, Html, tag

_MIDDLE, _RADIUS = (160.0, 105.0), 68.0


@dataclass(frozen=True, slots=True)
class Spoke:
    """One axis: its name, its value as text, and its place from the centre, 0, to the best, 1.

    `share` is None for what was not measured, which leaves the shape open.
    """

    name: str
    text: str
    share: float | None


def radar(title: Content, says: str, spokes: Sequence[Spoke], first: Sequence[Spoke] = ()) -> Html:
    """Return one chart, with that of `first` dashed behind it. What was not measured leaves a shape open, and a ?."""
    angles = [2 * math.pi * i / len(spokes) - math.pi / 2 for i in range(len(spokes))]
    parts = [f'<polygon class="ring" points="{_ring(angles, r)}"/>' for r in (0.5, 1.0)]
    parts += [f'<path class="first" d="{_outline(angles, first)}"/>'] if first else []
    full = all(spoke.share is not None for spoke in spokes)
    parts.append(f'<path class="own{" full" if full else ""}" d="{_outline(angles, spokes)}"/>')
    for angle, spoke in zip(angles, spokes, strict=True):
        x, y = _place(angle, 1.22)
        anchor = "middle" if abs(math.cos(angle)) < 0.3 else "start" if math.cos(angle) > 0 else "end"
        told = escape(spoke.text if spoke.share is not None else "?")
        parts.append(f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(spoke.name)}</text>')
        parts.append(f'<text class="rv" x="{x}" y="{y + 12}" text-anchor="{anchor}">{told}</text>')
    svg = tag("svg", Html("".join(parts)), viewBox="0 0 320 220", role="img", aria_label=says)
    return tag("figure", tag("figcaption", tag("b", title)), svg, class_="rad")


def _place(angle: float, share: float) -> tuple[float, float]:
    x, y = _MIDDLE
    return round(x + _RADIUS * share * math.cos(angle), 1), round(y + _RADIUS * share * math.sin(angle), 1)


def _ring(angles: Sequence[float], share: float) -> str:
    return " ".join(f"{x},{y}" for x, y in (_place(angle, share) for angle in angles))


def _outline(angles: Sequence[float], spokes: Sequence[Spoke]) -> str:
    """Return the path from spoke to spoke; where one is not known the line is broken."""
    known = [None if s.share is None else _place(a, s.share) for a, s in zip(angles, spokes, strict=True)]
    closed = [*known, known[0]] if known else []
    d, pen = "", "M"
    for place in closed:
        if place is None:
            pen = "M"
            continue
        d += f"{pen}{place[0]} {place[1]}"
        pen = "L"
    return d
