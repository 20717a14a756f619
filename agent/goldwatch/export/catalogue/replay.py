"""Replays: whether they took place, when, and how fast they went."""

from __future__ import annotations

from goldwatch.export.metric import WATCH, Essential, Kind, Metric

REPLAYS = Metric(
    "goldwatch_replays_total",
    "goldwatch.replays",
    Kind.COUNTER,
    "{replay}",
    (*WATCH, "validity"),
    "Replays that ended. Only a valid one is judged whole.",
    essential=Essential(),
)
REPLAYS_SKIPPED = Metric(
    "goldwatch_replays_skipped_total",
    "goldwatch.replays_skipped",
    Kind.COUNTER,
    "{replay}",
    (*WATCH, "reason"),
    "Replays that were due and did not take place, or failed in goldwatch itself.",
    essential=Essential(kept=("reason", "internal_error", "waiting"), rest="other"),
)
REPLAY_TIMESTAMP = Metric(
    "goldwatch_replay_last_timestamp_seconds",
    "goldwatch.replay.last_timestamp",
    Kind.GAUGE,
    "s",
    WATCH,
    "Unix time at which the last replay started.",
)
REPLAY_VALID_TIMESTAMP = Metric(
    "goldwatch_replay_last_valid_timestamp_seconds",
    "goldwatch.replay.last_valid_timestamp",
    Kind.GAUGE,
    "s",
    WATCH,
    "Unix time at which the last valid replay started. Scores are as old as this.",
    essential=Essential(),
)
REPLAY_DURATION = Metric(
    "goldwatch_replay_last_duration_seconds",
    "goldwatch.replay.last_duration",
    Kind.GAUGE,
    "s",
    WATCH,
    "How long the last replay took.",
)
REPLAY_LATENESS = Metric(
    "goldwatch_replay_last_lateness_seconds",
    "goldwatch.replay.last_lateness",
    Kind.GAUGE,
    "s",
    WATCH,
    "How long after its scheduled time the last replay started.",
)
REPLAY_THROUGHPUT = Metric(
    "goldwatch_replay_examples_per_second",
    "goldwatch.replay.examples",
    Kind.GAUGE,
    "{example}/s",
    WATCH,
    "Answered examples per second in the last replay that had an answer.",
)
REPLAY_NEXT = Metric(
    "goldwatch_replay_next_timestamp_seconds",
    "goldwatch.replay.next_timestamp",
    Kind.GAUGE,
    "s",
    WATCH,
    "Unix time at which, after the last replay or the start, the next was due. In the past, it is overdue.",
    essential=Essential(),
)
CHECK_FAILED = Metric(
    "goldwatch_referee_check_failed",
    "goldwatch.referee.check_failed",
    Kind.GAUGE,
    "",
    (*WATCH, "check"),
    "1 if a check of the referee failed when it was last made: repeats finds caches, lengths answers that shrank.",
)
