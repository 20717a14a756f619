"""The results of one replay as immutable values: scores, verdicts, and the judgement that holds them all.

They pass from the judge to gate, ledger and exporters, and need no numpy: the agent that keeps them must stay small.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from functools import cache
from typing import Any

from pydantic import TypeAdapter

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
    each slice, of scores that the config names.
    """

    name: str
    value: float
    low: float
    high: float
    n: int
    reference: float | None = None
    slices: tuple[SliceStanding, ...] = ()


@dataclass(frozen=True, slots=True)
class Unscored:
    """How many answered examples a score has no number for, by reason; `first` describes the first of these.

    If there are too many of them, the score is `unknown`.
    """

    score: str
    counts: Mapping[str, int]
    first: str
    unknown: bool


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


@dataclass(frozen=True, slots=True)
class Quantile:
    """One quantile of latency in seconds; None where there were too few samples to certify it.

    `at_most_s` is MLPerf's early-stopping estimate: with 99 % confidence the quantile is not above it.
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
class Difference:
    """A replay against the reference outputs, example by example.

    `harmful` are right in the reference and wrong now, `helpful` the other way, `neutral` wrong in both but
    differently; `compared` examples were answered, `moved` of them differ in an output beyond the set's tolerance.
    `flips` lists the first of the flips, harmful ones before the others; `where` the worst slices, those beyond chance
    first; `confusions` the mistakes of a classifier that have become more frequent, in the same order.
    """

    compared: int
    moved: int
    harmful: int
    helpful: int
    neutral: int
    largest: float
    flips: tuple[Flip, ...]
    where: tuple[SliceShare, ...]
    confusions: tuple[Confusion, ...] = ()


_TIMES = ("latencies_s", "late_s")
_TOKEN_TIMES = ("first_s", "per_token_s", "gaps_s")


@dataclass(frozen=True, slots=True)
class TokenUse:
    """Tokens and times of a language model's answers, over the answered requests of a replay.

    `input` and `output` count tokens over the `input_told` and `output_told` answers that have counts, None if no
    answer has one. `first_s` is the time to the first token and `per_token_s` the mean time between tokens, in seconds,
    one for each answer with a known time; `first_unknown` and `next_unknown` count the others by reason. `gaps_s` are
    times between pieces of text that followed each other. `finish` counts the answers by why the model stopped.
    """

    input: int | None
    output: int | None
    finish: Mapping[str, int]
    first_s: Sequence[float] = ()
    per_token_s: Sequence[float] = ()
    gaps_s: Sequence[float] = ()
    first_unknown: Mapping[str, int] = field(default_factory=dict)
    next_unknown: Mapping[str, int] = field(default_factory=dict)
    input_told: int = 0
    output_told: int = 0

    def __post_init__(self) -> None:
        _keep_times(self, _TOKEN_TIMES)

    def without_times(self) -> TokenUse:
        """Return the counts alone."""
        return replace(self, first_s=(), per_token_s=(), gaps_s=())

    @property
    def input_each(self) -> float | None:
        """The mean number of input tokens of an answer, None if it is not known."""
        return self.input / self.input_told if self.input is not None and self.input_told else None

    @property
    def output_each(self) -> float | None:
        """The mean number of output tokens of an answer, None if it is not known."""
        return self.output / self.output_told if self.output is not None and self.output_told else None


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
class Judgement:
    """One replay and its results.

    `started_at` is Unix time in seconds; `lateness_s` is how long after its scheduled time it started. `latencies_s`
    holds the latency of each answered request, warm-up and first request left out. `outcomes` counts requests by
    outcome label. `throughput` is answered examples per second. `errors` counts distinct messages of failed requests.
    `energy` is what was metered after this replay, if anything, `energy_missing` why there is none, or no carbon.
    `readings_dropped` counts implausible readings of its meters.
    `scenario`, `rate_per_s` and `in_flight` describe the load; `late_s` is by how much goldwatch itself sent each
    request of an open load too late. `most_per_s`, `most_tokens_per_s` and `most_cpu` are the budgets of a closed load,
    `server_load` is how busy the target was, and `skipped` means that for this reason nothing was replayed at all.
    `checks` are those of the referee, of valid replays only, and so are `slices`; `output_distance` is the mean
    distance of the answers from the reference, where the watch has an objective for it. `live` is there after a replay
    that had a window of live rows to judge. `unscored` has an entry for each score that the watch names.
    """

    watch: str
    target: str
    golden: str
    golden_digest: str
    task: str
    examples: int
    probe: str
    started_at: float
    duration_s: float
    lateness_s: float
    validity: Validity
    reasons: tuple[str, ...]
    description: Description | None
    outcomes: Mapping[str, int]
    errors: Mapping[str, int]
    open_s: float | None
    first_request_s: float | None
    latencies_s: Sequence[float]
    throughput: float | None
    quantiles: tuple[Quantile, ...]
    scores: tuple[Score, ...]
    difference: Difference | None
    verdicts: tuple[Verdict, ...]
    tokens: TokenUse | None = None
    scenario: str = "single-stream"
    rate_per_s: float | None = None
    in_flight: int = 1
    late_s: Sequence[float] = ()
    energy: Energy | None = None
    energy_missing: str = ""
    readings_dropped: int = 0
    footprint: Footprint | None = None
    most_per_s: float | None = None
    most_tokens_per_s: float | None = None
    most_cpu: float | None = None
    server_load: ServerLoad | None = None
    skipped: str = ""
    checks: tuple[Check, ...] = ()
    slices: tuple[SliceStanding, ...] = ()
    output_distance: float | None = None
    live: LiveWindow | None = None
    resent: int = 0
    unscored: tuple[Unscored, ...] = ()

    def __post_init__(self) -> None:
        _keep_times(self, _TIMES)

    @property
    def headline(self) -> Score | None:
        """The score that counts: accuracy, or agreement with the validated model where there are no labels."""
        return self.scores[0] if self.scores else None

    def to_json(self) -> dict[str, Any]:
        """Return plain values that JSON can carry; `from_json` is the way back."""
        tokens = None if self.tokens is None else asdict(self.tokens.without_times())
        if tokens is not None:
            tokens |= {name: list(getattr(self.tokens, name)) for name in _TOKEN_TIMES}
        times = {name: list(getattr(self, name)) for name in _TIMES}
        return asdict(replace(self, latencies_s=(), late_s=(), tokens=None)) | times | {"tokens": tokens}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Judgement:
        """Make a judgement of what `to_json` returned. Raises pydantic's ValidationError for anything else."""
        return _adapter().validate_python(values)


def _keep_times(of: object, names: Sequence[str]) -> None:
    """Have times at eight bytes each, and not even these in memory of our own where they are many (see `scratch`)."""
    for name in names:
        if not isinstance(times := getattr(of, name), array | memoryview):
            object.__setattr__(of, name, array("d", times))


@cache
def _adapter() -> TypeAdapter[Judgement]:
    return TypeAdapter(Judgement)
