"""The gate: every watch once, judged for a pipeline that waits. One look, so an exact test rather than a monitor.

A watch is a *regression* if what was observed could hardly come from a model that keeps its objectives, at 1 % for each
objective. It *could not be measured* if the replay is not valid or an objective cannot be certified from its number of
examples. docs/gate.md states the rules.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from goldwatch.config import format_duration, format_points
from goldwatch.core.dependence import LEAST, effect_over, tail_share
from goldwatch.core.figures import figures
from goldwatch.core.judgement import Judgement, State, Validity
from goldwatch.core.kinds import GAP, MOVED, WORSE
from goldwatch.core.latency import QUEUE_MARGIN, needed, quantile
from goldwatch.core.load_plan import OPEN
from goldwatch.core.outcome import UNSENT
from goldwatch.daemon.in_force import Assignment
from goldwatch.ipc.judging_jobs import Exhibit
from goldwatch.scratch import ascending
from goldwatch.worker.monitors.bounds import loss_p_value, lower, mcnemar, upper

ERROR = 0.01
"""The probability, for each objective, of calling a model that just keeps it a regression."""


class Result(StrEnum):
    """The gate's result for a watch or an objective."""

    PASS = "pass"  # noqa: S105 - a verdict
    REGRESSION = "regression"
    UNMEASURED = "could not measure"


EXIT_CODES = {Result.PASS: 0, Result.REGRESSION: 1, Result.UNMEASURED: 2}


@dataclass(frozen=True, slots=True)
class ObjectiveResult:
    """The gate's result for one objective, and why, in one line."""

    objective: str
    result: Result
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """The gate's answer for one watch and target."""

    assignment: Assignment
    judgement: Judgement
    findings: tuple[ObjectiveResult, ...]
    exhibit: Exhibit | None = None
    """What a page shows besides, if one is written."""

    not_shown: str = ""
    """Why a page that is written has no examples and charts; empty if it has them."""

    replays: int = 1
    """Whose requests latency and errors count; everything else is of the first."""

    stopped: str = ""
    """Why no more replays followed although latency was not certified; empty if it was, or none were to."""

    @property
    def result(self) -> Result:
        """A regression is one whatever else could not be measured."""
        return worst(finding.result for finding in self.findings)


def worst(results: Iterable[Result]) -> Result:
    """Return the result that decides: a regression before what could not be measured before a pass."""
    found = set(results)
    for result in (Result.REGRESSION, Result.UNMEASURED):
        if result in found:
            return result
    return Result.PASS


def examine(assignment: Assignment, judgement: Judgement, error: float = ERROR) -> Report:
    """Judge one replay by the objectives of its watch; `error` is that of the tests that count requests."""
    found = judgement.findings
    if found.validity is not Validity.VALID:
        reason = "; ".join(found.reasons)
        return Report(assignment, judgement, (ObjectiveResult("replay", Result.UNMEASURED, reason),))
    findings = [accuracy(assignment, judgement), _errors(assignment, judgement, error)]
    if assignment.watch.objectives.latency is not None:
        findings.append(latency(assignment, judgement, error))
    findings += _scores(assignment, judgement)
    findings += _gap(assignment, judgement)
    findings += _outputs(assignment, judgement)
    findings += _costs(assignment, judgement)
    return Report(assignment, judgement, tuple(findings))


def accuracy(assignment: Assignment, judgement: Judgement) -> ObjectiveResult:
    """Compare a valid replay with the reference. `golden calibrate` refuses a model by the same test.

    With a deterministic reference, compare example by example, by the test of `goldwatch compare`: a loss beyond the
    tolerance that the test takes for noise is not certain. Otherwise compare this replay and all replays of the
    reference as samples.
    """
    allowed = assignment.watch.objectives.accuracy_loss
    difference, score = judgement.findings.difference, judgement.headline
    if difference is None or score is None or score.reference is None:
        return ObjectiveResult("accuracy", Result.UNMEASURED, "no example has both an answer and a reference")
    words = f"{score.reference:.4f} -> {score.value:.4f}, {format_points(allowed)}"
    if assignment.golden.deterministic:
        lost = difference.harmful - difference.helpful
        chance = mcnemar(difference.harmful, difference.helpful)
        words += f"; {difference.harmful:,} turned wrong, {difference.helpful:,} right, p = {chance:.2g}"
        if lost <= round(allowed * difference.compared, 9):
            return ObjectiveResult("accuracy", Result.PASS, words)
        if chance <= ERROR:
            return ObjectiveResult("accuracy", Result.REGRESSION, words)
        words += f": not certain from {difference.compared:,} examples"
        return ObjectiveResult("accuracy", Result.UNMEASURED, words)
    error = ERROR
    if scored := score.name != "accuracy":  # there are no labels
        # One draw may hardly ever equal another, so the scores of *worse* decide too, at half the error.
        error, verdict = ERROR / 2, next((v for v in judgement.verdicts if v.monitor == WORSE.name), None)
        scored = verdict is not None and verdict.evidence is not None and verdict.evidence >= -math.log10(error)
        words += f"; {verdict.summary}" if verdict is not None else ""
    trials = score.n * assignment.golden.replays
    chance = loss_p_value(score.value, score.n, score.reference, trials, allowed, assignment.golden.cluster)
    words += f"; p = {chance:.2g}"
    return ObjectiveResult("accuracy", Result.REGRESSION if scored or chance < error else Result.PASS, words)


def _errors(assignment: Assignment, judgement: Judgement, error: float = ERROR) -> ObjectiveResult:
    allowed = assignment.watch.objectives.error_rate
    outcomes, errors = judgement.findings.outcomes, judgement.findings.errors
    sent = sum(n for outcome, n in outcomes.items() if outcome not in UNSENT)
    failed = sent - outcomes.get("ok", 0)
    words = f"{failed:,} of {sent:,} requests failed, {100 * allowed:.4g}% allowed"
    if errors:
        words += f"; most often: {max(errors, key=lambda why: errors[why])}"
    return ObjectiveResult("errors", Result.REGRESSION if lower(failed, sent, error) > allowed else Result.PASS, words)


def _scores(assignment: Assignment, judgement: Judgement) -> Iterator[ObjectiveResult]:
    """Hold the mean of each score with an objective against it.

    One replay's e-value of the score's monitor exceeds 1 / error with a probability of at most the error. A mean beyond
    the objective that it leaves possible is not certain.
    """
    for spec in (spec for spec in assignment.scores if spec.has_objective):
        name, owed = spec.name, assignment.watch.objectives.scores[spec.name]
        score = next((score for score in judgement.findings.scores if score.name == name), None)
        verdict = next((v for v in judgement.verdicts if v.monitor == WORSE.member(name).name), None)
        if score is None or verdict is None or (spec.loss is not None and score.reference is None):
            yield ObjectiveResult(name, Result.UNMEASURED, verdict.summary if verdict is not None else "not known")
            continue
        sign = -1 if spec.lower_is_better else 1
        words, short = f"{score.value:.4f}, {owed}", 0.0
        if spec.limit is not None:
            short = sign * (spec.limit - score.value)
        elif spec.loss is not None and score.reference is not None:
            words, short = f"{score.reference:.4f} -> {words}", sign * (score.reference - score.value) - spec.loss
        if short <= 1e-9 * max(1.0, abs(score.value)):
            yield ObjectiveResult(name, Result.PASS, words)
        elif verdict.evidence is not None and verdict.evidence >= -math.log10(ERROR):
            yield ObjectiveResult(name, Result.REGRESSION, words)
        else:
            yield ObjectiveResult(name, Result.UNMEASURED, f"{words}: not certain from {score.n:,} examples")


def _gap(assignment: Assignment, judgement: Judgement) -> Iterator[ObjectiveResult]:
    """Hold the difference between values of a slice against its objective, by the e-value of its monitor as above."""
    owed, found = assignment.watch.objectives.gap, judgement.findings.gap
    if owed is None:
        return
    verdict = next((v for v in judgement.verdicts if v.monitor == GAP.name), None)
    known = verdict is not None and verdict.state is not State.UNKNOWN
    if found is None or verdict is None or not known or (owed.growth is not None and found.growth is None):
        yield ObjectiveResult("gap", Result.UNMEASURED, verdict.summary if verdict is not None else "not known")
        return
    span = next((spec.span for spec in assignment.scores if spec.name == owed.score), 1.0)
    words = f"{owed.score} of {owed.slice}={found.lowest} and {found.highest} is {found.size:.4f} apart"
    beyond, limit = found.size, (owed.at_most or owed.growth or 0.0) * span
    if owed.growth is not None and found.growth is not None:
        beyond, words = found.growth, f"{words}; two values are {found.growth:.4f} further apart than in the reference"
    words = f"{words}, {owed}"
    if beyond <= limit + 1e-9 * span:
        yield ObjectiveResult("gap", Result.PASS, words)
    elif verdict.evidence is not None and verdict.evidence >= -math.log10(ERROR):
        yield ObjectiveResult("gap", Result.REGRESSION, words)
    else:
        yield ObjectiveResult("gap", Result.UNMEASURED, f"{words}: not certain from so few examples")


def _outputs(assignment: Assignment, judgement: Judgement) -> Iterator[ObjectiveResult]:
    """Look at how far outputs are from the reference's: a fact where that is deterministic.

    Elsewhere one replay's e-value of *moved* exceeds 1 / error with a probability of at most the error.
    """
    allowed, far = assignment.watch.objectives.output_distance, judgement.findings.output_distance
    if allowed is None or far is None:
        return
    evidence = next((v.evidence for v in judgement.verdicts if v.monitor == MOVED.name), None)
    words = f"mean distance {100 * far:.3g}% from the reference, {100 * allowed:.4g}% allowed"
    if assignment.golden.deterministic:
        regressed = far > allowed
    else:
        words, regressed = f"{words} beyond what is usual", evidence is not None and evidence >= -math.log10(ERROR)
    yield ObjectiveResult("outputs", Result.REGRESSION if regressed else Result.PASS, words)


def _costs(assignment: Assignment, judgement: Judgement) -> Iterator[ObjectiveResult]:
    """Compare each stated limit with the measured 95 % interval. One look cannot know what is usual."""
    found = figures(
        assignment.ceilings, judgement.extras.energy, judgement.findings.footprint, judgement.extras.energy_missing
    )
    for ceiling in assignment.ceilings:
        if ceiling.limit is None:
            continue
        figure, words = found.of[ceiling.name], f"at most {ceiling.limit:.4g} {ceiling.unit} per {ceiling.per}"
        if isinstance(figure, str):
            yield ObjectiveResult(ceiling.quantity, Result.UNMEASURED, f"{words}: {figure}")
        elif figure.low > ceiling.limit:
            yield ObjectiveResult(ceiling.quantity, Result.REGRESSION, f"{figure}, {words}")
        elif figure.high > ceiling.limit:
            yield ObjectiveResult(ceiling.quantity, Result.UNMEASURED, f"{figure}, {words}: not certain")
        else:
            yield ObjectiveResult(ceiling.quantity, Result.PASS, f"{figure}, {words}")


def latency(assignment: Assignment, judgement: Judgement, error: float = ERROR) -> ObjectiveResult:
    """Hold the share of late requests against the latency objective, which the watch must have, at an error.

    Of an open load, whose requests wait for each other, the test counts as many as are independent.
    """
    objective = assignment.watch.objectives.latency
    assert objective is not None  # noqa: S101 - the caller has looked
    outcomes = judgement.findings.outcomes
    n = sum(count for outcome, count in outcomes.items() if outcome not in UNSENT)
    late = sum(latency_s > objective.limit_s for latency_s in judgement.run.latencies_s)
    late += outcomes.get("timeout", 0) + outcomes.get("crashed", 0)  # over any limit
    allowed = 1 - objective.quantile
    words = f"{late:,} of {n:,} requests over {format_duration(objective.limit_s)}, {100 * allowed:.4g}% allowed"
    effect, taken = 1.0, judgement.run.latencies_s
    if judgement.run.scenario in OPEN:
        if len(taken) < LEAST:
            why = f"{words}: too few requests of an open load, {LEAST} answers are the least"
            return ObjectiveResult("latency", Result.UNMEASURED, why)
        tail_s = quantile(ascending(taken), tail_share(objective.quantile))
        effect = QUEUE_MARGIN * effect_over(taken, objective.limit_s, tail_s)
        words += f"; {effect:.3g} in a queue count as one"
    if lower(late / effect, n / effect, error) > allowed:
        return ObjectiveResult("latency", Result.REGRESSION, words)
    if upper(late / effect, n / effect, error) > allowed:
        more = "not certain either way" if effect > 1 else _more(late, n, objective.quantile, error)
        return ObjectiveResult("latency", Result.UNMEASURED, f"{words}: {more}")
    return ObjectiveResult("latency", Result.PASS, f"{words}: certified")


def _more(late: int, n: int, quantile: float, error: float) -> str:
    """Say how many requests it takes to certify a quantile, by the same test, and how many were sent."""
    if late >= n * (1 - quantile):
        return f"not certain either way from {n:,} requests"  # no number is known at which it would pass
    condition = "if no other is over" if late else "with none over"
    return f"p{100 * quantile:.6g} takes {needed(late, quantile, error):,} requests {condition}, {n:,} were sent"
