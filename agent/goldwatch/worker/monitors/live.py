"""Live traffic as *drift* and *schema* see it: windows of rows, which come when there is enough traffic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from goldwatch.core.judgement import State, Verdict
from goldwatch.worker.monitors.columns import IntArray, Values

STALE = 3
"""No window for so many times as long as one takes at most: nothing is known of live traffic."""

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
        return self.unreadable + self.cut + (0 if self.table is None else rows_of(self.table))

    @property
    def unreadable_share(self) -> float:
        """The share of the window that could not be read, 0 without a window."""
        return self.unreadable / self.rows if self.rows else 0.0


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


def rows_of(table: Table) -> int:
    """Return how many rows a table has."""
    return max((len(values) for values in table.values()), default=0)
