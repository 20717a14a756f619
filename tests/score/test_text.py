"""The measures of text, against sacrebleu and against their definitions."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.chrf import CHRF

from goldwatch.worker.evaluators.text import chrf, matches, token_f1, words

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
    assert words("The  Cat, an animal!") == ["cat", "animal"]


@pytest.mark.parametrize(
    ("text", "answers", "exact", "within"),
    [
        ("Paris.", ["paris"], True, True),
        ("The capital is Paris.", ["Paris", "Lutetia"], False, True),
        ("Parisian", ["Paris"], False, False),
        ("(A)", ["A"], True, True),
        ("It is A.", ["a"], False, False),
        ("The", ["A"], False, False),
        ("B", ["A"], False, False),
        ("+", ["+"], True, True),
        ("- or +", ["+"], False, True),
        ("-", ["+"], False, False),
        ("", ["Paris"], False, False),
        ("  ", [""], True, True),
        (".", [""], False, False),
        ("-5", ["5"], False, False),
        ("x = 5", ["-5"], False, False),
        ("2.9", ["29"], False, False),
        ("3/4", ["34"], False, False),
        ("10²", ["102"], False, False),
        ("C++", ["C"], False, False),
        ("50 people", ["50%"], False, False),
        ("1914-1918", ["19141918"], False, False),
        ("Hepatitis A", ["hepatitis"], False, True),
        ("vitamin A deficiency", ["vitamin deficiency"], False, False),
        ("A dog is here; it is B", ["A"], False, False),
        ("It is not Paris, it is Lyon", ["Paris"], False, False),
        ("No, Paris", ["Paris"], False, True),
        ("It cannot be Rome. It is Rome", ["Rome"], False, True),
        ("It can't be", ["can"], False, False),
        ("这不是北京", ["北京"], False, False),
        ("答案是北京。", ["北京"], False, True),
        ("「東京」", ["東京"], True, True),
        ("กรุงเทพมหานคร ครับ", ["กรุงเทพ"], False, True),
        ("She said “yes”", ["yes"], False, True),
        ("答えは４２です", ["42"], False, True),
        ("1,000", ["1000"], True, True),
        ("1,2,3", ["1, 2, 3"], True, True),
        ("U.S.", ["US"], True, True),
    ],
)
def test_an_answer_matches(text: str, answers: list[str], exact: bool, within: bool) -> None:
    assert matches(text, answers) == exact
    assert matches(text, answers, within=True) == within


@pytest.mark.parametrize("text", ["", ".", "the", "an"])
def test_nothing_has_no_words_in_common_with_an_answer(text: str) -> None:
    assert token_f1(text, ["A"]) == 0


ANY = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30)


@given(ANY)
def test_a_text_matches_its_other_spellings(text: str) -> None:
    for form in ("NFC", "NFD"):
        assert matches(unicodedata.normalize(form, text), [text])
    wide = "".join(chr(ord(c) + 0xFEE0) if c.isascii() and c.isalnum() else c for c in text)
    assert matches(wide, [text])


@given(ANY)
def test_nothing_but_spaces_matches_the_empty_answer(text: str) -> None:
    assert matches(text, [""], within=True) == (not text.strip())
    assert not text.strip() or not matches("", [text], within=True)


def test_token_f1_takes_the_best_answer() -> None:
    assert token_f1("blue sky", ["green", "the blue sky today"]) == pytest.approx(2 * 2 / (2 + 3))
