"""The conformance suite for authors of scores.

Derive a class from `ScoreConformance`, name it `Test...`, and return the score and its values for some examples; pytest
does the rest. The score is called as goldwatch calls it, so the suite sees what a watch would.
"""

# ruff: noqa: S101, D102 - the name of a test is its description

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from goldwatch.core.score_spec import ScoreSpec
from goldwatch.evaluator import ROLES, Unscored
from goldwatch.worker.evaluators.opened import Evaluator, NoValue

ODD_TEXTS = ("", " \n", "\0", "漢字 ß ﷽ 👩‍👩‍👧", "e\u0301 \u202eabc", "{", "[1, 2", "NaN", "-" * 10_000)
"""Answers that models give: a score of text gives a number for each, since an answer is an answer."""


@dataclass(frozen=True)
class Case:
    """The value of a score for arguments by role (see `goldwatch.evaluator.ROLES`) or `fields.NAME`.

    Arguments of a score of the whole replay are lists of all examples, but `classes`. Without a value, the score is
    Unscored for a reason that has the text `unscored`.
    """

    given: Mapping[str, Any]
    value: float | None = None
    unscored: str = ""


class ScoreConformance:
    """The behaviour that the engine relies on in every score."""

    tolerance = 1e-9
    """Difference allowed between values that should be equal."""

    takes_odd_texts = True
    """Whether an answer may be any text. A score of a class, or of numbers, has other answers."""

    def spec(self) -> ScoreSpec:
        """Return the score as the config names it: `ScoreSpec("mine", "mine.checks:polite", path="evaluators")`."""
        raise NotImplementedError

    def cases(self) -> Sequence[Case]:
        """Return examples with the values that the score must have; the first has a value."""
        raise NotImplementedError

    def from_best(self) -> Sequence[Mapping[str, Any]]:
        """Return arguments as those of a case, from the best answers to the worst; by default none."""
        return ()

    def test_each_argument_has_a_source(self) -> None:
        takes = Evaluator(self.spec()).takes
        assert takes, "no parameter of the score receives anything"
        for parameter, source in takes.items():
            role = source.strip("[]")
            assert role in ROLES or role.startswith("fields."), f"{parameter} is given {source!r}, which is no role"

    def test_examples_have_their_values(self) -> None:
        evaluator = Evaluator(self.spec())
        for case in self.cases():
            if case.value is None:
                with pytest.raises(NoValue) as caught:
                    evaluator(_arguments(evaluator, case.given))
                assert isinstance(caught.value.__cause__, Unscored), f"raise goldwatch.evaluator.Unscored: {caught}"
                assert case.unscored in str(caught.value)
            else:
                assert evaluator(_arguments(evaluator, case.given)) == pytest.approx(case.value, abs=self.tolerance)

    def test_a_value_depends_on_its_example_alone(self) -> None:
        """A score that keeps a state would change without a change of the model."""
        evaluator, known = Evaluator(self.spec()), [case.given for case in self.cases() if case.value is not None]
        once = [evaluator(_arguments(evaluator, given)) for given in known]
        again = [evaluator(_arguments(evaluator, given)) for given in reversed(known)]
        assert again[::-1] == once

    def test_its_arguments_stay_as_they_are(self) -> None:
        """Other scores receive the same objects."""
        evaluator = Evaluator(self.spec())
        arguments = _arguments(evaluator, self.cases()[0].given)
        before = copy.deepcopy(arguments)
        evaluator(arguments)
        assert arguments == before

    def test_better_answers_have_better_values(self) -> None:
        evaluator = Evaluator(self.spec())
        values = [evaluator(_arguments(evaluator, given)) for given in self.from_best()]
        assert values == sorted(values, reverse=not self.spec().lower_is_better), "is `better` right?"

    def test_any_text_is_an_answer(self) -> None:
        """Empty, odd and broken answers have a score, or a reason given by Unscored. A crash is neither."""
        evaluator, case = Evaluator(self.spec()), self.cases()[0]
        if not (self.takes_odd_texts and _is_text(case.given.get("output"))):
            pytest.skip("its answers are no text")
        for text in ODD_TEXTS:
            output = text if isinstance(case.given["output"], str) else [text] * len(case.given["output"])
            problem = _crash(evaluator, _arguments(evaluator, {**case.given, "output": output}))
            assert not problem, f"{text[:20]!r} is no answer to it: {problem}"

    def test_the_order_of_the_examples_does_not_matter(self) -> None:
        evaluator = Evaluator(self.spec())
        if not evaluator.whole:
            pytest.skip("it is of one example")
        for case in self.cases():
            if case.value is not None:
                turned = {role: v if role == "classes" else list(v)[::-1] for role, v in case.given.items()}
                assert evaluator(_arguments(evaluator, turned)) == pytest.approx(case.value, abs=self.tolerance)

    def test_it_keeps_its_fingerprint(self) -> None:
        """A fingerprint that changes by itself would refuse every reference."""
        assert Evaluator(self.spec()).fingerprint == Evaluator(self.spec()).fingerprint


def _crash(evaluator: Evaluator, arguments: Mapping[str, Any]) -> str:
    """Return why a score has no value, if it is none of the reasons that it gives itself."""
    try:
        evaluator(arguments)
    except NoValue as error:
        return "" if isinstance(error.__cause__, Unscored) else str(error)
    return ""


def _arguments(evaluator: Evaluator, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments by parameter; `expected` and `answers` follow from each other, as for the engine."""
    known = dict(given)
    if "answers" in known and "expected" not in known:
        known["expected"] = [each[0] for each in known["answers"]] if evaluator.whole else known["answers"][0]
    elif "expected" in known and "answers" not in known:
        known["answers"] = [[each] for each in known["expected"]] if evaluator.whole else [known["expected"]]
    found = {}
    for parameter, source in evaluator.takes.items():
        role = source.strip("[]")
        assert role in known, f"the case has no {role}, which {parameter} takes"
        found[parameter] = [known[role]] if source.startswith("[") else known[role]
    return found


def _is_text(output: object) -> bool:
    return isinstance(output, str) or (isinstance(output, list) and all(isinstance(each, str) for each in output))
