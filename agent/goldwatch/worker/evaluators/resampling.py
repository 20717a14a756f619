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
    score: Callable[[Sequence[int]], float], value: float, groups: Sequence[Sequence[int]], units: int
) -> tuple[float, float]:
    """Return a 95 % interval of `value`, within [0, 1]; `score` gives the same of some places of the rows.

    It is all of [0, 1] where the score without some group cannot be had, and that of a share of the `units` where no
    group makes a difference.
    """
    from scipy.special import stdtrit  # noqa: PLC0415 - only a replay that is scored pays for scipy

    if len(groups) < 2:
        return 0.0, 1.0
    everything = {place for group in groups for place in group}
    try:
        without = np.array([score(sorted(everything - set(group))) for group in groups])
    except NoValue:
        return 0.0, 1.0
    count = len(groups)
    spread = float(np.sqrt((count - 1) / count * ((without - value) ** 2).sum()))
    if spread == 0:
        return proportion_interval(value * units, units)
    half = float(stdtrit(count - 1, 0.975)) * spread
    return max(value - half, 0.0), min(value + half, 1.0)
