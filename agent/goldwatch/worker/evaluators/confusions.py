"""The mistakes of a classifier that have become more frequent: one class is answered instead of another.

An example joins a mistake if it has it now and had another answer in the reference; it leaves one the other way. If
the deployment only varies, joining is as likely as leaving. A sign test (a binomial with 1/2) gives the p-value; all
mistakes that any example joined or left share 1 %. Examples of one cluster are no independent draws, so a cluster
counts once: as joining or leaving, whichever more of its examples did.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from goldwatch.core.judgement import Confusion

_ERROR = 0.01

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Cell = tuple[int, int]
"""A label and the answer that was given instead."""


class Confusions:
    """Counts mistakes, some rows at a time."""

    def __init__(self, names: Sequence[str], clusters: IntArray | None = None) -> None:
        """Count for classes with these names; `clusters` [n] has a number for each cluster, -1 for none."""
        self._names = names
        self._clusters = clusters
        self._now, self._then, self._flips = Counter[Cell](), Counter[Cell](), Counter[Cell]()
        self._joined, self._left = Counter[Cell](), Counter[Cell]()
        self._net: dict[Cell, Counter[int]] = {}

    def add(self, rows: slice, labels: IntArray, then: IntArray, now: IntArray, answered: BoolArray) -> None:
        """Add the answers [k] of the examples of some rows that were `answered` [m]."""
        self._now.update(_counted(labels, now, now != labels))
        self._then.update(_counted(labels, then, then != labels))
        moved = now != then
        self._flips.update(_counted(labels, now, moved & (then == labels)))
        self._joined.update(_counted(labels, now, moved & (now != labels)))
        self._left.update(_counted(labels, then, moved & (then != labels)))
        if self._clusters is not None and moved.any():
            self._add_clusters(self._clusters[rows][answered][moved], labels[moved], then[moved], now[moved])

    def _add_clusters(self, clusters: IntArray, labels: IntArray, then: IntArray, now: IntArray) -> None:
        for cluster, label, before, after in zip(*(a.tolist() for a in (clusters, labels, then, now)), strict=True):
            for said, step in ((after, 1), (before, -1)):
                if said != label and cluster >= 0:
                    self._net.setdefault((label, said), Counter())[cluster] += step
                    (self._joined if step > 0 else self._left)[label, said] -= 1

    def worst(self, listed: int = 10) -> tuple[Confusion, ...]:
        """Return up to `listed` mistakes that hold a harmful flip, those beyond chance first, then by their flips."""
        moved = set(self._joined) | set(self._left)
        found = [self._confusion(cell, len(moved)) for cell in self._flips]
        ordered = sorted(found, key=lambda c: (not c.beyond_chance, -c.flips, c.label, c.said))
        return tuple(ordered[:listed])

    def _confusion(self, cell: Cell, tests: int) -> Confusion:
        net = self._net.get(cell, Counter[int]())
        joined = self._joined[cell] + sum(step > 0 for step in net.values())
        left = self._left[cell] + sum(step < 0 for step in net.values())
        p_value = sign_test(joined, joined + left)
        label, said = (class_name(index, self._names) for index in cell)
        counts = self._flips[cell], self._now[cell], self._then[cell]
        return Confusion(label, said, *counts, beyond_chance=p_value <= _ERROR / tests, p_value=p_value)


def sign_test(successes: int, trials: int) -> float:
    """Return P(X >= successes) for X binomial with `trials` and 1/2."""
    if successes <= 0:
        return 1.0
    from scipy.special import bdtrc  # noqa: PLC0415 - only a replay with flips pays for scipy

    return float(bdtrc(successes - 1, trials, 0.5))


def class_name(index: int, names: Sequence[str]) -> str:
    """Return the name of a class; one without a name is called by its index."""
    return names[index] if 0 <= index < len(names) else str(int(index))


def _counted(labels: IntArray, answers: IntArray, which: BoolArray) -> dict[Cell, int]:
    pairs, counts = np.unique(np.stack([labels[which], answers[which]]), axis=1, return_counts=True)
    return dict(zip(_cells(pairs), counts.tolist(), strict=True))


def _cells(pairs: IntArray) -> Iterator[Cell]:
    return ((label, said) for label, said in pairs.T.tolist())
