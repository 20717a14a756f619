"""The monitor *drift* as a watch has it: `Drift` over windows of live rows, which come when there is enough traffic.

After a replay without a window it repeats its last verdict, and is *unknown* after a long time without a window. A
window with many unreadable rows adds no evidence, since the rest is no sample of the traffic: then it is *unknown*,
and the monitor *schema* names the inputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from goldwatch.core.judgement import Move, State, Verdict
from goldwatch.core.monitors.drift import MAX_UNREADABLE
from goldwatch.worker.monitors.columns import Column, IntArray, Numbers, Values, columns
from goldwatch.worker.monitors.dependence import Dependence
from goldwatch.worker.monitors.detector import FloatArray
from goldwatch.worker.monitors.drift import Drift
from goldwatch.worker.monitors.hours import Tally
from goldwatch.worker.monitors.ladder import Ladder
from goldwatch.worker.monitors.learned import Learned
from goldwatch.worker.monitors.season import MIN_ROWS, of_week
from goldwatch.worker.monitors.spread import FACTOR, Spread

STALE = 3
"""No window for so many times as long as one takes at most: nothing is known of live traffic."""


_QUANTILES = (0.1, 0.5, 0.9)
_VERSION = 2
_NO_ROWS = "no live rows yet"

Table = Mapping[str, Values]


@dataclass(frozen=True, slots=True, eq=False)
class LiveHour:
    """The columns [rows] of a window's rows of one hour, sampled from its `requests`."""

    requests: int
    rows: int
    table: Table


@dataclass(frozen=True, slots=True, eq=False)
class Live:
    """The live traffic since the last replay: the columns [rows] of a window, None while it is not full.

    `began_at` is the Unix time of the window's first request in seconds, `waiting` how many requests there are of one
    that is not full; `problem` is why nothing came. `unreadable` counts the rows and requests of the window that
    could not be read, by the commonest `reasons`. `clusters` [rows] numbers the clusters of the rows, if their
    dependence is known, and `cut` rows were more than one cluster may have. If traffic has a season, `hours` has the
    same rows by number of the hour; all rows that came before Unix time `until` are there now.
    """

    table: Table | None
    began_at: float
    waiting: int = 0
    problem: str = ""
    unreadable: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    clusters: IntArray | None = None
    cut: int = 0
    hours: Mapping[int, LiveHour] = field(default_factory=dict)
    until: float = 0.0

    @property
    def rows(self) -> int:
        """How many rows the window has, readable or not; 0 without a window."""
        return self.unreadable + self.cut + (0 if self.table is None else _rows(self.table))

    @property
    def unreadable_share(self) -> float:
        """The share of the window that could not be read, 0 without a window."""
        return self.unreadable / self.rows if self.rows else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class LiveState:
    """The state between replays: the evidence, and the time and result of the last window.

    `unread` is whether that window could not be read. `spread` is how much the first windows vary, None if any
    dependence of their rows is allowed for.
    """

    standing: Any  # a Standing, or a LadderState
    at: float | None = None
    said: str = ""
    unread: bool = False
    spread: Spread | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """For replays without a full window: the last verdict holds for `stale_s`, an alert in any case."""

    stale_s: float

    def verdict(self, known: Verdict, observation: Live, last_at: float | None, at: float) -> Verdict:
        """Return the verdict after a replay at Unix time `at`; the last window was judged at `last_at`."""
        from goldwatch.config import format_duration  # noqa: PLC0415 - seldom needed, and the config is slow to import

        waiting = f"{observation.waiting:,} requests wait for the next window"
        if last_at is not None and at - last_at <= self.stale_s and not observation.problem:
            return replace(known, summary=f"{known.summary}; {waiting}" if observation.waiting else known.summary)
        since = "yet" if last_at is None else f"for {format_duration(round(at - last_at))}"
        why = observation.problem or f"no {'window of live' if observation.waiting else 'live'} rows {since}"
        if observation.waiting:
            why += f"; {waiting}"
        if known.state is State.ALERTING:
            return replace(known, summary=f"{known.summary}; {why}")
        return replace(known, state=State.UNKNOWN, summary=f"not known: {why}")


@dataclass(frozen=True, slots=True, eq=False)
class Season:
    """The judge of traffic with a season; `hours` [rows] are the numbers of the reference rows' hours, if known."""

    judge: Ladder | Learned
    hours: IntArray | None = None


class LiveDrift:
    """`Drift` against the columns [rows] of a reference. `longest_s` is how long a window takes at most.

    If traffic has a `season`, that judges in its place.

    Raises ValueError for a reference that is too small, and for what `Drift` cannot watch.
    """

    name = "drift"

    def __init__(
        self,
        reference: Table,
        alpha: float,
        tolerance: float,
        cluster: int,
        longest_s: float,
        dependence: Dependence = Dependence.BOUNDED,
        season: Season | None = None,
    ) -> None:
        self._reference, self._hours = reference, None if season is None else season.hours
        self._drift: Drift | Ladder | Learned = (
            season.judge if season is not None else Drift(columns(reference), alpha, tolerance, cluster, dependence)
        )
        known = dependence is Dependence.BOUNDED and season is None
        self._most_ratio = FACTOR * cluster if known else None
        self._missing = Missing(STALE * longest_s)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The watched columns."""
        return self._drift.columns

    @property
    def ladder(self) -> Ladder | None:
        """The judge of traffic with a season."""
        return self._drift if isinstance(self._drift, Ladder) else None

    def fresh(self) -> LiveState:
        """Return the state before the first window."""
        spread = None if self._most_ratio is None else Spread.fresh(self.columns)
        return LiveState(self._drift.fresh(), spread=spread)

    def update(self, observation: Live, state: LiveState, at: float) -> tuple[LiveState, Verdict]:
        """Add the window, if there is one, after a replay at Unix time `at`."""
        if observation.unreadable_share > MAX_UNREADABLE:
            said = f"{observation.unreadable_share:.1%} of live rows cannot be read, so drift is not known"
            after = replace(state, at=at, said=said, unread=True)
            return after, self.standing(after)
        if observation.table is None or not _rows(observation.table):
            return self._empty(observation, state, at)
        standing, verdict, spread = self._look(observation, state)
        if hint := self._hint(spread):
            verdict = replace(verdict, summary=f"{verdict.summary}; {hint}")
        return LiveState(standing, at, verdict.summary, spread=spread), verdict

    def _look(self, observation: Live, state: LiveState) -> tuple[Any, Verdict, Spread | None]:
        """Show the rows to the monitor; the summary is that of before where no block has ended."""
        if not isinstance(self._drift, Drift):
            found = {
                number: Tally(hour.rows, hour.requests, self._drift.count(hour.table))
                for number, hour in observation.hours.items()
            }
            after: Any
            after, verdict = self._drift.update(found, observation.until, state.standing)
            if not verdict.summary:
                known = verdict.state is not State.UNKNOWN and state.said
                said = state.said if known else self._drift.standing(after).summary
                verdict = replace(verdict, summary=said)
            return after, verdict, None
        window = self._drift.count(observation.table or {}, observation.clusters)
        spread = None if state.spread is None else state.spread.add(window, self.columns)
        return *self._drift.update(window, state.standing, observation.began_at), spread

    def _empty(self, observation: Live, state: LiveState, at: float) -> tuple[LiveState, Verdict]:
        """Judge the blocks that have ended without rows, and return the verdict without a window."""
        if isinstance(self._drift, Drift) or state.at is None:
            return state, self._missing.verdict(self.standing(state), observation, state.at, at)
        standing, verdict, _ = self._look(observation, state)
        after = replace(state, standing=standing, said=verdict.summary)
        if verdict.state is State.RECOVERED:
            return after, verdict
        return after, self._missing.verdict(self.standing(after), observation, state.at, at)

    def notice(self, before: LiveState, after: LiveState) -> str:
        """Return the hint at rows that depend on each other, after the window that gave it; empty otherwise."""
        known = before.spread is not None and before.spread.ratio is not None
        return "" if known else self._hint(after.spread)

    def _hint(self, spread: Spread | None) -> str:
        """Return what suggests that rows depend on each other more than is stated; empty for nothing."""
        if spread is None or spread.ratio is None or self._most_ratio is None or spread.ratio <= self._most_ratio:
            return ""
        return (
            f"the first {spread.windows} windows vary {spread.ratio:.1f} times as much as windows of independent rows "
            f"({spread.column}): requests depend on each other, or the traffic has a cycle or changes; see "
            "`live.clusters` and `live.season`"
        )

    def moves(self, observation: Live, before: LiveState) -> tuple[Move, ...]:
        """Return the columns of a window with most evidence of drift: how they were in the reference, and are now."""
        if observation.table is None or not _rows(observation.table):
            return ()
        reference = self._reference
        if not isinstance(self._drift, Drift):
            telling = self._drift.telling(self._look(observation, before)[0])
            reference = self._same_hours(observation.hours)
        else:
            window = self._drift.count(observation.table, observation.clusters)
            telling = self._drift.telling(window, before.standing)
        return tuple(_move(c, reference[c.name], observation.table[c.name]) for c in telling)

    def _same_hours(self, hours: Iterable[int]) -> Table:
        """Return the reference rows of the same hours of the week, all of them where these are few or not known."""
        if self._hours is None:
            return self._reference
        own = np.isin(of_week(self._hours), [of_week(hour) for hour in hours])
        return (
            {name: values[own] for name, values in self._reference.items()}
            if own.sum() >= MIN_ROWS
            else self._reference
        )

    def standing(self, state: LiveState) -> Verdict:
        """Say again what is known, without a new window."""
        verdict = self._drift.standing(state.standing)
        if state.unread and verdict.state is not State.ALERTING:
            return replace(verdict, state=State.UNKNOWN, summary=state.said)
        if state.at is None:
            return replace(verdict, state=State.UNKNOWN, summary=_NO_ROWS)
        return replace(verdict, summary=state.said) if state.said else verdict

    def save(self, state: LiveState) -> dict[str, object]:
        """Return the state as a value that JSON can hold without loss."""
        standing = self._drift.save(state.standing)
        spread = None if state.spread is None else state.spread.save()
        news = {"at": state.at, "said": state.said, "unread": state.unread, "spread": spread}
        return {"version": _VERSION, "standing": standing, **news}

    def restore(self, saved: object) -> tuple[LiveState, str | None]:
        """Return a saved state, or a fresh one and the reason why the saved one was refused."""
        if not isinstance(saved, Mapping) or saved.get("version") != _VERSION:
            return self.fresh(), f"the saved state is not of version {_VERSION}"
        standing, refused = self._drift.restore(saved.get("standing"))
        at, said = saved.get("at"), saved.get("said")
        if refused is not None or not (at is None or isinstance(at, int | float)) or not isinstance(said, str):
            return self.fresh(), refused or "the saved state is damaged"
        spread = None if self._most_ratio is None else Spread.restore(saved.get("spread"), self.columns)
        return LiveState(standing, at, said, saved.get("unread") is True, spread), None


def _rows(table: Table) -> int:
    return max((len(values) for values in table.values()), default=0)


def _move(column: Column, then: Values, now: Values) -> Move:
    """Put what is known of a column then and now into words: quantiles of numbers, shares of categories."""
    say = _quantiles if isinstance(column.kind, Numbers) else _shares
    return Move(column.name, *say(column, then, now))


def _quantiles(_: Column, then: Values, now: Values) -> tuple[str, str]:
    return _numbers(then.astype(np.float64)), _numbers(now.astype(np.float64))


def _numbers(values: FloatArray) -> str:
    missing = np.isnan(values)
    there = values[~missing]
    found = np.quantile(there, _QUANTILES, method="inverted_cdf").tolist() if len(there) else []
    parts = [f"{quantile * 100:.0f}% below {value:.4g}" for quantile, value in zip(_QUANTILES, found, strict=False)]
    return ", ".join([*parts, *([f"{missing.mean():.1%} missing"] if missing.any() else [])])


def _shares(column: Column, then: Values, now: Values) -> tuple[str, str]:
    """Name the categories whose shares have moved most."""
    before, after = (column.kind.count(values) / max(len(values), 1) for values in (then, now))
    most: Sequence[int] = np.argsort(-np.abs(after - before), kind="stable")[:3].tolist()
    return tuple(  # type: ignore[return-value] # of two
        ", ".join(f"{share[cell]:.1%} {column.kind.cells[cell]}" for cell in most) for share in (before, after)
    )
