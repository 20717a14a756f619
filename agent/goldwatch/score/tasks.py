"""What each task makes of the outputs of a replay: which examples are right, the scores, and the difference.

A task is the only place that knows what an answer is. Where a set has no labels, an example is right if its answer is
that of the validated model: the same text, or a vector within the tolerance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from goldwatch.golden.manifest import Task
from goldwatch.golden.opened import GoldenSet
from goldwatch.judgement import Difference, Flip, Score
from goldwatch.score import classification
from goldwatch.score.agreement import Expected, Marks, Outputs, Slicing, difference, distances, summary
from goldwatch.score.means import mean, proportion
from goldwatch.score.text import chrf, matches, token_f1

_SHOWN = 80
_ROWS_AT_ONCE = 1 << 14
_NEAR_ONE = 1e-3

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]


class Judged(Protocol):
    """The outputs of n examples, by name, in the light of a golden set. Rows not `answered` [n] are never read."""

    def right(self, outputs: Outputs) -> BoolArray:
        """Return which examples have the right answer [n]."""

    def scores(self, outputs: Outputs, answered: BoolArray) -> tuple[Score, ...]:
        """Return the scores over the answered examples, the one that counts first; none if none was answered."""

    def difference(self, outputs: Outputs, answered: BoolArray) -> Difference:
        """Compare with the reference, example by example."""

    def same(self, outputs: Outputs, others: Outputs) -> BoolArray:
        """Return for which examples two targets give the same answer [n]."""

    def score(self, outputs: Outputs, answered: BoolArray) -> FloatArray | None:
        """Return how good each answer is, from 0 to 1 [n]; None where it is right or wrong and nothing between."""

    def distance(self, outputs: Outputs, answered: BoolArray) -> FloatArray:
        """Return how far each answer is from its reference [n], from 0 to 1."""

    def lengths(self, outputs: Outputs, answered: BoolArray) -> tuple[list[int], list[int]] | None:
        """Return how long the answers are, and their references, in the same order; None if answers have no length."""


def judged(golden: GoldenSet) -> Judged:
    """Return what the task of a golden set makes of outputs. Raises GoldenError."""
    return _TASKS[golden.task](golden)


class _Classification:
    """The answer is the class with the highest score."""

    def __init__(self, golden: GoldenSet) -> None:
        manifest = golden.manifest
        self._decision = manifest.decision
        self._labels = golden.tensor("labels")
        self._expected = Expected(
            outputs={name: golden.tensor(f"outputs.{name}") for name in manifest.outputs},
            tolerances={name: spec.tolerance for name, spec in manifest.outputs.items()},
            decision=manifest.decision,
            labels=self._labels,
            class_names=(manifest.labels.classes if manifest.labels else None) or (),
            slices=slices_of(golden),
        )

    def right(self, outputs: Outputs) -> BoolArray:
        return np.asarray(outputs[self._decision].argmax(axis=1) == self._labels)

    def scores(self, outputs: Outputs, answered: BoolArray) -> tuple[Score, ...]:
        now, then = outputs[self._decision], self._expected.outputs[self._decision]
        return classification.scores(now, then, self._labels, answered)  # type: ignore[arg-type] # numbers, by manifest

    def difference(self, outputs: Outputs, answered: BoolArray) -> Difference:
        return difference(outputs, answered, self._expected)

    def same(self, outputs: Outputs, others: Outputs) -> BoolArray:
        return np.asarray(outputs[self._decision].argmax(axis=1) == others[self._decision].argmax(axis=1))

    def score(self, outputs: Outputs, answered: BoolArray) -> None:  # noqa: ARG002 - as the protocol says
        return None

    def distance(self, outputs: Outputs, answered: BoolArray) -> FloatArray:
        now, then = outputs[self._decision], self._expected.outputs[self._decision]
        return _each(answered, lambda rows: jensen_shannon(now[rows], then[rows]))

    def lengths(self, outputs: Outputs, answered: BoolArray) -> None:  # noqa: ARG002 - as the protocol says
        return None


class _Generation:
    """The answer is a text; right is what matches one of the example's answers, or equals the reference."""

    def __init__(self, golden: GoldenSet) -> None:
        labels = golden.manifest.labels
        self._decision = golden.manifest.decision
        self._reference = golden.text(f"outputs.{self._decision}")[:]
        self._answers = [line["answers"] for line in golden.lines()] if labels is not None else None
        self._within = labels is not None and labels.match == "contains"
        self._slices = slices_of(golden)
        self._was_right = self._matching(self._reference, np.ones(len(self._reference), dtype=np.bool_))

    def right(self, outputs: Outputs) -> BoolArray:
        now = _texts(outputs[self._decision])
        differs = np.asarray(now != self._reference, dtype=np.bool_)
        return np.where(differs, self._matching(now, differs), self._was_right)

    def scores(self, outputs: Outputs, answered: BoolArray) -> tuple[Score, ...]:
        if not answered.any():
            return ()
        now, then = _texts(outputs[self._decision])[answered], self._reference[answered]
        same = np.asarray(now == then, dtype=np.bool_)
        agreement = proportion("agreement", same, np.ones_like(same))
        likeness = np.array([chrf_or_equal(a, b) for a, b in zip(now, then, strict=True)])
        found = [agreement, mean("chrf", likeness, np.ones_like(likeness))]
        if self._answers is not None:
            wanted = [self._answers[i] for i in np.flatnonzero(answered)]
            f1 = [np.array([token_f1(t, a) for t, a in zip(texts, wanted, strict=True)]) for texts in (now, then)]
            accuracy = proportion("accuracy", self.right(outputs)[answered], self._was_right[answered])
            found = [accuracy, mean("token_f1", *f1), *found]
        return tuple(found)

    def difference(self, outputs: Outputs, answered: BoolArray) -> Difference:
        now = _texts(outputs[self._decision])
        differs = np.asarray(now != self._reference, dtype=np.bool_) & answered
        far = (float(differs.any()), differs)

        def flip(i: int) -> Flip:
            label = self._answers[i][0] if self._answers is not None else ""
            return Flip(i, label[:_SHOWN], self._reference[i][:_SHOWN], now[i][:_SHOWN])

        return summary(far, answered, Marks(self._was_right, self.right(outputs), differs, flip), self._slices)

    def same(self, outputs: Outputs, others: Outputs) -> BoolArray:
        return np.asarray(outputs[self._decision] == others[self._decision])

    def score(self, outputs: Outputs, answered: BoolArray) -> FloatArray:
        """Return token F1 where there are answers that count as right, and else chrF against the reference."""
        now, answers = _texts(outputs[self._decision]), self._answers
        if answers is None:
            return self._likeness(now, answered)
        return _each(answered, lambda rows: np.array([token_f1(now[i], answers[i]) for i in rows]))

    def distance(self, outputs: Outputs, answered: BoolArray) -> FloatArray:
        return np.where(answered, 1 - self._likeness(_texts(outputs[self._decision]), answered), 0.0)

    def lengths(self, outputs: Outputs, answered: BoolArray) -> tuple[list[int], list[int]]:
        now, then = _texts(outputs[self._decision])[answered], self._reference[answered]
        return [len(text) for text in now], [len(text) for text in then]

    def _likeness(self, now: NDArray[Any], answered: BoolArray) -> FloatArray:
        then = self._reference
        return _each(answered, lambda rows: np.array([chrf_or_equal(now[i], then[i]) for i in rows]))

    def _matching(self, texts: NDArray[Any], which: BoolArray) -> BoolArray:
        """Return which of the chosen texts are right [n]; the others are not looked at, and false."""
        found: BoolArray = np.zeros(len(texts), dtype=np.bool_)
        for i in np.flatnonzero(which):
            found[i] = (
                texts[i] == self._reference[i]
                if self._answers is None
                else matches(texts[i], self._answers[i], within=self._within)
            )
        return found


class _Embedding:
    """The answer is a vector; right is one within the tolerance of the reference."""

    def __init__(self, golden: GoldenSet) -> None:
        outputs = golden.manifest.outputs
        self._decision = golden.manifest.decision
        self._expected = Expected(
            outputs={name: golden.tensor(f"outputs.{name}") for name in outputs},
            tolerances={name: spec.tolerance for name, spec in outputs.items()},
            decision=self._decision,
            labels=np.zeros(golden.examples, dtype=np.int64),
        )
        self._slices = slices_of(golden)

    def right(self, outputs: Outputs) -> BoolArray:
        return ~distances(outputs, self._all(), self._expected)[1]

    def scores(self, outputs: Outputs, answered: BoolArray) -> tuple[Score, ...]:
        if not answered.any():
            return ()
        same = ~distances(outputs, answered, self._expected)[1][answered]
        likeness = self.score(outputs, answered)[answered]
        return (
            proportion("agreement", same, np.ones_like(same)),
            mean("cosine_similarity", likeness, np.ones_like(likeness)),
        )

    def difference(self, outputs: Outputs, answered: BoolArray) -> Difference:
        far = distances(outputs, answered, self._expected)
        then = self._expected.outputs[self._decision]

        def flip(i: int) -> Flip:
            return Flip(i, "", "", f"cosine {cosines(outputs[self._decision][i : i + 1], then[i : i + 1])[0]:.4f}")

        return summary(far, answered, Marks(self._all(), ~far[1], far[1], flip), self._slices)

    def same(self, outputs: Outputs, others: Outputs) -> BoolArray:
        apart = np.abs(outputs[self._decision].astype(np.float64) - others[self._decision].astype(np.float64))
        return np.asarray(apart.max(axis=1, initial=0.0) <= self._expected.tolerances[self._decision])

    def score(self, outputs: Outputs, answered: BoolArray) -> FloatArray:
        """Return the cosine similarity; below 0 is as unlike as a score can say."""
        now, then = outputs[self._decision], self._expected.outputs[self._decision]
        return _each(answered, lambda rows: np.clip(cosines(now[rows], then[rows]), 0, 1))

    def distance(self, outputs: Outputs, answered: BoolArray) -> FloatArray:
        now, then = outputs[self._decision], self._expected.outputs[self._decision]
        return _each(answered, lambda rows: (1 - cosines(now[rows], then[rows])) / 2)

    def lengths(self, outputs: Outputs, answered: BoolArray) -> None:  # noqa: ARG002 - as the protocol says
        return None

    def _all(self) -> BoolArray:
        return np.ones(len(self._expected.labels), dtype=np.bool_)


_TASKS: Mapping[Task, Callable[[GoldenSet], Judged]] = {
    Task.CLASSIFICATION: _Classification,
    Task.GENERATION: _Generation,
    Task.EMBEDDING: _Embedding,
}


def chrf_or_equal(a: str, b: str) -> float:
    """Return chrF of one text against another; equal ones need no counting, and nothing is like nothing."""
    return 1.0 if a == b else chrf(a, b)


def jensen_shannon(a: NDArray[Any], b: NDArray[Any]) -> FloatArray:
    """Return the Jensen-Shannon divergence of each pair of rows in bits [n], from 0 to 1 (Lin 1991).

    Rows that are no probabilities are taken for logits.
    """
    p, q = _probabilities(a), _probabilities(b)
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log2(p / middle), 0.0) + np.where(q > 0, q * np.log2(q / middle), 0.0)
    return np.asarray(np.clip(terms.sum(axis=1) / 2, 0, 1))


def _probabilities(rows: NDArray[Any]) -> FloatArray:
    found = rows.astype(np.float64)
    sums = found.sum(axis=1, keepdims=True)
    if np.all(found >= 0) and np.all(np.abs(sums - 1) < _NEAR_ONE):
        return np.asarray(found / sums)
    powers = np.exp(found - found.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _each(answered: BoolArray, values: Callable[[NDArray[np.int64]], NDArray[Any]]) -> FloatArray:
    """Return values [n] of the answered examples, some at a time; those of others are 0, and nobody reads them."""
    found: FloatArray = np.zeros(len(answered))
    rows = np.flatnonzero(answered)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        some = rows[start : start + _ROWS_AT_ONCE]
        found[some] = values(some)
    return found


def cosines(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """Return the cosine similarity of each pair of rows [n]; rows without length are like only each other."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    alike = np.where((a == b).all(axis=1), 1.0, 0.0)
    found = np.divide(np.einsum("ij,ij->i", a, b), lengths, out=alike, where=lengths > 0)
    return np.asarray(np.clip(found, -1, 1))


def slices_of(golden: GoldenSet) -> dict[str, Slicing]:
    """Return the slices of a golden set by name."""
    return {n: Slicing(golden.tensor(f"slices.{n}"), s.values) for n, s in golden.manifest.slices.items()}


def _texts(kept: NDArray[Any]) -> NDArray[Any]:
    """Return the texts [n] of what a replay kept of them, as `str`."""
    found: NDArray[Any] = np.empty(len(kept), dtype=object)
    found[:] = [text.decode("utf-8", "replace") for text in kept]
    return found
