"""The path of one replay, as the agent walks it: assignment -> replay -> judgement. Gate and daemon share it.

Whatever needs numpy happens in worker processes; the agent itself passes values on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from goldwatch.config import Load as LoadSection
from goldwatch.config import Target, format_duration
from goldwatch.config.busy import Busy
from goldwatch.core.facts import Facts, LiveFacts
from goldwatch.core.judgement import Extras, Findings, Judgement, Run, Subject, Verdict
from goldwatch.core.load_plan import LoadPlan
from goldwatch.core.score_spec import judging_limit_s
from goldwatch.core.trace import Traced
from goldwatch.daemon import engine
from goldwatch.daemon.courtesy import Courtesy
from goldwatch.daemon.engine import Replay
from goldwatch.daemon.in_force import Assignment
from goldwatch.daemon.plan import Plan
from goldwatch.daemon.tap import Taken
from goldwatch.daemon.tap_handover import handed_over
from goldwatch.daemon.traced import traced
from goldwatch.energy.footprint import Metered
from goldwatch.ipc.judging_jobs import JUDGE, JudgeRequest
from goldwatch.ipc.memory_limit import worker_limit_bytes
from goldwatch.ipc.workers import CALL_LIMIT_S, JUDGES, JobFailed, WorkerDied, Workers

BUSY = "busy"
"""Why a replay was skipped, where its target had no room."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A judged replay: the parts of its judgement, and the monitors' states to go on with.

    `refused` has the reasons why saved states were not used, by monitor. `observed` is the input of a backtest; None if
    the replay could not be judged. `traced` is set if the assignment had a trace. `held_s` is the seconds that replay
    and judging took, with the start of workers and without a measurement of energy.
    """

    subject: Subject
    run: Run
    findings: Findings
    states: Mapping[str, Any]
    verdicts: tuple[Verdict, ...] = ()
    extras: Extras = field(default_factory=Extras)
    refused: Mapping[str, str] = field(default_factory=dict)
    observed: Mapping[str, Any] | None = None
    traced: Traced | None = None
    held_s: float = 0.0

    @property
    def judgement(self) -> Judgement:
        """The judgement, where no monitor of the agent adds a verdict."""
        return self.judgement_with()

    def judgement_with(self, *verdicts: Verdict) -> Judgement:
        """Compose the judgement, with verdicts of the agent after those of the judge."""
        return Judgement(self.subject, self.run, self.findings, (*self.verdicts, *verdicts), self.extras)


def run(  # noqa: PLR0913 - how a replay was asked for, each by its name
    assignment: Assignment,
    workers: Workers,
    states: Mapping[str, Any],
    *,
    lateness_s: float = 0.0,
    confirming: bool = False,
    stop: threading.Event | None = None,
    metered: bool = False,
    courtesy: Courtesy | None = None,
    referee: bool = True,
    live: Taken | None = None,
    look: Callable[[Replay, Judged], None] = lambda *_: None,
) -> Judged:
    """Replay once and judge it. Never raises for what target, runtime or golden set do: that is in the judgement.

    With `metered` the energy is measured after the replay, in a phase of its own, if the config asks for it. While the
    target reports that it is busy, the replay waits; if it stays busy, there is none. A given `courtesy` has waited
    already. With `referee` some examples are sent to a served target twice, after the replay. `live` is a window from
    the tap of the watch. `look` is called before the columns are closed.
    """
    stop = stop or threading.Event()
    if courtesy is None and assignment.target.busy is not None:
        courtesy = Courtesy(assignment.target.busy)
    if courtesy is not None and (why := courtesy.wait(stop)) is not None:
        return _without_room(assignment, states, courtesy, lateness_s, why)
    began_s, measuring_s = time.monotonic(), 0.0
    section = assignment.energy if metered else None
    plan = plan_of(assignment)
    # A model in process stays loaded from the replay to the measurement, so that idle is idle with the model.
    warm = plan.warm or section is not None
    pairs = assignment.watch.load.repeats if referee and assignment.target.served else 0
    with courtesy or contextlib.nullcontext():
        result = engine.replay(dataclasses.replace(plan, warm=warm, pairs=pairs), workers, stop, guard=courtesy)
        try:
            found = None
            if section is not None:
                from goldwatch.daemon import metering  # noqa: PLC0415 - only who measures energy pays for it

                measuring_s = -time.monotonic()
                why_not = courtesy.why_not if courtesy is not None else None
                measured = metering.measure(section, assignment.target, plan, result, workers, stop, why_not)
                found = metering.metered(section, measured, result.started_at)
                measuring_s += time.monotonic()
            judged = judge(
                assignment,
                result,
                workers,
                states,
                lateness_s=lateness_s,
                confirming=confirming,
                metered=found,
                live=live,
            )
            look(result, judged)
            if assignment.trace is not None:
                judged = dataclasses.replace(judged, traced=traced(result, assignment.trace))
        finally:
            result.columns.close()
    seen = courtesy.found(result.held_s) if courtesy is not None else None
    extras = dataclasses.replace(judged.extras, server_load=seen)
    held_s = time.monotonic() - began_s - measuring_s
    return dataclasses.replace(judged, extras=extras, held_s=held_s)


def replay(
    assignment: Assignment,
    workers: Workers,
    stop: threading.Event | None = None,
    examples: Sequence[int] | None = None,
) -> Replay:
    """Replay once, all of the golden set or some examples of it. The caller closes the columns."""
    plan = plan_of(assignment)
    plan = plan if examples is None else dataclasses.replace(plan, examples=examples)
    return considerate(plan, assignment.target.busy, workers, stop)


def considerate(plan: Plan, busy: Busy | None, workers: Workers, stop: threading.Event | None = None) -> Replay:
    """Replay once, and step back from a target that reports that it is busy: before the replay, and within it.

    `ended` begins with `engine.STEPPED_BACK` if it had no room. The caller closes the columns.
    """
    stop = stop or threading.Event()
    if busy is None:
        return engine.replay(plan, workers, stop)
    courtesy = Courtesy(busy)
    if (why := courtesy.wait(stop)) is not None:
        return engine.untried(plan, why)
    with courtesy:
        return engine.replay(plan, workers, stop, guard=courtesy)


def worker_key(target: Target) -> str:
    """Return the key of the workers for a target: one pool for what is served, each model in process by itself."""
    return "served" if target.served and not target.python else f"target {target.name} {target.python}"


def plan_of(assignment: Assignment) -> Plan:
    """Return what the engine must know to replay an assignment."""
    target, load = assignment.target, assignment.watch.load
    return Plan(
        factory=target.factory,
        options=target.options,
        secrets=target.secrets(),
        served=target.served,
        warm=target.warm,
        python=target.python,
        memory_bytes=target.memory_bytes or worker_limit_bytes(),
        key=worker_key(target),
        inputs=assignment.golden.inputs,
        outputs=assignment.golden.outputs,
        examples=range(assignment.golden.examples),
        batch_axes=assignment.golden.batch_axes,
        tokens=assignment.golden.tokens,
        trace=assignment.trace,
        load=_budgeted(load_plan(load), assignment),
        warmup=load.warmup,
        time_limit_s=load.time_limit_s,
        start_limit_s=load.start_limit_s,
        deadline_s=assignment.watch.deadline_s,
    )


def _budgeted(plan: LoadPlan, assignment: Assignment) -> LoadPlan:
    """Return a load within the lower of the budgets of watch and target."""
    ours, theirs = assignment.watch.load, assignment.target
    return dataclasses.replace(
        plan,
        most_per_s=_lower(ours.most_per_s, theirs.most_per_s),
        tokens_per_s=_lower(ours.most_tokens_per_s, theirs.most_tokens_per_s),
        cpu_share=_lower(ours.most_cpu, theirs.most_cpu),
    )


def _lower(*budgets: float | None) -> float | None:
    return min((budget for budget in budgets if budget is not None), default=None)


def load_plan(load: LoadSection) -> LoadPlan:
    """Return how a worker issues the requests of a load."""
    return LoadPlan(
        scenario=load.scenario,
        rate_per_s=load.rate_per_s or 0.0,
        samples=load.samples,
        in_flight=load.most_in_flight,
    )


def judge(  # noqa: PLR0913 - what is known of a replay, each by its name
    assignment: Assignment,
    result: Replay,
    workers: Workers,
    states: Mapping[str, Any],
    *,
    lateness_s: float = 0.0,
    confirming: bool = False,
    metered: Metered | None = None,
    live: Taken | None = None,
) -> Judged:
    """Have a replay judged in a worker process. Never raises: what could not be judged is an invalid judgement.

    `confirming` is set if a monitor asked for the replay, apart from the schedule; `metered` is the measurement after
    it, if there was to be one, and `live` the window of live traffic, if the watch has a tap.
    """
    run = _run(assignment, result, lateness_s)
    try:
        with handed_over(live) as (told, descriptors):
            facts = _facts(assignment, result, confirming=confirming, metered=metered, live=told)
            request = JudgeRequest(assignment.golden.place, assignment.settings, facts, states)
            limit_s = CALL_LIMIT_S + judging_limit_s(assignment.scores)
            answer = workers.call(JUDGES, JUDGE, request, (result.columns.fd, *descriptors), limit_s)
    except (JobFailed, WorkerDied) as error:
        findings = dataclasses.replace(
            Findings.nothing(f"it could not be judged: {error}"), outcomes=result.outcomes(), errors=dict(result.errors)
        )
        return Judged(assignment.subject, run, findings, states)
    budgets = plan_of(assignment).load
    run = dataclasses.replace(
        run,
        latencies_s=result.latencies_s(),
        late_s=result.late_s(),
        most_per_s=budgets.most_per_s,
        most_tokens_per_s=budgets.tokens_per_s,
        most_cpu=budgets.cpu_share,
    )
    return Judged(
        assignment.subject,
        run,
        _with_token_times(answer.findings, result),
        answer.states,
        answer.verdicts,
        Extras() if metered is None else Extras(metered.energy, metered.missing, metered.dropped),
        answer.refused,
        answer.observed,
    )


def _run(assignment: Assignment, result: Replay, lateness_s: float) -> Run:
    """Return what is known of a replay whether or not it can be judged."""
    load = assignment.watch.load
    return Run(
        started_at=result.started_at,
        duration_s=result.duration_s,
        lateness_s=lateness_s,
        description=result.description,
        open_s=result.open_s,
        first_request_s=result.first_request_s,
        resent=result.resent,
        scenario=load.scenario,
        rate_per_s=load.rate_per_s,
        in_flight=load.most_in_flight,
    )


def _facts(
    assignment: Assignment, result: Replay, *, confirming: bool, metered: Metered | None, live: LiveFacts | None
) -> Facts:
    return Facts(
        started_at=result.started_at,
        confirming=confirming,
        errors=dict(result.errors),
        failure=result.failure,
        given_up=result.given_up,
        ended=result.ended,
        scenario=assignment.watch.load.scenario,
        samples=result.samples,
        pairs_s=tuple(result.pairs_s),
        disturbances=result.disturbances,
        description=result.description,
        description_after=result.described_after,
        metered=metered,
        live=live,
    )


def _with_token_times(findings: Findings, result: Replay) -> Findings:
    """Return the findings with the times of tokens, which stay in memory that the worker does not copy."""
    if findings.tokens is None:
        return findings
    first_s, per_token_s, gaps_s = result.token_times_s()
    tokens = dataclasses.replace(findings.tokens, first_s=first_s, per_token_s=per_token_s, gaps_s=gaps_s)
    return dataclasses.replace(findings, tokens=tokens)


def _without_room(
    assignment: Assignment, states: Mapping[str, Any], courtesy: Courtesy, lateness_s: float, why: str
) -> Judged:
    """Return a replay that did not take place because its target was busy: no evidence about the target."""
    load, waited = assignment.watch.load, format_duration(round(courtesy.waited_s, 1))
    run = Run(
        time.time(),
        lateness_s=lateness_s,
        scenario=load.scenario,
        rate_per_s=load.rate_per_s,
        in_flight=load.most_in_flight,
    )
    findings = Findings.nothing(f"skipped, the target had no room: {why}; waited for {waited}")
    extras = Extras(server_load=courtesy.found(), skipped=BUSY)
    return Judged(assignment.subject, run, findings, states, extras=extras)
