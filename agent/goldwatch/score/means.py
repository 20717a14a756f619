"""Scores that are a share of the examples, or the mean of one number an example, with their 95 % intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goldwatch.judgement import Score

_RESAMPLES = 1000
_SEED = 20260101
_CELLS_AT_ONCE = 1 << 22


def proportion_interval(successes: int, trials: int) -> tuple[float, float]:
    """Return the exact two-sided 95 % interval of a proportion (Clopper and Pearson 1934)."""
    from scipy.special import betainccinv, betaincinv  # noqa: PLC0415 - only a replay that is scored pays for scipy

    low = float(betaincinv(successes, trials - successes + 1, 0.025)) if successes > 0 else 0.0
    high = float(betainccinv(successes + 1, trials - successes, 0.025)) if successes < trials else 1.0
    return low, high


def proportion(name: str, now: NDArray[np.bool_], then: NDArray[np.bool_]) -> Score:
    """Return the share of true examples, with its exact interval (Clopper and Pearson 1934), and that of `then`."""
    n, right = now.size, int(np.count_nonzero(now))
    low, high = proportion_interval(right, n)
    return Score(name, right / n, low, high, n, float(np.count_nonzero(then)) / n)


def mean(name: str, now: NDArray[np.float64], then: NDArray[np.float64]) -> Score:
    """Return the mean of `now` [n], with the percentile interval of the bootstrap, and that of `then`.

    Values that are all the same show no spread when they are drawn again; a proportion's exact bounds are wider than
    those of any mean in [0, 1], and stand in for it.
    """
    value, n = float(now.mean()), now.size
    if np.ptp(now) == 0:
        low, high = (
            proportion_interval(int(np.floor(value * n)), n)[0],
            proportion_interval(int(np.ceil(value * n)), n)[1],
        )
    else:
        low, high = _interval(now)
    return Score(name, value, min(low, value), max(high, value), n, float(then.mean()))


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean; the same for the same values."""
    random = np.random.default_rng(_SEED)
    chunk = max(1, _CELLS_AT_ONCE // values.size)
    means = [
        values[random.integers(0, values.size, (min(chunk, _RESAMPLES - start), values.size))].mean(axis=1)
        for start in range(0, _RESAMPLES, chunk)
    ]
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return float(low), float(high)
