"""A score against its reference, as cells of a table: reports and the pages of the agent share them."""

from __future__ import annotations

from goldwatch.face.html import Column, Content
from goldwatch.face.plot import interval

_MINUS = "\N{MINUS SIGN}"

SCORE_COLUMNS = (
    Column("score"),
    Column("now", numbers=True),
    Column("95% interval", numbers=True),
    Column("interval", drawn=True),
    Column("reference", numbers=True),
    Column("change", numbers=True),
)


def score_cells(value: float, low: float, high: float, reference: float | None) -> tuple[Content, ...]:
    """Return the cells from "now" to "reference". The bar spans these values, and not the whole scale."""
    known = [v for v in (value, low, high, reference) if v is not None]
    margin = 0.3 * ((max(known) - min(known)) or abs(value) or 1.0)
    return (
        f"{value:.4f}",
        f"[{low:.4f}, {high:.4f}]",
        interval(value, low, high, reference, (min(known) - margin, max(known) + margin)),
        "not kept" if reference is None else f"{reference:.4f}",
    )


def signed(difference: float, digits: int) -> str:
    """Write a difference with a true minus, and always with a sign unless it is written as zero."""
    text = f"{abs(difference):.{digits}f}"
    return text if not float(text) else f"{_MINUS if difference < 0 else '+'}{text}"
