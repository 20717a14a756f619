"""The judge: from the columns of a replay to its judgement. Runs in a worker process, with numpy and scipy.

A replay is *valid* if it can be judged whole; *insufficient* if the target answered too little of it, which only
*failing* and *slow* can use; *invalid* if it shows nothing about the target. An invalid replay adds no
evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.core import kinds
from goldwatch.core.facts import Facts
from goldwatch.core.figures import Figures, figures
from goldwatch.core.judgement import Check, Difference, Findings, Flip, LiveWindow, Score, Unscored, Validity, Verdict
from goldwatch.core.latency import REPORTED, quantiles
from goldwatch.core.load_plan import OPEN
from goldwatch.core.outcome import Outcome
from goldwatch.core.token_use import TokenUse
from goldwatch.core.validity import disturbed
from goldwatch.energy.footprint import Footprint, Load, footprint
from goldwatch.golden.facts import GoldenFacts
from goldwatch.golden.opened import GoldenSet
from goldwatch.ipc.columns import Columns
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
from goldwatch.scratch import blocks, column
from goldwatch.worker.drift.received import received
from goldwatch.worker.evaluators import referee
from goldwatch.worker.evaluators.agreement import standings, without_value
from goldwatch.worker.evaluators.parts import slices_of
from goldwatch.worker.evaluators.scoring import Column, Scoring, known
from goldwatch.worker.evaluators.tasks import Judged, judged, reference_problem
from goldwatch.worker.evaluators.tokens import NAMES, token_use
from goldwatch.worker.jobs.observations import Observations
from goldwatch.worker.jobs.observed import Observed, observe
from goldwatch.worker.jobs.opening import layout, masked_output, open_as, output_specs, replayed
from goldwatch.worker.monitors.build import Reference, Settings, build
from goldwatch.worker.monitors.changed import Moves
from goldwatch.worker.monitors.contract import unknown
from goldwatch.worker.monitors.live import Live, LiveDrift
from goldwatch.worker.monitors.means import Values
from goldwatch.worker.monitors.scored import watched_examples
from goldwatch.worker.monitors.share import Requests
from goldwatch.worker.monitors.slower import Latency
from goldwatch.worker.monitors.window import looked_at
from goldwatch.worker.monitors.worse import Answers

LEAST_ANSWERED = 0.9
"""With a smaller share of the examples answered, the quality of the model is not judged."""


@handles(JUDGE)
def judge(request: JudgeRequest, descriptors: list[int], emit: Emit) -> JudgeResponse:  # noqa: ARG001 - a Handler
    """Judge one replay. Raises GoldenError."""
    with replayed(request.golden, descriptors) as (golden, columns):
        facts = request.facts
        bodies = [] if facts.live is None else received(facts.live, descriptors[1:])
        case = _Case(golden, columns, facts, Settings(**request.settings), bodies)
        said = case.verdicts(request.states)
        return JudgeResponse(
            case.findings(), tuple(said.verdicts), said.states, said.refused, case.observed().to_json()
        )


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


@dataclass(slots=True)
class _Case:
    """One replay with all that is needed to judge it."""

    golden: GoldenSet
    columns: Columns
    facts: Facts
    settings: Settings
    bodies: Sequence[bytes] = ()
    _live: LiveWindow | None = field(init=False, default=None)
    _read: Live | None = field(init=False, default=None)
    _seen: Observations = field(init=False)
    _errors: dict[str, int] = field(init=False)
    _answered: NDArray[np.bool_] = field(init=False)
    _counts: NDArray[np.int64] = field(init=False)
    _sent: int = field(init=False)
    _latencies_s: NDArray[np.float64] = field(init=False)
    _outputs: dict[str, NDArray[Any]] = field(init=False)
    _reference: Reference = field(init=False)
    _task: Judged = field(init=False)
    _difference: Difference | None = field(init=False)
    _answers: Answers = field(init=False)
    _validity: tuple[Validity, tuple[str, ...]] = field(init=False)
    _scores: tuple[Score, ...] = field(init=False)
    _tokens: TokenUse | None = field(init=False)
    _throughput: float | None = field(init=False)
    _footprint: Footprint | None = field(init=False)
    _far: Values | None = field(init=False, default=None)
    _scoring: Scoring = field(init=False)
    _columns: Mapping[str, Column] = field(init=False)
    _lacking: tuple[Unscored, ...] = field(init=False)

    def __post_init__(self) -> None:
        self._outputs = {s.name: self.columns.array(f"output.{s.name}") for s in output_specs(self.golden)}
        seen = Observations(self.columns, self.facts.samples, is_open=self.facts.scenario in OPEN)
        seen.refuse(without_value(self._outputs, seen.answered, masked_output(self.golden)))
        self._errors = dict(self.facts.errors) | ({"the answer holds NaN or infinity": seen.bad} if seen.bad else {})
        self._seen, self._answered, self._counts = seen, seen.answered, seen.counts()
        self._sent = int(self._counts.sum() - self._counts[Outcome.NOT_SENT])
        self._latencies_s = seen.latencies_s()
        self._reference = Reference.of(self.golden)
        self._task = judged(self.golden)
        self._difference = self._compared()
        right = self._task.right(self._outputs)
        self._answers = Answers(np.logical_and(right, self._answered, out=right), self._answered)
        self._validity = self._judged_valid()
        valid = self._validity[0] is Validity.VALID
        self._scoring = Scoring(self.golden, self.settings.specs)
        self._columns = self._scoring.columns(self._outputs, self._answered) if valid else {}
        self._scores = self._task.scores(self._outputs, self._answered) if valid else ()
        self._scores += self._scoring.scores(self._columns, self._answered)
        whole, self._lacking = self._scoring.whole(self._outputs, self._answered) if valid else ((), ())
        self._scores += whole
        self._tokens = self._token_use()
        self._throughput = seen.answered_per_s()
        self._footprint = self._comes_to()

    def _compared(self) -> Difference | None:
        """Compare the answers with the reference, and name the examples that are listed."""
        if not self._answered.any():
            return None
        found = self._task.difference(self._outputs, self._answered)
        return replace(found, flips=tuple(self._named(flip) for flip in found.flips))

    def _named(self, flip: Flip) -> Flip:
        identity = self.golden.identity(flip.example)
        return replace(flip, identity=identity, excerpt="" if identity else self.golden.excerpt(flip.example))

    def _judged_valid(self) -> tuple[Validity, tuple[str, ...]]:
        """Say whether the replay can be judged, and the reasons why not."""
        if self.facts.ended is not None:
            return Validity.INVALID, (self.facts.ended,)
        if self.facts.failure is not None:
            return Validity.INSUFFICIENT, (self.facts.failure,)
        if reasons := self._disturbed():
            return Validity.INVALID, reasons
        if self.facts.given_up is not None:
            return Validity.INSUFFICIENT, (self.facts.given_up,)
        answered = int(np.count_nonzero(self._answered))
        if answered < LEAST_ANSWERED * self.golden.examples:
            why = f"only {answered:,} of {self.golden.examples:,} examples were answered"
            return Validity.INSUFFICIENT, (why, *sorted(self._errors, key=lambda error: -self._errors[error])[:3])
        return Validity.VALID, ()

    def _disturbed(self) -> tuple[str, ...]:
        return disturbed(
            self._seen.late_s(),
            self.facts.disturbances,
            self.facts.description,
            self.facts.description_after,
            self.settings.latency_limit_s,
        )

    def verdicts(self, states: Mapping[str, Any]) -> Verdicts:
        """Let each monitor look at the replay.

        A replay that confirms an observation of *changed* is shown to no other monitor: it is one more than the budget
        counts with.
        """
        validity, reasons = self._validity
        found, observations = Verdicts([], {}, {}), self._observations()
        unscored = {u.score: f"{u.score} has no value: {u.first}" for u in self._unscored() if u.unknown}
        for name, monitor in build(self._reference, self.settings).items():
            score = kinds.watched_score(name)
            observation = observations[name]() if score is None else self._values_of(score)
            state, refused = monitor.fresh(), None
            if name in states:
                state, refused = monitor.restore(states[name])
            if refused is not None:
                found.refused[name] = refused
            if observation is None or not kinds.of(name).takes(validity):
                why = unscored.get(score or "", "nothing to observe")
                verdict = unknown(monitor, state, reasons[0] if reasons else why)
            elif self.facts.confirming and name != kinds.CHANGED.name:
                verdict = monitor.standing(state)
            else:
                before = state
                state, verdict = monitor.update(observation, state, self.facts.started_at)
                if isinstance(monitor, LiveDrift) and isinstance(observation, Live) and self._live is not None:
                    moves, notice = monitor.moves(observation, before), monitor.notice(before, state)
                    self._live = replace(self._live, moves=moves, notice=notice)
            found.verdicts.append(verdict)
            found.states[name] = monitor.save(state)
        return found

    def findings(self) -> Findings:
        """Put together what is known, after the monitors have looked."""
        validity, reasons = self._validity
        valid = validity is Validity.VALID
        right, usually = self._answers.right, self._reference.usually_right
        return Findings(
            validity=validity,
            reasons=reasons,
            outcomes=self._outcomes(),
            errors=self._errors,
            throughput=self._throughput,
            quantiles=quantiles(self._latencies_s.data, (*REPORTED, self.settings.latency_quantile)),
            scores=self._scores,
            difference=self._difference if valid else None,
            tokens=self._tokens,
            checks=self._checks() if valid else (),
            slices=standings(right, usually, self._answered, slices_of(self.golden)) if valid else (),
            output_distance=self._distances().mean if valid and self.settings.output_distance is not None else None,
            footprint=self._footprint,
            live=self._live,
            unscored=self._unscored(),
            judgings=tuple(found.judging for found in self._columns.values() if found.judging is not None),
        )

    def _unscored(self) -> tuple[Unscored, ...]:
        return (*self._scoring.unscored(self._columns, self._answered), *self._lacking)

    def _values_of(self, score: str) -> Values | None:
        """Return the values of a score that has a monitor, of the examples that it watches; None if it is unknown."""
        found = self._columns.get(score)
        if found is None or not known(found, self._answered):
            return None
        n, values = self.golden.examples, found.values
        kept = self._reference.scored.get(score)
        watched = np.broadcast_to(np.True_, n) if kept is None else watched_examples(kept)
        has = column(n, np.bool_, lambda rows: ~np.isnan(values[rows]) & watched[rows])
        return Values(column(n, np.float64, lambda rows: np.nan_to_num(values[rows])), has)

    def _outcomes(self) -> dict[str, int]:
        """Count the requests by how they ended.

        If the target could not be used at all, its unsent requests are unreachable: *failing* counts them as failed, so
        that a dead server does not look idle. If goldwatch itself ended the replay, they are withheld: no failure.
        """
        counts = self._counts.copy()
        unsent = Outcome.NOT_SENT
        if self.facts.ended is not None:
            unsent = Outcome.WITHHELD
        elif self.facts.failure is not None:
            unsent = Outcome.UNREACHABLE
        if unsent is not Outcome.NOT_SENT:
            counts[unsent] += counts[Outcome.NOT_SENT]
            counts[Outcome.NOT_SENT] = 0
        return {o.label: int(counts[o]) for o in Outcome if counts[o]}

    def _checks(self) -> tuple[Check, ...]:
        found = [referee.repeats(self.facts.pairs_s)] if self.facts.pairs_s else []
        if (lengths := self._task.lengths(self._outputs, self._answered)) is not None:
            found.append(referee.lengths(lengths))
        return tuple(found)

    def observed(self) -> Observed:
        """Return what a backtest needs of this replay."""
        return observe(self._answers.right, self._answers.answered, self._sent, self._latencies_s)

    def _observations(self) -> Mapping[str, Callable[[], object | None]]:
        """Return what each kind of monitor looks at; None where there is nothing to be seen."""
        return {
            kinds.WORSE.name: self._quality,
            kinds.CHANGED.name: self._moves,
            kinds.FAILING.name: self._failed,
            kinds.SLOW.name: self._late,
            kinds.MOVED.name: self._distances,
            kinds.SLOWER.name: self._usual_latency,
            kinds.COSTLY.name: self._taken,
            kinds.SCHEMA.name: self._live_rows,
            kinds.DRIFT.name: self._live_rows,
        }

    def _quality(self) -> Answers | Values:
        """Return scores where *worse* bets on them, and else which answers are right."""
        scores = None if self._reference.scores is None else self._task.score(self._outputs, self._answered)
        return self._answers if scores is None else Values(scores, self._answered)

    def _distances(self) -> Values:
        if self._far is None:
            self._far = Values(self._task.distance(self._outputs, self._answered), self._answered)
        return self._far

    def _moves(self) -> Moves:
        found = self._difference
        if found is None:
            return Moves(0, 0, 0, 0)
        tolerances = [s.tolerance for s in self.golden.manifest.outputs.values() if not s.in_lines]
        # Outputs with several tolerances have no common distance, and texts none at all.
        sizes = (found.largest, tolerances[0]) if len(set(tolerances)) == 1 else (None, None)
        return Moves(found.moved, found.compared, found.harmful, found.helpful, *sizes)

    def _failed(self) -> Requests | None:
        """Count the requests without a good answer. A target that cannot be used at all fails each of them."""
        if self.facts.failure is not None:
            return Requests(len(self._seen.outcome), len(self._seen.outcome))
        return Requests(self._sent - len(self._latencies_s), self._sent) if self._sent else None

    def _late(self) -> Requests | None:
        """Count the requests over the limit. One that was given up, or took its worker down, was over any limit."""
        limit_s = self.settings.latency_limit_s
        if limit_s is None:
            return None
        latencies_s = self._latencies_s
        late = int(self._counts[Outcome.TIMEOUT] + self._counts[Outcome.CRASHED])
        late += sum(int(np.count_nonzero(latencies_s[rows] > limit_s)) for rows in blocks(len(latencies_s)))
        return Requests(late, self._sent) if self._sent else None

    def _usual_latency(self) -> Latency | None:
        """Return what a request usually took; None if none was answered."""
        taken_s = self._latencies_s
        if not taken_s.size:
            return None
        return Latency(sum(float(np.log(taken_s[rows]).sum()) for rows in blocks(taken_s.size)) / taken_s.size)

    def _taken(self) -> Figures:
        """Return what one of something took; nothing where nothing was to be measured after this replay."""
        if (found := self.facts.metered) is None:
            return Figures()
        return figures(self.settings.most, found.energy, self._footprint, found.missing)

    def _live_rows(self) -> Live | None:
        """Return what came of live traffic; None where nothing taps it, as in a gate."""
        if self.facts.live is None or self.settings.live is None:
            return None
        if self._read is None:
            self._read, self._live = looked_at(self.golden, self.settings.live, self.facts.live, self.bodies)
        return self._read

    def _comes_to(self) -> Footprint | None:
        """Work out what one of something comes to, from what was measured after the replay."""
        found, tokens = self.facts.metered, self._tokens
        if found is None:
            return None
        load = Load(
            self._throughput,
            next((score.value for score in self._scores if score.name == "accuracy"), None),
            tokens.input_each if tokens is not None else None,
            tokens.output_each if tokens is not None else None,
        )
        return footprint(found.energy, load, found.prices, found.grams_per_kwh)

    def _token_use(self) -> TokenUse | None:
        if not self.columns.layout.tokens:
            return None
        return token_use({name: self.columns.array(name) for name in NAMES}, self._answered)
