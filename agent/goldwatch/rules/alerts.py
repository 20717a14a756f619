"""The alerts about verdicts, and about the agent itself."""

from __future__ import annotations

from collections.abc import Mapping

from goldwatch.export import catalogue as c
from goldwatch.rules.rule import (
    AGENT,
    CALLED,
    JOB,
    LEASE,
    PAIR,
    AlertRule,
    RecordingRule,
    Scope,
    first_of,
    listed,
    served_at,
    templated,
)

_SEEN = "agent_watch_target:goldwatch_watch_seen:timestamp"
_ACTIVE = "watch_target:goldwatch_alert_active:max"
_MEMORY = "1w"
_MEMORY_S = 604_800
_RULES_DOWN = "1h"
"""Records remember over a restart of Prometheus up to this long."""
_BEATS = "10m"
"""An agent that pushes is alive if its clock has moved within this, so pushes must be at most 5 minutes apart."""
_BLIP = "10m"
"""Without recording rules, an alert survives scrape gaps up to this long."""

_ALERTING = f'max by (monitor) ({c.VERDICT.name}{{WHERE, state="alerting"}}) == 1'
_OPEN = f'{c.ALERT_INFO.name}{{WHERE, headline!=""}}'
_LINKED = f'{c.ALERT_INFO.name}{{WHERE, page!=""}}'
_UNLINKED = f"({c.ALERT_NUMBER.name}{{WHERE}} > 0) unless on {PAIR} {_LINKED.replace('WHERE, ', '')}"
_SAYS = templated(
    {
        "%{headline}\nFirst action: %{action} {{ . | first | label `command` }}\n": _OPEN,
    }
)
_FIGURES: Mapping[str, str] = {
    "%d golden examples are wrong that were right. ": f'{c.EXAMPLES_FLIPPED.name}{{WHERE, effect="harmful"}} > 0',
    "Accuracy %s. ": f'{c.SCORE.name}{{WHERE, score="accuracy"}}',
    "Reference %s. ": f'{c.SCORE_REFERENCE.name}{{WHERE, score="accuracy"}}',
    "Evidence %s times the threshold. ": f"max({c.EVIDENCE.name}{{WHERE}} / {c.EVIDENCE_THRESHOLD.name})",
}
_NUMBERED = f"{c.ALERT_NUMBER.name}{{WHERE}} > 0"
_LINKS: Mapping[str, str] = {"Alert %d: ": _NUMBERED, "%{page}": _LINKED, "http://%i/alerts/%d": _UNLINKED}
_PUSHED_LINKS: Mapping[str, str] = {"Alert %d of the agent %i.": _NUMBERED, " %{page}": _LINKED}
"""An agent that pushes is known by its id, so without `external_url` there is no link."""
_AGENTS_URL = f'{c.EXTERNAL_URL.name}{{job=%q, instance=%q, address!=""}}'
_RUNBOOKS = served_at(f"printf `{_AGENTS_URL}` $labels.job $labels.instance", "{{ $labels.instance }}") + "/runbooks/"
RUNBOOKS_ANYWHERE = first_of(
    {
        "%{address}/runbooks/": f'{c.EXTERNAL_URL.name}{{address!=""}}',
        "http://%i/runbooks/": c.BUILD_INFO.name,
    },
    "dashboards/runbooks/",
)
"""The runbooks of any agent that answers, for alerts about one that does not."""
_RUNBOOKS_OF_ALERT = first_of(
    {
        "{{ . | first | label `page` | reReplaceAll `/alerts/[0-9]+$` `/runbooks/` }}": _LINKED,
        "http://%i/runbooks/": _UNLINKED,
    },
    RUNBOOKS_ANYWHERE,
)


def records(scope: Scope) -> list[RecordingRule]:
    """Return what alerts must remember: the watches of the last week, and alerts whose agent has gone since.

    While service discovery lists an agent, its watches are remembered for longer: it may be down for weeks. Both
    records repeat their own last value, so a look back over a week costs one sample a series.
    """
    where = scope.matchers()
    interval, active = scope.of(c.WATCH_INTERVAL), scope.of(c.ALERT_ACTIVE)
    last = f"last_over_time({_SEEN}{where}[{_RULES_DOWN}])"
    discovered = "" if scope.pushed else f"\nor {last} and on {AGENT} up == 0"
    remembered = f"{last} > time() - {_MEMORY_S}{discovered}"
    held = f"last_over_time({_ACTIVE}{where}[{_RULES_DOWN}]) unless on {PAIR} {active} and on {PAIR} {_SEEN}"
    return [
        RecordingRule(_SEEN, f"timestamp({interval})\nor {remembered}"),
        # A monitor that left an alert is 0, not absent, so that an agent which dies later cannot bring it back.
        RecordingRule(
            _ACTIVE,
            f"max by {CALLED} ({active})\nor 0 * ({_ACTIVE}{where} and on {PAIR} {active})\nor ({held})",
        ),
    ]


def of_verdicts(scope: Scope, *, recorded: bool) -> list[AlertRule]:
    """Return the alerts that pass on the agent's findings. The evidence suffices, so a page needs no hold time.

    A ticket waits for five minutes, since more evidence may make a page of it.
    """
    return [
        _handed_on(scope, "page", "needs somebody now", 0, recorded=recorded),
        _handed_on(scope, "ticket", "needs a look in working hours", 300, recorded=recorded),
    ]


def _handed_on(scope: Scope, severity: str, need: str, hold_s: int, *, recorded: bool) -> AlertRule:
    """Return the alert of one severity. It stays open until an agent, any agent, reports otherwise."""
    if recorded:
        expr = f"{_ACTIVE}{scope.matchers(severity=severity)} == 1"
    else:
        live = scope.of(c.ALERT_ACTIVE, severity=severity)
        recent = scope.of(c.ALERT_ACTIVE, _BLIP, severity=severity)
        expr = (
            f"max by {CALLED} ({live}) == 1\n"
            f"or max by {CALLED} (last_over_time({recent})) == 1 unless on {PAIR} {scope.of(c.ALERT_ACTIVE)}"
        )
    return AlertRule(
        name=f"Goldwatch{severity.title()}",
        expr=expr,
        hold_s=hold_s,
        severity=severity,
        runbook=severity,
        runbook_label="monitor",
        summary=(
            f"{{{{ $labels.target }}}} {need} (watch {{{{ $labels.watch }}}})"
            "{{ with $labels.monitor }}: {{ . }}{{ end }}"
        ),
        description=(
            "A monitor of goldwatch alerts. The alert's page shows which examples, since when, and what else changed."
        ),
        details=_details(scope),
        served_at=_RUNBOOKS_OF_ALERT,
    )


def _details(scope: Scope) -> str:
    figures = templated({**_FIGURES, **(_PUSHED_LINKS if scope.pushed else _LINKS)})
    return f"{_SAYS}{listed(_ALERTING, 'monitor', 'Alerting: %s. ')}{figures}"


def of_agent(scope: Scope, *, recorded: bool) -> list[AlertRule]:
    """Return the alerts about agents and watches that do not do their work."""
    return [
        _silent(scope, recorded=recorded) if scope.pushed else _gone(scope, recorded=recorded),
        _missing(scope, recorded=recorded),
        _nobody_leads(scope, recorded=recorded),
        _not_replaying(scope),
        _invalid(scope),
        _saturated(scope),
        *_ailing(scope, recorded=recorded),
    ]


def _seen(scope: Scope, *, recorded: bool) -> str:
    """Return the watches that an agent has reported within a week, with all labels of that agent."""
    if recorded:
        return f"{_SEEN}{scope.matchers()}"
    return f"last_over_time({scope.of(c.WATCH_INTERVAL, _MEMORY)})"


def _gone(scope: Scope, *, recorded: bool) -> AlertRule:
    """Return the alert for agents that Prometheus discovers but cannot scrape.

    An agent that never answered is known by its job: every other target there is an agent.
    """
    seen = f"up == 0 and on {AGENT} {_seen(scope, recorded=recorded)}"
    agents = f'{{__name__=~"{c.BUILD_INFO.name}|{c.WATCH_INTERVAL.name}"}}'
    alike = f"count by {JOB} (up == 1) == count by {JOB} (up == 1 and on {AGENT} {agents})"
    return AlertRule(
        name="GoldwatchAgentGone",
        expr=seen if scope.pairs else f"{seen}\nor up == 0 and on {JOB} ({alike})",
        hold_s=300,
        severity="ticket",
        runbook="agent-gone",
        served_at=RUNBOOKS_ANYWHERE,
        summary="the goldwatch agent {{ $labels.instance }} does not answer",
        description="Prometheus could not scrape it for five minutes: its models are not watched.",
    )


def _silent(scope: Scope, *, recorded: bool) -> AlertRule:
    """Return the alert for agents that push no more, unless another agent reports their watches.

    A replaced pod is another agent, and Prometheus does not know that the old one was meant to end.
    """
    alive = f"on {AGENT} changes({c.CLOCK.name}[{_BEATS}]) > 0"
    seen, reported = _seen(scope, recorded=recorded), f"({scope.of(c.WATCH_INTERVAL)} and {alive})"
    return AlertRule(
        name="GoldwatchAgentGone",
        expr=f"max by {AGENT} ({seen} unless on {PAIR} {reported} unless {alive})",
        hold_s=300,
        severity="ticket",
        runbook="agent-gone",
        summary="the goldwatch agent {{ $labels.instance }} sends no metrics",
        description="No metrics have arrived from it for ten minutes, and no other agent watches its models.",
    )


def _missing(scope: Scope, *, recorded: bool) -> AlertRule:
    """Return the alert for watches that were reported within a week and are no more, or never were.

    If their agent can still be discovered, GoldwatchAgentGone covers it, or its config has dropped them. That of agents
    that push covers all watches of the last week.
    """
    seen = _seen(scope, recorded=recorded)
    lost = f"max by {PAIR} ({seen} unless on {AGENT} up) unless on {PAIR} {scope.of(c.WATCH_INTERVAL)}"
    never = [
        f"absent({Scope((pair,), match=scope.match).of(c.WATCH_INTERVAL)}) unless on (watch, target) {seen}"
        for pair in scope.pairs
    ] or [f"absent({c.WATCH_INTERVAL.name}) unless on () {seen}"]
    return AlertRule(
        name="GoldwatchWatchMissing",
        expr="\nor ".join(never if scope.pushed else [lost, *never]),
        hold_s=900,
        severity="ticket",
        runbook="watch-missing",
        served_at=RUNBOOKS_ANYWHERE,
        summary=(
            "{{ with $labels.watch }}no agent watches {{ $labels.target }} (watch {{ . }})"
            "{{ else }}there is no goldwatch agent at all{{ end }}"
        ),
        description="No agent has reported it for 15 minutes: not started, not scraped, or not in the config.",
    )


def _nobody_leads(scope: Scope, *, recorded: bool) -> AlertRule:
    """Return the alert for replicas without a holder of the lease. They export no watch for another alert to use."""
    within = f"\nand on {JOB} {_seen(scope, recorded=recorded)}" if scope.pairs else ""
    return AlertRule(
        name="GoldwatchNobodyLeads",
        expr=f"max by {LEASE} ({c.LEADER.name}) == 0{within}",
        hold_s=300,
        severity="ticket",
        runbook="nobody-leads",
        served_at=RUNBOOKS_ANYWHERE,
        summary="no replica of goldwatch holds the lease {{ $labels.lease }} ({{ $labels.job }})",
        description=(
            "All replicas have stood by for five minutes: agents watch no model, or an operator takes no Watches."
        ),
    )


def _not_replaying(scope: Scope) -> AlertRule:
    """Return the alert for a watch that is overdue, agent by agent and by the agent's own clock where that is known."""
    due = scope.of(c.REPLAY_NEXT)
    overdue = f"({c.CLOCK.name} - on {AGENT} group_right () {due} or time() - {due})"
    return AlertRule(
        name="GoldwatchNotReplaying",
        expr=f"{overdue} > 2 * {scope.of(c.WATCH_INTERVAL)}\n{_unless_reported(scope)}",
        hold_s=60,
        severity="ticket",
        runbook="not-replaying",
        summary="{{ $labels.watch }} has not replayed against {{ $labels.target }} for three intervals",
        description="The agent answers, but the watch is stuck and its verdicts are old: a stuck worker or schedule.",
        served_at=_RUNBOOKS,
    )


def _invalid(scope: Scope) -> AlertRule:
    ended = f"sum without (validity) (increase({scope.of(c.REPLAYS, '6h')}))"
    invalid = f"sum without (validity) (increase({scope.of(c.REPLAYS, '6h', validity='invalid')}))"
    return AlertRule(
        name="GoldwatchInvalidReplays",
        expr=f"{invalid} / {ended} > 0.5\nand {ended} >= 3\n{_unless_reported(scope)}",
        hold_s=1800,
        severity="ticket",
        runbook="invalid-replays",
        summary="most replays of {{ $labels.watch }} against {{ $labels.target }} are invalid",
        description="{{ $value | humanizePercentage }} of the replays of six hours were invalid: they add no evidence.",
        served_at=_RUNBOOKS,
    )


def _saturated(scope: Scope) -> AlertRule:
    """Return the alert for an agent that leaves out replays, since it is overloaded.

    Only those that waited for a slot count. A watch whose last replay still runs may be stuck: *silent* covers that.
    """
    skipped = f"increase({scope.of(c.REPLAYS_SKIPPED, '1h', reason='waiting')})"
    each = "without (watch, target, reason, validity)"
    due = f"sum {each} ({skipped} or increase({scope.of(c.REPLAYS, '1h')}))"
    left_out = f"sum {each} ({skipped})"
    return AlertRule(
        name="GoldwatchAgentSaturated",
        expr=f"{left_out} / {due} > 0.1\nand {left_out} >= 3",
        hold_s=1800,
        severity="ticket",
        runbook="agent-saturated",
        summary="the goldwatch agent {{ $labels.instance }} is asked for more replays than it can carry",
        description="{{ $value | humanizePercentage }} of the replays that were due in an hour were skipped.",
        served_at=_RUNBOOKS,
    )


def _unless_reported(scope: Scope) -> str:
    """Leave out what this very agent reports by its monitor *silent*, or has been asked to be quiet about."""
    silent = scope.of(c.VERDICT, monitor="silent", state="alerting")
    return (
        f"unless ignoring (monitor, state) {silent} == 1\n"
        f"unless ignoring (severity) max without (severity) ({scope.of(c.ALERT_SILENCED)}) == 1"
    )


def _within(scope: Scope, ailing: str, *, recorded: bool) -> str:
    """Limit the series of agents to those of the scope.

    A standby, and an agent that never had a config, export no watch: there the watches of the job decide.
    """
    if not scope.pairs:
        return ailing
    idle = f"on {JOB} {_seen(scope, recorded=recorded)} unless on {AGENT} {c.WATCH_INTERVAL.name}"
    return f"{ailing} and on {AGENT} {scope.of(c.WATCH_INTERVAL)}\nor {ailing} and {idle}"


def _ailing(scope: Scope, *, recorded: bool) -> list[AlertRule]:
    errors = f"sum without (reason) (increase({scope.of(c.REPLAYS_SKIPPED, '1h', reason='internal_error')}))"
    return [
        AlertRule(
            name="GoldwatchConfigRejected",
            expr=_within(scope, f"{c.RELOAD_SUCCESSFUL.name} == 0", recorded=recorded),
            hold_s=600,
            severity="ticket",
            runbook="config-rejected",
            summary="the goldwatch agent {{ $labels.instance }} has refused its config",
            description=(
                "The agent runs with the config before it, or watches nothing if it never had one. The metric "
                f"{c.REJECTED.name} gives the reason, the agent's log the details."
            ),
            served_at=_RUNBOOKS,
        ),
        AlertRule(
            name="GoldwatchInternalErrors",
            expr=f"{errors} > 0",
            hold_s=0,
            keep_s=900,
            severity="ticket",
            runbook="internal-errors",
            summary="replays of {{ $labels.watch }} against {{ $labels.target }} fail in goldwatch itself",
            description="{{ $value | humanize }} in the last hour. That is a bug, or a full disk.",
            served_at=_RUNBOOKS,
        ),
        AlertRule(
            name="GoldwatchPushesFail",
            expr=_within(scope, f"increase({c.PUSHES_FAILED.name}[15m]) > 0", recorded=recorded),
            hold_s=1800,
            severity="ticket",
            runbook="pushes-fail",
            summary="{{ $labels.signal }} of {{ $labels.instance }} do not reach the OpenTelemetry collector",
            description="{{ $value | humanize }} pushes failed in 15 minutes. Replays and /metrics go on unharmed.",
            served_at=_RUNBOOKS,
        ),
    ]
