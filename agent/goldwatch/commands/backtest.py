"""Recorded replays, played through the monitors of a config: what would have alerted, and when.

The history is a ledger, or a table of counts. Nothing is written; the config may ask for more or less than it did then.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from goldwatch.worker.monitors.build import Reference, Settings, build
from goldwatch.worker.monitors.changed import Moves
from goldwatch.worker.monitors.share import Requests
from goldwatch.worker.monitors.slower import Latency
from goldwatch.worker.monitors.worse import Answers

COLUMNS = ("at", "right", "answered", "requests", "failed", "over", "latency_s", "energy_j", "cost")
"""Of a table: when; of the examples how many were right and answered; of the requests how many failed and how many took
longer than the objective; the geometric mean of the latency in seconds; and, of what the objectives of energy and cost
are about, what one took. All but `at` may be left out, some in pairs."""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ReplayRecord:
    """One replay of a history: when, whether it was valid, and what each kind of monitor sees in it.

    `accuracy` and `latencies` (requests by seconds) are what common rules look at. A `confirming` one is shown to
    *changed* alone.
    """

    at: float
    validity: Validity
    observations: Mapping[str, object]
    accuracy: tuple[int, int] | None = None
    latencies: Mapping[float, int] = field(default_factory=dict)
    confirming: bool = False


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


def play(assignment: Assignment, golden: GoldenSet, records: Sequence[ReplayRecord], *, counts: bool = False) -> Played:
    """Play a history, oldest first, through the monitors. With `counts` it is unknown which examples were right."""
    settings, reference = Settings(**assignment.settings), Reference.of(golden)
    monitors = build(_pooled(reference) if counts else reference, settings)
    found: dict[str, list[AlertEpisode] | None] = {}
    for name, monitor in monitors.items():
        seen = [(r, r.observations[name]) for r in records if name in r.observations and _may_see(name, r)]
        found[name] = list(_episodes(monitor, seen)) if seen else None
    return Played(records, found)


def _may_see(name: str, record: ReplayRecord) -> bool:
    kind = kinds.of(name)
    return kind.takes(record.validity) and (not record.confirming or kind is kinds.CHANGED)


def _pooled(reference: Reference) -> Reference:
    """Return the reference as if it had but one half: without knowing which examples, none of them is stable."""
    together = np.stack([reference.right.sum(axis=0), np.zeros_like(reference.right[0])])
    return Reference((sum(reference.replays), 0), together, golden=reference.golden)


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
    limit_s, most = assignment.settings.get("latency_limit_s"), assignment.ceilings
    found, others, confirming = [], 0, False
    for judgement, observed in history.replays(*assignment.key):
        if judgement.subject.golden_digest != assignment.golden.digest:
            others += 1
        else:
            record = _record(judgement, None if observed is None else Observed(**observed), limit_s, confirming)
            found.append(_with_figures(record, judgement, most))
        confirming = any(verdict.confirm for verdict in judgement.verdicts)
    if not found:
        why = f"all {others:,} replays are of another golden set" if others else "it holds no replay"
        raise GoldwatchError(f"of watch {assignment.watch.name} and target {assignment.target.name}: {why}")
    return found


def _record(judgement: Judgement, observed: Observed | None, limit_s: float | None, confirming: bool) -> ReplayRecord:
    seen: dict[str, object] = {}
    latencies: dict[float, int] = {}
    accuracy = None
    if observed is not None:
        right, answered = (bits(text, observed.examples) for text in (observed.right, observed.answered))
        latencies = {bin_latency_s(name): count for name, count in observed.latency.items()}
        accuracy = int(np.count_nonzero(right)), int(np.count_nonzero(answered))
        seen[kinds.WORSE.name] = Answers(right, answered)
        seen |= _requests(judgement, observed.sent, latencies, limit_s)
    if (found := judgement.findings.difference) is not None:
        seen[kinds.CHANGED.name] = Moves(found.moved, found.compared, found.harmful, found.helpful)
    return ReplayRecord(judgement.run.started_at, judgement.findings.validity, seen, accuracy, latencies, confirming)


def _with_figures(record: ReplayRecord, judgement: Judgement, most: Sequence[Ceiling]) -> ReplayRecord:
    """Add what *costly* sees, where something was measured after the replay, or should have been."""
    if not most or (
        judgement.extras.energy is None and judgement.findings.footprint is None and not judgement.extras.energy_missing
    ):
        return record
    seen = figures(most, judgement.extras.energy, judgement.findings.footprint, judgement.extras.energy_missing)
    return replace(record, observations={**record.observations, kinds.COSTLY.name: seen})


def _requests(
    judgement: Judgement, sent: int, latencies: Mapping[float, int], limit_s: float | None
) -> dict[str, object]:
    """Return what the monitors of requests see; a target that could not be used at all failed each of them."""
    total = sent or judgement.subject.examples
    ok = sum(latencies.values())
    seen: dict[str, object] = {kinds.FAILING.name: Requests(total - ok, total)}
    if limit_s is not None and sent:
        lost = sum(judgement.findings.outcomes.get(name, 0) for name in ("timeout", "crashed"))
        over = sum(count for latency_s, count in latencies.items() if latency_s > limit_s)
        seen[kinds.SLOW.name] = Requests(min(over + lost, sent), sent)
    if ok:
        seen[kinds.SLOWER.name] = Latency(sum(math.log(s) * count for s, count in latencies.items()) / ok)
    return seen


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
    seen: dict[str, object] = {}
    accuracy = None
    if row.get("right"):
        right, answered = (_count(where, name, row, examples) for name in ("right", "answered"))
        if right > answered:
            raise GoldwatchError(f"{where}: {right:,} right of {answered:,} answered is impossible")
        accuracy = right, answered
        order = np.arange(examples)
        seen[kinds.WORSE.name] = Answers(order < right, order < answered)
    for name, column in ((kinds.FAILING.name, "failed"), (kinds.SLOW.name, "over")):
        if row.get(column):
            total = _count(where, "requests", row, None)
            seen[name] = Requests(_count(where, column, row, total), total)
    latencies = {}
    if row.get("latency_s"):
        latency_s = _number(where, "latency_s", row["latency_s"], _positive)
        seen[kinds.SLOWER.name], latencies = Latency(math.log(latency_s)), {latency_s: 1}
    if taken := dict(_taken(where, row, most)):
        seen[kinds.COSTLY.name] = Figures(taken)
    return ReplayRecord(at, Validity.VALID, seen, accuracy, latencies)


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
