"""The monitor *moved*: whether outputs are further from the reference outputs than allowed, on average. A ticket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from goldwatch.core.judgement import Severity
from goldwatch.core.kinds import MOVED
from goldwatch.worker.monitors.contract import WatchMonitor
from goldwatch.worker.monitors.detector import FloatArray
from goldwatch.worker.monitors.effects import Basis, Effect, percentage, shift
from goldwatch.worker.monitors.episode import Standing, Watching
from goldwatch.worker.monitors.means import MILDEST, WIDTHS, IntArray, Limits, Means, Said, Scale, Values

if TYPE_CHECKING:
    from goldwatch.worker.jobs.case import Case
    from goldwatch.worker.monitors.reference import Reference
    from goldwatch.worker.monitors.settings import Settings


class Moved(Means, WatchMonitor[Values | Said, Standing]):
    """The distances in [0, 1] of outputs to the examples' own reference outputs.

    Their mean may be `tolerance`, more than what it is in the `reference` [replays, n]. A tolerance of 0 with no
    reference replays is the business of *changed*, and raises ValueError, as `Means` does. `cluster` and `codes` are
    those of `Limits`.
    """

    def __init__(
        self,
        examples: int,
        tolerance: float,
        alpha: float,
        reference: FloatArray | None = None,
        cluster: int = 1,
        codes: IntArray | None = None,
    ) -> None:
        if examples < 1:
            raise ValueError("a mean needs at least one example")
        scales = [Scale(np.broadcast_to(np.float64(0), examples), -width, 1.0, best=0.0) for width in WIDTHS]
        watching = Watching(MOVED.name, Severity.TICKET, "outputs have moved from the reference")
        limits = Limits(tolerance, max(tolerance, MILDEST), cluster, codes)
        super().__init__(watching, scales, reference, limits, alpha)

    @classmethod
    def build(cls, name: str, reference: Reference, settings: Settings) -> Moved:
        """Watch how far outputs are from the reference outputs, beyond how far the reference's own replays were."""
        if settings.output_distance is None:
            raise ValueError("moved needs a distance")
        distances, golden = reference.distances, reference.golden
        if distances is None and golden is not None and not golden.manifest.reference.deterministic:
            raise ValueError(
                "objectives.outputs: the outputs of the validated model vary, and the golden set does not keep by how "
                "much; make a new version of the set with `goldwatch golden calibrate`, or leave the objective out"
            )
        try:
            allowed, clusters = settings.output_distance, (reference.cluster, reference.codes)
            return cls(reference.examples, allowed, settings.alpha(name), distances, *clusters)
        except ValueError as error:
            own = f": its own outputs are {distances.mean():.0%} apart" if distances is not None else ""
            raise ValueError(f"{error}{own}; write another share as `objectives.outputs`, or leave it out") from None

    def observe(self, replay: Case) -> Values:
        """Return the distance of each answer."""
        return replay.distances()

    def effects(self, basis: Basis) -> Iterator[Effect]:
        """Yield outputs that are twice as far away as allowed."""
        allowed, usual = basis.settings.output_distance or 0.0, basis.reference.distances
        further = "from" if usual is None else "further from"
        if usual is None:
            usual = np.broadcast_to(np.float64(0), (1, basis.reference.examples))
        words = f"outputs are {percentage(round(2 * allowed, 6))} {further} the reference"
        yield self.effect(usual, shift(2 * allowed), words, declared=True)

    def _described(self, now: float, limit: float) -> str:
        return f"mean distance {now:.2g} from the reference, {limit:.2g} allowed"
