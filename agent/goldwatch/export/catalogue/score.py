"""Scores, with the bounds of their intervals."""

from __future__ import annotations

from goldwatch.export.metric import WATCH, Essential, Kind, Metric

SCORE = Metric(
    "goldwatch_score",
    "goldwatch.score",
    Kind.GAUGE,
    "",
    (*WATCH, "score"),
    "The last known score of the target on its golden set, in the units of the score.",
    group=WATCH,
    essential=Essential(),
)
SCORE_LOW = Metric(
    "goldwatch_score_low",
    "goldwatch.score_low",
    Kind.GAUGE,
    "",
    (*WATCH, "score"),
    "The lower bound of the score's 95 % interval over examples.",
    group=WATCH,
)
SCORE_HIGH = Metric(
    "goldwatch_score_high",
    "goldwatch.score_high",
    Kind.GAUGE,
    "",
    (*WATCH, "score"),
    "The upper bound of the score's 95 % interval over examples.",
    group=WATCH,
)
SCORE_REFERENCE = Metric(
    "goldwatch_score_reference",
    "goldwatch.score_reference",
    Kind.GAUGE,
    "",
    (*WATCH, "score"),
    "The mean of the same score over all replays of the reference, where the golden set keeps it.",
    group=WATCH,
    essential=Essential(),
)
SCORE_UNSCORED = Metric(
    "goldwatch_score_unscored_total",
    "goldwatch.score_unscored",
    Kind.COUNTER,
    "{example}",
    (*WATCH, "score", "reason"),
    "Answered examples without a number from a score of the config, by reason.",
)
SCORE_EXAMPLES = Metric(
    "goldwatch_score_examples",
    "goldwatch.score_examples",
    Kind.GAUGE,
    "{example}",
    (*WATCH, "score"),
    "Examples that the score rests on.",
    group=WATCH,
)
JUDGE_CALLS = Metric(
    "goldwatch_judge_calls_total",
    "goldwatch.judge_calls",
    Kind.COUNTER,
    "{call}",
    (*WATCH, "score", "call"),
    "Answers that the judge of a score was to grade: graded by a call, reused from an earlier one, or failed.",
)
JUDGE_AGREEMENT = Metric(
    "goldwatch_judge_agreement_ratio",
    "goldwatch.judge_agreement",
    Kind.GAUGE,
    "1",
    (*WATCH, "score"),
    "The share of the answers graded by people that the judge of a score calls good or bad as they do, when the "
    "reference was taken.",
    group=WATCH,
)
JUDGE_KAPPA = Metric(
    "goldwatch_judge_kappa",
    "goldwatch.judge_kappa",
    Kind.GAUGE,
    "",
    (*WATCH, "score"),
    "Cohen's kappa of the judge of a score and people, over the same answers.",
    group=WATCH,
)
JUDGE_FALSE = Metric(
    "goldwatch_judge_false_ratio",
    "goldwatch.judge_false",
    Kind.GAUGE,
    "1",
    (*WATCH, "score", "called"),
    "The share of the answers that people call bad and the judge calls good, or that they call good and it calls bad.",
    group=WATCH,
)
JUDGE_TOKENS = Metric(
    "goldwatch_judge_tokens_total",
    "goldwatch.judge_tokens",
    Kind.COUNTER,
    "{token}",
    (*WATCH, "score", "type"),
    "Tokens of the calls to the judge of a score, as its server counts them: input and output.",
)
