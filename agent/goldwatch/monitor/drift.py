"""The monitor *drift*: whether live values still fall where those of the reference did. A ticket.

For each cell of each column (see `columns`), and to either side, likelihood ratios of a share past the cell's band
against the edge of the band; and the same for the mean place of a column's rows (see `places`). All bets share one
detector, so many columns cost a little delay and no false alarm. Rows within a window are taken for independent; where
they come in clusters of c, each e takes the root of order c.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldwatch.judgement import Severity, Verdict
from goldwatch.monitor.columns import Band, Column, Numbers, Values
from goldwatch.monitor.detector import Detector, FloatArray
from goldwatch.monitor.episode import Episodes, Standing, Watching, turned_round
from goldwatch.monitor.places import place_bets
from goldwatch.monitor.rates import log_ratios

_STEPS = (0.08, 0.16, 0.32, 0.64, 1.28)
_RARE, _FACTORS = 0.05, (4, 16)
_MIN_TOLERANCE = 0.002
_BOTH = ("null", "alternative")


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Live rows, counted: how many there were, and of each column how many fell into each cell [cells]."""

    rows: int
    counts: Mapping[str, NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class _Bet:
    """A bet that a mean is past the limit `null`: on `alternative`, of which `mildest` is the least far out.

    The mean is the share of a `cell`, or, where that is None, the mean place.
    """

    column: int
    cell: int | None
    null: float
    alternative: float
    mildest: float
    usual: float


class Drift:
    """Shares of cells against their bands plus the `tolerance` (0.02: two points of a share of one half).

    `alpha` is the false tickets per window that may be spent, `cluster` how many rows depend on each other. Raises
    ValueError if nothing is left to bet on, or for a tolerance outside [0, 1).
    """

    name = "drift"

    def __init__(self, columns: Sequence[Column], alpha: float, tolerance: float = 0.0, cluster: int = 1) -> None:
        if not 0 <= tolerance < 1 or cluster < 1:
            raise ValueError(f"a tolerance of {tolerance} and clusters of {cluster} cannot be watched")
        self.columns = tuple(columns)
        self._cluster = cluster
        self._offsets = np.cumsum([0, *(len(column.usual) for column in columns)])
        shares = [bet for i, column in enumerate(columns) for bet in _share_bets(i, column, tolerance)]
        places = [list(_place_bets(i, column, tolerance)) for i, column in enumerate(columns)]
        self._bets = [*shares, *(bet for bets in places for bet in bets)]
        if not self._bets:
            raise ValueError("no share of any column could be told from its band")
        self._cell = np.array([self._offsets[bet.column] + bet.cell for bet in shares], dtype=np.int64)
        self._null, self._alternative = (np.array([getattr(bet, name) for bet in self._bets]) for name in _BOTH)
        self._places = [
            place_bets(columns[i], int(self._offsets[i]), *(np.array([getattr(b, n) for b in bets]) for n in _BOTH))
            for i, bets in enumerate(places)
            if bets
        ]
        # Columns weigh the same, and within one that has places, so do they and the cells.
        sorts = [(bet.column, bet.cell is None) for bet in self._bets]
        counts = Counter(sorts)
        weights = [1 / (counts[sort] * (1 + ((sort[0], not sort[1]) in counts))) for sort in sorts]
        detector = Detector(weights, alpha, [*self._null, *self._alternative, cluster])
        # What is bet on in the test turned round follows from the bet that paged, which is saved with it.
        self.log_weights = detector.log_weights
        watching = Watching(self.name, Severity.TICKET, "live values have moved from the reference")
        backward = turned_round(2, [0.0, 1.0])
        self._episodes = Episodes(watching, detector, lambda _: backward)

    def count(self, table: Mapping[str, Values]) -> Window:
        """Count rows, arrays [rows] by column. Raises KeyError for a missing column, ValueError for unequal lengths."""
        lengths = {len(table[column.name]) for column in self.columns}
        if len(lengths) != 1:
            raise ValueError(f"the columns have {sorted(lengths)} rows")
        return Window(lengths.pop(), {column.name: column.kind.count(table[column.name]) for column in self.columns})

    def fresh(self) -> Standing:
        """Return the state before the first window."""
        return self._episodes.fresh()

    def update(self, observation: Window, state: Standing, at: float) -> tuple[Standing, Verdict]:
        """Add one window that began at Unix time `at`. Raises ValueError for impossible counts."""
        counts = self._counts(observation)
        log_e = self.log_e(observation.rows, counts)
        log_run = np.maximum(state.forward.log_run, 0) + log_e
        best = int(np.argmax(log_run)) if state.episode is None else state.episode.best
        summary = self._summary(observation.rows, counts, best)

        def back(best: int) -> FloatArray:
            return self._back(self._bets[best], observation.rows, counts) / self._cluster

        return self._episodes.update(state, log_e, back, at, summary)

    def telling(self, observation: Window, state: Standing, most: int = 3) -> tuple[Column, ...]:
        """Return the columns whose bets gain by a window and have gained most so far, within an alert its own first.

        Raises ValueError for impossible counts.
        """
        log_e = self.log_e(observation.rows, self._counts(observation))
        log_run = np.maximum(state.forward.log_run, 0) + log_e
        own = [] if state.episode is None else [self._bets[state.episode.best].column]
        ranked = [self._bets[bet].column for bet in np.argsort(-log_run, kind="stable").tolist() if log_run[bet] > 0]
        return tuple(self.columns[index] for index in list(dict.fromkeys([*own, *ranked]))[:most])

    def log_e(self, rows: int, counts: FloatArray) -> FloatArray:
        """Return the log e-values [..., bets] of `counts` [..., cells of all columns] among so many rows."""
        shares = slice(len(self._cell))
        found = log_ratios(
            counts[..., self._cell], np.array(float(rows)), self._null[shares], self._alternative[shares]
        )
        return np.concatenate([found, *(bets.log_e(rows, counts) for bets in self._places)], axis=-1) / self._cluster

    def standing(self, state: Standing) -> Verdict:
        """Say again what is known, without a new window."""
        return self._episodes.standing(state)

    def save(self, state: Standing) -> dict[str, object]:
        """Return the state as a value that JSON can hold without loss."""
        return self._episodes.save(state)

    def restore(self, saved: object) -> tuple[Standing, str | None]:
        """Return a saved state, or a fresh one and the reason why the saved one was refused."""
        return self._episodes.restore(saved)

    def _counts(self, window: Window) -> FloatArray:
        for column in self.columns:
            counts = window.counts.get(column.name)
            if counts is None or counts.shape != column.usual.shape:
                raise ValueError(f"the window has no counts [{len(column.usual)}] of column {column.name!r}")
            if window.rows < 1 or np.any(counts < 0) or np.any(counts > window.rows):
                raise ValueError(f"the counts of column {column.name!r} are impossible for {window.rows} rows")
        return np.concatenate([window.counts[column.name] for column in self.columns]).astype(np.float64)

    def _back(self, bet: _Bet, rows: int, counts: FloatArray) -> FloatArray:
        """Return the logs of the test turned round [2]: "it is still at least the mildest that was bet on"."""
        mildest, alternatives = np.full(2, bet.mildest), np.array([bet.null, bet.usual])
        offset = int(self._offsets[bet.column])
        if bet.cell is None:
            return place_bets(self.columns[bet.column], offset, mildest, alternatives).log_e(rows, counts)
        return log_ratios(np.full(2, counts[offset + bet.cell]), np.full(2, float(rows)), mildest, alternatives)

    def _summary(self, rows: int, counts: FloatArray, best: int) -> str:
        bet = self._bets[best]
        return describe(self.columns[bet.column], int(self._offsets[bet.column]), bet.cell, rows, counts)


def describe(column: Column, offset: int, cell: int | None, rows: float, counts: FloatArray) -> str:
    """Compare the share of a `cell` of a column among so many rows, or (None) their mean place, with its band.

    `counts` are those of the cells of all columns, of which the first of this column is at `offset`.
    """
    own = counts[offset : offset + len(column.usual)]
    if cell is None and column.place is not None and isinstance(column.kind, Numbers):
        # A place is the share of the deciles that a row is not above, one half for a missing row.
        place = (own[: len(column.kind.places) - 2].mean() + own[-1] / 2) / rows
        now, low, high = (100 * (1 - share) for share in (place, column.place.high, column.place.low))
        return (
            f"{column.name}: the {rows:,.0f} rows are at percentile {now:.1f} of the reference on average, "
            f"{low:.1f} to {high:.1f} in the reference"
        )
    cell = cell or 0
    low, high, words = column.low[cell], column.high[cell], column.kind.cells[cell]
    return (
        f"{column.name}: {own[cell] / rows:.1%} of {rows:,.0f} rows {words}, {low:.1%} to {high:.1%} in the reference"
    )


def _share_bets(index: int, column: Column, tolerance: float) -> Iterator[_Bet]:
    for cell, (low, usual, high) in enumerate(zip(column.low, column.usual, column.high, strict=True)):
        band = Band(float(low), float(usual), float(high))
        yield from _bets(index, cell, band, scaled_tolerance(band.usual, tolerance))


def _place_bets(index: int, column: Column, tolerance: float) -> Iterator[_Bet]:
    """Yield the bets on the mean place, which moves by no more than the tolerance if no share does."""
    if column.place is not None:
        yield from _bets(index, None, column.place, tolerance)


def scaled_tolerance(share: float, tolerance: float) -> float:
    """Return how far the share of a cell may move: the `tolerance` at one half, less for rarer and commoner cells.

    A shift of a whole normal column by tolerance/0.4 standard deviations moves shares by about as much, so what is rare
    is not hidden by what shifts of the middle are tolerated. It is at least 0.002, or the tolerance if that is less.
    """
    return max(4 * tolerance * share * (1 - share), min(tolerance, _MIN_TOLERANCE))


def _bets(column: int, cell: int | None, band: Band, tolerance: float) -> Iterator[_Bet]:
    for limit, sign in ((band.high + tolerance, 1), (band.low - tolerance, -1)):
        if 0 < limit < 1:
            means = [_shifted(limit, sign * step) for step in _STEPS]
            # A cell that is rare, or lacks few rows, changes by large factors.
            rare = limit if sign == 1 else 1 - limit
            if cell is not None and rare < _RARE:
                large = [*(rare * factor for factor in _FACTORS), 0.5]
                means += large if sign == 1 else [1 - share for share in large]
            yield from (_Bet(column, cell, limit, mean, means[0], band.usual) for mean in means)


def _shifted(share: float, step: float) -> float:
    """Return the share whose log odds are `step` higher."""
    odds = share / (1 - share) * np.exp(step)
    return float(odds / (1 + odds))
