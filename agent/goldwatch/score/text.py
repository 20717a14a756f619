"""How alike two texts are: the measures that the field compares answers by, each defined in this one place."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ORDER = 6
_BETA = 2


def normalised(text: str) -> str:
    """Return a text as SQuAD compares it: lower case, without punctuation and articles, single spaces.

    After the evaluation script of Rajpurkar et al. 2016.
    """
    return " ".join(_ARTICLES.sub(" ", _bare(text)).split())


def matches(text: str, answers: Iterable[str], *, within: bool = False) -> bool:
    """Say whether a text equals one of the answers, or has it `within` as whole words, both normalised.

    An answer of which that leaves nothing, such as the choice "A", is compared with its articles, or else as it is.
    """
    return any(_matches(text, answer, within=within) for answer in answers)


def _matches(text: str, answer: str, *, within: bool) -> bool:
    for form in (normalised, _words, _spaced):
        if wanted := form(answer):
            return f" {wanted} " in f" {form(text)} " if within else wanted == form(text)
    return not form(text)


def _bare(text: str) -> str:
    return text.lower().translate(_PUNCTUATION)


def _words(text: str) -> str:
    return " ".join(_bare(text).split())


def _spaced(text: str) -> str:
    return " ".join(text.split())


def token_f1(text: str, answers: Iterable[str]) -> float:
    """Return the best F1 of the normalised words against any of the answers, as SQuAD defines it."""
    return max(_f1(normalised(text).split(), normalised(answer).split()) for answer in answers)


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
        return float(found == wanted)
    common = (Counter(found) & Counter(wanted)).total()
    return 2 * common / (len(found) + len(wanted))


def _grams(text: str, n: int) -> Counter[str]:
    return Counter(text[i : i + n] for i in range(len(text) - n + 1))
