"""Each built-in score passes the suite for authors of scores, and the suite finds what is wrong."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from goldwatch.core.score_spec import ScoreSpec
from goldwatch.evaluator import BUILT_IN
from goldwatch.testing.scores import Case, ScoreConformance
from goldwatch.worker.evaluators.opened import _IMPORTED_AS


@dataclass(frozen=True)
class Known:
    """A built-in score: its options, cases of arguments and value, and arguments from the best to the worst."""

    cases: Sequence[Case]
    from_best: Sequence[Mapping[str, Any]] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    odd: bool = True


def of(output: Any, answers: Any = None, **more: Any) -> dict[str, Any]:
    return {"output": output} | ({} if answers is None else {"answers": answers}) | more


YES_NO = ["no", "yes"]
LABELS = {"expected": ["no", "yes", "yes", "no"], "classes": YES_NO}
RIGHT, HALF, WRONG = (
    {**LABELS, "output": said.split()} for said in ("no yes yes no", "no yes no yes", "yes no no yes")
)
SURE = [[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.6, 0.4]]
RANKS, TURNED = {**LABELS, "values": SURE}, {**LABELS, "values": [row[::-1] for row in SURE]}
ONE_CLASS = {"expected": ["no"], "classes": YES_NO, "values": [[1.0, 0.0]], "output": ["no"]}
SAME, OTHER = of(["a b c d e"], [["a b c d e"]]), of(["x"], [["a b c d e"]])
VALUES = {"expected": [1.0, 2.0], "output": [1.5, 2.0]}
FAR = {"expected": [1.0, 2.0], "output": [9.0, 2.0]}
VECTORS = [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]]
TAGS = [["B-PER", "O"], ["B-ORG", "I-ORG"]]


def labelled(value: float, *, ranks: bool = False) -> Known:
    return Known(
        [Case(RANKS if ranks else RIGHT, value)], [RANKS, TURNED] if ranks else [RIGHT, HALF, WRONG], odd=False
    )


KNOWN: Mapping[str, Known] = {
    "exact": Known([Case(of("Paris.", ["Paris"]), 1), Case(of("", ["Paris"]), 0)], [of("a", ["a"]), of("b", ["a"])]),
    "contains": Known([Case(of("It is Paris.", ["Paris"]), 1), Case(of("Rome", ["Paris"]), 0)]),
    "number": Known([Case(of("So it is 42.", ["42"]), 1), Case(of("none", ["42"]), 0)]),
    "json": Known([Case(of('{"a": 1.0}', ['{"a": 1}']), 1), Case(of("{", ['{"a": 1}']), 0)]),
    "json-schema": Known([Case(of("3"), 1), Case(of('"x"'), 0)], options={"schema": {"type": "number"}}),
    "regex": Known([Case(of("12"), 1), Case(of("x"), 0)], options={"pattern": r"\d+"}),
    "length": Known([Case(of("a b"), 1), Case(of("a b c"), 0)], options={"most": 2}),
    "token-f1": Known([Case(of("city of Paris", ["Paris"]), 0.5)], [of("a b", ["a b"]), of("a", ["a b"])]),
    "rouge": Known([Case(of("a b", ["a b"]), 1), Case(of("a", ["漢"]), unscored="no answer has one")]),
    "language": Known([Case(of("Das ist ein schöner Tag."), 1), Case(of(""), 0)], options={"code": "de"}),
    "refusal": Known([Case(of("Paris"), 0), Case(of("I'm sorry, no."), 1)], [of("Paris"), of("I can't do that")]),
    "instructions": Known(
        [Case(of("Yes, I do"), 0), Case(of("Yes"), 1)],
        options={"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]},
    ),
    "acc-norm": Known(
        [Case({"expected": "b", "values": [-2.0, -3.0], "classes": list("ab"), "fields.choices": [" x", " xy"]}, 1)]
    ),
    "top-k": Known([Case({"expected": "a", "values": [1, 2, 3], "classes": list("abc")}, 0)], options={"k": 2}),
    "ndcg": Known([Case(of('["a", "b"]', ["a"]), 1), Case(of("", ["a"]), 0)], [of("a\nb", ["a"]), of("b\na", ["a"])]),
    "reciprocal-rank": Known([Case(of("b\na", ["a"]), 0.5)], [of("a\nb", ["a"]), of("b\na", ["a"]), of("b", ["a"])]),
    "recall-at": Known([Case(of("a", ["a", "b"]), 0.5)], [of("a\nb", ["a", "b"]), of("a", ["a", "b"])]),
    "iou": Known([Case(of([[1, 0]], expected=[[1, 0]]), 1), Case(of([[1, 0]], expected=[[1, 1]]), 0.25)]),
    "dice": Known([Case(of([[1, 0]], expected=[[1, 0]]), 1), Case(of([[1, 1]], expected=[[0, 0]]), 0)]),
    "auroc": labelled(1, ranks=True),
    "average-precision": labelled(1, ranks=True),
    "log-loss": labelled(0.299001158, ranks=True),
    "brier": labelled((0.02 + 0.08 + 0.18 + 0.32) / 4, ranks=True),
    "calibration-error": labelled(0.25, ranks=True),
    "precision": labelled(1),
    "recall": labelled(1),
    "f1": labelled(1),
    "balanced-accuracy": labelled(1),
    "mcc": labelled(1),
    "kappa": labelled(1),
    "confusion": Known([Case(HALF, 0.25)], [RIGHT, HALF, WRONG], {"label": "no", "said": "yes"}, odd=False),
    "wer": Known([Case(of(["a x"], [["a b"]]), 0.5)], [SAME, OTHER]),
    "cer": Known([Case(of(["ab"], [["ac"]]), 0.5)], [SAME, of(["a b c d x"], [["a b c d e"]])]),
    "bleu": Known([Case(SAME, 100)], [SAME, OTHER]),
    "corpus-chrf": Known([Case(SAME, 100)], [SAME, OTHER]),
    "ter": Known([Case(of(["a b c x"], [["a b c d"]]), 25)], [SAME, OTHER]),
    "mape": Known([Case(VALUES, 0.25), Case({**VALUES, "expected": [0.0, 1.0]}, unscored="is 0")], [VALUES, FAR]),
    "pinball": Known([Case(VALUES, 0.125)], [VALUES, FAR]),
    "entity-f1": Known([Case({"expected": TAGS, "output": TAGS}, 1), Case({"expected": TAGS, "output": ["", ""]}, 0)]),
    "neighbour-overlap": Known(
        [
            Case({"expected": VECTORS, "output": VECTORS}, 1),
            Case({"expected": [[1.0]], "output": [[1.0]]}, unscored="no 1"),
        ],
        [{"expected": VECTORS, "output": v} for v in (VECTORS, [VECTORS[0], VECTORS[2], VECTORS[1], VECTORS[3]])],
        {"k": 1},
    ),
}


@pytest.mark.parametrize("name", KNOWN)
class TestBuiltIn(ScoreConformance):
    """The suite over each built-in score."""

    tolerance = 1e-8

    @pytest.fixture(autouse=True)
    def _of(self, name: str) -> None:
        self.name, self.known = name, KNOWN[name]
        self.takes_odd_texts = self.known.odd
        for package in BUILT_IN[name].packages:
            if importlib.util.find_spec(_IMPORTED_AS.get(package, package)) is None:
                assert not os.environ.get("CI"), f"{package} is not installed"
                pytest.skip(f"needs {package}")

    def spec(self) -> ScoreSpec:
        return ScoreSpec.built_in(self.name, options=self.known.options)

    def cases(self) -> Sequence[Case]:
        return self.known.cases

    def from_best(self) -> Sequence[Mapping[str, Any]]:
        return self.known.from_best


def test_every_built_in_score_is_held_to_it() -> None:
    assert KNOWN.keys() == BUILT_IN.keys()


BAD = """
seen = []

def moody(output: str) -> float:
    seen.append(output)
    return len(seen) % 2

def fragile(output: str) -> float:
    return 1 / len(output)

def turned(output: str) -> float:
    return 0.0 if output == "good" else 1.0

def greedy(output: str, answers: list) -> float:
    return float(answers.pop() == output)

def last(output: list) -> float:
    return float(output[-1] == "good")
"""


@pytest.mark.parametrize(
    ("function", "test", "over"),
    [
        ("moody", "test_a_value_depends_on_its_example_alone", "examples"),
        ("fragile", "test_any_text_is_an_answer", "examples"),
        ("turned", "test_better_answers_have_better_values", "examples"),
        ("greedy", "test_its_arguments_stay_as_they_are", "examples"),
        ("last", "test_the_order_of_the_examples_does_not_matter", "replay"),
    ],
)
def test_it_finds_what_is_wrong(tmp_path: Path, function: str, test: str, over: str) -> None:
    (tmp_path / "bad_scores.py").write_text(BAD)
    given = of("good", ["good"]) if over == "examples" else of(["bad", "good"], [["good"], ["good"]])

    class Suite(ScoreConformance):
        def spec(self) -> ScoreSpec:
            return ScoreSpec(function, f"bad_scores:{function}", path=str(tmp_path), over=over)

        def cases(self) -> Sequence[Case]:
            return [Case(given, 1.0)]

        def from_best(self) -> Sequence[Mapping[str, Any]]:
            return [of("good", ["good"]), of("bad", ["good"])]

    try:
        with pytest.raises(AssertionError):
            getattr(Suite(), test)()
    finally:
        sys.path.remove(str(tmp_path))
        del sys.modules["bad_scores"]
