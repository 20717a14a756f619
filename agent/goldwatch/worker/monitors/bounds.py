"""Exact one-sided bounds: on a rate, after Clopper and Pearson (1934), and on a mean, by betting.

A monitor's null is a bound from the reference replays, never the reference itself taken for the truth.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from goldwatch.scratch import blocks

_STAKES = tuple(np.geomspace(0.003, 0.9, 9).tolist())
_GRID = 1 << 16
_INTERVAL_ERROR = 0.0005
_RATES = 11
_MOST_KNOWN = 1024
_KNOWN: dict[tuple[bytes, float, tuple[float, ...]], float] = {}
"""Lower bounds on means, by the digest of the values, the error, the stakes and the size of clusters."""


def lower(successes: float, trials: float, error: float) -> float:
    """Bound the success rate from below; it is above the true rate with probability at most `error`.

    Solves P(Binomial(trials, bound) >= successes) = error; numbers need not be whole.
    Raises ValueError for no trials or impossible counts.
    """
    _check(successes, trials, error)
    if successes == 0:
        return 0.0
    return _beta_quantile(successes, trials - successes + 1, error)


def upper(successes: float, trials: float, error: float) -> float:
    """Bound the success rate from above; it is below the true rate with probability at most `error`.

    Solves P(Binomial(trials, bound) <= successes) = error. Raises ValueError for no trials or impossible counts.
    """
    _check(successes, trials, error)
    if successes == trials:
        return 1.0
    # The upper quantile through the lower tail of the mirrored beta keeps the digits of a bound near 0.
    from scipy.special import betainccinv  # noqa: PLC0415 - a replay without a reference never needs scipy

    return float(betainccinv(successes + 1, trials - successes, error))


def upper_clustered(successes: int, trials: int, error: float, cluster: int) -> float:
    """Bound the mean of the trials' success rates from above, where up to `cluster` trials depend on each other.

    By Hoelder's inequality E exp(t S) <= (1 - p + p exp(t cluster)) ^ (trials / cluster) for the mean p of the rates,
    whatever the dependence within clusters, so Chernoff's bound is that of trials / cluster independent ones: the
    largest p with trials / cluster x KL(successes / trials, p) <= log(1 / error). For a cluster of 1 it is
    `upper`. Raises ValueError as that does, or for a cluster of less than one.
    """
    _check(successes, trials, error)
    if cluster < 1:
        raise ValueError(f"a cluster has at least one trial, not {cluster}")
    if cluster == 1:
        return upper(successes, trials, error)
    share, most = successes / trials, -math.log(error) * cluster / trials
    low, high = share, 1.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        low, high = (middle, high) if _divergence(share, middle) <= most else (low, middle)
    return high


def _divergence(share: float, rate: float) -> float:
    """Return Kullback's and Leibler's divergence of Bernoulli laws, in nats; `rate` is inside (0, 1)."""
    hit = share * math.log(share / rate) if share else 0.0
    return hit + ((1 - share) * math.log((1 - share) / (1 - rate)) if share < 1 else 0.0)


def mcnemar(only_first: int, only_other: int) -> float:
    """Return the two-sided p-value of McNemar's exact test: each example that one alone has right is a fair coin."""
    from scipy.special import bdtr  # noqa: PLC0415 - as above

    n = only_first + only_other
    return 1.0 if n == 0 else min(1.0, 2 * float(bdtr(min(only_first, only_other), n, 0.5)))


def loss_p_value(now: float, n: int, then: float, trials: int, tolerance: float, cluster: int = 1) -> float:
    """Bound the probability of a loss of at least `then - now`, if the rate fell by no more than `tolerance`.

    `now` is the success rate of n trials, `then` that of `trials` earlier ones. The bound is the largest probability
    over the earlier rates inside their exact interval, plus the error of that interval (Berger and Boos 1994). If up
    to `cluster` trials depend on each other, each cluster counts as one trial: no law of the same mean is wider.
    """
    from scipy.special import bdtr, bdtrc  # noqa: PLC0415 - as above

    n, trials = max(n // cluster, 1), max(trials // cluster, 1)
    before = round(then * trials)
    low, high = (bound(before, trials, _INTERVAL_ERROR / 2) for bound in (lower, upper))
    successes = np.arange(n + 1)
    # The earlier successes that make the loss as large, for each number of later ones.
    needed = np.ceil(trials * (then - now + successes / n) - 1e-9)
    largest = 0.0
    for rate in np.linspace(low, high, _RATES).tolist():
        chances = np.diff(bdtr(successes, n, max(rate - tolerance, 0.0)), prepend=0.0)
        reached = np.where(needed <= 0, 1.0, bdtrc(np.clip(needed - 1, 0, trials), trials, rate))
        largest = max(largest, float(chances @ reached))
    return min(largest + _INTERVAL_ERROR, 1.0)


def lower_mean(values: NDArray[np.float64], error: float, stakes: Sequence[float] = _STAKES, cluster: int = 1) -> float:
    """Bound the mean of the expectations of independent `values` in [0, 1] from below; it errs with at most `error`.

    The bound is the lowest mean m that bets against "the mean is at most m" have not refuted, after Waudby-Smith and
    Ramdas (2023): for every stake c the product of 1 + c (value / m - 1) is an e-value, of unequal expectations too, by
    the means' inequality, and so is their average over stakes. If up to `cluster` values depend on each other, each
    product takes the root of that order (Hoelder's inequality). Values are rounded down to 1/65,536, which only lowers
    the bound. A caller that knows the spread of the values gives the one stake that suits it, for a closer bound.
    Results are cached: a monitor is made for every replay, of a reference that stays. Raises ValueError for no values,
    for values or stakes outside [0, 1], or a cluster of less than one.
    """
    if values.size == 0 or not 0 <= values.min() <= values.max() <= 1:
        raise ValueError("a bound on a mean needs values, all of them between 0 and 1")
    if not stakes or not all(0 < stake < 1 for stake in stakes):
        raise ValueError(f"stakes must be between 0 and 1, not {stakes}")
    if not 0 < error < 1:
        raise ValueError(f"the error of a bound must be between 0 and 1, not {error}")
    if cluster < 1:
        raise ValueError(f"a cluster has at least one value, not {cluster}")
    digest = hashlib.blake2b()
    for rows in blocks(values.size):
        digest.update(values[rows].tobytes())
    key = digest.digest(), error, (*stakes, float(cluster))
    if key not in _KNOWN:
        if len(_KNOWN) >= _MOST_KNOWN:
            _KNOWN.clear()
        _KNOWN[key] = _lower_mean(values, error, np.array(stakes), cluster)
    return _KNOWN[key]


def _lower_mean(values: NDArray[np.float64], error: float, stakes: NDArray[np.float64], cluster: int) -> float:
    on_grid = np.zeros(_GRID + 1, dtype=np.int64)
    for rows in blocks(values.size):
        on_grid += np.bincount(np.floor(values[rows] * _GRID).astype(np.int64), minlength=_GRID + 1)
    (places,) = np.nonzero(on_grid)
    found, counts = places / _GRID, on_grid[places]
    refuted = math.log(len(stakes) / error)

    def evidence(mean: float) -> float:
        logs = np.log1p(stakes[:, np.newaxis] * (found / mean - 1)) @ counts
        return float(np.logaddexp.reduce(logs / cluster))

    low, high = 0.0, float(found @ counts) / values.size
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if evidence(middle) >= refuted else (low, middle)
    return low


def _beta_quantile(a: float, b: float, probability: float) -> float:
    from scipy.special import betaincinv  # noqa: PLC0415 - as above

    return float(betaincinv(a, b, probability))


def _check(successes: float, trials: float, error: float) -> None:
    if trials < 1:
        raise ValueError("a bound on a rate needs at least one trial")
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials is impossible")
    if not 0 < error < 1:
        raise ValueError(f"the error of a bound must be between 0 and 1, not {error}")
