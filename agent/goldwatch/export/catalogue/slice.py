"""The slices of a golden set, one by one: an accuracy that holds as a whole may hide one that has fallen."""

from __future__ import annotations

from goldwatch.export.metric import WATCH, Kind, Metric

_SLICE = (*WATCH, "slice", "value")

SLICE_RIGHT = Metric(
    "goldwatch_slice_right_ratio",
    "goldwatch.slice.right",
    Kind.GAUGE,
    "1",
    _SLICE,
    "The share of the answered examples of a slice that was right in the last replay; of embeddings, within tolerance.",
    group=WATCH,
)
SLICE_REFERENCE = Metric(
    "goldwatch_slice_reference_right_ratio",
    "goldwatch.slice.reference.right",
    Kind.GAUGE,
    "1",
    _SLICE,
    "The share of the same examples that is usually right, by the replays of the validated model.",
    group=WATCH,
)
SLICE_SCORE = Metric(
    "goldwatch_slice_score",
    "goldwatch.slice.score",
    Kind.GAUGE,
    "",
    (*_SLICE, "score"),
    "The mean of a score of the config over the examples of a slice in the last replay, in the units of the score.",
    group=WATCH,
)
SLICE_SCORE_REFERENCE = Metric(
    "goldwatch_slice_score_reference",
    "goldwatch.slice.score_reference",
    Kind.GAUGE,
    "",
    (*_SLICE, "score"),
    "The mean of the same score over the same examples in the replays of the validated model.",
    group=WATCH,
)
SLICE_GAP = Metric(
    "goldwatch_slice_gap",
    "goldwatch.slice.gap",
    Kind.GAUGE,
    "",
    (*WATCH, "score", "slice"),
    "The difference of a score between the values of a slice with the highest and the lowest mean, in the units of the "
    "score, where the watch has an objective for it.",
    group=WATCH,
)
SLICE_GAP_REFERENCE = Metric(
    "goldwatch_slice_gap_reference",
    "goldwatch.slice.gap_reference",
    Kind.GAUGE,
    "",
    (*WATCH, "score", "slice"),
    "The same difference in the replays of the validated model.",
    group=WATCH,
)
SLICE_EXAMPLES = Metric(
    "goldwatch_slice_examples",
    "goldwatch.slice.examples",
    Kind.GAUGE,
    "{example}",
    _SLICE,
    "Examples of a slice that were answered in the last replay.",
    group=WATCH,
)
