"""The references of scores: means over all replays of the reference.

The reference outputs are a single draw. If the answers of the validated model vary, no reference comes from them: a
mean is None unless the golden set keeps the values of each reference replay.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goldwatch.golden.opened import GoldenSet
from goldwatch.scratch import column

FloatArray = NDArray[np.float64]


class Usual:
    """The means over the reference replays of a golden set of n examples.

    `repeats` is true if no output of any replay differed from the reference outputs beyond its tolerance.
    """

    def __init__(self, golden: GoldenSet) -> None:
        reference = golden.manifest.reference
        self.repeats, self._replays = reference.deterministic, sum(reference.replays)
        self._examples, self._labelled = golden.examples, golden.manifest.labels is not None
        self._right = golden.tensor("reference.right")
        kept = {name: golden.tensor(f"reference.{name}") for name in reference.keeps or ()}
        self._scores, self._distances = kept.get("scores"), kept.get("distances")

    def right(self, rows: slice) -> FloatArray:
        """Return the share of the replays with a right answer, for each example of some rows [m]."""
        return np.asarray(self._right[:, rows].sum(axis=0) / self._replays)

    def same(self, rows: slice) -> FloatArray | None:
        """Return the share of the replays with the reference output, for each example of some rows [m]."""
        if not self._labelled:
            return self.right(rows)  # without labels, right is what equals the reference
        if self.repeats:
            return np.ones(len(self._right[0, rows]))
        return None if self._distances is None else np.asarray((self._distances[:, rows] == 0).mean(axis=0))

    def score(self) -> FloatArray | None:
        """Return the score of each example [n]."""
        return None if self._scores is None else self._mean(self._scores)

    def closeness(self) -> FloatArray | float | None:
        """Return 1 less the mean distance from the reference outputs [n], or 1 if no output ever differed."""
        if self.repeats:
            return 1.0
        return None if self._distances is None else 1 - self._mean(self._distances)

    def _mean(self, kept: NDArray[np.float32]) -> FloatArray:
        return column(self._examples, np.float64, lambda rows: kept[:, rows].mean(axis=0), len(kept))
