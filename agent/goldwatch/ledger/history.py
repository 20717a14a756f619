"""The ledger as it is read: by the agent, by its pages, and by commands while an agent writes to it.

A reader has a connection of its own, so that neither waits for the other (SQLite in WAL mode).
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Self

from goldwatch.alerting.alert import Alert
from goldwatch.alerting.event import Event
from goldwatch.alerting.explanation import Explanation
from goldwatch.alerting.silence import Silence
from goldwatch.energy.allowance import Charge
from goldwatch.judgement import Judgement, Severity

FORMAT = 3
"""The format of the ledger, which SQLite keeps as its user_version."""

_MOST_EVENTS = 10
_CHARGE = "watch, target, golden_digest, measuring, ended_at, examples, joules, priced"


class LedgerError(Exception):
    """The ledger cannot be used; the text says which file, why, and what to do."""


class History:
    """What a ledger holds. Thread-safe."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        """Read through a connection, which is closed with the history."""
        self._path = path
        self._db = db
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: Path) -> History:
        """Open a ledger to read it, whether or not an agent writes to it. Raises LedgerError."""
        if not path.is_file():
            raise LedgerError(f"{path}: no such ledger; it is made by `goldwatch run`")
        try:
            db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False, timeout=10)
            db.execute("PRAGMA cache_size = -256")  # KiB, as for the writer
            (found,) = db.execute("PRAGMA user_version").fetchone()
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
        rows = self._all(sql, watch, target, golden_digest)
        return {row["monitor"]: json.loads(row["state"]) for row in rows}

    def open_alert(self, watch: str, target: str) -> Alert | None:
        """Return the alert of a watch and target that has not closed."""
        rows = self._all(
            "SELECT * FROM alerts WHERE watch = ? AND target = ? AND closed_at IS NULL ORDER BY number", watch, target
        )
        return _alert(rows[-1]) if rows else None

    def open_alerts(self) -> list[Alert]:
        """Return all alerts that have not closed, oldest first."""
        return [_alert(row) for row in self._all("SELECT * FROM alerts WHERE closed_at IS NULL ORDER BY number")]

    def alert(self, number: int) -> Alert | None:
        """Return one alert; None if there is none of that number."""
        rows = self._all("SELECT * FROM alerts WHERE number = ?", number)
        return _alert(rows[0]) if rows else None

    def alerts(self, limit: int = -1) -> list[Alert]:
        """Return the newest alerts, all of them without a limit; oldest first."""
        rows = self._all("SELECT * FROM alerts ORDER BY number DESC LIMIT ?", limit)
        return [_alert(row) for row in reversed(rows)]

    def next_alert_number(self) -> int:
        """Return the number that the next alert gets."""
        return int(self._all("SELECT coalesce(max(number), 0) + 1 AS next FROM alerts")[0]["next"])

    def events(self, target: str, since: float) -> list[Event]:
        """Return the events of a target at or after a Unix time, oldest first; the first ten of them.

        What several watches of the target saw is one event.
        """
        sql = (
            "SELECT min(at) AS at, target, field, before, after FROM events WHERE target = ? AND at >= ?"
            " GROUP BY field, before, after ORDER BY at LIMIT ?"
        )
        return [Event(**row) for row in self._all(sql, target, since, _MOST_EVENTS)]

    def circumstances(self, watch: str, target: str) -> dict[str, str]:
        """Return what was last known of what might explain a change, by name."""
        sql = "SELECT field, value FROM circumstances WHERE watch = ? AND target = ?"
        return {row["field"]: row["value"] for row in self._all(sql, watch, target)}

    def silences(self, after: float) -> list[Silence]:
        """Return the silences that were asked for by command and end after a Unix time."""
        rows = self._all(
            "SELECT begins_at, ends_at, why, watch FROM silences WHERE ends_at > ? ORDER BY ends_at", after
        )
        return [Silence(**row) for row in rows]

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

    def last_started_at(self, watch: str, target: str, golden_digest: str) -> float | None:
        """Return when the newest replay of a watch and target started; None if it was of another golden set."""
        sql = (
            "SELECT started_at, json_extract(judgement, '$.golden_digest') AS digest FROM replays"
            " WHERE watch = ? AND target = ? ORDER BY started_at DESC LIMIT 1"
        )
        rows = self._all(sql, watch, target)
        return float(rows[0]["started_at"]) if rows and rows[0]["digest"] == golden_digest else None

    def last_valid_at(self, watch: str, target: str, before: float) -> float | None:
        """Return when the newest valid replay before a Unix time started."""
        rows = self._all(
            "SELECT started_at FROM replays WHERE watch = ? AND target = ? AND validity = 'valid' AND started_at < ?"
            " ORDER BY started_at DESC LIMIT 1",
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
        """Return when the newest replay started whose judgement, `j`, is as `where` says."""
        sql = (
            "SELECT max(started_at) AS at FROM (SELECT started_at, judgement AS j FROM replays"  # noqa: S608 - it is ours
            f" WHERE watch = ? AND target = ? AND started_at > ?) WHERE {where}"
        )
        (found,) = self._all(sql, watch, target, since)
        return None if found["at"] is None else float(found["at"])

    def replays(self, watch: str, target: str) -> Iterator[tuple[Judgement, dict[str, Any] | None]]:
        """Yield each replay that is kept, oldest first, with what was observed in it, where that was kept too."""
        sql = "SELECT judgement, observed FROM replays WHERE watch = ? AND target = ? ORDER BY started_at, id"
        for row in self._all(sql, watch, target):
            observed = json.loads(row["observed"]) if row["observed"] else None
            yield Judgement.from_json(json.loads(row["judgement"])), observed

    def charges(self, since: float, *, watch: str = "", target: str = "") -> list[Charge]:
        """Return what was charged to the budgets of energy of a watch, or of a target, and ended after a Unix time."""
        where = "watch = ?" if watch else "target = ?"
        sql = f"SELECT {_CHARGE} FROM charges WHERE {where} AND ended_at > ?"  # noqa: S608 - the names are ours
        return [_charge(row) for row in self._all(sql, watch or target, since)]

    def measured_charge(self, watch: str, target: str, golden_digest: str) -> Charge | None:
        """Return the charge of the newest measurement that has told what an example of a golden set takes."""
        sql = (
            f"SELECT {_CHARGE} FROM charges WHERE watch = ? AND target = ? AND golden_digest = ? AND measuring"  # noqa: S608
            " AND priced AND examples > 0 ORDER BY id DESC LIMIT 1"
        )
        rows = self._all(sql, watch, target, golden_digest)
        return _charge(rows[0]) if rows else None

    def last_measuring_at(self, watch: str, target: str, since: float) -> float | None:
        """Return when the newest measurement that was charged ended, or was broken off, after a Unix time."""
        sql = "SELECT max(ended_at) AS at FROM charges WHERE watch = ? AND target = ? AND measuring AND ended_at > ?"
        (found,) = self._all(sql, watch, target, since)
        return None if found["at"] is None else float(found["at"])

    def _all(self, sql: str, *values: object) -> list[dict[str, Any]]:
        with self._lock, closing(self._db.execute(sql, values)) as cursor:
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]


def _charge(row: dict[str, Any]) -> Charge:
    return Charge(**row | {name: bool(row[name]) for name in ("measuring", "priced")})


def _alert(row: dict[str, Any]) -> Alert:
    told = Explanation.from_json(json.loads(row["explanation"])) if row["explanation"] else None
    monitors = tuple(json.loads(row["monitors"]))
    return Alert(**row | {"severity": Severity(row["severity"]), "monitors": monitors, "explanation": told})
