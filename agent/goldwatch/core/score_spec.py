"""A score as it crosses the wall to a worker: the callable, its arguments, and the objective."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

MAX_UNSCORED = 0.1
"""With a larger share of the answered examples unscored, a score is unknown."""


class UnscoredReason(StrEnum):
    """Why an answered example has no score. Label values."""

    RAISED = "raised"
    NO_NUMBER = "no_number"
    OUT_OF_RANGE = "out_of_range"
    UNUSABLE = "unusable"
    """The evaluator cannot be called at all, so no example has a score."""


@dataclass(frozen=True, slots=True)
class ScoreSpec:
    """The evaluator `uses` with its arguments, see `goldwatch.config.scores.ScoreEntry`; and the objective, if any.

    `limit` is the least mean that the watch allows, the largest where lower is better; `loss` is how much worse than
    the reference it may be. Both are shares of the scale.
    """

    name: str
    uses: str
    path: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    takes: Mapping[str, str] = field(default_factory=dict)
    gives: str = ""
    scale: tuple[float, float] = (0.0, 1.0)
    over: str = "examples"
    lower_is_better: bool = False
    limit: float | None = None
    loss: float | None = None

    @property
    def has_objective(self) -> bool:
        """Whether a monitor watches it."""
        return self.limit is not None or self.loss is not None


def specs_of(scores: Sequence[Mapping[str, Any]]) -> tuple[ScoreSpec, ...]:
    """Return scores as they are among the settings of a watch."""
    return tuple(ScoreSpec(**{**score, "scale": tuple(score["scale"])}) for score in scores)
