"""The ledger: the history of replays, verdicts, alerts and events, and the evidence of each monitor, in SQLite.

All that follows from one replay is written in one transaction, in WAL mode and synced, so that a kill at any instant
loses at most the replay in flight, and no evidence.
"""

from __future__ import annotations

import fcntl
import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from goldwatch.core.event import Event
from goldwatch.core.judgement import Judgement
from goldwatch.daemon.alert import Alert
from goldwatch.daemon.history import FORMAT, History, LedgerError
from goldwatch.daemon.silence import Silence

__all__ = ["Ledger", "LedgerError", "add_silence", "end_silences", "forget"]

_KEPT_S = 90 * 86_400.0
"""Replays, with their scores and verdicts, are kept for this long; alerts, events and evidence for ever.

The wall clock may jump, so a replay's age is counted by `age_s`, which never steps back. It advances by the monotonic
clock, and by at most `_MAX_GAP_S` from one run of the agent to the next.
"""
_MAX_GAP_S = 86_400.0
_MAX_SILENCES = 1000

_SCHEMA = """
CREATE TABLE replays (
    id INTEGER PRIMARY KEY, watch TEXT NOT NULL, target TEXT NOT NULL, started_at REAL NOT NULL,
    validity TEXT NOT NULL, judgement TEXT NOT NULL, observed TEXT
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
    monitors TEXT NOT NULL, opened_at REAL NOT NULL, closed_at REAL, text TEXT NOT NULL,
    silenced_why TEXT NOT NULL DEFAULT '', silenced_until REAL, explanation TEXT
) STRICT;
CREATE TABLE events (
    at REAL NOT NULL, target TEXT NOT NULL, field TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_target ON events (target, at);
"""
_SINCE_2 = """
CREATE INDEX alerts_open ON alerts (number) WHERE closed_at IS NULL;
CREATE TABLE silences (
    begins_at REAL NOT NULL, ends_at REAL NOT NULL, why TEXT NOT NULL, watch TEXT NOT NULL
) STRICT;
CREATE TABLE circumstances (
    watch TEXT NOT NULL, target TEXT NOT NULL, field TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (watch, target, field)
) STRICT, WITHOUT ROWID;
"""
_SINCE_4 = """
ALTER TABLE replays ADD COLUMN age_s REAL NOT NULL DEFAULT 0;
UPDATE replays SET age_s = started_at;
CREATE INDEX replays_by_age ON replays (age_s);
CREATE INDEX replays_in_order ON replays (watch, target, id);
DROP INDEX replays_by_time;
"""
_MIGRATIONS = {
    1: """
ALTER TABLE replays ADD COLUMN observed TEXT;
ALTER TABLE alerts ADD COLUMN silenced_why TEXT NOT NULL DEFAULT '';
ALTER TABLE alerts ADD COLUMN silenced_until REAL;
ALTER TABLE alerts ADD COLUMN explanation TEXT;
"""
    + _SINCE_2,
    2: "",  # its table was for budgets of energy, which are gone
    3: _SINCE_4,
    4: "DROP TABLE IF EXISTS charges;",
}
"""What turns a ledger of each older format into one of the next."""


class Ledger(History):
    """One open ledger; this process is the only writer. Thread-safe."""

    def __init__(self, path: Path, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        """Open or create the ledger. Raises LedgerError."""
        self._monotonic_s = monotonic_s
        self._aged: tuple[float, float] | None = None
        if path.is_dir():
            raise LedgerError(f"{path}: a folder; set `ledger:` to a file")
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
            super().__init__(path, _connect(path))
            self._identity = _identity(path)
        except (sqlite3.Error, LedgerError) as error:
            self._guard.close()
            if isinstance(error, LedgerError):
                raise
            if _is_unwritable(error):
                raise _unwritable(path, error) from None
            raise LedgerError(f"{path}: not a usable ledger: {error}; move it away to start a new one") from None

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
        observed: Mapping[str, Any] | None = None,
        circumstances: Mapping[str, str] | None = None,
    ) -> None:
        """Write what follows from one replay, all of it or nothing. Raises LedgerError, as all that writes.

        `states` maps a monitor to its JSON-able state, `observed` is what a backtest needs of the replay, and
        `circumstances` what is known now of what might explain a change.
        """
        j, (watch, target) = judgement, (judgement.subject.watch, judgement.subject.target)
        seen = None if observed is None else _json(observed)
        with self._writing():
            age_s = self._age_s(j.run.started_at)
            self._db.execute("DELETE FROM replays WHERE age_s < ?", (age_s - _KEPT_S,))
            newest = "SELECT rowid FROM silences ORDER BY ends_at DESC LIMIT ?"
            self._db.execute(f"DELETE FROM silences WHERE rowid NOT IN ({newest})", (_MAX_SILENCES,))  # noqa: S608 - ours
            row = (watch, target, j.run.started_at, j.findings.validity, _dump(j), seen, age_s)
            replay = self._db.execute("INSERT INTO replays VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", row).lastrowid
            scores = [(replay, s.name, s.value, s.low, s.high, s.n, s.reference) for s in j.findings.scores]
            self._db.executemany("INSERT INTO scores VALUES (?, ?, ?, ?, ?, ?, ?)", scores)
            verdicts = [(replay, v.monitor, v.state, v.evidence, v.threshold) for v in j.verdicts]
            self._db.executemany("INSERT INTO verdicts VALUES (?, ?, ?, ?, ?)", verdicts)
            kept = [(watch, target, name, j.subject.golden_digest, json.dumps(s)) for name, s in states.items()]
            self._db.executemany("INSERT OR REPLACE INTO monitors VALUES (?, ?, ?, ?, ?)", kept)
            self._db.executemany(
                "INSERT INTO events VALUES (:at, :target, :field, :before, :after)", [asdict(e) for e in events]
            )
            known = [(watch, target, name, value) for name, value in (circumstances or {}).items()]
            self._db.executemany("INSERT OR REPLACE INTO circumstances VALUES (?, ?, ?, ?)", known)
            if alert is not None:
                self._keep(alert)

    def keep_alert(self, alert: Alert) -> None:
        """Write an alert that follows from no replay: from its absence, or from the end of a silence."""
        with self._writing():
            self._keep(alert)

    def end_alerts(self, now: float) -> list[Alert]:
        """Close all open alerts at Unix time `now`, let their monitors begin again, and return them."""
        closed = [replace(alert, closed_at=now) for alert in self.open_alerts()]
        with self._writing():
            for alert in closed:
                self._keep(alert)
                about = [(alert.watch, alert.target, monitor) for monitor in alert.monitors]
                self._db.executemany("DELETE FROM monitors WHERE watch = ? AND target = ? AND monitor = ?", about)
        return closed

    def _age_s(self, started_at: float) -> float:
        """Return the age of the ledger, in seconds, at a replay that is written now."""
        now_s = self._monotonic_s()
        if self._aged is None:
            row = self._db.execute("SELECT started_at, age_s FROM replays ORDER BY id DESC LIMIT 1").fetchone()
            last_at, last_s = row or (started_at, started_at)
            self._aged = last_s + min(max(started_at - last_at, 0.0), _MAX_GAP_S), now_s
        age_s, then_s = self._aged
        return age_s + now_s - then_s

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Keep all that is written within, or nothing. Raises LedgerError where the file cannot be written."""
        if _identity(self._path) != self._identity:  # SQLite would go on writing into the deleted file
            raise LedgerError(
                f"{self._path}: was deleted or replaced in use; restart goldwatch to use the file that is there now"
            )
        try:
            with self._lock, self._db:
                yield
        except sqlite3.OperationalError as error:
            if _is_unwritable(error):
                raise _unwritable(self._path, error) from None
            raise

    def _keep(self, alert: Alert) -> None:
        told = None if alert.explanation is None else _json(alert.explanation.to_json())
        values = {
            "number": alert.number,
            "watch": alert.watch,
            "target": alert.target,
            "severity": alert.severity,
            "monitors": json.dumps(alert.monitors),
            "opened_at": alert.opened_at,
            "closed_at": alert.closed_at,
            "text": alert.text,
            "silenced_why": alert.silenced_why,
            "silenced_until": alert.silenced_until,
            "explanation": told,
        }
        names, places = ", ".join(values), ", ".join(f":{name}" for name in values)
        self._db.execute(f"INSERT OR REPLACE INTO alerts ({names}) VALUES ({places})", values)  # noqa: S608 - the names are ours


def _identity(path: Path) -> tuple[int, int] | None:
    """Return the device and inode of a file, None if there is none."""
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino


def add_silence(path: Path, silence: Silence) -> None:
    """Write a silence into a ledger, which an agent may be using; it applies from then on. Raises LedgerError."""
    with History.open(path):
        pass  # it is there, and of this format
    try:
        with closing(sqlite3.connect(path, timeout=10)) as db, db:
            row = (silence.begins_at, silence.ends_at, silence.why, silence.watch)
            db.execute("INSERT INTO silences VALUES (?, ?, ?, ?)", row)
    except sqlite3.Error as error:
        raise LedgerError(f"{path}: cannot be written: {error}") from None


def end_silences(path: Path, at: float) -> int:
    """End at Unix time `at` all silences that were asked for by command, and return how many. Raises LedgerError."""
    with History.open(path):
        pass
    try:
        with closing(sqlite3.connect(path, timeout=10)) as db, db:
            return db.execute("UPDATE silences SET ends_at = ? WHERE ends_at > ?", (at, at)).rowcount
    except sqlite3.Error as error:
        raise LedgerError(f"{path}: cannot be written: {error}") from None


def forget(path: Path, monitor: str, watch: str, target: str) -> bool:
    """Delete the state of a monitor of a watch and target, and return whether there was one. Raises LedgerError."""
    with History.open(path):
        pass
    try:
        with closing(sqlite3.connect(path, timeout=10)) as db, db:
            sql = "DELETE FROM monitors WHERE monitor = ? AND watch = ? AND target = ?"
            return db.execute(sql, (monitor, watch, target)).rowcount > 0
    except sqlite3.Error as error:
        raise LedgerError(f"{path}: cannot be written: {error}") from None


def _is_unwritable(error: sqlite3.Error) -> bool:
    """Say whether it is the disk or its rights that an error is about, and not what the file holds."""
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return primary in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)


def _unwritable(path: Path, error: sqlite3.Error) -> LedgerError:
    return LedgerError(f"{path}: cannot be written: {error}; make room there, or set `ledger:` to a file that can")


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, check_same_thread=False, timeout=10)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")  # evidence survives a power failure too; one sync a replay is cheap
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA cache_size = -256")  # KiB; the agent is small, and each row is read about once
    _bring_up_to_date(path, db)
    return db


def _bring_up_to_date(path: Path, db: sqlite3.Connection) -> None:
    """Make the tables of a new ledger, or turn an older one into today's format: whole, or not at all."""
    (found,) = db.execute("PRAGMA user_version").fetchone()
    if found == 0:
        script = _SCHEMA + _SINCE_2 + _SINCE_4
    elif found in range(1, FORMAT):
        script = "".join(_MIGRATIONS[step] for step in range(found, FORMAT))
    elif found == FORMAT:
        return
    else:
        raise LedgerError(
            f"{path}: ledger format {found}, this goldwatch writes format {FORMAT}; move it away to start a new one"
        )
    try:
        db.executescript(f"BEGIN; {script} PRAGMA user_version = {FORMAT}; COMMIT;")
    except sqlite3.Error:
        db.rollback()
        raise


def _dump(judgement: Judgement) -> str:
    tokens = judgement.findings.tokens and judgement.findings.tokens.without_times()
    run = replace(judgement.run, latencies_s=(), late_s=())
    return _json(replace(judgement, run=run, findings=replace(judgement.findings, tokens=tokens, slices=())).to_json())


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))
