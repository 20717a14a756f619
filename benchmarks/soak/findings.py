"""The fate of the replays: compares the ledger with the agent's log and with the record of the sound server."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.soak.setting import LONGEST_S


@dataclass(frozen=True, slots=True)
class Row:
    """A replay in the ledger."""

    sequence: int
    watch: str
    started_at: float
    duration_s: float
    validity: str


@dataclass(frozen=True, slots=True)
class Ledger:
    """The content of a ledger when the soak is over."""

    replays: Sequence[Row]
    states: Mapping[str, Mapping[str, int]]
    """How often each state was told, by watch."""
    damage: str
    """What SQLite's own check says; "ok" if nothing is wrong."""

    @classmethod
    def read(cls, path: Path) -> Ledger:
        """Read it."""
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            found = db.execute(
                "SELECT id, watch, started_at, judgement ->> 'duration_s', validity FROM replays ORDER BY id"
            )
            replays = [Row(*row) for row in found]
            told = db.execute(
                "SELECT watch, state, count(*) FROM verdicts JOIN replays ON id = replay GROUP BY watch, state"
            )
            states: dict[str, dict[str, int]] = {}
            for watch, state, count in told:
                states.setdefault(watch, {})[state] = count
            (damage,) = db.execute("PRAGMA integrity_check").fetchone()
        return cls(replays, states, str(damage))

    def of(self, watch: str) -> list[Row]:
        """Return the replays of a watch in their sequence."""
        return [row for row in self.replays if row.watch == watch]

    def missing(self) -> int:
        """Count the numbers of the sequence that no replay has."""
        return self.replays[-1].sequence - len(self.replays) if self.replays else 0


def logged(log: Path) -> tuple[Counter[str], Counter[str]]:
    """Return the logged replays by watch, each logged after it was recorded; and warnings and errors by message.

    A last line that a kill has cut is passed over.
    """
    replayed: Counter[str] = Counter()
    complaints: Counter[str] = Counter()
    with log.open(errors="replace") as lines:
        for line in lines:
            try:
                record: dict[str, Any] = json.loads(line)
            except ValueError:
                continue
            if record["message"] in ("replayed", "skipped"):
                replayed[record["watch"]] += 1
            elif record["level"] in ("warning", "error", "critical"):
                complaints[f"{record['level']}: {record['message'].splitlines()[0]}"[:100]] += 1
    return replayed, complaints


def fates(asked: Iterable[float], recorded: Iterable[Row], ended: Sequence[float]) -> tuple[int, int, int]:
    """Count the replays that a server saw: in the ledger, in flight when the agent ended, and lost.

    `asked` is when the server was asked what the model is, once and more in a replay, and `ended` when the agent was,
    all in Unix seconds. No replay takes longer than `LONGEST_S`, and the next one begins after it was recorded.
    """
    spans = [(row.started_at - _SLACK_S, row.started_at + row.duration_s + _SLACK_S) for row in recorded]
    found: set[tuple[float, float]] = set()
    missing: list[list[float]] = []
    for at in sorted(asked):
        if span := next(((first, last) for first, last in spans if first <= at <= last), None):
            found.add(span)
        elif missing and _same_replay(missing[-1][-1], at, spans, ended):
            missing[-1].append(at)
        else:
            missing.append([at])
    at_end = 0
    for times in missing:
        until = min([times[0] + LONGEST_S, *(start for start, _ in spans if start > times[-1])])
        at_end += any(times[0] - _SLACK_S <= end <= until for end in ended)
    return len(found), at_end, len(missing) - at_end


def _same_replay(before: float, at: float, spans: Iterable[tuple[float, float]], ended: Iterable[float]) -> bool:
    """Say whether one replay, which is not in the ledger, asked at both times: a killed worker has a successor."""
    between = [start for start, _ in spans] + list(ended)
    return at - before < LONGEST_S and not any(before < time <= at for time in between)


_SLACK_S = 0.3
"""A replay starts this long before its first request at most, by clocks that may be set meanwhile."""
