"""Scores that are a share of the examples, or the mean of one number an example, with their 95 % intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goldwatch.judgement import Score
from goldwatch.score.clusters import BoolArray, Clusters, Sums
from goldwatch.scratch import blocks, column, zeros

_RESAMPLES = 1000
_SEED = 20260101
_CELLS_AT_ONCE = 1 << 18

FloatArray = NDArray[np.float64]


def proportion_interval(successes: float, trials: float) -> tuple[float, float]:
    """Return the exact two-sided 95 % interval of a proportion (Clopper and Pearson 1934).

    Numbers that are not whole are those of effective examples (see `clusters`).
    """
    from scipy.special import betainccinv, betaincinv  # noqa: PLC0415 - only a replay that is scored pays for scipy

    low = float(betaincinv(successes, trials - successes + 1, 0.025)) if successes > 0 else 0.0
    high = float(betainccinv(successes + 1, trials - successes, 0.025)) if successes < trials else 1.0
    return low, high


class Share:
    """A score that is a share, now and then, counted some rows at a time; `clusters` make its interval wider."""

    def __init__(self, name: str, clusters: Clusters | None = None) -> None:
        self.name = name
        self.n = self.now = 0
        self.then: float | None = 0.0
        self._sums = None if clusters is None else Sums(clusters)

    def add(self, rows: slice, answered: BoolArray, now: BoolArray, then: BoolArray | FloatArray | None) -> None:
        """Add the `answered` [m] examples of some rows, which are true `now` or not [k], and were `then` [k].

        `then` may be the share of the reference replays, or None if it is not known: then the score has no reference.
        """
        self.n += now.size
        self.now += int(np.count_nonzero(now))
        self.then = None if then is None or self.then is None else self.then + float(then.sum())
        if self._sums is not None:
            self._sums.add(rows, answered, now)

    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval."""
        if self._sums is None:
            return proportion_interval(self.now, self.n)
        effective = self._sums.effective(self.n, self.now / self.n)
        return proportion_interval(effective * self.now / self.n, effective)

    def score(self) -> Score:
        """Return the score of what was added, of which there is some."""
        reference = None if self.then is None else self.then / self.n
        return Score(self.name, self.now / self.n, *self.interval(), self.n, reference)


def mean(
    name: str, now: FloatArray, then: FloatArray | float | None, answered: BoolArray, clusters: Clusters | None
) -> Score:
    """Return the mean of `now` [n] over the answered examples, with its interval.

    Its reference is the mean of `then` [n] over the same examples, or `then` itself if it is a number or None.

    It is the percentile interval of the bootstrap. Values that are all the same show no spread when they are drawn
    again; a proportion's exact bounds are wider than those of any mean in [0, 1], and stand in for it.
    """
    values = _chosen(now, answered)
    value, n = _mean(values), values.size
    if np.ptp(values) == 0:
        worth = float(n)
        if clusters is not None:
            sums = _summed(now, answered, clusters)
            worth = sums.effective(n, value)
        low, high = (
            proportion_interval(np.floor(value * worth), worth)[0],
            proportion_interval(min(np.ceil(value * worth), worth), worth)[1],
        )
    elif clusters is None:
        low, high = _interval(values)
    else:
        low, high = _clustered(now, answered, _summed(now, answered, clusters), clusters)
    usual = _mean(_chosen(then, answered)) if isinstance(then, np.ndarray) else then
    return Score(name, value, min(low, value), max(high, value), n, usual)


def total(values: FloatArray) -> float:
    """Return the sum of a column, some rows at a time."""
    return float(sum(float(values[rows].sum()) for rows in blocks(len(values))))


def _mean(values: FloatArray) -> float:
    return total(values) / values.size


def _chosen(values: FloatArray, answered: BoolArray) -> FloatArray:
    """Return the values of the answered examples."""
    count = int(np.count_nonzero(answered))
    if count == len(values):
        return values
    found, end = zeros(count, np.float64), 0
    for rows in blocks(len(values)):
        some = values[rows][answered[rows]]
        found[end : end + len(some)] = some
        end += len(some)
    return found


def _interval(values: FloatArray) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean; the same for the same values."""
    random, n = np.random.default_rng(_SEED), values.size
    chunk = max(1, _CELLS_AT_ONCE // n)
    means = [
        values[random.integers(0, n, (min(chunk, _RESAMPLES - start), n))].mean(axis=1)
        if n <= _CELLS_AT_ONCE
        else [sum(float(values[random.integers(0, n, rows.stop - rows.start)].sum()) for rows in blocks(n)) / n]
        for start in range(0, _RESAMPLES, chunk)
    ]
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return float(low), float(high)


def _summed(values: FloatArray, answered: BoolArray, clusters: Clusters) -> Sums:
    found = Sums(clusters)
    for rows in blocks(len(values)):
        found.add(rows, answered[rows], values[rows][answered[rows]])
    return found


def _clustered(values: FloatArray, answered: BoolArray, sums: Sums, clusters: Clusters) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean where whole clusters are drawn again."""
    alone = column(len(values), np.bool_, lambda rows: answered[rows] & (clusters.codes[rows] < 0))
    single, present = _chosen(values, alone), sums.sizes > 0
    units = np.concatenate([sums.values[present], single])
    sizes = np.concatenate([sums.sizes[present], np.ones(single.size)])
    if units.size < 2:
        return 0.0, 1.0  # one cluster says nothing of others
    random = np.random.default_rng(_SEED)
    means = np.empty(_RESAMPLES)
    for i in range(_RESAMPLES):
        drawn = random.integers(0, units.size, units.size)
        means[i] = units[drawn].sum() / sizes[drawn].sum()
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
