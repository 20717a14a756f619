"""Check the labels that `golden build` is given: refuse what cannot be meant, and note what may be wrong.

Runs in a worker, next to `goldwatch.commands.examples`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from goldwatch.golden.error import quoted
from goldwatch.golden.examples import ALONE
from goldwatch.ipc.jobs import Emit, handles
from goldwatch.ipc.judging_jobs import COMPARE_WITH_CHANCE, ChanceRequest, ChanceResponse
from goldwatch.scratch import blocks, column, distinct

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from goldwatch.golden.lines import Lines

_MISSING = frozenset({"", "nan", "none", "null", "na", "n/a", "<na>", "nat"})
_WHOLE = re.compile(r"(\d+)(?:\.0+)?")
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")
_MAX_CHOICES = 10
_MAX_OPTIONS = 100
_SHOWN = 4


def is_missing(name: str) -> bool:
    """Return whether a label in text means a missing one, such as "nan", "None" or ""."""
    return name.strip().casefold() in _MISSING


def class_numbers(names: Sequence[str], width: int | None) -> list[int] | None:
    """Return the class numbers that names in text are, such as "10" and "2.0"; None if they are names.

    They are class numbers if all of them count some of the `width` scores; if the width is unknown, names.
    """
    found = [_WHOLE.fullmatch(name) for name in names]
    numbers = [int(match[1]) for match in found if match and len(match[1]) < 10]
    if width is None or len(numbers) < len(names) or len(set(numbers)) < len(names) or max(numbers) >= width:
        return None
    return numbers


def name_order(names: Sequence[str]) -> list[int]:
    """Return the positions of names in their order: by value where all are numbers, else alphabetical."""
    if names and all(_NUMBER.fullmatch(name) for name in names):
        return sorted(range(len(names)), key=lambda i: (float(names[i]), names[i]))
    return sorted(range(len(names)), key=names.__getitem__)


def alike(names: Iterable[str]) -> tuple[str, str] | None:
    """Return two names that differ in case or spaces alone."""
    known: dict[str, str] = {}
    for name in names:
        other = known.setdefault(" ".join(name.split()).casefold(), name)
        if other != name:
            return other, name
    return None


class LabelledAnswers:
    """The answers of lines, read once, and the match that fits them."""

    def __init__(self, match: str) -> None:
        self._match = match
        self._distinct: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()
        self._answers = self.lines = self._missing = 0
        self._first_problem = ""

    def add(self, row: int, answers: Sequence[str]) -> None:
        """Take the answers of one line, counted from 0."""
        from goldwatch.worker.evaluators.matching import answer_problem, label  # noqa: PLC0415 - the agent does without

        self.lines += 1
        for answer in answers:
            if not answer.strip():
                continue
            self._answers += 1
            self._missing += is_missing(answer)
            if len(self._distinct) <= _MAX_OPTIONS:
                self._distinct[label(answer)] += 1
            for kind in ("number", "json"):
                self._kinds[kind] += self._is_plain(kind, answer)
            self._kinds["letter"] += (
                bool(re.fullmatch(r"[^\w\s]*[A-Za-z][^\w\s]*", answer.strip())) and len(label(answer)) == 1
            )
            self._kinds["word"] += bool(re.fullmatch(r"[^\W\d]+(?: [^\W\d]+){0,2}", answer.strip()))
            if not self._first_problem and (why := answer_problem(self._match or "contains", answer)):
                self._first_problem = f"line {row + 1}: the answer {quoted(answer)} {why}"

    def proposed(self) -> tuple[str, str]:  # noqa: PLR0911 - a return for each match
        """Return the match to use, and why."""
        n, distinct = self._answers, self._distinct
        if self._match:
            return self._match, "by --match"
        if not n:
            return "exact", "every answer is empty"
        if self._kinds["letter"] == n:
            return "choice", f"every answer is one letter ({self._shown()})"
        if self._kinds["number"] == n:
            return "number", "every answer is a number"
        if self._kinds["json"] == n:
            return "json", "every answer is JSON"
        closed = 1 < len(distinct) <= _MAX_CHOICES and min(distinct.values()) > 1
        if self._kinds["word"] == n and closed and n >= 3 * len(distinct):
            return "choice", f"{n:,} answers are one of {len(distinct)} ({self._shown()})"
        return "contains", "the answers are words, which a longer text may contain"

    def problem(self, match: str) -> str:
        """Return why a match cannot be meant for the answers; empty if it can."""
        if self._first_problem and match == (self._match or "contains"):
            return self._first_problem
        if match == "choice" and len(self._distinct) > _MAX_OPTIONS:
            return f"the answers are more than {_MAX_OPTIONS} labels, too many for --match choice; take contains"
        return ""

    def notes(self) -> Iterator[str]:
        """Yield what may be wrong with the answers."""
        if self._missing:
            yield f"{self._missing:,} of {self._answers:,} answers are a word for a missing value, such as nan or None"

    def _shown(self) -> str:
        some = ", ".join(f"{name} {count:,}" for name, count in sorted(self._distinct.items())[:_SHOWN])
        return some + (", ..." if len(self._distinct) > _SHOWN else "")

    @staticmethod
    def _is_plain(kind: str, answer: str) -> bool:
        """Return whether an answer is of a kind, and not an identifier such as 007, or a word that is JSON too."""
        from goldwatch.worker.evaluators.matching import answer_problem  # noqa: PLC0415 - as above

        if kind == "json":
            return answer.strip()[:1] in "{[" and not answer_problem("json", answer)
        return not re.match(r"[-+]?0\d", answer.strip()) and not answer_problem("number", answer)


def input_keys(inputs: Mapping[str, NDArray[Any]], n: int, lines: Lines | None = None) -> NDArray[Any]:
    """Return numbers [n] that are equal for equal inputs: arrays [n, ...], and the inputs of lines."""

    def keys(rows: slice) -> list[int]:
        some = range(*rows.indices(n))
        texts = [b"" if lines is None else json.dumps(lines[i]["inputs"], sort_keys=True).encode() for i in some]
        parts = zip(texts, *(array[rows] for array in inputs.values()), strict=True)
        return [key(text + b"".join(value.tobytes() for value in example)) for text, *example in parts]

    return column(n, "int64", keys, sum(array[0].size for array in inputs.values()))


def repeated(keys: NDArray[Any]) -> NDArray[Any]:
    """Return the rows, in rising order, whose key [n] some other row has too."""
    import numpy as np  # noqa: PLC0415 - as above

    ordered = column(len(keys), keys.dtype, keys.__getitem__)
    ordered.sort()
    twice = [ordered[rows][1:][ordered[rows][1:] == ordered[rows][:-1]] for rows in _overlapping(len(ordered))]
    several = np.unique(np.concatenate([keys[:0], *twice]))
    found = [rows.start + np.flatnonzero(np.isin(keys[rows], several)) for rows in blocks(len(keys))]
    return np.concatenate([np.zeros(0, np.int64), *(found if several.size else ())])


def _overlapping(n: int) -> Iterator[slice]:
    """Yield slices of n rows of which each begins with the last row of the one before."""
    return (slice(max(rows.start - 1, 0), rows.stop) for rows in blocks(n))


def conflicts(keys: NDArray[Any], labels: NDArray[Any]) -> str:
    """Note inputs that appear with several labels; empty if none does. Both are [n]; equal inputs have equal keys."""
    import numpy as np  # noqa: PLC0415 - as above

    rows, n = repeated(keys), len(keys)
    if not rows.size:
        return ""
    keys, labels = keys[rows], labels[rows]
    order = np.lexsort((labels, keys))
    keys, labels = keys[order], labels[order]
    firsts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    pairs = np.flatnonzero(np.r_[True, (keys[1:] != keys[:-1]) | (labels[1:] != labels[:-1])])
    sizes = np.diff(np.r_[pairs, len(keys)])
    best = np.maximum.reduceat(sizes, np.searchsorted(pairs, firsts))
    several = np.diff(np.r_[np.searchsorted(pairs, firsts), len(pairs)]) > 1
    if not several.any():
        return ""
    at = firsts[np.flatnonzero(several)[0]]
    other = at + np.flatnonzero(labels[at:] != labels[at])[0]
    most = (n - len(rows) + best.sum()) / n
    return (
        f"{int(several.sum()):,} inputs appear with several labels, such as those of examples {rows[order[at]]} and "
        f"{rows[order[other]]}; a model that repeats itself is right on at most {most:.1%}"
    )


def key(value: bytes) -> int:
    """Return a number for bytes; that two of a million values share one has a probability of one in ten million."""
    return int.from_bytes(blake2b(value, digest_size=8).digest(), "big") >> 1


def numbered(values: NDArray[Any]) -> NDArray[Any]:
    """Return numbers [n]: what is alike has one, but for a missing value and the text -1, which have -1."""
    import numpy as np  # noqa: PLC0415 - as above

    found = distinct(values)

    def numbers(rows: slice) -> NDArray[Any]:
        some = values[rows]
        alone = (some == -1) | np.isnan(some) if some.dtype.kind in "iuf" else np.isin(some.astype(str), ALONE)
        return np.where(alone, -1, np.searchsorted(found, some))

    return column(len(values), np.int64, numbers)


def cluster_key(name: str) -> int:
    """Return a number for the name of a cluster: names may be as many as examples, too many to be kept."""
    if name in ALONE:
        return -1
    return key(name.encode("utf-8", "surrogatepass"))


@handles(COMPARE_WITH_CHANCE)
def compare_with_chance(request: ChanceRequest, descriptors: list[int], emit: Emit) -> ChanceResponse:  # noqa: ARG001 - a Handler
    """Compare the accuracy of a reference with guessing. Raises GoldenError."""
    import numpy as np  # noqa: PLC0415 - as above

    from goldwatch.worker.jobs.opening import open_as  # noqa: PLC0415 - as above

    golden = open_as(request.golden)
    labels = golden.manifest.labels
    if labels is None or labels.classes is None:
        why = f'no answer matches by "{labels.match if labels else ""}"; look at the answers, or take another --match'
        return ChanceResponse("" if request.accuracy else why, refuse=False)
    counts = np.bincount(golden.tensor("labels"), minlength=len(labels.classes))
    names = dict(zip(labels.classes, map(int, counts), strict=True))
    return ChanceResponse(*chance_problem(request.accuracy, request.n, names))


def chance_problem(accuracy: float, n: int, counts: Mapping[str, int]) -> tuple[str, bool]:
    """Compare the accuracy of a reference of n examples with guessing: return a note, and whether to refuse.

    `counts` has the number of examples of each class. One-sided exact binomial tests: it refuses below one in the
    number of classes with p < 0.001, and notes where the commonest class alone explains it with p > 0.05.
    """
    from scipy.special import bdtr, bdtrc  # noqa: PLC0415 - as above

    right, classes = round(accuracy * n), len(counts)
    below = float(bdtr(right, n, 1 / classes))
    commonest, most = max(counts.items(), key=lambda item: item[1])
    above = float(bdtrc(right - 1, n, most / n))
    if below < 0.001:
        why = f"guessing among {classes:,} classes has {1 / classes:.4f} (p {below:.1g})"
        return f"{why}; the classes are in another order than the scores: name them in that order with --classes", True
    if above > 0.05:
        return f"always answering {quoted(commonest)} has {most / n:.4f} (p {above:.2f})", False
    return "", False
