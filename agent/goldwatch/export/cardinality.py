"""The maximum number of series of a config, counted from the catalogue: a config that makes too many is refused.

Only the golden sets have the number of slices: before they are opened, none are counted.

Nothing is dropped silently at run time. The count is of the series of /metrics, buckets of histograms included.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from goldwatch.config import Config
from goldwatch.core.judgement import Severity, State, Validity
from goldwatch.core.outcome import Outcome
from goldwatch.core.score_spec import UnscoredReason
from goldwatch.errors import GoldwatchError
from goldwatch.export import catalogue as c
from goldwatch.export.catalogue import CATALOGUE
from goldwatch.export.measurement import Fate, JudgeCall, SkipReason, Step
from goldwatch.export.metric import FACTS, WATCH, Kind, Metric
from goldwatch.probe import TIME_UNKNOWN

MOST_VALUES: Mapping[str, int] = {
    "lease": 1,
    "validity": len(Validity),
    "outcome": len(Outcome),
    "reason": max(len(SkipReason), len(TIME_UNKNOWN), len(UnscoredReason)),
    "time": 2,
    "step": len(Step),
    "check": 2,
    "type": 2,
    "finish": 3,
    "score": 8,
    "call": len(JudgeCall),
    "called": 2,
    "effect": 3,
    "label": 10,
    "answer": 1,  # ten pairs of label and answer
    "monitor": 10,
    "state": len(State),
    "severity": len(Severity),
    "objective": 5,
    "signal": 3,
    "source": 1,
    "attribution": 1,
    "part": 2,
    "currency": 1,
    "per": 1,
    "fate": len(Fate),
    "read": 2,
}
"""How many values each label takes within one watch and target, or one agent; a fact has one at a time."""


_OF_JUDGES = (c.JUDGE_CALLS, c.JUDGE_TOKENS, c.JUDGE_AGREEMENT, c.JUDGE_KAPPA, c.JUDGE_FALSE)
"""The metrics of the scores that have a judge."""

_OF_NAMED_SCORES = (c.SCORE_UNSCORED, c.SLICE_SCORE, c.SLICE_SCORE_REFERENCE, *_OF_JUDGES)
"""The metrics of the scores that a watch names, and of no others."""

_OF_ONE_SCORE = (c.SLICE_GAP, c.SLICE_GAP_REFERENCE)
"""The metrics of the one score of an objective."""

OF_THE_SET = frozenset({"slice", "value"})
"""The labels that together take as many values as a golden set has of all its slices."""

MAX_SLICE_VALUES = 1000
"""More values than this of all slices of a golden set are likely identifiers: no one reads that number of series."""


def check(config: Config, slices: Mapping[str, int] = {}) -> None:
    """Raise GoldwatchError if a config makes more series than it allows.

    `slices` counts the values of all slices of a golden set, by its name in the config.
    """
    found, allowed = series(config, slices), config.exporters.prometheus.most_series
    if found > allowed:
        pairs = sum(len(watch.targets) for watch in config.watches.values())
        who = "1 watched target makes" if pairs == 1 else f"{pairs:,} watched targets make"
        of_slices = found - series(config)
        told = f", {of_slices:,} of them of slices of golden sets" if of_slices else ""
        raise GoldwatchError(
            f"{config.source}: exporters.prometheus.most_series: {who} up to {found:,} series{told}, "
            f"{allowed:,} are allowed; watch fewer targets with one agent, or allow more if Prometheus can take them"
        )


def warnings(slices: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """Yield a warning for each golden set that has too many values of slices.

    `slices` counts the values of each slice by its name, by the name of the golden set.
    """
    per_value = sum(_series_of(metric, 0) for metric in CATALOGUE if set(metric.labels) >= OF_THE_SET)
    for golden, counts in slices.items():
        if (values := sum(counts.values())) > MAX_SLICE_VALUES:
            widest = max(counts, key=lambda name: counts[name])
            yield (
                f"golden.{golden}: its slices have {values:,} values, {counts[widest]:,} of them in {widest}, "
                f"which makes {per_value * values:,} series for each target; build the set without the slice {widest}, "
                f"or group its values into {MAX_SLICE_VALUES:,} at most"
            )


def series(config: Config, slices: Mapping[str, int] = {}) -> int:
    """Return the most series that the agent can expose under a config; `slices` as for `check`.

    A metric of the level *essential* counts in full, since the agent keeps all of its series.
    """
    exported = [m for m in CATALOGUE if config.exporters.metrics == "full" or m.essential is not None]
    found = sum(_series_of(metric, 0) for metric in exported if "watch" not in metric.labels)
    for watch in config.watches.values():
        for metric in (metric for metric in exported if "watch" in metric.labels):
            cut = slices.get(watch.golden, 0) if set(metric.labels) >= OF_THE_SET else 1
            judges = len(watch.judges)
            named = judges if metric in _OF_JUDGES else len(watch.scores)
            if "monitor" in metric.labels:
                named += judges  # each may have a monitor of its own
            found += len(watch.targets) * cut * _series_of(metric, named)
    return found


def _series_of(metric: Metric, scores: int) -> int:
    """Return the most series of a metric within one watch and target, which names so many `scores`.

    Raises KeyError for a label without a bound.
    """
    of_one = ("score",) if metric in _OF_ONE_SCORE else ()
    counted = [label for label in metric.labels if label not in {*WATCH, *FACTS, *OF_THE_SET, *of_one}]
    sizes = math.prod(
        scores if metric in _OF_NAMED_SCORES and label == "score" else _most(label, scores) for label in counted
    )
    return sizes * (len(metric.buckets) + 3 if metric.kind is Kind.HISTOGRAM else 1)


def _most(label: str, scores: int) -> int:
    """Return how many values a label takes; each named score may have a monitor too."""
    return MOST_VALUES[label] + (scores if label in ("score", "monitor") else 0)
