"""The monitor *worse:NAME* of a score of the whole replay, such as AUROC or BLEU: one bet a replay. It pages.

A product over examples is no e-value for a score that is no mean, so the score F of a replay is one observation y in
[0, 1], and 1 + lambda (m - y) has a mean of at most 1 if E(y | past) >= m, whatever the dependence within the replay. A
bet gains at most a factor of about two, so that an alert takes some 25 replays, however large the loss. The reference
needs 100 replays in either half: with fewer its bound is too far away. An absolute objective needs no reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from goldwatch.core.judgement import Severity
from goldwatch.core.kinds import WORSE
from goldwatch.core.score_spec import ScoreSpec
from goldwatch.worker.monitors.contract import WatchMonitor
from goldwatch.worker.monitors.effects import Basis, Effect, shift
from goldwatch.worker.monitors.episode import Standing, Watching
from goldwatch.worker.monitors.means import MILDEST, Limits, Means, Said, Scale, Values, lowest
from goldwatch.worker.monitors.scored import meaning

if TYPE_CHECKING:
    from goldwatch.worker.jobs.case import Case
    from goldwatch.worker.monitors.reference import Reference
    from goldwatch.worker.monitors.settings import Settings

MIN_REPLAYS = 100
"""The fewest reference replays, in either half, that an objective of the reference needs."""

_WIDTHS = (0.02, 0.05, 0.2)
_LOSSES = 10


class WorseCorpus(Means, WatchMonitor[Values | Said, Standing]):
    """A score of the whole replay, against the `kept` values of reference replays, `first` of them in the first half.

    Raises ValueError, also for too few of them where the objective is of the reference, or a loss that is too large.
    """

    _statistic = ""

    def __init__(self, spec: ScoreSpec, kept: Sequence[float], first: int, alpha: float) -> None:
        self._spec, self._kept = spec, kept
        self._low, self._unit = spec.scale[0], _unit(spec, kept[:first])
        sign, best = (-1.0, 0.0) if spec.lower_is_better else (1.0, 1.0)
        watching = Watching(WORSE.member(spec.name).name, Severity.PAGE, f"the score {spec.name} is worse")
        if spec.limit is not None:
            limit = self._share(spec.limit)
            level = 1 - limit if spec.lower_is_better else limit
            scales, reference, bounds = [Scale(np.array([limit]), sign, level, best)], None, Limits(0.0, MILDEST)
        else:
            if min(first, len(kept) - first) < MIN_REPLAYS:
                raise ValueError(_too_few(spec, first, len(kept) - first))
            shares = np.array([[self._share(value)] for value in kept])
            reference, loss = shares[first:], spec.loss or 0.0
            scales = [Scale(shares[:first].mean(axis=0), sign * 2 * width, 0.5, best) for width in _WIDTHS]
            most = self._unit * max(abs(scale.span) * lowest(scale, reference, 1, len(scales)) for scale in scales)
            if loss >= most:
                raise ValueError(_too_large(spec, loss, most, sum(kept) / len(kept)))
            bounds = Limits(loss / self._unit, MILDEST)
        identity = () if spec.limit is None else meaning(spec)
        super().__init__(
            watching, scales, reference, bounds, alpha, lambda share: self._low + share * self._unit, identity
        )

    @classmethod
    def build(cls, name: str, reference: Reference, settings: Settings) -> WorseCorpus:
        """Make it for the score that it is named after."""
        spec = next(spec for spec in settings.specs if WORSE.member(spec.name).name == name)
        kept = reference.whole.get(spec.name, ())
        return cls(spec, kept, reference.replays[0] if kept else 0, settings.alpha(name))

    def observe(self, replay: Case) -> Values | None:
        """Return the score of the replay; None if it is unknown."""
        value = next((score.value for score in replay.scores if score.name == self._spec.name), None)
        return None if value is None else Values(np.array([self._share(value)]), np.ones(1, np.bool_))

    def effects(self, basis: Basis) -> Iterator[Effect]:  # noqa: ARG002 - it has its own reference
        """Yield by how much the score may become worse; nothing without reference replays."""
        spec, kept = self._spec, self._kept
        if not kept:
            return
        values = np.array([[self._share(value)] for value in kept])
        allowed = spec.loss if spec.loss is not None else abs(sum(kept) / len(kept) - (spec.limit or 0.0))
        sign = 1 if spec.lower_is_better else -1
        for loss in (2 * allowed, 4 * allowed):
            words = f"{spec.name} is {spec.difference(loss)} worse"
            yield self.effect(values, shift(sign * loss / self._unit), words, declared=loss == 2 * allowed)

    def _share(self, value: float) -> float:
        return (value - self._low) / self._unit


def _unit(spec: ScoreSpec, usual: Sequence[float]) -> float:
    """Return how much of the score is 1 for the bets: its scale, or without an end what is usual and allowed.

    That is twice the absolute objective; or twice the usual value, and at least ten times the loss that is allowed, of
    which twice must be told apart. A larger value counts as that.
    """
    low, high = spec.scale
    if high is not None:
        return high - low
    if spec.limit is not None:
        return 2 * (spec.limit - low)
    above = sum(usual) / max(len(usual), 1) - low
    return max(2 * above, _LOSSES * (spec.loss or 0.0)) or 1.0


def _too_large(spec: ScoreSpec, loss: float, most: float, usual: float) -> str:
    form, limit = ("at most", usual + loss) if spec.lower_is_better else ("at least", usual - loss)
    low, high = spec.scale
    within = low < limit and (high is None or limit < high)
    absolute = f", or an absolute objective such as `{form} {limit:.3g}`" if within else ""
    testable = spec.difference(float(f"{0.95 * most:.2g}"))  # below `most` however it is rounded
    return (
        f"objectives.scores.{spec.name}: it is {usual:.3g} in the reference, and a loss of {spec.difference(loss)} is "
        f"more than the monitor can tell apart; write `no worse than {testable}` or less{absolute}"
    )


def _too_few(spec: ScoreSpec, first: int, second: int) -> str:
    form = "at most" if spec.lower_is_better else "at least"
    return (
        f"objectives.scores.{spec.name}: a score of the whole replay has one bet a replay, and needs {MIN_REPLAYS} + "
        f"{MIN_REPLAYS} reference replays; the golden set keeps its value in {first} + {second}, so it has an interval "
        f"only. Take {2 * MIN_REPLAYS} with `goldwatch golden calibrate`, write an objective such as `{form} NUMBER`, "
        "or leave it out"
    )
