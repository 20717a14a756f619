"""The results of one replay as immutable values: scores, verdicts, and the judgement that holds them all.

They pass from the judge to gate, ledger and exporters, and need no numpy: the agent that keeps them must stay small.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from goldwatch.core.gap import Gap
from goldwatch.core.people import People
from goldwatch.core.token_use import TOKEN_TIMES, TokenUse, keep_times
from goldwatch.energy.attribution import Energy
from goldwatch.energy.footprint import Footprint
from goldwatch.probe import Description


class Validity(StrEnum):
    """Whether a replay may be judged. Only a valid one adds evidence."""

    VALID = "valid"
    INSUFFICIENT = "insufficient"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class SliceStanding:
    """The answered examples of a slice: the share that is right now, and that usually is in the reference.

    Of a score, `right` and `reference` are means; `reference` is None where the golden set does not keep it.
    """

    slice: str
    value: str
    examples: int
    right: float
    reference: float | None


@dataclass(frozen=True, slots=True)
class Score:
    """One number from a replay, with the bounds of its 95 % interval over examples.

    `reference` is the mean of the same score over all replays of the reference, on the same examples; None where the
    golden set does not keep it. `n` is the number of examples that the value rests on. `slices` has the same score of
    each slice, of scores that the config names. All values are on the `scale`, an end of which
    is None if there is none. `people` is how its judge compared with people, if it has a judge and that is known.
    """

    name: str
    value: float
    low: float
    high: float
    n: int
    reference: float | None = None
    slices: tuple[SliceStanding, ...] = ()
    scale: tuple[float | None, float | None] = (0.0, 1.0)
    people: People | None = None


@dataclass(frozen=True, slots=True)
class Unscored:
    """How many answered examples a score has no number for, by reason; `first` describes the first of these.

    If there are too many of them, the score is `unknown`.
    """

    score: str
    counts: Mapping[str, int]
    first: str
    unknown: bool


@dataclass(frozen=True, slots=True)
class Judging:
    """What the judge of a score did for a replay: its calls, those that failed, and the tokens that it counted.

    `reused` answers had been judged before.
    """

    score: str
    calls: int = 0
    reused: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def and_(self, other: Judging) -> Judging:
        """Return what this and another judging of the same score came to."""
        numbers = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self) if f.name != "score"}
        return replace(self, **numbers)


class State(StrEnum):
    """The states of a monitor. *Unknown* is no evidence either way, and is never shown as good."""

    UNKNOWN = "unknown"
    STEADY = "steady"
    SUSPECT = "suspect"
    ALERTING = "alerting"
    RECOVERED = "recovered"


class Severity(StrEnum):
    """Who is notified: the person on call now, or the owner in working hours."""

    PAGE = "page"
    TICKET = "ticket"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of one monitor after one replay.

    `evidence` and `threshold` are log10 of e-values, or None for a monitor that states facts.
    `since` is the Unix time in seconds of the first replay after the estimated change, None while steady.
    `confirm` asks for one more replay at once. `summary` is one line for people.
    """

    monitor: str
    state: State
    severity: Severity
    evidence: float | None
    threshold: float | None
    since: float | None
    confirm: bool
    summary: str

    def no_longer_known(self, why: str) -> Verdict:
        """Return the verdict while there is nothing new to judge by: a monitor that was alerting still is."""
        state = State.ALERTING if self.state is State.ALERTING else State.UNKNOWN
        return replace(self, state=state, confirm=False, summary=f"not known: {why}")


@dataclass(frozen=True, slots=True)
class Quantile:
    """One quantile of latency in seconds; None where there were too few samples to certify it.

    `at_most_s` is MLPerf's early-stopping estimate: with 99 % confidence the quantile is not above it. For an open load
    it allows for requests that wait for each other, and is None if there are too few for that.
    """

    q: float
    latency_s: float | None
    at_most_s: float | None = None


@dataclass(frozen=True, slots=True)
class Flip:
    """One golden example whose answer differs from the reference in class.

    Without labels there is no `label`; for a vector only `now` is set: its distance from the reference.
    `identity` is its name in the set, such as a file; `excerpt` the beginning of its text. Both may be empty.
    """

    example: int
    label: str
    reference: str
    now: str
    identity: str = ""
    excerpt: str = ""

    @property
    def words(self) -> str:
        """The change of the answer, in one line."""
        changed = f"{self.reference} -> {self.now}" if self.reference else self.now
        return f"{changed}, right is {self.label}" if self.label else changed


@dataclass(frozen=True, slots=True)
class SliceShare:
    """How many harmful flips fall into a slice, and how many examples it has.

    `beyond_chance` states whether chance would put fewer there; `p_value` is that of the test, None if not computed.
    """

    slice: str
    value: str
    flips: int
    examples: int
    beyond_chance: bool = True
    p_value: float | None = None


@dataclass(frozen=True, slots=True)
class Confusion:
    """One wrong answer of a classifier: `said` instead of `label`.

    `flips` counts the examples that were right before, `now` and `reference` all with this mistake. `p_value` is of a
    sign test of the examples that joined it against those that left.
    """

    label: str
    said: str
    flips: int
    now: int
    reference: int
    beyond_chance: bool
    p_value: float


@dataclass(frozen=True, slots=True)
class OutputDifference:
    """One output against its reference: how many examples differ beyond its `tolerance`, and the `largest` difference.

    Texts and JSON have no largest difference.
    """

    name: str
    moved: int
    largest: float | None
    tolerance: float


@dataclass(frozen=True, slots=True)
class Difference:
    """A replay against the reference outputs, example by example.

    `harmful` are right in the reference and wrong now, `helpful` the other way, `neutral` wrong in both but
    differently; `compared` examples were answered, `moved` of them differ in an output beyond the set's tolerance.
    `flips` lists the first of the flips, harmful ones before the others; `where` the worst slices, those beyond chance
    first; `confusions` the mistakes of a classifier that have become more frequent, in the same order. `largest` is the
    largest absolute difference of any output, None if one of them is text or JSON, which have no size. `outputs` has
    each output by itself, if there are several.
    """

    compared: int
    moved: int
    harmful: int
    helpful: int
    neutral: int
    largest: float | None
    flips: tuple[Flip, ...]
    where: tuple[SliceShare, ...]
    confusions: tuple[Confusion, ...] = ()
    outputs: tuple[OutputDifference, ...] = ()


_TIMES = ("latencies_s", "late_s")


class Passed(StrEnum):
    """The result of a check of a replay."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Check:
    """One of the referee's checks: a finding about a replay that raises no page."""

    name: str
    passed: Passed
    reason: str


@dataclass(frozen=True, slots=True)
class ServerLoad:
    """How busy the target was, measured by the section `busy` of the config.

    `what` was read, `before` the replay and at `most` until its end (None if it could not be read; `unreadable` is the
    reason), and above `limit` goldwatch steps back: it `waited_s` before the replay and held it for `held_s` within.
    """

    what: str
    limit: float
    before: float | None = None
    most: float | None = None
    waited_s: float = 0.0
    held_s: float = 0.0
    unreadable: str = ""


@dataclass(frozen=True, slots=True)
class Move:
    """One column of live rows: its distribution in the reference and in the last window, as text."""

    column: str
    then: str
    now: str


@dataclass(frozen=True, slots=True)
class LiveWindow:
    """The live traffic between two replays, if the watch has a tap.

    `requests` were seen: `synthetic` ones are goldwatch's own, `refused` ones could not be taken in, `sampled_out` were
    more than a window holds. Of what remains `rows` were compared with the reference, `unreadable` rows or requests
    were not, for the `reasons`, and `cut` rows were more than one cluster may have. `moves` are the columns with most
    evidence, and `notice` is set once rows are known to depend on each other more than is stated. Without a window
    that is full, all of it is 0.
    """

    requests: int
    synthetic: int
    refused: int
    sampled_out: int
    rows: int
    unreadable: int
    began_at: float
    ended_at: float
    reasons: Mapping[str, int]
    moves: tuple[Move, ...] = ()
    cut: int = 0
    notice: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """The subject of a replay: a golden set against a target, for a watch. `examples` is the size of the set."""

    watch: str
    target: str
    golden: str
    golden_digest: str
    task: str
    examples: int
    probe: str


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a replay: its time, its load, and the measurements of the engine.

    `started_at` is Unix time in seconds; `lateness_s` is the delay of the start after its scheduled time. `open_s` is
    the time to open the target, and `description` how the target describes itself. `latencies_s` holds the latency of
    each answered request, warm-up and first request left out. `late_s` is by how much goldwatch itself sent each
    request of an open load too late. `resent` counts requests that were sent again. `most_per_s`, `most_tokens_per_s`
    and `most_cpu` are the budgets of a closed load.
    """

    started_at: float
    duration_s: float = 0.0
    lateness_s: float = 0.0
    description: Description | None = None
    open_s: float | None = None
    first_request_s: float | None = None
    resent: int = 0
    latencies_s: Sequence[float] = ()
    late_s: Sequence[float] = ()
    scenario: str = "single-stream"
    rate_per_s: float | None = None
    in_flight: int = 1
    most_per_s: float | None = None
    most_tokens_per_s: float | None = None
    most_cpu: float | None = None

    def __post_init__(self) -> None:
        keep_times(self, _TIMES)


@dataclass(frozen=True, slots=True)
class Findings:
    """The findings of the judge in a replay.

    `reasons` are those why it is not valid. `outcomes` counts requests by outcome label, `errors` distinct messages of
    failed requests. `throughput` is answered examples per second. `scores`, `difference`, `checks` (of the referee),
    `slices`, `output_distance` and `gap` exist for valid replays only. `output_distance` is the mean distance of the
    answers from the reference; it and `gap` are there if the watch has an objective for them. `footprint` exists if
    energy was measured after the replay, `live` if a window of live rows was judged. `unscored` has an entry for each
    score that the watch names, `judgings` for each that has a judge.
    """

    validity: Validity
    reasons: tuple[str, ...]
    outcomes: Mapping[str, int] = field(default_factory=dict)
    errors: Mapping[str, int] = field(default_factory=dict)
    throughput: float | None = None
    quantiles: tuple[Quantile, ...] = ()
    scores: tuple[Score, ...] = ()
    difference: Difference | None = None
    tokens: TokenUse | None = None
    checks: tuple[Check, ...] = ()
    slices: tuple[SliceStanding, ...] = ()
    output_distance: float | None = None
    gap: Gap | None = None
    footprint: Footprint | None = None
    live: LiveWindow | None = None
    unscored: tuple[Unscored, ...] = ()
    judgings: tuple[Judging, ...] = ()

    @classmethod
    def nothing(cls, *reasons: str) -> Findings:
        """Return the findings of a replay that is no evidence about the target, with the reasons."""
        return cls(Validity.INVALID, reasons)

    def invalidated(self, why: str) -> Findings:
        """Return the findings without a word on quality: of a replay that several versions of the model answered."""
        return replace(self, validity=Validity.INVALID, reasons=(why, *self.reasons), scores=(), difference=None)


@dataclass(frozen=True, slots=True)
class Extras:
    """Measurements around a replay.

    `energy` was metered after it; `energy_missing` is the reason if there is none, or no carbon.
    `readings_dropped` counts implausible readings of the meters. `server_load` is how busy the target was. `skipped`
    is the reason why nothing was replayed at all; empty otherwise.
    """

    energy: Energy | None = None
    energy_missing: str = ""
    readings_dropped: int = 0
    server_load: ServerLoad | None = None
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One replay and what follows from it. The agent composes it once, at the end; nothing amends it."""

    subject: Subject
    run: Run
    findings: Findings
    verdicts: tuple[Verdict, ...] = ()
    extras: Extras = field(default_factory=Extras)

    @property
    def headline(self) -> Score | None:
        """The score that counts: accuracy, or agreement with the validated model where there are no labels."""
        return self.findings.scores[0] if self.findings.scores else None

    def to_json(self) -> dict[str, Any]:
        """Return plain values that JSON can carry, in one flat object; `from_json` is the way back."""
        tokens = self.findings.tokens
        of_tokens = None if tokens is None else asdict(tokens.without_times())
        if of_tokens is not None:
            of_tokens |= {name: list(getattr(tokens, name)) for name in TOKEN_TIMES}
        return (
            asdict(self.subject)
            | asdict(replace(self.run, latencies_s=(), late_s=()))
            | {name: list(getattr(self.run, name)) for name in _TIMES}
            | asdict(replace(self.findings, tokens=None))
            | {"tokens": of_tokens, "verdicts": [asdict(verdict) for verdict in self.verdicts]}
            | asdict(self.extras)
        )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Judgement:
        """Make a judgement of what `to_json` returned. Raises pydantic's ValidationError for anything else."""
        nested = {part: {f.name: values[f.name] for f in fields(of) if f.name in values} for part, of in _PARTS.items()}
        return _adapter().validate_python({**nested, "verdicts": values.get("verdicts")})


_PARTS = {"subject": Subject, "run": Run, "findings": Findings, "extras": Extras}


@cache
def _adapter() -> TypeAdapter[Judgement]:
    return TypeAdapter(Judgement)
