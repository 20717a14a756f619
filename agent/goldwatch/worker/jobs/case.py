"""A replay with all that is needed to judge it: the input of monitors, and the findings. In a worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.core.facts import Facts
from goldwatch.core.judgement import Difference, Flip, Judging, LiveWindow, Score, Unscored, Validity
from goldwatch.core.load_plan import OPEN
from goldwatch.core.outcome import Outcome
from goldwatch.core.token_use import TokenUse
from goldwatch.core.validity import disturbed
from goldwatch.energy.footprint import Footprint, Load, footprint
from goldwatch.golden.opened import GoldenSet
from goldwatch.ipc.columns import Columns
from goldwatch.worker.evaluators.agreement import each_output, without_value
from goldwatch.worker.evaluators.parts import expected_of
from goldwatch.worker.evaluators.scoring import Column, Scoring, known
from goldwatch.worker.evaluators.tasks import Judged, judged
from goldwatch.worker.evaluators.tokens import NAMES, token_use
from goldwatch.worker.jobs.observations import Observations
from goldwatch.worker.jobs.opening import masked_output, output_specs
from goldwatch.worker.monitors.live import Live
from goldwatch.worker.monitors.means import Values
from goldwatch.worker.monitors.reference import Reference
from goldwatch.worker.monitors.settings import Settings
from goldwatch.worker.monitors.window import looked_at
from goldwatch.worker.monitors.worse import Answers

LEAST_ANSWERED = 0.9
"""With a smaller share of the examples answered, the quality of the model is not judged."""


@dataclass(slots=True)
class Case:
    """One replay of `golden`, from its `columns` and the agent's `facts`; `bodies` are live requests.

    `outputs` has the answers by output, `answered` and `answers` [n] which examples were answered, and right. Requests
    are counted in `counts` [outcomes]; `sent` of them were sent, and `latencies_s` are those of the answered ones.
    `difference` is from the reference, None if nothing was answered. `scores` and the columns of the watch's own ones,
    `scored`, are there if the replay is valid. `footprint` is what one of something took, None if nothing was measured.
    `live` is the window of live traffic; monitors add to it.
    """

    golden: GoldenSet
    columns: Columns
    facts: Facts
    settings: Settings
    bodies: Sequence[bytes] = ()
    seen: Observations = field(init=False)
    outputs: dict[str, NDArray[Any]] = field(init=False)
    answered: NDArray[np.bool_] = field(init=False)
    answers: Answers = field(init=False)
    errors: dict[str, int] = field(init=False)
    counts: NDArray[np.int64] = field(init=False)
    sent: int = field(init=False)
    latencies_s: NDArray[np.float64] = field(init=False)
    reference: Reference = field(init=False)
    task: Judged = field(init=False)
    difference: Difference | None = field(init=False)
    validity: Validity = field(init=False)
    reasons: tuple[str, ...] = field(init=False)
    scores: tuple[Score, ...] = field(init=False)
    scored: Mapping[str, Column] = field(init=False)
    unscored: tuple[Unscored, ...] = field(init=False)
    tokens: TokenUse | None = field(init=False)
    throughput: float | None = field(init=False)
    footprint: Footprint | None = field(init=False)
    live: LiveWindow | None = field(init=False, default=None)
    _read: Live | None = field(init=False, default=None)
    _distances: Values | None = field(init=False, default=None)
    _scoring: Scoring = field(init=False)
    _judgings: tuple[Judging, ...] = field(init=False)
    _controls: dict[str, Column] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.outputs = {s.name: self.columns.array(f"output.{s.name}") for s in output_specs(self.golden)}
        seen = Observations(self.columns, self.facts.samples, is_open=self.facts.scenario in OPEN)
        seen.refuse(without_value(self.outputs, seen.answered, masked_output(self.golden)))
        self.errors = dict(self.facts.errors) | ({"the answer holds NaN or infinity": seen.bad} if seen.bad else {})
        self.seen, self.answered, self.counts = seen, seen.answered, seen.counts()
        self.sent = int(self.counts.sum() - self.counts[Outcome.NOT_SENT])
        self.latencies_s = seen.latencies_s()
        self.reference = Reference.of(self.golden)
        self.task = judged(self.golden)
        self.difference = self._compared()
        right = self.task.right(self.outputs)
        self.answers = Answers(np.logical_and(right, self.answered, out=right), self.answered)
        self.validity, self.reasons = self._judged_valid()
        self._score()
        self.tokens = self._token_use()
        self.throughput = seen.answered_per_s()
        self.footprint = self._comes_to()

    @property
    def is_valid(self) -> bool:
        """Whether it can be judged whole."""
        return self.validity is Validity.VALID

    @property
    def requests(self) -> int:
        """How many requests it has, sent or not."""
        return len(self.seen.outcome)

    def distances(self) -> Values:
        """Return how far each answer is from its reference output."""
        if self._distances is None:
            self._distances = Values(self.task.distance(self.outputs, self.answered), self.answered)
        return self._distances

    def known_values(self, score: str) -> NDArray[np.floating] | None:
        """Return the values [n] of one of the watch's own scores, NaN for none; None if the score is unknown."""
        found = self.scored.get(score)
        return None if found is None or not known(found, self.answered) else found.values

    def graded_controls(self, score: str, count: int) -> NDArray[np.floating]:
        """Have the judge of a score grade its controls, and return the grades [count] as shares, NaN for none."""
        found = self._scoring.controls(score, count)
        self._controls[score] = found
        return found.values

    def controls_problem(self, score: str) -> str:
        """Return why the first ungraded control of a score has no grade; empty if all have one, or none was asked."""
        return self._controls[score].first if score in self._controls else ""

    def distrust(self, score: str, why: str, since: float) -> None:
        """Take the value of a score away, since its judge has changed, and its grades from Unix time `since` on."""
        self._scoring.forget(score, since)
        self.scored = {name: found for name, found in self.scored.items() if name != score}
        self.scores = tuple(found for found in self.scores if found.name != score)
        self.unscored = tuple(replace(u, first=why, unknown=True) if u.score == score else u for u in self.unscored)

    @property
    def judgings(self) -> tuple[Judging, ...]:
        """What the judge of each score did, for the answers and for its controls."""
        controls = {name: found.judging for name, found in self._controls.items() if found.judging is not None}
        return tuple(each.and_(controls[each.score]) if each.score in controls else each for each in self._judgings)

    def live_rows(self) -> Live | None:
        """Return what came of live traffic; None where nothing taps it, as in a gate."""
        if self.facts.live is None or self.settings.live is None:
            return None
        if self._read is None:
            self._read, self.live = looked_at(self.golden, self.settings.live, self.facts.live, self.bodies)
        return self._read

    def _score(self) -> None:
        scoring = self._scoring = Scoring(self.golden, self.settings.specs)
        self.scored = scoring.columns(self.outputs, self.answered) if self.is_valid else {}
        self.scores = self.task.scores(self.outputs, self.answered) if self.is_valid else ()
        self.scores += scoring.scores(self.scored, self.answered)
        whole, lacking = scoring.whole(self.outputs, self.answered) if self.is_valid else ((), ())
        self.scores += whole
        self.unscored = (*scoring.unscored(self.scored, self.answered), *lacking)
        self._judgings = tuple(found.judging for found in self.scored.values() if found.judging is not None)

    def _compared(self) -> Difference | None:
        """Compare the answers with the reference, and name the examples that are listed."""
        if not self.answered.any():
            return None
        found = self.task.difference(self.outputs, self.answered)
        flips = tuple(self._named(flip) for flip in found.flips)
        several = len(self.golden.manifest.outputs) > 1
        outputs = tuple(each_output(self.outputs, self.answered, expected_of(self.golden))) if several else ()
        return replace(found, flips=flips, outputs=outputs)

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
        answered = int(np.count_nonzero(self.answered))
        if answered < LEAST_ANSWERED * self.golden.examples:
            why = f"only {answered:,} of {self.golden.examples:,} examples were answered"
            return Validity.INSUFFICIENT, (why, *sorted(self.errors, key=lambda error: -self.errors[error])[:3])
        return Validity.VALID, ()

    def _disturbed(self) -> tuple[str, ...]:
        return disturbed(
            self.seen.late_s(),
            self.facts.disturbances,
            self.facts.description,
            self.facts.description_after,
            self.settings.latency_limit_s,
        )

    def _comes_to(self) -> Footprint | None:
        """Work out what one of something comes to, from what was measured after the replay."""
        found, tokens = self.facts.metered, self.tokens
        if found is None:
            return None
        load = Load(
            self.throughput,
            next((score.value for score in self.scores if score.name == "accuracy"), None),
            tokens.input_each if tokens is not None else None,
            tokens.output_each if tokens is not None else None,
        )
        return footprint(found.energy, load, found.prices, found.grams_per_kwh)

    def _token_use(self) -> TokenUse | None:
        if not self.columns.layout.tokens:
            return None
        return token_use({name: self.columns.array(name) for name in NAMES}, self.answered)
