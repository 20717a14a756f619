"""How far numbers are from those of a reference, on a scale from 0 to 1: probabilities, vectors, single numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.scratch import blocks

_LEAST, _FURTHEST_SUM = -0.01, 0.5
_ROUNDING = 0.01
"""Probabilities in half precision, or with two decimals, differ from a sum of 1 by about this."""
_LEVELS, _COARSEST_STEP = 256, 0.0101
"""An output of 8 bits has at most this number of values, at most this far apart."""

FloatArray = NDArray[np.float64]


def are_probabilities(rows: NDArray[Any]) -> np.bool_:
    """Return whether the scores of a whole reference [n, classes] are probabilities, and not logits.

    All values are in [0, 1], and all rows sum to 1 within the rounding of half precision. Rows of a quantised model may
    be off by half a step for each class; the step is known if the reference has at most 256 values. Logits that happen
    to be in [0, 1] pass neither.
    """
    off, levels, many = 0.0, np.zeros(0), False
    for some in blocks(len(rows), rows.shape[1]):
        values = rows[some].astype(np.float64)
        if not (values.min() >= _LEAST and values.max() <= 1 - _LEAST):
            return np.False_
        off = max(off, float(np.abs(values.sum(axis=1) - 1).max()))
        if not many:
            levels = np.unique(np.concatenate([levels, values.round(6).ravel()]))
            many = levels.size > _LEVELS
    if many or off <= _ROUNDING or levels.size < 2:
        return np.bool_(off <= _ROUNDING)
    step = float(np.diff(levels).min())
    return np.bool_(step <= _COARSEST_STEP and off <= min(_FURTHEST_SUM, rows.shape[1] * step / 2 + _ROUNDING))


def jensen_shannon(now: NDArray[Any], then: NDArray[Any], *, logits: bool = False) -> FloatArray:
    """Return the Jensen-Shannon divergence of each pair of rows in bits [n], from 0 to 1 (Lin 1991).

    `logits` states the kind of the whole reference, `then` is a part of it. If the reference has probabilities, a row
    of `now` that cannot be probabilities is logits. A class whose logit is -inf has the probability 0.
    """
    p, q = _softmax(now), _softmax(then)
    if not logits:
        p, q = np.where(_may_be_probabilities(now)[:, np.newaxis], _normalised(now), p), _normalised(then)
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log2(p / middle), 0.0) + np.where(q > 0, q * np.log2(q / middle), 0.0)
    return np.asarray(np.clip(terms.sum(axis=1) / 2, 0, 1))


def _may_be_probabilities(rows: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which rows [n] may be probabilities; the sums of a quantised model may be far from 1."""
    found = rows.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray((found.min(axis=1) >= _LEAST) & (np.abs(found.sum(axis=1) - 1) <= _FURTHEST_SUM))


def _normalised(rows: NDArray[Any]) -> FloatArray:
    """Return probabilities whose sums are 1. Values below 0 count as 0; a row without a positive value stays 0."""
    found = np.maximum(rows.astype(np.float64), 0)
    with np.errstate(over="ignore"):
        sums = found.sum(axis=1, keepdims=True)
        return np.asarray(np.divide(found, sums, out=np.zeros_like(found), where=sums > 0))


def _softmax(rows: NDArray[Any]) -> FloatArray:
    found = rows.astype(np.float64)
    with np.errstate(over="ignore"):  # the difference of two huge values is -inf, whose power is 0, as it should be
        powers = np.exp(found - found.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def cosines(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """Return the cosine similarity of each pair of rows [n]; rows without length are like only each other.

    Values of any finite size have one. Values that are -inf in both rows, as of a masked class, are left out; one that
    is infinite in one row alone is the whole direction of that row.
    """
    a, b = a.astype(np.float64), b.astype(np.float64)
    alike = np.where((a == b).all(axis=1), 1.0, 0.0)
    both = np.isinf(a) & (a == b)
    a, b = (_unit_scale(np.where(both, 0.0, x)) for x in (a, b))
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    found = np.divide(np.einsum("ij,ij->i", a, b), lengths, out=alike, where=lengths > 0)
    return np.asarray(np.clip(found, -1, 1))


def _unit_scale(rows: FloatArray) -> FloatArray:
    """Return the rows, each divided by its largest absolute value, so that no square overflows or vanishes."""
    endless = np.isinf(rows)
    rows = np.where(endless, np.sign(rows), np.where(endless.any(axis=1, keepdims=True), 0.0, rows))
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
    return np.asarray(np.divide(rows, largest, out=np.zeros_like(rows), where=largest > 0))


def apart(a: NDArray[Any], b: NDArray[Any], tolerance: float) -> FloatArray:
    """Return how far single numbers are apart [n]: 0 within the tolerance, else |a - b| / (|a| + |b|)."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    power = np.frexp(np.maximum(np.abs(a), np.abs(b)))[1]
    with np.errstate(over="ignore"):
        far = np.abs(a - b) > tolerance
    a, b = np.ldexp(a, -power), np.ldexp(b, -power)  # exact, and of a size whose sum is finite
    return np.asarray(np.divide(np.abs(a - b), np.abs(a) + np.abs(b), out=np.zeros(len(far)), where=far))
