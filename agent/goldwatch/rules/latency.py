"""The latency objective by burn rates over several windows, as in the Site Reliability Workbook, chapter 5.

A burn rate is how many times faster than allowed the share of slow requests uses up the objective. Golden traffic is
thin, so a window counts only for watches that replay at least three times in it.
"""

from __future__ import annotations

from collections.abc import Callable

from goldwatch.export import catalogue as c
from goldwatch.rules.alerts import RUNBOOKS_ANYWHERE
from goldwatch.rules.rule import PAIR, AlertRule, RecordingRule, Scope

_SECONDS = {"15m": 900, "30m": 1800, "1h": 3600, "2h": 7200, "6h": 21_600, "1d": 86_400, "3d": 259_200}
_FAST = ((14.4, "1h", "15m"), (6.0, "6h", "30m"))
_SLOW = ((3.0, "1d", "2h"), (1.0, "3d", "6h"))
_MOST = 0.9
"""A loose objective (p50) times a burn rate is more than all requests: so many of them being slow is enough."""
_REPLAYS = 3

Late = Callable[[str], str]
"""Takes a window and returns the expression of the share of slow requests in it."""


def records(scope: Scope) -> list[RecordingRule]:
    """Return the shares of slow requests over each window."""
    return [RecordingRule(_name(window), late_share(scope, window)) for window in _SECONDS]


def alerts(scope: Scope, *, recorded: bool) -> list[AlertRule]:
    """Return the alerts; from recording rules if there are any, or complete by themselves."""

    def late(window: str) -> str:
        return _name(window) if recorded else f"({late_share(scope, window)})"

    share = "{{ $value | humanizePercentage }}"
    description = f"{share} of the golden requests of {{{{ $labels.target }}}} were slower than its objective"
    return [
        AlertRule(
            name="GoldwatchLatencyBurnFast",
            expr=_burning(scope, late, _FAST),
            hold_s=0,
            keep_s=900,
            severity="ticket",
            runbook="latency-burn-fast",
            served_at=RUNBOOKS_ANYWHERE,
            summary="{{ $labels.target }} uses up its latency objective fast",
            description=f"{description} over the last hours: at this rate a month's allowance is gone within days.",
        ),
        AlertRule(
            name="GoldwatchLatencyBurnSlow",
            expr=_burning(scope, late, _SLOW),
            hold_s=0,
            keep_s=900,
            severity="ticket",
            runbook="latency-burn-slow",
            served_at=RUNBOOKS_ANYWHERE,
            summary="{{ $labels.target }} uses up its latency objective slowly",
            description=f"{description} over the last days: more than is allowed, if not by much.",
        ),
    ]


def late_share(scope: Scope, window: str) -> str:
    """Return the share of requests over the objective in a window."""
    late = scope.of(c.REQUESTS_LATE, window)
    sent = scope.of(c.REQUESTS, window, outcome_not=("not_sent", "withheld"))
    return f"sum by {PAIR} (rate({late})) / sum by {PAIR} (rate({sent}))"


def _name(window: str) -> str:
    return f"watch_target:goldwatch_requests_late:ratio_rate{window}"


def _burning(scope: Scope, late: Late, windows: tuple[tuple[float, str, str], ...]) -> str:
    either = "\nor\n".join(_over(scope, late, *each) for each in windows)
    told = f"max by {PAIR} ({scope.of(c.ALERT_ACTIVE)} == 1 or {scope.of(c.ALERT_SILENCED)} == 1)"
    return f"({either})\nunless on {PAIR} {told}"


def _over(scope: Scope, late: Late, factor: float, long: str, short: str) -> str:
    objective = f"max by {PAIR} ({scope.of(c.OBJECTIVE, objective='latency')})"
    bound = f"clamp_max({factor:g} * {objective}, {_MOST:g})"
    interval = f"max by {PAIR} ({scope.of(c.WATCH_INTERVAL)})"
    return (
        f"(\n  {late(long)} > on {PAIR} {bound}\n"
        f"  and on {PAIR} {late(short)} > on {PAIR} {bound}\n"
        f"  and on {PAIR} {interval} <= {_SECONDS[short] / _REPLAYS:g}\n)"
    )
