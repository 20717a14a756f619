"""The week as *drift* sees it: hours, the blocks that are judged, and the reference rows of each hour of the week.

Traffic has daily and weekly cycles, so a block is compared with the reference rows of the same place in the week only.
All times are UTC, which needs no calendar: a block of live rows and its reference rows have the same hours in any zone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from goldwatch.worker.monitors.columns import (
    BOUND_ERROR,
    Categories,
    Column,
    IntArray,
    Numbers,
    Values,
    choose_cells,
    with_bands,
)
from goldwatch.worker.monitors.detector import FloatArray

HOUR_S = 3600.0
DAY_H, WEEK_H = 24, 168
MIN_ROWS = 100
"""With fewer reference rows of its own, a place in the week is not judged."""
MAX_UNJUDGED = 0.05
"""A level is left out if a larger share of the reference rows is of places with too few rows."""
MAX_SHORT = 0.05
"""A block is not judged if the hours that it lacks hold a larger share of its reference rows."""

Hour = TypeVar("Hour", int, IntArray)
Kinds = Mapping[str, Numbers | Categories]
"""The cells of each column, by name."""

_EPOCH = 3 * DAY_H  # Unix time begins on a Thursday, the week on a Monday
_SMALL_STEPS = (0.02, 0.04)
_STEPS = (0.08, 0.16, 0.32, 0.64, 1.28)
_NOTICED = 0.1  # the change of a share, a quarter of a standard deviation, that weights are chosen for
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, slots=True)
class Level:
    """Blocks of `hours` hours; one begins every `every` hours. `steps` are the log odds that are bet on.

    Blocks that overlap have a detector each: `detectors` of them.
    """

    name: str
    hours: int
    every: int
    steps: tuple[float, ...]

    @property
    def types(self) -> int:
        """How many places in the week a block can have."""
        return WEEK_H // self.hours

    @property
    def detectors(self) -> int:
        """How many blocks run at once."""
        return self.hours // self.every

    def ends_with(self, hour: int) -> bool:
        """Say whether a block ends with the hour of this number."""
        return (of_week(hour) + 1) % self.every == 0

    def place(self, first: int) -> tuple[int, int]:
        """Return the type of the block that begins with an hour, and the index of its detector."""
        at = of_week(first)
        return at // self.hours % self.types, at // self.every % self.detectors


WEEK = Level("week", WEEK_H, DAY_H, _SMALL_STEPS + _STEPS)
LEVELS = (
    Level("hour", 1, 1, _STEPS),
    Level("6 hours", 6, 6, _SMALL_STEPS + _STEPS),
    Level("day", DAY_H, DAY_H, _SMALL_STEPS + _STEPS),
    WEEK,
)


def hour_of(at: float) -> int:
    """Return the number of the hour of a Unix time in seconds."""
    return int(at // HOUR_S)


def of_week(hour: Hour) -> Hour:
    """Return the place in the week of the hour of this number, 0 for the first one of Monday."""
    return (hour + _EPOCH) % WEEK_H


def name_hour(hour: int) -> str:
    """Return the weekday and time of an hour, in UTC."""
    at = of_week(hour)
    return f"{_DAYS[at // DAY_H]} {at % DAY_H:02}:00 UTC"


@dataclass(frozen=True, slots=True, eq=False)
class Usual:
    """The reference rows, counted: `rows` [168] in each hour of the week, and `counts` [168, cells of all columns].

    If the times of the rows are unknown, both have one line for all of them: `rows` [1], `counts` [1, cells].
    `kinds` has the cells of each column.
    """

    kinds: Kinds
    rows: IntArray
    counts: IntArray

    @classmethod
    def of(cls, table: Mapping[str, Values], hours: IntArray | None, seed: int = 0) -> Usual:
        """Count a table of rows, arrays [rows] by name, of the hours of these numbers [rows], None if not known.

        A few rows choose the cells and are not counted. Raises ValueError as `columns` does.
        """
        kinds, rest = choose_cells(table, seed)
        places = np.zeros(len(rest), dtype=np.int64)
        if hours is not None:
            places = of_week(hours[rest])
        groups = [rest[places == place] for place in range(1 if hours is None else WEEK_H)]
        counts = np.stack([count_cells(kinds, {n: table[n][group] for n in kinds}) for group in groups])
        return cls(kinds, np.array([len(group) for group in groups], dtype=np.int64), counts)

    @property
    def timed(self) -> bool:
        """Whether it is known when the rows are from."""
        return len(self.rows) == WEEK_H

    @property
    def digest(self) -> float:
        """A number that another reference does not have."""
        found = hashlib.blake2b(self.counts.tobytes() + self.rows.tobytes() + repr(list(self.kinds)).encode())
        return float(int.from_bytes(found.digest()[:6], "big"))

    def places(self, level: Level) -> IntArray:
        """Return the reference rows of each place in the week of a level [types]."""
        return self.rows.reshape(level.types, -1).sum(axis=1) if self.timed else self.rows

    def judged(self, level: Level) -> NDArray[np.bool_]:
        """Say which places of a level have enough rows [types]."""
        return self.places(level) >= MIN_ROWS

    def columns(self, level: Level, kind: int, levels: int) -> tuple[Column, ...]:
        """Return the columns with the bands of one place, where a number of `levels` share the error of all bands."""
        counts = self.counts.reshape(level.types if self.timed else 1, -1, self.counts.shape[1]).sum(axis=1)[kind]
        cells = np.cumsum([len(each.cells) for each in self.kinds.values()])[:-1]
        by_name = dict(zip(self.kinds, np.split(counts, cells), strict=True))
        error = BOUND_ERROR / levels / int(self.judged(level).sum())
        return with_bands(self.kinds, by_name, int(self.places(level)[kind]), error)

    def mass(self, hours: Sequence[int]) -> FloatArray | None:
        """Return the share of the reference rows in each hour of a block, of those in all of them; None if not known.

        `hours` are numbers of hours, the whole block.
        """
        if not self.timed:
            return None
        rows = self.rows[[of_week(hour) for hour in hours]].astype(np.float64)
        return np.asarray(rows / rows.sum())


def count_cells(kinds: Kinds, table: Mapping[str, Values]) -> IntArray:
    """Count the rows of a table in each cell of all columns [cells]."""
    return np.concatenate([kind.count(table[name]) for name, kind in kinds.items()])


def levels_of(usual: Usual) -> tuple[tuple[Level, ...], dict[str, str]]:
    """Return the levels that can be judged, and why the others are left out, by name."""
    judged, why = [], {}
    for level in LEVELS:
        rows = usual.places(level)
        if level is not WEEK and not usual.timed:
            why[level.name] = "the reference rows have no times"
        elif rows[rows < MIN_ROWS].sum() > MAX_UNJUDGED * rows.sum():
            few = int(((rows > 0) & (rows < MIN_ROWS)).sum())
            why[level.name] = f"{few} of its {level.types} places in the week have under {MIN_ROWS} reference rows"
        else:
            judged.append(level)
    return tuple(judged), why


def weigh(rows: FloatArray, mass: FloatArray) -> tuple[FloatArray, float]:
    """Return the weights [hours] of a block's hours, and the share of the reference that they do not represent.

    `rows` [hours] are the live rows of each hour, and `mass` [hours] is what share of the block each should have; it
    sums to 1, or to less by the share of unknown hours. The rows of an hour count min(1, mass / (c
    rows)), a power of at most 1 of their part of the e-value, so that rows are weighted as min(c rows, mass). The
    constant c trades the rows that count against the mass that is missing. It depends on the numbers of rows alone, not
    on what they hold.
    """
    there = rows > 0
    if not there.any() or mass[there].sum() < 1 - MAX_SHORT:
        return np.zeros(len(rows)), 1.0
    ratios = np.where(there, mass / np.maximum(rows, 1), 0.0)
    candidates = np.unique(ratios[there & (mass > 0)])
    held = np.minimum(candidates[:, np.newaxis] * rows, mass).sum(axis=1)
    short = 1 - held
    worth = np.where(short <= MAX_SHORT, held / candidates * (_NOTICED - short) ** 2, -1.0)
    # The largest candidate leaves no more out than the hours without rows, so one is always worth something.
    best = int(np.argmax(worth))
    weights = np.minimum(ratios / candidates[best], 1.0)
    return weights, max(float(short[best]), 0.0) if short[best] > 1e-12 else 0.0
