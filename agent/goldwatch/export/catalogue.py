"""The one catalogue of metrics: Prometheus, OTLP, dashboards, alert rules and docs/metrics.md are made from it.

Numbers are values and never labels; quantiles come from the histogram. A ratio is between 0 and 1.
"""

from __future__ import annotations

from goldwatch.export.metric import Kind, Metric

_WATCH = ("watch", "target")

BUILD_INFO = Metric(
    "goldwatch_build_info",
    "goldwatch.build.info",
    Kind.INFO,
    "",
    ("version", "python"),
    "The goldwatch that runs, and on which Python.",
    group=(),
)
RELOAD_SUCCESSFUL = Metric(
    "goldwatch_config_last_reload_successful",
    "goldwatch.config.last_reload_successful",
    Kind.GAUGE,
    "",
    (),
    "Whether the last attempt to load the config succeeded (1) or the config before it is still in force (0).",
)
RELOAD_SUCCESS_TIMESTAMP = Metric(
    "goldwatch_config_last_reload_success_timestamp_seconds",
    "goldwatch.config.last_reload_success_timestamp",
    Kind.GAUGE,
    "s",
    (),
    "Unix time at which the config in force was loaded.",
)

TARGET_INFO = Metric(
    "goldwatch_target_info",
    "goldwatch.target.info",
    Kind.INFO,
    "",
    (*_WATCH, "probe", "model", "version", "framework", "framework_version", "device", "digest"),
    "What the target last said that it is; a label is empty where it does not say.",
    group=_WATCH,
)
TARGET_OPEN = Metric(
    "goldwatch_target_open_seconds",
    "goldwatch.target.open",
    Kind.GAUGE,
    "s",
    _WATCH,
    "How long it last took to load the model or connect to its server.",
)
GOLDEN_INFO = Metric(
    "goldwatch_golden_info",
    "goldwatch.golden.info",
    Kind.INFO,
    "",
    (*_WATCH, "golden", "task", "digest"),
    "The golden set that is replayed, and the beginning of its digest.",
    group=_WATCH,
)
GOLDEN_EXAMPLES = Metric(
    "goldwatch_golden_examples",
    "goldwatch.golden.examples",
    Kind.GAUGE,
    "{example}",
    _WATCH,
    "Examples in the golden set.",
)

REPLAYS = Metric(
    "goldwatch_replays_total",
    "goldwatch.replays",
    Kind.COUNTER,
    "{replay}",
    (*_WATCH, "validity"),
    "Replays that ended. Only a valid one is judged whole.",
)
REPLAYS_SKIPPED = Metric(
    "goldwatch_replays_skipped_total",
    "goldwatch.replays.skipped",
    Kind.COUNTER,
    "{replay}",
    (*_WATCH, "reason"),
    "Replays that were due and did not take place, or failed in goldwatch itself.",
)
REPLAY_TIMESTAMP = Metric(
    "goldwatch_replay_last_timestamp_seconds",
    "goldwatch.replay.last_timestamp",
    Kind.GAUGE,
    "s",
    _WATCH,
    "Unix time at which the last replay started.",
)
REPLAY_VALID_TIMESTAMP = Metric(
    "goldwatch_replay_last_valid_timestamp_seconds",
    "goldwatch.replay.last_valid_timestamp",
    Kind.GAUGE,
    "s",
    _WATCH,
    "Unix time at which the last valid replay started. Scores are as old as this.",
)
REPLAY_DURATION = Metric(
    "goldwatch_replay_last_duration_seconds",
    "goldwatch.replay.last_duration",
    Kind.GAUGE,
    "s",
    _WATCH,
    "How long the last replay took.",
)
REPLAY_LATENESS = Metric(
    "goldwatch_replay_last_lateness_seconds",
    "goldwatch.replay.last_lateness",
    Kind.GAUGE,
    "s",
    _WATCH,
    "How long after its scheduled time the last replay started.",
)
REPLAY_THROUGHPUT = Metric(
    "goldwatch_replay_examples_per_second",
    "goldwatch.replay.examples",
    Kind.GAUGE,
    "{example}/s",
    _WATCH,
    "Answered examples per second in the last replay that had an answer.",
)

REQUESTS = Metric(
    "goldwatch_requests_total",
    "goldwatch.requests",
    Kind.COUNTER,
    "{request}",
    (*_WATCH, "outcome"),
    "Requests of replays by how they ended; not_sent are those that a replay cut short had still to send.",
)
REQUEST_LATENCY = Metric(
    "goldwatch_request_latency_seconds",
    "goldwatch.request.latency",
    Kind.HISTOGRAM,
    "s",
    _WATCH,
    "Latency of answered requests, without warm-up; from the intended time of sending for open loads.",
    buckets=(1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
FIRST_REQUEST = Metric(
    "goldwatch_request_first_latency_seconds",
    "goldwatch.request.first_latency",
    Kind.GAUGE,
    "s",
    _WATCH,
    "Latency of the first request after the target was last opened, which is not in the histogram.",
)

SCORE = Metric(
    "goldwatch_score_ratio",
    "goldwatch.score",
    Kind.GAUGE,
    "1",
    (*_WATCH, "score"),
    "The last known score of the target on its golden set.",
    group=_WATCH,
)
SCORE_LOW = Metric(
    "goldwatch_score_low_ratio",
    "goldwatch.score.low",
    Kind.GAUGE,
    "1",
    (*_WATCH, "score"),
    "The lower bound of the score's 95 % interval over examples.",
    group=_WATCH,
)
SCORE_HIGH = Metric(
    "goldwatch_score_high_ratio",
    "goldwatch.score.high",
    Kind.GAUGE,
    "1",
    (*_WATCH, "score"),
    "The upper bound of the score's 95 % interval over examples.",
    group=_WATCH,
)
SCORE_REFERENCE = Metric(
    "goldwatch_score_reference_ratio",
    "goldwatch.score.reference",
    Kind.GAUGE,
    "1",
    (*_WATCH, "score"),
    "The same score of the reference outputs, where it has a meaning.",
    group=_WATCH,
)
SCORE_EXAMPLES = Metric(
    "goldwatch_score_examples",
    "goldwatch.score.examples",
    Kind.GAUGE,
    "{example}",
    (*_WATCH, "score"),
    "Examples that the score rests on.",
    group=_WATCH,
)

EXAMPLES_COMPARED = Metric(
    "goldwatch_examples_compared",
    "goldwatch.examples.compared",
    Kind.GAUGE,
    "{example}",
    _WATCH,
    "Golden examples that were answered in the last replay and so compared with the reference.",
)
EXAMPLES_MOVED = Metric(
    "goldwatch_examples_moved",
    "goldwatch.examples.moved",
    Kind.GAUGE,
    "{example}",
    _WATCH,
    "Compared examples with an output beyond the golden set's tolerance.",
)
EXAMPLES_FLIPPED = Metric(
    "goldwatch_examples_flipped",
    "goldwatch.examples.flipped",
    Kind.GAUGE,
    "{example}",
    (*_WATCH, "effect"),
    "Compared examples in another class than in the reference: harmful were right, helpful are right now, neutral are "
    "wrong in both.",
)

EVIDENCE = Metric(
    "goldwatch_evidence_log10",
    "goldwatch.evidence.log10",
    Kind.GAUGE,
    "",
    (*_WATCH, "monitor"),
    "Evidence for a change, as log10 of the monitor's e-value. Absent for a monitor that states facts.",
    group=_WATCH,
)
EVIDENCE_THRESHOLD = Metric(
    "goldwatch_evidence_threshold_log10",
    "goldwatch.evidence.threshold.log10",
    Kind.GAUGE,
    "",
    (*_WATCH, "monitor"),
    "The evidence at which the monitor alerts, which follows from the false-alarm budget.",
    group=_WATCH,
)
VERDICT = Metric(
    "goldwatch_verdict",
    "goldwatch.verdict",
    Kind.GAUGE,
    "",
    (*_WATCH, "monitor", "state"),
    "What the monitor says after the last replay: 1 for its state, 0 for the others. Unknown is not good.",
    group=_WATCH,
)
ALERT_ACTIVE = Metric(
    "goldwatch_alert_active",
    "goldwatch.alert.active",
    Kind.GAUGE,
    "",
    (*_WATCH, "severity"),
    "Whether an alert of this severity is open and calls somebody (1) or not (0).",
)
ALERT_SILENCED = Metric(
    "goldwatch_alert_silenced",
    "goldwatch.alert.silenced",
    Kind.GAUGE,
    "",
    (*_WATCH, "severity"),
    "Whether an alert of this severity is open and silenced: by a silence, a rollout, or one about the same cause.",
)

CATALOGUE: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
"""All metrics, in the order in which they are shown."""
