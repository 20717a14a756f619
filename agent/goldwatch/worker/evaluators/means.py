"""Scores that are a share of the examples, or the mean of one number an example, with their 95 % intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goldwatch.core.judgement import Score
from goldwatch.scratch import blocks, column, zeros
from goldwatch.worker.evaluators.clusters import BoolArray, Clusters, Sums

_RESAMPLES = 2000
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
        """Return the score of the values added, at least one."""
        reference = None if self.then is None else self.then / self.n
        return Score(self.name, self.now / self.n, *self.interval(), self.n, reference)


def mean(
    name: str, now: FloatArray, then: FloatArray | float | None, answered: BoolArray, clusters: Clusters | None
) -> Score:
    """Return the mean of `now` [n] over the answered examples, with its interval.

    Its reference is the mean of `then` [n] over the same examples, or `then` itself if it is a number or None.
    The values are in [0, 1]. Of a set with clusters the interval takes each cluster for one observation.
    """
    values = _chosen(now, answered)
    value, n, sums = _mean(values), values.size, values
    sizes = None
    if clusters is not None:
        summed = _summed(now, answered, clusters)
        alone = column(len(now), np.bool_, lambda rows: answered[rows] & (clusters.codes[rows] < 0))
        single, present = _chosen(now, alone), summed.sizes > 0
        sums = np.concatenate([summed.values[present], single])
        sizes = np.concatenate([summed.sizes[present], np.ones(single.size)])
    low, high = _bounds(sums, sizes)
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


def _summed(values: FloatArray, answered: BoolArray, clusters: Clusters) -> Sums:
    found = Sums(clusters)
    for rows in blocks(len(values)):
        found.add(rows, answered[rows], values[rows][answered[rows]])
    return found


def _bounds(sums: FloatArray, sizes: FloatArray | None) -> tuple[float, float]:
    """Return a 95 % interval of a mean of values in [0, 1], from the sums [k] of units of `sizes` [k], or of one value.

    Gaffke's bounds (Mathematical Methods of Statistics 14 (2005) 451-467): the units get random weights (Dirichlet, all
    1). The lower bound is the 2.5 % quantile of the mean with one more unit of zeros, the upper bound the 97.5 %
    quantile with one of ones. If all values are 0 or 1, this is Clopper and Pearson's interval. The added unit is as
    large as the unit of an average value. Equal values give equal bounds.
    """
    random, k = np.random.default_rng(_SEED), sums.size
    added = 1.0 if sizes is None else float((sizes**2).sum() / sizes.sum())
    lows, highs = np.empty(_RESAMPLES), np.empty(_RESAMPLES)
    chunk = max(1, _CELLS_AT_ONCE // k)
    for start in range(0, _RESAMPLES, chunk):
        some = slice(start, min(start + chunk, _RESAMPLES))
        extra = added * random.standard_exponential(some.stop - some.start)
        top, bottom = np.zeros(extra.size), extra.copy()
        for rows in blocks(k):
            weights = random.standard_exponential((extra.size, rows.stop - rows.start))
            top += weights @ sums[rows]
            bottom += weights.sum(axis=1) if sizes is None else weights @ sizes[rows]
        lows[some], highs[some] = top / bottom, (top + extra) / bottom
    return float(np.quantile(lows, 0.025)), float(np.quantile(highs, 0.975))
