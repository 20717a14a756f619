"""The data of the API and the page: read-only, bounded, from a connection to the ledger of their own.

All of it is plain values. Nothing here waits for a replay, and no replay waits for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from goldwatch.config.effective import in_effect
from goldwatch.core.judgement import Judgement, Passed, State, Verdict
from goldwatch.core.monitors.silent import SILENT_AFTER
from goldwatch.daemon.alert import Alert
from goldwatch.daemon.history import History, LedgerError
from goldwatch.daemon.in_force import Assignment, InForce
from goldwatch.daemon.schedule import mean_interval_s
from goldwatch.daemon.trend import trend
from goldwatch.daemon.watch_view import WatchView

MOST = 1000
"""More watches or alerts than this are not told at once."""

_WORST_FIRST = (State.ALERTING, State.UNKNOWN, State.SUSPECT, State.RECOVERED, State.STEADY)
_REUSED_FOR_S = 1.0
_VIEW_REUSED_FOR_S = 60.0
"""A page of a watch reads up to 90 days of replays; until an alert or a state changes, it is read once in this time."""
_VIEWS = 8
_CHANGES = ("state", "alert", "severity", "silenced")


class Status:
    """The state of an agent, as far as it is in its ledger and its config. Thread-safe."""

    def __init__(
        self,
        ledger: Path,
        in_force: Callable[[], InForce | None],
        clock: Callable[[], float] = time.time,
        in_use: Callable[[], float | None] = lambda: None,
    ) -> None:
        """Read the ledger at a path; `in_force` returns the config that is, `clock` Unix time in seconds.

        `in_use` returns the share of the agent's replay slots that was in use lately, None if that is not known.
        """
        self._in_use = in_use
        self._path = ledger
        self._in_force = in_force
        self._clock = clock
        self._lock = threading.Lock()
        self._history: History | None = None
        self._watches: tuple[float, InForce | None, list[dict[str, Any]]] = (-1.0, None, [])
        self._views: dict[tuple[str, str, int], tuple[InForce, WatchView]] = {}

    def close(self) -> None:
        """Let go of the ledger."""
        with self._lock:
            if self._history is not None:
                self._history.close()
                self._history = None

    def watches(self, limit: int = MOST) -> dict[str, Any]:
        """Return the watches, the worst first. Raises LedgerError."""
        with self._lock:
            wanted, now = self._in_force(), self._clock()
            made_at, of, found = self._watches
            if of is not wanted or not 0 <= now - made_at < _REUSED_FOR_S:  # a page that many look at costs once
                found = self._all_watches(wanted, now)
                self._watches = (now, wanted, found)
        counts = {str(state): sum(w["state"] == state for w in found) for state in _WORST_FIRST}
        told = {"at": now, "total": len(found), "states": counts, "slots_in_use": self._in_use()}
        return told | {"watches": found[:limit]}

    def alerts(self, limit: int = 100) -> dict[str, Any]:
        """Return the newest alerts, open ones first, then by number from the newest. Raises LedgerError."""
        with self._lock:
            found = self._open().alerts(limit)
        told = [_alert(alert) for alert in found]
        return {"alerts": sorted(told, key=lambda a: (a["closed_at"] is not None, -a["number"]))}

    def alert(self, number: int) -> dict[str, Any] | None:
        """Return one alert with its whole explanation; None if there is none. Raises LedgerError."""
        with self._lock:
            found = self._open().alert(number)
        if found is None:
            return None
        told = None if found.explanation is None else found.explanation.to_json()
        return _alert(found) | {"explanation": told}

    def view(self, watch: str, target: str, days: int) -> WatchView | None:
        """Return what the page of a watch shows; of its first target, if `target` is empty. None if there is none.

        It is as of its `at`, up to a minute ago. Raises LedgerError. It has a connection of its own: the other
        questions do not wait for 90 days of replays.
        """
        wanted, now = self._in_force(), self._clock()
        found = [a for a in wanted.assignments if a.watch.name == watch] if wanted is not None else []
        assignment = next((a for a in found if target in ("", a.target.name)), None)
        if wanted is None or assignment is None:
            return None
        key = assignment.key
        with History.open(self._path) as history:
            row = _of(history, assignment, now, history.open_alert(*key))
            if (kept := self._kept_view((*key, days), wanted, row, now)) is not None:
                return kept
            last = next(iter(history.valid_before(*key, now, 1)), None)
            score = "" if last is None or last.headline is None else last.headline.name
            view = WatchView(
                now,
                days,
                row,
                tuple(a.target.name for a in found),
                assignment,
                wanted.config.alerts.false_alarms_per_year,
                last,
                trend(history, key, score, now, days, mean_interval_s(assignment.watch.every)),
                in_effect(wanted.config, *key),
            )
        with self._lock:
            self._views.pop((*key, days), None)
            self._views[*key, days] = (wanted, view)
            while len(self._views) > _VIEWS:
                del self._views[next(iter(self._views))]
        return view

    def _kept_view(
        self, key: tuple[str, str, int], wanted: InForce, row: Mapping[str, Any], now: float
    ) -> WatchView | None:
        with self._lock:
            of, view = self._views.get(key, (None, None))
        if view is None or of is not wanted or not 0 <= now - view.at < _VIEW_REUSED_FOR_S:
            return None
        return view if all(view.row[name] == row[name] for name in _CHANGES) else None

    def history(self, watch: str, target: str, days: int) -> dict[str, Any] | None:
        """Return the history of a watch for programs; see `view`."""
        found = self.view(watch, target, days)
        if found is None:
            return None
        name, of = found.assignment.key
        return {"at": found.at, "watch": name, "target": of, **found.trend.to_json()}

    def _open(self) -> History:
        if self._history is None:
            self._history = History.open(self._path)
        return self._history

    def _all_watches(self, wanted: InForce | None, now: float) -> list[dict[str, Any]]:
        if wanted is None:
            return []
        history = self._open()
        alerts = {(a.watch, a.target): a for a in history.open_alerts()}
        told = [_of(history, a, now, alerts.get(a.key)) for a in wanted.assignments]
        return sorted(told, key=lambda w: (_WORST_FIRST.index(w["state"]), w["watch"], w["target"]))


def _of(history: History, of: Assignment, now: float, alert: Alert | None) -> dict[str, Any]:
    return _watch(of, history.last_judgement(*of.key), history.last_valid_at(*of.key, before=now), alert, now)


def _watch(
    assignment: Assignment, last: Judgement | None, valid_at: float | None, alert: Alert | None, now: float
) -> dict[str, Any]:
    stale = valid_at is None or now - valid_at > SILENT_AFTER * mean_interval_s(assignment.watch.every)
    verdicts = last.verdicts if last is not None else ()
    return {
        "watch": assignment.watch.name,
        "target": assignment.target.name,
        "probe": assignment.target.probe,
        "golden": str(assignment.golden),
        "examples": assignment.golden.examples,
        "state": worst(verdicts, stale=stale),
        "last_replay_at": last.run.started_at if last is not None else None,
        "last_valid_replay_at": valid_at,
        "validity": str(last.findings.validity) if last is not None else None,
        "reasons": [*last.findings.reasons, *failed_checks(last)] if last is not None else ["no replay yet"],
        "model": _model(last),
        "scores": [_plain(s, "name", "value", "low", "high", "n", "reference") for s in last.findings.scores]
        if last
        else [],
        "latency": [_plain(q, "q", "latency_s") for q in last.findings.quantiles] if last else [],
        "throughput": last.findings.throughput if last is not None else None,
        "verdicts": [
            _plain(v, "monitor", "state", "severity", "evidence", "threshold", "since", "summary") for v in verdicts
        ],
        "alert": alert.number if alert is not None else None,
        "severity": alert.severity if alert is not None else None,
        "silenced": alert.silenced_why if alert is not None else "",
    }


def worst(verdicts: tuple[Verdict, ...], *, stale: bool) -> State:
    """Return the state of a watch: that of its worst verdict; unknown if it has none, or if its news is old."""
    states = [v.state for v in verdicts]
    if stale or not states:
        states.append(State.UNKNOWN)
    return min(states, key=_WORST_FIRST.index)


def failed_checks(judgement: Judgement) -> list[str]:
    """Return why checks of the referee failed, a sentence each."""
    return [check.reason for check in judgement.findings.checks if check.passed is Passed.NO]


def _model(last: Judgement | None) -> Mapping[str, str] | None:
    if last is None or last.run.description is None:
        return None
    fields = ("model", "version", "framework", "framework_version", "device", "digest")
    return {field: getattr(last.run.description, field) for field in fields}


def _alert(alert: Alert) -> dict[str, Any]:
    fields = ("number", "watch", "target", "severity", "name", "monitors", "opened_at", "closed_at", "calls")
    return _plain(alert, *fields, "silenced_why", "silenced_until", "headline", "text")


def _plain(value: object, *fields: str) -> dict[str, Any]:
    return {field: getattr(value, field) for field in fields}


__all__ = ["MOST", "LedgerError", "Status", "worst"]
