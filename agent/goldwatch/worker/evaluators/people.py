"""Answers that people have graded, in the lines of a golden set, and how a judge grades the same ones.

An answer is good from the grade on that passes (`at_least`), or above the middle of the scale of the prompt.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from goldwatch.core.people import People
from goldwatch.core.score_spec import MAX_UNSCORED, JudgeSpec
from goldwatch.golden.opened import GoldenSet
from goldwatch.worker.evaluators.examples import Examples
from goldwatch.worker.evaluators.grading import MOST_TRIES, Judge, NoGrade
from goldwatch.worker.evaluators.opened import BadScore, Evaluator


@dataclass(frozen=True, slots=True)
class GradedAnswer:
    """An answer to an example, and the grade that a person gave it."""

    example: int
    text: str
    grade: float


class OneAnswer(Mapping[str, Any]):
    """The answer `text` to whichever example, as the columns of a replay."""

    text = ""

    def __init__(self, golden: GoldenSet) -> None:
        self._outputs = golden.manifest.outputs

    def __getitem__(self, name: str | int) -> Any:  # noqa: ANN401 - a column by its name, or the answer to an example
        return self.text if isinstance(name, int) else self

    def __iter__(self) -> Iterator[str]:
        return iter(self._outputs)

    def __len__(self) -> int:
        return len(self._outputs)


def graded_by_people(golden: GoldenSet, score: str) -> list[GradedAnswer]:
    """Return the answers that people have graded for a score, in the order of the lines. Raises GoldenError."""
    if score not in golden.manifest.human:
        return []
    return [
        GradedAnswer(example, each["answer"], float(each["grades"][score]))
        for example, line in enumerate(golden.lines())
        for each in line.get("human", ())
        if score in each["grades"]
    ]


def is_good(grade: float, judge: JudgeSpec, *, passes: bool = True) -> bool:
    """Say whether a grade on the scale of a judge is one of a good answer; without `passes` by its scale alone."""
    if passes and judge.at_least is not None:
        return grade >= judge.at_least
    return grade > sum(judge.scale) / 2


def asked(judge: Judge, golden: GoldenSet, answers: list[GradedAnswer]) -> Iterator[Mapping[str, Any]]:
    """Yield what the judge is given for each of these answers. Raises BadScore."""
    one = OneAnswer(golden)
    readers = Examples(golden).readers(judge.takes, one)
    for answer in answers:
        one.text = answer.text
        yield {name: read(answer.example) for name, read in readers.items()}


def compared(evaluator: Evaluator, golden: GoldenSet) -> People | None:
    """Have the judge grade what people have graded, and count; None if they have graded nothing. Raises BadScore."""
    spec, judge = evaluator.spec, evaluator.judge
    answers = graded_by_people(golden, spec.name)
    if judge is None or spec.judge is None or not answers:
        return None
    low, high = spec.judge.scale
    for answer in answers:
        if not low <= answer.grade <= high:
            raise BadScore(
                f"scores.{spec.name}: {golden} has the human grade {answer.grade:g} for example {answer.example}; "
                f"expected one on the scale of the judge, from {low:g} to {high:g}"
            )
    counts: Counter[tuple[bool, bool]] = Counter()
    missing, first = 0, ""
    with contextlib.closing(judge.sitting(len(answers) * MOST_TRIES)) as sitting:
        grades = sitting.grades(asked(judge, golden, answers), anew=True)
        for answer, grade in zip(answers, grades, strict=True):
            if isinstance(grade, NoGrade):
                missing, first = missing + 1, first or str(grade)
            else:
                counts[is_good(answer.grade, spec.judge), is_good(grade, spec.judge)] += 1
    if missing > MAX_UNSCORED * len(answers):
        raise BadScore(
            f"scores.{spec.name}.judge: {missing:,} of {len(answers):,} answers graded by people have no grade of the "
            f"judge; the first: {first}"
        )
    return People(counts[True, True], counts[False, False], counts[False, True], counts[True, False])
