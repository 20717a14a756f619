"""What a monitor says after a replay."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """The states of a monitor. *Unknown* is no evidence either way, and is never shown as good."""

    UNKNOWN = "unknown"
    STEADY = "steady"
    SUSPECT = "suspect"
    ALERTING = "alerting"
    RECOVERED = "recovered"


class Severity(StrEnum):
    """Who is told: the person on call now, or the owner in working hours."""

    PAGE = "page"
    TICKET = "ticket"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one monitor says after one replay.

    `evidence` and `threshold` are log10 of e-values, or None for a monitor that states facts.
    `since` is the Unix time in seconds of the first replay after the estimated change, None while steady.
    `confirm` asks for one more replay at once. `summary` is one line for people.
    """

    monitor: str
    state: State
    severity: Severity
    evidence: float | None
    threshold: float | None
    since: float | None
    confirm: bool
    summary: str
