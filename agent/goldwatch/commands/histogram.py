"""Counts of times in bins that are as wide as their values are large: mergeable, and accurate to a fifth of a percent.

The bins are those of HdrHistogram (log-linear): nanoseconds up to 512 have a bin each, and each doubling after that has
256 of equal width. So a value is off by at most half a bin, 1/512 of itself; counts of two histograms add up to
those of all their values together, in any order, which no set of quantiles does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from goldwatch.core.latency import rank

_BITS = 8
_WIDTH = 1 << _BITS
RELATIVE_ERROR = 0.5 / _WIDTH
"""The most by which the value that stands for a bin differs from any in it, as a share of that."""


def bin_of(ns: int) -> int:
    """Return the number of the bin of a time of 0 ns or more."""
    shift = max(ns.bit_length() - _BITS - 1, 0)
    return (shift << _BITS) + (ns >> shift)


def middle_ns(number: int) -> float:
    """Return the representative time of a bin in nanoseconds: the middle of the first and the last that it holds."""
    shift = max((number >> _BITS) - 1, 0)
    first = (number - (shift << _BITS)) << shift
    return first + ((1 << shift) - 1) / 2


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many times fell into each bin, by its number; bins without any are left out."""

    counts: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Histogram:
        """Count times in seconds, of 0 or more."""
        return cls(Counter(bin_of(round(each * 1e9)) for each in seconds))

    def __add__(self, other: Histogram) -> Histogram:
        return Histogram(Counter(self.counts) + Counter(other.counts))

    def __len__(self) -> int:
        """Return how many times were counted."""
        return sum(self.counts.values())

    def quantile(self, q: float) -> float:
        """Return the quantile `q` in seconds, defined as in `core.latency`. Raises ValueError if it is empty."""
        place = rank(len(self), q)
        for number in sorted(self.counts):
            place -= self.counts[number]
            if place < 0:
                return middle_ns(number) / 1e9
        raise ValueError("an empty histogram has no quantiles")
