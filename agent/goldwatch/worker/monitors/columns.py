"""The reference of live values: how the rows of a column fall into cells, and the exact band of each cell's share.

A numeric column has edges: its deciles, 1 % and 99 %, its smallest and largest value, and its *atoms*, values that many
rows share. Its cells are the rows at or below each edge, below each atom and the smallest value, at each atom, and
between neighbouring edges. A column of text has a cell for each category and one for all others. Both have a cell for
missing values. The *place* of a row is the share of the deciles that it is not above.

A few of the rows choose the cells. All other rows give the bands of the shares (Clopper and Pearson) and of the mean
place (by betting), so the bands are exact for any column, with ties or without.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from goldwatch.worker.drift.features import canonical
from goldwatch.worker.monitors.bounds import lower, lower_mean, upper
from goldwatch.worker.monitors.detector import FloatArray

BOUND_ERROR = 0.01
"""All bands of all columns hold together with at least 99 % probability over the reference.

Half of it is for the cells, half for the places.
"""

_CHOOSING = 50  # one row in 50 chooses the cells
_LEAST_ROWS = 400
_MOST_CATEGORIES = 50
_DECILES = np.arange(1, 10) / 10
_OUTER = np.array([0.0, 0.01, 0.99, 1.0])  # no shift of the deciles shows what happens in the tails
_MIN_ATOM_SHARE, _MIN_ATOM_ROWS, _MAX_ATOMS = 0.01, 3, 20
_PLACE_VARIANCE = 0.1  # of ten places that are equally likely, which the stake of their bound is chosen for

Values = NDArray[np.generic]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """A numeric column. NaN is missing. All arrays rise, and hold values of the choosing rows.

    `deciles` [k] define the places. `outer` has the other edges; `lowest` the edges below which rows are counted, and
    `atoms` the values at which they are, both edges too. The first k cells are those at or below the deciles, the last
    is *missing*.
    """

    deciles: FloatArray
    outer: FloatArray = field(default_factory=lambda: np.empty(0))
    lowest: FloatArray = field(default_factory=lambda: np.empty(0))
    atoms: FloatArray = field(default_factory=lambda: np.empty(0))

    @classmethod
    def of(cls, numbers: FloatArray) -> Numbers:
        """Choose the cells by `numbers` [rows], none of them NaN."""
        if not len(numbers):
            return cls(np.empty(0))
        # A quantile that is one of the values: where a column has few values, so do its cells.
        deciles, outer = (np.unique(np.quantile(numbers, q, method="inverted_cdf")) for q in (_DECILES, _OUTER))
        values, counts = np.unique(numbers, return_counts=True)
        common = np.argsort(-counts, kind="stable")[:_MAX_ATOMS]
        least = max(_MIN_ATOM_SHARE * len(numbers), _MIN_ATOM_ROWS)
        atoms = np.sort(values[common[counts[common] >= least]])
        return cls(deciles, np.setdiff1d(np.union1d(outer, atoms), deciles), np.union1d(atoms, values[:1]), atoms)

    @property
    def edges(self) -> FloatArray:
        """All edges, rising."""
        return np.union1d(self.deciles, self.outer)

    @property
    def cells(self) -> tuple[str, ...]:
        """Return what each cell holds, in words."""
        edges = self.edges.tolist()
        return (
            *(f"at most {edge:.4g}" for edge in [*self.deciles.tolist(), *self.outer.tolist()]),
            *(f"below {edge:.4g}" for edge in self.lowest.tolist()),
            *(f"equal to {atom:.4g}" for atom in self.atoms.tolist()),
            *(f"above {low:.4g} and at most {high:.4g}" for low, high in pairwise(edges)),
            "missing",
        )

    @property
    def places(self) -> FloatArray:
        """Return the places [k + 2] of a row: up to the first decile, the next ones, above the last, and missing."""
        deciles = len(self.deciles)
        return np.append(np.arange(deciles, -1, -1) / max(deciles, 1), 0.5)

    def count(self, values: Values) -> IntArray:
        """Count the rows in each cell [cells]."""
        numbers = values.astype(np.float64)
        there = np.sort(numbers[~np.isnan(numbers)])
        at_most, below = (np.searchsorted(there, self.edges, side=side) for side in ("right", "left"))
        return self.of_nested(at_most, below, np.array(len(numbers) - len(there)))

    def each(self, values: Values) -> IntArray:
        """Return the cells of each row, 1 or 0 [rows, cells]."""
        numbers = values.astype(np.float64)[:, np.newaxis]
        at_most, below = (numbers <= self.edges).astype(np.int64), (numbers < self.edges).astype(np.int64)
        return self.of_nested(at_most, below, np.isnan(numbers[:, 0]).astype(np.int64))

    def of_nested(self, at_most: IntArray, below: IntArray, missing: IntArray) -> IntArray:
        """Count the rows in each cell [..., cells], from how many are at most and below each edge [..., edges]."""
        deciles, outer, lowest, atoms = (
            np.searchsorted(self.edges, part) for part in (self.deciles, self.outer, self.lowest, self.atoms)
        )
        nested = at_most[..., deciles], at_most[..., outer], below[..., lowest]
        inside = at_most[..., atoms] - below[..., atoms], np.diff(at_most, axis=-1)
        return np.concatenate([*nested, *inside, missing[..., np.newaxis]], axis=-1)


@dataclass(frozen=True, slots=True, eq=False)
class Categories:
    """A column of categories; what is none of them is *other*. None, and the text "", are missing.

    A number is the same category in any notation: 1, 1.0, "1" and "1.0" (see `canonical`).
    """

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

    def each(self, values: Values) -> IntArray:
        """Return the cell of each row, 1 there and else 0 [rows, k + 2]."""
        places = {name: place for place, name in enumerate(self.names)}
        other, missing = len(places), len(places) + 1
        cells = [missing if _is_missing(v) else places.get(canonical(v), other) for v in values.tolist()]
        return np.eye(len(places) + 2, dtype=np.int64)[cells]


@dataclass(frozen=True, slots=True)
class Band:
    """The band of a mean: its exact bounds, and its `usual` value."""

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
    kinds, rest = choose_cells(table, seed)
    return with_bands(kinds, {name: kind.count(table[name][rest]) for name, kind in kinds.items()}, len(rest))


def choose_cells(table: Mapping[str, Values], seed: int = 0) -> tuple[dict[str, Numbers | Categories], IntArray]:
    """Choose the cells of each column by a few of the rows of a table, and return the indices of all other rows.

    Raises ValueError as `columns` does.
    """
    lengths = {len(values) for values in table.values()}
    if len(lengths) != 1 or min(lengths) < _LEAST_ROWS:
        raise ValueError(f"a reference has columns of one length, at least {_LEAST_ROWS} rows, not {sorted(lengths)}")
    rows = np.random.default_rng(seed).permutation(lengths.pop())
    split = max(len(rows) // _CHOOSING, _LEAST_ROWS // 2)
    return {name: _kind(values[rows[:split]]) for name, values in table.items()}, rows[split:]


def with_bands(
    kinds: Mapping[str, Numbers | Categories], counts: Mapping[str, IntArray], rows: int, error: float = BOUND_ERROR
) -> tuple[Column, ...]:
    """Return columns with the bands that follow from the `counts` [cells] of `rows` reference rows.

    All bands hold together with probability 1 - `error` at least.
    """
    # Each band has two sides, and what there is of either sort shares its half of the error.
    errors = error / 4 / sum(len(kind.cells) for kind in kinds.values()), error / 4 / len(kinds)
    return tuple(_column(name, kind, counts[name], rows, errors) for name, kind in kinds.items())


def _kind(values: Values) -> Numbers | Categories:
    if values.dtype.kind not in "biuf":
        counts = _texts(values)
        common = sorted(counts, key=lambda name: (-counts[name], name))[:_MOST_CATEGORIES]
        return Categories(tuple(sorted(common)))
    numbers = values.astype(np.float64)
    return Numbers.of(numbers[~np.isnan(numbers)])


def _texts(values: Values) -> Counter[str]:
    """Count the texts that are not missing. A numpy array of text would be as wide as the longest, in every row."""
    return Counter(canonical(value) for value in values.tolist() if not _is_missing(value))


def _is_missing(text: object) -> bool:
    return text is None or text == ""


def _column(name: str, kind: Numbers | Categories, counts: IntArray, rows: int, errors: tuple[float, float]) -> Column:
    low = np.array([lower(count, rows, errors[0]) for count in counts.tolist()])
    high = np.array([upper(count, rows, errors[0]) for count in counts.tolist()])
    place = _place(kind, counts, rows, errors[1]) if isinstance(kind, Numbers) and kind.deciles.size else None
    return Column(name, kind, low, (counts + 0.5) / (rows + 1), high, place)


def _place(kind: Numbers, counts: IntArray, rows: int, error: float) -> Band:
    """Bound the mean place of `rows` with these counts [cells]; each side errs with at most `error`."""
    below, missing = counts[: len(kind.deciles)], counts[-1:]
    between = np.concatenate([np.diff(below, prepend=0, append=rows - missing[0]), missing])
    values = np.repeat(kind.places, between)
    stake = min(math.sqrt(2 * math.log(1 / error) / (rows * _PLACE_VARIANCE)) / 2, 0.5)
    high = 1 - lower_mean(1 - values, error, (stake,))
    return Band(lower_mean(values, error, (stake,)), float(values.mean()), high)
