"""The sensitivity of a watch's monitors: the monitors themselves, given simulated replays.

Runs in a worker process, with numpy.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.config import format_percentage
from goldwatch.core import kinds
from goldwatch.core.figures import Ceiling, Figure, Figures
from goldwatch.core.judgement import State
from goldwatch.core.score_spec import ScoreSpec
from goldwatch.golden.opened import GoldenSet
from goldwatch.ipc.jobs import Emit, handles
from goldwatch.ipc.judging_jobs import SENSITIVITY, Notice, SeasonBasis, Sensitivity, SensitivityRequest
from goldwatch.scratch import column
from goldwatch.worker.drift.reference import Compared
from goldwatch.worker.jobs import seasons
from goldwatch.worker.jobs.opening import open_as
from goldwatch.worker.monitors.build import Reference, Settings, build, compared_with, stated
from goldwatch.worker.monitors.contract import Monitor
from goldwatch.worker.monitors.dependence import Dependence
from goldwatch.worker.monitors.ladder import Ladder
from goldwatch.worker.monitors.live import Live, LiveDrift
from goldwatch.worker.monitors.means import Means, Said, Values
from goldwatch.worker.monitors.scored import usual_values
from goldwatch.worker.monitors.share import Requests
from goldwatch.worker.monitors.slower import fewest_blocks
from goldwatch.worker.monitors.strata import Strata
from goldwatch.worker.monitors.worse import Worse

_RUNS = 21
_HOPELESS = 5
"""If none of so many runs ends in an alert, the median of all is none: at most one time in 32 that is wrong."""
_SEED = 20_261_125
_LEAST_LOSS = 0.01
_LEAST_DRIFT = 0.1
_HALF = 0.5
_LOSSES = (0.02, 0.05, 0.1, 0.2, 0.4)
_SHARES = (0.02, 0.05, 0.1, 0.2, 0.5)

Draw = Callable[[np.random.Generator], Any]
Monitors = Mapping[str, Monitor[Any, Any]]


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that a monitor might notice, as text, and how a replay that shows it is drawn.

    `declared` effects are too much by the watch's own objectives: twice what they allow. One that is `fixed`
    looks the same in each replay. `independent` is what would look in place of the monitor, and how a replay would be
    drawn, if nothing in it depended on anything else.
    """

    monitor: str
    words: str
    draw: Draw
    declared: bool = False
    fixed: bool = False
    independent: tuple[Monitor[Any, Any], Draw] | None = None


@handles(SENSITIVITY)
def sensitivity(request: SensitivityRequest, descriptors: list[int], emit: Emit) -> Sensitivity:  # noqa: ARG001 - a Handler
    """Say how many replays each effect takes to be noticed. Raises GoldenError."""
    for descriptor in descriptors:
        os.close(descriptor)
    golden, settings = open_as(request.golden), Settings(**request.settings)
    reference = Reference.of(golden).copied(request.copies)
    monitors = build(reference, settings)
    notices = [
        Notice(
            monitor=effect.monitor,
            effect=effect.words,
            declared=effect.declared,
            threshold=-math.log10(settings.alpha(kinds.of(effect.monitor))),
            replays=_replays(monitors[effect.monitor], effect, request.most),
            if_independent=_if_independent(effect, request.most),
        )
        for effect in _effects(reference, monitors, settings, request.requests * request.copies)
        if effect.declared or not request.declared_only
    ]
    if settings.slowdown is not None and not request.declared_only:
        notices.append(_slowdown(settings.slowdown, settings.alpha(kinds.SLOWER)))
    season = SeasonBasis(learned=True) if settings.live is not None and settings.live["learn"] else None
    if (ladder := _ladder(monitors)) is not None and reference.golden is not None and settings.live is not None:
        with_what = compared_with(reference.golden, settings.live)
        season = seasons.basis(ladder, with_what)
        notices += _seasonal(ladder, with_what, settings.live, declared_only=request.declared_only)
    return Sensitivity(tuple(notices), season)


def _ladder(monitors: Monitors) -> Ladder | None:
    drift = monitors.get(kinds.DRIFT.name)
    return drift.ladder if isinstance(drift, LiveDrift) else None


def _seasonal(ladder: Ladder, reference: Compared, live: Mapping[str, Any], *, declared_only: bool) -> Iterator[Notice]:
    """Yield what *drift* notices of traffic with a season, and after how many hours."""
    shifts = _shifts(live["tolerance"])
    for words, shift, hours in seasons.notices(
        ladder, reference, shifts[:1] if declared_only else shifts, live["requests"]
    ):
        yield Notice(kinds.DRIFT.name, words, declared=shift == shifts[0], threshold=ladder.threshold, replays=hours)


def _shifts(tolerance: float) -> list[float]:
    """Return by what share of its values a column is moved: twice what is tolerated, and more."""
    declared = round(2 * tolerance, 6) or _LEAST_DRIFT
    return [shift for shift in [declared, *(share for share in _SHARES if share > declared)][:2] if shift < 1]


def _if_independent(effect: Effect, most: int) -> int | None:
    if effect.independent is None:
        return 0
    monitor, draw = effect.independent
    return _replays(monitor, replace(effect, draw=draw), most)


def _slowdown(tolerance: float, alpha: float) -> Notice:
    """Return what *slower* notices: without a baseline, the fewest blocks that can make it alert."""
    words = f"it takes lastingly far more than {format_percentage(tolerance)} longer than usual"
    return Notice(kinds.SLOWER.name, words, declared=False, threshold=-math.log10(alpha), replays=fewest_blocks(alpha))


def _effects(reference: Reference, monitors: Monitors, settings: Settings, requests: int) -> Iterator[Effect]:
    yield from _losses(reference, monitors[kinds.WORSE.name], settings.accuracy_loss)
    for spec in settings.specs:
        if isinstance(monitor := monitors.get(kinds.WORSE.member(spec.name).name), Means):
            yield from _score_losses(reference, monitor, spec)
    yield from _shares(kinds.FAILING.name, settings.error_rate, requests, "fail")
    if settings.latency_limit_s is not None:
        over = f"take over {settings.latency_limit_s * 1000:g} ms"
        yield from _shares(kinds.SLOW.name, round(1 - settings.latency_quantile, 12), requests, over)
    if settings.output_distance is not None and isinstance(moved := monitors[kinds.MOVED.name], Means):
        yield _distances(reference, moved, settings.output_distance)
    for ceiling in settings.most:
        if ceiling.limit is not None:
            yield _too_much(ceiling, ceiling.limit)
    if settings.live is not None and reference.golden is not None and settings.live["season"] != "weekly":
        yield from _drifts(reference.golden, settings.live, settings.alpha(kinds.DRIFT))


def _too_much(ceiling: Ceiling, limit: float) -> Effect:
    figures = Figures({ceiling.name: Figure.exact(2 * limit, ceiling.unit)})
    verb = "takes" if ceiling.quantity == "energy" else "costs"
    words = f"{ceiling.one} {verb} over {limit:.4g} {ceiling.unit}"
    return Effect(kinds.COSTLY.name, words, lambda _: figures, declared=True, fixed=True)


def _losses(reference: Reference, monitor: Monitor[Any, Any], tolerance: float) -> Iterator[Effect]:
    declared = round(tolerance + max(tolerance, _LEAST_LOSS), 6)
    losses = [declared, *(loss for loss in _LOSSES if loss > declared)][:2]
    if isinstance(monitor, Means) and reference.scores is not None:
        scores = reference.scores
        for loss in losses:
            words = f"scores lose {loss * 100:g} points"
            yield _changed(monitor, scores, _shift(-loss), words, declared=loss == declared)
        # The share of the answers whose whole score makes up the declared loss, in whole percent, and half of them.
        share = math.ceil(100 * round(declared / max(float(scores.mean()), 1e-9), 6)) / 100
        for worthless in sorted({share, _HALF}):
            if share <= worthless <= 1:
                words = f"{format_percentage(worthless)} of answers become worthless"
                yield _changed(monitor, scores, _lose(worthless), words, declared=worthless == share)
    elif isinstance(monitor, Worse):
        usual = Strata.of(reference, monitor)
        for loss in losses:
            if loss >= usual.accuracy:
                return
            points = f"{loss * 100:g} points of accuracy are lost"
            if loss == declared:
                same = Strata.without(reference, monitor, math.ceil(loss * reference.examples))
                words = f"{points}, the same examples"
                yield Effect(monitor.name, words, same.draw, declared=True, fixed=same.fixed)
            yield Effect(monitor.name, f"{points}, at random", usual.losing(loss).draw)


def _score_losses(reference: Reference, monitor: Means, spec: ScoreSpec) -> Iterator[Effect]:
    """Yield how a score of the config may become worse than its objective allows; nothing without reference replays."""
    if (kept := reference.scored.get(spec.name)) is None:
        return
    values, bad = usual_values(kept), 1.0 if spec.lower_is_better else 0.0
    if spec.loss is not None:
        allowed = spec.loss / spec.span
    else:
        allowed = abs(float(values.mean()) - spec.to_share(spec.limit or 0.0))
    declared = round(allowed + max(allowed, _LEAST_LOSS), 6)
    sign = 1 if spec.lower_is_better else -1
    for loss in [declared, *(loss for loss in _LOSSES if loss > declared)][:2]:
        words = f"{spec.name} is {spec.difference(loss * spec.span)} worse"
        yield _changed(monitor, values, _shift(sign * loss), words, declared=loss == declared)
    words = f"{spec.name} is {spec.from_share(bad):g} for {format_percentage(_HALF)} of answers"
    yield _changed(monitor, values, _lose(_HALF, bad), words, declared=False)


def _drifts(golden: GoldenSet, live: Mapping[str, Any], alpha: float) -> Iterator[Effect]:
    """Yield shifts of one column of live rows, in percentiles of the reference, and nothing else of them changed.

    Rows that may depend on each other are drawn as equal ones.
    """
    table = compared_with(golden, live).table
    name = next((name for name, values in table.items() if values.dtype.kind == "f"), None)
    if name is None:
        return
    cluster, dependence = stated(live["clusters"], live["rows"])
    other = None
    if cluster > live["rows"] or dependence is not Dependence.BOUNDED:
        other = LiveDrift(table, alpha, live["tolerance"], live["rows"], live["longest_s"])
    shifts = _shifts(live["tolerance"])
    for shift in shifts:
        words = f"{name} of live rows is {shift * 100:g} percentiles higher"
        draw, plain = (_moved(table, name, shift, live["requests"], c) for c in (cluster, live["rows"]))
        independent = None if other is None else (other, plain)
        yield Effect("drift", words, draw, declared=shift == shifts[0], independent=independent)


def _moved(table: Mapping[str, NDArray[Any]], name: str, shift: float, rows: int, cluster: int) -> Draw:
    """Draw windows of `rows` rows like the reference's, with one column higher by a share of its values.

    Rows come in clusters of this size, equal within each.
    """
    ordered, examples = np.sort(table[name]), len(table[name])
    clusters = np.arange(rows) // cluster

    def draw(rng: np.random.Generator) -> Live:
        drawn = rng.integers(examples, size=rows)
        found = {column: values[drawn][clusters] for column, values in table.items()}
        ranks = np.minimum((rng.random(rows) + shift) * examples, examples - 1).astype(np.int64)
        return Live({**found, name: ordered[ranks][clusters]}, 0.0, clusters=clusters)

    return draw


def _distances(reference: Reference, monitor: Means, allowed: float) -> Effect:
    nothing = np.broadcast_to(np.float64(0), (1, reference.examples))
    usual = nothing if reference.distances is None else reference.distances
    further = "from" if reference.distances is None else "further from"
    words = f"outputs are {format_percentage(round(2 * allowed, 6))} {further} the reference"
    return _changed(monitor, usual, _shift(2 * allowed), words, declared=True)


def _shift(by: float) -> Callable[[NDArray[np.float64], slice], NDArray[np.float64]]:
    """Change values [m] all alike; they stay between 0 and 1."""
    return lambda values, _: np.clip(values + by, 0, 1)


def _lose(share: float, to: float = 0.0) -> Callable[[NDArray[np.float64], slice], NDArray[np.float64]]:
    """Change a share of the values [m] of some rows to one value, spread evenly over the examples."""
    return lambda values, rows: np.where(np.arange(rows.start, rows.stop) * share % 1 < share, to, values)


def _changed(
    monitor: Means,
    usual: NDArray[np.float64],
    change: Callable[[NDArray[np.float64], slice], NDArray[np.float64]],
    words: str,
    *,
    declared: bool,
) -> Effect:
    """Return the effect that a replay is one of the usual ones [replays, n], changed.

    The evidence of each is worked out once, however often it is drawn.
    """
    replays, n = usual.shape

    @cache
    def said(replay: int) -> Said:
        of = column(n, np.float64, lambda rows: change(usual[replay, rows], rows))
        return monitor.read(Values(of, np.broadcast_to(np.True_, n)))

    def draw(rng: np.random.Generator) -> Said:
        return said(int(rng.integers(replays)))

    return Effect(monitor.name, words, draw, declared=declared, fixed=replays == 1)


def _shares(monitor: str, allowed: float, requests: int, what: str) -> Iterator[Effect]:
    declared = 2 * allowed
    if declared < 1:
        words = f"{format_percentage(declared)} of requests {what}"
        yield Effect(monitor, words, _missing(declared, requests), declared=True)
    for share in [share for share in _SHARES if share > declared][:1]:
        yield Effect(monitor, f"{format_percentage(share)} of requests {what}", _missing(share, requests))
    yield Effect(monitor, f"all requests {what}", _missing(1.0, requests), fixed=True)


def _missing(share: float, requests: int) -> Draw:
    return lambda rng: Requests(int(rng.binomial(requests, share)), requests)


def _replays(monitor: Monitor[Any, Any], effect: Effect, most: int) -> int | None:
    """Return the median number of replays to an alert; None if it is more than `most`."""
    runs = 1 if effect.fixed else _RUNS
    found: list[float] = []
    for run in range(runs):
        found.append(_one_run(monitor, effect.draw, most, np.random.default_rng((_SEED, run))))
        never = sum(map(math.isinf, found))
        if never > runs // 2 or never == len(found) == _HOPELESS:
            return None
    return int(sorted(found)[runs // 2])


def _one_run(monitor: Monitor[Any, Any], draw: Draw, most: int, rng: np.random.Generator) -> float:
    state = monitor.fresh()
    for replay in range(1, most + 1):
        state, verdict = monitor.update(draw(rng), state, float(replay))
        if verdict.state is State.ALERTING:
            return replay
    return math.inf
