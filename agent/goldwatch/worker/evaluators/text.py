"""How alike two texts are: the measures that the field compares answers by, each defined in this one place."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from goldwatch.worker.evaluators.words import Word, folded, plain, split, without_articles

_ORDER = 6
_BETA = 2
_NEGATIONS = frozenset(
    """
    not no never neither nor cannot without nicht kein keine keinen keiner keines pas ni non não niet geen не нет
    """.split()  # noqa: SIM905 - a list has a line for each
)
_LINKS = frozenset("a an the in at by of to from be been is it es è é está of called really".split())  # noqa: SIM905 - as above
_NEGATED_BEFORE = re.compile(r"(?:不是|不为|不在|並非|并非|而非|非|ไม่ใช่|아니라)\s*[\"'「『]?$")
_NEGATED_AFTER = re.compile(r"[\"'」』]?\s*(?:ではな|ではあり|じゃな|でない|이 아니|가 아니)")


def words(text: str) -> list[str]:
    """Return the words of a text as they are compared: folded, without punctuation and articles.

    After the evaluation script of SQuAD (Rajpurkar et al. 2016), but for what `words` keeps.
    """
    text = plain(text)
    return [word.text for word in without_articles(text, split(text))]


def matches(text: str, answers: Iterable[str], *, within: bool = False) -> bool:
    """Return whether a text has the same words as one of the answers, or has them `within`, one after the other.

    The empty answer matches a text without any character but spaces. Words within a text do not count right after a
    negation ("not Paris"). An answer that is an article, such as the choice "A", is never looked for within a text.
    """
    text = plain(text)
    return any(_matches(text, plain(answer), within=within) for answer in answers)


def _matches(text: str, answer: str, *, within: bool) -> bool:
    ours, theirs = split(text), split(answer)
    if not theirs:
        return folded(text).split() == folded(answer).split()
    if [word.text for word in ours] == [word.text for word in theirs]:
        return True
    ours, theirs = without_articles(text, ours), without_articles(answer, theirs)
    if [word.text for word in ours] == [word.text for word in theirs]:
        return True
    if not within or is_article(answer):
        return False
    return any(not negated(text, ours, start, len(theirs)) for start in _places(ours, theirs))


def is_article(answer: str) -> bool:
    """Return whether an answer is an English article, which almost any text has."""
    return folded(plain(answer)).strip(" \"'().[]*") in ("a", "an", "the")


def _places(ours: Sequence[Word], theirs: Sequence[Word]) -> Iterable[int]:
    texts, wanted = [word.text for word in ours], [word.text for word in theirs]
    return (
        i for i in range(len(texts) - len(wanted) + 1) if texts[i] == wanted[0] and texts[i : i + len(wanted)] == wanted
    )


def negated(text: str, ours: Sequence[Word], start: int, length: int = 1) -> bool:
    """Return whether some words of a plain text stand right after a negation, with at most one link word between."""
    begin, end = ours[start].start, ours[start + length - 1].end
    if _NEGATED_BEFORE.search(text, 0, begin) or _NEGATED_AFTER.match(text, end):
        return True
    before = start - 1
    if before > 0 and ours[before].text in _LINKS:
        before -= 1
    if before < 0 or not (ours[before].text in _NEGATIONS or ours[before].text.endswith("n't")):
        return False
    return not re.search(r"[,.;:!?—\n]", text[ours[before].end : begin])


def token_f1(text: str, answers: Iterable[str]) -> float:
    """Return the best F1 of the words against any of the answers (SQuAD). Without words on one side it is 0 or 1."""
    ours = words(text)
    return max(_f1(ours, words(answer)) or float(matches(text, [answer])) for answer in answers)


def chrf(text: str, reference: str) -> float:
    """Return chrF of one text, from 0 to 1: the F2 of character n-grams up to 6, spaces left out.

    Precision and recall are each averaged over the lengths that both texts have (Popović 2015). sacrebleu's
    `sentence_chrf` is a hundred times as much.
    """
    ours, theirs = "".join(text.split()), "".join(reference.split())
    orders = range(1, min(_ORDER, len(ours), len(theirs)) + 1)
    if not orders:
        return float(ours == theirs)
    pairs = [(_grams(ours, n), _grams(theirs, n)) for n in orders]
    precision = sum((found & wanted).total() / found.total() for found, wanted in pairs) / len(pairs)
    recall = sum((found & wanted).total() / wanted.total() for found, wanted in pairs) / len(pairs)
    weight = _BETA**2
    return (1 + weight) * precision * recall / (weight * precision + recall) if precision else 0.0


def _f1(found: Sequence[str], wanted: Sequence[str]) -> float:
    if not found or not wanted:
        return 0.0
    common = (Counter(found) & Counter(wanted)).total()
    return 2 * common / (len(found) + len(wanted))


def _grams(text: str, n: int) -> Counter[str]:
    return Counter(text[i : i + n] for i in range(len(text) - n + 1))
