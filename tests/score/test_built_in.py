"""The built-in scores, each against its reference or by its examples."""

import importlib.metadata
import importlib.util
import json
from typing import Any

import pytest

from goldwatch.core.score_spec import ScoreSpec, UnscoredReason
from goldwatch.evaluator import BUILT_IN, ROLES
from goldwatch.worker.evaluators.opened import BadScore, Evaluator, NoValue

PERSON = {"type": "object", "required": ["name"], "properties": {"age": {"type": "number", "multipleOf": 0.5}}}


def score(uses: str, options: dict[str, Any] | None = None, **given: Any) -> float:
    return Evaluator(ScoreSpec.built_in(uses, options=options or {}))(given)


def test_each_has_a_function() -> None:
    pytest.importorskip("jiwer")
    pytest.importorskip("sacrebleu")
    options: dict[str, dict[str, Any]] = {
        "json-schema": {"schema": {}},
        "regex": {"pattern": "x"},
        "length": {"most": 3},
    }
    for name in BUILT_IN:
        takes = Evaluator(ScoreSpec.built_in(name, options=options.get(name, {}))).takes
        assert set(takes.values()) <= set(ROLES)


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
