"""The sensitivity of *drift* with a season, and the data behind it, as plain values for the agent.

Runs in a worker process.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.core.judgement import State
from goldwatch.ipc.judging_jobs import SeasonBasis
from goldwatch.worker.drift.reference import Compared
from goldwatch.worker.monitors.hours import Tally
from goldwatch.worker.monitors.ladder import Ladder, LadderState
from goldwatch.worker.monitors.season import WEEK_H, of_week
from goldwatch.worker.monitors.wander import wander

LONGEST_H = WEEK_H
"""So many hours are looked at after a change."""
_RUNS = 5
_SEED = 20_261_130
_FIRST = 4 * WEEK_H


def basis(ladder: Ladder, reference: Compared) -> SeasonBasis:
    """Say what blocks are judged, why others are not, and by how much the days of the reference differ."""
    usual, hours = ladder.usual, reference.hours
    return SeasonBasis(
        levels=tuple(level.name for level in ladder.levels),
        left_out=ladder.left_out,
        timed=usual.timed,
        empty=int((usual.rows == 0).sum()),
        wander={} if hours is None else wander(usual, reference.table, hours),
    )


def notices(
    ladder: Ladder, reference: Compared, shifts: Iterator[float] | list[float], rows: int
) -> Iterator[tuple[str, float, int | None]]:
    """Yield effects, described, with their shift and the median hours to an alert, None for more than a week.

    One numeric column moves up by a share of its values, in hours of `rows` rows like those of the reference; a whole
    week without a change comes before.
    """
    table = reference.table
    name = next((name for name, values in table.items() if values.dtype.kind == "f"), None)
    if name is None:
        return
    for shift in shifts:
        runs = sorted(_one_run(ladder, reference, name, shift, rows, run) for run in range(_RUNS))
        median = runs[_RUNS // 2]
        words = f"{name} of live rows is {shift * 100:g} percentiles higher, in hours of {rows:,} requests"
        yield words, shift, None if math.isinf(median) else int(median)


def _one_run(ladder: Ladder, reference: Compared, name: str, shift: float, rows: int, run: int) -> float:
    random = np.random.default_rng((_SEED, run))
    hours = _Hours(ladder, reference, name, rows, random)
    first = _FIRST + int(random.integers(WEEK_H))
    quiet = {hour: hours.draw(hour, 0.0) for hour in range(first - WEEK_H, first)}
    state = LadderState(ladder.fresh().sums, quiet, first)
    for hour in range(first, first + LONGEST_H):
        state, verdict = ladder.update({hour: hours.draw(hour, shift)}, (hour + 1) * 3600.0, state)
        if verdict.state is State.ALERTING:
            return hour - first + 1
    return math.inf


class _Hours:
    """Draws hours of rows like the reference rows of the same hour of the week."""

    def __init__(self, ladder: Ladder, reference: Compared, name: str, rows: int, random: np.random.Generator) -> None:
        self._ladder, self._table, self._name, self._rows = ladder, reference.table, name, rows
        self._random = random
        hours = reference.hours
        self._places: NDArray[np.int64] | None = None
        if hours is not None:
            self._places = np.array([of_week(hour) for hour in hours.tolist()])

    def draw(self, hour: int, shift: float) -> Tally:
        """Draw the rows of one hour, with one column higher by a share of its values."""
        values = self._table[self._name]
        own = np.arange(len(values))
        if self._places is not None:
            own = np.flatnonzero(self._places == of_week(hour))
        if not len(own):
            return Tally(0, 0, np.zeros(self._ladder.usual.counts.shape[1], dtype=np.int64))
        drawn = own[self._random.integers(len(own), size=self._rows)]
        table: Mapping[str, Any] = {column: of[drawn] for column, of in self._table.items()}
        ordered = np.sort(values[own])
        ranks = (self._random.random(self._rows) + shift) * len(own)
        moved = ordered[np.minimum(ranks, len(own) - 1).astype(np.int64)]
        counts = self._ladder.count({**table, self._name: moved})
        return Tally(self._rows, self._rows, counts)
