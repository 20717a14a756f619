"""What the answers of language models were made of. Only watches of such models have these."""

from __future__ import annotations

from goldwatch.export.metric import WATCH, Kind, Metric

TOKENS = Metric(
    "goldwatch_tokens_total",
    "goldwatch.tokens",
    Kind.COUNTER,
    "{token}",
    (*WATCH, "type"),
    "Tokens of answered requests, as the server counts them: input and output.",
)
ANSWERS_FINISHED = Metric(
    "goldwatch_answers_finished_total",
    "goldwatch.answers.finished",
    Kind.COUNTER,
    "{answer}",
    (*WATCH, "finish"),
    "Answers by why the model stopped: stop, length, or other.",
)
FIRST_TOKEN = Metric(
    "goldwatch_time_to_first_token_seconds",
    "goldwatch.time_to_first_token",
    Kind.HISTOGRAM,
    "s",
    WATCH,
    "Time from sending a request to the first text of its answer; only of streamed answers.",
    buckets=(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60),
)
OUTPUT_TOKEN = Metric(
    "goldwatch_time_per_output_token_seconds",
    "goldwatch.time_per_output_token",
    Kind.HISTOGRAM,
    "s",
    WATCH,
    "Mean time of an answer's output tokens after the first; only of streamed answers.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5),
)
