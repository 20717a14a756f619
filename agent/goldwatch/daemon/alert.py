"""Alerts: one for one cause, that explains itself.

An alert belongs to a watch and a target. It opens with the first monitor that alerts; others that follow join it, and
it closes when none of them is alerting any more. While it is silenced it calls no person, and is shown as silenced.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from goldwatch.core import kinds
from goldwatch.core.event import Event
from goldwatch.core.judgement import Judgement, Severity, State, Verdict
from goldwatch.daemon.alert_explanation import Explanation, Surroundings, explain
from goldwatch.daemon.alert_text import as_text
from goldwatch.daemon.silence import Silence
from goldwatch.daemon.words import plain

__all__ = ["Alert", "Event", "Surroundings", "advance", "cause", "hushed", "is_news"]


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert as it is kept and shown. Times are Unix seconds; `number` counts the alerts of a ledger from 1.

    `silenced_why` is empty unless it is silenced; `silenced_until` is then the end of that, None if it is not known.
    """

    number: int
    watch: str
    target: str
    severity: Severity
    monitors: tuple[str, ...]
    opened_at: float
    text: str
    closed_at: float | None = None
    silenced_why: str = ""
    silenced_until: float | None = None
    explanation: Explanation | None = None

    @property
    def name(self) -> str:
        """The monitor that the alert is named after."""
        return min(self.monitors, key=kinds.rank)

    @property
    def headline(self) -> str:
        """The event in one line."""
        told = self.explanation
        return (
            self.text.partition("\n")[0] if told is None else f"[{self.severity.upper()}] {plain(told.headline, 300)}"
        )

    def summary(self) -> dict[str, str]:
        """Return the headline, the first action with its command, and links, for logs and annotations."""
        told = self.explanation
        found = {"headline": self.headline, "action": "", "command": "", "page": "", "runbook": ""}
        if told is not None:
            found |= {"page": told.page, "runbook": told.runbook}
            if told.action is not None:
                found |= {"action": plain(told.action.title, 300), "command": plain(told.action.command, 500)}
        return found

    @property
    def callers(self) -> tuple[str, ...]:
        """The monitors that give the alert its severity; people silence and route it by them.

        A page of *changed* counts as *worse*: both mean that accuracy fell, and they join within a replay or two. One
        name keeps that from paging twice.
        """
        verdicts = self.explanation.verdicts if self.explanation is not None else ()
        names = [v.monitor for v in verdicts if v.severity is self.severity] or [self.name]
        if self.severity is Severity.PAGE:
            names = [kinds.WORSE.name if name == kinds.CHANGED.name else name for name in names]
        return tuple(dict.fromkeys(names))

    @property
    def calls(self) -> bool:
        """Whether a person is to be called: it is open and not silenced."""
        return self.closed_at is None and not self.silenced_why


def advance(alert: Alert | None, judgement: Judgement, around: Surroundings, number: int) -> Alert | None:
    """Return the alert of this watch and target after a judgement; None if there is none.

    A new alert gets `number`. One that closes is returned once with `closed_at` set.
    """
    if not judgement.verdicts:  # it could not be judged, which is no recovery
        return alert
    alerting = _alerting(judgement)
    if not alerting:
        return None if alert is None else replace(alert, closed_at=judgement.run.started_at + judgement.run.duration_s)
    if not is_news(alert, judgement):
        return alert
    severity = _severity(alerting)
    monitors = tuple(sorted(set(alerting) | set(alert.monitors if alert else ()), key=kinds.rank))
    if alert is not None and set(alerting) - set(alert.monitors) == {kinds.SILENT.name}:
        return _unheard(alert, monitors, alerting[kinds.SILENT.name], around.cause_text)
    told = explain(severity, sorted(alerting.values(), key=lambda v: kinds.rank(v.monitor)), judgement, around)
    return Alert(
        number=alert.number if alert else number,
        watch=judgement.subject.watch,
        target=judgement.subject.target,
        severity=severity,
        monitors=monitors,
        opened_at=alert.opened_at if alert else judgement.run.started_at + judgement.run.duration_s,
        text=as_text(told),
        explanation=told,
    )


def is_news(alert: Alert | None, judgement: Judgement) -> bool:
    """Say whether a judgement opens an alert, or adds a monitor or severity to the open one, so that it is composed."""
    alerting = _alerting(judgement)
    if not alerting:
        return False
    known = alert is not None and set(alerting) <= set(alert.monitors)
    return alert is None or not known or _severity(alerting) not in (alert.severity, Severity.TICKET)


def _alerting(judgement: Judgement) -> dict[str, Verdict]:
    return {v.monitor: v for v in judgement.verdicts if v.state is State.ALERTING}


def _severity(alerting: Mapping[str, Verdict]) -> Severity:
    return Severity.PAGE if any(v.severity is Severity.PAGE for v in alerting.values()) else Severity.TICKET


def _unheard(alert: Alert, monitors: tuple[str, ...], silent: Verdict, cause: str) -> Alert:
    """Return an open alert of a watch that has gone silent: it keeps its explanation, and nothing new is known."""
    if alert.explanation is None:
        return replace(alert, monitors=monitors, text=f"{alert.text}\nalso     {kinds.SILENT.name}: {silent.summary}")
    told = replace(alert.explanation, verdicts=(*alert.explanation.verdicts, silent), cause=cause)
    return replace(alert, monitors=monitors, text=as_text(told), explanation=told)


def hushed(alert: Alert, silence: Silence | None, others: Iterable[Alert]) -> Alert:
    """Return the alert, silenced by a silence or by another open alert about the same cause."""
    if silence is not None:
        return replace(alert, silenced_why=silence.why, silenced_until=_known(silence.ends_at))
    if (first := cause(alert, others)) is not None:
        return replace(alert, silenced_why=f"the same cause as alert {first.number}", silenced_until=None)
    return replace(alert, silenced_why="", silenced_until=None)


def _known(ends_at: float) -> float | None:
    return ends_at if math.isfinite(ends_at) else None


def cause(alert: Alert, others: Iterable[Alert]) -> Alert | None:
    """Return the earlier open alert of the same target that has the same cause, if it calls a person.

    Several watches of one target see the same thing: those whose alerts have the same name do, and of a target that is
    failing, those who only miss its answers.
    """
    only_misses_answers = all(kinds.of(monitor).misses_answers for monitor in alert.monitors)
    found = (
        other
        for other in others
        if other.calls
        and other.target == alert.target
        and other.number < alert.number
        and (other.name == alert.name or (other.name == kinds.FAILING.name and only_misses_answers))
    )
    return min(found, key=lambda other: other.number, default=None)
