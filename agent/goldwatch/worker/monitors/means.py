"""Whether the mean of a quantity in [0, 1] stays within a limit, example by example: for scores, and for *moved*.

Each example i of a replay gives a value y_i, high if all is well. If the mean of their expectations is at least a floor
m, prod (1 + lambda (m - y_i)) has a mean of at most 1 for independent examples of unequal expectations, by the means'
inequality (Waudby-Smith and Ramdas 2023). If clusters of up to c examples depend on each other, the product is over
clusters, of 1 + lambda (m n_j - S_j) / c with their sums (see `dependence`), or, if they are not known, its root of
order c.

Changes are bet on at two scales, with half of the weight each. The small scale clips a change at 0.2: small changes
of many examples show soon. The large scale clips nothing, so a few examples that lose everything show too: clipped at
0.2 alone, a tenth of all answers could become worthless within a tolerance of 2 points.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.core.judgement import Verdict
from goldwatch.scratch import blocks, column, zeros
from goldwatch.worker.monitors.bounds import lower_mean
from goldwatch.worker.monitors.detector import Detector, FloatArray
from goldwatch.worker.monitors.effects import Change, Effect
from goldwatch.worker.monitors.episode import (
    Back,
    Episodes,
    Episodic,
    Standing,
    TurnedEpisode,
    TurnedRound,
    Watching,
    turned_round,
)

BOUND_ERROR = 0.01
"""The bounds from the reference replays, one a scale, hold together with at least 99 % probability over them."""

IntArray = NDArray[np.int64]

WIDTHS = (0.2, 1.0)
"""The scales: the largest change of a score or distance that each tells apart. A larger one counts as this."""

_AT_ONCE = 16
_FRACTIONS = np.geomspace(0.02, 0.9, 8)
MILDEST = 0.005
"""A mean is back if it is less than this beyond what is allowed; of distances, less than the tolerance if more."""


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
    """The evidence of a replay: its log e-values [bets], and one line for people.

    `log_back` [scales] holds the log e-values of the test turned round at each scale.
    """

    log_e: FloatArray
    log_back: Sequence[FloatArray]
    summary: str


@dataclass(frozen=True, slots=True, eq=False)
class Scale:
    """How a value becomes y in [0, 1], high if all is well: y is `usual` at the `centre` [n].

    `span` is the change of the value that raises y by 1, below 0 where low values are good. `best` is the best value.
    """

    centre: FloatArray
    span: float
    usual: float
    best: float

    @property
    def examples(self) -> int:
        """How many examples a replay has."""
        return len(self.centre)

    @property
    def at_rest(self) -> float:
        """The mean of y of a model that repeats itself exactly."""
        return self.usual

    def y(self, values: FloatArray | float, rows: slice = slice(None)) -> FloatArray:
        """Return y of values [..., m], which are those of some rows."""
        found = np.clip(self.usual + (values - self.centre[rows]) / self.span, 0, 1)
        return np.asarray(found, dtype=np.float64)

    def extremes(self, rows: slice) -> tuple[FloatArray | float, FloatArray | float]:
        """Return the least and the largest that y of some rows [m] may be taken for if it is not known."""
        return 0.0, self.y(self.best, rows)

    def own(self, columns: NDArray[Any]) -> NDArray[Any]:
        """Return of columns [..., n] those of the examples that it is about: all of them."""
        return columns


@dataclass(frozen=True, slots=True, eq=False)
class Limits:
    """How much the mean may change, how much more counts as still broken, and how many examples depend on each other.

    `codes` [n] number the clusters of up to `cluster` examples, one that is in none as a cluster by itself; None if
    they are not known. Raises ValueError for a negative tolerance, or clusters of less than one.
    """

    tolerance: float
    mildest: float
    cluster: int = 1
    codes: IntArray | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance < 1:
            raise ValueError(f"a tolerance must be between 0 and 1, not {self.tolerance}")
        if self.cluster < 1:
            raise ValueError(f"a cluster has at least one example, not {self.cluster}")


class _Bets:
    """The bets at one scale: the mean of y must be at least `floor`, and has recovered above `back_at`.

    `lowest_mean` is the lowest mean of y that the reference leaves possible; `limits.tolerance` is the change of the
    mean value that is allowed beyond it. `possible` is false if that leaves nothing to bet on.
    """

    def __init__(self, scale: Scale, lowest_mean: float, limits: Limits) -> None:
        self._scale = scale
        self._cluster, self._codes = limits.cluster, None if limits.codes is None else scale.own(limits.codes)
        self.floor = lowest_mean - limits.tolerance / abs(scale.span)
        self.back_at = self.floor - min(limits.mildest / abs(scale.span), 1 - self.floor, self.floor / 2)
        self.possible = 0 < self.floor < 1
        if self.possible:
            self.stakes, self.back_stakes = _FRACTIONS / (1 - self.floor), _FRACTIONS / self.back_at

    def log_e(self, observation: Values) -> FloatArray:
        """Return the log e-values [bets] of a replay; an unanswered example counts as the best that it can be."""
        values, answered = self._own(observation)

        def gains(rows: slice) -> FloatArray:
            return self.floor - self._y(values[rows], answered[rows], rows, self._scale.extremes(rows)[1])

        return self._log_product(self.stakes, len(values), gains)

    def log_back(self, observation: Values) -> FloatArray:
        """Return those of the test turned round [bets]; an unanswered example counts as the worst."""
        values, answered = self._own(observation)

        def gains(rows: slice) -> FloatArray:
            return self._y(values[rows], answered[rows], rows, self._scale.extremes(rows)[0]) - self.back_at

        return self._log_product(self.back_stakes, len(values), gains)

    def _log_product(self, stakes: FloatArray, n: int, gains: Callable[[slice], FloatArray]) -> FloatArray:
        """Return the log e-values [bets] of `gains`, over clusters where they are known."""
        cluster, codes = self._cluster, self._codes
        if codes is None:
            return _log_product(stakes, n, gains) / cluster
        sums = zeros(1 + max(int(codes[rows].max()) for rows in blocks(n)), np.float64)
        for rows in blocks(n):
            np.add.at(sums, codes[rows], gains(rows))
        return _log_product(stakes / cluster, len(sums), lambda rows: sums[rows])

    def limit(self, answered: NDArray[np.bool_]) -> float:
        """Return the mean value of the answered examples [n] at which the mean of y is the floor."""
        scale = self._scale
        return _mean(len(answered), lambda rows: scale.centre[rows][answered[rows]]) + scale.span * (
            self.floor - scale.usual
        )

    def _own(self, observation: Values) -> tuple[FloatArray, NDArray[np.bool_]]:
        return self._scale.own(observation.of), self._scale.own(observation.answered)

    def _y(
        self, of: FloatArray, answered: NDArray[np.bool_], rows: slice, unanswered: FloatArray | float
    ) -> FloatArray:
        """Return y of some rows [m]."""
        values = np.where(answered, of, 0.0)
        if not np.all(np.isfinite(values)):
            raise ValueError("an answered example has no finite value")
        return np.where(answered, self._scale.y(values, rows), unanswered)


class Means(Episodic[TurnedEpisode, Back]):
    """Test that the mean of values stays within a limit at every scale, from exact bounds and a tolerance.

    `reference` [replays, n] are values of replays of the validated model other than the one that made the scales'
    centres. Without any, the model is taken to repeat itself exactly. A scale has no bets if a larger loss is allowed
    than it can show. `shown` makes of a value what people read. Raises ValueError if no scale has bets, or for another
    shape. `identity` distinguishes bets that the stakes do not.
    """

    _statistic = "mean "
    """What precedes the name in the summary."""

    def __init__(
        self,
        watching: Watching,
        scales: Sequence[Scale],
        reference: FloatArray | None,
        limits: Limits,
        alpha: float,
        shown: Callable[[float], float] = float,
        identity: Sequence[float] = (),
    ) -> None:
        self.name, self._shown = watching.monitor, shown
        self._examples = scales[0].examples
        self._low_is_good = scales[0].span < 0
        every = [_Bets(scale, lowest(scale, reference, limits.cluster, len(scales)), limits) for scale in scales]
        self._bets = [bets for bets in every if bets.possible]
        if not self._bets:
            raise ValueError(
                f"{self.name!r} cannot be tested with a tolerance of {limits.tolerance:g} and this reference: "
                f"the least mean would be {every[-1].floor:.3g} on a scale from 0 to 1"
            )
        stakes = [stake for bets in self._bets for stake in (bets.floor, *bets.stakes)]
        parameters = [self._examples, limits.cluster, *stakes, *identity]
        forward = Detector([1] * len(_FRACTIONS) * len(self._bets), alpha, parameters)
        backward = [turned_round(len(_FRACTIONS), bets.back_stakes.tolist()) for bets in self._bets]
        self._episodes = Episodes(watching, forward, TurnedRound(lambda best: backward[best // len(_FRACTIONS)]))

    def read(self, values: Values) -> Said:
        """Work out the evidence of a replay once, to `update` with it many times. Raises ValueError as `update`."""
        return Said(self.log_e(values), [bets.log_back(values) for bets in self._bets], self._summary(values))

    def update(self, observation: Values | Said, state: Standing, at: float) -> tuple[Standing, Verdict]:
        """Add one valid replay that started at Unix time `at`. Raises ValueError for values that do not fit."""
        if isinstance(observation, Said):
            log_e, summary = observation.log_e, observation.summary
        else:
            log_e, summary = self.log_e(observation), self._summary(observation)

        def back(best: int) -> FloatArray:
            scale = best // len(_FRACTIONS)
            if isinstance(observation, Said):
                return observation.log_back[scale]
            return self._bets[scale].log_back(observation)

        return self._episodes.update(state, log_e, back, at, summary)

    def log_e(self, observation: Values) -> FloatArray:
        """Return the log e-values [bets] of a replay, those of one scale after those of the other."""
        if observation.of.shape != (self._examples,) or observation.answered.shape != (self._examples,):
            shape = observation.of.shape
            raise ValueError(f"the replay has values of shape {shape}, the reference of {(self._examples,)}")
        return np.concatenate([bets.log_e(observation) for bets in self._bets])

    def effect(self, usual: FloatArray, change: Change, words: str, *, declared: bool = False) -> Effect:
        """Return the effect that a replay is one of the `usual` ones [replays, n], changed.

        The evidence of each is worked out once, however often it is drawn.
        """
        replays, n = usual.shape

        @cache
        def read(replay: int) -> Said:
            of = column(n, np.float64, lambda rows: change(usual[replay, rows], rows))
            return self.read(Values(of, np.broadcast_to(np.True_, n)))

        def draw(rng: np.random.Generator) -> Said:
            return read(int(rng.integers(replays)))

        return Effect(words, draw, declared=declared, fixed=replays == 1)

    def _summary(self, observation: Values) -> str:
        if not observation.answered.any():
            return "no example was answered"
        return self._described(observation.mean, self._bets[-1].limit(observation.answered))

    def _described(self, now: float, limit: float) -> str:
        """Write the value, and the one that is expected or allowed."""
        what = self.name.partition(":")[2] or "score"
        now, limit = self._shown(now), self._shown(limit)
        return f"{self._statistic}{what} {now:.4f}, at {'most' if self._low_is_good else 'least'} {limit:.4f} expected"


def lowest(scale: Scale, reference: FloatArray | None, cluster: int, scales: int) -> float:
    """Return the lowest mean of y that `reference` [replays, n] leaves possible, by its part of the error."""
    if reference is None or reference.size == 0:
        return scale.at_rest
    if reference.ndim != 2 or reference.shape[1] != scale.examples:
        raise ValueError(f"the reference has shape {reference.shape}, not [replays, {scale.examples}]")
    reference = scale.own(reference)
    y = zeros(reference.shape, np.float64)
    for rows in blocks(reference.shape[1], len(reference)):
        y[:, rows] = scale.y(reference[:, rows], rows)
    return lower_mean(y.ravel(), BOUND_ERROR / scales, cluster=cluster)


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
