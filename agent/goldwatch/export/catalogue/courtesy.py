"""How busy the targets report to be, how often goldwatch stepped back, and what is left of budgets of energy."""

from __future__ import annotations

from goldwatch.export.metric import WATCH, Kind, Metric

TARGET_LOAD = Metric(
    "goldwatch_target_load",
    "goldwatch.target.load",
    Kind.GAUGE,
    "",
    WATCH,
    "How busy the target was at most, before and during the last replay, by what its section busy names.",
)
TARGET_LOAD_LIMIT = Metric(
    "goldwatch_target_load_limit",
    "goldwatch.target.load_limit",
    Kind.GAUGE,
    "",
    WATCH,
    "The load above which goldwatch steps back.",
)
TARGET_LOAD_UNREADABLE = Metric(
    "goldwatch_target_load_unreadable",
    "goldwatch.target.load_unreadable",
    Kind.GAUGE,
    "",
    WATCH,
    "1 if the load of the target could not be read at the last replay, which then went on as if there were room.",
)
STEPPED_BACK = Metric(
    "goldwatch_replays_stepped_back_total",
    "goldwatch.replays_stepped_back",
    Kind.COUNTER,
    "{replay}",
    (*WATCH, "step"),
    "Replays that goldwatch delayed, held, or skipped, because the target had no room.",
)
