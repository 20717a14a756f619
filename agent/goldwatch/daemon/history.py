"""The ledger as it is read: by the agent, by its pages, and by commands while an agent writes to it.

A reader has a connection of its own, so that neither waits for the other (SQLite in WAL mode).
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Self, TypeAlias, TypeVar
from urllib.parse import quote

from goldwatch.core.event import Event
from goldwatch.core.judgement import Judgement, Severity
from goldwatch.daemon.alert import Alert
from goldwatch.daemon.alert_explanation import Explanation
from goldwatch.daemon.silence import Silence
from goldwatch.errors import GoldwatchError

FORMAT = 5
"""The format of the ledger, which SQLite keeps as its user_version."""

_MOST_EVENTS = 10
_MOST_DAMAGED = 3
"""The newest replays are looked at until one can be read; they are no more than this."""

_Row: TypeAlias = dict[str, Any]
_Parsed = TypeVar("_Parsed")

log = logging.getLogger(__name__)


class LedgerError(GoldwatchError):
    """The ledger cannot be used; the text names the file, the reason, and a remedy."""


class History:
    """A ledger, for reading. Thread-safe."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        """Read through a connection, which is closed with the history."""
        self._path = path
        self._db = db
        self._lock = threading.Lock()
        self._damaged: set[tuple[str, object]] = set()

    @classmethod
    def open(cls, path: Path) -> History:
        """Open a ledger to read it, whether or not an agent writes to it. Raises LedgerError."""
        if not path.is_file():
            raise LedgerError(f"{path}: no such ledger; it is made by `goldwatch run`")
        try:
            db, found = _connected(path)
        except sqlite3.Error as error:
            raise LedgerError(f"{path}: not a usable ledger: {error}") from None
        if found != FORMAT:
            db.close()
            raise LedgerError(
                f"{path}: ledger format {found}, this goldwatch reads format {FORMAT}; "
                "`goldwatch run` of this version converts older ones when it starts"
            )
        return cls(path, db)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def states(self, watch: str, target: str, golden_digest: str) -> dict[str, Any]:
        """Return the saved state of each monitor of a watch and target, as far as it is about this golden set."""
        sql = "SELECT monitor, state FROM monitors WHERE watch = ? AND target = ? AND golden_digest = ?"
        rows = self.select(sql, watch, target, golden_digest)
        # A monitor whose state is damaged begins again, and its next state takes the place of the damaged one.
        return dict(self._parsed("monitors", rows, _state))

    def open_alert(self, watch: str, target: str) -> Alert | None:
        """Return the alert of a watch and target that has not closed."""
        rows = self.select(
            "SELECT * FROM alerts WHERE watch = ? AND target = ? AND closed_at IS NULL ORDER BY number", watch, target
        )
        return _last(self._parsed("alerts", rows, _alert))

    def open_alerts(self) -> list[Alert]:
        """Return all alerts that have not closed, oldest first."""
        rows = self.select("SELECT * FROM alerts WHERE closed_at IS NULL ORDER BY number")
        return list(self._parsed("alerts", rows, _alert))

    def alert(self, number: int) -> Alert | None:
        """Return one alert; None if there is none of that number."""
        rows = self.select("SELECT * FROM alerts WHERE number = ?", number)
        return _last(self._parsed("alerts", rows, _alert))

    def alerts(self, limit: int = -1) -> list[Alert]:
        """Return the newest alerts, all of them without a limit; oldest first."""
        rows = self.select("SELECT * FROM alerts ORDER BY number DESC LIMIT ?", limit)
        return list(self._parsed("alerts", rows[::-1], _alert))

    def alerts_of(self, watch: str, target: str, since: float, limit: int) -> list[Alert]:
        """Return the newest alerts of a watch and target that were open at or after a Unix time, oldest first."""
        rows = self.select(
            "SELECT * FROM alerts WHERE watch = ? AND target = ? AND (closed_at IS NULL OR closed_at >= ?)"
            " ORDER BY number DESC LIMIT ?",
            watch,
            target,
            since,
            limit,
        )
        return list(self._parsed("alerts", rows[::-1], _alert))

    def next_alert_number(self) -> int:
        """Return the number that the next alert gets."""
        return int(self.select("SELECT coalesce(max(number), 0) + 1 AS next FROM alerts")[0]["next"])

    def events(self, target: str, since: float) -> list[Event]:
        """Return the events of a target at or after a Unix time, oldest first; the first ten of them.

        An event that several watches of the target saw is returned once.
        """
        sql = (
            "SELECT min(at) AS at, target, field, before, after FROM events WHERE target = ? AND at >= ?"
            " GROUP BY field, before, after ORDER BY at LIMIT ?"
        )
        return [Event(**row) for row in self.select(sql, target, since, _MOST_EVENTS)]

    def changes(self, target: str, since: float, until: float, limit: int) -> list[Event]:
        """Return the newest events of a target between two Unix times, oldest first.

        Other watches of the target see an event again; what has changed back and forth is there each time.
        """
        sql = (
            "SELECT at, target, field, before, after FROM"
            " (SELECT *, lag(after) OVER (PARTITION BY field ORDER BY at) AS prior FROM events"
            " WHERE target = ? AND at BETWEEN ? AND ?) WHERE prior IS NOT after ORDER BY at DESC LIMIT ?"
        )
        return [Event(**row) for row in self.select(sql, target, since, until, limit)[::-1]]

    def circumstances(self, watch: str, target: str) -> dict[str, str]:
        """Return what was last known of what might explain a change, by name."""
        sql = "SELECT field, value FROM circumstances WHERE watch = ? AND target = ?"
        return {row["field"]: row["value"] for row in self.select(sql, watch, target)}

    def silences(self, after: float) -> list[Silence]:
        """Return the silences that were asked for by command and end after a Unix time."""
        rows = self.select(
            "SELECT begins_at, ends_at, why, watch FROM silences WHERE ends_at > ? ORDER BY ends_at", after
        )
        return [Silence(**row) for row in rows]

    def last_judgement(self, watch: str, target: str, *, described: bool = False) -> Judgement | None:
        """Return the newest judgement of a watch and target, without its latencies.

        If `described`, return the newest with a description of the target.
        """
        rows = self.select(
            "SELECT id, judgement FROM replays WHERE watch = ? AND target = ?"
            " AND (NOT ? OR (json_valid(judgement) AND json_extract(judgement, '$.description') IS NOT NULL))"
            " ORDER BY id DESC LIMIT ?",
            watch,
            target,
            described,
            _MOST_DAMAGED,
        )
        return next(self._parsed("replays", rows, _judgement), None)

    def valid_before(self, watch: str, target: str, before: float, limit: int) -> list[Judgement]:
        """Return the newest valid replays that started before a Unix time, newest first, without their latencies."""
        sql = (
            "SELECT id, judgement FROM replays WHERE watch = ? AND target = ? AND validity = 'valid' AND started_at < ?"
            " ORDER BY id DESC LIMIT ?"
        )
        return list(self._parsed("replays", self.select(sql, watch, target, before, limit), _judgement))

    def newest(self, watch: str, target: str, limit: int) -> list[Judgement]:
        """Return the newest replays, newest first, without their latencies."""
        sql = "SELECT id, judgement FROM replays WHERE watch = ? AND target = ? ORDER BY id DESC LIMIT ?"
        return list(self._parsed("replays", self.select(sql, watch, target, limit), _judgement))

    def last_started_at(self, watch: str, target: str, golden_digest: str) -> float | None:
        """Return when the newest replay of a watch and target started; None if it was of another golden set."""
        sql = (
            "SELECT started_at, json_extract(judgement, '$.golden_digest') AS digest FROM replays"
            " WHERE watch = ? AND target = ? AND json_valid(judgement) ORDER BY id DESC LIMIT 1"
        )
        rows = self.select(sql, watch, target)
        return float(rows[0]["started_at"]) if rows and rows[0]["digest"] == golden_digest else None

    def last_valid_at(self, watch: str, target: str, before: float) -> float | None:
        """Return when the newest valid replay before a Unix time started."""
        rows = self.select(
            "SELECT started_at FROM replays WHERE watch = ? AND target = ? AND validity = 'valid' AND started_at < ?"
            " ORDER BY id DESC LIMIT 1",
            watch,
            target,
            before,
        )
        return float(rows[0]["started_at"]) if rows else None

    def last_metered_at(self, watch: str, target: str, since: float) -> float | None:
        """Return when the newest replay after which energy was measured, or could not be, started, after `since`."""
        return self._last_at(
            watch, target, since, "coalesce(json_extract(j, '$.energy'), json_extract(j, '$.energy_missing')) != ''"
        )

    def last_asked_twice_at(self, watch: str, target: str, since: float) -> float | None:
        """Return when the newest replay after which examples were asked for twice started, after `since`."""
        names = "SELECT json_extract(value, '$.name') FROM json_each(j, '$.checks')"
        return self._last_at(watch, target, since, f"'repeats' IN ({names})")

    def _last_at(self, watch: str, target: str, since: float, where: str) -> float | None:
        """Return when the newest replay started whose judgement, `j`, matches `where`."""
        sql = (
            "SELECT max(started_at) AS at FROM (SELECT started_at, judgement AS j FROM replays"  # noqa: S608 - it is ours
            f" WHERE watch = ? AND target = ? AND started_at > ? AND json_valid(judgement)) WHERE {where}"
        )
        (found,) = self.select(sql, watch, target, since)
        return None if found["at"] is None else float(found["at"])

    def replays(self, watch: str, target: str) -> Iterator[tuple[Judgement, dict[str, Any] | None]]:
        """Yield each replay that is kept, oldest first, with what was observed in it, where that was kept too."""
        sql = "SELECT id, judgement, observed FROM replays WHERE watch = ? AND target = ? ORDER BY id"
        return self._parsed("replays", self.select(sql, watch, target), _observed)

    def _parsed(self, table: str, rows: Iterable[_Row], parse: Callable[[_Row], _Parsed]) -> Iterator[_Parsed]:
        """Yield what rows hold. A row that cannot be parsed is left out, and logged once."""
        for row in rows:
            try:
                yield parse(row)
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
                key = row.get("id") or row.get("number") or row.get("monitor")
                if (table, key) not in self._damaged:
                    self._damaged.add((table, key))
                    where = {"ledger": str(self._path), "table": table, "row": key}
                    why = f"{type(error).__name__}: {error}"[:200]
                    log.warning("a damaged row of the ledger is left out", extra={**where, "why": why})

    def select(self, sql: str, *values: object) -> list[dict[str, Any]]:
        """Return the rows of a SELECT, each by the names of its columns."""
        with self._lock, closing(self._db.execute(sql, values)) as cursor:
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]


def _connected(path: Path) -> tuple[sqlite3.Connection, int]:
    """Return a connection of a reader and the format of the ledger. Raises sqlite3.Error."""
    # SQLite makes files next to the ledger for a reader, which a read-only folder refuses. If it has no write-ahead
    # log, no agent uses the ledger, and the file can be read by itself.
    at_rest = not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists()
    how = "immutable=1" if at_rest else "mode=ro"
    db = sqlite3.connect(f"file:{quote(str(path))}?{how}", uri=True, check_same_thread=False, timeout=10)
    try:
        db.execute("PRAGMA cache_size = -256")  # KiB, as for the writer
        (found,) = db.execute("PRAGMA user_version").fetchone()
    except sqlite3.Error:
        db.close()
        raise
    return db, found


def _judgement(row: _Row) -> Judgement:
    return Judgement.from_json(json.loads(row["judgement"]))


def _observed(row: _Row) -> tuple[Judgement, dict[str, Any] | None]:
    return _judgement(row), json.loads(row["observed"]) if row["observed"] else None


def _state(row: _Row) -> tuple[str, Any]:
    return row["monitor"], json.loads(row["state"])


def _last(parsed: Iterable[_Parsed]) -> _Parsed | None:
    return next(iter(reversed(list(parsed))), None)


def _alert(row: _Row) -> Alert:
    told = Explanation.from_json(json.loads(row["explanation"])) if row["explanation"] else None
    monitors = tuple(json.loads(row["monitors"]))
    return Alert(**row | {"severity": Severity(row["severity"]), "monitors": monitors, "explanation": told})
