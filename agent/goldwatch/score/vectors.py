"""How far numbers are from those of a reference, on a scale from 0 to 1: probabilities, vectors, single numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_NEAR_ONE = 1e-3

FloatArray = NDArray[np.float64]


def jensen_shannon(a: NDArray[Any], b: NDArray[Any]) -> FloatArray:
    """Return the Jensen-Shannon divergence of each pair of rows in bits [n], from 0 to 1 (Lin 1991).

    Rows that are no probabilities are taken for logits.
    """
    p, q = _probabilities(a), _probabilities(b)
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log2(p / middle), 0.0) + np.where(q > 0, q * np.log2(q / middle), 0.0)
    return np.asarray(np.clip(terms.sum(axis=1) / 2, 0, 1))


def _probabilities(rows: NDArray[Any]) -> FloatArray:
    found = rows.astype(np.float64)
    sums = found.sum(axis=1, keepdims=True)
    if np.all(found >= 0) and np.all(np.abs(sums - 1) < _NEAR_ONE):
        return np.asarray(found / sums)
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
