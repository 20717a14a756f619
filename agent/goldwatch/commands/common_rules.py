"""The rules that people commonly alert by, played over the same history: for comparison, and never for an alert."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldwatch.commands.backtest import Record
from goldwatch.core.judgement import Validity

_REFERENCE = 288
"""Replays, a day of one every five minutes, which a rule of distributions takes for its reference."""
_LEAST = 20
_BINS = 10

_CONFIDENCE = 0.002
_BUCKETS = 5
_LEAST_PART = 5
_LEAST_WINDOW = 10


@dataclass(frozen=True, slots=True)
class Fired:
    """How often a rule would have called somebody, of how many replays it looked at, and when first."""

    rule: str
    times: int
    looked: int
    first: float | None


Rule = Callable[[Sequence[Record], float], Iterator[tuple[float, bool]]]


def fired(records: Sequence[Record], accuracy: float) -> list[Fired]:
    """Play each rule over the valid replays; `accuracy` is that of the reference."""
    valid = [record for record in records if record.validity is Validity.VALID]
    found = []
    for name, rule in _RULES.items():
        looks = list(rule(valid, accuracy))
        fires = [at for at, fires in looks if fires]
        if looks:
            found.append(Fired(name, len(fires), len(looks), fires[0] if fires else None))
    return found


def _binomial(records: Sequence[Record], accuracy: float) -> Iterator[tuple[float, bool]]:
    """Fire if so few right answers have a probability under 5 % at the accuracy of the reference."""
    from scipy.special import bdtr  # noqa: PLC0415 - a rule that nobody asks for costs nothing

    for record in records:
        if record.accuracy is not None:
            right, answered = record.accuracy
            yield record.at, bool(bdtr(right, answered, accuracy) < 0.05)


def _three_sigma(records: Sequence[Record], _: float) -> Iterator[tuple[float, bool]]:
    """Fire if accuracy is three standard deviations from its mean over the day before."""
    past: list[float] = []
    for record in records:
        if record.accuracy is None or not record.accuracy[1]:
            continue
        share = record.accuracy[0] / record.accuracy[1]
        window = past[-_REFERENCE:]
        if len(window) >= _LEAST:
            yield record.at, bool(abs(share - np.mean(window)) > 3 * np.std(window, ddof=1) + 1e-12)
        past.append(share)


def _adwin(records: Sequence[Record], _: float) -> Iterator[tuple[float, bool]]:
    """Fire if the accuracy of late differs from that before, by ADWIN as river has it, looking at every replay."""
    window = Adwin()
    for record in records:
        if record.accuracy is not None and record.accuracy[1]:
            yield record.at, window.add(record.accuracy[0] / record.accuracy[1])


class Adwin:
    """An adaptive window over values in [0, 1], in buckets of 1, 2, 4 ... of them (Bifet and Gavalda 2007, ADWIN2).

    With the constants of river's, and as there the window starts anew after a change.
    """

    def __init__(self) -> None:
        self._rows: list[list[tuple[float, float]]] = [[]]
        """Sums of the values and of their squares, by the size of buckets, the oldest first."""

    def add(self, value: float) -> bool:
        """Add a value, and say whether the means of an older and a newer part differ."""
        self._rows[0].append((value, value * value))
        for size, row in enumerate(self._rows):
            if len(row) <= _BUCKETS:
                break
            if size + 1 == len(self._rows):
                self._rows.append([])
            (one, its_squares), (other, other_squares) = row.pop(0), row.pop(0)
            self._rows[size + 1].append((one + other, its_squares + other_squares))
        changed = self._changed()
        if changed:
            self._rows = [[]]
        return changed

    def _changed(self) -> bool:
        buckets = [(2**size, *sums) for size, row in reversed(list(enumerate(self._rows))) for sums in row]
        width, whole, squares = (sum(part) for part in zip(*buckets, strict=True))
        if width <= _LEAST_WINDOW:
            return False
        variance = max(squares / width - (whole / width) ** 2, 0.0)  # of equal values it is nothing, but for rounding
        doubt = math.log(2 * math.log(width) / _CONFIDENCE)
        older, total = 0, 0.0
        for count, part, _ in buckets[:-1]:
            older, total = older + count, total + part
            newer = width - older
            if older >= _LEAST_PART and newer >= _LEAST_PART:
                few = 1 / (older - _LEAST_PART + 1) + 1 / (newer - _LEAST_PART + 1)
                if (
                    abs(total / older - (whole - total) / newer)
                    > math.sqrt(2 * few * variance * doubt) + 2 / 3 * few * doubt
                ):
                    return True
        return False


def _kolmogorov_smirnov(records: Sequence[Record], _: float) -> Iterator[tuple[float, bool]]:
    """Fire if a test says at 5 % that the latencies are not distributed as in the reference replays."""
    reference, later = _split(records)
    usual = np.sort(_expanded(reference))
    for record in later:
        yield record.at, kolmogorov_smirnov(usual, np.sort(_expanded([record]))) < 0.05


def kolmogorov_smirnov(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the p-value of the two-sided test that two samples, each sorted, are of one distribution.

    From Kolmogorov's limit with the correction of Stephens (1970) for few observations. At 0.05 it is within 0.002 of
    the exact one if the smaller sample has 20 or more, and the other a hundred times as many.
    """
    from scipy.special import kolmogorov  # noqa: PLC0415 - as above

    values = np.concatenate([one, other])
    below, below_too = (np.searchsorted(sample, values, side="right") / len(sample) for sample in (one, other))
    root = math.sqrt(len(one) * len(other) / (len(one) + len(other)))
    return float(kolmogorov((root + 0.12 + 0.11 / root) * np.max(np.abs(below - below_too))))


def _stability_index(records: Sequence[Record], _: float) -> Iterator[tuple[float, bool]]:
    """Fire if the population stability index of the latencies, in deciles of the reference, is over 0.2."""
    reference, later = _split(records)
    if not later:
        return
    usual = _expanded(reference)
    edges = np.quantile(usual, np.linspace(0, 1, _BINS + 1)[1:-1])
    expected = _shares(usual, edges)
    for record in later:
        found = _shares(_expanded([record]), edges)
        yield record.at, bool(np.sum((found - expected) * np.log(found / expected)) > 0.2)


_RULES: Mapping[str, Rule] = {
    "accuracy: binomial test at 0.05": _binomial,
    "accuracy: three sigma of the day before": _three_sigma,
    "accuracy: ADWIN": _adwin,
    "latency: KS at 0.05": _kolmogorov_smirnov,
    "latency: PSI over 0.2": _stability_index,
}


def _split(records: Sequence[Record]) -> tuple[Sequence[Record], Sequence[Record]]:
    """Return the reference replays and the later ones; where requests are few, nothing is compared."""
    timed = [record for record in records if sum(record.latencies.values()) >= _LEAST]
    return timed[:_REFERENCE], timed[_REFERENCE:]


def _expanded(records: Sequence[Record]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    pairs = [pair for record in records for pair in record.latencies.items()]
    return np.repeat([s for s, _ in pairs], [n for _, n in pairs]).astype(np.float64)


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    counts = np.bincount(np.searchsorted(edges, values), minlength=_BINS)
    return np.maximum(counts, 0.5) / len(values)  # an empty bin would be infinitely far
