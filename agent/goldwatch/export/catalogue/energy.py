"""Energy, carbon and cost. A series exists only if it was measured, or estimated because the config asks for it."""

from __future__ import annotations

from goldwatch.export.metric import WATCH, Essential, Kind, Metric

_SOURCE = (*WATCH, "source", "attribution", "part")

ENERGY = Metric(
    "goldwatch_energy_joules_total",
    "goldwatch.energy",
    Kind.COUNTER,
    "J",
    _SOURCE,
    "Energy in the windows of measurement: gross is all that was counted, idle what it would have been anyway.",
)
ENERGY_INFERENCES = Metric(
    "goldwatch_energy_inferences_total",
    "goldwatch.energy_inferences",
    Kind.COUNTER,
    "{inference}",
    WATCH,
    "Inferences in the windows of measurement.",
)
ENERGY_INFERENCE = Metric(
    "goldwatch_energy_inference_joules",
    "goldwatch.energy_inference",
    Kind.GAUGE,
    "J",
    _SOURCE,
    "Energy of one inference in the last measurement: gross, and net of the idle power before it.",
    group=WATCH,
    essential=Essential(only=("part", "gross")),
)
ENERGY_INFERENCE_LOW = Metric(
    "goldwatch_energy_inference_low_joules",
    "goldwatch.energy_inference_low",
    Kind.GAUGE,
    "J",
    _SOURCE,
    "The lower bound of its 95 % coverage interval.",
    group=WATCH,
)
ENERGY_INFERENCE_HIGH = Metric(
    "goldwatch_energy_inference_high_joules",
    "goldwatch.energy_inference_high",
    Kind.GAUGE,
    "J",
    _SOURCE,
    "The upper bound of its 95 % coverage interval.",
    group=WATCH,
)
ENERGY_RIGHT_ANSWER = Metric(
    "goldwatch_energy_right_answer_joules",
    "goldwatch.energy_right_answer",
    Kind.GAUGE,
    "J",
    _SOURCE,
    "Energy of one right answer: that of an inference over the accuracy.",
    group=WATCH,
)
ENERGY_OUTPUT_TOKEN = Metric(
    "goldwatch_energy_output_token_joules",
    "goldwatch.energy_output_token",
    Kind.GAUGE,
    "J",
    _SOURCE,
    "Energy of one token that a language model put out in the last measurement.",
    group=WATCH,
)
ENERGY_IDLE_POWER = Metric(
    "goldwatch_energy_idle_watts",
    "goldwatch.energy_idle",
    Kind.GAUGE,
    "W",
    WATCH,
    "Power in the quiet window before the last measurement.",
)
ENERGY_TIMESTAMP = Metric(
    "goldwatch_energy_last_timestamp_seconds",
    "goldwatch.energy_last_timestamp",
    Kind.GAUGE,
    "s",
    WATCH,
    "Unix time of the replay that the last measurement of energy followed.",
)
ENERGY_READINGS_DROPPED = Metric(
    "goldwatch_energy_readings_dropped_total",
    "goldwatch.energy_readings_dropped",
    Kind.COUNTER,
    "{reading}",
    (),
    "Readings of RAPL counters that were dropped because no power explains them. Absent without a section energy.",
)
CARBON_INFERENCE = Metric(
    "goldwatch_carbon_inference_grams",
    "goldwatch.carbon.inference",
    Kind.GAUGE,
    "g",
    WATCH,
    "Grams of CO2e of one inference: its gross energy times the intensity of the grid.",
)
CARBON_RIGHT_ANSWER = Metric(
    "goldwatch_carbon_right_answer_grams",
    "goldwatch.carbon.right_answer",
    Kind.GAUGE,
    "g",
    WATCH,
    "Grams of CO2e of one right answer: that of an inference over the accuracy.",
)
CARBON_OUTPUT_TOKEN = Metric(
    "goldwatch_carbon_output_token_grams",
    "goldwatch.carbon.output_token",
    Kind.GAUGE,
    "g",
    WATCH,
    "Grams of CO2e of one output token.",
)
COST_INFERENCE = Metric(
    "goldwatch_cost_inference",
    "goldwatch.cost.inference",
    Kind.GAUGE,
    "",
    (*WATCH, "currency"),
    "Cost of one inference by the prices of the config.",
    group=WATCH,
    essential=Essential(),
)
COST_RIGHT_ANSWER = Metric(
    "goldwatch_cost_right_answer",
    "goldwatch.cost.right_answer",
    Kind.GAUGE,
    "",
    (*WATCH, "currency"),
    "Cost of one right answer: that of an inference over the accuracy.",
    group=WATCH,
)
COST_OUTPUT_TOKEN = Metric(
    "goldwatch_cost_output_token",
    "goldwatch.cost.output_token",
    Kind.GAUGE,
    "",
    (*WATCH, "currency"),
    "Cost of one output token, with its share of the input that it answers.",
    group=WATCH,
)
