"""The alerts about verdicts, and about the agent itself."""

from __future__ import annotations

from goldwatch.export import catalogue as c
from goldwatch.rules.rule import PAIR, Alert, Scope, listed, templated

_BLIP = "10m"
"""For so long a restart of the agent, in which it is not scraped, ends no alert."""

_ALERTING = f'max by (monitor) ({c.VERDICT.name}{{WHERE, state="alerting"}}) == 1'
_DETAILS = listed(_ALERTING, "monitor", "Alerting: %s. ") + templated(
    {
        "%d golden examples are wrong that were right. ": f'{c.EXAMPLES_FLIPPED.name}{{WHERE, effect="harmful"}} > 0',
        "Accuracy %s. ": f'{c.SCORE.name}{{WHERE, score="accuracy"}}',
        "Reference %s. ": f'{c.SCORE_REFERENCE.name}{{WHERE, score="accuracy"}}',
        "Evidence %s times what is needed. ": f"max({c.EVIDENCE.name}{{WHERE}} / {c.EVIDENCE_THRESHOLD.name})",
        "Alert %d: http://{{ $labels.instance }}/alerts/%d": f"{c.ALERT_NUMBER.name}{{WHERE}} > 0",
    }
)


def of_verdicts(scope: Scope) -> list[Alert]:
    """Return the alerts that hand on what the agent has found. The evidence is enough, so a page need not hold.

    A ticket can wait for five minutes, in which more evidence may make a page of it: then nobody is told twice.
    """
    return [
        _handed_on(scope, "page", "needs somebody now", 0),
        _handed_on(scope, "ticket", "needs a look in working hours", 300),
    ]


def _handed_on(scope: Scope, severity: str, what: str, hold_s: int) -> Alert:
    return Alert(
        name=f"Goldwatch{severity.title()}",
        expr=f"last_over_time({scope.of(c.ALERT_ACTIVE, _BLIP, severity=severity)}) == 1",
        hold_s=hold_s,
        severity=severity,
        runbook=severity,
        summary=f"{{{{ $labels.target }}}} {what} (watch {{{{ $labels.watch }}}})",
        explanation=(
            "A monitor of goldwatch alerts. Which one, since when, on which examples and what else changed then: "
            "http://{{ $labels.instance }}/"
        ),
        details=_DETAILS,
        finding=listed(_ALERTING, "monitor", ": %s"),
    )


def of_agent(scope: Scope) -> list[Alert]:
    """Return the alerts about agents and watches that do not do their work."""
    return [_gone(scope), _missing(scope), _not_replaying(scope), _invalid(scope), *_ailing(scope)]


def _gone(scope: Scope) -> Alert:
    return Alert(
        name="GoldwatchAgentGone",
        expr=f"up == 0 and on (job, instance) last_over_time({scope.of(c.WATCH_INTERVAL, '1d')})",
        hold_s=300,
        severity="ticket",
        runbook="agent-gone",
        summary="the goldwatch agent {{ $labels.instance }} does not answer",
        explanation="Prometheus could not scrape it for five minutes: nobody watches its models.",
    )


def _missing(scope: Scope) -> Alert:
    """Return the alert for each watch and target that must be there, or for any at all."""
    each = [Scope((pair,)).of(c.WATCH_INTERVAL) for pair in scope.pairs] or [c.WATCH_INTERVAL.name]
    nobody = "nobody watches {{ $labels.target }} (watch {{ $labels.watch }})"
    return Alert(
        name="GoldwatchWatchMissing",
        expr="\nor ".join(f"absent({selector})" for selector in each),
        hold_s=900,
        severity="ticket",
        runbook="watch-missing",
        summary=nobody if scope.pairs else "no goldwatch agent is there at all",
        explanation="No agent has reported it for 15 minutes: not started, not scraped, or not in the config.",
    )


def _not_replaying(scope: Scope) -> Alert:
    overdue = f"time() - max by {PAIR} ({scope.of(c.REPLAY_NEXT)}) > 2 * max by {PAIR} ({scope.of(c.WATCH_INTERVAL)})"
    return Alert(
        name="GoldwatchNotReplaying",
        expr=f"{overdue}\n{_unless_said(scope)}",
        hold_s=60,
        severity="ticket",
        runbook="not-replaying",
        summary="{{ $labels.watch }} has not replayed against {{ $labels.target }} for three intervals",
        explanation="The agent answers, but the watch stands still: its verdicts are old. A stuck worker or schedule.",
    )


def _invalid(scope: Scope) -> Alert:
    ended = f"sum by {PAIR} (increase({scope.of(c.REPLAYS, '6h')}))"
    invalid = f"sum by {PAIR} (increase({scope.of(c.REPLAYS, '6h', validity='invalid')}))"
    return Alert(
        name="GoldwatchInvalidReplays",
        expr=f"{invalid} / {ended} > 0.5\nand on {PAIR} {ended} >= 3\n{_unless_said(scope)}",
        hold_s=1800,
        severity="ticket",
        runbook="invalid-replays",
        summary="most replays of {{ $labels.watch }} against {{ $labels.target }} say nothing",
        explanation="{{ $value | humanizePercentage }} of the replays of six hours were invalid: they add no evidence.",
    )


def _unless_said(scope: Scope) -> str:
    """Leave out what the agent has found itself, by its monitor *silent*, or is told to be quiet about."""
    said = scope.of(c.VERDICT, monitor="silent", state="alerting")
    return f"unless on {PAIR} max by {PAIR} ({said} == 1 or {scope.of(c.ALERT_SILENCED)} == 1)"


def _ailing(scope: Scope) -> list[Alert]:
    within = f"\nand on (job, instance) {scope.of(c.WATCH_INTERVAL)}" if scope.pairs else ""
    errors = f"sum by {PAIR} (increase({scope.of(c.REPLAYS_SKIPPED, '1h', reason='internal_error')}))"
    return [
        Alert(
            name="GoldwatchConfigRejected",
            expr=f"{c.RELOAD_SUCCESSFUL.name} == 0{within}",
            hold_s=600,
            severity="ticket",
            runbook="config-rejected",
            summary="the goldwatch agent {{ $labels.instance }} has refused its new config",
            explanation="The config before is still in force: what was changed since is not watched.",
        ),
        Alert(
            name="GoldwatchInternalErrors",
            expr=f"{errors} > 0",
            hold_s=0,
            severity="ticket",
            runbook="internal-errors",
            summary="replays of {{ $labels.watch }} against {{ $labels.target }} fail in goldwatch itself",
            explanation="{{ $value | humanize }} in the last hour. That is a bug, or a full disk.",
        ),
        Alert(
            name="GoldwatchPushesFail",
            expr=f"sum by (job, instance, signal) (increase({c.PUSHES_FAILED.name}[15m])) > 0{within}",
            hold_s=1800,
            severity="ticket",
            runbook="pushes-fail",
            summary="{{ $labels.signal }} of {{ $labels.instance }} do not reach the OpenTelemetry collector",
            explanation="{{ $value | humanize }} pushes failed in 15 minutes. Replays and /metrics go on unharmed.",
        ),
    ]
