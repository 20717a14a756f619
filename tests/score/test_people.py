"""A judge beside people: the figures are those of their definitions, and bad input is told."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.core.people import People
from goldwatch.golden.error import GoldenError
from goldwatch.golden.freeze import freeze
from goldwatch.golden.lines import human_problem
from goldwatch.golden.opened import GoldenSet
from goldwatch.worker.evaluators.people import graded_by_people

from tests.judging.test_judge import N
from tests.judging.test_scores import LINES, TEXTS

COUNT = st.integers(0, 200)


@given(COUNT, COUNT, COUNT, COUNT)
def test_the_figures_are_those_of_scikit_learn(both_good: int, both_bad: int, false_good: int, false_bad: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    found = People(both_good, both_bad, false_good, false_bad)
    if not found.answers:
        assert (found.agreement, found.kappa, found.false_good_rate, found.false_bad_rate) == (None,) * 4
        return
    people = np.repeat([1, 0, 0, 1], [both_good, both_bad, false_good, false_bad])
    judge = np.repeat([1, 0, 1, 0], [both_good, both_bad, false_good, false_bad])
    assert found.agreement == pytest.approx(metrics.accuracy_score(people, judge), abs=1e-9)
    if found.kappa is not None:
        assert found.kappa == pytest.approx(metrics.cohen_kappa_score(people, judge), abs=1e-9)
    for rate, label in ((found.false_good_rate, 0), (found.false_bad_rate, 1)):
        if rate is not None:
            right = metrics.recall_score(people, judge, pos_label=label)
            assert rate == pytest.approx(1 - right, abs=1e-9)


@pytest.mark.parametrize(
    ("human", "says"),
    [
        ({"grounded": 4}, "human must be a list such as"),
        ([{"answer": "Paris"}], "human must be a list such as"),
        ([{"answer": 3, "grades": {"grounded": 4}}], "human must be a list such as"),
        ([{"answer": "Paris", "grades": {}}], "human must be a list such as"),
        ([{"answer": "Paris", "grades": {"grounded": True}}], 'human has the grade "true" for "grounded"'),
        ([{"answer": "Paris", "grades": {"grounded": math.inf}}], 'human has the grade "Infinity" for "grounded"'),
        ([{"answer": "Paris", "grades": {"grounded": "4"}}], "expected a number"),
    ],
)
def test_what_is_wrong_with_a_line_is_told(human: Any, says: str) -> None:
    assert says in human_problem(human)


def set_with(folder: Path, names: list[str], human: Any) -> GoldenSet:
    tensors = {"reference.right": np.full((2, N), 10), "slices.half": np.arange(N) * 2 // N}
    lines = [dict(line) for line in LINES]
    lines[3]["human"] = human
    return freeze(folder / "set", {**TEXTS, "human": names}, tensors, lines)


def test_a_set_keeps_what_people_said(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    answers = [{"answer": "Rome", "grades": {"grounded": 1, "polite": 5}}, {"answer": "Paris", "grades": {"polite": 4}}]
    golden = set_with(tmp_path, ["grounded", "polite"], answers)
    assert golden.manifest.format == 6
    assert [(a.example, a.text, a.grade) for a in graded_by_people(golden, "polite")] == [
        (3, "Rome", 5),
        (3, "Paris", 4),
    ]
    assert [a.text for a in graded_by_people(golden, "grounded")] == ["Rome"]
    assert graded_by_people(golden, "other") == []
    with pytest.raises(GoldenError, match=r'examples.jsonl:4: human has a grade for "polite", which golden.json does'):
        set_with(tmp_path_factory.mktemp("other"), ["grounded"], answers).check_values()
