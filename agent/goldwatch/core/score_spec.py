"""A score as it crosses the wall to a worker: the callable, its arguments, and the objective."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from goldwatch.evaluator import BUILT_IN

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

    `scale` has the least and the largest value; the latter is None for a score of the whole replay without an end.
    `limit` is the least mean that the watch allows, the largest where lower is better; `loss` is how much worse than
    the reference it may be. Both are on the scale, as is all that is shown and exported of a score. Monitors bet on
    shares of the scale, from 0 to 1: `to_share` and `from_share` convert.
    """

    name: str
    uses: str
    path: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    takes: Mapping[str, str] = field(default_factory=dict)
    gives: str = ""
    scale: tuple[float, float | None] = (0.0, 1.0)
    over: str = "examples"
    lower_is_better: bool = False
    limit: float | None = None
    loss: float | None = None

    @property
    def has_objective(self) -> bool:
        """Whether a monitor watches it."""
        return self.limit is not None or self.loss is not None

    @classmethod
    def built_in(cls, name: str, **changes: Any) -> ScoreSpec:  # noqa: ANN401 - fields of several types
        """Return a built-in score with its scale, under its own name."""
        known = BUILT_IN[name]
        of = {"scale": known.scale, "over": known.over, "lower_is_better": known.better == "lower"}
        return cls(**{"name": name, "uses": name, **of, **changes})

    @property
    def span(self) -> float:
        """The length of the scale. Raises ValueError if it has no end."""
        low, high = self.scale
        if high is None:
            raise ValueError(f"the scale of {self.name} has no end")
        return high - low

    def to_share(self, value: Any) -> Any:  # noqa: ANN401 - a number or an array; the agent has no numpy
        """Return a value as a share of the scale."""
        return (value - self.scale[0]) / self.span

    def from_share(self, share: Any) -> Any:  # noqa: ANN401 - as above
        """Return the value of a share of the scale."""
        return self.scale[0] + share * self.span

    def difference(self, change: float) -> str:
        """Write a difference of two values, without a sign: `2 points`, or the number on a scale other than 0 to 1."""
        return points(abs(change)) if self.scale == (0.0, 1.0) else f"{abs(change):g}"


def points(change: float) -> str:
    """Write a difference on a scale from 0 to 1: `2 points`."""
    shown = f"{change * 100:g}"
    return f"{shown} point{'' if shown == '1' else 's'}"


def specs_of(scores: Sequence[Mapping[str, Any]]) -> tuple[ScoreSpec, ...]:
    """Return scores as they are among the settings of a watch."""
    return tuple(ScoreSpec(**{**score, "scale": tuple(score["scale"])}) for score in scores)
