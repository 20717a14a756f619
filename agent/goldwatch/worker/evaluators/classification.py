"""Scores of a classifier: accuracy, top-k accuracy and macro F1, each with a 95 % interval over examples.

The interval is what the golden set's size allows to know about other examples like these. It does not show
whether this deployment changed: the monitors compare that in pairs.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.core.judgement import Score
from goldwatch.scratch import blocks
from goldwatch.worker.evaluators.clusters import Clusters, worth
from goldwatch.worker.evaluators.means import Share, proportion_interval

_K = 5
_MIN_EXAMPLES = 5
_LARGEST_KEY = 1 << 62

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def scores(
    outputs: Any,  # noqa: ANN401 - an array, or what is read like one
    reference: Any,  # noqa: ANN401
    labels: IntArray,
    answered: BoolArray,
    clusters: Clusters | None = None,
    usually: NDArray[np.float64] | None = None,
    *,
    ranked: bool = True,
) -> tuple[Score, ...]:
    """Return the scores over the answered examples; none if there is no such example.

    `outputs` and `reference` [n, classes] rank the classes of each example, `labels` [n] and `answered` [n]. A score's
    reference is taken over the same examples, so that the two are comparable. A `reference` of None is that of a model
    whose outputs vary: one draw of them is no reference. `usually` [n] is the share of the reference replays where
    each example was right, for the reference of the accuracy; without it that comes from `reference`. Equal outputs
    rank by the lower index; if outputs are not `ranked`, only the first class is known. Intervals are wider where
    examples come in `clusters`. Raises ValueError for shapes that do not fit.
    """
    like = outputs if reference is None else reference
    if outputs.ndim != 2 or outputs.shape != like.shape or not labels.shape == answered.shape == outputs.shape[:1]:
        raise ValueError(f"outputs {outputs.shape}, reference {like.shape} and labels {labels.shape} do not fit")
    n, classes = outputs.shape
    right = Share("accuracy", clusters)
    near = Share(f"top{_K}_accuracy", clusters) if ranked and classes > _K else None
    ours, theirs = _Cells(clusters), None if reference is None else _Cells()
    for rows in blocks(n, classes):
        some = answered[rows]
        now, truth = outputs[rows][some], labels[rows][some]
        then = None if reference is None else reference[rows][some]
        first, first_then = now.argmax(axis=1), None if then is None else then.argmax(axis=1)
        was_right = None if first_then is None else first_then == truth
        right.add(rows, some, first == truth, was_right if usually is None else usually[rows][some])
        if near is not None:
            near.add(rows, some, _within(now, truth, _K), None if then is None else _within(then, truth, _K))
        ours.add(truth, first, rows, some)
        if theirs is not None and first_then is not None:
            theirs.add(truth, first_then)
    if right.n == 0:
        return ()
    found = [right.score(), *([near.score()] if near is not None else [])]
    return (*found, _macro_f1(ours, theirs, right))


def macro_f1(labels: IntArray, predicted: IntArray) -> float:
    """Return the mean F1 over the classes that occur among labels or predictions, as scikit-learn's does."""
    cells = _Cells()
    cells.add(labels, predicted)
    return cells.table().macro_f1()


def _within(outputs: NDArray[np.floating], labels: IntArray, k: int) -> BoolArray:
    """Return for each example whether its label is among the first k classes [m]."""
    of = labels[:, np.newaxis]
    own = np.take_along_axis(outputs, of, axis=1)
    earlier = np.arange(outputs.shape[1]) < of
    ahead = np.count_nonzero((outputs > own) | ((outputs == own) & earlier), axis=1)
    return np.asarray(ahead < k)


def _macro_f1(ours: _Cells, theirs: _Cells | None, right: Share) -> Score:
    """Return macro F1. Its interval is that of a share of the effective examples (Korn and Graubard 1998).

    Their number comes from the variance of macro F1 (delta method). The F1 of a class with fewer than 5 examples is not
    known: it may have any value, and widens the interval accordingly.
    """
    table = ours.table()
    value, n = table.macro_f1(), right.n
    below, above = table.unknown()
    variance, units = table.variance() if ours.clusters is None else table.clustered(*ours.by_cluster())
    if right.now in (0, n) or variance <= 0 or units < 2:
        low, high = right.interval()  # no spread to be seen: that of the accuracy, at the value of macro F1
        low, high = min(low, value), max(high, value)
    else:
        effective = worth(n, value, variance, units)
        low, high = proportion_interval(value * effective, effective)
    usual = None if theirs is None else theirs.table().macro_f1()
    return Score("macro_f1", value, max(low - below, 0.0), min(high + above, 1.0), n, usual)


class _Cells:
    """Counts of the pairs of label and prediction that occur, some rows at a time; by cluster too if there are any."""

    def __init__(self, clusters: Clusters | None = None) -> None:
        self.clusters = clusters
        self._counts: Counter[tuple[int, ...]] = Counter()
        self._alone = 0

    def add(
        self, labels: IntArray, predicted: IntArray, rows: slice = slice(0), answered: BoolArray | None = None
    ) -> None:
        """Add examples [k]; those of a set with clusters are the `answered` [m] ones of some rows."""
        parts = [labels, predicted]
        if self.clusters is not None:
            codes = self.clusters.codes[rows][answered]
            parts.append(np.where(codes < 0, -1 - self._alone - np.cumsum(codes < 0), codes))
            self._alone += int(np.count_nonzero(codes < 0))
        self._counts.update(_counted(parts))

    def table(self) -> _Table:
        """Return the confusion matrix."""
        pairs: Counter[tuple[int, ...]] = Counter()
        for key, count in self._counts.items():
            pairs[key[:2]] += count
        ordered = sorted(pairs)
        return _Table(np.array(ordered, dtype=np.int64).T, np.array([pairs[pair] for pair in ordered], dtype=np.int64))

    def by_cluster(self) -> tuple[IntArray, IntArray, IntArray]:
        """Return the cell, the cluster and the count [entries] of all that occurs; both are numbered from 0."""
        keys = np.array(sorted(self._counts), dtype=np.int64)
        _, cell = np.unique(keys[:, :2], axis=0, return_inverse=True)
        _, cluster = np.unique(keys[:, 2], return_inverse=True)
        counts = np.array([self._counts[tuple(key)] for key in keys.tolist()], dtype=np.int64)
        return cell.ravel(), cluster, counts


def _counted(parts: list[IntArray]) -> dict[tuple[int, ...], int]:
    """Return how often each combination of the parts [k] occurs."""
    lows = [int(part.min(initial=0)) for part in parts]
    widths = [int(part.max(initial=0)) - low + 1 for part, low in zip(parts, lows, strict=True)]
    if math.prod(widths) > _LARGEST_KEY:
        found, counts = np.unique(np.stack(parts), axis=1, return_counts=True)
        return dict(zip(map(tuple, found.T.tolist()), counts.tolist(), strict=True))
    key = np.zeros(len(parts[0]), dtype=np.int64)
    for part, low, width in zip(parts, lows, widths, strict=True):
        key = key * width + (part - low)
    values, counts = np.unique(key, return_counts=True)
    columns = []
    for low, width in zip(reversed(lows), reversed(widths), strict=True):
        values, own = np.divmod(values, width)
        columns.append((own + low).tolist())
    return dict(zip(zip(*reversed(columns), strict=True), counts.tolist(), strict=True))


class _Table:
    """The occupied cells of a confusion matrix, which holds no empty ones."""

    def __init__(self, pairs: IntArray, counts: IntArray) -> None:
        """Make it of the label and the prediction [2, cells], in rising order, and how many examples have them."""
        classes = np.unique(pairs)
        self._label, self._predicted = np.searchsorted(classes, pairs)
        self._hit, self._classes, self.counts = self._label == self._predicted, classes.size, counts

    def macro_f1(self) -> float:
        """Return macro F1."""
        return float(self._resampled(self.counts[np.newaxis, :])[0])

    def _resampled(self, counts: IntArray) -> NDArray[np.float64]:
        """Return macro F1 [resamples] of cell counts [resamples, cells]: 2 hits / (labelled + predicted), averaged."""
        both = self._by_class(counts, self._label) + self._by_class(counts, self._predicted)
        hits = self._by_class(np.where(self._hit, counts, 0), self._label)
        occurs = both > 0
        f1 = np.divide(2.0 * hits, both, out=np.zeros(both.shape), where=occurs)
        return np.asarray(f1.sum(axis=1) / occurs.sum(axis=1))

    def _by_class(self, counts: IntArray, of: IntArray) -> IntArray:
        """Return the counts summed over the cells of each class [resamples, classes]; `of` [cells] is the class."""
        order = np.argsort(of, kind="stable")
        present, starts = np.unique(of[order], return_index=True)
        sums = np.zeros((counts.shape[0], self._classes), dtype=np.int64)
        sums[:, present] = np.add.reduceat(counts[:, order], starts, axis=1)
        return sums

    def _f1(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the F1 of each class, and its labels and predictions together [classes]."""
        counts = self.counts[np.newaxis, :]
        both = (self._by_class(counts, self._label) + self._by_class(counts, self._predicted))[0]
        hits = self._by_class(np.where(self._hit, counts, 0), self._label)[0]
        return 2.0 * hits / both, both

    def unknown(self) -> tuple[float, float]:
        """Return by how much classes with too few examples may lower macro F1, and raise it."""
        f1, both = self._f1()
        few = both < 2 * _MIN_EXAMPLES
        return float(f1[few].sum() / f1.size), float((1 - f1[few]).sum() / f1.size)

    def _influence(self) -> NDArray[np.float64]:
        """Return the influence of an example of each cell on macro F1, times the number of examples [cells]."""
        f1, both = self._f1()
        own = 2.0 * self._hit / both[self._label]
        lost = f1[self._label] / both[self._label] + f1[self._predicted] / both[self._predicted]
        return np.asarray(self.counts.sum() * (own - lost) / f1.size)

    def variance(self) -> tuple[float, int]:
        """Return the variance of macro F1 (delta method), and the number of examples."""
        n = int(self.counts.sum())
        return float((self.counts * self._influence() ** 2).sum() / n / max(n - 1, 1)), n

    def clustered(self, cell: IntArray, cluster: IntArray, counts: IntArray) -> tuple[float, int]:
        """Return the same from the sums of clusters, and their number: `counts` [entries] of a cell in a cluster."""
        sums = np.bincount(cluster, counts * self._influence()[cell])
        n, units = int(self.counts.sum()), sums.size
        return float(units / max(units - 1, 1) * (sums**2).sum() / n**2), units
