"""The examples of the last replay against their reference outputs."""

from __future__ import annotations

from goldwatch.export.metric import WATCH, Essential, Kind, Metric

EXAMPLES_COMPARED = Metric(
    "goldwatch_examples_compared",
    "goldwatch.examples.compared",
    Kind.GAUGE,
    "{example}",
    WATCH,
    "Golden examples that were answered in the last replay and so compared with the reference.",
)
EXAMPLES_MOVED = Metric(
    "goldwatch_examples_moved",
    "goldwatch.examples.moved",
    Kind.GAUGE,
    "{example}",
    WATCH,
    "Compared examples with an output beyond the golden set's tolerance.",
)
EXAMPLES_FLIPPED = Metric(
    "goldwatch_examples_flipped",
    "goldwatch.examples.flipped",
    Kind.GAUGE,
    "{example}",
    (*WATCH, "effect"),
    "Compared examples in another class than in the reference: harmful were right, helpful are right now, neutral are "
    "wrong in both.",
    essential=Essential(nonzero=True),
)
EXAMPLES_CONFUSED = Metric(
    "goldwatch_examples_confused",
    "goldwatch.examples.confused",
    Kind.GAUGE,
    "{example}",
    (*WATCH, "label", "answer"),
    "Examples of a classifier with a wrong answer instead of their label, for up to ten mistakes with examples that "
    "the reference answers rightly, those beyond chance first; 0, with empty labels, if there is none.",
    group=WATCH,
)
OUTPUT_DISTANCE = Metric(
    "goldwatch_output_distance_ratio",
    "goldwatch.output.distance",
    Kind.GAUGE,
    "1",
    WATCH,
    "Mean distance of the answers from those of the reference, from 0 to 1, where there is an objective for outputs.",
    group=WATCH,
)
