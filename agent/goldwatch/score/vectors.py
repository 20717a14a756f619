"""How far numbers are from those of a reference, on a scale from 0 to 1: probabilities, vectors, single numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEAST, _FURTHEST_SUM = -0.01, 0.5

FloatArray = NDArray[np.float64]


def are_probabilities(rows: NDArray[Any]) -> NDArray[np.bool_]:
    """Say which rows [n] are probabilities but for the rounding of a quantised model, whose sums may be far from 1."""
    found = rows.astype(np.float64)
    return np.asarray((found.min(axis=1) >= _LEAST) & (np.abs(found.sum(axis=1) - 1) <= _FURTHEST_SUM))


def jensen_shannon(now: NDArray[Any], then: NDArray[Any], *, logits: bool = False) -> FloatArray:
    """Return the Jensen-Shannon divergence of each pair of rows in bits [n], from 0 to 1 (Lin 1991).

    `logits` says what all of the reference is, which `then` is of; a row `now` that is no probabilities beside one that
    is some is taken for logits by itself.
    """
    p, q = _softmax(now), _softmax(then)
    if not logits:
        p, q = np.where(are_probabilities(now)[:, np.newaxis], _normalised(now), p), _normalised(then)
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log2(p / middle), 0.0) + np.where(q > 0, q * np.log2(q / middle), 0.0)
    return np.asarray(np.clip(terms.sum(axis=1) / 2, 0, 1))


def _normalised(rows: NDArray[Any]) -> FloatArray:
    """Return probabilities whose sums are 1; what is below 0 is 0, and a row of nothing else stays so."""
    found = np.maximum(rows.astype(np.float64), 0)
    sums = found.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(found, sums, out=np.zeros_like(found), where=sums > 0))


def _softmax(rows: NDArray[Any]) -> FloatArray:
    found = rows.astype(np.float64)
    powers = np.exp(found - found.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def cosines(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """Return the cosine similarity of each pair of rows [n]; rows without length are like only each other."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    alike = np.where((a == b).all(axis=1), 1.0, 0.0)
    found = np.divide(np.einsum("ij,ij->i", a, b), lengths, out=alike, where=lengths > 0)
    return np.asarray(np.clip(found, -1, 1))


def apart(a: NDArray[Any], b: NDArray[Any], tolerance: float) -> FloatArray:
    """Return how far single numbers are apart [n]: 0 within the tolerance, else |a - b| / (|a| + |b|)."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    far, sizes = np.abs(a - b), np.abs(a) + np.abs(b)
    return np.asarray(np.divide(far, sizes, out=np.zeros(len(far)), where=(far > tolerance) & (sizes > 0)))
