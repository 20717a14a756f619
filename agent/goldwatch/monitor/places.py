"""Bets on the mean place of a window's rows among the deciles of their columns (see `columns`).

A shift of a whole column moves its mean place further beyond its band than the share of any one cell: in a normal
column, for half as much evidence again as its median gives. A place v lies in [0, 1], so for a null m the product of
1 + lambda (v_i - m) over rows is an e-value for independent rows of unequal expectations, as a likelihood ratio is for
shares. It depends on the rows by their counts alone, and its logarithm linearly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldwatch.monitor.columns import Column, Numbers
from goldwatch.monitor.detector import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class PlaceBets:
    """Bets on one column: what each row adds to their logs, `of_row` [bets], and what one in a cell does, `of_cell`.

    `of_cell` is [k + 1, bets], for the cells at or below the k deciles and for *missing*; `cells` [k + 1] are their
    indices among the cells of all columns.
    """

    cells: NDArray[np.int64]
    of_row: FloatArray
    of_cell: FloatArray

    def log_e(self, rows: int, counts: FloatArray) -> FloatArray:
        """Return them [..., bets] for `counts` [..., cells of all columns] among so many rows."""
        return np.asarray(counts[..., self.cells] @ self.of_cell + rows * self.of_row)


def place_bets(column: Column, offset: int, null: FloatArray, alternative: FloatArray) -> PlaceBets:
    """Make bets [bets] against a mean place of `null`, as large as for a share that is `alternative` instead.

    The first cell of the column is at `offset` among all. Raises ValueError for a column without places.
    """
    if not isinstance(column.kind, Numbers) or column.place is None:
        raise ValueError(f"the rows of column {column.name!r} have no places")
    stakes = (alternative - null) / (null * (1 - null))
    gains = np.log1p(stakes * (column.kind.places[:, np.newaxis] - null))
    # These cells are nested: a row between two deciles is in all cells from the upper one on; above the last, in none.
    above, missing = gains[-2], gains[-1]
    of_cell = np.concatenate([gains[:-2] - gains[1:-1], [missing - above]])
    cells = np.append(np.arange(len(column.kind.deciles)), len(column.usual) - 1)
    return PlaceBets(offset + cells, above, of_cell)
