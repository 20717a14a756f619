"""How much the days of a reference differ, beyond what the week and the sample explain. Runs in a worker.

A block of a day has thousands of rows, so it notices what one day has and another has not. `live.tolerance` has to
cover that: three standard deviations of the day means do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from goldwatch.worker.drift.features import canonical
from goldwatch.worker.monitors.columns import Categories, IntArray, Numbers, Values
from goldwatch.worker.monitors.detector import FloatArray
from goldwatch.worker.monitors.season import DAY_H, Usual

MIN_DAYS = 14
_MIN_ROWS = 30  # of a day
_WEEK = 7
_CERTAIN = 2.0  # standard errors


def wander(usual: Usual, table: Mapping[str, Values], hours: IntArray) -> dict[str, float]:
    """Return the standard deviation of the day means of each column that has one for certain, by name.

    `table` has the reference rows, and `hours` [rows] the numbers of the hours that they are of. The mean is that of
    the place of numbers (see `columns`), and of categories the share of the commonest, as if that were one half. Empty
    for fewer than 14 days, two of each day of the week.
    """
    found = {}
    for name, kind in usual.kinds.items():
        values = _of_row(kind, table[name])
        if values is not None and (spread := _spread(values, hours // DAY_H)) > 0:
            found[name] = spread
    return found


def _of_row(kind: Numbers | Categories, values: Values) -> FloatArray | None:
    """Return a number for each row [rows] whose mean is watched; None for a column of one value."""
    if isinstance(kind, Numbers):
        if not kind.deciles.size:
            return None
        numbers = values.astype(np.float64)
        at = np.searchsorted(kind.deciles, numbers)
        return np.asarray(np.where(np.isnan(numbers), kind.places[-1], kind.places[:-1][at]))
    if not kind.names:
        return None
    commonest = kind.names[int(np.argmax(kind.count(values)[: len(kind.names)]))]
    inside = np.array([canonical(value) == commonest for value in values.tolist()], dtype=np.float64)
    share = float(inside.mean())
    return None if share in (0.0, 1.0) else inside / (4 * share * (1 - share))


def _spread(values: FloatArray, days: IntArray) -> float:
    """Return how much the means of days vary, less what their rows explain; 0 where it may be nothing."""
    numbers, day, rows = np.unique(days, return_inverse=True, return_counts=True)
    whole = rows >= _MIN_ROWS
    if whole.sum() < MIN_DAYS:
        return 0.0
    means = np.bincount(day, values) / rows
    spread = np.maximum(np.bincount(day, values**2) / rows - means**2, 0.0) / np.maximum(rows - 1, 1)
    excess, sampling, degrees = 0.0, 0.0, 0
    for weekday in range(_WEEK):
        own = whole & (numbers % _WEEK == weekday)
        if own.sum() > 1:
            excess += float(((means[own] - means[own].mean()) ** 2).sum())
            sampling += float(spread[own].mean()) * (int(own.sum()) - 1)
            degrees += int(own.sum()) - 1
    if not degrees or excess - sampling <= _CERTAIN * sampling * math.sqrt(2 / degrees):
        return 0.0
    return math.sqrt((excess - sampling) / degrees)
