"""What each task makes of the outputs of a replay: which examples are right, the scores, and the difference.

A task is the only place that knows what an answer is. Without labels, an example is right if its answer is
that of the validated model: the same text, or numbers within the tolerance (`numbers`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from goldwatch.core.judgement import Difference, Flip, Score
from goldwatch.golden.manifest import Task
from goldwatch.golden.opened import GoldenSet
from goldwatch.scratch import blocks, column
from goldwatch.worker.evaluators import classification
from goldwatch.worker.evaluators.agreement import (
    Cuts,
    Marks,
    Outputs,
    difference,
    distances,
    summary,
)
from goldwatch.worker.evaluators.decisions import decision_of
from goldwatch.worker.evaluators.matching import matcher
from goldwatch.worker.evaluators.means import Share, mean
from goldwatch.worker.evaluators.numbers import Numbers, Regression
from goldwatch.worker.evaluators.parts import clusters_of, each, expected_of, slices_of
from goldwatch.worker.evaluators.references import Reference, References
from goldwatch.worker.evaluators.text import chrf, token_f1
from goldwatch.worker.evaluators.usual import Usual
from goldwatch.worker.evaluators.vectors import are_probabilities, jensen_shannon

_SHOWN = 80
_TEXT_WIDTH = 64
_LEAST_APART = 2.0**-20
"""The distance of texts that differ in nothing but what chrF does not see."""

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
        """Return whether two targets give the same answer, by example [n]."""

    def score(self, outputs: Outputs, answered: BoolArray) -> FloatArray | None:
        """Return how good each answer is, from 0 to 1 [n]; None where it is right or wrong and nothing between."""

    def distance(self, outputs: Outputs, answered: BoolArray) -> FloatArray:
        """Return how far each answer is from its reference [n], from 0 to 1."""

    def lengths(self, outputs: Outputs, answered: BoolArray) -> Iterable[tuple[int, int]] | None:
        """Return how long each answer is, and its reference; None if answers have no length."""


def judged(golden: GoldenSet) -> Judged:
    """Return what the task of a golden set makes of outputs. Raises GoldenError."""
    return _TASKS[golden.task](golden)


def reference_problem(golden: GoldenSet) -> str:
    """Return why the counts of right answers in the reference cannot be used; empty if they can.

    Formats before 5 matched texts without signs and decimal points. Their counts hold where every answer repeats and
    is as right as before.
    """
    manifest = golden.manifest
    if manifest.format >= 5 or manifest.labels is None or manifest.labels.match is None:
        return ""
    reference = manifest.reference
    if reference.deterministic and _Generation(golden).counted_as_now(
        golden.tensor("reference.right"), reference.replays
    ):
        return ""
    return (
        f"the reference of {golden} has counts of right answers by the text match of format {manifest.format}, which "
        "ignored signs and decimal points; take a new reference with `goldwatch golden calibrate`"
    )


class _Classification:
    """The answer is the class with the highest score."""

    def __init__(self, golden: GoldenSet) -> None:
        manifest = golden.manifest
        self._decision = manifest.decision
        self._labels = golden.tensor("labels")
        self._read = decision_of(manifest)
        names = (manifest.labels.classes if manifest.labels else None) or ()
        self._expected = expected_of(golden, self._labels, names, self._read.scores)
        self._clusters = clusters_of(golden)
        self._usual = Usual(golden)
        self._logits: bool | None = None  # decided by the whole reference, at the first distance

    def right(self, outputs: Outputs) -> BoolArray:
        now, labels = self._scores(outputs), self._labels
        return column(len(labels), np.bool_, lambda rows: now[rows].argmax(axis=1) == labels[rows], now.shape[1])

    def scores(self, outputs: Outputs, answered: BoolArray) -> tuple[Score, ...]:
        now, then = self._scores(outputs), self._scores(self._expected.outputs) if self._usual.repeats else None
        usually = column(len(self._labels), np.float64, self._usual.right)
        return classification.scores(
            now, then, self._labels, answered, self._clusters, usually, ranked=self._read.ranked
        )

    def difference(self, outputs: Outputs, answered: BoolArray) -> Difference:
        return difference(outputs, answered, self._expected)

    def same(self, outputs: Outputs, others: Outputs) -> BoolArray:
        now, its = self._scores(outputs), self._scores(others)
        return column(
            len(now), np.bool_, lambda rows: now[rows].argmax(axis=1) == its[rows].argmax(axis=1), now.shape[1]
        )

    def score(self, outputs: Outputs, answered: BoolArray) -> None:  # noqa: ARG002 - as the protocol says
        return None

    def distance(self, outputs: Outputs, answered: BoolArray) -> FloatArray:
        then = self._read.spread(self._expected.outputs[self._decision])
        now = self._read.spread(outputs[self._decision])
        if self._logits is None:
            self._logits = not are_probabilities(then)
        logits = self._logits
        return each(answered, lambda rows: jensen_shannon(now[rows], then[rows], logits=logits), now.shape[1])

    def lengths(self, outputs: Outputs, answered: BoolArray) -> None:  # noqa: ARG002 - as the protocol says
        return None

    def _scores(self, outputs: Outputs) -> Any:  # noqa: ANN401 - scores [n, classes]
        return self._read.scores(outputs[self._decision])


class _Generation:
    """The answer is a text; right is what matches one of the example's answers, or equals the reference."""

    def __init__(self, golden: GoldenSet) -> None:
        labels = golden.manifest.labels
        self._decision = golden.manifest.decision
        self._labelled = labels is not None
        self._slices, self._clusters = slices_of(golden), clusters_of(golden)
        self._usual = Usual(golden)
        self._examples = golden.examples
        self._expected = References(golden.lines(), self._decision, labelled=self._labelled)
        self._others = expected_of(golden, but=self._decision)
        match = labels.match if labels is not None and labels.match is not None else "exact"
        self._matcher = matcher(match, self._options() if match == "choice" else ())
        self._was_right = self._column(np.bool_, self._right_reference)
        self._measured: dict[str, tuple[NDArray[Any], BoolArray, FloatArray]] = {}

    def right(self, outputs: Outputs) -> BoolArray:
        kept = outputs[self._decision]
        return self._column(np.bool_, lambda rows: self._right(kept, rows))

    def scores(self, outputs: Outputs, answered: BoolArray) -> tuple[Score, ...]:
        if not answered.any():
            return ()
        kept = outputs[self._decision]
        agreement, accuracy = (Share(name, self._clusters) for name in ("agreement", "accuracy"))
        for rows in self._blocks():
            some = answered[rows]
            same = np.asarray(_texts(kept[rows]) == self._references(rows), dtype=np.bool_)[some]
            usually = self._usual.same(rows)
            agreement.add(rows, some, same, None if usually is None else usually[some])
            if self._labelled:
                accuracy.add(rows, some, self._right(kept, rows)[some], self._usual.right(rows)[some])
        usual = self._usual.closeness()
        usual = self._usual.score() if usual is None and not self._labelled else usual
        likeness = mean("chrf", self._likeness(kept, answered), usual, answered, self._clusters)
        found = (agreement.score(), likeness)
        if not self._labelled:
            return found
        now, then = self._f1_now(kept, answered), self._usual.score()
        if then is None and self._usual.repeats:
            then = self._f1(self._references, answered)
        return (accuracy.score(), mean("token_f1", now, then, answered, self._clusters), *found)

    def difference(self, outputs: Outputs, answered: BoolArray) -> Difference:
        kept = outputs[self._decision]
        _, others = distances(outputs, answered, self._others)

        def marks(rows: slice) -> Marks:
            now, then = _texts(kept[rows]), self._references(rows)
            differs = np.asarray(now != then, dtype=np.bool_)
            moved = (differs | others[rows]) & answered[rows]
            return Marks(self._was_right[rows], self._right(kept, rows), differs, moved, None)

        def flip(i: int) -> Flip:
            [(reference, answers)] = self._expected[i : i + 1]
            now = _texts(kept[i : i + 1])[0]
            return Flip(i, answers[0][:_SHOWN] if self._labelled else "", reference[:_SHOWN], now[:_SHOWN])

        return summary(answered, marks, flip, Cuts(self._slices, self._codes, _TEXT_WIDTH))

    def same(self, outputs: Outputs, others: Outputs) -> BoolArray:
        kept, its = outputs[self._decision], others[self._decision]
        return self._column(np.bool_, lambda rows: kept[rows] == its[rows])

    def score(self, outputs: Outputs, answered: BoolArray) -> FloatArray:
        """Return token F1 where there are answers that count as right, and else chrF against the reference."""
        kept = outputs[self._decision]
        return (self._f1_now if self._labelled else self._likeness)(kept, answered)

    def distance(self, outputs: Outputs, answered: BoolArray) -> FloatArray:
        """Return 1 - chrF; it is 0 only for equal texts, though chrF does not see spaces."""
        kept = outputs[self._decision]
        found = self._likeness(kept, answered)

        def some(rows: slice) -> FloatArray:
            differs = np.asarray(_texts(kept[rows]) != self._references(rows), dtype=np.bool_)
            far = np.maximum(1 - found[rows], np.where(differs, _LEAST_APART, 0.0))
            return np.where(answered[rows], far, 0.0)

        return self._column(np.float64, some)

    def lengths(self, outputs: Outputs, answered: BoolArray) -> Iterator[tuple[int, int]]:
        kept = outputs[self._decision]
        for rows in self._blocks():
            pairs = zip(_texts(kept[rows])[answered[rows]], self._references(rows)[answered[rows]], strict=True)
            yield from ((len(now), len(then)) for now, then in pairs)

    def counted_as_now(self, right: NDArray[np.int64], replays: Sequence[int]) -> bool:
        """Return whether the counts of right answers [2, n] are those of reference replays that all gave one answer."""
        return all(
            bool((right[half, rows] == self._was_right[rows] * count).all())
            for rows in self._blocks()
            for half, count in enumerate(replays)
        )

    def _options(self) -> set[str]:
        return {answer for rows in self._blocks() for _, answers in self._expected[rows] for answer in answers}

    @property
    def _codes(self) -> NDArray[np.int64] | None:
        return None if self._clusters is None else self._clusters.codes

    def _blocks(self) -> Iterator[slice]:
        return blocks(self._examples, _TEXT_WIDTH)

    def _column(self, dtype: Any, values: Callable[[slice], NDArray[Any]]) -> NDArray[Any]:  # noqa: ANN401 - numpy's
        return column(self._examples, dtype, values, _TEXT_WIDTH)

    def _references(self, rows: slice) -> NDArray[Any]:
        return _objects([reference for reference, _ in self._expected[rows]])

    def _right_reference(self, rows: slice) -> BoolArray:
        return np.array([self._matches(reference, (reference, a)) for reference, a in self._expected[rows]], bool)

    def _right(self, kept: NDArray[Any], rows: slice) -> BoolArray:
        """Return which of some rows are right [m]; what equals its reference is right if that is."""
        found, now = self._was_right[rows].copy(), _texts(kept[rows])
        for i, (text, example) in enumerate(zip(now, self._expected[rows], strict=True)):
            if text != example[0]:
                found[i] = self._matches(text, example)
        return np.asarray(found)

    def _matches(self, text: str, example: Reference) -> bool:
        return self._matcher(text, example[1]) if self._labelled else text == example[0]

    def _f1_now(self, kept: NDArray[Any], answered: BoolArray) -> FloatArray:
        """Return token F1 [n] of the answers of a replay."""
        return self._once("f1", kept, answered, lambda: self._f1(lambda rows: _texts(kept[rows]), answered))

    def _once(self, name: str, kept: NDArray[Any], answered: BoolArray, values: Callable[[], FloatArray]) -> FloatArray:
        """Return values [n] that were worked out already if they are of the same replay."""
        known = self._measured.get(name)
        if known is None or known[0] is not kept or known[1] is not answered:
            known = self._measured[name] = kept, answered, values()
        return known[2]

    def _f1(self, texts: Callable[[slice], NDArray[Any]], answered: BoolArray) -> FloatArray:
        """Return token F1 [n] of the answered examples; others have 0."""

        def some(rows: slice) -> FloatArray:
            known = zip(texts(rows), self._expected[rows], answered[rows], strict=True)
            return np.array([token_f1(text, answers) if is_so else 0.0 for text, (_, answers), is_so in known])

        return self._column(np.float64, some)

    def _likeness(self, kept: NDArray[Any], answered: BoolArray) -> FloatArray:
        """Return chrF [n] of the answered examples against their references; others have 0."""

        def some(rows: slice) -> FloatArray:
            pairs = zip(_texts(kept[rows]), self._references(rows), answered[rows], strict=True)
            return np.array([chrf_or_equal(now, then) if is_so else 0.0 for now, then, is_so in pairs])

        return self._once("chrf", kept, answered, lambda: self._column(np.float64, some))


_TASKS: Mapping[Task, Callable[[GoldenSet], Judged]] = {
    Task.CLASSIFICATION: _Classification,
    Task.GENERATION: _Generation,
    Task.EMBEDDING: Numbers,
    Task.REGRESSION: Regression,
}


def chrf_or_equal(a: str, b: str) -> float:
    """Return chrF of one text against another; equal ones need no counting, and nothing is like nothing."""
    return 1.0 if a == b else chrf(a, b)


def _texts(kept: NDArray[Any]) -> NDArray[Any]:
    """Return the texts [m] of what a replay kept of them, as `str`."""
    return _objects([text.decode("utf-8", "replace") for text in kept])


def _objects(texts: list[str]) -> NDArray[Any]:
    found: NDArray[Any] = np.empty(len(texts), dtype=object)
    found[:] = texts
    return found
