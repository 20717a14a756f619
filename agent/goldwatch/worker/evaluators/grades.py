"""Grades that a judge has given, kept so that no answer is judged twice: a bounded table in a file, shared by workers.

It has digests and numbers, no text. Grades that cannot be written (a folder that is read-only, a full disk) are kept
for the life of the process.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

MAX_GRADES = 200_000
"""The oldest go first; a row takes about 70 bytes."""

_TIMEOUT_S = 5.0
_AT_ONCE = 500
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS grades (key BLOB PRIMARY KEY, grade REAL NOT NULL, at REAL NOT NULL) WITHOUT ROWID"
)


class Grades:
    """The grades in the file at `path`, by the digest of what was judged; an empty path keeps them in memory."""

    def __init__(self, path: str, most: int = MAX_GRADES) -> None:
        self._path, self._most = path, most
        self._memory: dict[bytes, float] = {}

    def read(self, keys: Sequence[bytes]) -> dict[bytes, float]:
        """Return the grades that are known."""
        found = {key: self._memory[key] for key in keys if key in self._memory}
        missing = [key for key in keys if key not in found]
        with contextlib.suppress(sqlite3.Error, OSError), self._opened() as db:
            for start in range(0, len(missing), _AT_ONCE):
                some = missing[start : start + _AT_ONCE]
                marks = ",".join("?" * len(some))
                rows = db.execute(f"SELECT key, grade FROM grades WHERE key IN ({marks})", some)  # noqa: S608 - marks
                found |= {bytes(key): float(grade) for key, grade in rows}
        return found

    def keep(self, grades: Mapping[bytes, float]) -> None:
        """Add grades."""
        if not grades:
            return
        try:
            with self._opened() as db, db:
                rows = [(key, grade, time.time()) for key, grade in grades.items()]
                db.executemany("INSERT OR REPLACE INTO grades VALUES (?, ?, ?)", rows)
                (count,) = db.execute("SELECT count(*) FROM grades").fetchone()
                if count > self._most:
                    oldest = "SELECT key FROM grades ORDER BY at LIMIT ?"
                    db.execute(f"DELETE FROM grades WHERE key IN ({oldest})", (count - self._most,))  # noqa: S608 - fixed
        except (sqlite3.Error, OSError):
            self._memory |= grades
            while len(self._memory) > self._most:
                del self._memory[next(iter(self._memory))]

    def forget(self, since: float, start: bytes) -> None:
        """Drop the grades that were given at Unix time `since` or later, of the keys that begin with `start`.

        What is kept in memory, without a time, goes too.
        """
        self._memory = {key: grade for key, grade in self._memory.items() if not key.startswith(start)}
        with contextlib.suppress(sqlite3.Error, OSError), self._opened() as db, db:
            db.execute("DELETE FROM grades WHERE at >= ? AND substr(key, 1, ?) = ?", (since, len(start), start))

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        if not self._path:
            raise OSError("no file")
        if not Path(self._path).exists():
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        db = sqlite3.connect(self._path, timeout=_TIMEOUT_S)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute(_SCHEMA)
            yield db
        finally:
            db.close()
