"""The monitors *worse* of scores: of the task's own without labels, and *worse:NAME* of one that the config names.

An objective of the reference (`no worse than 1 point`) is paired: each example is held against its own mean over the
first half of the reference replays, and the second half shows how much it varies. An absolute one (`at least 95%`) is
held against the mean of all examples, and needs no reference. The test is that of `means`. They page.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from goldwatch.core.judgement import Severity
from goldwatch.core.kinds import WORSE
from goldwatch.core.score_spec import ScoreSpec
from goldwatch.scratch import blocks, column, zeros
from goldwatch.worker.monitors.contract import WatchMonitor
from goldwatch.worker.monitors.detector import FloatArray
from goldwatch.worker.monitors.effects import HALF, Basis, Effect, lose, losses, percentage, shift
from goldwatch.worker.monitors.episode import Standing, Watching
from goldwatch.worker.monitors.means import MILDEST, WIDTHS, IntArray, Limits, Means, Said, Scale, Values

if TYPE_CHECKING:
    from goldwatch.worker.jobs.case import Case
    from goldwatch.worker.monitors.reference import Reference
    from goldwatch.worker.monitors.settings import Settings

_NEUTRAL = 0.5
"""The value of an example that the reference left unscored: it is never observed, so it adds no evidence."""


class WorseScores(Means, WatchMonitor[Values | Said, Standing]):
    """Scores in [0, 1] against each example's own `baseline` [n]; the mean may lose `tolerance`.

    `reference` [replays, n] are scores of other replays of the validated model, see `Means`; `cluster` and `codes`
    those of `Limits`. Raises ValueError.
    """

    def __init__(
        self,
        baseline: FloatArray,
        tolerance: float,
        alpha: float,
        reference: FloatArray | None = None,
        cluster: int = 1,
        codes: IntArray | None = None,
    ) -> None:
        if baseline.ndim != 1 or baseline.size == 0 or not 0 <= baseline.min() <= baseline.max() <= 1:
            raise ValueError("a baseline is one score between 0 and 1 for each example, and there is at least one")
        scales = [Scale(baseline, 2 * width, 0.5, best=1.0) for width in WIDTHS]
        watching = Watching(WORSE.name, Severity.PAGE, "the model is worse")
        super().__init__(watching, scales, reference, Limits(tolerance, MILDEST, cluster, codes), alpha)

    @classmethod
    def build(cls, name: str, reference: Reference, settings: Settings) -> WorseScores:
        """Take an example's usual score from the first half of the reference, its variation from the second."""
        scores, first = reference.scores, reference.replays[0]
        if scores is None:
            raise ValueError("the reference keeps no scores")
        usual = column(reference.examples, np.float64, lambda rows: scores[:first, rows].mean(axis=0), first)
        clusters = (reference.cluster, reference.codes)
        return cls(usual, settings.accuracy_loss, settings.alpha(name), scores[first:], *clusters)

    def observe(self, replay: Case) -> Values | None:
        """Return the score of each answer."""
        scores = replay.task.score(replay.outputs, replay.answered)
        return None if scores is None else Values(scores, replay.answered)

    def effects(self, basis: Basis) -> Iterator[Effect]:
        """Yield scores that are all lower, and answers that become worthless."""
        if (scores := basis.reference.scores) is None:
            return
        declared, *others = losses(basis.settings.accuracy_loss)
        for loss in (declared, *others):
            yield self.effect(scores, shift(-loss), f"scores lose {loss * 100:g} points", declared=loss == declared)
        # The share of the answers whose whole score makes up the declared loss, in whole percent, and half of them.
        share = math.ceil(100 * round(declared / max(float(scores.mean()), 1e-9), 6)) / 100
        for worthless in sorted({share, HALF}):
            if share <= worthless <= 1:
                words = f"{percentage(worthless)} of answers become worthless"
                yield self.effect(scores, lose(worthless), words, declared=worthless == share)


class WorseScore(Means, WatchMonitor[Values | Said, Standing]):
    """A score of the config over `n` examples.

    `kept` [replays, n] has the values of the reference replays, NaN for none; `first` of them make what is usual.
    `limits` are the size of the largest cluster and the numbers of the clusters, see `Limits`. Raises ValueError, also
    without `kept` where the objective is of the reference.
    """

    def __init__(
        self,
        spec: ScoreSpec,
        n: int,
        kept: NDArray[np.float32] | None,
        first: int,
        alpha: float,
        limits: tuple[int, IntArray | None],
    ) -> None:
        self._spec, self._kept = spec, kept
        bounds = Limits((spec.loss or 0.0) / spec.span, MILDEST, *limits)
        sign, best = (-1.0, 0.0) if spec.lower_is_better else (1.0, 1.0)
        watching = Watching(WORSE.member(spec.name).name, Severity.PAGE, f"the score {spec.name} is worse")
        if spec.limit is not None:
            limit = spec.to_share(spec.limit)
            level = 1 - limit if spec.lower_is_better else limit
            centre = np.broadcast_to(np.float64(limit), n)
            scales, identity = [Scale(centre, sign, level, best)], meaning(spec)
            super().__init__(watching, scales, None, bounds, alpha, spec.from_share, identity)
            return
        if kept is None:
            raise ValueError(f"objectives.scores.{spec.name}: the golden set has no reference of this score")
        values = usual_values(kept)
        centre = column(n, np.float64, lambda rows: values[:first, rows].mean(axis=0), first)
        scales = [Scale(centre, sign * 2 * width, 0.5, best) for width in WIDTHS]
        super().__init__(watching, scales, values[first:], bounds, alpha, spec.from_share)

    @classmethod
    def build(cls, name: str, reference: Reference, settings: Settings) -> WorseScore:
        """Make it for the score that it is named after."""
        spec = next(spec for spec in settings.specs if WORSE.member(spec.name).name == name)
        kept, clusters = reference.scored.get(spec.name), (reference.cluster, reference.codes)
        return cls(spec, reference.examples, kept, reference.replays[0], settings.alpha(name), clusters)

    def observe(self, replay: Case) -> Values | None:
        """Return the values of the score, of the examples that it watches; None if it is unknown."""
        if (values := replay.known_values(self._spec.name)) is None:
            return None
        n = len(values)
        watched = np.broadcast_to(np.True_, n) if self._kept is None else watched_examples(self._kept)
        has = column(n, np.bool_, lambda rows: ~np.isnan(values[rows]) & watched[rows])
        return Values(column(n, np.float64, lambda rows: np.nan_to_num(values[rows])), has)

    def effects(self, basis: Basis) -> Iterator[Effect]:  # noqa: ARG002 - it has its own reference
        """Yield how the score may become worse than its objective allows; nothing without reference replays."""
        spec = self._spec
        if self._kept is None:
            return
        values, (sign, bad) = usual_values(self._kept), (1, 1.0) if spec.lower_is_better else (-1, 0.0)
        if spec.loss is not None:
            allowed = spec.loss / spec.span
        else:
            allowed = abs(float(values.mean()) - spec.to_share(spec.limit or 0.0))
        declared, *others = losses(allowed)
        for loss in (declared, *others):
            words = f"{spec.name} is {spec.difference(loss * spec.span)} worse"
            yield self.effect(values, shift(sign * loss), words, declared=loss == declared)
        words = f"{spec.name} is {spec.from_share(bad):g} for {percentage(HALF)} of answers"
        yield self.effect(values, lose(HALF, bad), words)


def meaning(spec: ScoreSpec) -> tuple[float]:
    """Return what distinguishes bets on a score without a reference from those on another of the same name."""
    return (float(zlib.crc32(spec.meaning.encode())),)


def watched_examples(kept: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the examples [n] that have a value in each of the reference replays [replays, n]."""
    return column(kept.shape[1], np.bool_, lambda rows: ~np.isnan(kept[:, rows]).any(axis=0), len(kept))


def usual_values(kept: NDArray[np.float32]) -> FloatArray:
    """Return the reference values [replays, n] of the examples that are watched, and of others their neutral value."""
    watched, found = watched_examples(kept), zeros(kept.shape, np.float64)
    for rows in blocks(kept.shape[1], len(kept)):
        found[:, rows] = np.where(watched[rows], kept[:, rows], _NEUTRAL)
    return found
