"""The score `instructions`: one followed and one broken case of each kind, checked by hand by IFEval's descriptions."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.evaluator import Unscored
from goldwatch.worker.evaluators.instructions import CHECKS, instructions

CASES: dict[str, tuple[dict[str, Any], list[str], list[str]]] = {
    "keywords:existence": ({"keywords": ["Sun", "moon"]}, ["The sun and a Moonlit sea"], ["The sun", ""]),
    "keywords:frequency": (
        {"keyword": "a+b", "frequency": 2, "relation": "at least"},
        ["A+b and a+B", "a+b a+b a+b"],
        ["a+b", "aab aab"],
    ),
    "keywords:forbidden_words": ({"forbidden_words": ["cat"]}, ["Concatenate"], ["A Cat sat"]),
    "keywords:letter_frequency": (
        {"letter": "E", "let_frequency": 2, "let_relation": "less than"},
        ["One", "x"],
        ["Eel", "See here"],
    ),
    "language:response_language": ({"language": "de"}, ["Das ist ein schöner Tag, sagte er."], ["It is a nice day."]),
    "length_constraints:number_words": (
        {"num_words": 3, "relation": "less than"},
        ["two words", "one"],
        ["one two three", "don't stop"],
    ),
    "length_constraints:number_paragraphs": (
        {"num_paragraphs": 2},
        ["a ***\nb", "*** a *** b ***"],
        ["a", "a *** *** b", "a *** b *** c"],
    ),
    "length_constraints:nth_paragraph_first_word": (
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Then"},
        ["First.\n\n'then, it rained", 'x\n\n"Then" y'],
        ["Then x", "a\n\nthence b", "a\n\nthen b\n\nc"],
    ),
    "detectable_content:number_placeholders": ({"num_placeholders": 2}, ["[name] of [place]"], ["[name]", "none"]),
    "detectable_content:postscript": ({"postscript_marker": "P.P.S"}, ["Bye.\nP. P. S more"], ["Bye.\nP.S. more"]),
    "detectable_format:number_bullet_lists": (
        {"num_bullets": 2},
        ["* a\n- b", "  - a\n  - b\ntext"],
        ["* a", "* a\n* b\n* c", "** a\n** b"],
    ),
    "detectable_format:constrained_response": ({}, ["Well: My answer is no."], ["My answer is perhaps."]),
    "detectable_format:number_highlighted_sections": ({"num_highlights": 2}, ["*a* and *b*"], ["*a*", "* * and *b*"]),
    "detectable_format:multiple_sections": (
        {"section_spliter": "SECTION", "num_sections": 2},
        ["SECTION 1\na\nSECTION 2\nb", "SECTION1 SECTION2 SECTION3"],
        ["SECTION 1", "Section 1 Section 2"],
    ),
    "detectable_format:json_format": ({}, ['{"a": 1}', "```json\n[1]\n```"], ["{a: 1}", "see {}"]),
    "detectable_format:title": ({}, ["<<A poem>>\nx"], ["<A poem>", "<< >>"]),
    "combination:two_responses": ({}, ["a ****** b", "******a******b"], ["a", "a ****** a", "a ************ b"]),
    "combination:repeat_prompt": ({"prompt_to_repeat": "Say hi."}, ["say hi. Hi!"], ["Hi! Say hi."]),
    "startend:end_checker": ({"end_phrase": "Any questions?"}, ['x. "any questions?" '], ["Any questions? No."]),
    "startend:quotation": ({}, [' "all of it" '], ['"', 'not "all"']),
    "change_case:english_capital": ({}, ["THE WEATHER IS NICE TODAY"], ["The weather is nice today"]),
    "change_case:english_lowercase": ({}, ["the weather is nice today"], ["The weather is nice today"]),
    "punctuation:no_comma": ({}, ["a; b"], ["a, b"]),
}


@pytest.mark.parametrize("name", CHECKS)
def test_each_kind_is_followed_or_broken(name: str) -> None:
    if name.startswith(("language", "change_case")):
        pytest.importorskip("py3langid")
    arguments, followed, broken = CASES[name]
    for text, value in [(text, 1.0) for text in followed] + [(text, 0.0) for text in broken]:
        assert instructions(text, [name], [arguments]) == value, text


def test_all_or_each_and_strict_or_loose() -> None:
    both = ["punctuation:no_comma", "startend:quotation"]
    arguments: list[dict[str, Any]] = [{}, {}]
    assert instructions("a; b", both, arguments) == 0
    assert instructions("a; b", both, arguments, each=True) == 0.5
    assert instructions('"a; b"', both, arguments) == 1
    assert instructions('Sure, here it is:\n"a; b"', both, arguments) == 0
    assert instructions('Sure, here it is:\n"a; b"', both, arguments, loose=True) == 1
    assert instructions("", ["punctuation:no_comma"]) == 0  # no answer follows nothing


@pytest.mark.parametrize(
    ("names", "arguments", "says"),
    [
        ([], [], "there is no instruction"),
        (["length_constraints:number_sentences"], [{}], "number_sentences is none of keywords:existence"),
        (["punctuation:no_comma"], [{}, {}], "1 instructions, and arguments of 2"),
        (["keywords:frequency"], [{"keyword": "a", "frequency": 1, "relation": "about"}], "neither `less than` nor"),
    ],
)
def test_what_cannot_be_checked_is_unscored(names: list[str], arguments: list[dict[str, Any]], says: str) -> None:
    with pytest.raises(Unscored, match=says):
        instructions("text", names, arguments)


@given(st.text(), st.sampled_from(sorted(set(CHECKS) - {n for n in CHECKS if n.startswith(("language", "change"))})))
def test_any_text_has_a_value(text: str, name: str) -> None:
    arguments = CASES[name][0]
    assert instructions(text, [name], [arguments]) in (0.0, 1.0)
    assert instructions(text, [name], [arguments], loose=True) >= instructions(text, [name], [arguments])


@given(st.text(alphabet=" \n\t\r*-[]<>a", max_size=40))
def test_what_is_counted_is_as_ifeval_counts_it(text: str) -> None:
    bullets = sum(len(re.findall(each, text, re.MULTILINE)) for each in (r"^\s*\*[^*].*$", r"^\s*-.*$"))
    places = len(re.findall(r"\[.*?\]", text))
    title = any(found.lstrip("<").rstrip(">").strip() for found in re.findall(r"<<[^\n]+>>", text))
    assert CHECKS["detectable_format:number_bullet_lists"](text, {"num_bullets": bullets})
    assert CHECKS["detectable_content:number_placeholders"](text, {"num_placeholders": places})
    assert not CHECKS["detectable_content:number_placeholders"](text, {"num_placeholders": places + 1})
    assert CHECKS["detectable_format:title"](text, {}) == title


@pytest.mark.parametrize("part", ["\n", "[", "<<", "<", " \n", "\t", "*", "-"])
def test_long_answers_take_no_square_of_their_length(part: str) -> None:
    """A square would take hours."""
    text = part * 500_000
    CHECKS["detectable_format:number_bullet_lists"](text, {"num_bullets": 0})
    CHECKS["detectable_content:number_placeholders"](text, {"num_placeholders": 1})
    CHECKS["detectable_format:title"](text, {})
