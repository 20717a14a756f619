"""Scores of a classifier: accuracy, top-k accuracy and macro F1, each with a 95 % interval over examples.

The interval says what the golden set's size allows to be known about other examples like these. It says nothing of
whether this deployment changed: that comparison is paired, and the monitors' business.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from goldwatch.judgement import Score
from goldwatch.score.clusters import Clusters
from goldwatch.score.means import Share
from goldwatch.scratch import blocks

_K = 5
_RESAMPLES = 1000
_SEED = 20260101
_CELLS_AT_ONCE = 1 << 20
_LARGEST_KEY = 1 << 62

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def scores(
    outputs: NDArray[np.floating],
    reference: NDArray[np.floating] | None,
    labels: IntArray,
    answered: BoolArray,
    clusters: Clusters | None = None,
    usually: NDArray[np.float64] | None = None,
) -> tuple[Score, ...]:
    """Return the scores over the answered examples; none if there is no such example.

    `outputs` and `reference` [n, classes] rank the classes of each example, `labels` [n] and `answered` [n]. A score's
    reference is taken over the same examples, so that the two are comparable. A `reference` of None is that of a model
    whose outputs vary: one draw of them is no reference. `usually` [n] is the share of the reference replays in which
    each example was right, for the reference of the accuracy; without it that comes from `reference`. Equal outputs
    rank by the lower index. Intervals are wider where examples come in `clusters`. Raises ValueError for shapes that do
    not fit.
    """
    like = outputs if reference is None else reference
    if outputs.ndim != 2 or outputs.shape != like.shape or not labels.shape == answered.shape == outputs.shape[:1]:
        raise ValueError(f"outputs {outputs.shape}, reference {like.shape} and labels {labels.shape} do not fit")
    n, classes = outputs.shape
    right = Share("accuracy", clusters)
    near = Share(f"top{_K}_accuracy", clusters) if classes > _K else None
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
    table = ours.table()
    value = table.macro_f1()
    if right.now in (0, right.n):
        # Resampling examples that are all right, or all wrong, shows no spread; the accuracy's exact bounds do.
        low, high = right.interval()
    else:
        low, high = table.interval(right.n) if ours.clusters is None else table.clustered(*ours.by_cluster())
    reference = None if theirs is None else theirs.table().macro_f1()
    return Score("macro_f1", value, min(low, value), max(high, value), right.n, reference)


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
    """The occupied cells of a confusion matrix, from which examples can be resampled without holding the empty ones."""

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

    def interval(self, n: int) -> tuple[float, float]:
        """Return the 95 % percentile interval of the multinomial bootstrap; the same for the same counts."""
        random = np.random.default_rng(_SEED)
        chunk = max(1, _CELLS_AT_ONCE // self.counts.size)
        shares = self.counts / n
        return _percentiles(
            self._resampled(random.multinomial(n, shares, size=min(chunk, _RESAMPLES - start)))
            for start in range(0, _RESAMPLES, chunk)
        )

    def clustered(self, cell: IntArray, cluster: IntArray, counts: IntArray) -> tuple[float, float]:
        """Return the same where whole clusters are drawn again: `counts` [entries] of a cell in a cluster."""
        clusters = int(cluster.max()) + 1
        if clusters < 2:
            return 0.0, 1.0  # one cluster says nothing of others
        random, cells = np.random.default_rng(_SEED), self.counts.size

        def drawn() -> IntArray:
            times = np.bincount(random.integers(0, clusters, clusters), minlength=clusters)
            return np.bincount(cell, counts * times[cluster], minlength=cells).astype(np.int64)

        chunk = max(1, _CELLS_AT_ONCE // cells)
        return _percentiles(
            self._resampled(np.stack([drawn() for _ in range(min(chunk, _RESAMPLES - start))]))
            for start in range(0, _RESAMPLES, chunk)
        )


def _percentiles(resampled: Iterable[NDArray[np.float64]]) -> tuple[float, float]:
    low, high = np.quantile(np.concatenate(list(resampled)), [0.025, 0.975])
    return float(low), float(high)
