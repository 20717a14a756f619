"""Bets that a quantity has moved up, when all that is known of it are values from a reference.

The values are cut into bins. Of each cut, the share of values above it has an exact upper bound, all of them at once
with a given error. A bet pays e_k in bin k, rising with k; its mean is e_0 + sum_k (e_k - e_{k-1}) P(above cut k), so
with the bounds in place of the probabilities it is at most 1 for any law that keeps to the bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from goldwatch.monitor.bounds import upper
from goldwatch.monitor.detector import FloatArray

_ABOVE = (0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
_LEAST_ABOVE = 3


@dataclass(frozen=True, slots=True, eq=False)
class Tails:
    """`cuts` [k], rising, and the log of what each bet pays in each bin, `log_e` [k + 1, bets]."""

    cuts: FloatArray
    log_e: FloatArray

    def of(self, value: float) -> FloatArray:
        """Return the log e-values [bets] of one value."""
        return np.asarray(self.log_e[int(np.searchsorted(self.cuts, value))])


def tails(reference: FloatArray, shifts: Sequence[float], error: float) -> Tails:
    """Make bets on the `shifts`, as exponential tilts, against the values [n] of a reference.

    The bounds hold together with probability at least 1 - `error` if the values are independent draws from a
    continuous law: each cut is one of the ordered values, above which the law has a share that is Beta-distributed.
    Raises ValueError for fewer than 100 values.
    """
    n = len(reference)
    if n < 100:
        raise ValueError(f"tails need at least 100 values, not {n}")
    ordered = np.sort(reference)
    counts = sorted({round(n * share) for share in _ABOVE if n * share >= _LEAST_ABOVE}, reverse=True)
    cuts = ordered[[n - count - 1 for count in counts]]
    above = np.array([1.0, *(upper(count, n, error / len(counts)) for count in counts), 0.0])
    shares = above[:-1] - above[1:]
    middles = np.array([part.mean() for part in np.split(ordered, [n - count for count in counts])])
    tilts = middles[:, np.newaxis] * np.asarray(shifts)
    payoffs = tilts - np.logaddexp.reduce(tilts + np.log(shares)[:, np.newaxis], axis=0)
    return Tails(cuts, payoffs)
