"""The measures of text, against sacrebleu and against what their definitions say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.chrf import CHRF

from goldwatch.score.text import chrf, matches, normalised, token_f1

TEXTS = st.text(alphabet="abc de.AB\n", max_size=30)


@given(TEXTS, TEXTS.filter(str.strip))
def test_chrf_is_that_of_sacrebleu(text: str, reference: str) -> None:
    assert chrf(text, reference) == pytest.approx(CHRF().sentence_score(text, [reference]).score / 100, abs=1e-9)


@given(TEXTS)
def test_a_text_is_wholly_like_itself(text: str) -> None:
    assert chrf(text, text) == pytest.approx(1)
    assert token_f1(text, [text]) == 1
    assert matches(text, [text])


@given(TEXTS, TEXTS)
def test_measures_stay_between_0_and_1(text: str, other: str) -> None:
    assert 0 <= chrf(text, other) <= 1
    assert 0 <= token_f1(text, [other]) <= 1


def test_normalisation_is_that_of_squad() -> None:
    assert normalised("The  Cat, an animal!") == "cat animal"


@pytest.mark.parametrize(
    ("text", "answers", "exact", "within"),
    [
        ("Paris.", ["paris"], True, True),
        ("The capital is Paris.", ["Paris", "Lutetia"], False, True),
        ("Parisian", ["Paris"], False, False),
        ("(A)", ["A"], True, True),
        ("It is A.", ["a"], False, True),
        ("The", ["A"], False, False),
        ("B", ["A"], False, False),
        ("+", ["+"], True, True),
        ("- or +", ["+"], False, True),
        ("-", ["+"], False, False),
        ("", ["Paris"], False, False),
    ],
)
def test_an_answer_matches(text: str, answers: list[str], exact: bool, within: bool) -> None:
    assert matches(text, answers) == exact
    assert matches(text, answers, within=True) == within


def test_token_f1_takes_the_best_answer() -> None:
    assert token_f1("blue sky", ["green", "the blue sky today"]) == pytest.approx(2 * 2 / (2 + 3))
