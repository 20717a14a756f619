"""The section `scores`: the evaluators that watches may name, and what a watch may ask of a score."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, JsonValue, Strict, field_validator

from goldwatch.config import quantities as q
from goldwatch.config.base import Quantity, Section

TASK_SCORES = frozenset(
    {"accuracy", "agreement", "macro_f1", "top5_accuracy", "chrf", "token_f1", "closeness", "cosine_similarity"}
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


class ScoreEntry(Section):
    """A score: which callable gives it, with what arguments, and on which scale."""

    uses: Uses = Field(
        description="What gives the number of one example: module:function, a built-in score, or the name of an "
        "installed entry point of the group goldwatch.scores."
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
        "values, or fields.NAME; in brackets, as a list of one.",
    )
    gives: str = Field(
        default="", description="The key of the result that is the score, where there are several; dots lead into it."
    )
    scale: Annotated[tuple[float, float], Strict(False)] = Field(  # a list in the file
        default=(0.0, 1.0), description="The least and the largest value. It is shown on a scale from 0 to 1."
    )
    over: Literal["examples", "replay"] = Field(
        default="examples",
        description="What it is called with: one example, or with `replay` the lists of all answered examples at once.",
    )
    better: Literal["higher", "lower"] = Field(default="higher", description="Which values are good.")

    @field_validator("scale")
    @classmethod
    def _rises(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if not scale[0] < scale[1]:
            raise ValueError(f"the scale [{scale[0]:g}, {scale[1]:g}] does not rise; write the least value first")
        return scale


@dataclass(frozen=True, slots=True)
class ScoreObjective:
    """The objective of a score: the `limit` of its mean, or how much it may be worse than the reference, `loss`.

    Both are shares of the scale. `limit` is the least mean, or the largest if `at_most`.
    """

    limit: float | None = None
    at_most: bool = False
    loss: float | None = None

    def __str__(self) -> str:
        if self.loss is not None:
            return q.format_points(self.loss)
        return f"at {'most' if self.at_most else 'least'} {q.format_percentage(self.limit or 0.0)}"


_LIMIT = r"^at +(?:least|most) +[0-9]+(?:\.[0-9]+)? *%$"
OBJECTIVE_PATTERN = rf"{q.POINTS_PATTERN}|{_LIMIT}"


def parse_objective(value: object) -> ScoreObjective:
    """Read `no worse than 1 point`, `at least 95%` or `at most 5%`. Raises QuantityError."""
    if not (isinstance(value, str) and re.search(OBJECTIVE_PATTERN, value.strip())):
        raise q.QuantityError(
            value, "is not an objective of a score; write no worse than 1 point, at least 95%, or at most 5%"
        )
    text = value.strip()
    if not text.startswith("at "):
        return ScoreObjective(loss=q.parse_points(text))
    share = q.parse_percentage(text.split(None, 2)[2])
    return ScoreObjective(limit=share, at_most=text.split()[1] == "most")


Objective = Annotated[
    ScoreObjective,
    Quantity(parse_objective, str, OBJECTIVE_PATTERN, ("no worse than 1 point", "at least 95%", "at most 5%")),
]
