"""A replay against the reference outputs, example by example: what moved, what flipped, and in which slices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldwatch.judgement import Difference, Flip, SliceShare, SliceStanding

_SLICE_ERROR = 0.01
_ROWS_AT_ONCE = 1 << 14

Outputs = Mapping[str, NDArray[np.generic]]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Slicing:
    """One way to cut the golden set: `codes` [n] index into `values`; a negative code is in no slice."""

    codes: IntArray
    values: Sequence[str]


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """What a golden set of n examples says of its answers.

    `outputs` are arrays [n, ...] by name, `tolerances` the largest absolute difference by output that is none (0 if not
    named), `decision` names the output [n, classes] whose largest value is the answer. `labels` [n] index
    `class_names`; a class without a name is called by its index.
    """

    outputs: Outputs
    tolerances: Mapping[str, float]
    decision: str
    labels: IntArray
    class_names: Sequence[str] = ()
    slices: Mapping[str, Slicing] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """How the answers of n examples stand: right `then`, right `now`, and whether the answer `differs`, bool [n] each.

    `flip` says of an example by its index what its label, its reference and its answer now are.
    """

    then: BoolArray
    now: BoolArray
    differs: BoolArray
    flip: Callable[[int], Flip]


def difference(now: Outputs, answered: BoolArray, expected: Expected, listed: int = 50) -> Difference:
    """Compare the answered examples with the reference; at most `listed` flips are listed, harmful ones first.

    `now` has every expected output, of the same shape; rows of examples that were not `answered` [n] are not read.
    Raises KeyError for an output that is missing and ValueError for one of another shape.
    """
    marks = _classes(now[expected.decision], answered, expected)
    return summary(distances(now, answered, expected), answered, marks, expected.slices or {}, listed)


def summary(
    found: tuple[float, BoolArray], answered: BoolArray, marks: Marks, slices: Mapping[str, Slicing], listed: int = 50
) -> Difference:
    """Put together the largest distance, which examples moved [n], and what the answers' marks tell of flips."""
    largest, moved = found
    changed = marks.differs & answered
    harmful = changed & marks.then & ~marks.now
    helpful = changed & ~marks.then & marks.now
    neutral = changed & (marks.then == marks.now)
    first = np.concatenate([np.flatnonzero(kind) for kind in (harmful, helpful, neutral)])[:listed]
    return Difference(
        compared=int(np.count_nonzero(answered)),
        moved=int(np.count_nonzero(moved)),
        harmful=int(np.count_nonzero(harmful)),
        helpful=int(np.count_nonzero(helpful)),
        neutral=int(np.count_nonzero(neutral)),
        largest=largest,
        flips=tuple(marks.flip(int(i)) for i in first),
        where=_where(harmful, marks.then, answered, slices),
    )


def not_a_number(outputs: Outputs, answered: BoolArray) -> BoolArray:
    """Return which of the answered examples hold NaN in an output [n]: what no label and no tolerance can judge."""
    found = np.zeros(answered.shape, dtype=np.bool_)
    for values in outputs.values():
        if values.dtype.kind != "f":
            continue
        for start in range(0, len(values), _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            found[rows] |= np.isnan(values[rows]).reshape(len(values[rows]), -1).any(axis=1)
    return found & answered


def distances(now: Outputs, answered: BoolArray, expected: Expected) -> tuple[float, BoolArray]:
    """Return the largest distance of any answered example, and for each example whether it moved [n]."""
    furthest, moved = 0.0, np.zeros(answered.shape, dtype=np.bool_)
    if not answered.any():
        return furthest, moved
    for name, reference in expected.outputs.items():
        if now[name].shape != reference.shape:
            raise ValueError(f"output {name!r} has shape {now[name].shape}, the reference {reference.shape}")
        far = _furthest(now[name][answered], reference[answered])
        furthest = max(furthest, float(far.max()))
        moved[answered] |= far > expected.tolerances.get(name, 0.0)
    return furthest, moved


def _furthest(now: NDArray[np.generic], reference: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return the largest absolute difference of each example [n]."""
    found = np.empty(len(now))
    for start in range(0, len(now), _ROWS_AT_ONCE):  # what is needed beside the answers does not grow with the set
        rows = slice(start, start + _ROWS_AT_ONCE)
        # In float64, since unsigned integers wrap around; equal infinities (masked logits) differ by nothing.
        ours, theirs = now[rows].astype(np.float64), reference[rows].astype(np.float64)
        far: NDArray[np.float64] = np.zeros_like(ours)
        np.subtract(ours, theirs, out=far, where=ours != theirs)
        found[rows] = np.abs(far).reshape(len(far), -1).max(axis=1, initial=0.0)
    return found


def _classes(outputs: NDArray[np.generic], answered: BoolArray, expected: Expected) -> Marks:
    """Mark the answers of a classifier, which are the classes that it ranks first."""
    then = expected.outputs[expected.decision].argmax(axis=1)
    now = np.where(answered, outputs.argmax(axis=1), then)
    labels, names = expected.labels, expected.class_names

    def flip(i: int) -> Flip:
        return Flip(i, _named(labels[i], names), _named(then[i], names), _named(now[i], names))

    return Marks(then == labels, now == labels, now != then, flip)


def _named(index: int, names: Sequence[str]) -> str:
    return names[index] if 0 <= index < len(names) else str(int(index))


def _where(
    harmful: BoolArray, was_right: BoolArray, answered: BoolArray, slices: Mapping[str, Slicing]
) -> tuple[SliceShare, ...]:
    """Return the slices that hold more harmful flips than chance would put there, those with most flips first.

    Only an example that was right can turn wrong, so the flips are taken for a draw without replacement from the
    answered examples that were right: the tail of the hypergeometric distribution, at 1 % over all slices together
    (Bonferroni over their values).
    """
    right, flips = answered & was_right, int(np.count_nonzero(harmful))
    tests = sum(len(slicing.values) for slicing in slices.values())
    found = []
    for name, value, members in _members(slices):
        inside = int(np.count_nonzero(harmful & members))
        tail = _tail(inside, int(np.count_nonzero(right)), int(np.count_nonzero(right & members)), flips)
        if inside > 0 and tail <= _SLICE_ERROR / tests:
            found.append(SliceShare(name, value, inside, int(np.count_nonzero(answered & members))))
    return tuple(sorted(found, key=lambda share: (-share.flips, share.examples, share.slice, share.value)))


def standings(
    right: BoolArray, usually: NDArray[np.float64], answered: BoolArray, slices: Mapping[str, Slicing]
) -> tuple[SliceStanding, ...]:
    """Return how each slice stands that has an answered example, in the order of the golden set.

    `right` [n] are right now, `usually` [n] is the share of the reference replays in which an example was.
    """
    found = []
    for name, value, members in _members(slices):
        inside = members & answered
        if n := int(np.count_nonzero(inside)):
            found.append(SliceStanding(name, value, n, float(right[inside].mean()), float(usually[inside].mean())))
    return tuple(found)


def _members(slices: Mapping[str, Slicing]) -> Iterator[tuple[str, str, BoolArray]]:
    for name, slicing in slices.items():
        for code, value in enumerate(slicing.values):
            yield name, value, slicing.codes == code


def _tail(inside: int, population: int, members: int, draws: int) -> float:
    """Return P(X >= inside) for X the members among `draws` from a population without replacement."""
    from scipy.special import gammaln  # noqa: PLC0415 - only a replay with flips pays for scipy

    def log_choose(n: int, k: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))

    low, high = max(inside, draws - (population - members)), min(draws, members)
    x = np.arange(low, high + 1)
    logs = log_choose(members, x) + log_choose(population - members, draws - x)
    return float(np.exp(logs - log_choose(population, np.array(draws))).sum())
