"""The monitor *drift*: whether live values still fall where those of the reference did. A ticket.

For each cell of each column (see `columns`), and to either side, likelihood ratios of a share past the cell's band
against the edge of the band; and the same for the mean place of a column's rows (see `places`). All bets share one
detector, so many columns cost a little delay and no false alarm. Rows within a window are taken for independent; where
they come in clusters of at most c, each e takes the root of order c, or one of the products of `dependence`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from goldwatch.core.judgement import Severity, Verdict
from goldwatch.worker.monitors.columns import Band, Column, IntArray, Numbers, Values
from goldwatch.worker.monitors.dependence import Dependence, log_products
from goldwatch.worker.monitors.detector import Detector, FloatArray
from goldwatch.worker.monitors.episode import (
    Back,
    Episodes,
    Episodic,
    Standing,
    TurnedEpisode,
    TurnedRound,
    Watching,
    turned_round,
)
from goldwatch.worker.monitors.places import place_bets
from goldwatch.worker.monitors.rates import log_ratios

_STEPS = (0.08, 0.16, 0.32, 0.64, 1.28)
_KEYED_STEP = 2.56  # a session with fewer rows than it may have is bet on with less than the whole stake
RARE, FACTORS = 0.05, (4, 16)
"""A rarer cell, or one that lacks fewer rows, is bet on at multiples of its limit too."""
_FRACTIONS = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Of the largest stake that is allowed, where a window is one bet."""
_BACK_FRACTIONS = (0.2, 0.8)
_MIN_TOLERANCE = 0.002
_AT_ONCE = 256
_BOTH = ("null", "alternative")


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Live rows, counted: how many there were, and for each column how many fell into each cell [cells].

    If the dependence of rows is known, `sizes` [clusters] counts the rows of each cluster, and `by_cluster` has the
    counts [clusters, cells] of each column.
    """

    rows: int
    counts: Mapping[str, NDArray[np.int64]]
    sizes: IntArray | None = None
    by_cluster: Mapping[str, NDArray[np.int32]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Bet:
    """A bet that a mean is past the limit `null`: on `alternative`; `mildest` is the alternative nearest to the limit.

    The mean is the share of a `cell`, or, if that is None, the mean place.
    """

    column: int
    cell: int | None
    null: float
    alternative: float
    mildest: float
    usual: float


class Drift(Episodic[TurnedEpisode, Back]):
    """Shares of cells against their bands plus the `tolerance` (0.02: two points of a share of one half).

    `alpha` is the false tickets per window that may be spent, `cluster` how many rows depend on each other at most, and
    `dependence` what else is known of that. Raises ValueError if nothing is left to bet on, or for a tolerance outside
    [0, 1).
    """

    name = "drift"

    def __init__(
        self,
        columns: Sequence[Column],
        alpha: float,
        tolerance: float = 0.0,
        cluster: int = 1,
        dependence: Dependence = Dependence.BOUNDED,
    ) -> None:
        if not 0 <= tolerance < 1 or cluster < 1:
            raise ValueError(f"a tolerance of {tolerance} and clusters of {cluster} cannot be watched")
        self.columns = tuple(columns)
        self._cluster, self._dependence = cluster, dependence
        self._offsets = np.cumsum([0, *(len(column.usual) for column in columns)])
        steps = _steps(cluster, dependence)
        shares = [bet for i, column in enumerate(columns) for bet in _share_bets(i, column, tolerance, steps)]
        places = [list(_place_bets(i, column, tolerance, steps)) for i, column in enumerate(columns)]
        self._bets = [*shares, *(bet for bets in places for bet in bets)]
        if not self._bets:
            raise ValueError("no share of any column could be distinguished from its band")
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
        # The sums that are bet on: those of the cells, then of the places of each column that has them.
        summed = np.repeat(np.arange(len(self._places)), [len(bets) for bets in places if bets])
        self._which = np.concatenate([self._cell, self._offsets[-1] + summed])
        stated = [] if dependence is Dependence.BOUNDED else [list(Dependence).index(dependence)]
        detector = Detector(weights, alpha, [*self._null, *self._alternative, cluster, *stated])
        # What is bet on in the test turned round follows from the bet that paged, which is saved with it.
        self.log_weights = detector.log_weights
        watching = Watching(self.name, Severity.TICKET, "live values have moved from the reference")
        backward = turned_round(2, [0.0, 1.0])
        self._episodes = Episodes(watching, detector, TurnedRound(lambda _: backward))

    def count(self, table: Mapping[str, Values], clusters: IntArray | None = None) -> Window:
        """Count rows, arrays [rows] by column; `clusters` [rows] numbers the clusters that they are in, from 0 on.

        Raises KeyError for a missing column, ValueError for unequal lengths.
        """
        lengths = {len(table[column.name]) for column in self.columns}
        if len(lengths) != 1 or (clusters is not None and {len(clusters)} != lengths):
            raise ValueError(f"the columns have {sorted(lengths)} rows")
        rows = lengths.pop()
        if self._dependence is not Dependence.KEYED or clusters is None:
            return Window(rows, {column.name: column.kind.count(table[column.name]) for column in self.columns})
        order = np.argsort(clusters, kind="stable")
        sizes = np.bincount(clusters)
        starts = np.cumsum(sizes) - sizes
        parts = {
            column.name: np.add.reduceat(column.kind.each(table[column.name])[order], starts, axis=0).astype(np.int32)
            for column in self.columns
        }
        return Window(rows, {name: part.sum(axis=0) for name, part in parts.items()}, sizes, parts)

    def update(self, observation: Window, state: Standing, at: float) -> tuple[Standing, Verdict]:
        """Add one window that began at Unix time `at`. Raises ValueError for impossible counts."""
        counts, parts = self._counts(observation), self._parts(observation)
        log_e = self.log_e(*parts)
        log_run = np.maximum(state.forward.log_run, 0) + log_e
        best = int(np.argmax(log_run)) if state.episode is None else state.episode.best
        summary = self._summary(observation.rows, counts, best)

        def back(best: int) -> FloatArray:
            return self._back(best, *parts)

        return self._episodes.update(state, log_e, back, at, summary)

    def telling(self, observation: Window, state: Standing, most: int = 3) -> tuple[Column, ...]:
        """Return the columns whose bets gain by a window and have gained most so far, within an alert its own first.

        Raises ValueError for impossible counts.
        """
        log_e = self.log_e(*self._parts(observation))
        log_run = np.maximum(state.forward.log_run, 0) + log_e
        own = [] if state.episode is None else [self._bets[state.episode.best].column]
        ranked = [self._bets[bet].column for bet in np.argsort(-log_run, kind="stable").tolist() if log_run[bet] > 0]
        return tuple(self.columns[index] for index in list(dict.fromkeys([*own, *ranked]))[:most])

    def log_e(self, rows: int | FloatArray, counts: FloatArray) -> FloatArray:
        """Return the log e-values [..., bets] of `counts` [..., cells of all columns] among `rows` rows.

        If the dependence of rows is known, `counts` are [..., clusters, cells] and `rows` [..., clusters].
        """
        if self._dependence is not Dependence.BOUNDED:
            return self._log_products(self._which, self._null, self._alternative, rows, counts)
        shares = slice(len(self._cell))
        found = log_ratios(
            counts[..., self._cell], np.asarray(rows, np.float64), self._null[shares], self._alternative[shares]
        )
        return np.concatenate([found, *(bets.log_e(rows, counts) for bets in self._places)], axis=-1) / self._cluster

    def _counts(self, window: Window) -> FloatArray:
        for column in self.columns:
            counts = window.counts.get(column.name)
            if counts is None or counts.shape != column.usual.shape:
                raise ValueError(f"the window has no counts [{len(column.usual)}] of column {column.name!r}")
            if window.rows < 1 or np.any(counts < 0) or np.any(counts > window.rows):
                raise ValueError(f"the counts of column {column.name!r} are impossible for {window.rows} rows")
        return np.concatenate([window.counts[column.name] for column in self.columns]).astype(np.float64)

    def _parts(self, window: Window) -> tuple[int | FloatArray, FloatArray]:
        """Return the rows and counts of a window that is sound, as `log_e` takes them."""
        if self._dependence is not Dependence.KEYED:
            return window.rows, self._counts(window)
        if window.sizes is None or not 1 <= window.sizes.min() <= window.sizes.max() <= self._cluster:
            raise ValueError(f"the window does not say which rows hang together, at most {self._cluster} of them")
        counts = np.concatenate([window.by_cluster[column.name] for column in self.columns], axis=-1)
        return window.sizes.astype(np.float64), counts

    def _log_products(
        self,
        which: IntArray,
        null: FloatArray,
        alternative: FloatArray,
        rows: int | FloatArray,
        counts: FloatArray,
    ) -> FloatArray:
        """Return the logs [..., bets] of the products over clusters, for bets on these of all sums."""
        found, most, sizes = np.zeros(()), np.asarray(self._cluster, np.float64), np.asarray(rows, np.float64)
        if self._dependence is Dependence.UNKNOWN:
            most, sizes, counts = sizes, sizes[..., np.newaxis], counts[..., np.newaxis, :]
        for some in _slices(counts.shape[-2]):
            part = counts[..., some, :].astype(np.float64)
            sums = np.concatenate([part, *(bets.sums(part)[..., np.newaxis] for bets in self._places)], axis=-1)
            found = found + log_products(sums, sizes[..., some], which, null, alternative, most)
        return found

    def _back(self, best: int, rows: int | FloatArray, counts: FloatArray) -> FloatArray:
        """Return the logs of the test turned round [2]: "it is still at least the mildest that was bet on"."""
        bet = self._bets[best]
        mildest, alternatives = np.full(2, bet.mildest), np.array([bet.null, bet.usual])
        if self._dependence is not Dependence.BOUNDED:
            if self._dependence is Dependence.UNKNOWN:
                alternatives = _bold(bet.mildest, -1 if bet.mildest > bet.null else 1, _BACK_FRACTIONS)
            return self._log_products(np.repeat(self._which[best], 2), mildest, alternatives, rows, counts)
        offset = int(self._offsets[bet.column])
        if bet.cell is None:
            found = place_bets(self.columns[bet.column], offset, mildest, alternatives).log_e(rows, counts)
        else:
            found = log_ratios(np.full(2, counts[offset + bet.cell]), np.full(2, float(rows)), mildest, alternatives)
        return found / self._cluster

    def _summary(self, rows: int, counts: FloatArray, best: int) -> str:
        bet = self._bets[best]
        return describe(self.columns[bet.column], int(self._offsets[bet.column]), bet.cell, rows, counts)


def describe(column: Column, offset: int, cell: int | None, rows: float, counts: FloatArray) -> str:
    """Compare the share of a `cell` of a column among `rows` rows, or (None) their mean place, with its band.

    `counts` are those of the cells of all columns; the first of this column is at `offset`.
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


def _steps(cluster: int, dependence: Dependence) -> Sequence[float]:
    """Return the log odds past a limit that are bet on, none where a window is one bet."""
    if dependence is Dependence.UNKNOWN:
        return ()
    return (*_STEPS, _KEYED_STEP) if dependence is Dependence.KEYED and cluster > 1 else _STEPS


def _share_bets(index: int, column: Column, tolerance: float, steps: Sequence[float]) -> Iterator[_Bet]:
    for cell, (low, usual, high) in enumerate(zip(column.low, column.usual, column.high, strict=True)):
        band = Band(float(low), float(usual), float(high))
        yield from _bets(index, cell, band, float(scaled_tolerance(band.usual, tolerance)), steps)


def _place_bets(index: int, column: Column, tolerance: float, steps: Sequence[float]) -> Iterator[_Bet]:
    """Yield the bets on the mean place, which moves by no more than the tolerance if no share does."""
    if column.place is not None:
        yield from _bets(index, None, column.place, tolerance, steps)


def scaled_tolerance(share: float | FloatArray, tolerance: float) -> FloatArray:
    """Return how far the share of a cell may move: the `tolerance` at one half, less for rarer and commoner cells.

    A shift of a whole normal column by tolerance/0.4 standard deviations moves shares by about as much, so what is rare
    is not hidden by what shifts of the middle are tolerated. It is at least 0.002, or the tolerance if that is less.
    """
    return np.asarray(np.maximum(4 * tolerance * share * (1 - share), min(tolerance, _MIN_TOLERANCE)))


def _bets(column: int, cell: int | None, band: Band, tolerance: float, steps: Sequence[float]) -> Iterator[_Bet]:
    """Yield the bets on a mean, at `steps` of its log odds past the limit; without any, at fractions of the stake."""
    for limit, sign in ((band.high + tolerance, 1), (band.low - tolerance, -1)):
        if 0 < limit < 1:
            means = [_shifted(limit, sign * step) for step in steps]
            # A cell that is rare, or lacks few rows, changes by large factors.
            rare = limit if sign == 1 else 1 - limit
            if not steps:
                means = _bold(limit, sign, _FRACTIONS).tolist()
            elif cell is not None and rare < RARE:
                large = [*(rare * factor for factor in FACTORS), 0.5]
                means += large if sign == 1 else [1 - share for share in large]
            yield from (_Bet(column, cell, limit, mean, means[0], band.usual) for mean in means)


def _slices(clusters: int) -> Iterator[slice]:
    """Yield slices of some clusters: of all of them, sums as floats would take much memory."""
    return (slice(first, first + _AT_ONCE) for first in range(0, clusters, _AT_ONCE))


def _bold(limit: float, sign: int, fractions: Sequence[float]) -> FloatArray:
    """Return the means whose stakes are these fractions of the largest that is allowed against a limit."""
    return np.array([limit + f * (1 - limit) if sign == 1 else limit * (1 - f) for f in fractions])


def _shifted(share: float, step: float) -> float:
    """Return the share whose log odds are `step` higher."""
    odds = share / (1 - share) * np.exp(step)
    return float(odds / (1 + odds))
