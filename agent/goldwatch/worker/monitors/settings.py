"""The settings of a watch's monitors and scores: what crosses the wall to the workers that judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from goldwatch.core.figures import Ceiling
from goldwatch.core.score_spec import ScoreSpec, specs_of


@dataclass(frozen=True, slots=True)
class Settings:
    """A watch's settings for its monitors.

    `alphas` has the false pages per look that each may spend (see `MonitorKind.interval_s`), None for one of facts.
    `latency_limit_s` and `latency_quantile` are the objective of *slow*, `output_distance` is that of *moved* and
    `slowdown` that of *slower*, `gap` (the fields of its section) that of *gap*, `ceilings` (the fields of Ceiling)
    those of *costly*; none exists without it.
    `interval_s` is the mean time between replays, `measured_every_s` that between measurements of energy and cost;
    `load` names how replays are made, `meters` what else figures of energy and cost depend on. `live` has what
    *drift* needs: the fields `reference`, `inputs`, `tolerance`, `rows`, `requests`, `clusters`, `season`, `time` and
    `learn` of the section, the mean time between replays, `every_s`, and the maximum duration of a window,
    `longest_s`; *schema* needs that too. `scores` has the fields of a ScoreSpec for each score of the watch.
    """

    accuracy_loss: float
    error_rate: float
    alphas: Mapping[str, float | None]
    latency_limit_s: float | None = None
    latency_quantile: float = 0.99
    output_distance: float | None = None
    gap: Mapping[str, Any] | None = None
    slowdown: float | None = None
    interval_s: float = 0.0
    load: str = ""
    ceilings: Sequence[Mapping[str, Any]] = ()
    measured_every_s: float = 0.0
    meters: str = ""
    live: Mapping[str, Any] | None = None
    scores: Sequence[Mapping[str, Any]] = ()

    def alpha(self, name: str) -> float:
        """Return what a monitor may spend, by its name. Raises ValueError for one that spends nothing."""
        alpha = self.alphas[name]
        if alpha is None:
            raise ValueError(f"the monitor {name!r} spends, and may spend nothing")
        return alpha

    @property
    def most(self) -> tuple[Ceiling, ...]:
        """The objectives of *costly*."""
        return tuple(Ceiling(**ceiling) for ceiling in self.ceilings)

    @property
    def specs(self) -> tuple[ScoreSpec, ...]:
        """The scores of the watch."""
        return specs_of(self.scores)
