"""Intervals of scores of a whole replay, by the delete-a-group jackknife over examples, or over clusters of them.

Twenty evaluations in place of the hundreds of a bootstrap: a corpus score may take seconds (Kott, Journal of Official
Statistics 17 (2001) 521-526).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from goldwatch.worker.evaluators.clusters import Clusters
from goldwatch.worker.evaluators.means import proportion_interval
from goldwatch.worker.evaluators.opened import NoValue

_GROUPS = 20
_SEED = 20260101


def groups_of(rows: Sequence[int], clusters: Clusters | None) -> tuple[list[list[int]], int]:
    """Return the places of the rows in groups at random, and how many units there are: clusters, or single examples.

    Those of one cluster are in one group.
    """
    codes = [-1] * len(rows) if clusters is None else clusters.codes[np.asarray(rows)].tolist()
    units = [code if code >= 0 else -1 - place for place, code in enumerate(codes)]
    distinct = sorted(set(units))
    count = min(_GROUPS, len(distinct))
    order = np.random.default_rng(_SEED).permutation(len(distinct)).tolist()
    group = {unit: place % count for unit, place in zip(distinct, order, strict=True)}
    found: list[list[int]] = [[] for _ in range(count)]
    for place, unit in enumerate(units):
        found[group[unit]].append(place)
    return found, len(distinct)


def interval(
    score: Callable[[Sequence[int]], float],
    value: float,
    groups: Sequence[Sequence[int]],
    units: int,
    scale: tuple[float, float | None] = (0.0, 1.0),
) -> tuple[float, float]:
    """Return a 95 % interval of `value`, within its scale; `score` gives the same of some places of the rows.

    It is the whole scale where the score without some group cannot be had, and that of a share of the `units` where no
    group makes a difference. A scale without an end ends for this at twice the value, or 1 above its low end if that
    is more.
    """
    from scipy.special import stdtrit  # noqa: PLC0415 - only a replay that is scored pays for scipy

    low = scale[0]
    high = low + max(1.0, 2 * (value - low)) if scale[1] is None else scale[1]
    if len(groups) < 2:
        return low, high
    everything = {place for group in groups for place in group}
    try:
        without = np.array([score(sorted(everything - set(group))) for group in groups])
    except NoValue:
        return low, high
    count = len(groups)
    spread = float(np.sqrt((count - 1) / count * ((without - value) ** 2).sum()))
    if spread == 0:
        share = (value - low) / (high - low)
        least, most = proportion_interval(share * units, units)
        return low + least * (high - low), low + most * (high - low)
    half = float(stdtrit(count - 1, 0.975)) * spread
    return max(value - half, low), value + half if scale[1] is None else min(value + half, high)
