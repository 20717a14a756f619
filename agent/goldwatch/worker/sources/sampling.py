"""A stratified random sample of the rows of a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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

    def place(self, row: int) -> str:
        """Return where a row of the sample is in the file."""
        return self._table.place(int(self._chosen[row]))


def _some(values: Values, rows: NDArray[Any]) -> Values:
    return values[rows] if isinstance(values, np.ndarray) else [values[row] for row in rows]


def sample(table: Table, roles: Roles, examples: Examples) -> tuple[Table, str]:
    """Return a sample of `examples.size` rows, and a sentence about it. Raises GoldenError if there are fewer rows.

    Strata are the classes and slices, and all their combinations. Each has its share of the sample, by the largest
    remainder; rows within it are drawn without replacement. Equal files, sizes and seeds give equal samples.
    """
    if examples.size > table.rows:
        raise examples.error(f"--size is {examples.size:,}, and it has {table.rows:,} rows")
    rng = np.random.default_rng(examples.seed)
    by = [c for c in (roles.label, *roles.slices.values()) if c and table.columns[c].kind in ("bool", "int", "text")]
    strata = zeros(table.rows, np.int64)
    for block in table.blocks(by) if by else ():
        for row, values in enumerate(zip(*(block.values[name] for name in by), strict=True), block.start):
            strata[row] = key(repr([str(value) for value in values]).encode("utf-8", "replace"))
    _, numbers, counts = np.unique(strata, return_inverse=True, return_counts=True)
    exact = counts * (examples.size / table.rows)
    shares = np.floor(exact).astype(np.int64)
    missing = examples.size - int(shares.sum())
    order = np.lexsort((rng.random(len(counts)), shares - exact))
    shares[order[:missing]] += 1
    ranked = np.lexsort((rng.random(table.rows), numbers))
    starts = np.r_[0, np.cumsum(counts)[:-1]]
    within = np.arange(table.rows) - np.repeat(starts, counts)
    chosen = np.sort(ranked[within < np.repeat(shares, counts)])
    strata_of = f"stratified by {', '.join(by)}" if by else "not stratified, without classes or slices"
    said = f"a random sample of {examples.size:,} of {table.rows:,} rows, {strata_of}, seed {examples.seed}"
    return Sample(table, chosen), said
