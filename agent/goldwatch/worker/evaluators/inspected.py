"""A scorer of inspect_ai as a score: it is given a state of a task and a target, and gives a grade such as C or I."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

_GRADES = ("C", "I", "P", "N")
_WORDS = ("yes", "no", "true", "false")


def inspected(scorer: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Return a scorer as an evaluator, with inspect_ai's numbers for its grades: C is 1, P 0.5, I and N are 0.

    A value that inspect_ai has no number for, such as a mapping or another letter, is returned as it is: its own
    `value_to_float` would make it 0.
    """
    from inspect_ai.model import ModelOutput  # noqa: PLC0415 - only where such a scorer is named
    from inspect_ai.scorer import Target, value_to_float  # noqa: PLC0415 - as above
    from inspect_ai.solver import TaskState  # noqa: PLC0415 - as above

    number = value_to_float()

    async def score(query: Any, response: str, references: Sequence[str]) -> Any:  # noqa: ANN401 - of any form
        output = ModelOutput.from_content("goldwatch", response)
        state = TaskState("goldwatch", 0, 0, input=str(query), messages=[], output=output)
        found = await scorer(state, Target(list(references)))
        value = getattr(found, "value", None)  # a scorer may give None in place of a Score
        return float(number(value)) if _has_number(value) else value

    return score


def _has_number(value: Any) -> bool:  # noqa: ANN401 - the value of a Score
    """Whether inspect_ai has a number for a value."""
    if not isinstance(value, str):
        return isinstance(value, bool | int | float)
    return value in _GRADES or value.lower() in _WORDS or _is_finite(value)


def _is_finite(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
