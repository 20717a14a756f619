"""Replays until the gate can decide on latency: `goldwatch check --until-certified`.

Looking again and again at a fixed error would certify a slow model sooner or later. So the gate looks after the first
replay and then after numbers of requests that are fixed by the size of that alone, each at least twice the one before,
and each look has half the error that is left: together they have the error of the one look of a plain check (a union
bound, whatever the dependence between looks, and wherever a bound on time ends them). Within a look requests count as
independent, or, of an open load, as many as their design effect leaves.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from goldwatch.commands.gate import ERROR, Result, latency
from goldwatch.config import format_duration
from goldwatch.core.judgement import Judgement, Validity
from goldwatch.core.latency import needed, quantiles
from goldwatch.core.load_plan import OPEN
from goldwatch.core.outcome import UNSENT
from goldwatch.daemon.in_force import Assignment


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most time, in seconds, and requests that one watch may take for it."""

    seconds: float
    requests: int


@dataclass(frozen=True, slots=True)
class Certified:
    """The replays as one: all requests, and the scores of the first. `error` is that of the look that decided.

    `replays` says how many they are, `stopped` why no more followed although the gate could not decide, `lost` why the
    next was not valid; both are empty otherwise.
    """

    judgement: Judgement
    error: float = ERROR
    replays: int = 1
    stopped: str = ""
    lost: str = ""


def certify(
    assignment: Assignment,
    first: Judgement,
    again: Callable[[Assignment], Judgement],
    bounds: Bounds,
    clock: Callable[[], float] = time.monotonic,
) -> Certified:
    """Replay until a look decides on the latency objective, or a bound is reached.

    Without a latency objective, or if the first replay is not valid, there is nothing to go on for. A later replay that
    is not valid ends it, in `lost`: what the replays before have shown stays, but it is no pass.
    """
    objective = assignment.watch.objectives.latency
    if objective is None or first.findings.validity is not Validity.VALID:
        return Certified(first)
    began_s, each = clock() - first.run.duration_s, _sent(first)
    taken, error = [first], ERROR / 2
    while True:
        looked = Certified(_pooled(taken), error, len(taken))
        if latency(assignment, looked.judgement, error).result is not Result.UNMEASURED:
            return looked
        error /= 2
        replays = math.ceil(max(2 * len(taken) * each, needed(0, objective.quantile, error)) / each)
        if replays * each > bounds.requests:
            return replace(looked, stopped=f"the next look takes {replays * each:,} requests, of {bounds.requests:,}")
        while len(taken) < replays:
            spent_s = clock() - began_s
            if spent_s + spent_s / len(taken) * (replays - len(taken)) > bounds.seconds:
                why = f"{replays * each:,} requests do not fit into {format_duration(bounds.seconds)}"
                return replace(looked, stopped=why)
            found = again(assignment)
            if found.findings.validity is not Validity.VALID:
                return replace(looked, lost="; ".join(found.findings.reasons))
            taken.append(found)


def _sent(judgement: Judgement) -> int:
    return sum(n for outcome, n in judgement.findings.outcomes.items() if outcome not in UNSENT)


def _pooled(taken: list[Judgement]) -> Judgement:
    """Return the first judgement with the requests of all: outcomes, errors, latencies, and the time that they took."""
    first = taken[0]
    outcomes: dict[str, int] = {}
    errors: dict[str, int] = {}
    for judgement in taken:
        for whole, part in ((outcomes, judgement.findings.outcomes), (errors, judgement.findings.errors)):
            for key, n in part.items():
                whole[key] = whole.get(key, 0) + n
    latencies_s = [latency_s for judgement in taken for latency_s in judgement.run.latencies_s]
    run = replace(first.run, latencies_s=latencies_s, duration_s=sum(judgement.run.duration_s for judgement in taken))
    wanted = [q.q for q in first.findings.quantiles]
    found = quantiles(latencies_s, wanted, queued=first.run.scenario in OPEN)
    return replace(first, run=run, findings=replace(first.findings, outcomes=outcomes, errors=errors, quantiles=found))
