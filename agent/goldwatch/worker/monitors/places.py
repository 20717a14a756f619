"""Bets on the mean place of a window's rows among the deciles of their columns (see `columns`).

A shift of a whole column moves its mean place further beyond its band than the share of any one cell: in a normal
column, for half as much evidence again as its median gives. A place v is in [0, 1], so for a null m the product of
1 + lambda (v_i - m) over rows is an e-value for independent rows of unequal expectations, as a likelihood ratio is for
shares. It depends on the rows by their counts alone, and its logarithm linearly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldwatch.worker.monitors.columns import Column, Numbers
from goldwatch.worker.monitors.detector import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class PlaceBets:
    """Bets on one column: what each row adds to their logs, `of_row` [bets], and what one in a cell does, `of_cell`.

    `of_cell` is [k + 1, bets], for the cells at or below the k deciles and for *missing*; `cells` [k + 1] are their
    indices among the cells of all columns. `places` [k + 1] is what a row in each cell adds to the sum of the places.
    """

    cells: NDArray[np.int64]
    of_row: FloatArray
    of_cell: FloatArray
    places: FloatArray

    def log_e(self, rows: float | FloatArray, counts: FloatArray) -> FloatArray:
        """Return them [..., bets] for `counts` [..., cells of all columns] among `rows` rows."""
        return np.asarray(counts[..., self.cells] @ self.of_cell + rows * self.of_row)

    def sums(self, counts: FloatArray) -> FloatArray:
        """Return the sum of the rows' places [...] for the same counts."""
        return np.asarray(counts[..., self.cells] @ self.places)


def place_bets(column: Column, offset: int, null: FloatArray, alternative: FloatArray) -> PlaceBets:
    """Make bets [bets] against a mean place of `null`, as large as for a share that is `alternative` instead.

    The first cell of the column is at `offset` among all. Raises ValueError for a column without places.
    """
    if not isinstance(column.kind, Numbers) or column.place is None:
        raise ValueError(f"the rows of column {column.name!r} have no places")
    stakes = (alternative - null) / (null * (1 - null))
    values = column.kind.places
    gains = np.log1p(stakes * (values[:, np.newaxis] - null))
    cells = np.append(np.arange(len(column.kind.deciles)), len(column.usual) - 1)
    return PlaceBets(offset + cells, gains[-2], _by_cell(gains), _by_cell(values))


def _by_cell(by_place: FloatArray) -> FloatArray:
    """Return what a row in each cell [k + 1, ...] adds to a sum of what it is at its place [k + 2, ...].

    The cells are nested: a row between two deciles is in all cells from the upper one on; above the last, in none.
    """
    return np.concatenate([by_place[:-2] - by_place[1:-1], [by_place[-1] - by_place[-2]]])
