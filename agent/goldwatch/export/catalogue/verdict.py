"""Evidence, verdicts and alerts."""

from __future__ import annotations

from goldwatch.export.metric import WATCH, Essential, Kind, Metric

EVIDENCE = Metric(
    "goldwatch_evidence_log10",
    "goldwatch.evidence.log10",
    Kind.GAUGE,
    "",
    (*WATCH, "monitor"),
    "Evidence for a change, as log10 of the monitor's e-value. Absent for a monitor that states facts.",
    group=WATCH,
    essential=Essential(),
)
EVIDENCE_THRESHOLD = Metric(
    "goldwatch_evidence_threshold_log10",
    "goldwatch.evidence.threshold.log10",
    Kind.GAUGE,
    "",
    (*WATCH, "monitor"),
    "The evidence at which the monitor alerts, which follows from the false-alarm budget.",
    group=WATCH,
    essential=Essential(),
)
VERDICT = Metric(
    "goldwatch_verdict",
    "goldwatch.verdict",
    Kind.GAUGE,
    "",
    (*WATCH, "monitor", "state"),
    "The monitor's state after the last replay: 1 for its state, 0 for the others. Unknown is not good.",
    group=WATCH,
    essential=Essential(nonzero=True),
)
ALERT_ACTIVE = Metric(
    "goldwatch_alert_active",
    "goldwatch.alert.active",
    Kind.GAUGE,
    "",
    (*WATCH, "severity", "monitor"),
    "1 for each monitor of an open alert that calls people with this severity; 0, without a monitor, if there is none.",
    group=WATCH,
    essential=Essential(),
)
ALERT_SILENCED = Metric(
    "goldwatch_alert_silenced",
    "goldwatch.alert.silenced",
    Kind.GAUGE,
    "",
    (*WATCH, "severity"),
    "Whether an alert of this severity is open and silenced: by a silence, a rollout, or one about the same cause.",
    essential=Essential(nonzero=True),
)
ALERT_INFO = Metric(
    "goldwatch_alert_info",
    "goldwatch.alert.info",
    Kind.INFO,
    "",
    (*WATCH, "headline", "action", "command", "page", "runbook"),
    "The open alert: what has happened, the first thing to do with its command, and links. All empty if none is open.",
    group=WATCH,
    essential=Essential(),
)
ALERT_NUMBER = Metric(
    "goldwatch_alert_number",
    "goldwatch.alert.number",
    Kind.GAUGE,
    "",
    WATCH,
    "The number of the open alert on its page and in the ledger; 0 while none is open.",
    essential=Essential(nonzero=True),
)
