"""The bets on blocks of one level of the week (see `season`): as those of *drift*, with bands by the block's place.

All places share one vector of bets, one for each cell and mean place, side and step, so that one detector can add them
up over weeks. A bet whose limit is outside (0, 1) at some place has no stake there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from goldwatch.worker.monitors.bands import FACTORS, RARE, describe, scaled_tolerance
from goldwatch.worker.monitors.columns import Column, IntArray
from goldwatch.worker.monitors.detector import FloatArray
from goldwatch.worker.monitors.places import PlaceBets, place_bets
from goldwatch.worker.monitors.rates import log_ratios
from goldwatch.worker.monitors.season import WEEK, Level, Usual

_SIDES = np.array([[1.0], [-1.0]])
_MOST_KEPT = 256


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """The rows of a block, weighted: `rows` of them, `counts` [..., cells of all columns], at a place in the week.

    `short` is the share of the reference at that place that the rows do not represent.
    """

    place: int
    rows: float
    counts: FloatArray
    short: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class _Bands:
    """Bands of means [means]: the shares of all cells, then the mean places of the columns that have them."""

    columns: tuple[Column, ...]
    low: FloatArray
    usual: FloatArray
    high: FloatArray

    @classmethod
    def of(cls, columns: tuple[Column, ...], placed: Sequence[int]) -> _Bands:
        """Put together those of columns; the columns with the indices `placed` have places."""
        places = [band for i in placed if (band := columns[i].place) is not None]
        low, usual, high = (
            np.concatenate([*(getattr(c, name) for c in columns), [getattr(band, name) for band in places]])
            for name in ("low", "usual", "high")
        )
        return cls(columns, low, usual, high)


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """The bets at one place: some `bets` on `cells`, what a row in the cell adds to `of_row`, and those on places."""

    log_stakes: FloatArray
    bets: IntArray
    cells: IntArray
    of_cell: FloatArray
    of_row: FloatArray
    places: tuple[tuple[IntArray, PlaceBets], ...]

    def log_e(self, rows: float, counts: FloatArray) -> FloatArray:
        """Return the logs [..., bets] of likelihood ratios, as in `rates.log_ratios`, and of bets on places."""
        found = np.zeros((*counts.shape[:-1], len(self.log_stakes)))
        found[..., self.bets] = counts[..., self.cells] * self.of_cell + rows * self.of_row
        for own, bets in self.places:
            found[..., own] = bets.log_e(rows, counts)
        return found


class BlockBets:
    """The bets on one level, one of a number of `levels`, with the tolerance and clusters of *drift*.

    A bet is a mean, a side and a step: the means are the shares of all cells and then the mean places of columns, the
    sides up and down. `weights` [bets] sum to 1.
    """

    def __init__(self, level: Level, levels: int, usual: Usual, tolerance: float, cluster: int) -> None:
        self.level, self.cluster = level, cluster
        self._usual, self._levels, self._tolerance = usual, levels, tolerance
        kinds = list(usual.kinds.values())
        self._offsets = np.cumsum([0, *(len(kind.cells) for kind in kinds)])
        self._cells = int(self._offsets[-1])
        self._placed = [i for i, kind in enumerate(kinds) if getattr(kind, "deciles", np.empty(0)).size]
        self._of = np.concatenate([np.repeat(np.arange(len(kinds)), np.diff(self._offsets)), self._placed])
        self._steps = np.array(level.steps)
        self._shape = (len(self._of), 2, len(level.steps) + len(FACTORS) + 1)
        self._known: dict[int, _Bands] = {}
        self._kept = self._choose()
        self._means = np.unravel_index(self._kept, self._shape)[0]
        self.weights = self._weighed()

    def _choose(self) -> IntArray:
        """Return the flat indices of the bets [bets] among all of [mean, side, step].

        Only cells that are rare in the whole reference, or lack few rows of it, have the last steps.
        """
        found = np.full(self._shape, fill_value=True)
        usual = self._usual.counts.sum(axis=0) / self._usual.rows.sum()
        found[: self._cells, :, len(self._steps) :] = (np.minimum(usual, 1 - usual) < 2 * RARE)[
            :, np.newaxis, np.newaxis
        ]
        found[self._cells :, :, len(self._steps) :] = False
        return np.flatnonzero(found)

    def _weighed(self) -> FloatArray:
        """Return weights [bets]: columns weigh the same, and within one that has places, so do they and the cells."""
        mean = self._means
        sort = 2 * self._of[mean] + (mean >= self._cells)
        found = np.where(np.isin(self._of[mean], self._placed), 0.5, 1.0) / np.bincount(sort)[sort]
        return np.asarray(found / found.sum())

    def bands(self, place: int) -> _Bands:
        """Return the bands of a place in the week, and remember them."""
        if place not in self._known:
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            self._known[place] = _Bands.of(self._usual.columns(self.level, place, self._levels), self._placed)
        return self._known[place]

    def log_e(self, block: Block) -> tuple[FloatArray, FloatArray]:
        """Return the log e-values [..., bets], and the logs of what is staked [bets]: 0, or -inf for no bet."""
        terms = self.terms(block.place, block.short)
        return terms.log_e(block.rows, block.counts) / self.cluster, terms.log_stakes

    def terms(self, place: int, short: float = 0.0) -> Terms:
        """Return the bets at a place in the week, on blocks that lack a share of it."""
        nulls, alternatives, chosen = self._bets(place, short)
        null, alternative = nulls.reshape(-1)[self._kept], alternatives.reshape(-1)[self._kept]
        staked = chosen.reshape(-1)[self._kept]
        mean = self._means
        cells = np.flatnonzero(staked & (mean < self._cells))
        rest = np.log1p(-alternative[cells]) - np.log1p(-null[cells])
        places = []
        for row, i in enumerate(self._placed, self._cells):
            own = np.flatnonzero(staked & (mean == row))
            if len(own):
                column = self.bands(place).columns[i]
                places.append((own, place_bets(column, int(self._offsets[i]), null[own], alternative[own])))
        gains = np.log(alternative[cells] / null[cells]) - rest
        return Terms(np.where(staked, 0.0, -np.inf), cells, mean[cells], gains, rest, tuple(places))

    def back(self, block: Block, best: int) -> FloatArray:
        """Return the logs of the test turned round [2]: "it is still further out than the reference can be".

        The band of one place may be wide enough to hold the rest of an alert. So the test is of what is usual
        at the place, widened as the band of the whole reference is, and by the tolerance.
        """
        mean, side, _ = self._place_of(best)
        usual = float(self.bands(block.place).usual[mean])
        mildest = usual + float(_SIDES[side, 0] * (self._margins[mean, side] + self._tolerances(block.place)[mean]))
        # What is missing of the block may have been of any kind.
        mildest = (mildest - block.short * (side == 0)) / (1 - block.short)
        others = np.array([(usual + mildest) / 2, usual])
        if not 0 < mildest < 1 or (mildest - usual) * _SIDES[side, 0] <= 0:
            return np.zeros(2)
        if mean < self._cells:
            counts, rows = np.full(2, block.counts[mean]), np.full(2, block.rows)
            return log_ratios(counts, rows, np.full(2, mildest), others) / self.cluster
        i = int(self._of[mean])
        bets = place_bets(self.bands(block.place).columns[i], int(self._offsets[i]), np.full(2, mildest), others)
        return bets.log_e(block.rows, block.counts) / self.cluster

    def column(self, bet: int) -> int:
        """Return the index of the column that a bet is about."""
        return int(self._of[self._place_of(bet)[0]])

    def describe(self, block: Block, best: int) -> str:
        """Describe the share or mean place that a bet is about, and its band."""
        mean = self._place_of(best)[0]
        i = int(self._of[mean])
        cell = mean - int(self._offsets[i]) if mean < self._cells else None
        return describe(self.bands(block.place).columns[i], int(self._offsets[i]), cell, block.rows, block.counts)

    def _place_of(self, bet: int) -> tuple[int, int, int]:
        mean, side, step = np.unravel_index(self._kept[bet], self._shape)
        return int(mean), int(side), int(step)

    def _tolerances(self, place: int) -> FloatArray:
        """Return how far each mean may move [means]."""
        found = np.full(len(self._of), self._tolerance)
        found[: self._cells] = scaled_tolerance(self.bands(place).usual[: self._cells], self._tolerance)
        return found

    @cached_property
    def _margins(self) -> FloatArray:
        """The widths of the bands of the whole reference, up and down [means, 2]."""
        whole = _Bands.of(self._usual.columns(WEEK, 0, self._levels), self._placed)
        return np.stack([whole.high - whole.usual, whole.usual - whole.low], axis=1)

    def _bets(self, place: int, short: float) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
        """Return null, alternative, and whether there is such a bet, each [means, sides, steps]."""
        bands, tolerance = self.bands(place), self._tolerances(place)
        # A share `short` of the block is missing, and may have been of any kind: its mean a is (1 - short) p + short q.
        high, low = bands.high / (1 - short), (bands.low - short) / (1 - short)
        limits = np.stack([high + tolerance, low - tolerance], axis=1)
        there = (limits > 0) & (limits < 1)
        limits = np.where(there, limits, 0.5)
        odds = (limits / (1 - limits))[..., np.newaxis] * np.exp(_SIDES * self._steps)
        # A cell that is rare, or lacks few rows, changes by large factors.
        rare = np.where([True, False], limits, 1 - limits)
        large = np.stack([*(rare * factor for factor in FACTORS), np.full_like(rare, 0.5)], axis=-1)
        large[:, 1] = 1 - large[:, 1]
        alternatives = np.concatenate([odds / (1 + odds), large], axis=-1)
        staked = np.repeat(there[..., np.newaxis], alternatives.shape[-1], axis=-1)
        cell = np.arange(len(limits)) < self._cells
        staked[..., len(self._steps) :] &= ((rare < RARE) & cell[:, np.newaxis])[..., np.newaxis]
        nulls = np.broadcast_to(limits[..., np.newaxis], alternatives.shape)
        return nulls, alternatives, staked


def parameters(usual: Usual, levels: Sequence[Level], tolerance: float, cluster: int) -> tuple[float, ...]:
    """Return numbers that define all bets, so that saved evidence of other bets is refused."""
    return (usual.digest, tolerance, float(cluster), *(float(level.hours) for level in levels))
