"""A replay against the reference outputs, example by example: what moved, what flipped, and the slices concerned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.core.judgement import Difference, Flip, OutputDifference, SliceStanding
from goldwatch.probe import usable
from goldwatch.scratch import blocks, column
from goldwatch.worker.evaluators import structures
from goldwatch.worker.evaluators.confusions import Confusions, class_name
from goldwatch.worker.evaluators.slices import Slicing, Tally, where

Outputs = Mapping[str, NDArray[np.generic]]
_OTHER = float(np.finfo(np.float64).max)
"""How far JSON of another structure is, which has no largest difference."""

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def _as_is(kept: Any) -> Any:  # noqa: ANN401 - an array
    return kept


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """The expected answers of a golden set of n examples.

    `outputs` are arrays [n, ...] by name, or columns of text, `tolerances` the largest absolute difference by output
    that is none (0 if not named), `decision` names the output whose `scores` [n, classes] are the answer by their
    largest value. `labels` [n] index `class_names`; a class without a name is called by its index. `clusters` [n]
    numbers the examples that are right or wrong together, -1 for an independent example.
    """

    outputs: Outputs
    tolerances: Mapping[str, float]
    decision: str
    labels: IntArray
    class_names: Sequence[str] = ()
    slices: Mapping[str, Slicing] | None = None
    clusters: IntArray | None = None
    structured: frozenset[str] = frozenset()
    """The outputs that are JSON."""
    scores: Callable[[Any], Any] = _as_is
    """Makes scores [n, classes] of the output that is judged."""

    @property
    def width(self) -> int:
        """How many values an example has in all outputs together."""
        return sum(values[:1].size for values in self.outputs.values())


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """Some of the answers [m]: right `then`, right `now`, whether the answer `differs`, what `moved`.

    `furthest` is the largest distance of any answered one from its reference, None where that has no size.
    """

    then: BoolArray
    now: BoolArray
    differs: BoolArray
    moved: BoolArray
    furthest: float | None


def difference(now: Outputs, answered: BoolArray, expected: Expected, listed: int = 50) -> Difference:
    """Compare the answered examples with the reference; at most `listed` flips are listed, harmful ones first.

    `now` has every expected output, of the same shape; rows of examples that were not `answered` [n] are not read.
    Raises KeyError for an output that is missing and ValueError for one of another shape.
    """
    _check(now, expected)
    ours, theirs = (expected.scores(outputs[expected.decision]) for outputs in (now, expected.outputs))
    labels, names = expected.labels, expected.class_names
    mistakes = Confusions(names, expected.clusters)

    def marks(rows: slice) -> Marks:
        some, truth = answered[rows], labels[rows]
        then = theirs[rows].argmax(axis=1)
        found = np.where(some, ours[rows].argmax(axis=1), then)
        furthest, moved = _distances(now, some, expected, rows)
        mistakes.add(rows, truth[some], then[some], found[some], some)
        return Marks(then == truth, found == truth, found != then, moved, furthest)

    def flip(i: int) -> Flip:
        then, found = int(theirs[i].argmax()), int(ours[i].argmax())
        return Flip(i, class_name(labels[i], names), class_name(then, names), class_name(found, names))

    compared = summary(answered, marks, flip, Cuts(expected.slices or {}, expected.clusters, expected.width), listed)
    return replace(compared, confusions=mistakes.worst())


@dataclass(frozen=True, slots=True, eq=False)
class Cuts:
    """How a golden set is cut: its slices, its clusters [n] if there are any, and the values that an example has."""

    slices: Mapping[str, Slicing]
    clusters: IntArray | None = None
    width: int = 1


def summary(
    answered: BoolArray,
    marks: Callable[[slice], Marks],
    flip: Callable[[int], Flip],
    cuts: Cuts,
    listed: int = 50,
) -> Difference:
    """Put together the `marks`, some rows at a time; `flip` returns the answers of an example."""
    tally = Tally(cuts.slices, cuts.clusters)
    moved, counts = 0, np.zeros(3, dtype=np.int64)
    furthest: float | None = 0.0
    first: tuple[list[int], ...] = ([], [], [])
    for rows in blocks(len(answered), cuts.width):
        found, some = marks(rows), answered[rows]
        changed = found.differs & some
        harmful = changed & found.then & ~found.now
        kinds = (harmful, changed & ~found.then & found.now, changed & (found.then == found.now))
        for kind, (which, seen) in enumerate(zip(kinds, first, strict=True)):
            counts[kind] += np.count_nonzero(which)
            if len(seen) < listed:
                seen.extend((rows.start + np.flatnonzero(which)[: listed - len(seen)]).tolist())
        furthest = _larger(furthest, found.furthest)
        moved += int(np.count_nonzero(found.moved))
        tally.add(rows, harmful, some & found.then, some)
    return Difference(
        compared=int(np.count_nonzero(answered)),
        moved=moved,
        harmful=int(counts[0]),
        helpful=int(counts[1]),
        neutral=int(counts[2]),
        largest=furthest,
        flips=tuple(flip(i) for i in [i for seen in first for i in seen][:listed]),
        where=where(tally),
    )


def without_value(outputs: Outputs, answered: BoolArray, masked: str) -> Iterator[int]:
    """Yield the answered examples that no label and no tolerance can judge: they hold NaN or infinity.

    In the output `masked` [n, classes] -inf masks a class: it is a value, unless all classes of an example have it.
    """
    floats = {name: values for name, values in outputs.items() if values.dtype.kind == "f"}
    for rows in blocks(len(answered), sum(values[:1].size for values in floats.values())):
        bad = np.zeros(len(answered[rows]), dtype=np.bool_)
        for name, values in floats.items():
            some = values[rows].reshape(len(bad), -1)
            bad |= ~(usable(some) if name == masked else np.isfinite(some).all(axis=1))
        yield from (rows.start + np.flatnonzero(bad & answered[rows])).tolist()


def distances(now: Outputs, answered: BoolArray, expected: Expected) -> tuple[float | None, BoolArray]:
    """Return the largest distance of any answered example, and for each example whether it moved [n].

    There is no largest distance if an output is text or JSON.
    """
    _check(now, expected)
    largest: float | None = 0.0

    def moved(rows: slice) -> BoolArray:
        nonlocal largest
        far, found = _distances(now, answered[rows], expected, rows)
        largest = _larger(largest, far)
        return found

    found = column(len(answered), np.bool_, moved, expected.width)
    return largest, found


def each_output(now: Outputs, answered: BoolArray, expected: Expected) -> Iterator[OutputDifference]:
    """Yield how each output of the answered examples differs from its reference."""
    for name, reference in expected.outputs.items():
        alone = replace(expected, outputs={name: reference})
        largest, moved = distances(now, answered, alone)
        yield OutputDifference(name, int(np.count_nonzero(moved)), largest, expected.tolerances.get(name, 0.0))


def _check(now: Outputs, expected: Expected) -> None:
    for name, reference in expected.outputs.items():
        if now[name].shape != reference.shape:
            raise ValueError(f"output {name!r} has shape {now[name].shape}, the reference {reference.shape}")


def _larger(a: float | None, b: float | None) -> float | None:
    """Return the larger of two distances; None if one of them is not known."""
    return None if a is None or b is None else max(a, b)


def _distances(now: Outputs, answered: BoolArray, expected: Expected, rows: slice) -> tuple[float | None, BoolArray]:
    """Return the largest distance of any answered example of some rows, and for each whether it moved [m]."""
    moved = np.zeros(answered.shape, dtype=np.bool_)
    largest = None if any(now[name].dtype.kind == "S" for name in expected.outputs) else 0.0
    if not answered.any():
        return largest, moved
    for name, reference in expected.outputs.items():
        far = apart_in(now[name][rows], reference[rows], answered, structured=name in expected.structured)
        largest = _larger(largest, float(far.max(initial=0.0)))
        moved[answered] |= far > expected.tolerances.get(name, 0.0)
    return largest, moved


def apart_in(
    now: NDArray[Any], reference: NDArray[Any], answered: BoolArray, *, structured: bool = False
) -> NDArray[np.float64]:
    """Return how far an output of the answered examples is from its reference [k]; of texts 0 if equal, else 1.

    JSON of another structure is as far as a float can be.
    """
    if structured:
        read = (map(structures.read, values[answered].tolist()) for values in (now, reference))
        far = [structures.largest_difference(a, b) for a, b in zip(*read, strict=True)]
        return np.array([_OTHER if each is None else each for each in far])
    if now.dtype.kind != "S":
        return furthest(now[answered], reference[answered])
    pairs = zip(now[answered].tolist(), reference[answered].tolist(), strict=True)
    return np.array([float(text.decode("utf-8", "replace") != then) for text, then in pairs])


def furthest(now: NDArray[np.generic], reference: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return the largest absolute difference of each example [m], at most the largest float."""
    # In float64, since unsigned integers wrap around; equal infinities (masked logits) differ by nothing.
    ours, theirs = now.astype(np.float64), reference.astype(np.float64)
    far: NDArray[np.float64] = np.zeros_like(ours)
    with np.errstate(over="ignore"):
        np.subtract(ours, theirs, out=far, where=ours != theirs)
    largest = np.abs(far).max(axis=tuple(range(1, far.ndim)), initial=0.0)
    return np.asarray(np.minimum(largest, np.finfo(np.float64).max))


def standings(
    right: BoolArray | NDArray[np.float64],
    usually: NDArray[np.float64] | None,
    answered: BoolArray,
    slices: Mapping[str, Slicing],
) -> tuple[SliceStanding, ...]:
    """Return the standing of each slice with an answered example, in the order of the golden set.

    `right` [n] are right now, or the values of a score; `usually` [n] is the mean of the same over the reference
    replays, None if it is not known.
    """
    sums = {name: np.zeros((3, len(slicing.values))) for name, slicing in slices.items()}
    for rows in blocks(len(answered)):
        some = answered[rows]
        for name, slicing in slices.items():
            usual = 0.0 if usually is None else usually[rows]
            for kind, weights in enumerate((some, np.where(some, right[rows], 0), np.where(some, usual, 0.0))):
                sums[name][kind] += slicing.sums(rows, weights)
    return tuple(
        SliceStanding(name, value, int(n), float(now / n), None if usually is None else float(then / n))
        for name, slicing in slices.items()
        for value, (n, now, then) in zip(slicing.values, sums[name].T, strict=True)
        if n
    )
