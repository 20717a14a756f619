"""The jobs of the workers with the key `JUDGES`: they work on golden sets and on the columns of replays, with numpy.

None sends requests to a target. Each takes a request and returns a response of the types below; a job that returns
nothing writes a file. The jobs raise GoldenError for a set that cannot be used, or is not the one of the digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from goldwatch.core.facts import Facts
from goldwatch.core.judgement import Findings, Score, Verdict
from goldwatch.core.score_spec import ScoreSpec
from goldwatch.golden.examples import Examples
from goldwatch.golden.facts import GoldenFacts, GoldenPlace
from goldwatch.golden.shown import Shown
from goldwatch.ipc.jobs import Job


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """Fetch the set of `digest` from `url`, with HTTP `headers`, into the folder `path` unless it exists."""

    url: str
    path: str
    digest: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class InspectRequest:
    """Open and verify the set in the folder `path`, down to its values."""

    path: str


@dataclass(frozen=True, slots=True)
class RehearseRequest:
    """Make the monitors of a watch once, with the fields of `Settings`."""

    golden: GoldenPlace
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RehearseResponse:
    """Why the monitors cannot be made; empty if they can. Reference and objectives may leave nothing to bet on."""

    problem: str


@dataclass(frozen=True, slots=True)
class JudgeRequest:
    """Judge one replay. Takes its columns, and the descriptor of live requests if there are any.

    `settings` are the fields of `Settings`, `states` the saved states of the monitors, by name.
    """

    golden: GoldenPlace
    settings: Mapping[str, Any]
    facts: Facts
    states: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class JudgeResponse:
    """Findings and verdicts, without the times of single requests, which the agent reads from the columns.

    `states` are the new states of the monitors, and `refused` has the reasons why saved ones were not used, by name.
    `observed` is the input of a backtest, as the ledger keeps it.
    """

    findings: Findings
    verdicts: tuple[Verdict, ...]
    states: Mapping[str, Any]
    refused: Mapping[str, str]
    observed: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ParityRequest:
    """Compare two replays. Takes the descriptors of the columns of both."""

    golden: GoldenPlace


@dataclass(frozen=True, slots=True)
class Parity:
    """Two replays, over the examples that both answered.

    In `flips` of the `compared` examples the answers differ. `largest` is the largest absolute difference of any
    tensor, `cosine` the smallest cosine of any example, None if no output is numbers. `only_first` and `only_other`
    count the examples that one replay alone has right, and `p_value` is of McNemar's test of these two.
    """

    compared: int
    flips: int
    largest: float | None
    cosine: float | None
    only_first: int
    only_other: int
    p_value: float


@dataclass(frozen=True, slots=True)
class AgreementRequest:
    """Compare a replay of `rows` rows, which repeats the examples in order, with the reference. Takes its columns."""

    golden: GoldenPlace
    rows: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of the `compared` answers `harmful` are wrong where the reference is right, `helpful` the other way round."""

    compared: int
    harmful: int
    helpful: int


@dataclass(frozen=True, slots=True)
class SensitivityRequest:
    """Find out how many replays each effect takes to be noticed, looking at `most` replays.

    `settings` are the fields of `Settings`, `requests` the requests of a replay. With `declared_only` only the effects
    that the objectives declare are simulated. The set is taken `copies` times as large.
    """

    golden: GoldenPlace
    settings: Mapping[str, Any]
    requests: int
    most: int
    declared_only: bool
    copies: int = 1


@dataclass(frozen=True, slots=True)
class Notice:
    """After how many replays, in the median, a monitor notices an effect; None if that takes more than were simulated.

    `declared` means that the objectives of the watch call the effect too much; `threshold` is a log10. *Costly*
    counts measurements of energy and cost in place of replays, *drift* windows (at most one a replay) or with a
    season hours, and *slower* blocks of replays: it states the fewest that can make it alert.
    `if_independent` is the number if live requests did not depend on each other; 0 where they are taken not to.
    """

    monitor: str
    effect: str
    declared: bool
    threshold: float
    replays: int | None
    if_independent: int | None = 0


@dataclass(frozen=True, slots=True)
class SeasonBasis:
    """The data behind *drift* with a season.

    `learned` means from live traffic; then nothing else is known at first. `levels` names the blocks that are judged,
    `left_out` has the reasons for the others. `timed` means that the reference has times, `empty` counts the hours of
    the week without reference rows, and `wander` has the standard deviations of day means, by column.
    """

    learned: bool = False
    levels: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    timed: bool = False
    empty: int = 0
    wander: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The sensitivity of the monitors; `season` is None without live traffic that has one."""

    notices: tuple[Notice, ...]
    season: SeasonBasis | None


@dataclass(frozen=True, slots=True)
class DrawRequest:
    """Draw pictures of some examples."""

    golden: GoldenPlace
    examples: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """The lines of the picture of each example, in the order of the request."""

    pictures: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class AnswersRequest:
    """Compare the answers of some examples, one a row of the columns, with the reference. Takes the columns."""

    golden: GoldenPlace
    examples: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RerunAnswer:
    """One example: its picture, the right answer, the answer of the reference, and the answer of the model now.

    `now` is the outcome of the request as text if there is no answer; `distance` is the largest absolute difference
    of any tensor from the reference, None without an answer or if all outputs are text. `same` means that the answer
    is that of the reference: the class, the text, or a vector within the tolerance. `identity` is its name in the set,
    empty if it has none.
    """

    example: int
    lines: tuple[str, ...]
    label: str
    reference: str
    now: str
    distance: float | None
    latency_s: float | None
    same: bool
    identity: str = ""


@dataclass(frozen=True, slots=True)
class RerunAnswers:
    """The answers, in the order of the request."""

    answers: tuple[RerunAnswer, ...]


@dataclass(frozen=True, slots=True)
class AccuracyRequest:
    """Score the answers in LoadGen's accuracy log, the file `log`, by the set in the folder `path`."""

    path: str
    log: str


@dataclass(frozen=True, slots=True)
class AccuracyResponse:
    """Accuracy, or agreement with the reference if the set has no labels; None without any answer."""

    headline: Score | None


@dataclass(frozen=True, slots=True)
class KeepRequest:
    """Write what a new reference needs of one replay into `file`, with the answers if `outputs`. Takes the columns.

    `scores` are those of the watch. An example without an answer is a GoldenError, too many without a score a BadScore.
    """

    golden: GoldenPlace
    file: str
    outputs: bool
    scores: tuple[ScoreSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class FreezeRequest:
    """Freeze a set with a new reference into `folder`.

    `files` are those that KEEP wrote, one a replay; `outputs` is the one with new reference outputs, if any. `version`
    None keeps the version. `made_with` describes the model of the reference, `scores` are those that the files have.
    """

    golden: GoldenPlace
    folder: str
    files: tuple[str, ...]
    version: str | None = None
    outputs: str | None = None
    made_with: Mapping[str, str] = field(default_factory=dict)
    scores: tuple[ScoreSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The frozen set: its name with the short digest, and the figures of its reference replays.

    `accuracy` is the share of right answers over all of them, `moved` the most examples of a replay that differed from
    the reference outputs beyond the tolerance. `score` is what that share is called: without labels, agreement.
    """

    golden: str
    digest: str
    deterministic: bool
    accuracy: float
    moved: int
    score: str = "accuracy"


@dataclass(frozen=True, slots=True)
class FreezeExamplesRequest:
    """Freeze a provisional set of the examples into `folder`, without reference outputs."""

    examples: Examples
    folder: str


@dataclass(frozen=True, slots=True)
class ExampleNotes:
    """Remarks on the examples, for the user."""

    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChanceRequest:
    """Compare the `accuracy` of a reference of `n` examples with guessing."""

    golden: GoldenPlace
    accuracy: float
    n: int


@dataclass(frozen=True, slots=True)
class ChanceResponse:
    """The `problem`, empty if there is none, and whether it is a reason to `refuse` the set."""

    problem: str
    refuse: bool


@dataclass(frozen=True, slots=True)
class GapsRequest:
    """Write into `file` how the answers of a replay differ from those that KEEP wrote into `first`. Takes the columns.

    The file has the `gap` of each example [n], 0 for none, and whether all answers are the `same` bit by bit. An
    example without an answer is a GoldenError.
    """

    golden: GoldenPlace
    first: str
    file: str


@dataclass(frozen=True, slots=True)
class MemoryRequest:
    """Compare replays after another history with `ordinary` ones.

    All are files that GAPS wrote; `files` are those of one replay, or of it and its repetition.
    """

    ordinary: tuple[str, ...]
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MemoryResponse:
    """Whether the model is `suspect`, how many examples are `differing` in the last file, and the `first` of them."""

    suspect: bool
    differing: int
    first: int


@dataclass(frozen=True, slots=True)
class ExhibitRequest:
    """Show what people look at of one replay: these examples among it. Takes the columns.

    Their inputs may be `most_letters` together, images and sounds as base64; those beyond are left out.
    """

    golden: GoldenPlace
    examples: tuple[int, ...]
    most_letters: int


@dataclass(frozen=True, slots=True)
class ShownExample:
    """One example: the right answer, the answer of the reference, that of now, and its inputs.

    `left_out` inputs are too large for a page.
    """

    example: int
    identity: str
    label: str
    reference: str
    now: str
    inputs: tuple[Shown, ...] = ()
    left_out: bool = False


@dataclass(frozen=True, slots=True)
class Calibration:
    """Of the `examples` whose likeliest class had about this probability, how many were `right`.

    `confidence` is the mean of the probabilities, `low` and `high` the 95 % interval of the share that is right.
    """

    confidence: float
    examples: int
    right: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Exhibit:
    """What people look at of one replay.

    `confusion` counts the answered examples by label and answer, in the order of the `classes`; empty without classes
    or with too many. `calibration` has bins with at least one example; empty unless the outputs are probabilities.
    `made_with` is what the reference ran on.
    """

    examples: tuple[ShownExample, ...]
    classes: tuple[str, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    calibration: tuple[Calibration, ...] = ()
    made_with: Mapping[str, str] = field(default_factory=dict)


FETCH: Job[FetchRequest, None] = Job("goldwatch.worker.jobs.fetch:fetch", FetchRequest, type(None))
INSPECT = Job("goldwatch.worker.jobs.judge:inspect", InspectRequest, GoldenFacts)
REHEARSE = Job("goldwatch.worker.jobs.judge:rehearse", RehearseRequest, RehearseResponse)
JUDGE = Job("goldwatch.worker.jobs.judge:judge", JudgeRequest, JudgeResponse)
PARITY = Job("goldwatch.worker.jobs.parity:parity", ParityRequest, Parity)
AGREEMENT = Job("goldwatch.worker.jobs.parity:agreement", AgreementRequest, Agreement)
SENSITIVITY = Job("goldwatch.worker.jobs.sensitivity:sensitivity", SensitivityRequest, Sensitivity)
DRAW = Job("goldwatch.worker.jobs.draw:draw", DrawRequest, Drawing)
ANSWERS = Job("goldwatch.worker.jobs.answers:answers", AnswersRequest, RerunAnswers)
ACCURACY = Job("goldwatch.worker.jobs.accuracy:accuracy", AccuracyRequest, AccuracyResponse)
KEEP: Job[KeepRequest, None] = Job("goldwatch.worker.jobs.calibrate:keep", KeepRequest, type(None))
FREEZE = Job("goldwatch.worker.jobs.calibrate:frozen", FreezeRequest, Calibrated)
FREEZE_EXAMPLES = Job("goldwatch.worker.jobs.examples:frozen", FreezeExamplesRequest, ExampleNotes)
COMPARE_WITH_CHANCE = Job("goldwatch.worker.jobs.labels:compare_with_chance", ChanceRequest, ChanceResponse)
GAPS: Job[GapsRequest, None] = Job("goldwatch.worker.jobs.memory:gaps", GapsRequest, type(None))
EXHIBIT = Job("goldwatch.worker.jobs.exhibit:exhibit", ExhibitRequest, Exhibit)
MEMORY = Job("goldwatch.worker.jobs.memory:judged", MemoryRequest, MemoryResponse)
