"""Compares how much windows of live rows vary with windows of independent rows: a hint at what is not stated.

Over the first 50 windows the variance of a share p is p (1 - p) / n if the n rows are independent. Requests of one
session, and cycles of the traffic, make it larger. It is an estimate, so it decides nothing: *drift* shows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldwatch.worker.monitors.bands import Window
from goldwatch.worker.monitors.columns import Column

WINDOWS = 50
FACTOR = 2.0
"""Windows that vary more than this many times as much as they should are a hint. 50 of independent rows never do."""
_MIN_VARIANCE = 5.0  # of the count of a cell in a window; rarer cells vary by chance alone


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """The first windows: how many there were, their `rows`, and of each cell the sums of k and of k^2 / n [cells].

    After the last of them `ratio` is the variance of the shares of `column`, the one that varies most, divided by that
    of independent rows; the sums are empty then. With no cell that is common enough it is 0.
    """

    windows: int
    rows: int
    sums: NDArray[np.float64]
    squares: NDArray[np.float64]
    ratio: float | None = None
    column: str = ""

    @classmethod
    def fresh(cls, columns: Sequence[Column]) -> Spread:
        """Return what there is before the first window."""
        cells = sum(len(column.usual) for column in columns)
        return cls(0, 0, np.zeros(cells), np.zeros(cells))

    def add(self, window: Window, columns: Sequence[Column]) -> Spread:
        """Add a window; the last one that is needed gives the ratio, and more change nothing."""
        if self.ratio is not None:
            return self
        counts = np.concatenate([window.counts[column.name] for column in columns]).astype(np.float64)
        sums, squares = self.sums + counts, self.squares + counts**2 / window.rows
        windows, rows = self.windows + 1, self.rows + window.rows
        if windows < WINDOWS:
            return Spread(windows, rows, sums, squares)
        ratio, column = _largest(sums / rows, squares - sums**2 / rows, windows, rows, columns)
        return Spread(windows, rows, np.empty(0), np.empty(0), ratio, column)

    def save(self) -> dict[str, object]:
        """Return it as a value that JSON can hold without loss."""
        arrays = {"sums": self.sums.tolist(), "squares": self.squares.tolist()}
        return {"windows": self.windows, "rows": self.rows, **arrays, "ratio": self.ratio, "column": self.column}

    @classmethod
    def restore(cls, saved: object, columns: Sequence[Column]) -> Spread:
        """Return what was saved, or a fresh one if it is of other columns or damaged: nothing but a hint is lost."""
        fresh = cls.fresh(columns)
        try:
            found = cls(**saved) if isinstance(saved, Mapping) else fresh
            arrays = np.asarray(found.sums, np.float64), np.asarray(found.squares, np.float64)
            if found.column not in {"", *(column.name for column in columns)}:
                return fresh
            if found.ratio is None and any(array.shape != fresh.sums.shape for array in arrays):
                return fresh
            return cls(int(found.windows), int(found.rows), *arrays, found.ratio, found.column)
        except (TypeError, ValueError):
            return fresh


def _largest(
    shares: NDArray[np.float64], squared: NDArray[np.float64], windows: int, rows: int, columns: Sequence[Column]
) -> tuple[float, str]:
    """Return the largest mean ratio of a column's cells, from their `shares` and the squares around them [cells]."""
    found, offset = (0.0, ""), 0
    for column in columns:
        cells = slice(offset, offset + len(column.usual))
        offset = cells.stop
        variance = shares[cells] * (1 - shares[cells])
        common = variance * rows / windows >= _MIN_VARIANCE
        if common.any():
            ratios = squared[cells][common] / ((windows - 1) * variance[common])
            found = max(found, (float(ratios.mean()), column.name))
    return found
