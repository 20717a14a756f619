"""The built-in score of embeddings: whether examples have the same neighbours as in the reference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from goldwatch.errors import GoldwatchError
from goldwatch.evaluator import Unscored

_MOST = 5_000
"""The most examples: the time grows with their square, and an interval takes it 21 times."""

_ROWS_AT_ONCE = 256


def neighbour_overlap(output: Sequence[Sequence[float]], expected: Sequence[Sequence[float]], k: int = 10) -> float:
    """Return the share of each example's `k` nearest others, by cosine, that it has in both; the mean over examples.

    A search returns neighbours, so a rotation of all vectors changes nothing. Of equally near ones the first count.
    Above 5,000 examples it is unscored.
    """
    if k < 1:
        raise GoldwatchError(f"the option k is {k}; write 1 or more")
    if len(output) > _MOST:
        raise Unscored(f"there are {len(output):,} examples, and it compares every two of at most {_MOST:,}")
    now, then = _unit(output), _unit(expected)
    if len(now) <= k:
        raise Unscored(f"{len(now)} examples have no {k} neighbours")
    common = 0
    for start in range(0, len(now), _ROWS_AT_ONCE):
        rows = np.arange(start, min(start + _ROWS_AT_ONCE, len(now)))
        both = np.zeros((len(rows), len(now)), np.int8)
        for vectors in (now, then):
            both[np.arange(len(rows))[:, np.newaxis], _nearest(vectors, rows, k)] += 1
        common += int(np.count_nonzero(both == 2))
    return common / (len(now) * k)


def _unit(vectors: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    found = np.asarray(vectors, np.float64).reshape(len(vectors), -1)
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(np.divide(found, lengths, out=np.zeros_like(found), where=lengths > 0))


def _nearest(vectors: NDArray[np.float64], rows: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Return the `k` nearest others of some rows [m, k]."""
    near = vectors[rows] @ vectors.T
    near[np.arange(len(rows)), rows] = -np.inf
    return np.argsort(-near.round(12), axis=1, kind="stable")[:, :k]
