"""How busy the targets say that they are, how often goldwatch stepped back, and what is left of budgets of energy."""

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
    "Replays for which goldwatch waited, which it held, or which it skipped, because the target had no room.",
)
ENERGY_BUDGET = Metric(
    "goldwatch_energy_budget_joules",
    "goldwatch.energy_budget",
    Kind.GAUGE,
    "J",
    WATCH,
    "The budget of net energy, in its own minute, hour or day: that of the watch or of its target, the fuller one.",
)
ENERGY_BUDGET_TAKEN = Metric(
    "goldwatch_energy_budget_taken_joules",
    "goldwatch.energy_budget_taken",
    Kind.GAUGE,
    "J",
    WATCH,
    "How much of that budget was taken after the last replay, or when it was skipped.",
)
ENERGY_BUDGET_UNKNOWN = Metric(
    "goldwatch_energy_budget_unknown",
    "goldwatch.energy_budget_unknown",
    Kind.GAUGE,
    "",
    WATCH,
    "1 if the budget is not kept, because no measurement has told yet what a request takes.",
)
ENERGY_CHARGED = Metric(
    "goldwatch_energy_charged_joules_total",
    "goldwatch.energy_charged",
    Kind.COUNTER,
    "J",
    WATCH,
    "Net energy that replays and measurements of energy were charged with, where there is a budget.",
)
