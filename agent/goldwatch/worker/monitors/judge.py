"""The monitors *judge:NAME*: whether the judge of a score grades as it did when the golden set was frozen.

In each replay the judge grades the controls: answers of the reference, half of them to another question. Each is held
against the mean of its first frozen judgings; the others show how much its grades vary. A judge may become harsher or
kinder, so changes are bet on in both directions, each at two scales, in one detector with equal weights. A frozen
judging alone, taken for the truth, would page for its own noise. It opens a ticket.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from goldwatch.core import kinds
from goldwatch.core.judgement import Severity
from goldwatch.core.score_spec import FROZEN_JUDGINGS, MAX_UNSCORED, ScoreSpec
from goldwatch.worker.monitors.contract import WatchMonitor
from goldwatch.worker.monitors.detector import FloatArray
from goldwatch.worker.monitors.effects import Basis, Effect, shift
from goldwatch.worker.monitors.episode import Standing, Watching
from goldwatch.worker.monitors.means import MILDEST, WIDTHS, Limits, Means, Said, Scale, Values
from goldwatch.worker.monitors.scored import usual_values, watched_examples

if TYPE_CHECKING:
    from goldwatch.worker.jobs.case import Case
    from goldwatch.worker.monitors.reference import Reference
    from goldwatch.worker.monitors.settings import Settings


CHANGES = (0.05, 0.1, 0.2)
"""The changes of all grades, as shares of the scale, whose delays are simulated."""


class JudgeMonitor(Means, WatchMonitor[Values | Said, Standing]):
    """Watch the grades of the controls, as shares of the scale, against the frozen ones [judgings, n].

    Raises ValueError for fewer judgings than that takes.
    """

    def __init__(self, spec: ScoreSpec, kept: NDArray[np.float32], alpha: float) -> None:
        if len(kept) < sum(FROZEN_JUDGINGS):
            raise ValueError(
                f"scores.{spec.name}.judge: the controls were judged {len(kept)} times, {sum(FROZEN_JUDGINGS)} are "
                "needed; freeze them with `goldwatch golden calibrate`"
            )
        values, first = usual_values(kept), FROZEN_JUDGINGS[0]
        self._centre: FloatArray = values[:first].mean(axis=0)
        self._of, self._watched, self._judged = spec, watched_examples(kept), values[first:]
        scales = [Scale(self._centre, side * 2 * w, 0.5, max(side, 0.0)) for side in (1.0, -1.0) for w in WIDTHS]
        name = kinds.JUDGE.member(spec.name).name
        watching = Watching(name, Severity.TICKET, f"the judge of {spec.name} has changed")
        super().__init__(watching, scales, values[first:], Limits(0.0, MILDEST), alpha)

    @classmethod
    def build(cls, name: str, reference: Reference, settings: Settings) -> JudgeMonitor:
        """Make it for the score that it is named after."""
        score = kinds.judged_score(name)
        spec = next(spec for spec in settings.specs if spec.name == score)
        kept = reference.controls.get(spec.name)
        if kept is None:
            raise ValueError(
                f"scores.{spec.name}.judge.controls: the golden set has none frozen; take a new reference with "
                "`goldwatch golden calibrate`, or leave the key out"
            )
        wanted, frozen = spec.judge.controls if spec.judge is not None else 0, kept.shape[1]
        if wanted != frozen:
            raise ValueError(
                f"scores.{spec.name}.judge.controls: found {wanted:,}, and the golden set has {frozen:,} frozen; write "
                f"{frozen}, or take a new reference with `goldwatch golden calibrate`"
            )
        return cls(spec, kept, settings.alpha(name))

    def observe(self, replay: Case) -> Values | None:
        """Have the judge grade the controls; None if the replay is not valid, or too few of them have a grade."""
        if not replay.is_valid:
            return None
        found = replay.graded_controls(self._of.name, len(self._watched))
        has = ~np.isnan(found) & self._watched
        if np.count_nonzero(self._watched & ~has) > MAX_UNSCORED * np.count_nonzero(self._watched):
            return None
        return Values(np.nan_to_num(found).astype(np.float64), has)

    def effects(self, basis: Basis) -> Iterator[Effect]:  # noqa: ARG002 - it has its own reference
        """Yield a judge that grades its controls lower, and one that grades them higher."""
        low, high = self._of.judge.scale if self._of.judge is not None else (0.0, 1.0)
        for change in CHANGES:
            for side, words in ((-1, "lower"), (1, "higher")):
                size = f"{change * (high - low):g} of its scale from {low:g} to {high:g}"
                yield self.effect(self._judged, shift(side * change), f"grades of the controls are {words} by {size}")

    def _summary(self, observation: Values) -> str:
        if not observation.answered.any():
            return "no control was graded"
        spec, usual = self._of, float(self._centre[observation.answered].mean())
        low, high = spec.judge.scale if spec.judge is not None else (0.0, 1.0)
        now, usual = (low + share * (high - low) for share in (observation.mean, usual))
        return f"the judge gives its controls {now:.3g} on average, {usual:.3g} when the set was frozen"
