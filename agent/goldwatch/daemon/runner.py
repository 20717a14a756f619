"""The steps each time a watch is due: replay, judge, record, alert, export.

A runner works in one thread of its own, one replay after the other: two at a time would disturb each other's timing.
`service` decides which watch is due, `pipeline` replays and judges, `alarms` derives the alert.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from goldwatch.config import Config, format_moment
from goldwatch.core.event import RolloutOf, mixed
from goldwatch.core.judgement import Judgement, Passed, State, Validity
from goldwatch.core.kinds import SILENT
from goldwatch.core.trace import Trace, Traced
from goldwatch.daemon.alarms import Alarms, Settled
from goldwatch.daemon.alert import Alert
from goldwatch.daemon.courtesy import LOOK_EVERY_S, Courtesy
from goldwatch.daemon.exports import Exports
from goldwatch.daemon.in_force import Assignment
from goldwatch.daemon.ledger import Ledger, LedgerError
from goldwatch.daemon.pictures import illustrated
from goldwatch.daemon.pipeline import Judged, run
from goldwatch.daemon.seldom import Seldom
from goldwatch.daemon.tap import Taps
from goldwatch.export import measurement
from goldwatch.export.exporter import Replayed
from goldwatch.export.measurement import Measurement, exemplars
from goldwatch.ipc.workers import Workers

log = logging.getLogger("goldwatch")

_REFEREE_EVERY_S = 3600.0
"""Requests that are made twice are load too."""

_REFEREE_OF_TOKENS_EVERY_S = 86_400.0
"""Those of a language model cost tokens: what would be twenty-four of them an hour are twenty-four a day."""

Observer = Callable[[Assignment, Judgement, Alert | None], None]


class Runner:
    """The path of one replay in the daemon, from due to exported."""

    def __init__(
        self,
        workers: Workers,
        ledger: Ledger,
        exports: Exports,
        stop: threading.Event,
        observer: Observer | None = None,
        rollout: RolloutOf = lambda _: None,
        taps: Taps | None = None,
    ) -> None:
        """Make a runner; `observer` is called with each judgement.

        `rollout` returns what is known of the Deployment of a target, `taps` have the live traffic of the watches.
        """
        self._taps = taps or Taps()
        self._rollout = rollout
        self._workers = workers
        self._ledger = ledger
        self._alarms = Alarms(ledger, rollout)
        self._exports = exports
        self._stop = stop
        self._observer = observer
        self._metered, self._refereed = Seldom(), Seldom()
        self._busy_since_s: dict[tuple[str, str], float] = {}

    def tick(self, assignment: Assignment, config: Config, due_at: float, *, alone: bool = True) -> float | None:
        """Replay a watch that was due at Unix time `due_at`; once more at once if a monitor wants it confirmed.

        Energy is measured, where it is due, only if the watch has the machine alone: no other replay is in it then.
        Returns None; or, if the target has no room now, in how many seconds to try again.
        """
        courtesy, now_s = None, time.monotonic()
        if (busy := assignment.target.busy) is not None:
            since_s = self._busy_since_s.setdefault(assignment.key, now_s)
            courtesy = Courtesy(busy, waited_s=now_s - since_s)
            if courtesy.look().why_not is not None and courtesy.waited_s < busy.wait_s:
                return LOOK_EVERY_S
            del self._busy_since_s[assignment.key]
        lateness_s = max(0.0, time.time() - due_at)
        metered = alone and self.is_metering_due(assignment)
        judged = self._once(assignment, config, lateness_s, metered=metered, courtesy=courtesy)
        if judged is not None and any(v.confirm for v in judged.verdicts):
            self._once(assignment, config, 0.0, confirming=True)
        return None

    def _once(
        self,
        assignment: Assignment,
        config: Config,
        lateness_s: float,
        *,
        confirming: bool = False,
        metered: bool = False,
        courtesy: Courtesy | None = None,
    ) -> Judged | None:
        states = self._ledger.states(*assignment.key, assignment.golden.digest)
        if metered:
            self._metered.done(assignment.key)
        referee = not confirming and self._is_referee_due(assignment)
        if referee:
            self._refereed.done(assignment.key)
        before = self._rollout(assignment.target.name)
        tap = None if confirming else self._taps.of(assignment.watch.name)
        taken = None if tap is None else tap.take()
        judged = run(
            replace(assignment, trace=_trace(assignment, config)),
            self._workers,
            states,
            lateness_s=lateness_s,
            confirming=confirming,
            stop=self._stop,
            metered=metered,
            courtesy=courtesy,
            referee=referee,
            live=taken,
        )
        if tap is not None and taken is not None and judged.findings.live is None:
            tap.give_back(taken)  # busy, or judging failed: it is part of the next window
        if self._stop.is_set():  # a replay that we cut short ourselves is no evidence
            return None
        if why := mixed(before, self._rollout(assignment.target.name)):
            judged = Judged(judged.subject, judged.run, judged.findings.invalidated(why), states, extras=judged.extras)
        self._settle(assignment, judged, config)
        return judged

    def is_metering_due(self, assignment: Assignment) -> bool:
        """Say whether energy is to be measured: it takes more load than a replay, so seldom. Thread-safe."""
        if (section := assignment.energy) is None:
            return False
        return self._metered.is_due(assignment.key, section.every_s, self._ledger.last_metered_at)

    def _is_referee_due(self, assignment: Assignment) -> bool:
        every_s = _REFEREE_OF_TOKENS_EVERY_S if assignment.golden.tokens else _REFEREE_EVERY_S
        return self._refereed.is_due(assignment.key, every_s, self._ledger.last_asked_twice_at)

    def begin_term(self, now: float) -> None:
        """Forget alerts from before this replica took the lease again, at Unix time `now`. Raises LedgerError."""
        for alert in self._alarms.begin_term(now):
            where = {"watch": alert.watch, "target": alert.target, "alert": alert.number}
            log.warning("alert closed", extra=where | {"reason": "another replica may have replayed since"})

    def knows(self, watch: str, target: str) -> bool:
        """Return whether a replay has been judged since this replica took the lease."""
        return self._alarms.last_judgement(watch, target) is not None

    def look(self, assignments: Collection[Assignment], config: Config, now: float) -> None:
        """Raise, at Unix time `now`, what follows from nothing having happened: see `Alarms.look`. Thread-safe.

        Alerts of what is no longer among the assignments are closed. Raises LedgerError.
        """
        for alert in self._alarms.abandon(assignments, now):
            where = {"watch": alert.watch, "target": alert.target, "alert": alert.number}
            log.warning("alert closed", extra=where | {"reason": "the config no longer watches this"})
        for settled in self._alarms.look(assignments, config, now):
            judgement = settled.judgement
            _log_alert(settled, refused={}, span={})
            self._export(measurement.of_verdicts(judgement.subject, judgement.verdicts), judgement, settled.alert)

    def _settle(self, assignment: Assignment, judged: Judged, config: Config) -> None:
        with self._alarms.lock:
            settled = self._alarms.settle(assignment, self._with_verdicts(judged), config)
            judgement, alert = settled.judgement, settled.alert
            changed = alert if alert != settled.before else None
            try:
                self._ledger.record(
                    judgement, judged.states, changed, settled.events, judged.observed, settled.circumstances
                )
            except LedgerError as error:
                self._unkept(judgement, str(error))
                raise
        _log(settled, judged.refused, _span(judged.traced, config))
        limit_s = assignment.settings.get("latency_limit_s")
        found = measurement.of_judgement(judgement, limit_s, exemplars(judged.traced))
        self._export(found, judgement, alert)
        self._follow(assignment, judgement, judged.traced)
        if alert is not None and settled.told_anew:
            self._illustrate(alert, assignment)
        if self._observer is not None:
            self._observer(assignment, judgement, alert)

    def _unkept(self, judgement: Judgement, why: str) -> None:
        """Say that nothing is known now: evidence that cannot be kept does not accumulate."""
        unknown = [replace(v, state=State.UNKNOWN, summary=f"not known: {why}") for v in judgement.verdicts]
        self._exports.publish(measurement.of_verdicts(judgement.subject, unknown))

    def _follow(self, assignment: Assignment, judgement: Judgement, traced: Traced | None) -> None:
        """Tell exporters that can of each request."""
        if traced is None:
            return
        target = assignment.target
        self._exports.follow(Replayed(judgement, traced, target.address, str(target.options.get("api", ""))))

    def _illustrate(self, alert: Alert, assignment: Assignment) -> None:
        """Add pictures of the flipped examples to the explanation of an alert, after it was sent."""
        golden = assignment.golden
        told = illustrated(alert, golden.path, golden.digest, self._workers)
        with self._alarms.lock:
            if (now := self._ledger.open_alert(*assignment.key)) is not None and now.number == alert.number:
                self._ledger.keep_alert(replace(now, explanation=told))

    def _with_verdicts(self, judged: Judged) -> Judged:
        """If judging itself failed, make each monitor unknown; one that was alerting still is."""
        if judged.verdicts:
            return judged
        last = self._alarms.last_judgement(judged.subject.watch, judged.subject.target)
        verdicts = [v for v in last.verdicts if v.monitor != SILENT.name] if last is not None else []
        why = "; ".join(judged.findings.reasons)
        return replace(judged, verdicts=tuple(v.no_longer_known(why) for v in verdicts))

    def _export(self, found: Iterable[Measurement], judgement: Judgement, alert: Alert | None) -> None:
        """Export a judgement and the open alert.

        A suspicion is not the all-clear: until it is settled nothing is exported about alerts, and what was exported
        before stays. So a new agent does not end the page that Prometheus holds of the agent before.
        """
        unsettled = alert is None and any(v.state is State.SUSPECT for v in judgement.verdicts)
        opened = () if unsettled else of_open_alert(judgement.subject.watch, judgement.subject.target, alert)
        self._exports.publish([*found, *opened])


def _trace(assignment: Assignment, config: Config) -> Trace | None:
    """Make the trace of a replay if a collector gets it; without a section `traces` it has no spans."""
    if (otlp := config.exporters.otlp) is None:
        return None
    share, most = (otlp.traces.share, otlp.traces.most) if otlp.traces is not None else (0.0, 0)
    return Trace.new(share, most, math.ceil(assignment.golden.examples / assignment.watch.load.samples))


def of_open_alert(watch: str, target: str, alert: Alert | None) -> Iterator[Measurement]:
    """Yield whether an alert calls people, and through which monitors; or that it is silenced, or that none is open."""
    if alert is None or alert.closed_at is not None:
        return measurement.of_alert(watch, target, None, ())
    return measurement.of_alert(
        watch,
        target,
        alert.severity,
        alert.callers,
        silenced=not alert.calls,
        number=alert.number,
        says=alert.summary(),
    )


def _span(traced: Traced | None, config: Config) -> dict[str, str]:
    """Return the ids of the replay's span where spans are pushed: by them its logs are found from its trace."""
    if traced is None or config.exporters.otlp is None or config.exporters.otlp.traces is None:
        return {}
    return {"trace_id": traced.trace.trace_id, "span_id": f"{traced.trace.root:016x}"}


def _log(settled: Settled, refused: Mapping[str, str], span: Mapping[str, str]) -> None:
    judgement = settled.judgement
    where = {"watch": judgement.subject.watch, "target": judgement.subject.target, **span}
    states = {v.monitor: str(v.state) for v in judgement.verdicts}
    seen = judgement.extras.server_load
    log.log(
        logging.INFO if judgement.findings.validity is Validity.VALID else logging.WARNING,
        "skipped" if judgement.extras.skipped else "replayed",
        extra=where
        | {"validity": str(judgement.findings.validity), "duration_s": round(judgement.run.duration_s, 3)}
        | {s.name: round(s.value, 4) for s in judgement.findings.scores}
        | states
        | ({"reasons": list(judgement.findings.reasons)} if judgement.findings.reasons else {})
        | (
            {"joules": f"{judgement.extras.energy.gross_per_inference_j}"}
            if judgement.extras.energy is not None
            else {}
        )
        | ({"no_energy": judgement.extras.energy_missing} if judgement.extras.energy_missing else {})
        | ({"held_s": round(seen.held_s, 3), "waited_s": round(seen.waited_s, 3)} if seen is not None else {}),
    )
    for check in judgement.findings.checks:
        if check.passed is Passed.NO:
            log.warning("a check of the referee failed", extra=where | {"check": check.name, "reason": check.reason})
    for score in judgement.findings.unscored:
        if score.counts:
            told = {"score": score.score, "first": score.first, "examples": sum(score.counts.values())}
            log.warning("examples without a score", extra=where | told)
    if seen is not None and seen.unreadable:
        log.warning("how busy the target is cannot be read", extra=where | {"reason": seen.unreadable})
    if judgement.findings.live is not None and judgement.findings.live.notice:
        log.warning("live requests depend on each other", extra=where | {"reason": judgement.findings.live.notice})
    for monitor, reason in refused.items():
        log.warning("evidence starts anew", extra=where | {"monitor": monitor, "reason": reason})
    for event in settled.events:
        log.warning(
            "target changed", extra=where | {"field": event.field, "before": event.before, "after": event.after}
        )
    _log_alert(settled, refused, span)


def _log_alert(settled: Settled, refused: Mapping[str, str], span: Mapping[str, str]) -> None:
    alert, before = settled.alert, settled.before
    where = {"watch": settled.judgement.subject.watch, "target": settled.judgement.subject.target, **span}
    if alert is None or alert == before:
        return
    if alert.closed_at is not None:
        anew = bool(set(refused) & set(alert.monitors)) or any(e.field == "golden set" for e in settled.events)
        why = "its evidence was about another reference or objective" if anew else "recovered"
        log.warning("alert closed", extra=where | {"alert": alert.number, "reason": why})
    elif alert.silenced_why:
        until = format_moment(alert.silenced_until) if alert.silenced_until is not None else "that is over"
        about = {"alert": alert.number, "reason": alert.silenced_why, "until": until}
        log.warning(f"silenced: alert {alert.number}\n{alert.text}", extra=where | about)  # noqa: G004 - as below
    else:
        about = {"severity": str(alert.severity), "alert": alert.number, "monitors": list(alert.monitors)}
        about |= {name: text for name, text in alert.summary().items() if text}
        log.error(f"alert {alert.number}\n{alert.text}", extra=where | about)  # noqa: G004 - the text is the message
