"""Builds the monitors of a watch from its golden set and their settings. Runs in workers, with numpy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.core import kinds
from goldwatch.core.figures import Ceiling
from goldwatch.core.monitors.kind import MonitorKind
from goldwatch.core.monitors.slower import block_s
from goldwatch.core.score_spec import ScoreSpec, specs_of
from goldwatch.golden.opened import GoldenSet
from goldwatch.scratch import blocks, column, zeros
from goldwatch.worker.drift.reference import Compared, compared
from goldwatch.worker.monitors.changed import Changed
from goldwatch.worker.monitors.columns import choose_cells, columns
from goldwatch.worker.monitors.contract import Monitor
from goldwatch.worker.monitors.costly import Costly
from goldwatch.worker.monitors.dependence import Dependence
from goldwatch.worker.monitors.ladder import Ladder
from goldwatch.worker.monitors.learned import Learned
from goldwatch.worker.monitors.live import LiveDrift, Season
from goldwatch.worker.monitors.means import Means, moved, worse_score
from goldwatch.worker.monitors.schema import LiveSchema
from goldwatch.worker.monitors.scored import scored
from goldwatch.worker.monitors.season import HOUR_S, Usual
from goldwatch.worker.monitors.share import ShareMonitor, failing, slow
from goldwatch.worker.monitors.slower import Learning, Slower
from goldwatch.worker.monitors.worse import Worse


@dataclass(frozen=True, slots=True)
class Settings:
    """A watch's settings for its monitors.

    `alphas` has the false pages per look (see `kinds.interval_s`) that each may spend, None for one that states facts.
    `latency_limit_s` and `latency_quantile` are the objective of *slow*, `output_distance` is that of *moved* and
    `slowdown` that of *slower*, `ceilings` (the fields of Ceiling) those of *costly*; none exists without it.
    `interval_s` is the mean time between replays, `measured_every_s` that between measurements of energy and cost;
    `load` names how replays are made, `meters` what else figures of energy and cost depend on. `live` has what
    *drift* needs: the fields `reference`, `inputs`, `tolerance`, `rows`, `requests`, `clusters`, `season`, `time` and
    `learn` of the section, the mean time between replays, `every_s`, and the maximum duration of a window,
    `longest_s`; *schema* needs that too. `scores` has the fields of a ScoreSpec for each score of the watch.
    """

    accuracy_loss: float
    error_rate: float
    alphas: Mapping[str, float | None]
    latency_limit_s: float | None = None
    latency_quantile: float = 0.99
    output_distance: float | None = None
    slowdown: float | None = None
    interval_s: float = 0.0
    load: str = ""
    ceilings: Sequence[Mapping[str, Any]] = ()
    measured_every_s: float = 0.0
    meters: str = ""
    live: Mapping[str, Any] | None = None
    scores: Sequence[Mapping[str, Any]] = ()

    def alpha(self, kind: MonitorKind) -> float:
        """Return what a monitor may spend. Raises ValueError for one that spends nothing."""
        alpha = self.alphas[kind.name]
        if alpha is None:
            raise ValueError(f"the monitor {kind.name!r} spends, and may spend nothing")
        return alpha

    @property
    def most(self) -> tuple[Ceiling, ...]:
        """The objectives of *costly*."""
        return tuple(Ceiling(**ceiling) for ceiling in self.ceilings)

    @property
    def specs(self) -> tuple[ScoreSpec, ...]:
        """The scores of the watch."""
        return specs_of(self.scores)


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """The reference replays of the validated model, over n examples.

    `right` int64 [2, n] counts how often each example was right in either half of the `replays`. `scores` and
    `distances` from the reference outputs [replays, n] are between 0 and 1, None if not kept. `scores` are None too if
    the golden set has labels: right and wrong win over a softer score. Up to `cluster` examples depend on each other,
    and `codes` [n] number these clusters (see `Limits`). `golden` is the set that it belongs to, if there is
    one. `scored` has the values [replays, n] of the scores that it keeps by name, NaN where there is none.
    """

    replays: tuple[int, int]
    right: NDArray[np.int64]
    scores: NDArray[np.float64] | None = None
    distances: NDArray[np.float64] | None = None
    cluster: int = 1
    golden: GoldenSet | None = None
    codes: NDArray[np.int64] | None = None
    scored: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    @classmethod
    def of(cls, golden: GoldenSet) -> Reference:
        """Read it from a golden set. Raises GoldenError."""
        keeps = set(golden.manifest.reference.keeps or ())
        if golden.manifest.labels is not None:
            keeps -= {"scores"}
        kept = {name: _as_float64(golden.tensor(f"reference.{name}")) for name in keeps}
        right, largest = golden.tensor("reference.right"), golden.clusters[1]
        replays, codes = golden.manifest.reference.replays, _codes(golden)
        scored = {name: golden.tensor(f"reference.scores.{name}") for name in golden.manifest.reference.scores or ()}
        return cls(replays, right, cluster=largest, golden=golden, codes=codes, scored=scored, **kept)

    @property
    def examples(self) -> int:
        """How many examples there are."""
        return int(self.right.shape[1])

    @property
    def usually_right(self) -> NDArray[np.float64]:
        """The share of the replays where each example was right [n]."""
        right, replays = self.right, sum(self.replays)
        return column(self.examples, np.float64, lambda rows: right[:, rows].sum(axis=0) / replays)

    def copied(self, times: int) -> Reference:
        """Return that of a set `times` times as large, of examples like these."""
        if times == 1:
            return self
        scores, distances = (None if part is None else _tiled(part, times) for part in (self.scores, self.distances))
        codes = None
        if self.codes is not None:
            n = self.examples  # the codes of a copy are all above those of the copy before
            codes = _tiled(self.codes[np.newaxis], times)[0] + np.repeat(2 * n * np.arange(times), n)
        right, scored = _tiled(self.right, times), {name: _tiled(part, times) for name, part in self.scored.items()}
        return Reference(self.replays, right, scores, distances, self.cluster, self.golden, codes, scored)


def build(reference: Reference, settings: Settings) -> dict[str, Monitor[Any, Any]]:
    """Make each monitor that the settings name. Raises ValueError for what cannot be watched."""
    return {
        name: _scored(name, reference, settings) or _BUILDERS[name](reference, settings) for name in settings.alphas
    }


def _as_float64(kept: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return what a set keeps of its replays [replays, n] in another precision."""
    found = zeros(kept.shape, np.float64)
    for rows in blocks(kept.shape[1], len(kept)):
        found[:, rows] = kept[:, rows]
    return found


def _codes(golden: GoldenSet) -> NDArray[np.int64] | None:
    """Return the numbers of the clusters of a golden set [n], and one for each example by itself; None without any."""
    if golden.manifest.clusters is None:
        return None
    kept, n = golden.tensor("clusters"), golden.examples

    def code(rows: slice) -> NDArray[np.int64]:
        return np.where(kept[rows] < 0, n + np.arange(n)[rows], kept[rows])

    return column(n, np.int64, code)


def _tiled(part: NDArray[Any], times: int) -> NDArray[Any]:
    """Repeat an array [rows, n] to [rows, times n]."""
    rows, n = part.shape
    found = zeros((rows, times * n), part.dtype)
    for copy in range(times):
        for some in blocks(n, rows):
            found[:, copy * n + some.start : copy * n + some.stop] = part[:, some]
    return found


def _worse(reference: Reference, settings: Settings) -> Worse | Means:
    """Bet on right and wrong, or, without labels, on scores if the reference keeps them.

    An example's usual score is taken from the first half of the reference, its variation from the second.
    """
    alpha, scores, first = settings.alpha(kinds.WORSE), reference.scores, reference.replays[0]
    if scores is None:
        return Worse(reference.right, reference.replays, settings.accuracy_loss, alpha, reference.cluster)
    usual = column(reference.examples, np.float64, lambda rows: scores[:first, rows].mean(axis=0), first)
    return worse_score(usual, settings.accuracy_loss, alpha, scores[first:], reference.cluster, reference.codes)


def _scored(name: str, reference: Reference, settings: Settings) -> Means | None:
    """Return the monitor of a score by its name; None for another monitor."""
    score = kinds.watched_score(name)
    if score is None:
        return None
    spec, alpha = next(spec for spec in settings.specs if spec.name == score), settings.alpha(kinds.of(name))
    clusters = (reference.cluster, reference.codes)
    return scored(spec, reference.examples, reference.scored.get(score), reference.replays[0], alpha, clusters)


def _changed(reference: Reference, settings: Settings) -> Changed:
    return Changed(reference.examples, settings.accuracy_loss)


def _failing(_: Reference, settings: Settings) -> ShareMonitor:
    return failing(settings.error_rate, settings.alpha(kinds.FAILING))


def _slow(_: Reference, settings: Settings) -> ShareMonitor:
    if settings.latency_limit_s is None:
        raise ValueError("slow needs a limit")
    return slow(settings.latency_quantile, settings.latency_limit_s, settings.alpha(kinds.SLOW))


def _moved(reference: Reference, settings: Settings) -> Means:
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
        alpha = settings.alpha(kinds.MOVED)
        allowed, clusters = settings.output_distance, (reference.cluster, reference.codes)
        return moved(reference.examples, allowed, alpha, distances, *clusters)
    except ValueError as error:
        own = f": its own outputs are {distances.mean():.0%} apart" if distances is not None else ""
        raise ValueError(f"{error}{own}; write another share as `objectives.outputs`, or leave it out") from None


def _slower(_: Reference, settings: Settings) -> Slower:
    """Watch with a baseline that is of this load: of another one, another time is usual."""
    if settings.slowdown is None:
        raise ValueError("slower needs a slowdown")
    alpha = settings.alpha(kinds.SLOWER)
    return Slower(block_s(settings.interval_s), alpha, settings.slowdown, Learning(owner=settings.load))


def _costly(_: Reference, settings: Settings) -> Costly:
    owner = f"{settings.load} {settings.meters}"
    return Costly(settings.most, settings.alpha(kinds.COSTLY), settings.measured_every_s, owner)


def _schema(_: Reference, settings: Settings) -> LiveSchema:
    if settings.live is None:
        raise ValueError("schema needs live rows")
    return LiveSchema(settings.live["longest_s"])


def _drift(reference: Reference, settings: Settings) -> LiveDrift:
    if settings.live is None or reference.golden is None:
        raise ValueError("drift needs live rows, and a golden set")
    live = settings.live
    with_what = compared_with(reference.golden, live)
    cluster = stated(live["clusters"], live["rows"])
    if live["season"] == "weekly":
        alpha_per_hour = settings.alpha(kinds.DRIFT) * HOUR_S / live["every_s"]
        return _seasonal_drift(
            with_what, alpha_per_hour, live["tolerance"], cluster[0], live["longest_s"], live["learn"]
        )
    return _live_drift(with_what, settings.alpha(kinds.DRIFT), live["tolerance"], cluster, live["longest_s"])


def compared_with(golden: GoldenSet, live: Mapping[str, Any]) -> Compared:
    """Read what live rows are compared with, by the settings `live`. Raises ValueError, GoldenError."""
    return compared(golden, live["reference"], live["inputs"], live["time"])


def stated(clusters: object, rows: int) -> tuple[int, Dependence]:
    """Return how many rows of a window depend on each other at most, and their dependence by `live.clusters`.

    `rows` is the most rows of one request, which depend on each other in any case.
    """
    if isinstance(clusters, Mapping):
        return clusters["max_rows"], Dependence.KEYED
    if clusters == "unknown":
        return 1, Dependence.UNKNOWN
    return rows * (clusters if isinstance(clusters, int) else 1), Dependence.BOUNDED


@lru_cache(maxsize=4)
def _live_drift(
    reference: Compared, alpha: float, tolerance: float, cluster: tuple[int, Dependence], longest_s: float
) -> LiveDrift:
    """Make the monitor once for all replays of a watch: the bands of 200 columns take seconds."""
    return LiveDrift(reference.table, alpha, tolerance, cluster[0], longest_s, cluster[1])


@lru_cache(maxsize=4)
def _seasonal_drift(
    reference: Compared, alpha_per_hour: float, tolerance: float, cluster: int, longest_s: float, learn: bool
) -> LiveDrift:
    ladder: Ladder | Learned
    if learn:
        kinds, _ = choose_cells(reference.table)
        ladder = Learned(kinds, columns(reference.table), alpha_per_hour, tolerance, cluster)
    else:
        ladder = Ladder(Usual.of(reference.table, reference.hours), alpha_per_hour, tolerance, cluster)
    return LiveDrift(
        reference.table,
        alpha_per_hour,
        tolerance,
        cluster,
        longest_s,
        season=Season(ladder, reference.hours),
    )


_BUILDERS: Mapping[str, Callable[[Reference, Settings], Monitor[Any, Any]]] = {
    kinds.WORSE.name: _worse,
    kinds.CHANGED.name: _changed,
    kinds.FAILING.name: _failing,
    kinds.SLOW.name: _slow,
    kinds.MOVED.name: _moved,
    kinds.SLOWER.name: _slower,
    kinds.COSTLY.name: _costly,
    kinds.SCHEMA.name: _schema,
    kinds.DRIFT.name: _drift,
}
