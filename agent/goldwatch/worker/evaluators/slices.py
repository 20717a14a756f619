"""The slices of a golden set, the worst first, and which of them hold more harmful flips than chance would put there.

Only an example that was right can turn wrong, so the flips are taken for a draw without replacement from the answered
examples that were right: the tail of the hypergeometric distribution, at 1 % over all slices together (Bonferroni over
their values). Examples of one cluster are right or wrong together: no independent draws. Of a set with clusters
one such example of each is chosen by lot, which are; twice the mean p-value of many lots is a p-value whatever they
share (Rueschendorf 1982). So a cluster that flips is one finding, however many examples it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from goldwatch.core.judgement import SliceShare
from goldwatch.scratch import blocks, zeros

_SLICE_ERROR = 0.01
_LOTS = 100
_SEED = 20260101

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Slicing:
    """One way to cut the golden set: `codes` [n] index into `values`; a negative code is in no slice."""

    codes: IntArray
    values: Sequence[str]

    def sums(self, rows: slice, weights: NDArray[np.generic]) -> NDArray[np.float64]:
        """Return the sum of the weights [m] of some rows for each value [values]."""
        codes = self.codes[rows]
        inside = codes >= 0
        return np.bincount(codes[inside], weights[inside], minlength=len(self.values)).astype(np.float64)


class Tally:
    """Counts, some rows at a time, by slice: harmful flips, examples that were right, answered ones."""

    def __init__(self, slices: Mapping[str, Slicing], clusters: IntArray | None) -> None:
        self.slices = slices
        self.flips = self.right = 0
        self.counts = {name: np.zeros((3, len(cut.values)), dtype=np.int64) for name, cut in slices.items()}
        self.clusters = clusters if slices else None
        # 0 for an example that could not turn wrong, 1 for one that did not, 2 for one that did.
        self.state = zeros(0 if self.clusters is None else len(self.clusters), np.uint8)

    def add(self, rows: slice, harmful: BoolArray, right: BoolArray, answered: BoolArray) -> None:
        """Add some rows; all that turned wrong were right, and all that were right are answered."""
        self.flips += int(np.count_nonzero(harmful))
        self.right += int(np.count_nonzero(right))
        for name, cut in self.slices.items():
            for kind, which in enumerate((harmful, right, answered)):
                self.counts[name][kind] += cut.sums(rows, which).astype(np.int64)
        if self.clusters is not None:
            self.state[rows] = right.astype(np.uint8) + harmful


def where(tally: Tally, listed: int = 10) -> tuple[SliceShare, ...]:
    """Return the worst slices: all with more harmful flips than chance would put there, and up to `listed` in total.

    Those beyond chance come first, by their flips; the others follow by their p-values.
    """
    tests = sum(len(cut.values) for cut in tally.slices.values())
    if not tally.flips or not tests:
        return ()
    lots = None if tally.clusters is None else _Lots(tally.clusters, tally.state)
    found = []
    for name, cut in tally.slices.items():
        for code, value in enumerate(cut.values):
            inside, members, examples = (int(count) for count in tally.counts[name][:, code])
            if inside == 0:
                continue
            p_value = tail(inside, tally.right, members, tally.flips)
            if lots is not None and p_value <= _SLICE_ERROR / tests:  # only then does the answer depend on the lots
                p_value = max(p_value, lots.p_value(cut.codes, code))
            found.append(SliceShare(name, value, inside, examples, p_value <= _SLICE_ERROR / tests, p_value))
    beyond = sorted((s for s in found if s.beyond_chance), key=lambda s: (-s.flips, s.examples, s.slice, s.value))
    others = sorted(
        (s for s in found if not s.beyond_chance), key=lambda s: (s.p_value, -s.flips, s.examples, s.slice, s.value)
    )
    if lots is not None:  # one p-value of examples that are no independent draws is none
        others = [replace(share, p_value=None) for share in others]
    return (*beyond, *others[: max(listed - len(beyond), 0)])


class _Lots:
    """One example of each cluster, drawn many times over from those that could turn wrong; the same lots every time."""

    def __init__(self, clusters: IntArray, state: NDArray[np.uint8]) -> None:
        able = np.flatnonzero(state)
        alone = able[clusters[able] < 0]
        grouped = able[clusters[able] >= 0]
        grouped = grouped[np.argsort(clusters[grouped], kind="stable")]
        _, starts, sizes = np.unique(clusters[grouped], return_index=True, return_counts=True)
        self._state, self._alone, self._grouped = state, alone, grouped
        self._starts, self._sizes = starts, sizes

    def p_value(self, codes: IntArray, code: int) -> float:
        """Return the p-value of "flips do not prefer this slice", by the mean over the lots."""
        random, total = np.random.default_rng(_SEED), 0.0
        for _ in range(_LOTS):
            picked = self._grouped[self._starts + random.integers(0, self._sizes)]
            chosen = np.concatenate([self._alone, picked])
            flipped, members = self._state[chosen] == 2, codes[chosen] == code
            inside, draws = int(np.count_nonzero(flipped & members)), int(np.count_nonzero(flipped))
            total += tail(inside, len(chosen), int(np.count_nonzero(members)), draws)
        return min(2 * total / _LOTS, 1.0)


def tail(inside: int, population: int, members: int, draws: int) -> float:
    """Return P(X >= inside) for X the members among `draws` from a population without replacement."""
    from scipy.special import gammaln  # noqa: PLC0415 - only a replay with flips pays for scipy

    def log_choose(n: int, k: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))

    low, high = max(inside, draws - (population - members)), min(draws, members)
    whole, found = log_choose(population, np.array(draws)), 0.0
    for some in blocks(high + 1 - low):
        x = np.arange(low + some.start, low + some.stop)
        logs = log_choose(members, x) + log_choose(population - members, draws - x)
        found += float(np.exp(logs - whole).sum())
    return found
