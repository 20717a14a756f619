"""The built-in scores, each against its reference or by its examples."""

import importlib.metadata
import importlib.util
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.core.score_spec import ScoreSpec, UnscoredReason
from goldwatch.evaluator import BUILT_IN, ROLES
from goldwatch.worker.evaluators.opened import BadScore, Evaluator, NoValue

PERSON = {"type": "object", "required": ["name"], "properties": {"age": {"type": "number", "multipleOf": 0.5}}}


def score(uses: str, options: dict[str, Any] | None = None, **given: Any) -> float:
    return Evaluator(ScoreSpec.built_in(uses, options=options or {}))(given)


def test_each_has_a_function() -> None:
    for package in ("jiwer", "sacrebleu", "py3langid", "rouge_score"):
        pytest.importorskip(package)
    options: dict[str, dict[str, Any]] = {
        "json-schema": {"schema": {}},
        "regex": {"pattern": "x"},
        "length": {"most": 3},
        "language": {"code": "en"},
        "confusion": {"label": "a", "said": "b"},
        "instructions": {"instruction_id_list": ["punctuation:no_comma"]},
    }
    for name in BUILT_IN:
        takes = Evaluator(ScoreSpec.built_in(name, options=options.get(name, {}))).takes
        assert {source for source in takes.values() if not source.startswith("fields.")} <= set(ROLES)


@pytest.mark.parametrize(
    ("uses", "text", "right"),
    [
        ("exact", "Paris.", True),
        ("exact", "It is Paris.", False),
        ("contains", "It is Paris.", True),
        ("number", "So it is 42.", False),
    ],
)
def test_matches_are_those_of_golden_sets(uses: str, text: str, right: bool) -> None:
    assert score(uses, output=text, answers=["Paris"]) == right


def test_numbers_json_and_words_are_read_out_of_the_text() -> None:
    assert score("number", output="So it is 42.", answers=["42"]) == 1
    assert score("json", output='```json\n{"a": 1.0}\n```', answers=['{"a": 1}']) == 1
    assert score("token-f1", output="the city of Paris", answers=["Paris"]) == 0.5


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ('{"name": "Anna", "age": 30.5}', True),
        ('Here it is:\n```json\n{"name": "Anna"}\n```', True),
        ('{"age": 30}', False),
        ('{"name": "Anna", "age": 30.25}', False),
        ("Anna", False),
        ("", False),
        ('{"name": NaN}', False),
    ],
)
def test_json_fits_its_schema_or_not(text: str, fits: bool) -> None:
    assert score("json-schema", {"schema": PERSON}, output=text) == fits


def test_a_bad_schema_or_pattern_scores_nothing() -> None:
    for uses, options in (("json-schema", {"schema": {"type": 3}}), ("length", {"most": 3, "unit": "pages"})):
        with pytest.raises(NoValue) as caught:
            score(uses, options, output=json.dumps({}))
        assert caught.value.reason is UnscoredReason.RAISED


@pytest.mark.parametrize(
    ("options", "fits"),
    [
        ({"most": 3}, True),
        ({"most": 2}, False),
        ({"most": 9, "least": 4}, False),
        ({"most": 16, "unit": "characters"}, True),
    ],
)
def test_length_counts_words_or_characters(options: dict[str, Any], fits: bool) -> None:
    assert score("length", options, output="Paris of course.") == fits


def test_the_whole_text_matches_a_pattern() -> None:
    assert score("regex", {"pattern": r".*\d{4}"}, output="in 1789") == 1
    assert score("regex", {"pattern": r"\d{4}"}, output="in 1789") == 0


def test_a_missing_package_is_told_before_the_first_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(BadScore, match=r"scores\.json-schema: needs jsonschema: pip install"):
        Evaluator(ScoreSpec("json-schema", "json-schema", options={"schema": {}}))


def test_the_fingerprint_has_the_version_of_the_package_that_is_used() -> None:
    found = Evaluator(ScoreSpec("s", "json-schema", options={"schema": {}})).fingerprint
    assert f"jsonschema {importlib.metadata.version('jsonschema')}" in found
    assert Evaluator(ScoreSpec("e", "exact")).fingerprint.startswith("exact built-in ")


@given(st.text(" abcé漢.", max_size=20), st.lists(st.text(" abcd", max_size=12), min_size=1, max_size=3))
def test_rouge_is_that_of_its_library(text: str, answers: list[str]) -> None:
    scorer = pytest.importorskip("rouge_score.rouge_scorer")
    for kind in ("rouge1", "rouge2", "rougeL"):
        if not any(answer.strip() for answer in answers):
            with pytest.raises(NoValue, match="no answer has one"):
                score("rouge", {"kind": kind}, output=text, answers=answers)
            continue
        best = max(scorer.RougeScorer([kind]).score(answer, text)[kind].fmeasure for answer in answers)
        assert score("rouge", {"kind": kind}, output=text, answers=answers) == pytest.approx(best, abs=1e-9)


def test_languages_are_told_apart() -> None:
    pytest.importorskip("py3langid")
    texts = {
        "en": "The weather is nice today and we go outside.",
        "de": "Das Wetter ist heute schön und wir gehen hinaus.",
        "zh": "今天天气很好我们出去走走",
    }
    for code in texts:
        assert [score("language", {"code": code}, output=text) for text in texts.values()] == [
            float(code == of) for of in texts
        ]
    assert score("language", {"code": "en"}, output=" ") == 0


@pytest.mark.parametrize(
    ("text", "declines"),
    [
        ("I'm sorry, but I can't help with that.", True),
        ("I\u2019m unable to do this.", True),
        ("As an AI, I have no opinion.", True),
        ("Sorry, I must decline.", True),
        ("The capital is Paris.", False),
        ("No, I would not mix them.", False),
        ("She said: " + "x " * 120 + "I cannot come.", False),
        ("You can't divide by zero.", False),
        ("", False),
    ],
)
def test_a_refusal_is_seen_at_the_beginning(text: str, declines: bool) -> None:
    assert score("refusal", output=text) == declines
    assert score("refusal", {"pattern": "tut mir leid"}, output="Das tut mir leid.") == 1
    with pytest.raises(NoValue, match="is no regular expression"):
        score("refusal", {"pattern": "("}, output="x")
