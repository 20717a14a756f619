"""A scorer of inspect_ai as a score: it is given a state of a task and a target, and gives a grade such as C or I."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any


def inspected(scorer: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[float]]:
    """Return a scorer as an evaluator, with inspect_ai's numbers for its grades: C is 1, P 0.5, I and N are 0."""
    from inspect_ai.model import ModelOutput  # noqa: PLC0415 - only where such a scorer is named
    from inspect_ai.scorer import Target, value_to_float  # noqa: PLC0415 - as above
    from inspect_ai.solver import TaskState  # noqa: PLC0415 - as above

    number = value_to_float()

    async def score(query: Any, response: str, references: Sequence[str]) -> float:  # noqa: ANN401 - as the input is
        output = ModelOutput.from_content("goldwatch", response)
        state = TaskState("goldwatch", 0, 0, input=str(query), messages=[], output=output)
        return float(number((await scorer(state, Target(list(references)))).value))

    return score
