"""A replay of a history, as a backtest plays it through the monitors: what a ledger or a table tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from goldwatch.core.figures import Figures
from goldwatch.core.judgement import Difference, Validity


@dataclass(frozen=True, slots=True, eq=False)
class ReplayRecord:
    """One replay of a history. A field that is None, or empty, is not known.

    `outcomes` counts the requests by how they ended, `latencies` the answered ones by seconds. `right` and `answered`
    are bool [n]; `accuracy` is how many examples were right, of how many that were answered. Of the `requests`, of
    which `sent` were sent, `failed` had no good answer; `over` counts those over the latency objective, if
    the history has that count. `figures` are those of energy and cost. A `confirming` one came on top of the schedule.
    """

    at: float
    validity: Validity
    outcomes: Mapping[str, int] = field(default_factory=dict)
    accuracy: tuple[int, int] | None = None
    latencies: Mapping[float, int] = field(default_factory=dict)
    right: NDArray[np.bool_] | None = None
    answered: NDArray[np.bool_] | None = None
    requests: int = 0
    sent: int = 0
    failed: int | None = None
    over: int | None = None
    difference: Difference | None = None
    figures: Figures | None = None
    confirming: bool = False
