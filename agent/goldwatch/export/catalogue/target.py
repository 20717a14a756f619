"""The target and the golden set of each watch."""

from __future__ import annotations

from goldwatch.export.metric import WATCH, Essential, Kind, Metric

TARGET_INFO = Metric(
    "goldwatch_target_info",
    "goldwatch.target.info",
    Kind.INFO,
    "",
    (*WATCH, "probe", "model", "version", "framework", "framework_version", "device", "digest"),
    "The last reported identity of the target; a label is empty if it reports none.",
    group=WATCH,
    essential=Essential(),
)
TARGET_OPEN = Metric(
    "goldwatch_target_open_seconds",
    "goldwatch.target.open",
    Kind.GAUGE,
    "s",
    WATCH,
    "How long it last took to load the model or connect to its server.",
)
GOLDEN_INFO = Metric(
    "goldwatch_golden_info",
    "goldwatch.golden.info",
    Kind.INFO,
    "",
    (*WATCH, "golden", "task", "digest"),
    "The golden set that is replayed, and the beginning of its digest.",
    group=WATCH,
    essential=Essential(),
)
GOLDEN_EXAMPLES = Metric(
    "goldwatch_golden_examples",
    "goldwatch.golden.examples",
    Kind.GAUGE,
    "{example}",
    WATCH,
    "Examples in the golden set.",
)
