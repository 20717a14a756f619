"""Live rows by the hour, counted: what *drift* keeps of a week, and how that and its evidence are saved.

Counts are kept and no rows, so an agent that is restarted goes on in the middle of a block. Runs in a worker.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.worker.monitors.columns import IntArray
from goldwatch.worker.monitors.detector import FloatArray, Sums

_HOUR_S = 3600.0
_TICKS = 1024.0
_NOTHING = -30.0  # the next stake of 1 is more by a factor of 10^13


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """An hour: its rows, the requests that they are a sample of, and the rows in each cell [cells]."""

    rows: int
    requests: int
    counts: IntArray

    def plus(self, other: Tally) -> Tally:
        """Return both together."""
        return Tally(self.rows + other.rows, self.requests + other.requests, self.counts + other.counts)


def merged(first: Mapping[int, Tally], second: Mapping[int, Tally]) -> dict[int, Tally]:
    """Return the hours of both, by number."""
    found = dict(first)
    for hour, tally in second.items():
        found[hour] = found[hour].plus(tally) if hour in found else tally
    return found


def save_hours(hours: Mapping[int, Tally]) -> dict[str, object]:
    """Return hours as JSON can hold them."""
    numbers = [[hour, tally.rows, tally.requests] for hour, tally in sorted(hours.items())]
    counts = [tally.counts for _, tally in sorted(hours.items())]
    return {"hours": numbers, "counts": pack_counts(np.array(counts, dtype=np.int64))}


def restore_hours(saved: Mapping[str, Any], cells: int) -> dict[int, Tally]:
    """Return the hours that were saved. Raises KeyError, TypeError or ValueError for anything else."""
    counts = unpack_counts(saved["counts"]).reshape(-1, cells)
    if len(counts) != len(saved["hours"]):
        raise ValueError("hours without counts")
    found = {}
    for (hour, rows, requests), own in zip(saved["hours"], counts, strict=True):
        if not (isinstance(hour, int) and isinstance(rows, int) and isinstance(requests, int)):
            raise TypeError("an hour has whole numbers")
        if rows < 0 or requests < 0 or np.any(own > rows):
            raise ValueError("these counts cannot be")
        found[hour] = Tally(rows, requests, own)
    return found


def pack_counts(counts: IntArray) -> str:
    """Return counts of any shape as a text; the shape is not kept."""
    return _packed(counts.astype(np.uint32))


def unpack_counts(text: str) -> IntArray:
    """Return counts [n] that were packed. Raises TypeError or ValueError for anything else."""
    return _unpacked(text, np.dtype(np.uint32)).astype(np.int64)


def rounded(sums: Sums) -> Sums:
    """Return sums that can be saved in little room, without loss: what matters no more is left out.

    The log of a sum is rounded down by less than 0.001, which only takes evidence away; a run that has lost what it was
    staked with starts again in any case (see Detector).
    """
    log_m = np.floor(sums.log_m * _TICKS) / _TICKS
    running = sums.log_run > 0
    return Sums(
        np.where(log_m < _NOTHING, -np.inf, log_m),
        np.where(running, np.ceil(sums.log_run * _TICKS) / _TICKS, 0.0),
        np.where(running, np.floor(sums.started / _HOUR_S) * _HOUR_S, 0.0),
    )


def pack_sums(saved: Mapping[str, Any]) -> dict[str, object]:
    """Return sums as a detector saves them, `rounded` before, with their arrays as texts."""
    return {**saved, **{name: _packed(_array(saved[name]) / unit) for name, unit in _UNITS.items()}}


def unpack_sums(packed: Mapping[str, Any]) -> dict[str, object]:
    """Return what was packed. Raises KeyError, TypeError or ValueError for anything else."""
    arrays = {name: _unpacked(packed[name], np.dtype(np.float32)).astype(np.float64) for name in _UNITS}
    plain = {
        name: [None if value == -np.inf else value for value in (array * _UNITS[name]).tolist()]
        for name, array in arrays.items()
    }
    return {**packed, **plain}


_UNITS = {"log_m": 1 / _TICKS, "log_run": 1 / _TICKS, "started": _HOUR_S}
"""Whole numbers of these are exact in 32 bits."""


def _array(values: list[float | None]) -> FloatArray:
    return np.array([-np.inf if value is None else value for value in values], dtype=np.float64)


def _packed(values: NDArray[Any]) -> str:
    small = values if values.dtype == np.uint32 else values.astype(np.float32)
    # By place in the number: the first bytes of all of them are much alike.
    planes = np.frombuffer(small.tobytes(), dtype=np.uint8).reshape(-1, 4).T
    return base64.b64encode(zlib.compress(planes.tobytes(), 6)).decode()


def _unpacked(text: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    try:
        planes = np.frombuffer(zlib.decompress(base64.b64decode(text, validate=True)), dtype=np.uint8)
    except zlib.error as error:
        raise ValueError("damaged") from error
    return np.frombuffer(planes.reshape(4, -1).T.tobytes(), dtype=dtype)
