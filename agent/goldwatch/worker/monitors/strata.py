"""Examples that the monitor *worse* does not distinguish, counted: replays of them are drawn as counts.

An example fails in a replay by itself, at its own rate; so of examples with one rate a binomial number is right. That
is the law of drawing each of them, and takes neither the time nor the memory, however many there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from goldwatch.scratch import blocks

if TYPE_CHECKING:
    from goldwatch.worker.monitors.reference import Reference
    from goldwatch.worker.monitors.worse import Worse

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """Outcomes of a replay: how many examples were `answered`, how many of them `right`, and of each group how many.

    `wrong_of` and `right_of` are of shape [groups].
    """

    answered: int
    right: int
    wrong_of: FloatArray
    right_of: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Strata:
    """Each stratum: its `size`, the `rate` at which its examples are right, and the groups that they are in.

    `size` int64 [strata], `rate` [strata], `inside` int64 [strata, groups], 1 where they are.
    """

    size: NDArray[np.int64]
    rate: FloatArray
    inside: NDArray[np.int64]

    @classmethod
    def of(cls, reference: Reference, worse: Worse) -> Strata:
        """Put examples together that are in the same groups and were right equally often."""
        return cls._of(_sizes(reference, worse), reference, worse)

    @classmethod
    def without(cls, reference: Reference, worse: Worse, lost: int) -> Strata:
        """Return them with `lost` examples never right: those that were right most often, in their order."""
        bits, sizes = len(worse.groups), _sizes(reference, worse)
        for often in sorted({key >> bits for key in sizes}, reverse=True):
            alike = Counter({key: size for key, size in sizes.items() if key >> bits == often})
            gone = alike if alike.total() <= lost else _first(reference, worse, often, lost)
            lost -= gone.total()
            sizes -= gone
            for key, size in gone.items():
                sizes[key & (1 << bits) - 1] += size
            if not lost:
                break
        return cls._of(sizes, reference, worse)

    @classmethod
    def _of(cls, sizes: Counter[int], reference: Reference, worse: Worse) -> Strata:
        keys, groups = np.array(sorted(sizes), dtype=np.int64), len(worse.groups)
        size = np.array([sizes[key] for key in keys.tolist()], dtype=np.int64)
        inside = keys[:, np.newaxis] >> np.arange(groups) & 1
        return cls(size, (keys >> groups) / sum(reference.replays), inside)

    @property
    def accuracy(self) -> float:
        """The mean rate of all examples."""
        return float(self.size @ self.rate / self.size.sum())

    @property
    def fixed(self) -> bool:
        """Whether each replay is like the other."""
        return bool(np.isin(self.rate, (0, 1)).all())

    def losing(self, loss: float) -> Strata:
        """Return them with an accuracy lower by `loss`, which each example bears in proportion to its rate."""
        return replace(self, rate=self.rate * (1 - loss / self.accuracy))

    def draw(self, rng: np.random.Generator) -> Counts:
        """Draw a replay with an answer to every example."""
        right = rng.binomial(self.size, self.rate)
        wrong_of, right_of = ((count @ self.inside).astype(np.float64) for count in (self.size - right, right))
        return Counts(int(self.size.sum()), int(right.sum()), wrong_of, right_of)


def _sizes(reference: Reference, worse: Worse) -> Counter[int]:
    """Count the examples of each key."""
    return sum((_counted(keys) for keys in _keys(reference, worse)), Counter())


def _first(reference: Reference, worse: Worse, often: int, most: int) -> Counter[int]:
    """Count the same for the first examples, at most `most`, that were right `often` times."""
    found: Counter[int] = Counter()
    for keys in _keys(reference, worse):
        found += _counted(keys[keys >> len(worse.groups) == often][: most - found.total()])
    return found


def _keys(reference: Reference, worse: Worse) -> Iterator[NDArray[np.int64]]:
    """Yield the key of each example, some at a time: how often it was right, then a bit for each group."""
    for rows in blocks(reference.examples):
        keys = reference.right[:, rows].sum(axis=0) << len(worse.groups)
        for bit, group in enumerate(worse.groups):
            keys |= group.members[rows].astype(np.int64) << bit
        yield keys


def _counted(keys: NDArray[np.int64]) -> Counter[int]:
    values, counts = np.unique(keys, return_counts=True)
    return Counter(dict(zip(values.tolist(), counts.tolist(), strict=True)))
