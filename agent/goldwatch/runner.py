"""What the daemon does each time a watch is due: replay, judge, keep, alert, export.

A runner works in one thread of its own, one replay after the other: two at a time would disturb each other's timing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from goldwatch.alert import Alert, Event, Surroundings, advance, changes
from goldwatch.config import format_points
from goldwatch.export import measurement
from goldwatch.export.exporter import Exporter
from goldwatch.judgement import Judgement, State, Validity, Verdict
from goldwatch.ledger import Ledger
from goldwatch.pipeline import Assignment, Judged, run
from goldwatch.replay.workers import Workers

log = logging.getLogger("goldwatch")

_EVENTS_BEFORE_S = 3600.0
"""Changes of the target so long before an alert's onset are named in it."""

Observer = Callable[[Assignment, Judgement, Alert | None], None]


class Runner:
    """The path of one replay in the daemon, from due to exported."""

    def __init__(
        self,
        workers: Workers,
        ledger: Ledger,
        exporters: Mapping[str, Exporter],
        stop: threading.Event,
        observer: Observer | None = None,
    ) -> None:
        """Make a runner; `exporters` is read anew at each replay, `observer` is told of each judgement."""
        self._workers = workers
        self._ledger = ledger
        self._exporters = exporters
        self._stop = stop
        self._observer = observer

    def tick(self, assignment: Assignment, false_alarms_per_year: float, due_at: float) -> None:
        """Replay a watch that was due at Unix time `due_at`; once more at once if a monitor wants it confirmed."""
        lateness_s = max(0.0, time.time() - due_at)
        judged = self._once(assignment, false_alarms_per_year, lateness_s)
        if judged is not None and any(v.confirm for v in judged.judgement.verdicts):
            self._once(assignment, false_alarms_per_year, 0.0, confirming=True)

    def _once(
        self, assignment: Assignment, false_alarms_per_year: float, lateness_s: float, *, confirming: bool = False
    ) -> Judged | None:
        states = self._ledger.states(*assignment.key, assignment.golden.digest)
        judged = run(assignment, self._workers, states, lateness_s=lateness_s, confirming=confirming, stop=self._stop)
        if self._stop.is_set():  # a replay that we cut short ourselves says nothing
            return None
        self._settle(assignment, judged, false_alarms_per_year)
        return judged

    def _settle(self, assignment: Assignment, judged: Judged, false_alarms_per_year: float) -> None:
        judgement = self._with_verdicts(judged.judgement)
        events = changes(self._ledger.last_judgement(*assignment.key, described=True), judgement)
        before = self._ledger.open_alert(*assignment.key)
        around = self._around(assignment, judgement, events, false_alarms_per_year)
        alert = advance(before, judgement, around, self._ledger.next_alert_number())
        self._ledger.record(judgement, judged.states, alert if alert != before else None, events)
        _log(judgement, judged.refused, events, before, alert)
        self._publish(judgement, alert)
        if self._observer is not None:
            self._observer(assignment, judgement, alert)

    def _with_verdicts(self, judgement: Judgement) -> Judgement:
        """Where judging itself failed, let each monitor say that it does not know; one that was alerting still is."""
        if judgement.verdicts:
            return judgement
        last = self._ledger.last_judgement(judgement.watch, judgement.target)
        return replace(judgement, verdicts=tuple(_no_longer_known(v, judgement) for v in last.verdicts) if last else ())

    def _around(
        self, assignment: Assignment, judgement: Judgement, events: list[Event], false_alarms_per_year: float
    ) -> Surroundings:
        since = min([v.since for v in judgement.verdicts if v.since is not None], default=judgement.started_at)
        earlier = self._ledger.events(assignment.target.name, since - _EVENTS_BEFORE_S)
        return Surroundings(
            last_good_at=self._ledger.last_valid_at(*assignment.key, before=since),
            events=[*earlier, *events],
            tolerance=format_points(assignment.watch.objectives.accuracy_loss).removeprefix("no worse than "),
            budget=f"{false_alarms_per_year:g} false alarm{'' if false_alarms_per_year == 1 else 's'} a year",
        )

    def _publish(self, judgement: Judgement, alert: Alert | None) -> None:
        found = list(measurement.of_judgement(judgement))
        found += measurement.of_alert(judgement.watch, judgement.target, _severity(alert))
        for exporter in list(self._exporters.values()):
            exporter.publish(found)


def _no_longer_known(verdict: Verdict, judgement: Judgement) -> Verdict:
    state = State.ALERTING if verdict.state is State.ALERTING else State.UNKNOWN
    return replace(verdict, state=state, confirm=False, summary=f"not known: {'; '.join(judgement.reasons)}")


def _severity(alert: Alert | None) -> str | None:
    return None if alert is None or alert.closed_at is not None else str(alert.severity)


def _log(
    judgement: Judgement,
    refused: Mapping[str, str],
    events: list[Event],
    before: Alert | None,
    alert: Alert | None,
) -> None:
    where = {"watch": judgement.watch, "target": judgement.target}
    states = {v.monitor: str(v.state) for v in judgement.verdicts}
    log.log(
        logging.INFO if judgement.validity is Validity.VALID else logging.WARNING,
        "replayed",
        extra=where
        | {"validity": str(judgement.validity), "duration_s": round(judgement.duration_s, 3)}
        | {s.name: round(s.value, 4) for s in judgement.scores}
        | states
        | ({"reasons": list(judgement.reasons)} if judgement.reasons else {}),
    )
    for monitor, reason in refused.items():
        log.warning("evidence starts anew", extra=where | {"monitor": monitor, "reason": reason})
    for event in events:
        log.warning(
            "target changed", extra=where | {"field": event.field, "before": event.before, "after": event.after}
        )
    if alert is not None and alert.closed_at is not None:
        anew = bool(set(refused) & set(alert.monitors)) or any(e.field == "golden set" for e in events)
        why = "its evidence was about another reference or objective" if anew else "recovered"
        log.warning("alert closed", extra=where | {"alert": alert.number, "reason": why})
    elif alert is not None and alert != before:
        log.error(f"alert {alert.number}\n{alert.text}", extra=where | {"severity": str(alert.severity)})  # noqa: G004 - the text is the message
