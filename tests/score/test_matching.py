"""The matches that read an answer of one kind: numbers, choices, JSON and patterns."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.errors import GoldwatchError
from goldwatch.worker.evaluators import matching
from goldwatch.worker.evaluators.matching import answer_problem, matcher
from goldwatch.worker.evaluators.numerals import read_number

NUMBERS = st.decimals(-(10**9), 10**9, places=3)


@given(NUMBERS, NUMBERS)
def test_numbers_match_if_and_only_if_their_values_are_equal(one: Decimal, other: Decimal) -> None:
    number = matcher("number")
    for spelt in (f"{one:f}", f"{one:,f}", f"The answer is **{one:f}**, of 7.", f"#### {one:,f} km"):
        assert number(spelt, [f"{one:.5f}"])
        assert number(spelt, [f"{other:f}"]) == (one == other)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("x = - 5", "-5"),
        ("minus 5", "-5"),
        ("−5", "-5"),  # noqa: RUF001 - the minus sign
        ("-$5", "-5"),
        ("It is not 5 but 7", "7"),
        ("42km", "42"),
        ("1.234,56", "1234.56"),
        ("2,9", "2.9"),
        ("1½", "1.5"),
        ("1 1/2", "1.5"),
        (r"\boxed{\frac{3}{4}}", "0.75"),
        ("6.02×10²³", "6.02e23"),  # noqa: RUF001 - the times sign
        ("50%", "0.5"),
        ("1.5 million", "1500000"),
        ("5万", "50000"),
        ("٤٢", "42"),
        ("答えは４２です", "42"),
        ("7 minus 5", "5"),
        ("5-3=2", "2"),
    ],
)
def test_a_number_is_read(text: str, right: str) -> None:
    assert matcher("number")(text, [right])


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("-5", "5"),
        ("2.9", "29"),
        ("3/4", "34"),
        ("10²", "102"),
        ("10^2", "2"),
        ("10:30", "30"),
        ("2026-11-30", "30"),
        ("1914-1918", "1918"),
        ("B52", "52"),
        ("COVID-19", "19"),
        ("2nd", "2"),
        ("50 people", "50%"),
        ("5/0", "5"),
        ("1.5 million", "1.5"),
        ("9" * 5000, "9"),
        ("", "0"),
    ],
)
def test_another_number_or_none_is_wrong(text: str, wrong: str) -> None:
    assert not matcher("number")(text, [wrong])


LETTERS = matcher("choice", ["A", "B", "C", "D"])


@pytest.mark.parametrize(
    "text",
    [
        "B",
        "b",
        "(B)",
        "B.",
        "B) Rome",
        "Answer: B",
        "The answer is **B**",
        "the answer is B, and A is wrong",
        "I think B",
        "not A but B",
        "A. Paris\nB. Rome\nThe answer is B",
        r"\boxed{\text{B}}",
        "option b",
        "答案是B",
        "It's B, not A",
    ],
)
def test_a_choice_is_read(text: str) -> None:
    assert LETTERS(text, ["B"])
    assert not any(LETTERS(text, [other]) for other in "ACD")


@given(st.lists(st.sampled_from(["a", "A", "dog", "is", "the", "an", "was", "cat."]), max_size=12))
def test_an_article_is_no_choice(words: list[str]) -> None:
    sentence = " ".join([*words, "a dog"])
    assert not LETTERS(f"This {sentence.lower()}.", ["A"])


@pytest.mark.parametrize(
    "text", ["A or B", "A. Paris\nB. Rome", "A dog. A cat.", "", "The answer is not A", "I do not know"]
)
def test_a_text_without_one_choice_is_wrong(text: str) -> None:
    assert not any(LETTERS(text, [letter]) for letter in "ABCDI")


def test_labels_of_words_are_told_apart_by_those_of_the_set() -> None:
    choice = matcher("choice", ["yes", "no", "not sure"])
    assert choice("Yes, since no other fits.", ["yes"])
    assert choice("I am not sure", ["not sure"])
    assert not choice("yes or no, depending", ["no"])


VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES, VALUES)
def test_json_matches_by_value(one: Any, other: Any) -> None:
    same = matcher("json")
    spelt, answer = json.dumps(one, indent=1), json.dumps(one, sort_keys=True, ensure_ascii=False)
    assert same(spelt, [answer])
    assert same(f"Here it is:\n```json\n{spelt}\n```", [answer])
    if json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True):
        assert not same(json.dumps(other), [answer]) or answer.isascii() is False


@pytest.mark.parametrize(
    ("text", "answer"),
    [("true", "1"), ("[1, 2]", "[2, 1]"), ('{"a": 1, "a": 2}', '{"a": 2}'), ("NaN", "1"), ("[" * 100_000, "[]")],
)
def test_other_json_is_wrong(text: str, answer: str) -> None:
    assert not matcher("json")(text, [answer])


def test_a_pattern_is_that_of_the_whole_text(monkeypatch: pytest.MonkeyPatch) -> None:
    pattern = matcher("regex")
    assert pattern("The 42\n", [r"The\s+\d+"])
    assert not pattern("The 42 of them", [r"The\s+\d+"])
    monkeypatch.setattr(matching, "_PATTERN_S", 0.01)
    with pytest.raises(GoldwatchError, match="took over"):
        pattern("a" * 60 + "b", ["(a+)+c"])


def test_the_first_of_a_ranking_is_one_of_the_answers() -> None:
    first = matcher("first")
    for ranking in ("b\na\n", '["b", "a"]'):
        assert first(ranking, ["x", "b"])
        assert not first(ranking, ["a"])
    assert first("[3, 1]", ["3"])


@pytest.mark.parametrize("match", ["exact", "contains", "number", "choice", "json", "regex", "first"])
def test_the_empty_answer_matches_the_empty_text_alone(match: str) -> None:
    rule = matcher(match, ["A", "7"])
    assert rule(" \n", [""])
    assert not rule("7", [""])
    assert not rule("", ["7"])


@pytest.mark.parametrize(
    ("match", "answer"), [("contains", "A"), ("number", "5 m"), ("choice", "?"), ("json", "{"), ("regex", "(")]
)
def test_an_answer_that_a_match_cannot_mean_has_a_problem(match: str, answer: str) -> None:
    assert answer_problem(match, answer)
    assert not answer_problem(match, "7")


def test_a_number_in_text_is_no_number_alone() -> None:
    assert read_number("it is 5") is None
