"""The budget of false alarms a year for a model, shared by its monitors; it holds however often they look."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

SECONDS_PER_YEAR = 365 * 24 * 3600


def replays_per_year(interval_s: float) -> float:
    """Count the replays of a watch in a year of 365 days. Raises ValueError for an interval that is not positive."""
    if not (interval_s > 0 and math.isfinite(interval_s)):
        raise ValueError(f"the interval between replays must be a positive number of seconds, not {interval_s}")
    return SECONDS_PER_YEAR / interval_s


def threshold_log10(alpha: float) -> float:
    """Return the evidence at which a monitor with `alpha` expected false pages per replay pages, as a log10."""
    return -math.log10(alpha)


@dataclass(frozen=True, slots=True)
class Budget:
    """False alarms per year for one model, and each monitor's weight in it; weights need not sum to one.

    Raises ValueError if the budget or a weight is not positive.
    """

    false_alarms_per_year: float
    weights: Mapping[str, float]

    def __post_init__(self) -> None:
        if not (self.false_alarms_per_year > 0 and math.isfinite(self.false_alarms_per_year)):
            raise ValueError(f"a budget is a positive number of false alarms a year, not {self.false_alarms_per_year}")
        for monitor, weight in self.weights.items():
            if not (weight > 0 and math.isfinite(weight)):
                raise ValueError(f"the weight of monitor {monitor!r} must be positive, not {weight}")

    def share(self, monitor: str) -> float:
        """Return the false alarms per year that `monitor` may spend. Raises KeyError for one without a weight."""
        return self.false_alarms_per_year * self.weights[monitor] / math.fsum(self.weights.values())

    def alpha(self, monitor: str, interval_s: float) -> float:
        """Return the false pages per replay that `monitor` may spend on a watch with this interval in seconds.

        Raises ValueError where the budget is so generous, or replays so rare, that every replay might page.
        """
        alpha = self.share(monitor) / replays_per_year(interval_s)
        if alpha >= 1:
            raise ValueError(
                f"{self.share(monitor):g} false alarms a year for {monitor!r} is one or more for each of its "
                f"{replays_per_year(interval_s):g} replays; ask for fewer, or replay more often"
            )
        return alpha
