"""Read the number that an answer in text gives, as its exact value."""

# ruff: noqa: RUF001 - numbers of other scripts

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

from goldwatch.worker.evaluators.words import plain

MARKER = re.compile(
    r"####|\\boxed\b|\b(?:answer|antwort|réponse|respuesta|risposta|resposta|ответ)\b(?:\s+(?:is|was|ist|est|es|è|é)\b|\s*[:=])"
    r"|答案(?:是|为|為|[:：])|答えは|答え[:：]|정답은|정답[:：]",
    re.IGNORECASE,
)
"""Text that announces the answer proper."""

_SCALES = {
    "thousand": 10**3, "million": 10**6, "millions": 10**6, "millionen": 10**6, "millones": 10**6,
    "billion": 10**9, "billions": 10**9, "milliard": 10**9, "milliards": 10**9, "milliarden": 10**9,
    "trillion": 10**12, "trillions": 10**12, "百": 10**2, "千": 10**3, "万": 10**4, "萬": 10**4, "만": 10**4,
    "亿": 10**8, "億": 10**8, "억": 10**8,
}  # fmt: skip
_SUPER = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺"
_AS_DIGITS = str.maketrans(_SUPER, "0123456789-+")
_NUMBER = re.compile(
    rf"""
    (?<![A-Za-z\u00c0-\u052f\d_.,])(?<![A-Za-z\u00c0-\u052f\d]-)
    (?P<sign>(?<![)\]%])[-+])?
    (?:(?P<whole>\d{{1,3}})\s(?=\d+/\d))?
    (?:(?P<digits>\d(?:[\d.,]*\d)?|\.\d+)\s?(?P<part>[¼-¾⅐-⅞])?|(?P<vulgar>[¼-¾⅐-⅞]))
    (?:\s?/\s?(?P<below>\d+))?
    (?:[eE](?P<e>[-+]?\d+)|\s?[x×·*]\s?10(?:\s?\^\s?\{{?(?P<hat>[-+]?\d+)\}}?|(?P<high>[{_SUPER}]+)))?
    (?P<unread>\s?\^\s?\{{?[-+]?\w+\}}?|\*\*\d+|[{_SUPER}]|[-/:]\d[\d.,:/-]*)?
    (?:\s?(?P<scale>{"|".join(_SCALES)})(?![a-z]))?
    (?:\s?(?P<share>[%‰])|(?P<ordinal>st|nd|rd|th)\b)?
    """,
    re.VERBOSE | re.IGNORECASE,
)
_NEGATED = re.compile(r"(?:\b(?:not|nicht|pas|no)|n't|不是)\s*$", re.IGNORECASE)
_MAX_DIGITS = 400


def read_number(text: str) -> Fraction | None:
    """Return the value of a text that is a number and no more, such as "-1,234.5", "3/4", "$5" or "1.5 million"."""
    text = _bare(text).strip().rstrip(".")
    text = re.sub(r"^([-+]?)\s*[$€£¥]|\s*[$€£¥]$", r"\1", text)
    found = _NUMBER.fullmatch(text)
    return _value(found) if found and not found["ordinal"] else None


def last_number(text: str) -> Fraction | None:
    """Return the number that a text ends up with; None where it has none, or one that cannot be read.

    It is the first number after the last `MARKER`, or else the last one. A number after "not" does not count. Dates,
    times, ranges and powers cannot be read. Units are not looked at, except %, ‰ and words such as "million".
    """
    text = _bare(text)
    found = [m for m in _NUMBER.finditer(text) if not m["ordinal"] and not _NEGATED.search(text, 0, m.start())]
    markers = [m.end() for m in MARKER.finditer(text)]
    after = [m for m in found if markers and m.start() >= markers[-1]]
    if after:
        return _value(after[0])
    return _value(found[-1]) if found else None


def _bare(text: str) -> str:
    """Return a text in one spelling, without LaTeX and Markdown in numbers, and each sign next to its number."""
    text = re.sub(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}", r"\1/\2", plain(text))
    text = re.sub(r"\\text\w*\s*\{([^{}]*)\}", r" \1", text)
    for latex, sign in (
        ("\\%", "%"),
        ("\\$", "$"),
        ("\\times", "×"),
        ("\\cdot", "·"),
        ("{,}", ","),
        ("\\,", ""),
        ("\\!", ""),
    ):
        text = text.replace(latex, sign)
    text = re.sub(r"(?<!\d)\*\*|\*\*(?!\d)|__|`", "", text)
    text = re.sub(r"(?<![\w)])([-+])\s*[$€£¥]\s*(?=[\d.])", r"\1", text)
    text = re.sub(
        r"(?<!\d)(?<!\d\s)(?:\b(?:minus|negative)\s+|[负負]\s*)[$€£¥]?(?=[\d.])", "-", text, flags=re.IGNORECASE
    )
    return re.sub(r"([=:(≈]\s*[-+])\s+(?=[\d.])", r"\1", text)


def _value(found: re.Match[str]) -> Fraction | None:
    exponent = found["e"] or found["hat"] or (found["high"] or "").translate(_AS_DIGITS) or "0"
    if found["unread"] or len(found[0]) > _MAX_DIGITS or len(exponent) > 4 or exponent in "+-":
        return None
    value = _decimal(found["digits"]) if found["digits"] else Fraction(0)
    if value is None:
        return None
    if part := found["part"] or found["vulgar"]:
        value += Fraction(unicodedata.numeric(part)).limit_denominator(100)
    if found["below"]:
        if not int(found["below"]):
            return None
        value = value / int(found["below"]) + int(found["whole"] or 0)
    value *= Fraction(10) ** int(exponent) * _SCALES.get((found["scale"] or "").lower(), 1)
    value /= {"%": 100, "‰": 1000}.get(found["share"] or "", 1)
    return -value if found["sign"] == "-" else value


def _decimal(digits: str) -> Fraction | None:
    """Return the value of digits with points and commas; None for a list or a version."""
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,2}(?:,\d{2})+,\d{3}(?:\.\d+)?", digits):
        return Fraction(digits.replace(",", ""))
    if re.fullmatch(r"\d{1,3}(?:\.\d{3})+,\d+|\d{1,3}(?:\.\d{3}){2,}", digits):
        return Fraction(digits.replace(".", "").replace(",", "."))
    if re.fullmatch(r"\d+|\d*[.,]\d+", digits):
        return Fraction(digits.replace(",", "."))
    return None
