"""The reference of live values: how the rows of a column fall into cells, and the exact band of each cell's share.

A numeric column has a cell for each decile, the rows at or below it; a column of text one for each category; and both
have one for missing values. A row's *place* in a numeric column is the share of the deciles that it is not above. The
deciles and categories come from a few of the rows, the bands of shares (Clopper and Pearson) and of the mean place (by
betting) from all others, so they are exact for any column, with ties or without.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldwatch.monitor.bounds import lower, lower_mean, upper
from goldwatch.monitor.detector import FloatArray

BOUND_ERROR = 0.01
"""All bands of all columns hold together with at least 99 % probability over the reference.

Half of it is for the cells, half for the places.
"""

_CHOOSING = 50  # one row of so many chooses the cells
_LEAST_ROWS = 400
_MOST_CATEGORIES = 50
_DECILES = np.arange(1, 10) / 10
_PLACE_VARIANCE = 0.1  # of ten places that are equally likely, which the stake of their bound is chosen for

Values = NDArray[np.generic]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """A numeric column, cut at `edges` [k], rising. NaN is missing."""

    edges: FloatArray

    @property
    def cells(self) -> tuple[str, ...]:
        """Return what each cell holds, in words."""
        return (*(f"at most {edge:.4g}" for edge in self.edges.tolist()), "missing")

    @property
    def places(self) -> FloatArray:
        """Return the places [k + 2] of a row: up to the first edge, the next ones, above the last, and missing."""
        edges = len(self.edges)
        return np.append(np.arange(edges, -1, -1) / max(edges, 1), 0.5)

    def count(self, values: Values) -> IntArray:
        """Count the rows [k + 1] in each cell."""
        numbers = values.astype(np.float64)
        there = np.sort(numbers[~np.isnan(numbers)])
        return np.append(np.searchsorted(there, self.edges, side="right"), len(numbers) - len(there))


@dataclass(frozen=True, slots=True, eq=False)
class Categories:
    """A column of categories; what is none of them is *other*. None, and the text "", are missing."""

    names: tuple[str, ...]

    @property
    def cells(self) -> tuple[str, ...]:
        """Return what each cell holds, in words."""
        return (*(f"equal to {name!r}" for name in self.names), "of another category", "missing")

    def count(self, values: Values) -> IntArray:
        """Count the rows [k + 2] in each cell."""
        found = _texts(values)
        each = [found[name] for name in self.names]
        return np.array([*each, found.total() - sum(each), len(values) - found.total()], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Band:
    """Where a mean lies: its exact bounds, and its `usual` value."""

    low: float
    usual: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A column's name and cells, with the band `low` to `high` [cells] of each cell's share, and its `usual` share.

    `place` is the band of the mean place; categories, and numbers that are all missing, have none.
    """

    name: str
    kind: Numbers | Categories
    low: FloatArray
    usual: FloatArray
    high: FloatArray
    place: Band | None = None


def columns(table: Mapping[str, Values], seed: int = 0) -> tuple[Column, ...]:
    """Learn the columns from a table of reference rows, arrays [rows] of numbers or of text by name.

    Raises ValueError for a table without columns, with columns of unequal length, or with fewer than 400 rows.
    """
    lengths = {len(values) for values in table.values()}
    if len(lengths) != 1 or min(lengths) < _LEAST_ROWS:
        raise ValueError(f"a reference has columns of one length, at least {_LEAST_ROWS} rows, not {sorted(lengths)}")
    rows = np.random.default_rng(seed).permutation(lengths.pop())
    split = max(len(rows) // _CHOOSING, _LEAST_ROWS // 2)
    kinds = {name: _kind(values[rows[:split]]) for name, values in table.items()}
    # Each band has two sides, and what there is of either sort shares its half of the error.
    errors = BOUND_ERROR / 4 / sum(len(kind.cells) for kind in kinds.values()), BOUND_ERROR / 4 / len(kinds)
    return tuple(_column(name, kind, table[name][rows[split:]], errors) for name, kind in kinds.items())


def _kind(values: Values) -> Numbers | Categories:
    if values.dtype.kind not in "biuf":
        found = _texts(values)
        common = sorted(found, key=lambda name: (-found[name], name))[:_MOST_CATEGORIES]
        return Categories(tuple(sorted(common)))
    numbers = values.astype(np.float64)
    numbers = numbers[~np.isnan(numbers)]
    # A quantile that is one of the values: where a column has few values, so do its cells.
    edges = np.quantile(numbers, _DECILES, method="inverted_cdf") if len(numbers) else np.empty(0)
    return Numbers(np.unique(edges))


def _texts(values: Values) -> Counter[str]:
    """Count the texts that are not missing. A numpy array of text would be as wide as the longest, in every row."""
    return Counter(str(value) for value in values.tolist() if value is not None and value != "")


def _column(name: str, kind: Numbers | Categories, values: Values, errors: tuple[float, float]) -> Column:
    counts, rows = kind.count(values), len(values)
    low = np.array([lower(count, rows, errors[0]) for count in counts.tolist()])
    high = np.array([upper(count, rows, errors[0]) for count in counts.tolist()])
    place = _place(kind, counts, rows, errors[1]) if isinstance(kind, Numbers) and kind.edges.size else None
    return Column(name, kind, low, (counts + 0.5) / (rows + 1), high, place)


def _place(kind: Numbers, counts: IntArray, rows: int, error: float) -> Band:
    """Bound the mean place of `rows` with these counts [k + 1]; each side errs with at most `error`."""
    below, missing = counts[:-1], counts[-1:]
    between = np.concatenate([np.diff(below, prepend=0, append=rows - missing[0]), missing])
    values = np.repeat(kind.places, between)
    stake = min(math.sqrt(2 * math.log(1 / error) / (rows * _PLACE_VARIANCE)) / 2, 0.5)
    high = 1 - lower_mean(1 - values, error, (stake,))
    return Band(lower_mean(values, error, (stake,)), float(values.mean()), high)
