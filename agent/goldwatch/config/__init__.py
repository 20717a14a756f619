"""The config, `goldwatch.yaml`: what a user writes, checked as a whole, as the types that the agent works by.

`load` reads a file into a `Config`, or raises a `ConfigError` with all that is wrong with it.
"""

from goldwatch.config.costs import CostObjective
from goldwatch.config.listening import Defaults, with_defaults, written_prometheus
from goldwatch.config.load import load
from goldwatch.config.model import Config, Golden, OptionValues, Target, Watch
from goldwatch.config.probes import EntryPointLike, Probes, installed_probes
from goldwatch.config.problem import ConfigError, Problem, Rejection, UnreadableConfig
from goldwatch.config.quantities import (
    LatencyObjective,
    Listen,
    QuantityError,
    format_duration,
    format_figure,
    format_latency,
    format_moment,
    format_percentage,
    format_points,
    format_rate,
    format_request_rate,
    format_seconds,
    format_span,
    parse_duration,
    parse_host,
    parse_listen,
    parse_moment,
    parse_percentage,
    parse_request_rate,
)
from goldwatch.config.schedule import Schedule, cron_lines, format_schedule, timezone
from goldwatch.config.schema import json_schema
from goldwatch.config.sections import (
    Alerts,
    Cluster,
    Exporters,
    Lease,
    Log,
    MetricsLevel,
    Objectives,
    Otlp,
    Prometheus,
    Replays,
    SilenceEntry,
)
from goldwatch.config.traffic import Load

__all__ = [
    "Alerts",
    "Cluster",
    "Config",
    "ConfigError",
    "CostObjective",
    "Defaults",
    "EntryPointLike",
    "Exporters",
    "Golden",
    "LatencyObjective",
    "Lease",
    "Listen",
    "Load",
    "Log",
    "MetricsLevel",
    "Objectives",
    "OptionValues",
    "Otlp",
    "Probes",
    "Problem",
    "Prometheus",
    "QuantityError",
    "Rejection",
    "Replays",
    "Schedule",
    "SilenceEntry",
    "Target",
    "UnreadableConfig",
    "Watch",
    "cron_lines",
    "format_duration",
    "format_figure",
    "format_latency",
    "format_moment",
    "format_percentage",
    "format_points",
    "format_rate",
    "format_request_rate",
    "format_schedule",
    "format_seconds",
    "format_span",
    "installed_probes",
    "json_schema",
    "load",
    "parse_duration",
    "parse_host",
    "parse_listen",
    "parse_moment",
    "parse_percentage",
    "parse_request_rate",
    "timezone",
    "with_defaults",
    "written_prometheus",
]
