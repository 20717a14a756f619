"""The nulls and the bets of the monitor *worse*, from a classifier's failures in its reference replays.

Two groups of examples are bet on. *Pooled* is the whole golden set, whose failure rate must stay within the reference's
bound plus the tolerance. *Stable* are those that were right in every replay of the first half of the reference; the
second half bounds how often they fail, which is next to never, so a handful of them failing is loud.

The bounds are Clopper-Pearson over examples x replays. The target is the mean over these fixed examples, each with its
own failure rate, in independent replays; by Hoeffding (1956) the binomial's tails are then conservative
beyond one count from the mean, and bounds at an error under 1/4 are there. docs/monitors.md has the whole argument.
If examples come in clusters that depend on each other, both bounds and bets are those of proportionally fewer examples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldwatch.scratch import blocks, column
from goldwatch.worker.monitors.bounds import upper_clustered
from goldwatch.worker.monitors.detector import FloatArray

BOUND_ERRORS = {"pooled": 0.008, "stable": 0.002}
"""The errors of the two bounds: together they hold with at least 99 % probability over the reference.

The bound on the stable examples, which hardly ever fail, is widened little by a small error; the other one is much.
"""

_LOSSES = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.5)
_FACTORS = (2, 4, 10, 30, 100, 300, 1000)
_LARGEST_STABLE = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Some of the examples, and how often they may fail.

    `members` [n] selects them. `limit` is the null, an upper bound from the reference plus the tolerance; `usual` the
    estimate (failures + 1/2) / (trials + 1), inside (0, limit); `alternatives` are the rates bet on, rising from
    just past the limit, and there is at least one. `weights`, which sum to 1, are theirs.
    """

    name: str
    members: NDArray[np.bool_]
    size: int
    usual: float
    limit: float
    alternatives: tuple[float, ...]
    weights: tuple[float, ...]


def groups(right: NDArray[np.int64], replays: tuple[int, int], tolerance: float, cluster: int = 1) -> tuple[Group, ...]:
    """Return the groups that can be bet on: pooled and, if there are two halves, stable.

    `right` [2, n] counts how often each example was right in each half of the reference, of `replays`. `tolerance` is
    the accuracy that may be lost; a loss of it is allowed to fall on the stable examples alone. Up to `cluster`
    examples of a replay depend on each other. Raises ValueError for counts that do not fit, and for a reference so poor
    that nothing worse could be distinguished from it.
    """
    _check(right, replays, tolerance)
    examples = right.shape[1]
    everything = np.broadcast_to(np.True_, examples)
    failures = int(sum(replays) * examples - right.sum())
    found = [_group("pooled", everything, failures, sum(replays), tolerance, cluster)]
    if replays[1] > 0:
        stable = column(examples, np.bool_, lambda rows: right[0, rows] == replays[0])
        missed = sum(int(np.sum(replays[1] - right[1, rows][stable[rows]])) for rows in blocks(examples))
        found.append(_group("stable", stable, missed, replays[1], tolerance, cluster))
    usable = tuple(group for group in found if group is not None)
    if not usable:
        raise ValueError(
            "the reference is right so rarely that no loss of accuracy could be detected; check the labels and "
            "how answers are matched, or leave the labels out, so that answers are compared with the reference's"
        )
    return usable


def log_ratios(failed: FloatArray, size: FloatArray, null: FloatArray, alternative: FloatArray) -> FloatArray:
    """Return the log likelihood ratios of `failed` among `size` examples; all of shape [bets].

    Each is a product over examples of 1 + lambda (failed_i - null) with one lambda, so its mean is at most 1 for
    independent examples of unequal rates p_i whose mean is within the null: by the means' inequality
    prod (1 + lambda (p_i - null)) <= (1 + lambda (mean p - null))^size <= 1. It falls to either side of the null alike.
    """
    kept = np.log1p(-alternative) - np.log1p(-null)
    return np.asarray(failed * np.log(alternative / null) + (size - failed) * kept, dtype=np.float64)


def _group(
    name: str, members: NDArray[np.bool_], failures: int, replays: int, tolerance: float, cluster: int
) -> Group | None:
    size = int(np.count_nonzero(members))
    if size == 0:
        return None
    trials = size * replays
    limit = upper_clustered(failures, trials, BOUND_ERRORS[name], cluster) + tolerance * members.size / size
    alternatives = _pooled_alternatives(limit) if name == "pooled" else _stable_alternatives(limit)
    if not alternatives:
        return None
    # A large loss shows in a replay whatever its bet weighs; what a small one weighs is hours.
    shares = [(rate - limit) ** -0.5 if name == "pooled" else 1.0 for rate in alternatives]
    weights = tuple(share / math.fsum(shares) for share in shares)
    return Group(name, members, size, (failures + 0.5) / (trials + 1), limit, tuple(alternatives), weights)


def _pooled_alternatives(limit: float) -> Sequence[float]:
    return [limit + loss for loss in _LOSSES if limit + loss < 1]


def _stable_alternatives(limit: float) -> Sequence[float]:
    return [limit * factor for factor in _FACTORS if limit * factor <= _LARGEST_STABLE]


def _check(right: NDArray[np.int64], replays: tuple[int, int], tolerance: float) -> None:
    if right.ndim != 2 or right.shape[0] != 2 or right.shape[1] == 0:
        raise ValueError(f"the reference counts must have shape [2, examples], not {list(right.shape)}")
    if replays[0] < 1 or replays[1] < 0:
        raise ValueError(f"the first half of the reference needs a replay, and there are {replays}")
    if right.min() < 0 or any(counts.max() > most for counts, most in zip(right, replays, strict=True)):
        raise ValueError(f"an example was right more often than there were replays {replays}, or less than never")
    if not 0 <= tolerance < 1:
        raise ValueError(f"the accuracy that may be lost must be between 0 and 1, not {tolerance}")
