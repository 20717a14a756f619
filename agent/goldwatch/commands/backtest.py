"""Recorded replays, played through the monitors of a config: what would have alerted, and when.

The history is a ledger, or a table of counts. Nothing is written; the config may ask for more or less than it did then.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from goldwatch.config import QuantityError, parse_moment
from goldwatch.core import kinds
from goldwatch.core.figures import Ceiling, Figure, Figures, figures
from goldwatch.core.judgement import Judgement, Severity, State, Validity
from goldwatch.daemon.history import History
from goldwatch.daemon.in_force import Assignment
from goldwatch.errors import GoldwatchError
from goldwatch.golden.error import quoted
from goldwatch.golden.opened import GoldenSet
from goldwatch.worker.jobs.observed import Observed, bin_latency_s, bits
from goldwatch.worker.monitors.build import build
from goldwatch.worker.monitors.past import ReplayRecord
from goldwatch.worker.monitors.reference import Reference
from goldwatch.worker.monitors.settings import Settings

COLUMNS = ("at", "right", "answered", "requests", "failed", "over", "latency_s", "energy_j", "cost")
"""Of a table: when; of the examples how many were right and answered; of the requests how many failed and how many took
longer than the objective; the geometric mean of the latency in seconds; and, of what the objectives of energy and cost
are about, what one took. All but `at` may be left out, some in pairs."""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AlertEpisode:
    """An alert that would have been: since when the change is estimated to be, when it would have opened and closed."""

    since: float | None
    opened: float
    closed: float | None
    severity: Severity
    summary: str


@dataclass(frozen=True, slots=True)
class Played:
    """The monitors' results on a history, by name. A monitor without data in the history has None."""

    records: Sequence[ReplayRecord]
    episodes: Mapping[str, Sequence[AlertEpisode] | None]

    @property
    def valid(self) -> int:
        """How many replays were valid."""
        return sum(record.validity is Validity.VALID for record in self.records)


def play(
    assignment: Assignment,
    golden: GoldenSet,
    records: Sequence[ReplayRecord],
    *,
    counts: bool = False,
    told: Callable[[str], None] = lambda _: None,
) -> Played:
    """Play a history, oldest first, through the monitors. With `counts` it is unknown which examples were right.

    `told` hears of each monitor before its turn.
    """
    settings, reference = Settings(**assignment.settings), Reference.of(golden)
    monitors = build(reference, settings)
    if counts:
        worse = {name: alpha for name, alpha in settings.alphas.items() if name == kinds.WORSE.name}
        monitors |= build(_pooled(reference), replace(settings, alphas=worse))
    episodes: dict[str, list[AlertEpisode] | None] = {}
    for place, (name, monitor) in enumerate(monitors.items(), start=1):
        told(f"playing {len(records):,} replays through {name}, {place} of {len(monitors)}")
        kind = kinds.of(name)
        shown = [record for record in records if kind.may_see(record.validity, confirming=record.confirming)]
        seen = [(record, found) for record in shown if (found := monitor.recall(record)) is not None]
        episodes[name] = list(_episodes(monitor, seen)) if seen else None
    return Played(records, episodes)


def _pooled(reference: Reference) -> Reference:
    """Return the reference as if it had but one half: without knowing which examples, none of them is stable."""
    together = np.stack([reference.right.sum(axis=0), np.zeros_like(reference.right[0])])
    return replace(reference, replays=(sum(reference.replays), 0), right=together, scores=None)


def _episodes(monitor: Any, seen: Sequence[tuple[ReplayRecord, object]]) -> Iterator[AlertEpisode]:  # noqa: ANN401 - of any kind
    state, opened = monitor.fresh(), None
    for record, observation in seen:
        state, verdict = monitor.update(observation, state, record.at)
        if verdict.state is State.ALERTING and opened is None:
            opened = AlertEpisode(verdict.since, record.at, None, verdict.severity, verdict.summary)
        elif verdict.state is not State.ALERTING and opened is not None:
            yield AlertEpisode(opened.since, opened.opened, record.at, opened.severity, opened.summary)
            opened = None
    if opened is not None:
        yield opened


def from_ledger(history: History, assignment: Assignment) -> list[ReplayRecord]:
    """Read the replays of a watch and target, oldest first. Raises GoldwatchError if none is of this golden set."""
    found, others, confirming = [], 0, False
    for judgement, observed in history.replays(*assignment.key):
        if judgement.subject.golden_digest != assignment.golden.digest:
            others += 1
        else:
            record = _record(judgement, None if observed is None else Observed(**observed), assignment.ceilings)
            found.append(replace(record, confirming=confirming))
        confirming = any(verdict.confirm for verdict in judgement.verdicts)
    if not found:
        why = f"all {others:,} replays are of another golden set" if others else "it holds no replay"
        raise GoldwatchError(f"of watch {assignment.watch.name} and target {assignment.target.name}: {why}")
    return found


def _record(judgement: Judgement, observed: Observed | None, most: Sequence[Ceiling]) -> ReplayRecord:
    record = ReplayRecord(
        judgement.run.started_at,
        judgement.findings.validity,
        judgement.findings.outcomes,
        difference=judgement.findings.difference,
        figures=_figures(judgement, most),
    )
    if observed is None:
        return record
    right, answered = (bits(text, observed.examples) for text in (observed.right, observed.answered))
    latencies = {bin_latency_s(name): count for name, count in observed.latency.items()}
    total = observed.sent or judgement.subject.examples  # a target that could not be used at all failed each of them
    return replace(
        record,
        accuracy=(int(np.count_nonzero(right)), int(np.count_nonzero(answered))),
        latencies=latencies,
        right=right,
        answered=answered,
        requests=total,
        sent=observed.sent,
        failed=total - sum(latencies.values()),
    )


def _figures(judgement: Judgement, most: Sequence[Ceiling]) -> Figures | None:
    """Return what one of something took, where something was measured after the replay, or should have been."""
    extras, footprint = judgement.extras, judgement.findings.footprint
    if not most or (extras.energy is None and footprint is None and not extras.energy_missing):
        return None
    return figures(most, extras.energy, footprint, extras.energy_missing)


def from_table(path: Path, examples: int, most: Sequence[Ceiling] = ()) -> list[ReplayRecord]:
    """Read a table in CSV, with a heading, of COLUMNS; `most` are the objectives of energy and cost.

    Raises GoldwatchError with the line and what is wrong in it.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:  # spreadsheets begin with a mark of bytes
            rows = csv.DictReader(stream, restkey="")
            _check_heading(path, rows.fieldnames or ())
            found = [_row(path, rows.line_num, row, examples, most) for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise GoldwatchError(f"{path}: cannot be read: {error}") from None
    if not found:
        raise GoldwatchError(f"{path}: it holds no replay")
    return sorted(found, key=lambda record: record.at)


def _check_heading(path: Path, names: Sequence[str]) -> None:
    if unknown := [name for name in names if name not in COLUMNS]:
        raise GoldwatchError(f"{path}:1: unknown column {quoted(unknown[0])}; there may be {', '.join(COLUMNS)}")
    if "at" not in names:
        raise GoldwatchError(f'{path}:1: no column "at"; expected the time of each replay')
    for one, other in (("right", "answered"), ("answered", "right"), ("failed", "requests"), ("over", "requests")):
        if one in names and other not in names:
            raise GoldwatchError(f'{path}:1: column "{one}" needs a column "{other}"')


def _row(path: Path, line: int, row: Mapping[str, str], examples: int, most: Sequence[Ceiling]) -> ReplayRecord:
    where = f"{path}:{line}"
    if "" in row:
        raise GoldwatchError(f"{where}: more values than columns; a number is written without commas inside")
    at = _number(where, "at", row["at"], _moment)
    record = ReplayRecord(at, Validity.VALID)
    if row.get("right"):
        right, answered = (_count(where, name, row, examples) for name in ("right", "answered"))
        if right > answered:
            raise GoldwatchError(f"{where}: {right:,} right of {answered:,} answered is impossible")
        order = np.arange(examples)
        record = replace(record, accuracy=(right, answered), right=order < right, answered=order < answered)
    if row.get("failed") or row.get("over"):
        total = _count(where, "requests", row, None)
        failed, over = (_count(where, name, row, total) if row.get(name) else None for name in ("failed", "over"))
        record = replace(record, requests=total, failed=failed, over=over)
    if row.get("latency_s"):
        record = replace(record, latencies={_number(where, "latency_s", row["latency_s"], _positive): 1})
    taken = dict(_taken(where, row, most))
    return replace(record, figures=Figures(taken)) if taken else record


def _taken(where: str, row: Mapping[str, str], most: Sequence[Ceiling]) -> Iterator[tuple[str, Figure]]:
    for ceiling in most:
        column = "energy_j" if ceiling.quantity == "energy" else "cost"
        if row.get(column):
            value = _number(where, column, row[column], _positive)
            yield ceiling.name, Figure.exact(value, ceiling.unit or ("J" if ceiling.quantity == "energy" else ""))


def _count(where: str, name: str, row: Mapping[str, str], most: int | None) -> int:
    found = _number(where, name, row.get(name) or "", int)
    if found < 0 or (most is not None and found > most) or (name == "requests" and found == 0):
        raise GoldwatchError(
            f"{where}: {name} is {found}; expected {0 if name != 'requests' else 1} to {most or 'any'}"
        )
    return found


def _number(where: str, name: str, text: str, of: Callable[[str], T]) -> T:
    try:
        return of(text)
    except (ValueError, QuantityError):
        raise GoldwatchError(
            f"{where}: {name} is {quoted(text)}; expected {_EXPECTED.get(name, 'a whole number')}"
        ) from None


_END_OF_TIME = 253_402_300_800.0
"""The first second of the year 10000, of which no date can be written."""

_EXPECTED = {
    "at": "a time such as 2026-12-01 22:00, or Unix seconds",
    "latency_s": "a number of seconds above 0",
    "energy_j": "joules above 0",
    "cost": "an amount above 0",
}


def _moment(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        return parse_moment(text)
    if not 0 <= found < _END_OF_TIME:
        raise ValueError(text)
    return found


def _positive(text: str) -> float:
    found = float(text)
    if not (found > 0 and math.isfinite(found)):
        raise ValueError(text)
    return found
