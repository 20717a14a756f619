"""The reference of live rows: inputs of the golden set, or a file of rows such as a sample of training data.

Runs in a worker. A file is in the same forms as a log of live traffic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from goldwatch.worker.drift.clusters import Key
from goldwatch.worker.drift.features import Features, Input, Rows, Values, golden_rows, inputs_of
from goldwatch.worker.drift.rows import Read, read
from goldwatch.worker.drift.times import hours_of

if TYPE_CHECKING:
    from goldwatch.golden.opened import GoldenSet

LEAST_ROWS = 400
MOST_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """The watched features of live rows, and the columns [rows] of the reference.

    `hours` [rows] are the hours of its rows, numbered from 1970 on; None if unknown.
    """

    features: Features
    table: Mapping[str, Values]
    hours: NDArray[np.int64] | None = None

    def rows(self, bodies: Sequence[bytes], most: int, key: Key | None = None) -> tuple[Mapping[str, Values], Read]:
        """Return live requests as columns, at most `most` rows of each, and the result of reading them."""
        found = read(bodies, self.features.inputs, most, key)
        return self.features.table(found.rows), found


def compared(golden: GoldenSet, reference: str, wanted: Sequence[str], time: str = "") -> Compared:
    """Read the reference in the file `reference`, or that of the golden set. Raises ValueError, GoldenError.

    `time` is the key of a line that holds its time; without it that of an event is taken.
    """
    return _compared(golden, reference, _stamp(reference), tuple(wanted), time)


@lru_cache(maxsize=4)
def _compared(golden: GoldenSet, reference: str, _: object, wanted: tuple[str, ...], time: str) -> Compared:
    inputs = inputs_of(golden, wanted)
    hours = None
    if reference:
        rows, hours, count = _from_file(Path(reference), inputs, time)
    else:
        rows, count = golden_rows(golden, inputs), golden.examples
    if count < LEAST_ROWS:
        what = f"{reference} has {count:,} rows" if reference else f"the golden set has {count:,} examples"
        raise ValueError(
            f"live: {what}, and a reference needs {LEAST_ROWS} at least; name a larger sample of the data that the "
            "model was made for in `live.reference`, a JSON row a line"
        )
    features = Features.of(inputs, rows)
    return Compared(features, features.table(rows), hours)


def _stamp(reference: str) -> object:
    """Return what changes when the file does."""
    try:
        about = Path(reference).stat() if reference else None
    except OSError as error:
        raise ValueError(f"live.reference: {reference} cannot be read: {error.strerror}") from None
    return about and (about.st_mtime_ns, about.st_size)


def _from_file(file: Path, inputs: Sequence[Input], time: str) -> tuple[Rows, NDArray[np.int64] | None, int]:
    """Return the rows of a file, the hours that they are of, if known, and how many there are."""
    try:
        if file.stat().st_size > MOST_BYTES:
            raise ValueError(
                f"live.reference: {file} is larger than {MOST_BYTES:,} bytes; 10,000 rows at random will do"
            )
        lines = [(number, line) for number, line in enumerate(file.read_bytes().splitlines(), 1) if line.strip()]
    except OSError as error:
        raise ValueError(f"live.reference: {file} cannot be read: {error.strerror}") from None
    bodies = [line for _, line in lines]
    try:
        hours = hours_of(bodies, time)
    except ValueError as error:
        place, _, why = str(error).partition(": ")
        raise _wrong(file, lines[int(place) - 1][0], why) from None
    parts = [(hour, read(own, inputs)) for hour, own in _by_hour(bodies, hours)]
    if any(part.bad for _, part in parts):
        raise _wrong(file, *next((n, why) for n, line in lines for why in read([line], inputs).bad))
    of = np.repeat([hour for hour, _ in parts], [part.count for _, part in parts]).astype(np.int64)
    rows = {i.name: np.concatenate([part.rows[i.name] for _, part in parts]) for i in inputs} if parts else {}
    return rows, None if hours is None else of, len(of)


def _wrong(file: Path, number: int, why: str) -> ValueError:
    return ValueError(f"live.reference: {file}:{number}: {why}; correct the line, or leave it out")


def _by_hour(bodies: Sequence[bytes], hours: Sequence[int] | None) -> Iterator[tuple[int, Sequence[bytes]]]:
    """Yield the requests of each hour, of one that is not known if none is."""
    if hours is None:
        yield 0, bodies
        return
    found: dict[int, list[bytes]] = {}
    for hour, body in zip(hours, bodies, strict=True):
        found.setdefault(hour, []).append(body)
    yield from sorted(found.items())
