"""Tasks whose answer is numbers of any shape: compared with the reference alone, or with true values (regression)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.core.judgement import Difference, Flip, Score
from goldwatch.golden.lines import JSON
from goldwatch.golden.opened import GoldenSet
from goldwatch.scratch import blocks, column
from goldwatch.worker.evaluators import structures
from goldwatch.worker.evaluators.agreement import Cuts, Marks, Outputs, apart_in, distances, furthest, summary
from goldwatch.worker.evaluators.errors import error_scores
from goldwatch.worker.evaluators.means import Share, mean
from goldwatch.worker.evaluators.parts import clusters_of, each, expected_of, slices_of
from goldwatch.worker.evaluators.usual import Usual
from goldwatch.worker.evaluators.vectors import apart, cosines

_SHOWN = 80
_BEFORE = 16
"""So many characters that two answers have in common are shown before those that differ."""

_CUT = "\N{HORIZONTAL ELLIPSIS}"
_TEXT_WIDTH = 64

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]


class Numbers:
    """The answer is numbers; right are those within the tolerance of the reference."""

    def __init__(self, golden: GoldenSet) -> None:
        manifest = golden.manifest
        self._decision = manifest.decision
        self._width = math.prod(manifest.outputs[self._decision].shape)
        self._examples = golden.examples
        self._structured = manifest.outputs[self._decision].dtype == JSON
        self._expected = expected_of(golden)
        own = {self._decision: self._expected.outputs[self._decision]}
        self._judged = replace(self._expected, outputs=own)
        self._slices, self._clusters = slices_of(golden), clusters_of(golden)
        self._usual = Usual(golden)

    def right(self, outputs: Outputs) -> BoolArray:
        """Return which examples have the right answer [n]."""
        return self._near(outputs, np.broadcast_to(np.True_, self._examples))

    def scores(self, outputs: Outputs, answered: BoolArray) -> tuple[Score, ...]:
        """Return the scores over the answered examples."""
        if not answered.any():
            return ()
        agreement = self._share("agreement", self._near(outputs, answered), answered)
        name = "closeness" if self._alone or self._structured else "cosine_similarity"
        usual = 1.0 if self._usual.repeats else self._usual.score()
        likeness = mean(name, self._likeness(outputs, answered), usual, answered, self._clusters)
        return (agreement, likeness)

    def difference(self, outputs: Outputs, answered: BoolArray) -> Difference:
        """Compare with the reference, example by example."""
        largest, moved = distances(outputs, answered, self._expected)
        right, was_right = self._now_and_then(outputs, answered)

        def marks(rows: slice) -> Marks:
            then, now = was_right[rows], right[rows]
            return Marks(then, now, then != now, moved[rows], largest)

        cuts = Cuts(self._slices, self._expected.clusters)
        return summary(answered, marks, lambda i: self._flip(i, outputs), cuts)

    def same(self, outputs: Outputs, others: Outputs) -> BoolArray:
        """Return whether two targets give the same answer, by example [n]."""
        now, its, allowed = outputs[self._decision], others[self._decision], self._expected.tolerances[self._decision]

        def near(rows: slice) -> BoolArray:
            if self._structured:
                every = np.ones(rows.stop - rows.start, np.bool_)
                return np.asarray(apart_in(now[rows], its[rows], every, structured=True) <= allowed)
            return np.asarray(furthest(now[rows], its[rows]) <= allowed)

        return column(self._examples, np.bool_, near, self._width)

    def score(self, outputs: Outputs, answered: BoolArray) -> FloatArray | None:
        """Return the cosine similarity, at least 0; of a single number its closeness."""
        return self._likeness(outputs, answered)

    def distance(self, outputs: Outputs, answered: BoolArray) -> FloatArray:
        """Return how far each answer is from its reference [n], from 0 to 1."""
        now, then = outputs[self._decision], self._expected.outputs[self._decision]
        if self._structured:
            return self._structures_apart(now, then, answered)
        if self._alone:
            return each(answered, lambda rows: self._apart(now[rows], then[rows]), 1)
        return each(answered, lambda rows: (1 - cosines(_flat(now[rows]), _flat(then[rows]))) / 2, self._width)

    def lengths(self, outputs: Outputs, answered: BoolArray) -> None:
        """Return None: numbers have no length."""

    def _likeness(self, outputs: Outputs, answered: BoolArray) -> FloatArray:
        now, then = outputs[self._decision], self._expected.outputs[self._decision]
        if self._structured:
            return np.asarray(np.where(answered, 1 - self._structures_apart(now, then, answered), 0.0))
        if self._alone:
            return each(answered, lambda rows: 1 - self._apart(now[rows], then[rows]), 1)
        return each(answered, lambda rows: np.clip(cosines(_flat(now[rows]), _flat(then[rows])), 0, 1), self._width)

    def _now_and_then(self, outputs: Outputs, answered: BoolArray) -> tuple[BoolArray, BoolArray]:
        """Return which examples are right now, and which were in the reference [n]."""
        return self._near(outputs, answered), np.broadcast_to(np.True_, self._examples)

    def _flip(self, i: int, outputs: Outputs) -> Flip:
        now, then = outputs[self._decision], self._expected.outputs[self._decision]
        if self._structured:
            return Flip(i, "", *_differing(then[i], now[i].decode("utf-8", "replace")))
        if self._alone:
            return Flip(i, "", *(f"{float(values[i].reshape(())):.6g}" for values in (then, now)))
        return Flip(i, "", "", f"cosine {cosines(_flat(now[i : i + 1]), _flat(then[i : i + 1]))[0]:.4f}")

    def _share(self, name: str, right: BoolArray, answered: BoolArray) -> Score:
        share = Share(name, self._clusters)
        for rows in blocks(self._examples):
            some = answered[rows]
            share.add(rows, some, right[rows][some], self._usual.right(rows)[some])
        return share.score()

    @property
    def _alone(self) -> bool:
        """Whether the answer is a single number, as of a regression: a cosine sees only its sign."""
        return self._width == 1

    def _structures_apart(self, now: NDArray[Any], then: Any, answered: BoolArray) -> FloatArray:  # noqa: ANN401 - texts
        allowed = self._expected.tolerances[self._decision]

        def some(rows: slice) -> FloatArray:
            read = (map(structures.read, values[rows].tolist()) for values in (now, then))
            pairs = zip(*read, answered[rows], strict=True)
            return np.array([structures.distance(a, b, allowed) if is_so else 0.0 for a, b, is_so in pairs])

        return column(self._examples, np.float64, some, _TEXT_WIDTH)

    def _apart(self, now: NDArray[Any], then: NDArray[Any]) -> FloatArray:
        return apart(_flat(now)[:, 0], _flat(then)[:, 0], self._expected.tolerances[self._decision])

    def _near(self, outputs: Outputs, answered: BoolArray) -> BoolArray:
        """Return which examples are within the tolerance [n]; those that were not answered are not looked at."""
        found = distances(outputs, answered, self._judged)[1]
        return np.logical_not(found, out=found)


class Regression(Numbers):
    """The answer is values; right are those that differ from the true ones by at most `labels.within`."""

    def __init__(self, golden: GoldenSet) -> None:
        super().__init__(golden)
        labels = golden.manifest.labels
        self._within = labels.within if labels is not None and labels.within is not None else 0.0
        self._truth = golden.tensor("labels")
        self._was_right = self._close(self._expected.outputs[self._decision], np.broadcast_to(np.True_, self._examples))

    def right(self, outputs: Outputs) -> BoolArray:
        """Return which examples have the right answer [n]."""
        return self._close(outputs[self._decision], np.broadcast_to(np.True_, self._examples))

    def scores(self, outputs: Outputs, answered: BoolArray) -> tuple[Score, ...]:
        """Return the scores over the answered examples."""
        if not answered.any():
            return ()
        now, then = (found[self._decision] for found in (outputs, self._expected.outputs))
        codes = None if self._clusters is None else self._clusters.codes
        accuracy = self._share("accuracy", self.right(outputs), answered)
        return (accuracy, *error_scores(now, then if self._usual.repeats else None, self._truth, answered, codes))

    def score(self, outputs: Outputs, answered: BoolArray) -> None:
        """Return None: a value is right or wrong."""

    def _now_and_then(self, outputs: Outputs, answered: BoolArray) -> tuple[BoolArray, BoolArray]:
        return self._close(outputs[self._decision], answered), self._was_right

    def _flip(self, i: int, outputs: Outputs) -> Flip:
        values = (self._truth, self._expected.outputs[self._decision], outputs[self._decision])
        return Flip(i, *(", ".join(f"{value:.6g}" for value in np.ravel(v[i])[:4].tolist()) for v in values))

    def _close(self, values: NDArray[Any], answered: BoolArray) -> BoolArray:
        def some(rows: slice) -> BoolArray:
            found = np.zeros(rows.stop - rows.start, dtype=np.bool_)
            which = answered[rows]
            found[which] = furthest(values[rows][which], self._truth[rows][which]) <= self._within
            return found

        return column(self._examples, np.bool_, some, self._width)


def _differing(then: str, now: str) -> tuple[str, str]:
    """Return two texts from shortly before the first character in which they differ."""
    if max(len(then), len(now)) <= _SHOWN:
        return then, now
    shorter = min(len(then), len(now))
    alike = next((i for i in range(shorter) if then[i] != now[i]), shorter)
    start = max(0, alike - _BEFORE)
    cut = [f"{_CUT}{text[start:]}" if start else text for text in (then, now)]
    then, now = (text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}{_CUT}" for text in cut)
    return then, now


def _flat(values: NDArray[Any]) -> NDArray[Any]:
    return values.reshape(len(values), math.prod(values.shape[1:]))
