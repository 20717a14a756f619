"""The monitors *worse:NAME*: whether a score that the config names meets the objective of its watch.

An objective of the reference (`no worse than 1 point`) is paired: each example is held against its own mean over the
first half of the reference replays, and the second half shows how much it varies. An absolute one (`at least 95%`) is
held against the mean of all examples, and needs no reference. Both pages come from `means`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goldwatch.core import kinds
from goldwatch.core.judgement import Severity
from goldwatch.core.score_spec import ScoreSpec
from goldwatch.scratch import blocks, column, zeros
from goldwatch.worker.monitors.detector import FloatArray
from goldwatch.worker.monitors.episode import Watching
from goldwatch.worker.monitors.means import MILDEST, WIDTHS, Limits, Means, Scale

Codes = NDArray[np.int64] | None

_NEUTRAL = 0.5
"""The value of an example that the reference left unscored: it is never observed, so it adds no evidence."""


def scored(
    spec: ScoreSpec, n: int, kept: NDArray[np.float32] | None, first: int, alpha: float, limits: tuple[int, Codes]
) -> Means:
    """Watch a score over `n` examples. Pages.

    `kept` [replays, n] has the values of the reference replays, NaN for none; `first` of them make what is usual.
    `limits` are the size of the largest cluster and the numbers of the clusters, see `Limits`. Raises ValueError, also
    without `kept` where the objective is of the reference.
    """
    bounds = Limits((spec.loss or 0.0) / spec.span, MILDEST, *limits)
    sign, best = (-1.0, 0.0) if spec.lower_is_better else (1.0, 1.0)
    watching = Watching(kinds.WORSE.member(spec.name).name, Severity.PAGE, f"the score {spec.name} is worse")
    if spec.limit is not None:
        limit = spec.to_share(spec.limit)
        level = 1 - limit if spec.lower_is_better else limit
        centre = np.broadcast_to(np.float64(limit), n)
        return Means(watching, [Scale(centre, sign, level, best)], None, bounds, alpha, spec.from_share)
    if kept is None:
        raise ValueError(f"objectives.scores.{spec.name}: the golden set has no reference of this score")
    values = usual_values(kept)
    centre = column(n, np.float64, lambda rows: values[:first, rows].mean(axis=0), first)
    scales = [Scale(centre, sign * 2 * width, 0.5, best) for width in WIDTHS]
    return Means(watching, scales, values[first:], bounds, alpha, spec.from_share)


def watched_examples(kept: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the examples [n] that have a value in each of the reference replays [replays, n]."""
    return column(kept.shape[1], np.bool_, lambda rows: ~np.isnan(kept[:, rows]).any(axis=0), len(kept))


def usual_values(kept: NDArray[np.float32]) -> FloatArray:
    """Return the reference values [replays, n] of the examples that are watched, and of others their neutral value."""
    watched, found = watched_examples(kept), zeros(kept.shape, np.float64)
    for rows in blocks(kept.shape[1], len(kept)):
        found[:, rows] = np.where(watched[rows], kept[:, rows], _NEUTRAL)
    return found
