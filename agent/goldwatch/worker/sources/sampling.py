"""A stratified random sample of the rows of a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from goldwatch.golden.examples import Examples
from goldwatch.scratch import zeros
from goldwatch.worker.jobs.labels import key
from goldwatch.worker.sources.roles import Roles
from goldwatch.worker.sources.table import Block, Column, Table, Values

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Sample:
    """Some rows of a table, in their order; see `Table`. Places are those in the file."""

    def __init__(self, table: Table, chosen: NDArray[Any]) -> None:
        self._table, self._chosen = table, chosen
        self.rows = len(chosen)

    @property
    def file(self) -> Path:
        """The file of the table."""
        return self._table.file

    @property
    def columns(self) -> Mapping[str, Column]:
        """The columns of the table."""
        return self._table.columns

    def blocks(self, names: Sequence[str]) -> Iterator[Block]:
        """Yield the values of some columns."""
        for block in self._table.blocks(names):
            first, end = np.searchsorted(self._chosen, (block.start, block.start + len(block))).tolist()
            if end > first:
                rows = self._chosen[first:end] - block.start
                yield Block(first, {name: _some(values, rows) for name, values in block.values.items()})

    def keep_text(self, names: Iterable[str]) -> None:
        """Read the numbers of some columns as text."""
        self._table.keep_text(names)

    def place(self, row: int) -> str:
        """Return where a row of the sample is in the file."""
        return self._table.place(int(self._chosen[row]))


def _some(values: Values, rows: NDArray[Any]) -> Values:
    return values[rows] if isinstance(values, np.ndarray) else [values[row] for row in rows]


def sample(table: Table, roles: Roles, examples: Examples) -> tuple[Table, str]:
    """Return a sample of `examples.size` rows, and a sentence about it. Raises GoldenError if there are fewer rows.

    Strata are the combinations of class and slices, those of one class side by side. Cumulated sizes are rounded from a
    random start (Madow, Annals of Mathematical Statistics 20, 1949), so each class and each stratum has its share to
    within one row, and each slice on average; without classes, the first slice has the place of the class. Rows within
    a stratum are drawn without replacement. Equal files, sizes and seeds give equal samples.
    """
    if examples.size > table.rows:
        raise examples.error(f"--size is {examples.size:,}, and it has {table.rows:,} rows")
    rng = np.random.default_rng(examples.seed)
    by = [c for c in (roles.label, *roles.slices.values()) if c and table.columns[c].kind in ("bool", "int", "text")]
    classes, strata = zeros(table.rows, np.int64), zeros(table.rows, np.int64)
    for block in table.blocks(by) if by else ():
        for row, values in enumerate(zip(*(block.values[name] for name in by), strict=True), block.start):
            classes[row] = key(str(values[0]).encode("utf-8", "replace"))
            strata[row] = key(repr([str(value) for value in values]).encode("utf-8", "replace"))
    ranked = np.lexsort((rng.random(table.rows), strata, classes))
    ordered = strata[ranked]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    ends = np.r_[starts, table.rows]
    shares = np.diff((ends * examples.size + rng.integers(table.rows)) // table.rows)
    counts = np.diff(ends)
    within = np.arange(table.rows) - np.repeat(starts, counts)
    chosen = np.sort(ranked[within < np.repeat(shares, counts)])
    strata_of = f"stratified by {', '.join(by)}" if by else "not stratified, without classes or slices"
    said = f"a random sample of {examples.size:,} of {table.rows:,} rows, {strata_of}, seed {examples.seed}"
    return Sample(table, chosen), said
