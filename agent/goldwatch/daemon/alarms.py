"""Alerts of all watches: from a judged replay to its alert, with silences; and alerts of watches gone silent.

A watch without a valid replay for three of its intervals raises *silent*: a monitor of the agent and not of the model,
which states a fact and spends nothing of the budget. Runs in the agent, called by `runner` after each replay and by
`service` at regular times.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import platform
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from goldwatch import __version__
from goldwatch.config import Config, Watch, format_duration
from goldwatch.core.event import Event, RolloutOf, changes, circumstances
from goldwatch.core.judgement import Findings, Judgement, Run, Severity, State, Validity, Verdict
from goldwatch.core.kinds import FAILING, SILENT
from goldwatch.core.monitors.silent import SILENT_AFTER
from goldwatch.daemon.alert import Alert, advance, hushed, is_news
from goldwatch.daemon.alert_explanation import Surroundings
from goldwatch.daemon.in_force import Assignment
from goldwatch.daemon.ledger import Ledger
from goldwatch.daemon.pipeline import Judged
from goldwatch.daemon.schedule import due_after, mean_interval_s
from goldwatch.daemon.silence import Silence, in_force, of_rollout, rollouts
from goldwatch.daemon.surroundings import surroundings

log = logging.getLogger(__name__)

_INTERVALS_HALF_HEARD = 9
"""A watch whose replays are cut short is silent after so many: before that, *failing* has had the time to say why."""
_SHORTEST_INTERVAL_S = 5.0
"""A watch of every second is not silent because a busy machine took four for a replay."""

_JUMP_S = 5.0
"""A clock that is this much further than it should be was set, or its machine slept: nobody was silent meanwhile."""

_NOTHING = Surroundings(None, (), "", "")
"""Without news no alert is composed, and an alert that lasts costs no reading of the ledger at each replay."""


@dataclass(frozen=True, slots=True)
class Settled:
    """A judgement with the verdict *silent*, the alert before and after it, and events."""

    judgement: Judgement
    before: Alert | None
    alert: Alert | None
    events: tuple[Event, ...] = ()
    circumstances: Mapping[str, str] = field(default_factory=dict)

    @property
    def told_anew(self) -> bool:
        """Whether the alert is new, or explains itself in another way than before."""
        told = None if self.before is None else self.before.explanation
        return self.alert is not None and self.alert.explanation is not None and self.alert.explanation is not told


class Alarms:
    """Keeps the alerts of a ledger. Hold `lock` from a settlement until it has been recorded."""

    def __init__(
        self,
        ledger: Ledger,
        rollout: RolloutOf = lambda _: None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep them; `rollout` returns what is known of the Deployment of a target, `clock_s` seconds that passed."""
        self._clock_s = clock_s
        self._looked: tuple[float, float] | None = None
        self._rollout = rollout
        self.lock = threading.Lock()
        self._ledger = ledger
        self._last_heard: dict[tuple[str, str], dict[Validity, float]] = {}
        self._term_began = -math.inf

    def settle(self, assignment: Assignment, judged: Judged, config: Config) -> Settled:
        """Compose the judgement of a replay, and derive alert and events from it."""
        now = judged.run.started_at + judged.run.duration_s
        before = self._ledger.open_alert(*assignment.key)
        judgement = judged.judgement_with(self._silent(assignment, judged, before, now))
        known = self._known(assignment.key)
        rollout = self._rollout(assignment.target.name)
        facts = _own_facts(assignment) | (rollout.facts() if rollout is not None else {})
        found = circumstances(judgement, facts)
        events = changes(known, found, judgement.subject.target, judgement.run.started_at)
        around = _NOTHING
        if is_news(before, judgement):
            around = surroundings(self._ledger, assignment, judgement, config, events, known)
        alert = advance(before, judgement, around, self._ledger.next_alert_number())
        if alert is not None and alert.closed_at is None:
            alert = self._hushed(alert, config, events, now)
        return Settled(judgement, before, alert, tuple(events), known | found)

    def look(self, assignments: Iterable[Assignment], config: Config, now: float) -> list[Settled]:
        """Return what changed though nothing was replayed: silences that began or ended, and watches gone silent.

        The alerts are kept; there is nothing else to record.
        """
        found, passed_s = [], self._clock_s()
        with self.lock:
            self._follow_clock(now, passed_s)
            opened = {(alert.watch, alert.target): alert for alert in self._ledger.open_alerts()}
            for assignment in assignments:
                before = opened.get(assignment.key)
                verdict = self._overdue(assignment, now)
                if before is None and verdict is None:
                    continue
                settled = self._settle_nothing(assignment, config, before, verdict, now)
                if settled.alert is not None and settled.alert != before:
                    self._ledger.keep_alert(settled.alert)
                    found.append(settled)
        return found

    def begin_term(self, now: float) -> list[Alert]:
        """Forget what alerts, since another replica may have replayed meanwhile; return the alerts that are closed.

        The model may have recovered since. The new term must find out for itself. Raises LedgerError.
        """
        with self.lock:
            self._term_began = now
            self._last_heard.clear()
            return self._ledger.end_alerts(now)

    def last_judgement(self, watch: str, target: str) -> Judgement | None:
        """Return the last judgement of this term; None if there is none."""
        last = self._ledger.last_judgement(watch, target)
        return last if last is not None and last.run.started_at >= self._term_began else None

    def abandon(self, assignments: Iterable[Assignment], now: float) -> list[Alert]:
        """Close the alerts of what the config no longer watches, and return them.

        Nobody would ever see these recover, and an open one silences others about the same cause.
        """
        watched = {assignment.key for assignment in assignments}
        with self.lock:
            gone = [alert for alert in self._ledger.open_alerts() if (alert.watch, alert.target) not in watched]
            closed = [replace(alert, closed_at=now) for alert in gone]
            for alert in closed:
                self._ledger.keep_alert(alert)
        return closed

    def _follow_clock(self, now: float, passed_s: float) -> None:
        """Report a clock that was set, and move what was last heard with it."""
        before, self._looked = self._looked, (now, passed_s)
        jump_s = 0.0 if before is None else (now - before[0]) - (passed_s - before[1])
        if abs(jump_s) < _JUMP_S:
            return
        log.warning("the clock was set, or the machine slept", extra={"jump_s": round(jump_s)})
        for heard in self._last_heard.values():
            for validity, at in heard.items():
                heard[validity] = min(at + max(jump_s, 0.0), now)

    def _settle_nothing(
        self, assignment: Assignment, config: Config, before: Alert | None, verdict: Verdict | None, now: float
    ) -> Settled:
        judgement, alert = self._nothing(assignment, verdict, now), before
        if verdict is not None and (before is None or not {SILENT.name, FAILING.name} & set(before.monitors)):
            around = surroundings(self._ledger, assignment, judgement, config, [], self._known(assignment.key))
            alert = advance(before, judgement, around, self._ledger.next_alert_number())
        return Settled(judgement, before, None if alert is None else self._hushed(alert, config, [], now))

    def _hushed(self, alert: Alert, config: Config, events: Iterable[Event], now: float) -> Alert:
        lasts_s = config.alerts.rollout_s
        recent = [*self._ledger.events(alert.target, now - lasts_s), *events]
        written = [Silence(s.begins_at, s.ends_at, s.why, s.watch) for s in config.alerts.silences]
        silences = [*written, *self._ledger.silences(now), *rollouts(recent, lasts_s)]
        silences += of_rollout(self._rollout(alert.target), lasts_s)
        # The alert of a watch that was removed from the config never ends, and must not silence others.
        watched = {(watch.name, target) for watch in config.watches.values() for target in watch.targets}
        others = [
            a for a in self._ledger.open_alerts() if (a.watch, a.target) in watched - {(alert.watch, alert.target)}
        ]
        return hushed(alert, in_force(silences, alert.watch, now), others)

    def _known(self, key: tuple[str, str]) -> dict[str, str]:
        """Return what was known before; a ledger of an older format has it in its judgements only."""
        if found := self._ledger.circumstances(*key):
            return found
        last = self._ledger.last_judgement(*key, described=True)
        return circumstances(last, {}) if last is not None else {}

    def _silent(self, assignment: Assignment, judged: Judged, before: Alert | None, now: float) -> Verdict:
        """Return the verdict *silent* after a replay. Only a valid replay ends it, also across a restart.

        A target that is failing is known to be: that is the cause, and one alert is enough.
        """
        validity = judged.findings.validity
        if validity is not Validity.INVALID:
            self._heard(assignment.key, now)[validity] = judged.run.started_at
        if validity is Validity.VALID:
            return _verdict(State.STEADY, None, "the last replay was valid")
        failing = any(v.monitor == FAILING.name and v.state is State.ALERTING for v in judged.verdicts)
        overdue = None if failing else self._overdue(assignment, now)
        if overdue is None and not failing and before is not None and SILENT.name in before.monitors:
            heard_at = self._ledger.last_valid_at(*assignment.key, before=now)
            overdue = _unheard(assignment, before.opened_at if heard_at is None else heard_at, now)
        return overdue or _verdict(State.UNKNOWN, None, "the last replay was not valid")

    def _heard(self, key: tuple[str, str], now: float) -> dict[Validity, float]:
        """Return when something was last heard of a watch, by what it was. No silence is older than this agent."""
        if key not in self._last_heard:
            self._last_heard[key] = {Validity.VALID: now, Validity.INSUFFICIENT: now}
        return self._last_heard[key]

    def _overdue(self, assignment: Assignment, now: float) -> Verdict | None:
        """Return the verdict of a watch that has been silent for too long; None for another."""
        heard = self._heard(assignment.key, now)
        since = (max(heard.values()), SILENT_AFTER), (heard[Validity.VALID], _INTERVALS_HALF_HEARD)
        if not any(_has_passed(assignment.watch, at, intervals, now) for at, intervals in since):
            return None
        return _unheard(assignment, heard[Validity.VALID], now)

    def _nothing(self, assignment: Assignment, verdict: Verdict | None, now: float) -> Judgement:
        """Return a judgement without a replay: monitors that were alerting still are, the others are unknown."""
        last = self.last_judgement(*assignment.key)
        others = [v for v in last.verdicts if v.monitor != SILENT.name] if last is not None else []
        if verdict is not None:
            others = [v.no_longer_known(verdict.summary) for v in others]
        reasons = last.findings.reasons if last is not None else ()
        verdicts = tuple(others) if verdict is None else (*others, verdict)
        return Judgement(assignment.subject, Run(now), Findings.nothing(*reasons), verdicts)


def _has_passed(watch: Watch, at: float, intervals: int, now: float) -> bool:
    """Return whether the watch was due again after `at`, and the mean interval has passed `intervals` times since.

    A cron line may pause for longer than that: then the intervals are counted from the first time after the pause.
    """
    interval_s = max(mean_interval_s(watch.every), _SHORTEST_INTERVAL_S)
    limit = at + intervals * interval_s + watch.jitter_s
    if now < limit or watch.every.cron is None:
        return now >= limit
    return now >= due_after(watch.every, at) + (intervals - 1) * interval_s + watch.jitter_s


def _unheard(assignment: Assignment, since: float, now: float) -> Verdict:
    """Return the verdict of a watch whose last valid replay began at `since`."""
    what = f"no valid replay for {format_duration(round(now - since))}"
    due = f"one is due every {format_duration(round(mean_interval_s(assignment.watch.every), 3))}"
    return _verdict(State.ALERTING, since, f"{what}, and {due}: the model is not watched")


def _verdict(state: State, since: float | None, summary: str) -> Verdict:
    return Verdict(SILENT.name, state, Severity.TICKET, None, None, since, confirm=False, summary=summary)


def _own_facts(assignment: Assignment) -> dict[str, str]:
    """Return facts of goldwatch itself that might explain a change: its node, its version and its config.

    In Kubernetes the name of the node comes from the downward API, as NODE_NAME.
    """
    watch = assignment.watch.model_dump(mode="json")
    target = assignment.target.model_dump(mode="json")  # secrets are masked
    digest = hashlib.sha256(json.dumps([watch, target], sort_keys=True, default=str).encode()).hexdigest()
    return {
        "node": os.environ.get("NODE_NAME") or platform.node(),
        "goldwatch": __version__,
        "config": f"sha256:{digest[:12]}",
    }
