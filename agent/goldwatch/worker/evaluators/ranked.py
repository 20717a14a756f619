"""The built-in scores of rankings: documents that a retriever returned, best first, and classes by their numbers.

A ranking is a list of names, as a list, as the JSON of one, or one name a line; the accepted answers are the relevant
documents. A document that is listed twice counts where it is first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from goldwatch.errors import GoldwatchError
from goldwatch.evaluator import Unscored
from goldwatch.worker.evaluators.matching import ranking


def ndcg(output: Any, answers: Sequence[Any], k: int = 10) -> float:  # noqa: ANN401 - text or a list
    """Return the normalised discounted cumulative gain of the first `k`, of binary relevance (Järvelin 2002)."""
    relevant = _relevant(answers)
    gains = (1 / math.log2(place + 2) for place, name in enumerate(_ranked(output, k)) if name in relevant)
    return sum(gains) / sum(1 / math.log2(place + 2) for place in range(min(k, len(relevant))))


def reciprocal_rank(output: Any, answers: Sequence[Any], k: int = 1000) -> float:  # noqa: ANN401 - as above
    """Return 1 over the place of the first relevant document, 0 if none is among the first `k`. Its mean is the MRR."""
    relevant = _relevant(answers)
    return next((1 / (place + 1) for place, name in enumerate(_ranked(output, k)) if name in relevant), 0.0)


def recall_at(output: Any, answers: Sequence[Any], k: int = 10) -> float:  # noqa: ANN401 - as above
    """Return the share of the relevant documents that are among the first `k`."""
    relevant = _relevant(answers)
    return sum(name in relevant for name in _ranked(output, k)) / len(relevant)


def top_k(expected: str, values: Sequence[float], classes: Sequence[str], k: int = 5) -> bool:
    """Whether the true class is among the `k` classes of the largest values; of equal ones the later is first."""
    label = classes.index(expected)
    own = values[label]
    return sum(v > own or (v == own and place > label) for place, v in enumerate(values)) < _positive(k)


def acc_norm(expected: str, values: Sequence[float], classes: Sequence[str], choices: Sequence[str | None]) -> bool:
    """Whether the right choice has the largest log-likelihood a letter; of equal ones the first is chosen.

    It is `acc_norm` of lm-eval: blanks before a choice are no letters of it. A choice that is None has none.
    """
    if len(choices) != len(values):
        raise Unscored(f"the question has {len(choices)} choices, and {len(values)} log-likelihoods")
    by_letter = [
        -math.inf if choice is None else value / max(len(choice.lstrip()), 1)
        for choice, value in zip(choices, values, strict=True)
    ]
    return by_letter.index(max(by_letter)) == classes.index(expected)


def _relevant(answers: Sequence[Any]) -> set[str]:
    found = {str(each) for each in answers}
    if not found:
        raise Unscored("the query has no relevant document")
    return found


def _ranked(output: Any, k: int) -> list[str]:  # noqa: ANN401 - as above
    return list(dict.fromkeys(map(str, listed(output))))[: _positive(k)]


def _positive(k: int) -> int:
    if k < 1:
        raise GoldwatchError(f"the option k is {k}; write 1 or more")
    return k


def listed(output: Any) -> list[Any]:  # noqa: ANN401 - as above
    """Return a list, that of a JSON text, or the lines of another text."""
    if isinstance(output, str):
        return ranking(output)
    return list(output) if isinstance(output, Sequence) else [output]
