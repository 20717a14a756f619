"""The judge: from the columns of a replay to its judgement. Runs in a worker process, with numpy and scipy.

A replay is *valid* if it can be judged whole; *insufficient* if the target answered too little of it, which only
*failing* and *slow* can use; *invalid* if it shows nothing about the target. An invalid replay adds no
evidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from goldwatch.core import kinds
from goldwatch.core.gap import Gap
from goldwatch.core.judgement import Check, Findings, SliceStanding, State, Verdict
from goldwatch.core.latency import REPORTED, quantiles
from goldwatch.core.load_plan import OPEN
from goldwatch.core.outcome import Outcome
from goldwatch.evaluator import ACCURACY
from goldwatch.golden.facts import GoldenFacts
from goldwatch.golden.opened import GoldenSet
from goldwatch.ipc.jobs import Emit, handles
from goldwatch.ipc.judging_jobs import (
    INSPECT,
    JUDGE,
    REHEARSE,
    InspectRequest,
    JudgeRequest,
    JudgeResponse,
    RehearseRequest,
    RehearseResponse,
)
from goldwatch.worker.drift.received import received
from goldwatch.worker.evaluators import referee
from goldwatch.worker.evaluators.agreement import standings
from goldwatch.worker.evaluators.parts import slices_of
from goldwatch.worker.evaluators.scoring import Scoring
from goldwatch.worker.evaluators.tasks import reference_problem
from goldwatch.worker.jobs.case import Case
from goldwatch.worker.jobs.observed import observe
from goldwatch.worker.jobs.opening import layout, open_as, output_specs, replayed
from goldwatch.worker.monitors.build import build
from goldwatch.worker.monitors.contract import WatchMonitor, unknown
from goldwatch.worker.monitors.reference import Reference
from goldwatch.worker.monitors.settings import Settings


@handles(JUDGE)
def judge(request: JudgeRequest, descriptors: list[int], emit: Emit) -> JudgeResponse:  # noqa: ARG001 - a Handler
    """Judge one replay. Raises GoldenError."""
    with replayed(request.golden, descriptors) as (golden, columns):
        facts = request.facts
        bodies = [] if facts.live is None else received(facts.live, descriptors[1:])
        case = Case(golden, columns, facts, Settings(**request.settings), bodies)
        said = verdicts(case, request.states)
        observed = observe(case.answers.right, case.answers.answered, case.sent, case.latencies_s)
        return JudgeResponse(findings(case, said), tuple(said.verdicts), said.states, said.refused, observed.to_json())


@handles(INSPECT)
def inspect(request: InspectRequest, descriptors: list[int], emit: Emit) -> GoldenFacts:  # noqa: ARG001 - a Handler
    """Open and verify a golden set, down to its values. Raises GoldenError."""
    golden = GoldenSet.open(Path(request.path))
    golden.check_values()
    return GoldenFacts(
        path=request.path,
        name=golden.name,
        digest=golden.digest,
        short_digest=golden.short_digest,
        task=str(golden.task),
        examples=golden.examples,
        deterministic=golden.manifest.reference.deterministic,
        inputs=tuple(golden.input_locations()),
        outputs=output_specs(golden),
        tokens=layout(golden).tokens,
        cluster=golden.clusters[1],
        slices={name: len(cut.values) for name, cut in golden.manifest.slices.items()},
        replays=sum(golden.manifest.reference.replays),
        batch_axes=golden.manifest.batch_axes,
    )


@handles(REHEARSE)
def rehearse(request: RehearseRequest, descriptors: list[int], emit: Emit) -> RehearseResponse:  # noqa: ARG001 - a Handler
    """Make the monitors and scores of a watch, to check that it is possible. Raises GoldenError."""
    golden = open_as(request.golden)
    if problem := reference_problem(golden):
        return RehearseResponse(problem)
    settings = Settings(**request.settings)
    if problem := Scoring(golden, settings.specs).problem():
        return RehearseResponse(problem)
    try:
        build(Reference.of(golden), settings)
    except ValueError as error:
        return RehearseResponse(str(error))
    return RehearseResponse("")


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The monitors' verdicts, their new states, and why the saved states of some were refused, by monitor."""

    verdicts: list[Verdict]
    states: dict[str, Any]
    refused: dict[str, str]
    unseeing: set[str] = field(default_factory=set)
    """The monitors that had nothing to observe in the replay."""


def verdicts(case: Case, states: Mapping[str, Any]) -> Verdicts:
    """Let each monitor look at a replay.

    A replay that confirms an observation of *changed* is shown to no other monitor: it is one more than the budget
    counts with.
    """
    found, confirming = Verdicts([], {}, {}), case.facts.confirming
    monitors = build(case.reference, case.settings)
    # judges first: while one alerts, its score is unknown
    for name, monitor in sorted(monitors.items(), key=lambda item: kinds.judged_score(item[0]) is None):
        kind = kinds.of(name)
        hidden = kind.takes(case.validity) and not kind.may_see(case.validity, confirming=confirming)
        observation = None if hidden else monitor.observe(case)
        state, refused = monitor.fresh(), None
        if name in states:
            state, refused = monitor.restore(states[name])
        if refused is not None:
            found.refused[name] = refused
        if observation is None and not hidden:
            found.unseeing.add(name)
        if hidden:
            verdict = monitor.standing(state)
        elif observation is None or not kind.takes(case.validity):
            verdict = unknown(monitor, state, case.reasons[0] if case.reasons else _why_unknown(case, monitor))
        else:
            before = state
            state, verdict = monitor.update(observation, state, case.facts.started_at)
            monitor.explain(case, observation, before, state)
        if verdict.state is State.ALERTING and (judged := kinds.judged_score(name)) is not None:
            since = verdict.since or case.facts.started_at
            case.distrust(judged, f"its judge has changed: {verdict.summary}", since)
        found.verdicts.append(verdict)
        found.states[name] = monitor.save(state)
    return found


def _why_unknown(case: Case, monitor: WatchMonitor[Any, Any]) -> str:
    name = monitor.name
    judged = kinds.judged_score(name)
    if judged is not None and (problem := case.controls_problem(judged)):
        return f"too few controls of {judged} have a grade: {problem}"
    gap = case.settings.gap
    score = gap["score"] if name == kinds.GAP.name and gap is not None else kinds.watched_score(name)
    found = next((u for u in case.unscored if u.unknown and u.score == score), None)
    if found is not None:
        return f"{found.score} has no value: {found.first}"
    return monitor.why_unknown(case) or "nothing to observe"


def findings(case: Case, said: Verdicts) -> Findings:
    """Put together what is known of a replay, after the monitors have looked."""
    valid, settings = case.is_valid, case.settings
    right, usually = case.answers.right, case.reference.usually_right
    cuts = standings(right, usually, case.answered, slices_of(case.golden)) if valid else ()
    return Findings(
        validity=case.validity,
        reasons=case.reasons,
        outcomes=_outcomes(case),
        errors=case.errors,
        throughput=case.throughput,
        quantiles=quantiles(
            case.latencies_s.data, (*REPORTED, settings.latency_quantile), queued=case.facts.scenario in OPEN
        ),
        scores=case.scores,
        difference=case.difference if valid else None,
        tokens=case.tokens,
        checks=_checks(case) if valid else (),
        slices=cuts,
        output_distance=case.distances().mean if valid and settings.output_distance is not None else None,
        gap=_gap(case, cuts, said),
        footprint=case.footprint,
        live=case.live,
        unscored=case.unscored,
        judgings=case.judgings,
    )


def _gap(case: Case, cuts: Sequence[SliceStanding], said: Verdicts) -> Gap | None:
    """Return how far the score of the objective differs between values of its slice; None if that is not known."""
    written = case.settings.gap
    if written is None or kinds.GAP.name in said.unseeing:
        return None
    score = written["score"]
    if score != ACCURACY:
        cuts = next((found.slices for found in case.scores if found.name == score), ())
    return Gap.between(score, written["slice"], cuts)


def _outcomes(case: Case) -> dict[str, int]:
    """Count the requests by how they ended.

    If the target could not be used at all, its unsent requests are unreachable: *failing* counts them as failed, so
    that a dead server does not look idle. If goldwatch itself ended the replay, they are withheld: no failure.
    """
    counts = case.counts.copy()
    unsent = Outcome.NOT_SENT
    if case.facts.ended is not None:
        unsent = Outcome.WITHHELD
    elif case.facts.failure is not None:
        unsent = Outcome.UNREACHABLE
    if unsent is not Outcome.NOT_SENT:
        counts[unsent] += counts[Outcome.NOT_SENT]
        counts[Outcome.NOT_SENT] = 0
    return {o.label: int(counts[o]) for o in Outcome if counts[o]}


def _checks(case: Case) -> tuple[Check, ...]:
    found = [referee.repeats(case.facts.pairs_s)] if case.facts.pairs_s else []
    if (lengths := case.task.lengths(case.outputs, case.answered)) is not None:
        found.append(referee.lengths(lengths))
    return tuple(found)
