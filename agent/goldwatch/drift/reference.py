"""What live rows are compared with: inputs of the golden set, or a file of rows such as a sample of training data.

Runs in a worker. A file is in the same forms as a log of live traffic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from goldwatch.drift.clusters import Key
from goldwatch.drift.features import Features, Input, Rows, Values, golden_rows, inputs_of
from goldwatch.drift.rows import Read, read

if TYPE_CHECKING:
    from goldwatch.golden.opened import GoldenSet

LEAST_ROWS = 400
MOST_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """What is watched of live rows, and the columns [rows] of the reference."""

    features: Features
    table: Mapping[str, Values]

    def rows(self, bodies: Sequence[bytes], most: int, key: Key | None = None) -> tuple[Mapping[str, Values], Read]:
        """Return live requests as columns, of each at most so many rows, and what could be read of them."""
        found = read(bodies, self.features.inputs, most, key)
        return self.features.table(found.rows), found


def compared(golden: GoldenSet, reference: str, wanted: Sequence[str]) -> Compared:
    """Read the reference in the file `reference`, or that of the golden set. Raises ValueError, GoldenError."""
    return _compared(golden, reference, _stamp(reference), tuple(wanted))


@lru_cache(maxsize=4)
def _compared(golden: GoldenSet, reference: str, _: object, wanted: tuple[str, ...]) -> Compared:
    inputs = inputs_of(golden, wanted)
    rows, count = _from_file(Path(reference), inputs) if reference else (golden_rows(golden, inputs), golden.examples)
    if count < LEAST_ROWS:
        what = f"{reference} has {count:,} rows" if reference else f"the golden set has {count:,} examples"
        raise ValueError(
            f"live: {what}, and a reference needs {LEAST_ROWS} at least; name a larger sample of the data that the "
            "model was made for in `live.reference`, a JSON row a line"
        )
    features = Features.of(inputs, rows)
    return Compared(features, features.table(rows))


def _stamp(reference: str) -> object:
    """Return what changes when the file does."""
    try:
        about = Path(reference).stat() if reference else None
    except OSError as error:
        raise ValueError(f"live.reference: {reference} cannot be read: {error.strerror}") from None
    return about and (about.st_mtime_ns, about.st_size)


def _from_file(file: Path, inputs: Sequence[Input]) -> tuple[Rows, int]:
    try:
        if file.stat().st_size > MOST_BYTES:
            raise ValueError(
                f"live.reference: {file} is larger than {MOST_BYTES:,} bytes; 10,000 rows at random will do"
            )
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise ValueError(f"live.reference: {file} cannot be read: {error.strerror}") from None
    found = read((line for line in lines if line.strip()), inputs)
    if found.bad:
        number, why = next(
            (n, why) for n, line in enumerate(lines, 1) if line.strip() for why in read([line], inputs).bad
        )
        raise ValueError(f"live.reference: {file}:{number}: {why}; correct the line, or leave it out")
    return found.rows, found.count
