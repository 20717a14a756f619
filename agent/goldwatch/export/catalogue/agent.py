"""goldwatch itself: its version and its config."""

from __future__ import annotations

from goldwatch.export.metric import Essential, Kind, Metric

BUILD_INFO = Metric(
    "goldwatch_build_info",
    "goldwatch.build.info",
    Kind.INFO,
    "",
    ("version", "python"),
    "The goldwatch that runs, and on which Python.",
    group=(),
    essential=Essential(),
)
EXTERNAL_URL = Metric(
    "goldwatch_external_url_info",
    "goldwatch.external_url.info",
    Kind.INFO,
    "",
    ("address",),
    "The address of the agent's pages for people; empty if the config has none.",
    group=(),
    essential=Essential(),
)
RELOAD_SUCCESSFUL = Metric(
    "goldwatch_config_last_reload_successful",
    "goldwatch.config.last_reload_successful",
    Kind.GAUGE,
    "",
    (),
    "Whether the last attempt to load the config succeeded (1). If not (0), the agent uses the one before, if any.",
    essential=Essential(),
)
RELOAD_SUCCESS_TIMESTAMP = Metric(
    "goldwatch_config_last_reload_success_timestamp_seconds",
    "goldwatch.config.last_reload_success_timestamp",
    Kind.GAUGE,
    "s",
    (),
    "Unix time at which the current config was loaded.",
    essential=Essential(),
)
REJECTED = Metric(
    "goldwatch_config_rejected",
    "goldwatch.config.rejected",
    Kind.GAUGE,
    "",
    ("reason",),
    "Whether the last attempt to load the config was refused (1), by reason. All are 0 if it was not.",
    essential=Essential(),
)
REJECTED_TIMESTAMP = Metric(
    "goldwatch_config_rejected_timestamp_seconds",
    "goldwatch.config.rejected_timestamp",
    Kind.GAUGE,
    "s",
    (),
    "Unix time since which every attempt to load the config has been refused; 0 if the last one was not.",
    essential=Essential(),
)
CLOCK = Metric(
    "goldwatch_clock_timestamp_seconds",
    "goldwatch.clock.timestamp",
    Kind.GAUGE,
    "s",
    (),
    "Unix time of the agent's own clock at the scrape. Compare timestamps with it, not with time(): clocks differ.",
    essential=Essential(),
)
LEADER = Metric(
    "goldwatch_leader",
    "goldwatch.leader",
    Kind.GAUGE,
    "",
    ("lease",),
    "Whether this replica, of agents or operators, holds the lease and acts (1) or waits (0). Absent without a lease.",
    essential=Essential(),
)
LEASE_ERRORS = Metric(
    "goldwatch_lease_errors_total",
    "goldwatch.lease.errors",
    Kind.COUNTER,
    "{error}",
    ("lease",),
    "Attempts to take or renew the lease that failed at the API server. Absent without a lease.",
    essential=Essential(),
)
PUSHES_FAILED = Metric(
    "goldwatch_pushes_failed_total",
    "goldwatch.pushes.failed",
    Kind.COUNTER,
    "{push}",
    ("signal",),
    "Pushes that an OpenTelemetry collector did not take. Absent without a collector.",
    essential=Essential(),
)
RECORDS_LOST = Metric(
    "goldwatch_pushes_records_lost_total",
    "goldwatch.pushes.records_lost",
    Kind.COUNTER,
    "{record}",
    ("signal",),
    "Log records and spans that were given up, because their queue was full or their push failed; and log records, "
    "spans and data points of metrics that the collector rejected in a push that it took. Absent without a collector.",
    essential=Essential(),
)
REPLAY_SLOTS = Metric(
    "goldwatch_replay_slots",
    "goldwatch.replay.slots",
    Kind.GAUGE,
    "{replay}",
    (),
    "How many replays may run at once: replays.concurrent of the config.",
    essential=Essential(),
)
REPLAY_SLOTS_BUSY = Metric(
    "goldwatch_replay_slots_busy_seconds_total",
    "goldwatch.replay.slots_busy",
    Kind.COUNTER,
    "s",
    (),
    "Seconds in which replays ran, summed over the slots; a replay that has the machine for itself takes all slots. "
    "Its rate, divided by goldwatch_replay_slots, is the share of the agent that is in use.",
    essential=Essential(),
)
REPLAYS_WAITING = Metric(
    "goldwatch_replays_waiting",
    "goldwatch.replays_waiting",
    Kind.GAUGE,
    "{replay}",
    (),
    "Replays that are due and wait for a slot, or for another replay on their server.",
    essential=Essential(),
)
