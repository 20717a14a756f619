"""Examples that are right or wrong together: how many independent ones they are worth.

A score's interval takes its examples for independent draws. If a golden set states that they come in clusters, the
variance of a share is estimated between clusters, by Taylor linearisation of the ratio of sums, and the exact interval
is that of the *effective* number of examples, with the degrees of freedom of the clusters (Korn and Graubard, Survey
Methodology 24 (1998) 193-201). Means weight whole clusters at random (`means`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from goldwatch.scratch import blocks, zeros

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(slots=True, eq=False)
class Clusters:
    """The clusters of a golden set: `codes` [n] number them, -1 is an example by itself."""

    codes: IntArray
    count: int = field(init=False)
    """How many numbers there are; some may be of no example."""

    def __post_init__(self) -> None:
        self.count = 1 + max((int(self.codes[rows].max()) for rows in blocks(len(self.codes))), default=-1)


class Sums:
    """The sums of a value, and the number of examples, in each cluster: added up some rows at a time."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters
        self.values = zeros(clusters.count, np.float64)
        self.sizes = zeros(clusters.count, np.float64)
        self._alone = np.zeros(3)  # of the examples by themselves: how many, the sum, and the sum of squares

    def add(self, rows: slice, which: BoolArray, values: NDArray[np.generic]) -> None:
        """Add the `values` [k] of those of some rows that are chosen by `which` [m]."""
        codes = self._clusters.codes[rows][which]
        inside, numbers = codes >= 0, values.astype(np.float64)
        np.add.at(self.values, codes[inside], numbers[inside])
        np.add.at(self.sizes, codes[inside], 1.0)
        alone = numbers[~inside]
        self._alone += (len(alone), alone.sum(), (alone**2).sum())

    def effective(self, n: int, value: float) -> float:
        """Return how many independent examples `n` are worth for the interval of the share `value`; at most `n`."""
        alone, total, squares = self._alone
        present = self.sizes > 0
        clusters = int(np.count_nonzero(present)) + int(alone)
        kish = n**2 / (float((self.sizes**2).sum()) + alone)
        if clusters < 2:
            return kish
        spread = float(((self.values - value * self.sizes) ** 2).sum())
        spread += squares - 2 * value * total + value**2 * alone
        variance = clusters / (clusters - 1) * spread / n**2
        if variance <= 0:
            return kish  # no spread to be seen: each cluster is worth one, weighted by size (Kish 1965)
        return worth(n, value, variance, clusters)


def worth(n: int, value: float, variance: float, units: int) -> float:
    """Return how many independent examples have the `variance` of a share `value` of n examples in `units`; at most n.

    The degrees of freedom are those of the units (Korn and Graubard 1998).
    """
    from scipy.special import stdtrit  # noqa: PLC0415 - only a replay that is scored needs it

    freedom = stdtrit(max(n - 1, 1), 0.975) / stdtrit(units - 1, 0.975)
    return float(min(value * (1 - value) / variance * freedom**2, n))
