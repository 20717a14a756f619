"""The monitor *gap*: whether a score differs more between the values of a slice than allowed.

Two values A and B of the slice have n_A and n_B examples. With the score x_i of an example now, its usual score b_i and
n = n_A + n_B,

    y_i = 1/2 + s (x_i - b_i) n / n_A in A, 1/2 - s (x_i - b_i) n / n_B in B,   s = min(n_A, n_B) / (2 n)

is in [0, 1], and its mean is 1/2 less s times the loss of A against B. So "A has lost at most d against B" is a floor
of 1/2 - s d on that mean, whatever both scores are, and the bets are those of `means`, for each ordered pair of values.
An objective `at most` is about x alone: d is what it allows less the difference of the usual scores, which are
constants here, so no bound from the reference is needed. For `no worse than` d is the upper bound of the same quantity
over the second half of the reference, and the tolerance. It pages.
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.core.judgement import Severity
from goldwatch.core.kinds import GAP
from goldwatch.core.score_spec import ScoreSpec
from goldwatch.evaluator import ACCURACY
from goldwatch.scratch import blocks, column, zeros
from goldwatch.worker.evaluators.parts import slices_of
from goldwatch.worker.evaluators.slices import Slicing
from goldwatch.worker.monitors.contract import WatchMonitor
from goldwatch.worker.monitors.detector import FloatArray
from goldwatch.worker.monitors.effects import HALF, Basis, Effect, losses
from goldwatch.worker.monitors.episode import Standing, Watching
from goldwatch.worker.monitors.means import MILDEST, IntArray, Limits, Means, Said, Scale, Values
from goldwatch.worker.monitors.scored import usual_values, watched_examples

if TYPE_CHECKING:
    from goldwatch.golden.opened import GoldenSet
    from goldwatch.worker.jobs.case import Case
    from goldwatch.worker.monitors.past import ReplayRecord
    from goldwatch.worker.monitors.reference import Reference
    from goldwatch.worker.monitors.settings import Settings

MAX_VALUES = 10
"""Each ordered pair of values has bets of its own."""

_POOL = 64
_POOL_VALUES = 1 << 22
_SEED = 20_261_201


@dataclass(frozen=True, slots=True)
class GapObjective:
    """The objective: of which `score` and `slice`, and how far apart its values may be, as a share of the scale.

    Either `at_most`, or `growth` beyond the difference of the validated model. `spec` is that of a score of the
    config, None for right and wrong.
    """

    score: str
    slice: str
    at_most: float | None = None
    growth: float | None = None
    spec: ScoreSpec | None = None

    @property
    def allowed(self) -> float:
        """The difference that is allowed, or its growth."""
        return self.at_most if self.at_most is not None else self.growth or 0.0

    def value(self, share: float) -> str:
        """Write a value of the score."""
        return f"{share if self.spec is None else self.spec.from_share(share):.4f}"

    def difference(self, share: float) -> str:
        """Write a difference of two values: `2 points`, or the number on a scale other than 0 to 1."""
        spec = ScoreSpec(self.score, "") if self.spec is None else self.spec
        return spec.difference(float(f"{share * spec.span:.4g}"))


@dataclass(frozen=True, slots=True, eq=False)
class Contrast(Scale):
    """How values become y for the loss of the examples `lost` [n_A] against `kept` [n_B], indices of examples.

    `centre` [n_A + n_B] has the usual values of both, and `span` is 1 / s. `ahead` is by how much `kept` may be ahead
    before anything is lost. A replay has `replayed` examples.
    """

    lost: IntArray
    kept: IntArray
    replayed: int
    ahead: float = 0.0

    @classmethod
    def of(cls, usual: FloatArray, lost: IntArray, kept: IntArray, *, absolute: bool) -> Contrast:
        """Return that of two groups, by the usual values [n]; `absolute` counts the usual difference as lost."""
        centre = np.concatenate([usual[lost], usual[kept]])
        ahead = float(usual[kept].mean() - usual[lost].mean()) if absolute else 0.0
        span = 2 * len(centre) / min(len(lost), len(kept))
        return cls(centre, span, 0.5, 1.0, lost, kept, len(usual), ahead)

    @property
    def examples(self) -> int:
        """How many examples a replay has."""
        return self.replayed

    @property
    def at_rest(self) -> float:
        """The mean of y of a model that repeats itself exactly, less what counts as lost already."""
        return self.usual + self.ahead / self.span

    def y(self, values: FloatArray | float, rows: slice = slice(None)) -> FloatArray:
        """Return y of values [..., m], which are those of some rows."""
        found = self.usual + (values - self.centre[rows]) * self._weights(rows) / self.span
        return np.asarray(np.clip(found, 0, 1), dtype=np.float64)  # within rounding it is there already

    def extremes(self, rows: slice) -> tuple[FloatArray, FloatArray]:
        """Return the least and the largest y of some rows [m]."""
        best = np.where(self._weights(rows) > 0, 1.0, 0.0)
        return self.y(1 - best, rows), self.y(best, rows)

    def own(self, columns: NDArray[Any]) -> NDArray[Any]:
        """Return of columns [..., n] those of the examples that it is about [..., n_A + n_B]."""
        return np.concatenate([columns[..., self.lost], columns[..., self.kept]], axis=-1)

    def _weights(self, rows: slice) -> FloatArray:
        n, at = len(self.centre), np.arange(len(self.centre))[rows]
        return np.where(at < len(self.lost), n / len(self.lost), -n / len(self.kept))


class GapMonitor(Means, WatchMonitor[Values | Said, Standing]):
    """A score in [0, 1] by the values of a slice, `cut`, against the usual values [n] of the examples.

    `reference` [replays, n] are values of other replays of the validated model, for an objective of the growth (see
    `Means`); `cluster` and `codes` are those of `Limits`. Raises ValueError for a slice that cannot be compared, or a
    validated model that breaks the objective.
    """

    def __init__(
        self,
        objective: GapObjective,
        cut: Slicing,
        usual: FloatArray,
        alpha: float,
        reference: FloatArray | None = None,
        cluster: int = 1,
        codes: IntArray | None = None,
    ) -> None:
        self._objective, self._cut, self._usual = objective, cut, usual
        groups = [np.flatnonzero(cut.codes == code) for code in range(len(cut.values))]
        self._groups = {cut.values[code]: group for code, group in enumerate(groups) if len(group)}
        self._refuse()
        absolute = objective.at_most is not None
        pairs = itertools.permutations(self._groups.values(), 2)
        scales = [Contrast.of(usual, lost, kept, absolute=absolute) for lost, kept in pairs]
        watching = Watching(GAP.name, Severity.PAGE, f"values of {objective.slice} differ too much")
        meaning = "" if objective.spec is None else objective.spec.meaning
        identity = (float(zlib.crc32(f"{objective.score} {objective.slice}{meaning}".encode())),)
        limits = Limits(objective.allowed, MILDEST, cluster, codes)
        super().__init__(watching, scales, None if absolute else reference, limits, alpha, identity=identity)

    def _refuse(self) -> None:
        """Raise ValueError for a slice or an objective that cannot be watched."""
        owed, where = self._objective, "objectives.gap"
        if not 1 < len(self._groups) <= MAX_VALUES:
            raise ValueError(
                f"{where}.slice: {owed.slice} has {len(self._groups):,} values with a score in the golden set; "
                f"expected 2 to {MAX_VALUES}: name another slice, or build the set with one of fewer values"
            )
        means = {value: float(self._usual[group].mean()) for value, group in self._groups.items()}
        low, high = min(means, key=lambda v: means[v]), max(means, key=lambda v: means[v])
        apart = means[high] - means[low]
        if owed.at_most is not None and apart > owed.at_most + 1e-9:
            raise ValueError(
                f"{where}: {owed.score} of the validated model is {owed.value(means[low])} for {owed.slice}={low} and "
                f"{owed.value(means[high])} for {high}, {owed.difference(apart)} apart; allow at least that, or write "
                "`no worse than` in place of `at most`"
            )

    @classmethod
    def build(cls, name: str, reference: Reference, settings: Settings) -> GapMonitor:
        """Compare right and wrong answers, or the score that is named, by its usual values in the reference."""
        golden, written = reference.golden, settings.gap
        if golden is None or written is None:
            raise ValueError("gap needs an objective, and a golden set")
        spec = next((spec for spec in settings.specs if spec.name == written["score"]), None)
        objective = GapObjective(**written, spec=spec)
        cut = _slicing(golden, objective.slice, reference.examples)
        if spec is None:
            if objective.score != ACCURACY:
                raise ValueError(f"objectives.gap.score: the watch has no score {objective.score}")
            if golden.manifest.labels is None:
                raise ValueError(
                    "objectives.gap.score: accuracy needs labels, and the golden set has none; write one of the scores "
                    "of the watch"
                )
            usual, others = _outcomes(reference, growth=objective.growth is not None)
        else:
            usual, others, scored = _scores(spec, reference, growth=objective.growth is not None)
            cut = Slicing(np.where(scored, cut.codes, -1), cut.values)
        varies = not golden.manifest.reference.deterministic and others is None
        if objective.growth is not None and varies:
            raise ValueError(
                "objectives.gap: the answers of the validated model vary, and the golden set has one replay of it; "
                "take more with `goldwatch golden calibrate`, or write `at most`"
            )
        clusters = (reference.cluster, reference.codes)
        return cls(objective, cut, usual, settings.alpha(name), others, *clusters)

    def observe(self, replay: Case) -> Values | None:
        """Return the score of each answer; None if it is unknown, or for half of a value of the slice or more."""
        found = self._scores_of(replay)
        return None if found is None or self._unseen(found) is not None else found

    def why_unknown(self, replay: Case) -> str:
        """Name the value of the slice that too few examples show."""
        found = self._scores_of(replay)
        value = None if found is None else self._unseen(found)
        if found is None or value is None:
            return ""
        group, owed = self._groups[value], self._objective
        known = int(np.count_nonzero(found.answered[group]))
        return f"{known:,} of {len(group):,} examples of {owed.slice}={value} have a value of {owed.score}"

    def _unseen(self, found: Values) -> str | None:
        """Return a value of the slice with no score for half of its examples or more; None if there is none."""
        few = (v for v, g in self._groups.items() if 2 * np.count_nonzero(found.answered[g]) <= len(g))
        return next(few, None)

    def _scores_of(self, replay: Case) -> Values | None:
        if self._objective.spec is None:
            return _right(replay.answers.right, replay.answered)
        if (values := replay.known_values(self._objective.score)) is None:
            return None
        n = len(values)
        has = column(n, np.bool_, lambda rows: ~np.isnan(values[rows]))
        return Values(column(n, np.float64, lambda rows: np.nan_to_num(values[rows])), has)

    def recall(self, replay: ReplayRecord) -> Values | None:
        """Return which answers were right, as `observe` does; a history keeps no other score of an example."""
        if self._objective.spec is not None or replay.right is None or replay.answered is None:
            return None
        found = _right(replay.right, replay.answered)
        return None if self._unseen(found) is not None else found

    def effects(self, basis: Basis) -> Iterator[Effect]:
        """Yield how the smallest group may leave the others: in the same examples each time, and at random.

        It falls behind, but for a score of the config that is usually low: there is more room above.
        """
        owed, reference = self._objective, basis.reference
        value = min(self._groups, key=lambda each: len(self._groups[each]))
        group, usual = self._groups[value], {v: float(self._usual[g].mean()) for v, g in self._groups.items()}
        own = usual.pop(value)
        rises = owed.spec is not None and float(self._usual.mean()) < HALF
        away = 0.0
        if owed.at_most is not None:
            away = own - min(usual.values()) if rises else max(usual.values()) - own
        more, where = "" if owed.at_most is not None else "further ", "above" if rises else "below"
        declared, *larger = losses(owed.allowed)
        for size in (declared, *larger):
            loss = size - away
            if not 0 < loss <= (1 - own if rises else own):
                continue
            words = f"{owed.score} of {owed.slice}={value} is {owed.difference(size)} {more}{where} others"
            if owed.spec is None:
                rates = reference.usually_right
                if size == declared:
                    same = _turned_wrong(rates, group, math.ceil(round(loss * len(group), 6)))
                    yield self._drawn(same, f"{words}, the same examples", declared=True)
                yield self._drawn(_at_random(rates, group, loss), f"{words}, at random")
            elif (kept := reference.scored.get(owed.score)) is not None:
                yield self.effect(
                    usual_values(kept), _moved(group, loss if rises else -loss), words, declared=size == declared
                )

    def _drawn(self, rates: FloatArray, words: str, *, declared: bool = False) -> Effect:
        """Return the effect that examples are right at these rates [n], each by itself."""
        n = len(rates)
        random = np.random.default_rng(_SEED)
        fixed = bool(((rates == 0) | (rates == 1)).all())
        pool = zeros((1 if fixed else max(2, min(_POOL, _POOL_VALUES // n)), n), np.float64)
        for replay in pool:
            for rows in blocks(n):
                replay[rows] = random.random(rows.stop - rows.start) < rates[rows]
        return self.effect(pool, lambda values, _: values, words, declared=declared)

    def _summary(self, observation: Values) -> str:
        owed = self._objective
        now, usual = self._means(observation)
        if len(now) < 2:
            return f"fewer than two values of {owed.slice} have a score"
        if owed.at_most is not None:
            low, high = min(reversed([*now]), key=lambda v: now[v]), max(now, key=lambda v: now[v])
            apart = f"{owed.difference(now[high] - now[low])} apart"
            return f"{self._said(now, low, high)}: {apart}, {owed.difference(owed.at_most)} allowed"
        lost = {value: usual[value] - now[value] for value in now}
        worst, best = max(lost, key=lambda v: lost[v]), min(reversed([*lost]), key=lambda v: lost[v])
        apart = f"{owed.difference(lost[worst] - lost[best])} further apart than usual"
        return f"{self._said(now, worst, best)}: {apart}, {owed.difference(owed.allowed)} allowed beyond what varies"

    def _said(self, now: Mapping[str, float], low: str, high: str) -> str:
        owed = self._objective
        return f"{owed.score} is {owed.value(now[low])} for {owed.slice}={low} and {owed.value(now[high])} for {high}"

    def _means(self, observation: Values) -> tuple[Mapping[str, float], Mapping[str, float]]:
        """Return the mean of the answered examples of each value now, and usually."""
        sums = np.zeros((3, len(self._cut.values)))
        for rows in blocks(len(observation.of)):
            has = observation.answered[rows]
            for kind, of in enumerate((has, np.where(has, observation.of[rows], 0.0), has * self._usual[rows])):
                sums[kind] += self._cut.sums(rows, of)
        found = dict(zip(self._cut.values, sums.T.tolist(), strict=True))
        has_any = {value: each for value, each in found.items() if each[0]}
        return {v: now / n for v, (n, now, _) in has_any.items()}, {v: then / n for v, (n, _, then) in has_any.items()}


def _slicing(golden: GoldenSet, name: str, examples: int) -> Slicing:
    """Return the slice of a set, or of one that has its examples several times. Raises ValueError if it has none."""
    found = slices_of(golden)
    if name not in found:
        there = f"it has {', '.join(found)}" if found else "it has none"
        raise ValueError(f"objectives.gap.slice: the golden set has no slice {name}; {there}")
    cut = found[name]
    return Slicing(np.resize(cut.codes, examples), cut.values)


def _outcomes(reference: Reference, *, growth: bool) -> tuple[FloatArray, FloatArray | None]:
    """Return how often each example was right in the first half [n], and replays like the second [replays, n].

    The latter are for an objective of the growth.

    The counts do not tell in which replay an example was right, and the bound on a mean does not ask.
    """
    right, (first, second), n = reference.right, reference.replays, reference.examples
    usual = column(n, np.float64, lambda rows: right[0, rows] / first)
    if not second or not growth:
        return usual, None
    replays: FloatArray = zeros((second, n), np.float64)
    for rows in blocks(n, second):
        replays[:, rows] = np.arange(second)[:, np.newaxis] < right[1, rows]
    return usual, replays


def _scores(
    spec: ScoreSpec, reference: Reference, *, growth: bool
) -> tuple[FloatArray, FloatArray | None, NDArray[np.bool_]]:
    """Return the usual value of each example [n], those of other replays [replays, n], and which have one [n]."""
    kept, first, n = reference.scored.get(spec.name), reference.replays[0], reference.examples
    if kept is None:
        if growth:
            raise ValueError(
                f"objectives.gap: the golden set has no reference of {spec.name}; take one with `goldwatch golden "
                "calibrate`, or write `at most`"
            )
        return np.broadcast_to(np.float64(0.5), n), None, np.broadcast_to(np.True_, n)
    values = usual_values(kept)
    usual = column(n, np.float64, lambda rows: values[:first, rows].mean(axis=0), first)
    return usual, values[first:] if len(values) > first else None, watched_examples(kept)


def _right(right: NDArray[np.bool_], answered: NDArray[np.bool_]) -> Values:
    return Values(column(len(right), np.float64, lambda rows: right[rows]), answered)


def _turned_wrong(rates: FloatArray, group: IntArray, count: int) -> FloatArray:
    """Return rates [n] with `count` examples of a group never right: those that are right most often."""
    found = rates.copy()
    found[group[np.argsort(-rates[group], kind="stable")[:count]]] = 0.0
    return found


def _at_random(rates: FloatArray, group: IntArray, loss: float) -> FloatArray:
    """Return rates [n] of which a group loses so much on average, each right answer with the same probability."""
    found = rates.copy()
    found[group] *= max(1 - loss / max(float(rates[group].mean()), 1e-9), 0.0)
    return found


def _moved(group: Sequence[int] | IntArray, by: float) -> Any:  # noqa: ANN401 - a Change
    """Raise the values of a group by so much, within 0 and 1."""
    members = np.asarray(group)

    def change(values: FloatArray, rows: slice) -> FloatArray:
        inside = np.zeros(rows.stop - rows.start, np.bool_)
        some = members[(members >= rows.start) & (members < rows.stop)] - rows.start
        inside[some] = True
        return np.where(inside, np.clip(values + by, 0, 1), values)

    return change
