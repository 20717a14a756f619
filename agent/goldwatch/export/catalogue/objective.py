"""Objectives: how often a watch replays, and the model's limits. Rules and dashboards compare with these."""

from __future__ import annotations

from goldwatch.export.metric import WATCH, Essential, Kind, Metric

WATCH_INTERVAL = Metric(
    "goldwatch_watch_interval_seconds",
    "goldwatch.watch.interval",
    Kind.GAUGE,
    "s",
    WATCH,
    "The time between two replays; for a cron line the mean.",
    essential=Essential(),
)
OBJECTIVE = Metric(
    "goldwatch_objective_ratio",
    "goldwatch.objective",
    Kind.GAUGE,
    "1",
    (*WATCH, "objective"),
    "What is allowed: the share of requests that may fail, or be slower than the latency objective, the loss of "
    "accuracy, the mean distance of the outputs, and the difference between values of a slice (gap), or how much that "
    "may grow (gap_growth), as a share of the scale. Absent where nothing is stated.",
    group=WATCH,
    essential=Essential(only=("objective", "accuracy_loss", "latency", "outputs")),
)
OBJECTIVE_LATENCY = Metric(
    "goldwatch_objective_latency_seconds",
    "goldwatch.objective_latency",
    Kind.GAUGE,
    "s",
    WATCH,
    "The latency that all but the allowed share of requests must keep; +Inf without such an objective.",
    essential=Essential(),
)
OBJECTIVE_ENERGY = Metric(
    "goldwatch_objective_energy_joules",
    "goldwatch.objective_energy",
    Kind.GAUGE,
    "J",
    (*WATCH, "per"),
    "The most gross joules that an inference, a right answer or an output token may take. Absent where none is stated.",
    group=WATCH,
    essential=Essential(),
)
OBJECTIVE_COST = Metric(
    "goldwatch_objective_cost",
    "goldwatch.objective_cost",
    Kind.GAUGE,
    "",
    (*WATCH, "per", "currency"),
    "The most that an inference, a right answer or an output token may cost. Absent where nothing is stated.",
    group=WATCH,
    essential=Essential(),
)
