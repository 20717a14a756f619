"""Scores of a classifier: accuracy, top-k accuracy and macro F1, each with a 95 % interval over examples.

The interval says what the golden set's size allows to be known about other examples like these. It says nothing of
whether this deployment changed: that comparison is paired, and the monitors' business.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goldwatch.judgement import Score
from goldwatch.score.means import proportion, proportion_interval

_K = 5
_RESAMPLES = 1000
_SEED = 20260101
_CELLS_AT_ONCE = 1 << 20
_ROWS_AT_ONCE = 1 << 14

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def scores(
    outputs: NDArray[np.floating], reference: NDArray[np.floating], labels: IntArray, answered: BoolArray
) -> tuple[Score, ...]:
    """Return the scores over the answered examples; none if there is no such example.

    `outputs` and `reference` [n, classes] rank the classes of each example, `labels` [n] and `answered` [n]. A score's
    reference is taken over the same examples, so that the two are comparable. Equal outputs rank by the lower index.
    Raises ValueError for shapes that do not fit.
    """
    if outputs.ndim != 2 or outputs.shape != reference.shape or not labels.shape == answered.shape == outputs.shape[:1]:
        raise ValueError(f"outputs {outputs.shape}, reference {reference.shape} and labels {labels.shape} do not fit")
    now, then, truth = outputs[answered], reference[answered], labels[answered]
    if truth.size == 0:
        return ()
    found = [proportion("accuracy", _within(now, truth, 1), _within(then, truth, 1))]
    if outputs.shape[1] > _K:
        found.append(proportion(f"top{_K}_accuracy", _within(now, truth, _K), _within(then, truth, _K)))
    found.append(_macro_f1(now.argmax(axis=1), then.argmax(axis=1), truth))
    return tuple(found)


def macro_f1(labels: IntArray, predicted: IntArray) -> float:
    """Return the mean F1 over the classes that occur among labels or predictions, as scikit-learn's does."""
    cells = _Cells(labels, predicted)
    return float(cells.macro_f1(cells.counts[np.newaxis, :])[0])


def _within(outputs: NDArray[np.floating], labels: IntArray, k: int) -> BoolArray:
    """Return for each example whether its label is among the first k classes [n]."""
    if k == 1:
        return np.asarray(outputs.argmax(axis=1) == labels)
    found = np.empty(len(outputs), np.bool_)
    for start in range(0, len(outputs), _ROWS_AT_ONCE):  # what is needed beside the answers does not grow with the set
        some, of = outputs[start : start + _ROWS_AT_ONCE], labels[start : start + _ROWS_AT_ONCE, np.newaxis]
        own = np.take_along_axis(some, of, axis=1)
        earlier = np.arange(some.shape[1]) < of
        ahead = np.count_nonzero((some > own) | ((some == own) & earlier), axis=1)
        found[start : start + _ROWS_AT_ONCE] = ahead < k
    return found


def _macro_f1(now: IntArray, then: IntArray, labels: IntArray) -> Score:
    value, n = macro_f1(labels, now), labels.size
    right = int(np.count_nonzero(now == labels))
    if right in (0, n):
        # Resampling examples that are all right, or all wrong, shows no spread; the accuracy's exact bounds do.
        low, high = proportion_interval(right, n)
    else:
        low, high = _Cells(labels, now).interval(n)
    return Score("macro_f1", value, min(low, value), max(high, value), n, macro_f1(labels, then))


class _Cells:
    """The occupied cells of a confusion matrix, from which examples can be resampled without holding the empty ones."""

    def __init__(self, labels: IntArray, predicted: IntArray) -> None:
        classes = np.union1d(np.unique(labels), np.unique(predicted))
        cells = np.searchsorted(classes, labels) * classes.size
        cells += np.searchsorted(classes, predicted)
        occupied, self.counts = np.unique(cells, return_counts=True)
        self._label, self._predicted = np.divmod(occupied, classes.size)
        self._hit, self._classes = self._label == self._predicted, classes.size

    def macro_f1(self, counts: IntArray) -> NDArray[np.float64]:
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
        shares, values = self.counts / n, []
        for start in range(0, _RESAMPLES, chunk):
            size = min(chunk, _RESAMPLES - start)
            values.append(self.macro_f1(random.multinomial(n, shares, size=size)))
        low, high = np.quantile(np.concatenate(values), [0.025, 0.975])
        return float(low), float(high)
