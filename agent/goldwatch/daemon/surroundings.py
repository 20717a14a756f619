"""The facts of an alert from outside the judgement: history, objectives, addresses, and why a watch is silent.

Read from the ledger and the config, only when an alert is composed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from goldwatch.config import Config, format_points, format_seconds
from goldwatch.core.event import REPORTED, Event
from goldwatch.core.judgement import Judgement, State, Validity
from goldwatch.core.kinds import SILENT
from goldwatch.daemon.alert_explanation import Surroundings
from goldwatch.daemon.alert_size import Allowed
from goldwatch.daemon.engine import DEADLINE
from goldwatch.daemon.history import History
from goldwatch.daemon.in_force import Assignment
from goldwatch.daemon.pipeline import BUSY
from goldwatch.daemon.words import plain, times

_EARLIER = 12
"""Valid replays before the onset, whose median is *before*."""
_EVENTS_BEFORE_S = 3600.0
"""Changes up to this long before an alert's onset are named in it."""
_MEDIAN = 0.5
_MUCH = 1.5


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a watch is silent: `kind` is a key of what to do about it (see `alert_action`), `text` is for people."""

    kind: str = ""
    text: str = ""


def surroundings(
    ledger: History,
    assignment: Assignment,
    judgement: Judgement,
    config: Config,
    events: Iterable[Event],
    known: Mapping[str, str],
) -> Surroundings:
    """Return what an alert of this judgement takes from elsewhere; `known` are the facts of the last replays."""
    alerting = [v for v in judgement.verdicts if v.state is State.ALERTING]
    since = min([v.since for v in alerting if v.since is not None], default=judgement.run.started_at)
    watch, settings = assignment.watch, assignment.settings
    found = [*ledger.events(assignment.target.name, since - _EVENTS_BEFORE_S), *events]
    changed = {event.field for event in found}
    budget = config.alerts.false_alarms_per_year
    tolerance = format_points(watch.objectives.accuracy_loss).removeprefix("no worse than ")
    served_at = config.exporters.prometheus.external_url.rstrip("/")
    # A watch is silent since its last valid replay, which is part of *before*.
    is_silent = {v.monitor for v in alerting} == {SILENT.name}
    before = judgement.run.started_at if is_silent else since
    earlier = ledger.valid_before(*assignment.key, before=before, limit=_EARLIER)
    cause = why_silent(ledger, assignment, judgement.run.started_at)
    return Surroundings(
        last_good_at=earlier[0].run.started_at if earlier else None,
        events=found,
        tolerance=tolerance,
        budget=f"{budget:g} false alarm{'' if budget == 1 else 's'} a year",
        unchanged=[name for name in known if name not in changed],
        runbooks=config.alerts.runbooks,
        page=f"{served_at}/alerts/{_number(ledger, assignment)}" if served_at else "",
        config=str(config.source),
        served_at=served_at,
        unreported=[name for name in REPORTED if name not in known],
        allowed=Allowed(
            tolerance=tolerance,
            latency_limit_s=settings.get("latency_limit_s"),
            latency_quantile=settings.get("latency_quantile"),
            error_rate=settings.get("error_rate"),
            output_distance=settings.get("output_distance"),
            gap=str(watch.objectives.gap or ""),
            ceilings=assignment.ceilings,
            earlier=earlier,
        ),
        deployment=assignment.target.deployment,
        actions=config.alerts.actions,
        cause=cause.kind,
        cause_text=cause.text,
    )


def _number(ledger: History, assignment: Assignment) -> int:
    before = ledger.open_alert(*assignment.key)
    return before.number if before is not None else ledger.next_alert_number()


def why_silent(ledger: History, assignment: Assignment, now: float) -> Cause:
    """Return why there has been no valid replay since the last one; no cause if the last one was valid."""
    valid = ledger.valid_before(*assignment.key, before=now, limit=_EARLIER)
    last_valid_at = valid[0].run.started_at if valid else 0.0
    since = [j for j in ledger.newest(*assignment.key, limit=_EARLIER) if j.run.started_at > last_valid_at]
    if not since:
        return Cause("nothing", "no replay has ended since the last valid one")
    kind, count = Counter(map(_kind, since)).most_common(1)[0]
    last = next(j for j in since if _kind(j) == kind)
    reason = plain("; ".join(last.findings.reasons[:1]))
    text = f"{count:,} of the last {len(since):,} replays {_HAPPENED[kind]}: {reason}"
    if kind == "deadline" and (slow := _slowdown(since, valid)):
        text += f"; {slow}"
    return Cause(kind, text)


_HAPPENED = {
    "deadline": "missed their deadline",
    "busy": "were skipped because the target was busy",
    "failed": "were not valid",
}


def _kind(judgement: Judgement) -> str:
    if judgement.extras.skipped == BUSY:
        return "busy"
    past_deadline = any(reason.startswith(DEADLINE) for reason in judgement.findings.reasons)
    return "deadline" if judgement.findings.validity is Validity.INSUFFICIENT and past_deadline else "failed"


def _slowdown(since: Iterable[Judgement], valid: Iterable[Judgement]) -> str:
    """Return how much slower requests are than they were, by the newest replay with an answered request."""
    now = next((s for j in since if (s := _median_s(j)) is not None), None)
    before = sorted(s for j in valid if (s := _median_s(j)) is not None)
    if now is None or not before or now < _MUCH * (was := before[len(before) // 2]):
        return ""
    return f"a request takes {format_seconds(now)}, {times(now / was)} as long as before ({format_seconds(was)})"


def _median_s(judgement: Judgement) -> float | None:
    return next((q.latency_s for q in judgement.findings.quantiles if q.q == _MEDIAN), None)
