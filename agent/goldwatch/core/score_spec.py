"""A score as it crosses the wall to a worker: the callable, its arguments, and the objective."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from goldwatch.evaluator import BUILT_IN

if TYPE_CHECKING:
    from goldwatch.config.model import NamedJudge  # the worker that judges has no use for the config
    from goldwatch.config.scores import Judge

_IDENTITY = ("model", "max_tokens", "temperature", "seed", "system", "more")
"""The options of the probe that decide what a judge answers."""

JUDGED = "judge"
"""What a score with a judge has for `uses`."""

MAX_UNSCORED = 0.1
"""With a larger share of the answered examples unscored, a score is unknown."""


class UnscoredReason(StrEnum):
    """Why an answered example has no score. Label values."""

    RAISED = "raised"
    NO_NUMBER = "no_number"
    OUT_OF_RANGE = "out_of_range"
    NOT_JUDGED = "not_judged"
    """A judge was not asked or did not answer: out of time, out of calls, or unreachable."""
    UNUSABLE = "unusable"
    """The evaluator cannot be called at all, so no example has a score."""


@dataclass(frozen=True, slots=True)
class JudgeSpec:
    """A judge as it crosses the wall: the target, the prompt and the limits of one score.

    `factory` and `options` are those of the target's probe. `identity` has the options that decide what the judge
    answers, such as `model`; with `messages` (role, template) and `parameters` of the request it is part of the score's
    fingerprint. Grades are within `scale`; from `at_least` on an answer passes, None keeps the grade. `controls` is how
    many answers of the reference it grades in each replay. `calls` is the most calls of one replay besides these,
    `deadline_s` the most seconds of all of them, `time_limit_s` that of one. `most_per_s` and `tokens_per_s` are the
    budgets of the target. `store` is the file of grades, empty for none.
    """

    target: str
    prompt: str
    factory: str
    options: Mapping[str, Any] = field(repr=False)  # may hold secrets
    identity: Mapping[str, Any]
    messages: tuple[tuple[str, str], ...]
    scale: tuple[float, float]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    at_least: float | None = None
    controls: int = 0
    calls: int = 1000
    in_flight: int = 4
    time_limit_s: float = 30.0
    deadline_s: float = 120.0
    most_per_s: float | None = None
    tokens_per_s: float | None = None
    store: str = ""

    @classmethod
    def of(cls, entry: Judge, named: NamedJudge) -> JudgeSpec:
        """Return the judge of a score in the config."""
        target, prompt = named.target, named.prompt
        return cls(
            target=target.name,
            prompt=prompt.name,
            factory=target.factory,
            options=dict(target.options),
            identity={name: target.options[name] for name in _IDENTITY if name in target.options},
            messages=prompt.messages,
            scale=named.scale,
            parameters=prompt.parameters,
            at_least=entry.at_least,
            controls=entry.controls,
            calls=entry.calls,
            in_flight=entry.in_flight,
            time_limit_s=entry.time_limit_s,
            deadline_s=entry.deadline_s,
            most_per_s=target.most_per_s,
            tokens_per_s=target.most_tokens_per_s,
            store=str(named.store),
        )

    @property
    def meaning(self) -> dict[str, Any]:
        """What decides a grade."""
        return {
            "identity": dict(self.identity),
            "messages": [list(message) for message in self.messages],
            "parameters": dict(self.parameters),
            "scale": list(self.scale),
            "at_least": self.at_least,
        }


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
    judge: JudgeSpec | None = None

    @property
    def meaning(self) -> str:
        """What decides its values, as JSON: neither its name nor its objective."""
        judge = None if self.judge is None else self.judge.meaning
        of = (self.uses, self.path, dict(self.options), dict(self.takes), self.gives, self.scale, self.over, judge)
        return json.dumps(of, sort_keys=True, default=str)

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
    return tuple(
        ScoreSpec(**{**score, "scale": tuple(score["scale"]), "judge": _judge_of(score.get("judge"))})
        for score in scores
    )


def _judge_of(judge: Mapping[str, Any] | None) -> JudgeSpec | None:
    if judge is None:
        return None
    messages = tuple((role, text) for role, text in judge["messages"])
    return JudgeSpec(**{**judge, "messages": messages, "scale": tuple(judge["scale"])})


def controls_problem(specs: Sequence[ScoreSpec], examples: int) -> str:
    """Return why the controls of a judge cannot be had from so many examples; empty if they can.

    An example makes two, its own answer and a foil.
    """
    for spec in specs:
        if spec.judge is not None and spec.judge.controls > 2 * examples:
            return (
                f"scores.{spec.name}.judge.controls: found {spec.judge.controls:,}; expected {2 * examples:,} or "
                f"fewer, two for each of the {examples:,} examples of the golden set"
            )
    return ""


FROZEN_JUDGINGS = (5, 20)
"""How often each control is judged when a set is frozen: for its usual grade, and for how much that varies."""


def judging_limit_s(specs: Sequence[ScoreSpec]) -> float:
    """Return how many seconds the judges of some scores may take for one replay."""
    judges = [spec.judge for spec in specs if spec.judge is not None]
    return sum((2 if judge.controls else 1) * (judge.deadline_s + judge.time_limit_s) for judge in judges)


def freezing_limit_s(specs: Sequence[ScoreSpec]) -> float:
    """Return how many seconds the judges of some scores may take for controls and people's answers of a set."""
    judges = [spec.judge for spec in specs if spec.judge is not None]
    sittings = {True: sum(FROZEN_JUDGINGS) + 1, False: 1}  # one is for the answers that people have graded
    return sum(sittings[judge.controls > 0] * (judge.deadline_s + judge.time_limit_s) for judge in judges)
