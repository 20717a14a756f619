"""Any callable as a score: what its parameters are given, how its result is read, and what is refused."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.core.score_spec import ScoreSpec, UnscoredReason
from goldwatch.evaluator import ROLES, Scored
from goldwatch.worker.evaluators.opened import BadScore, Evaluator, NoValue, number

CHECKS = """
from goldwatch.evaluator import Unscored

def polite(output):
    return "please" in output

async def slow(*, input, output, expected_output, metadata=None, **others):
    return {"name": "x", "value": float(expected_output in output), "comment": "found"}

def short(output, most_words):
    return len(output.split()) <= most_words

def letters(output):
    if not output:
        raise Unscored("an empty text has no letters")
    return len(output) if output != "broken" else 1 / 0

class Threshold:
    def __init__(self, threshold=3):
        self.threshold = threshold

    def __call__(self, *, response, ground_truth, **others):
        return {"f1": 0.5, "f1_threshold": self.threshold, "f1_result": "pass", "other": 3}

class Broken:
    def __init__(self):
        raise RuntimeError("no licence")

constant = 3
"""


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Callable[..., Evaluator]]:
    name = f"checks_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(CHECKS)

    def make(function: str, **values: Any) -> Evaluator:
        return Evaluator(ScoreSpec("mine", f"{name}:{function}", path=str(tmp_path), **values))

    yield make
    sys.path.remove(str(tmp_path))
    sys.modules.pop(name, None)


def test_parameters_are_given_what_their_names_say(made: Callable[..., Evaluator]) -> None:
    assert made("polite").takes == {"output": "output"}
    assert made("slow").takes == {"input": "input", "output": "output", "expected_output": "expected"}
    assert made("short").takes == {"output": "output", "most_words": "fields.most_words"}
    assert made("short", options={"most_words": 2}).takes == {"output": "output"}
    assert made("short", takes={"output": "expected", "most_words": "fields.n"}).takes["output"] == "expected"
    assert made("Threshold").takes == {"response": "output", "ground_truth": "expected"}


def test_functions_coroutines_and_objects_are_called_as_they_are(made: Callable[..., Evaluator]) -> None:
    assert made("polite")({"output": "please"}) == 1.0
    assert made("slow")({"input": "?", "output": "in Paris", "expected_output": "Paris"}) == 1.0
    assert made("short", options={"most_words": 2})({"output": "one two three"}) == 0.0
    assert made("Threshold", options={"threshold": 4})({"response": "", "ground_truth": ""}) == 0.5


def test_what_cannot_be_scored_says_why(made: Callable[..., Evaluator]) -> None:
    letters = made("letters", scale=(0.0, 10.0))
    assert letters({"output": "hello"}) == 5
    for text, reason, says in (
        ("", UnscoredReason.RAISED, "an empty text has no letters"),
        ("broken", UnscoredReason.RAISED, "ZeroDivisionError: division by zero"),
        ("x" * 11, UnscoredReason.OUT_OF_RANGE, "gave 11; its scale is from 0 to 10"),
    ):
        with pytest.raises(NoValue, match=says) as caught:
            letters({"output": text})
        assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("uses", "says"),
    [
        ("nothing_of_this_name:f", "no module nothing_of_this_name in .*; install its package"),
        ("json:nothing", "json is another module already"),
        ("teapot", 'no score "teapot" is built in or installed; there are .*exact'),
    ],
)
def test_what_is_not_there_is_refused(tmp_path: Path, uses: str, says: str) -> None:
    with pytest.raises(BadScore, match=f"scores.mine: {says}"):
        Evaluator(ScoreSpec("mine", uses, path=str(tmp_path)))
    if str(tmp_path) in sys.path:
        sys.path.remove(str(tmp_path))


@pytest.mark.parametrize(
    ("function", "values", "says"),
    [
        ("nothing", {}, "has no nothing"),
        ("constant", {}, "is not a function or a class"),
        ("Broken", {}, "cannot be made: RuntimeError: no licence"),
        ("short", {"options": {"words": 2}}, "has no parameter 'words'"),
        ("polite", {"takes": {"text": "output"}}, "has no parameter 'text'"),
    ],
)
def test_what_cannot_be_called_is_refused(
    made: Callable[..., Evaluator], function: str, values: dict[str, Any], says: str
) -> None:
    with pytest.raises(BadScore, match=says):
        made(function, **values)


def test_the_fingerprint_changes_with_the_code_and_the_arguments_alone(
    made: Callable[..., Evaluator], tmp_path: Path
) -> None:
    found = made("short", options={"most_words": 2}).fingerprint
    assert made("short", options={"most_words": 2}, loss=0.1).fingerprint == found
    assert made("short", options={"most_words": 3}).fingerprint != found
    [file] = tmp_path.glob("*.py")
    file.write_text(CHECKS.replace("<=", "<"))
    assert made("short", options={"most_words": 2}).fingerprint != found


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_a_number_is_read_in_whatever_form_it_is_returned(value: float) -> None:
    forms: tuple[Any, ...] = (
        value,
        [value],
        np.float64(value),
        np.array([value]),
        Scored(value, "because"),
        {"score": value, "n": 3},
        {"value": [value]},
        {"rouge": value, "reason": "none"},
        {"f1": value, "f1_threshold": 3, "precision": 2},
        SimpleNamespace(name="x", score=value, metadata={}),
        SimpleNamespace(value=value),
    )
    assert {number(form) for form in forms} == {value}
    assert number({"a": {"b": value}}, "a.b") == value
    assert number(SimpleNamespace(a={"b": value}), "a.b") == value


@pytest.mark.parametrize("found", [None, float("nan"), "0.5", {}, {"a": 1, "b": 2}, [1, 2], {"score": None}])
def test_what_is_no_number_is_no_score(found: object) -> None:
    with pytest.raises(NoValue) as caught:
        number(found)
    assert caught.value.reason is UnscoredReason.NO_NUMBER


def test_no_name_has_two_roles() -> None:
    every = [name for names in ROLES.values() for name in names]
    assert len(set(every)) == len(every)
