"""The section `scores`: the evaluators that watches may name, and what a watch may ask of a score."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, Strict, field_validator, model_validator

from goldwatch.config import quantities as q
from goldwatch.config.base import Quantity, Section
from goldwatch.evaluator import ACCURACY, BUILT_IN

TASK_SCORES = frozenset(
    {"accuracy", "agreement", "macro_f1", "top5_accuracy", "chrf", "token_f1", "closeness", "cosine_similarity"}
    | {"mae", "rmse", "r2"}
)
"""The scores that the task of a golden set has by itself."""

_CALLABLE = r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*"
_USES = rf"^({_CALLABLE}|[a-z0-9][a-z0-9_-]*)$"


def _parse_uses(value: object) -> str:
    if not (isinstance(value, str) and re.fullmatch(_USES, value)):
        raise q.QuantityError(
            value, "is not an evaluator; write module:function, a built-in score, or an entry point of goldwatch.scores"
        )
    return value


Uses = Annotated[str, Quantity(_parse_uses, str, _USES, ("mine.checks:polite", "json-schema"))]


_TimeLimit = Annotated[
    float,
    Quantity(lambda value: q.parse_duration(value, 0.1, 600), q.format_duration, q.DURATION_PATTERN, ("30s",)),
]
_Deadline = Annotated[
    float, Quantity(lambda value: q.parse_duration(value, 1, 3600), q.format_duration, q.DURATION_PATTERN, ("2m",))
]


LEAST_CONTROLS = 10
"""Fewer controls could hardly show a change of the judge."""


class Judge(Section):
    """A judge of a score: the target that grades, what it is asked, and how often it may be asked."""

    target: str = Field(
        min_length=1,
        description="The target that grades the answers, of the probe openai; its `model` is part of the score.",
    )
    prompt: str = Field(
        min_length=1,
        description="What it is asked: a shipped prompt by name, or a text or .prompty file relative to the config.",
    )
    at_least: float | None = Field(
        default=None, description="The lowest grade that passes: the score is then the share of answers that pass."
    )
    controls: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="How many answers of the reference, half of them to another question, it grades in each replay, "
        "so that a judge that changes is noticed; 0 for none.",
    )
    calls: int = Field(
        default=1000,
        ge=1,
        le=1_000_000,
        description="The most calls for one replay, besides those for the controls.",
    )
    in_flight: int = Field(default=4, ge=1, le=64, description="The most calls at a time.")
    time_limit_s: _TimeLimit = Field(default=30.0, alias="time_limit", description="A call is given up after this.")
    deadline_s: _Deadline = Field(default=120.0, alias="deadline", description="No call begins after this.")


class ScoreEntry(Section):
    """A score: which callable or judge gives it, with what arguments, and on which scale."""

    uses: Uses = Field(
        default="",
        description="What gives the number of one example: module:function, a built-in score, or the name of an "
        "installed entry point of the group goldwatch.scores.",
    )
    judge: Judge | None = Field(
        default=None, description="A target that grades each answer by a prompt; written in place of `uses`."
    )
    path: str = Field(
        default="", description="The folder that the module is imported from, relative to that of the config."
    )
    options: Mapping[str, JsonValue] = Field(
        default_factory=dict, description="Further arguments of the function, or those of the class if it is one."
    )
    takes: Mapping[str, str] = Field(
        default_factory=dict,
        description="What a parameter is given, where its name does not tell: input, output, expected, answers, "
        "classes, values, or fields.NAME; in brackets, as a list of one.",
    )
    gives: str = Field(
        default="", description="The key of the result that is the score, where there are several; dots lead into it."
    )
    scale: Annotated[tuple[float, float | None], Strict(False)] = Field(  # a list in the file
        default=(0.0, 1.0),
        description="The least and the largest value, which may be empty with `over: replay`; that of a built-in score "
        "by default.",
    )
    over: Literal["examples", "replay"] = Field(
        default="examples",
        description="What it is called with: one example, or with `replay` the lists of all answered examples at once.",
    )
    better: Literal["higher", "lower"] = Field(
        default="higher", description="Which values are good; known of a built-in score."
    )

    @model_validator(mode="before")
    @classmethod
    def _as_built_in(cls, entry: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        """Fill in the missing keys of a built-in score from the table."""
        known = BUILT_IN.get(str(entry.get("uses"))) if isinstance(entry, Mapping) else None
        return entry if known is None else {"scale": known.scale, "over": known.over, "better": known.better, **entry}

    @model_validator(mode="after")
    def _has_one_source(self) -> ScoreEntry:
        if (self.judge is None) == (not self.uses):
            raise ValueError("write one of `uses` and `judge`: what gives the number of one example")
        if self.judge is None:
            return self
        for key in ("path", "options", "gives"):
            if getattr(self, key):
                raise ValueError(f"`{key}` is of a function; a judge has none")
        if 0 < self.judge.controls < LEAST_CONTROLS:
            raise ValueError(f"`controls` are too few to tell anything; write {LEAST_CONTROLS} or more, or 0 for none")
        if self.judge.at_least is not None and self.better == "lower":
            raise ValueError("`at_least` is the lowest grade that passes; leave `better: lower` out")
        if self.over == "replay":
            raise ValueError("a judge grades one example; leave `over` out")
        return self

    @field_validator("scale")
    @classmethod
    def _rises(cls, scale: tuple[float, float | None]) -> tuple[float, float | None]:
        low, high = scale
        if not math.isfinite(low) or (high is not None and not math.isfinite(high)):
            raise ValueError("the scale is not finite; leave the largest value empty where there is none: [0, null]")
        if high is not None and not low < high:
            raise ValueError(f"the scale [{low:g}, {high:g}] does not rise; write the least value first")
        return scale

    @model_validator(mode="after")
    def _fits(self) -> Self:
        known = BUILT_IN.get(self.uses)
        if known is not None and known.over != self.over:
            raise ValueError(f"{self.uses} is over {known.over}; leave `over` out")
        if self.scale[1] is None and self.over == "examples":
            raise ValueError("a scale without an end needs `over: replay`; write the largest value too")
        return self


@dataclass(frozen=True, slots=True)
class ScoreObjective:
    """The objective of a score: the `limit` of its mean, or how much it may be worse than the reference, `loss`.

    `limit` is the least mean, or the largest if `at_most`. Both are on the score's own scale; those in `percent`, or
    points, are shares of a scale that begins at 0.
    """

    limit: float | None = None
    at_most: bool = False
    loss: float | None = None
    percent: bool = False

    def __str__(self) -> str:
        if self.loss is not None:
            return q.format_points(self.loss) if self.percent else f"no worse than {self.loss:g}"
        limit = self.limit or 0.0
        return (
            f"at {'most' if self.at_most else 'least'} {q.format_percentage(limit) if self.percent else f'{limit:g}'}"
        )

    def on(self, scale: tuple[float, float | None]) -> ScoreObjective:
        """Return the same on the score's own scale."""
        if not self.percent or scale[1] is None:
            return self
        limit, loss = (None if share is None else share * scale[1] for share in (self.limit, self.loss))
        return ScoreObjective(limit, self.at_most, loss)

    def problem(self, scale: tuple[float, float | None]) -> str:
        """Return why a score of this scale cannot have it, empty if it can."""
        low, high = scale
        if self.percent and (low != 0 or high is None):
            written = f"from {low:g} to {high:g}" if high is not None else f"from {low:g} on"
            return f"`{self}` is a share of the scale, which is {written}; write a value, such as {self._example}"
        found, end = self.on(scale), math.inf if high is None else high
        if found.limit is not None and not low < found.limit < end:
            return f"`{self}` is not within the scale; write more than {low:g} and less than {end:g}"
        if found.loss is not None and not 0 < found.loss < end - low:
            return f"`{self}` is more than the scale has; write more than 0 and less than {end - low:g}"
        return ""

    @property
    def _example(self) -> str:
        if self.loss is not None:
            return "no worse than 0.1"
        return "at most 0.1" if self.at_most else "at least 0.5"


_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_LOSS = rf"^no +worse +than +{_NUMBER}$"
_LIMIT = rf"^at +(?:least|most) +(?:{_NUMBER} *%|-?{_NUMBER})$"
OBJECTIVE_PATTERN = rf"{q.POINTS_PATTERN}|{_LOSS}|{_LIMIT}"


def parse_objective(value: object) -> ScoreObjective:
    """Read `no worse than 1 point`, `no worse than 0.05`, `at least 95%` or `at most 0.2`. Raises QuantityError."""
    if not (isinstance(value, str) and re.search(OBJECTIVE_PATTERN, value.strip())):
        raise q.QuantityError(
            value,
            "is not an objective of a score; write no worse than 1 point, no worse than 0.05, at least 95%, or "
            "at most 0.2",
        )
    text = value.strip()
    percent, number = text.endswith(("%", "point", "points")), text.split(None, 2)[-1]
    if not text.startswith("at "):
        return ScoreObjective(loss=q.parse_points(text) if percent else float(text.split()[-1]), percent=percent)
    limit = q.parse_percentage(number) if percent else float(number)
    return ScoreObjective(limit=limit, at_most=text.split()[1] == "most", percent=percent)


def _format_size(share: float) -> str:
    return q.format_points(share).removeprefix("no worse than ")


_Size = Annotated[float | None, Quantity(q.parse_gap, _format_size, q.GAP_PATTERN, ("5 points",))]


class Gap(Section):
    """How far a score may differ between the values of one slice of the golden set: between groups of people, say."""

    score: str = Field(
        default=ACCURACY,
        min_length=1,
        description="The score that is compared: accuracy, which needs labels, or one of the scores of the watch.",
    )
    slice: str = Field(min_length=1, description="The slice of the golden set whose values are compared.")
    at_most: _Size = Field(
        default=None,
        alias="at most",
        description="The largest difference between two values of the slice, such as 5 points; a point is a hundredth "
        "of the scale of the score.",
    )
    growth: _Size = Field(
        default=None,
        alias="no worse than",
        description="In place of `at most`: by how much such a difference may exceed that of the validated model.",
    )

    @model_validator(mode="after")
    def _has_one_limit(self) -> Gap:
        if (self.at_most is None) == (self.growth is None):
            raise ValueError("write one of `at most` and `no worse than`: how far the values of the slice may be apart")
        return self

    def __str__(self) -> str:
        if self.at_most is not None:
            return f"at most {_format_size(self.at_most)}"
        return q.format_points(self.growth or 0.0)


Objective = Annotated[
    ScoreObjective,
    Quantity(parse_objective, str, OBJECTIVE_PATTERN, ("no worse than 1 point", "at least 95%", "at most 0.2")),
]
