"""Bets on rows that depend on each other, such as those of one session.

Each row has a value in [0, 1] for a bet: whether it is in a cell, or its place. The null is that the mean of the rows'
expectations is at most m (or at least, for a stake below 0). For clusters j with n_j <= c rows and the sum S_j

    prod_j (1 + lambda (S_j - m n_j) / c)

has a mean of at most 1 if the clusters are independent: its factors have expectations 1 + lambda (E S_j - m n_j) / c,
and a product of such is at most exp(lambda / c sum_j (E S_j - m n_j)) <= 1. It needs to be known which rows are of one
cluster. By concavity of the logarithm it is never below the root of order c of the product over rows, which needs
only c (see `Drift`). With all rows in one cluster, c is the number of rows: then any dependence is allowed.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from goldwatch.worker.monitors.detector import FloatArray

_AT_ONCE = 16


class Dependence(StrEnum):
    """The stated dependence of the rows of a window."""

    BOUNDED = "bounded"
    """At most a number of them depend on each other, and it is not known which; 1 states that all are independent."""
    KEYED = "keyed"
    """The cluster of each row is known. Clusters are independent of each other, and of a bounded size."""
    UNKNOWN = "unknown"
    """Nothing: each window is one cluster."""


def log_products(
    sums: FloatArray,
    rows: FloatArray,
    which: NDArray[np.int64],
    null: FloatArray,
    alternative: FloatArray,
    most: FloatArray,
) -> FloatArray:
    """Return the logs [..., bets] of the products over clusters of 1 + lambda (S_j - m n_j) / c.

    `sums` are [..., clusters, quantities]; `which` [bets] are the indices of the quantities that are bet on. `rows`
    [..., clusters] are the n_j, and c is `most` [...]. lambda is as large as for a mean that is `alternative` [bets]
    instead of `null` [bets], both in (0, 1).
    """
    stakes = (alternative - null) / (null * (1 - null))
    per_sum = stakes / most[..., np.newaxis]
    per_row = per_sum * null
    found = np.zeros((*sums.shape[:-2], len(which)))
    product = np.ones_like(found)
    for cluster in range(sums.shape[-2]):
        factor = per_sum * sums[..., cluster, which]
        factor -= per_row * rows[..., cluster, np.newaxis]
        factor += 1
        product *= factor
        if cluster % _AT_ONCE == _AT_ONCE - 1:  # logarithms are slow, and 16 of the smallest factors do not underflow
            found += np.log(product)
            product.fill(1.0)
    return np.asarray(found + np.log(product))
