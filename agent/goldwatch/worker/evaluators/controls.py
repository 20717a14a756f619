"""Controls of a judge: answers of the reference that it grades again in each replay, so that its own change shows.

Every second one is a foil: an answer that people have graded as bad, where the set has some, or else the reference
answer to another question. They follow from the golden set, which freezes how its judge graded them. Grades are shares
of the scale of the prompt, whatever passes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.core.score_spec import FROZEN_JUDGINGS, MAX_UNSCORED
from goldwatch.golden.opened import GoldenSet
from goldwatch.scratch import zeros
from goldwatch.worker.evaluators.examples import Examples
from goldwatch.worker.evaluators.grading import MOST_TRIES, Judge, NoGrade
from goldwatch.worker.evaluators.opened import BadScore, Evaluator
from goldwatch.worker.evaluators.people import asked, graded_by_people, is_good
from goldwatch.worker.evaluators.scoring import Column


class _Answers(Mapping[str, Any]):
    """Reference outputs as the columns of a replay; those of an example are the ones of another, `shift` later."""

    def __init__(self, golden: GoldenSet, shift: int) -> None:
        self._golden, self._shift = golden, shift

    def __getitem__(self, name: str) -> _Shifted:
        return _Shifted(self._golden.reference_output(name), self._shift, self._golden.examples)

    def __iter__(self) -> Iterator[str]:
        return iter(self._golden.manifest.outputs)

    def __len__(self) -> int:
        return len(self._golden.manifest.outputs)


class _Shifted:
    def __init__(self, values: Any, shift: int, n: int) -> None:  # noqa: ANN401 - an array, or a column of text
        self._values, self._shift, self._n = values, shift, n

    def __getitem__(self, i: int) -> Any:  # noqa: ANN401 - as above
        return self._values[(i + self._shift) % self._n]


def control_examples(count: int, n: int) -> list[tuple[int, int]]:
    """Return the example that each control asks about, and by how many examples its answer is another's."""
    return [(k * n // count, (n // 2 if n > 1 else 0) if k % 2 else 0) for k in range(count)]


def graded(evaluator: Evaluator, golden: GoldenSet, count: int) -> Column:
    """Have the judge grade the controls, and return the grades [count] as shares of its scale. Raises BadScore."""
    judge, found = _judge_of(evaluator), Column.empty(count)
    given = _given(evaluator, judge, golden, count)
    with contextlib.closing(judge.sitting(count * MOST_TRIES)) as sitting:
        for place, grade in enumerate(sitting.grades(given, anew=True)):
            if isinstance(grade, NoGrade):
                found.unscored[grade.reason] += 1
                found.first = found.first or f"control {place}: {grade}"
            else:
                found.values[place] = judge.share(grade)
        found.judging = sitting.used(evaluator.spec.name)
    return found


def _given(evaluator: Evaluator, judge: Judge, golden: GoldenSet, count: int) -> Iterator[Mapping[str, Any]]:
    """Yield what the judge is given for each control. Raises BadScore."""
    examples, spec = Examples(golden), evaluator.spec
    shifts = {shift: examples.readers(judge.takes, _Answers(golden, shift)) for shift in {0, golden.examples // 2}}
    by_people = graded_by_people(golden, spec.name) if spec.judge is not None else []
    bad = [each for each in by_people if spec.judge is not None and not is_good(each.grade, spec.judge, passes=False)]
    foils = asked(judge, golden, [bad[k // 2 % len(bad)] for k in range(1, count, 2)]) if bad else None
    for k, (i, shift) in enumerate(control_examples(count, golden.examples)):
        if k % 2 and foils is not None:
            yield next(foils)
        else:
            yield {name: read(i) for name, read in shifts[shift].items()}


def freeze(evaluator: Evaluator, golden: GoldenSet, count: int) -> NDArray[np.float32]:
    """Have the judge grade the controls as often as the monitor needs [judgings, count], NaN for no grade.

    Raises BadScore where more than a tenth of the controls are without a grade in some judging.
    """
    found = zeros((sum(FROZEN_JUDGINGS), count), np.float32)
    first = ""
    for judging in found:
        one = graded(evaluator, golden, count)
        judging[:] = one.values
        first = first or one.first
    lacking = int(np.isnan(found).any(axis=0).sum())
    if lacking > MAX_UNSCORED * count:
        raise BadScore(
            f"scores.{evaluator.spec.name}.judge: {lacking:,} of {count:,} controls could not be graded each time; the "
            f"first is {first}"
        )
    return found


def _judge_of(evaluator: Evaluator) -> Judge:
    if evaluator.judge is None:
        raise BadScore(f"scores.{evaluator.spec.name} has no judge")
    return evaluator.judge
