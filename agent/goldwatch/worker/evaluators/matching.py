"""Decide whether an answer in text is right, by the match that a golden set names.

`exact` and `contains` compare words (`text`); the others read an answer of one kind out of the text: a
number, one of several labels, JSON, or a text of a pattern.
"""

from __future__ import annotations

import json
import re
import signal
import threading
import unicodedata
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import lru_cache
from types import FrameType
from typing import Any

from goldwatch.errors import GoldwatchError
from goldwatch.golden.error import quoted
from goldwatch.golden.tensors import unique_keys
from goldwatch.worker.evaluators.numerals import MARKER, last_number, read_number
from goldwatch.worker.evaluators.text import is_article, matches, negated
from goldwatch.worker.evaluators.words import Word, folded, plain, split

Matcher = Callable[[str, Sequence[str]], bool]
"""Takes a text and the answers that count as right."""

_PATTERN_S = 1.0
_FENCED = re.compile(r"```(?:json)?\s*\n(.*?)\n?\s*```", re.DOTALL | re.IGNORECASE)
_NO_JSON = object()
_LETTER = re.compile(r"[A-Za-z]")
_LEAD = re.compile(r"^[\s\"'(\[*_#>-]*(?P<label>\w+)[\"'*_]*(?:[)\].:,;*]|\s*$)", re.MULTILINE)


def matcher(match: str, options: Collection[str] = ()) -> Matcher:
    """Return the rule of one match. `options` are the answers of the whole set, for `choice`.

    Of an empty answer every match makes the same: right is a text without any character but spaces.
    """
    if match in ("exact", "contains"):
        return lambda text, answers: matches(text, answers, within=match == "contains")
    known = tuple(options)
    rule: Callable[[str, str], bool] = {
        "number": _same_number,
        "choice": lambda text, answer: _chosen(text, known) == label(answer) or label(text) == label(answer),
        "json": _same_json,
        "regex": _has_pattern,
        "first": lambda text, answer: [str(name) for name in ranking(text)[:1]] == [answer],
    }[match]
    return lambda text, answers: any(rule(text, a) if a.strip() else not text.strip() for a in answers)


def answer_problem(match: str, answer: str) -> str:  # noqa: PLR0911 - a return for each match
    """Return why a match cannot be meant for an answer; empty if it can."""
    if not answer.strip():
        return ""
    if match == "contains" and is_article(answer):
        return "is an article, which almost any text contains; take --match choice or exact"
    if match == "number" and read_number(answer) is None:
        return "is not one number; take --match exact or contains, or correct it"
    if match == "choice" and not label(answer):
        return "has no letter and no digit; take --match exact"
    if match == "json" and _json(answer) is _NO_JSON:
        return "is not JSON; correct it, or take --match exact"
    if match == "regex":
        try:
            re.compile(answer)
        except (re.error, RecursionError, OverflowError) as error:
            return f"is not a regular expression: {error}; correct it"
    return ""


def ranking(text: str) -> list[Any]:
    """Return the names that a text ranks, best first: the list that it is as JSON, or its lines."""
    try:
        value = json_value(text)
    except ValueError:
        value = None
    return value if isinstance(value, list) else [line.strip() for line in text.splitlines() if line.strip()]


def _same_number(text: str, answer: str) -> bool:
    expected = read_number(answer)
    return (
        matches(text, [answer]) if expected is None else last_number(text) == expected or read_number(text) == expected
    )


@lru_cache(maxsize=1024)
def label(text: str) -> str:
    """Return a label without case, brackets and punctuation: "(B)", "b." and "**B**" are one."""
    return " ".join(word.text for word in split(plain(text)))


def _chosen(text: str, options: Sequence[str]) -> str:
    """Return the label that a text decides on, empty if it decides on none or names several.

    Looks after the last marker ("The answer is", "Answer:"), then at the beginning of lines ("B. Rome"), then
    anywhere. A label right after a negation does not count.
    """
    text = re.sub(r"\\text\w*\s*\{([^{}]*)\}|[{}*_`]", r" \1 ", plain(text))
    labels = {label(option) for option in options if option.strip()}
    letters = all(_LETTER.fullmatch(name) for name in labels)
    mentions = list(_mentions(text, split(text), labels, letters=letters))
    markers = [match.end() for match in MARKER.finditer(text)]
    after = [name for name, start in mentions if markers and start >= markers[-1]]
    if after:
        return after[0]
    leads = {folded(match["label"]) for match in _LEAD.finditer(text)} & {name for name, _ in mentions}
    named = {name for name, _ in mentions}
    for some in (leads, named):
        if some:
            return next(iter(some)) if len(some) == 1 else ""
    return ""


def _mentions(text: str, ours: list[Word], labels: set[str], *, letters: bool) -> Iterator[tuple[str, int]]:
    """Yield the labels that a text names, with where. Of letters any counts, also one that no example has."""
    longest = max((len(name.split()) for name in labels), default=1)
    place = 0
    while place < len(ours):
        for size in range(min(longest, len(ours) - place), 0, -1):
            name = " ".join(word.text for word in ours[place : place + size])
            known = _is_letter(text, ours, place) if letters else name in labels
            if known:
                if not negated(text, ours, place, size):
                    yield name, ours[place].start
                place += size - 1
                break
        place += 1


def _is_letter(text: str, ours: list[Word], place: int) -> bool:  # noqa: PLR0911 - a return for each reason
    """Return whether a word is a letter that names a choice: a capital or in brackets, and no article or "I"."""
    word = ours[place]
    shown = text[word.start : word.end]
    if not _LETTER.fullmatch(shown):
        return False
    before, after = text[: word.start].rstrip(" \"'"), text[word.end : word.end + 1]
    if after == ")" or (before[-1:] == "(" and after in ")]"):
        return True
    if after in ("'", "-", "/") or text[max(word.start - 1, 0) : word.start] in ("'", "-", "/", "."):
        return False
    announced = bool(
        re.search(r"(?:\b(?:option|choice|letter)|[:=]|\\boxed)\s*[\"'(]*$", text[: word.start], re.IGNORECASE)
    )
    spoken = re.match(r"\s+[a-z]", text[word.end :]) is not None
    if announced and not (spoken and shown in "aAiI"):
        return True
    if shown.islower():
        return False
    is_said = re.search(r"\b(?:is|be|are)\s+[\"'(]*$", text[: word.start], re.IGNORECASE) is not None
    if shown == "A" and re.match(r"\s+(?:or|and|is)\b", text[word.end :]):
        return True
    return shown not in "AI" or not spoken or (shown == "A" and is_said)


def _same_json(text: str, answer: str) -> bool:
    expected, got = _json(answer), _json(text)
    if expected is _NO_JSON:
        return matches(text, [answer])
    try:
        return got is not _NO_JSON and _equal(got, expected)
    except RecursionError:
        return False


def _json(text: str) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return the value of a text that is JSON, or of its only fenced block; `_NO_JSON` for any other text."""
    for candidate in _candidates(text):
        try:
            return json.loads(candidate, object_pairs_hook=unique_keys, parse_float=Decimal, parse_constant=_refuse)
        except (ValueError, RecursionError, ArithmeticError):
            continue
    return _NO_JSON


def json_value(text: str) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return the value of a text that is JSON, or of its only fenced block. Raises ValueError for any other text."""
    for candidate in _candidates(text):
        try:
            return json.loads(candidate, object_pairs_hook=unique_keys, parse_constant=_refuse)
        except (ValueError, RecursionError):
            continue
    raise ValueError("not JSON")


def _candidates(text: str) -> list[str]:
    """Return the text, and the only fenced block of it."""
    fenced = _FENCED.findall(text)
    return [text, *(fenced if len(fenced) == 1 else ())]


def _refuse(name: str) -> Any:  # noqa: ANN401 - it never returns
    raise ValueError(f"{name} is not JSON")


def _equal(one: Any, other: Any) -> bool:  # noqa: ANN401 - JSON
    if isinstance(one, dict) and isinstance(other, dict):
        mine, its = ({_nfc(key): value for key, value in d.items()} for d in (one, other))
        return mine.keys() == its.keys() and all(_equal(mine[key], its[key]) for key in mine)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, str) and isinstance(other, str):
        return _nfc(one) == _nfc(other)
    if isinstance(one, bool) or isinstance(other, bool) or one is None or other is None:
        return one is other
    return isinstance(one, (int, Decimal)) and isinstance(other, (int, Decimal)) and one == other


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _has_pattern(text: str, pattern: str) -> bool:
    """Return whether the whole text has a pattern. Raises GoldwatchError if that takes longer than a second."""
    with _time_limit(pattern):
        return re.fullmatch(pattern, _nfc(text.strip()), re.DOTALL) is not None


@contextmanager
def _time_limit(pattern: str) -> Iterator[None]:
    """Interrupt a pattern that backtracks without end: `re` looks for signals as it runs.

    Only the main thread, where workers run their jobs, can be interrupted; another relies on the job's deadline.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def expired(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a signal handler
        raise GoldwatchError(
            f"the pattern {quoted(pattern)} took over {_PATTERN_S:g} s on one text; write a simpler one"
        )

    before = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, _PATTERN_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
