"""Alerts: one for one cause, that explains itself.

An alert belongs to a watch and a target. It opens with the first monitor that alerts; others that follow join it, and
it closes when none of them is alerting any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from goldwatch.judgement import Difference, Judgement, Score, Severity, State, Verdict

_RANK = ("failing", "worse", "slow", "changed")
"""Which monitor names the alert when several have joined it: a dead server is failing, whatever else it is."""
_EXAMPLES_SHOWN = 12
_ERRORS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Event:
    """Something about a target that changed between two replays. `at` is Unix time in seconds."""

    at: float
    target: str
    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert as it is kept and shown. Times are Unix seconds; `number` counts the alerts of a ledger from 1."""

    number: int
    watch: str
    target: str
    severity: Severity
    monitors: tuple[str, ...]
    opened_at: float
    text: str
    closed_at: float | None = None

    @property
    def name(self) -> str:
        """The monitor that the alert is named after."""
        return min(self.monitors, key=_rank)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an alert says beside the judgement: the last good replay, recent events, tolerance and budget as text."""

    last_good_at: float | None
    events: Sequence[Event]
    tolerance: str
    budget: str


def advance(alert: Alert | None, judgement: Judgement, around: Surroundings, number: int) -> Alert | None:
    """Return the alert of this watch and target after a judgement; None if there is none.

    A new alert gets `number`. One that closes is returned once with `closed_at` set.
    """
    if not judgement.verdicts:  # it could not be judged, which is no recovery
        return alert
    alerting = {v.monitor: v for v in judgement.verdicts if v.state is State.ALERTING}
    if not alerting:
        return None if alert is None else replace(alert, closed_at=judgement.started_at + judgement.duration_s)
    severity = Severity.PAGE if any(v.severity is Severity.PAGE for v in alerting.values()) else Severity.TICKET
    if alert is not None and set(alerting) <= set(alert.monitors) and severity in (alert.severity, Severity.TICKET):
        return alert
    monitors = tuple(sorted(set(alerting) | set(alert.monitors if alert else ()), key=_rank))
    return Alert(
        number=alert.number if alert else number,
        watch=judgement.watch,
        target=judgement.target,
        severity=severity,
        monitors=monitors,
        opened_at=alert.opened_at if alert else judgement.started_at + judgement.duration_s,
        text=_explain(severity, sorted(alerting.values(), key=lambda v: _rank(v.monitor)), judgement, around),
    )


def changes(before: Judgement | None, after: Judgement) -> list[Event]:
    """Say in what the target describes itself differently from the judgement before."""
    if before is None or before.description is None or after.description is None:
        return []
    pairs = [
        (name.replace("_", " "), str(getattr(before.description, name)), str(getattr(after.description, name)))
        for name in ("model", "version", "framework", "framework_version", "device", "digest")
    ]
    if before.golden_digest != after.golden_digest:
        pairs.append(("golden set", before.golden_digest, after.golden_digest))
    return [Event(after.started_at, after.target, n, b, a) for n, b, a in pairs if b != a]


def _rank(monitor: str) -> int:
    return _RANK.index(monitor) if monitor in _RANK else len(_RANK)


def _explain(severity: Severity, verdicts: Sequence[Verdict], judgement: Judgement, around: Surroundings) -> str:
    """Write the alert for the person on call. Every line is there only if it is known."""
    first = verdicts[0]
    lines = [f"[{severity}] {judgement.target} is {first.monitor}: {_what(first, judgement)}"]
    lines += [_numbers(first, judgement, around)]
    lines += [f"{'also':<8} {v.monitor}: {v.summary}" for v in verdicts[1:]]
    lines += _since(verdicts, around)
    lines += _errors(judgement)
    if judgement.difference is not None:
        lines += _where(judgement.difference)
    lines += [f"{'changed':<8} {_time(e.at)} {e.field} {e.before or '?'} -> {e.after or '?'}" for e in around.events]
    if judgement.difference is not None and judgement.difference.flips:
        flips = judgement.difference.flips
        shown = ", ".join(str(f.example) for f in flips[:_EXAMPLES_SHOWN])
        lines.append(f"{'examples':<8} {shown}{', ...' if len(flips) > _EXAMPLES_SHOWN else ''}")
    return "\n".join(lines)


def _what(verdict: Verdict, judgement: Judgement) -> str:
    difference = judgement.difference
    if verdict.monitor in ("worse", "changed") and difference is not None and difference.harmful:
        return (
            f"{difference.harmful:,} of {judgement.examples:,} golden examples now wrong that were right"
            f" ({difference.helpful:,} the other way)"
        )
    return verdict.summary


def _numbers(verdict: Verdict, judgement: Judgement, around: Surroundings) -> str:
    about_answers = verdict.monitor in ("worse", "changed")
    parts = [_moved(s) for s in judgement.scores if s.name == "accuracy" and about_answers]
    parts = [f"{part}, tolerance {around.tolerance}" for part in parts]
    if verdict.evidence is not None and verdict.threshold is not None:
        parts.append(f"evidence {verdict.evidence:.1f} of {verdict.threshold:.1f} needed · budget {around.budget}")
    return " · ".join(parts)


def _moved(score: Score) -> str:
    return f"{score.name} {score.reference:.3f} -> {score.value:.3f}" if score.reference is not None else score.name


def _since(verdicts: Sequence[Verdict], around: Surroundings) -> list[str]:
    known = [v.since for v in verdicts if v.since is not None]
    if not known:
        return []
    since = min(known)
    between = ""
    if around.last_good_at is not None and around.last_good_at < since:
        between = f" (between the replays of {_time(around.last_good_at)} and {_time(since)})"
    return [f"{'since':<8} {_time(since)} UTC{between}"]


def _errors(judgement: Judgement) -> list[str]:
    """Say what most of the failed requests were told, or why there were none."""
    counted = sorted(judgement.errors.items(), key=lambda item: -item[1])[:_ERRORS_SHOWN]
    told = [f"{count:,} x {message}" for message, count in counted] or list(judgement.reasons)
    return [f"{'errors':<8} {text}" for text in told]


def _where(difference: Difference) -> list[str]:
    parts = [
        f"{share.flips:,} of the {difference.harmful:,} are in slice {share.slice}={share.value}"
        f" ({share.examples / difference.compared:.0%} of the set)"
        for share in difference.where[:3]
    ]
    return [f"{'where':<8} {' · '.join(parts)}"] if parts else []


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")
