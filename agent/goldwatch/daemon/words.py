"""Text of an alert that comes from outside, made safe to show, and how numbers are written.

Names of models, classes, slices and examples, and errors of servers, are untrusted. They must not move the cursor, hide
text or turn the direction of a line.
"""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime

from goldwatch.config import format_seconds
from goldwatch.redaction import redact_known

WIDTH = 72
"""Columns of an alert's text: it reaches chats, phones and terminals."""
INDENT = 9

_MOST = 160
_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_RIGHT_TO_LEFT = frozenset(("R", "AL"))
_ISOLATE, _END_ISOLATE = _ISOLATES = "\u2068\u2069"
_HARMLESS = re.compile(r"[\n\t -~]*")
_DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b")


def plain(text: str, most: int = _MOST) -> str:
    """Return a text from outside on one line, without characters that a terminal obeys, at most `most` letters long.

    Control characters become escapes, as in a Python literal; right-to-left text is isolated from its line; a digest
    keeps twelve digits. A longer text loses its middle, since names differ at their ends. Applied twice, it is the same
    as once.
    """
    kept = _ISOLATES if _is_balanced(text) else ""
    shown = _DIGEST.sub(r"\1", "".join(_visible(character, kept) for character in text))
    if len(shown) > most:
        half = (most - 3) // 2
        shown = f"{shown[: most - 3 - half]}...{shown[-half:]}"
        if not _is_balanced(shown):
            shown = shown.replace(_ISOLATE, "").replace(_END_ISOLATE, "")
    return f"{_ISOLATE}{shown}{_END_ISOLATE}" if _turns_its_line(shown) else shown


def printable(text: str) -> str:
    """Return a text of several lines without secrets, and without what a terminal obeys but line breaks and tabs.

    This is for whole outputs, after `plain` was applied to names; their isolates stay.
    """
    text = redact_known(text)
    return text if _HARMLESS.fullmatch(text) else "\n".join(map(_printable_line, text.split("\n")))


def _printable_line(line: str) -> str:
    kept = f"\t{_ISOLATES}" if _is_balanced(line) else "\t"
    return "".join(character if character in kept else _visible(character, kept) for character in line)


def _visible(character: str, kept: str) -> str:
    if character in "\n\r\t\v\f":
        return " "
    if character in kept or (character.isprintable() and character not in _BIDI_CONTROLS):
        return character
    return character.encode("unicode_escape").decode()


def _is_balanced(text: str) -> bool:
    """Whether each isolate of a text ends in it, so that it cannot reach beyond."""
    depth = 0
    for character in text:
        depth += (character == _ISOLATE) - (character == _END_ISOLATE)
        if depth < 0:
            return False
    return depth == 0


def _turns_its_line(text: str) -> bool:
    """Whether a text has right-to-left letters outside of isolates."""
    depth = 0
    for character in text:
        depth += (character == _ISOLATE) - (character == _END_ISOLATE)
        if depth == 0 and unicodedata.bidirectional(character) in _RIGHT_TO_LEFT:
            return True
    return False


def clock(at: float) -> str:
    """Write Unix seconds as a time of day in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


def amount(value: float, unit: str) -> str:
    """Write a value with its unit: scores with four digits, seconds, joules and money with three."""
    if unit == "":
        return f"{value:.4f}"
    if unit == "s":
        return format_seconds(value)
    if unit == "requests":
        return f"{value:,.0f}"
    return f"{value:,.0f} {unit}" if abs(value) >= 999.5 else f"{value:.3g} {unit}"


def pair(before: float, now: float, unit: str) -> str:
    """Write a change; a unit that both have in common is written once."""
    was, name_was = amount(before, unit).rpartition(" ")[::2]
    is_now = amount(now, unit)
    if was and is_now.endswith(f" {name_was}"):
        return f"{was} -> {is_now}"
    return f"{amount(before, unit)} -> {is_now}"


def times(ratio: float) -> str:
    """Write a ratio with two digits, or all those before the point: 5.2 times, 1,234 times."""
    return f"{ratio:,.0f} times" if ratio >= 9.95 else f"{ratio:.2g} times"


def wrapped(text: str, indent: int = INDENT, width: int = WIDTH) -> Iterator[str]:
    """Yield the lines of a text; all but the first are indented. Nothing is broken but between words."""
    yield from textwrap.wrap(
        text, width - indent, break_long_words=False, break_on_hyphens=False, subsequent_indent=""
    ) or [""]
