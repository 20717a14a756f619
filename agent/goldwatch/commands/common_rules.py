"""The rules that people commonly alert by, played over the same history: for comparison, and never for an alert."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldwatch.core.judgement import Validity
from goldwatch.worker.monitors.past import ReplayRecord

_REFERENCE = 288
"""Replays, a day of one every five minutes, which a rule of distributions takes for its reference."""
_LEAST = 20
_BINS = 10


@dataclass(frozen=True, slots=True)
class Fired:
    """How often a rule would have alerted, of how many replays it looked at, and when first."""

    rule: str
    times: int
    looked: int
    first: float | None


Rule = Callable[[Sequence[ReplayRecord], float], Iterator[tuple[float, bool]]]


def fired(records: Sequence[ReplayRecord], accuracy: float) -> list[Fired]:
    """Play each rule over the valid replays; `accuracy` is that of the reference."""
    valid = [record for record in records if record.validity is Validity.VALID]
    found = []
    for name, rule in _RULES.items():
        looks = list(rule(valid, accuracy))
        fires = [at for at, fires in looks if fires]
        if looks:
            found.append(Fired(name, len(fires), len(looks), fires[0] if fires else None))
    return found


def _binomial(records: Sequence[ReplayRecord], accuracy: float) -> Iterator[tuple[float, bool]]:
    """Fire if the count of right answers, or fewer, has a probability under 5 % at the accuracy of the reference."""
    from scipy.special import bdtr  # noqa: PLC0415 - a rule that nobody asks for costs nothing

    for record in records:
        if record.accuracy is not None:
            right, answered = record.accuracy
            yield record.at, bool(bdtr(right, answered, accuracy) < 0.05)


def _three_sigma(records: Sequence[ReplayRecord], _: float) -> Iterator[tuple[float, bool]]:
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


def _kolmogorov_smirnov(records: Sequence[ReplayRecord], _: float) -> Iterator[tuple[float, bool]]:
    """Fire if a test finds at 5 % that the latencies are not distributed as in the reference replays."""
    reference, later = _split(records)
    usual = np.sort(_expanded(reference))
    for record in later:
        yield record.at, kolmogorov_smirnov(usual, np.sort(_expanded([record]))) < 0.05


def kolmogorov_smirnov(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the p-value of the two-sided test that two sorted samples are of one distribution.

    The images keep `scipy.special` alone, so this is not `scipy.stats.ks_2samp`: Kolmogorov's limit, with the
    correction of Stephens (1970) for small samples. At 0.05 it is within 0.002 of the exact p-value if the smaller
    sample has 20 or more observations, and the other a hundred times as many.
    """
    from scipy.special import kolmogorov  # noqa: PLC0415 - as above

    values = np.concatenate([one, other])
    below, below_too = (np.searchsorted(sample, values, side="right") / len(sample) for sample in (one, other))
    root = math.sqrt(len(one) * len(other) / (len(one) + len(other)))
    return float(kolmogorov((root + 0.12 + 0.11 / root) * np.max(np.abs(below - below_too))))


def _stability_index(records: Sequence[ReplayRecord], _: float) -> Iterator[tuple[float, bool]]:
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
    "latency: KS at 0.05": _kolmogorov_smirnov,
    "latency: PSI over 0.2": _stability_index,
}


def _split(records: Sequence[ReplayRecord]) -> tuple[Sequence[ReplayRecord], Sequence[ReplayRecord]]:
    """Return the reference replays and the later ones; where requests are few, nothing is compared."""
    timed = [record for record in records if sum(record.latencies.values()) >= _LEAST]
    return timed[:_REFERENCE], timed[_REFERENCE:]


def _expanded(records: Sequence[ReplayRecord]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    pairs = [pair for record in records for pair in record.latencies.items()]
    return np.repeat([s for s, _ in pairs], [n for _, n in pairs]).astype(np.float64)


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    counts = np.bincount(np.searchsorted(edges, values), minlength=_BINS)
    return np.maximum(counts, 0.5) / len(values)  # an empty bin would be infinitely far
