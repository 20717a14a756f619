"""The ledger: the history of replays, verdicts, alerts and events, and the evidence of each monitor, in SQLite.

All that follows from one replay is written in one transaction, in WAL mode and synced, so that a kill at any instant
loses at most the replay in flight, and no evidence.
"""

from __future__ import annotations

import fcntl
import json
import sqlite3
import threading
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Self

from goldwatch.alert import Alert, Event
from goldwatch.judgement import Judgement, Severity

_FORMAT = 1
_KEPT_S = 90 * 86_400.0
"""Replays, with what hangs on them, are kept for so long; alerts, events and evidence for ever."""

_SCHEMA = """
CREATE TABLE replays (
    id INTEGER PRIMARY KEY, watch TEXT NOT NULL, target TEXT NOT NULL, started_at REAL NOT NULL,
    validity TEXT NOT NULL, judgement TEXT NOT NULL
) STRICT;
CREATE INDEX replays_by_time ON replays (started_at);
CREATE INDEX replays_by_watch ON replays (watch, target, started_at);
CREATE TABLE scores (
    replay INTEGER NOT NULL REFERENCES replays ON DELETE CASCADE, name TEXT NOT NULL,
    value REAL NOT NULL, low REAL NOT NULL, high REAL NOT NULL, n INTEGER NOT NULL, reference REAL,
    PRIMARY KEY (replay, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE verdicts (
    replay INTEGER NOT NULL REFERENCES replays ON DELETE CASCADE, monitor TEXT NOT NULL,
    state TEXT NOT NULL, evidence REAL, threshold REAL,
    PRIMARY KEY (replay, monitor)
) STRICT, WITHOUT ROWID;
CREATE TABLE monitors (
    watch TEXT NOT NULL, target TEXT NOT NULL, monitor TEXT NOT NULL, golden_digest TEXT NOT NULL, state TEXT NOT NULL,
    PRIMARY KEY (watch, target, monitor)
) STRICT, WITHOUT ROWID;
CREATE TABLE alerts (
    number INTEGER PRIMARY KEY, watch TEXT NOT NULL, target TEXT NOT NULL, severity TEXT NOT NULL,
    monitors TEXT NOT NULL, opened_at REAL NOT NULL, closed_at REAL, text TEXT NOT NULL
) STRICT;
CREATE TABLE events (
    at REAL NOT NULL, target TEXT NOT NULL, field TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_target ON events (target, at);
"""


class LedgerError(Exception):
    """The ledger cannot be used; the text says which file, why, and what to do."""


class Ledger:
    """One open ledger, of which this process is the only writer. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """Open or create the ledger. Raises LedgerError."""
        self._path = path
        self._lock = threading.Lock()
        try:
            self._guard = path.with_name(path.name + ".lock").open("w")
        except OSError as error:
            raise LedgerError(
                f"{path}: cannot be written: {error.strerror}; set `ledger:` to a file that can"
            ) from None
        try:
            fcntl.flock(self._guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._guard.close()
            raise LedgerError(f"{path}: another goldwatch is using this ledger; give each its own `ledger:`") from None
        try:
            self._db = _connect(path)
        except (sqlite3.Error, LedgerError) as error:
            self._guard.close()
            if isinstance(error, LedgerError):
                raise
            raise LedgerError(f"{path}: not a usable ledger: {error}; move it away to start a new one") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; another process may open it then."""
        with self._lock:
            self._db.close()
            self._guard.close()

    def record(
        self,
        judgement: Judgement,
        states: Mapping[str, Any],
        alert: Alert | None = None,
        events: Iterable[Event] = (),
    ) -> None:
        """Write what follows from one replay, all of it or nothing. `states` maps a monitor to its JSON-able state."""
        j = judgement
        with self._lock, self._db:
            self._db.execute("DELETE FROM replays WHERE started_at < ?", (j.started_at - _KEPT_S,))
            row = (j.watch, j.target, j.started_at, j.validity, _dump(j))
            replay = self._db.execute("INSERT INTO replays VALUES (NULL, ?, ?, ?, ?, ?)", row).lastrowid
            scores = [(replay, s.name, s.value, s.low, s.high, s.n, s.reference) for s in j.scores]
            self._db.executemany("INSERT INTO scores VALUES (?, ?, ?, ?, ?, ?, ?)", scores)
            verdicts = [(replay, v.monitor, v.state, v.evidence, v.threshold) for v in j.verdicts]
            self._db.executemany("INSERT INTO verdicts VALUES (?, ?, ?, ?, ?)", verdicts)
            kept = [(j.watch, j.target, monitor, j.golden_digest, json.dumps(s)) for monitor, s in states.items()]
            self._db.executemany("INSERT OR REPLACE INTO monitors VALUES (?, ?, ?, ?, ?)", kept)
            self._db.executemany(
                "INSERT INTO events VALUES (:at, :target, :field, :before, :after)", [asdict(e) for e in events]
            )
            if alert is not None:
                values = asdict(alert) | {"monitors": json.dumps(alert.monitors)}
                columns = ", ".join(f":{f.name}" for f in fields(Alert))
                names = ", ".join(f.name for f in fields(Alert))
                self._db.execute(f"INSERT OR REPLACE INTO alerts ({names}) VALUES ({columns})", values)  # noqa: S608 - the names are ours

    def states(self, watch: str, target: str, golden_digest: str) -> dict[str, Any]:
        """Return the saved state of each monitor of a watch and target, as far as it is about this golden set."""
        sql = "SELECT monitor, state FROM monitors WHERE watch = ? AND target = ? AND golden_digest = ?"
        rows = self._all(sql, watch, target, golden_digest)
        return {row["monitor"]: json.loads(row["state"]) for row in rows}

    def open_alert(self, watch: str, target: str) -> Alert | None:
        """Return the alert of a watch and target that has not closed."""
        rows = self._all(
            "SELECT * FROM alerts WHERE watch = ? AND target = ? AND closed_at IS NULL ORDER BY number", watch, target
        )
        return _alert(rows[-1]) if rows else None

    def alerts(self) -> list[Alert]:
        """Return all alerts, oldest first."""
        return [_alert(row) for row in self._all("SELECT * FROM alerts ORDER BY number")]

    def next_alert_number(self) -> int:
        """Return the number that the next alert gets."""
        return int(self._all("SELECT coalesce(max(number), 0) + 1 AS next FROM alerts")[0]["next"])

    def events(self, target: str, since: float) -> list[Event]:
        """Return the events of a target at or after a Unix time, oldest first; the first ten of them.

        What several watches of the target saw is one event.
        """
        sql = (
            "SELECT min(at) AS at, target, field, before, after FROM events WHERE target = ? AND at >= ?"
            " GROUP BY field, before, after ORDER BY at LIMIT 10"
        )
        return [Event(**row) for row in self._all(sql, target, since)]

    def last_judgement(self, watch: str, target: str, *, described: bool = False) -> Judgement | None:
        """Return the newest judgement of a watch and target, without its latencies.

        If `described`, return the newest in which the target said what it is.
        """
        rows = self._all(
            "SELECT judgement FROM replays WHERE watch = ? AND target = ?"
            " AND (NOT ? OR json_extract(judgement, '$.description') IS NOT NULL)"
            " ORDER BY started_at DESC, id DESC LIMIT 1",
            watch,
            target,
            described,
        )
        return Judgement.from_json(json.loads(rows[0]["judgement"])) if rows else None

    def last_valid_at(self, watch: str, target: str, before: float) -> float | None:
        """Return when the newest valid replay before a Unix time started."""
        rows = self._all(
            "SELECT max(started_at) AS at FROM replays"
            " WHERE watch = ? AND target = ? AND validity = 'valid' AND started_at < ?",
            watch,
            target,
            before,
        )
        at: float | None = rows[0]["at"]
        return at

    def _all(self, sql: str, *values: object) -> list[dict[str, Any]]:
        with self._lock, closing(self._db.execute(sql, values)) as cursor:
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, check_same_thread=False, timeout=10)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")  # evidence survives a power failure too; one sync a replay is cheap
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA cache_size = -256")  # KiB; the agent is small, and each row is read about once
    (found,) = db.execute("PRAGMA user_version").fetchone()
    if found == 0:
        with db:
            db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_FORMAT}; COMMIT;")
    elif found != _FORMAT:
        raise LedgerError(
            f"{path}: ledger format {found}, this goldwatch writes format {_FORMAT}; move it away to start a new one"
        )
    return db


def _dump(judgement: Judgement) -> str:
    return json.dumps(judgement.to_json() | {"latencies_s": []}, separators=(",", ":"))


def _alert(row: dict[str, Any]) -> Alert:
    return Alert(**row | {"severity": Severity(row["severity"]), "monitors": tuple(json.loads(row["monitors"]))})
