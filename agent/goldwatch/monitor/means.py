"""Monitors of the mean of a quantity in [0, 1], example by example: *worse* for scores, and *moved* for outputs.

Each example i of a replay gives a value y_i, high if all is well. While the mean of their expectations keeps to a floor
m, prod (1 + lambda (m - y_i)) has a mean of at most 1 for independent examples of unequal expectations, by the means'
inequality (Waudby-Smith and Ramdas 2023). Clusters of c examples that depend on each other take the root of order c.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldwatch.judgement import Severity, Verdict
from goldwatch.monitor.bounds import lower_mean
from goldwatch.monitor.detector import Detector, FloatArray
from goldwatch.monitor.episode import Episodes, Standing, Watching, turned_round
from goldwatch.scratch import blocks, column, zeros

BOUND_ERROR = 0.01
"""The bound from the reference replays holds with at least 99 % probability over them."""

LARGEST_CHANGE = 0.2
"""The largest plausible change of an example's score, or distance; a larger one counts as this, so small ones show."""

_AT_ONCE = 16
_FRACTIONS = np.geomspace(0.02, 0.9, 8)
_MILDEST = 0.005
"""A score is back if it lost less than the tolerance and this."""


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """A replay's values, `of` [n] in [0, 1]: scores, or distances. Those that were not `answered` [n] are not read."""

    of: FloatArray
    answered: NDArray[np.bool_]

    @property
    def mean(self) -> float:
        """The mean of what was answered; NaN if nothing was."""
        return _mean(len(self.of), lambda rows: self.of[rows][self.answered[rows]])


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What a replay's values say to a monitor: the log e-values [bets] in both directions, and the summary."""

    log_e: FloatArray
    log_back: FloatArray
    summary: str


@dataclass(frozen=True, slots=True, eq=False)
class Scale:
    """How a value becomes y in [0, 1], high if all is well: the value at which y is 0 and that at which it is 1 [n].

    `best` [n] is the largest y that an example can have. `usual` is y where nothing has changed.
    """

    at_zero: FloatArray
    at_one: FloatArray
    best: FloatArray
    usual: float

    @property
    def width(self) -> float:
        """Return by how much the value changes if y changes by 1."""
        return float(abs(self.at_one[0] - self.at_zero[0]))

    def y(self, values: FloatArray, rows: slice = slice(None)) -> FloatArray:
        """Return y of values [..., m], which are those of some rows."""
        at_zero, at_one = self.at_zero[rows], self.at_one[rows]
        found = np.clip((values - at_zero) / (at_one - at_zero), 0, 1)
        return np.asarray(found, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the mean may change, how much more counts as no better yet, and how many examples depend on each other.

    Raises ValueError for a negative tolerance, or clusters of less than one.
    """

    tolerance: float
    mildest: float
    cluster: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance < 1:
            raise ValueError(f"a tolerance lies between 0 and 1, not {self.tolerance}")
        if self.cluster < 1:
            raise ValueError(f"a cluster has at least one example, not {self.cluster}")


class Means:
    """A mean of y that must keep to a floor, from exact bounds and a tolerance.

    `usual` is the lowest mean of y that the reference leaves possible (see `lowest`); `limits.tolerance` is the change
    of the mean value that is allowed beyond it. Raises ValueError if nothing is left to bet on.
    """

    def __init__(self, watching: Watching, scale: Scale, usual: float, limits: Limits, alpha: float) -> None:
        self.name = watching.monitor
        self._scale = scale
        self._cluster = limits.cluster
        self.floor = usual - limits.tolerance / scale.width
        self._back_at = self.floor - limits.mildest / scale.width
        if not 0 < self._back_at < self.floor < 1:
            raise ValueError(
                f"{self.name!r} cannot be tested with a tolerance of {limits.tolerance:g} and this reference: "
                f"the least mean would be {self.floor:.3g} on a scale from 0 to 1"
            )
        self._lambda = _FRACTIONS / (1 - self.floor)
        self._back_lambda = _FRACTIONS / self._back_at
        identity = [self.floor, len(scale.best), limits.cluster, *self._lambda]
        backward = turned_round(len(self._back_lambda), self._back_lambda.tolist())
        self._episodes = Episodes(watching, Detector([1] * len(_FRACTIONS), alpha, identity), lambda _: backward)

    def fresh(self) -> Standing:
        """Return the state before the first replay."""
        return self._episodes.fresh()

    def read(self, values: Values) -> Said:
        """Read all that a replay says, for those who show it again and again. Raises ValueError as `update`."""
        return Said(self.log_e(values), self.log_back(values), self._summary(values))

    def update(self, observation: Values | Said, state: Standing, at: float) -> tuple[Standing, Verdict]:
        """Add one valid replay that started at Unix time `at`. Raises ValueError for values that do not fit."""
        if isinstance(observation, Said):
            said = observation
            return self._episodes.update(state, said.log_e, lambda _: said.log_back, at, said.summary)
        values, summary = observation, self._summary(observation)
        return self._episodes.update(state, self.log_e(values), lambda _: self.log_back(values), at, summary)

    def log_e(self, observation: Values) -> FloatArray:
        """Return the log e-values [bets] of a replay; an unanswered example counts as the best that it can be."""
        self._check(observation)

        def gains(rows: slice) -> FloatArray:
            return self.floor - self._y(observation, rows, self._scale.best[rows])

        return _log_product(self._lambda, len(observation.of), gains) / self._cluster

    def log_back(self, observation: Values) -> FloatArray:
        """Return those of the test turned round [bets]; an unanswered example counts as the worst."""
        self._check(observation)

        def gains(rows: slice) -> FloatArray:
            return self._y(observation, rows, 0.0) - self._back_at

        return _log_product(self._back_lambda, len(observation.of), gains) / self._cluster

    def standing(self, state: Standing) -> Verdict:
        """Say again what is known, without a new replay."""
        return self._episodes.standing(state)

    def save(self, state: Standing) -> dict[str, object]:
        """Return the state as a value that JSON can hold without loss."""
        return self._episodes.save(state)

    def restore(self, saved: object) -> tuple[Standing, str | None]:
        """Return a saved state, or a fresh one and the reason why the saved one was refused."""
        return self._episodes.restore(saved)

    def _check(self, observation: Values) -> None:
        n = self._scale.best.shape
        if observation.of.shape != n or observation.answered.shape != n:
            raise ValueError(f"the replay has values of shape {observation.of.shape}, the reference of {n}")

    def _y(self, observation: Values, rows: slice, unanswered: FloatArray | float) -> FloatArray:
        """Return y of some rows [m]."""
        answered = observation.answered[rows]
        values = np.where(answered, observation.of[rows], self._scale.at_one[rows])
        if not np.all(np.isfinite(values)):
            raise ValueError("an answered example has no finite value")
        return np.where(answered, self._scale.y(values, rows), unanswered)

    def _summary(self, observation: Values) -> str:
        if not observation.answered.any():
            return "no example was answered"
        scale = self._scale

        def baseline(rows: slice) -> FloatArray:
            usual = scale.at_zero[rows] + (scale.at_one[rows] - scale.at_zero[rows]) * scale.usual
            return np.asarray(usual[observation.answered[rows]])

        now, then = observation.mean, _mean(len(scale.best), baseline)
        allowed = (self._scale.usual - self.floor) * self._scale.width
        if self._scale.usual == 1:
            return f"mean distance {now:.2g} from the reference, {allowed:.2g} allowed"
        return f"mean score {now:.4f}, that of the reference {then:.4f}, a loss of {allowed:.2g} allowed"


def lowest(scale: Scale, reference: FloatArray | None, cluster: int = 1) -> float:
    """Return the lowest mean of y that `reference` [replays, n] leaves possible, with at least 99 % probability.

    They are values of replays of the validated model other than the one that made the baseline. Without any, it is
    taken to repeat itself exactly. Raises ValueError for another shape.
    """
    if reference is None or reference.size == 0:
        return scale.usual
    if reference.ndim != 2 or reference.shape[1] != len(scale.best):
        raise ValueError(f"the reference has shape {reference.shape}, not [replays, {len(scale.best)}]")
    y = zeros(reference.shape, np.float64)
    for rows in blocks(reference.shape[1], len(reference)):
        y[:, rows] = scale.y(reference[:, rows], rows)
    return lower_mean(y.ravel(), BOUND_ERROR, cluster=cluster)


def worse_score(
    baseline: FloatArray, tolerance: float, alpha: float, reference: FloatArray | None = None, cluster: int = 1
) -> Means:
    """Watch scores in [0, 1] against each example's own `baseline` [n]; the mean may lose `tolerance`. Pages.

    `reference` [replays, n] are scores of other replays of the validated model, see `lowest`. Raises ValueError.
    """
    _check(baseline)
    n = len(baseline)
    scale = Scale(
        column(n, np.float64, lambda rows: baseline[rows] - LARGEST_CHANGE),
        column(n, np.float64, lambda rows: baseline[rows] + LARGEST_CHANGE),
        column(n, np.float64, lambda rows: np.minimum((1 - baseline[rows]) / LARGEST_CHANGE, 1) / 2 + 0.5),
        0.5,
    )
    watching = Watching("worse", Severity.PAGE, "the model is worse")
    return Means(watching, scale, lowest(scale, reference, cluster), Limits(tolerance, _MILDEST, cluster), alpha)


def moved(
    examples: int, tolerance: float, alpha: float, reference: FloatArray | None = None, cluster: int = 1
) -> Means:
    """Watch the distances in [0, 1] of outputs to the examples' own reference outputs. A ticket.

    Their mean may be `tolerance`, more than what it is in the `reference` [replays, n]. A tolerance of 0 with no
    reference replays is the business of *changed*, and raises ValueError, as `Means` does.
    """
    if examples < 1:
        raise ValueError("a mean needs at least one example")
    at_zero, at_one, best = (np.broadcast_to(np.float64(y), examples) for y in (LARGEST_CHANGE, 0.0, 1.0))
    scale = Scale(at_zero, at_one, best, 1.0)
    usual = lowest(scale, reference, cluster)
    allowed = tolerance + LARGEST_CHANGE * (1 - usual)
    watching = Watching("moved", Severity.TICKET, "outputs have moved from the reference")
    mildest = min(allowed, max(LARGEST_CHANGE - allowed, 0) / 2)  # twice what is allowed, if distances reach so far
    return Means(watching, scale, usual, Limits(tolerance, mildest, cluster), alpha)


def _check(baseline: FloatArray) -> None:
    if baseline.ndim != 1 or baseline.size == 0 or not 0 <= baseline.min() <= baseline.max() <= 1:
        raise ValueError("a baseline is one score between 0 and 1 for each example, and there is at least one")


def _mean(n: int, values: Callable[[slice], FloatArray]) -> float:
    """Return the mean of what `values` has of n rows, some at a time; NaN of nothing."""
    total, count = 0.0, 0
    for rows in blocks(n):
        some = values(rows)
        total, count = total + float(some.sum()), count + some.size
    return total / count if count else np.nan


def _log_product(stakes: FloatArray, n: int, gains: Callable[[slice], FloatArray]) -> FloatArray:
    """Return log prod_i (1 + stake gain_i) over n rows for each stake; no factor is under 0.1."""
    found = np.zeros(len(stakes))
    for rows in blocks(n):
        found += _log_product_of(stakes, gains(rows))
    return found


def _log_product_of(stakes: FloatArray, gains: FloatArray) -> FloatArray:
    """Return the same for some gains.

    Factors are multiplied by sixteens first: ten thousand logarithms a stake would take most of a millisecond. And that
    stake by stake: all factors at once would not stay in a core's cache.
    """
    padded = np.zeros((_AT_ONCE, -(-len(gains) // _AT_ONCE)))
    padded.ravel()[: len(gains)] = gains
    factors, products = np.empty_like(padded), np.empty((len(stakes), padded.shape[1]))
    for stake, product in zip(stakes, products, strict=True):
        np.multiply(padded, stake, out=factors)
        np.add(factors, 1, out=factors)
        np.multiply.reduce(factors, axis=0, out=product)
    return np.asarray(np.log(products).sum(axis=1), dtype=np.float64)
