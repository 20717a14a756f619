"""Tokens and times of language models' answers. Only watches of such models have these."""

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
    "Time from sending a request to the first text of its answer, reasoning included; only where it is known.",
    buckets=(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60),
)
OUTPUT_TOKEN = Metric(
    "goldwatch_time_per_output_token_seconds",
    "goldwatch.time_per_output_token",
    Kind.HISTOGRAM,
    "s",
    WATCH,
    "Mean time between the output tokens of an answer; only where it is known.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5),
)
TOKEN_GAP = Metric(
    "goldwatch_inter_token_latency_seconds",
    "goldwatch.inter_token_latency",
    Kind.HISTOGRAM,
    "s",
    WATCH,
    "Time between pieces of text that followed each other in an answer; at most 64 of each answer.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 10),
)
LONGEST_TOKEN_GAP = Metric(
    "goldwatch_longest_token_gap_seconds",
    "goldwatch.longest_token_gap",
    Kind.GAUGE,
    "s",
    WATCH,
    "Longest known time between pieces of text of an answer in the last replay: a stall shows here.",
)
TOKEN_TIMES_UNKNOWN = Metric(
    "goldwatch_token_times_unknown_total",
    "goldwatch.token_times.unknown",
    Kind.COUNTER,
    "{answer}",
    (*WATCH, "time", "reason"),
    "Answers without a time to the first token (time=first) or between tokens (time=next), by reason: whole (not "
    "streamed), together (tokens received at once), count (tokens not counted as streamed), choices (several).",
)
