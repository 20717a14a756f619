"""Normalise text and split it into words: the one place that decides whether two texts have the same words.

Two spellings of one text are equal: composed and decomposed accents, full and half width, decimal digits of any script,
curly and straight quotes, kinds of dashes. A difference in meaning stays: signs, decimal points, fractions,
superscripts, percent, currencies, `C++`. In scripts without spaces every character, with its marks, is a word.
"""

# ruff: noqa: RUF001 - the look-alikes are what it maps

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import NamedTuple

_KEPT = ("<super>", "<sub>", "<fraction>", "<circle>")
"""The compatibility forms that stay: 10² is not 102, and ½ is not 12."""
_SPELT = str.maketrans(
    dict.fromkeys("‘’‚‛′`´ʼ＇", "'")
    | dict.fromkeys("“”„‟″«»", '"')
    | dict.fromkeys("‐‑‒–−﹣－", "-")
    | {"—": " — ", "٫": ".", "٬": ",", "。": ". ", "،": ", ", "、": ", "}
)
_GROUPED = re.compile(r"(?<=\d)[\u00a0\u2009\u202f'’](?=\d{3}(?!\d))")
_LEADING = "\u0e40-\u0e44\u0ec0-\u0ec4"
_FOLLOWING = "\u0e30\u0e32\u0e33\u0e45\u0eb0\u0eb2\u0eb3"
_STACKED = "\u17d2\u1039"
_UNSPACED = (
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17d3\u1950-\u19df\u1a20-\u1aad"
    "\u1b00-\u1b4b\u3005-\u3007\u3041-\u30fa\u30fc-\u318f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua980-\ua9c0"
    "\ua9e0-\ua9ff\uaa60-\uaa7f\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"
)
_ARTICLES = frozenset({"a", "an", "the"})
_SPACE = re.compile(r"\s+[\"'(\[{]?")
_ENDS = re.compile(r"[.!?:;\n]")


class Word(NamedTuple):
    """One word of a text: as it is compared, and its place in the plain text."""

    text: str
    start: int
    end: int


def plain(text: str) -> str:
    """Return a text in one spelling: NFC, one width, ASCII digits, straight quotes, no invisible characters."""
    if text.isascii():
        return text
    text = _GROUPED.sub("", unicodedata.normalize("NFC", text)).translate(_SPELT)
    return unicodedata.normalize("NFC", "".join(map(_form, text)))


def folded(text: str) -> str:
    """Return a plain text without differences of case."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text.casefold()).replace("i\u0307", "i")


def split(text: str) -> list[Word]:
    """Return the words of a plain text. Punctuation is no word; a symbol such as + or € is one."""
    found = []
    for match in _words(ascii_only=text.isascii()).finditer(text):
        word = match[0]
        if match.lastgroup == "simple":
            found.append(Word(folded(word), match.start(), match.end()))
            continue
        if match.lastgroup == "symbol" and (unicodedata.category(word)[0] in "PC" or word in "|~^$"):
            continue
        if match.lastgroup == "initials":
            word = word.replace(".", "")
        elif match.lastgroup == "number":
            word = re.sub(r"\s", "", re.sub(r",(?=\d{3}(?:,|\b))", "", word))
        found.append(Word(folded(word), match.start(), match.end()))
    return found


def without_articles(text: str, words: list[Word]) -> list[Word]:
    """Leave out a, an and the, where another word follows them: "Hepatitis A" and the answer "A" keep theirs.

    A capital A within a sentence is a name, such as that of a vitamin.
    """
    return [word for word, after in zip(words, [*words[1:], None], strict=False) if not _is_article(text, word, after)]


def _is_article(text: str, word: Word, after: Word | None) -> bool:
    if word.text not in _ARTICLES or after is None or not _SPACE.fullmatch(text, word.end, after.start):
        return False
    if not after.text[0].isalnum():
        return False
    before = text[: word.start].rstrip(" \"'([*_")
    return text[word.start : word.end] != "A" or not before or bool(_ENDS.match(before[-1]))


@cache
def _form(character: str) -> str:
    """Return the plain form of one character."""
    kind, form = unicodedata.category(character), unicodedata.decomposition(character)
    if kind == "Nd":
        return str(unicodedata.decimal(character))
    if kind == "Cf" or "\ufe00" <= character <= "\ufe0f":
        return ""
    if form.startswith("<") and not form.startswith(_KEPT):
        return unicodedata.normalize("NFKC", character).translate(_SPELT)
    return character


@cache
def _words(*, ascii_only: bool) -> re.Pattern[str]:
    """Return the pattern of one word. It is made at first use: it looks through Unicode for combining marks."""
    kinds = ("Mn", "Mc", "Me")
    marks = (
        "\u0300"
        if ascii_only
        else "".join(c for c in map(chr, range(0x300, 0xFFFF)) if unicodedata.category(c) in kinds)
    )
    letter = "[A-Za-z]" if ascii_only else rf"(?:[^\W\d_{_UNSPACED}]|[{marks}])"
    alone = "[A-Za-z0-9]" if ascii_only else rf"(?:[^\W_{_UNSPACED}]|[{marks}])"
    base = rf"[{_UNSPACED}]"
    return re.compile(
        rf"""
        (?P<simple>(?<![\w.])[a-zA-Z]{{2,}}(?=[\s,;:?"]))
        |(?P<initials>(?<![\w.])[^\W\d_{_UNSPACED}](?:\.[^\W\d_{_UNSPACED}])+(?!\w)\.?)
        |(?P<number>
            (?:(?<![\w)\]%.])[-+])?
            (?:\d{{1,3}}(?:,\d{{3}})+(?!\d)|(?<!\d,)\d+,\d+(?![\d,])|\d+|(?<![\w.])\.\d+)
            (?:[./:-]\d+)*(?:[eE][-+]\d+)?
            {alone}*(?:\s?[%‰])?
        )
        |(?P<negated>{letter}+n't(?!\w))
        |(?P<operator>!=)
        |(?P<cluster>[{_LEADING}]?{base}(?:[{_STACKED}]{base}|[{marks}{_FOLLOWING}])*)
        |(?P<word>
            (?:(?<![\w.])\.(?={letter}))?{alone}+
            (?:(?:\+\+|\#)(?!\w)|(?<![^\W_].)[-+](?![\w+-]))?
        )
        |(?P<symbol>\$(?=\s?\d)|[^\w\s])
        """,
        re.VERBOSE,
    )
