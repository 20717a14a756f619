"""*Drift* where no reference has whole weeks: what is usual is learned from the first four weeks of live traffic.

Rows are counted by hour of the week, with the cells that the reference chose. After four weeks the counts are frozen
and become the reference of a `Ladder`. They never change again: what had drifted before then is usual.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np

from goldwatch.core.budget import threshold_log10
from goldwatch.core.judgement import Severity, State, Verdict
from goldwatch.worker.monitors.columns import Column, IntArray, Values
from goldwatch.worker.monitors.hours import Tally, merged, pack_counts, unpack_counts
from goldwatch.worker.monitors.ladder import Ladder, LadderState
from goldwatch.worker.monitors.season import DAY_H, MIN_ROWS, WEEK_H, Kinds, Usual, count_cells, hour_of, of_week

LEARNED_H = 4 * WEEK_H

_VERSION = 1


@dataclass(frozen=True, slots=True, eq=False)
class LearnedState:
    """The state: `rows` [168] and `counts` [168, cells] by hour of the week, from the hour `began` on.

    Hours from `open` on are not over, and are kept in `hours`. After learning, `ladder` is the state of the blocks.
    """

    rows: IntArray
    counts: IntArray
    began: int | None = None
    open: int = 0
    hours: Mapping[int, Tally] = field(default_factory=dict)
    ladder: LadderState | None = None


class Learned:
    """Blocks of live rows against the first four weeks of them. Parameters are those of `Ladder`.

    `kinds` has the cells of each column by name, and `columns` are those of the reference.
    """

    name = "drift"

    def __init__(
        self, kinds: Kinds, columns: tuple[Column, ...], alpha_per_hour: float, tolerance: float, cluster: int
    ) -> None:
        self.columns, self._kinds = columns, kinds
        self._parameters = alpha_per_hour, tolerance, cluster
        self._cells = sum(len(kind.cells) for kind in kinds.values())
        known = repr([(name, kind.cells) for name, kind in kinds.items()])
        self._digest = hashlib.sha256(known.encode()).hexdigest()[:16]
        self._ladders = lru_cache(maxsize=2)(self._make)
        self._threshold = threshold_log10(alpha_per_hour * DAY_H)

    def count(self, table: Mapping[str, Values]) -> IntArray:
        """Count the rows of a table in each cell of all columns [cells]. Raises KeyError for a missing column."""
        return count_cells(self._kinds, table)

    def fresh(self) -> LearnedState:
        """Return the state before the first window."""
        return LearnedState(np.zeros(WEEK_H, dtype=np.int64), np.zeros((WEEK_H, self._cells), dtype=np.int64))

    def update(self, found: Mapping[int, Tally], until: float, state: LearnedState) -> tuple[LearnedState, Verdict]:
        """Add rows by number of the hour; all rows that came before Unix time `until` are there now."""
        if state.ladder is not None:
            ladder, verdict = self._ladder(state).update(found, until, state.ladder)
            return replace(state, ladder=ladder), verdict
        now = hour_of(until)
        began = min([*found, now]) if state.began is None else state.began
        first = began if state.began is None else state.open
        hours = merged(state.hours, {hour: tally for hour, tally in found.items() if hour >= first})
        rows, counts = state.rows.copy(), state.counts.copy()
        ended = min(now, began + LEARNED_H)
        for hour in [hour for hour in hours if hour < ended]:
            tally = hours.pop(hour)
            rows[of_week(hour)] += tally.rows
            counts[of_week(hour)] += tally.counts
        state = LearnedState(rows, counts, began, max(first, ended), hours)
        if now < began + LEARNED_H:
            return state, self.standing(state)
        if rows.sum() < MIN_ROWS:
            state = replace(self.fresh(), began=now, open=now)
            return state, self.standing(state)
        ladder, verdict = self._ladder(state).update(hours, until, self._ladder(state).fresh())
        words = f"learned what is usual from {rows.sum():,} rows of four weeks; watching from now on"
        return replace(state, hours={}, ladder=ladder), replace(verdict, summary=words)

    def telling(self, state: LearnedState, most: int = 3) -> tuple[Column, ...]:
        """Return the columns whose bets have gained most so far, none while learning."""
        return () if state.ladder is None else self._ladder(state).telling(state.ladder, most)

    def standing(self, state: LearnedState) -> Verdict:
        """Repeat the last verdict, without a new block."""
        if state.ladder is not None:
            return self._ladder(state).standing(state.ladder)
        days = 0 if state.began is None else (state.open - state.began) / DAY_H
        words = f"learning what is usual: {days:.1f} of {LEARNED_H // DAY_H} days, {state.rows.sum():,} rows"
        return Verdict(
            self.name, State.UNKNOWN, Severity.TICKET, 0.0, self._threshold, None, confirm=False, summary=words
        )

    def save(self, state: LearnedState) -> dict[str, object]:
        """Return the state as a value that JSON can hold without loss."""
        return {
            "version": _VERSION,
            "cells": self._digest,
            "rows": state.rows.tolist(),
            "counts": pack_counts(state.counts),
            "began": state.began,
            "open": state.open,
            "hours": [[hour, t.rows, t.requests, pack_counts(t.counts)] for hour, t in sorted(state.hours.items())],
            "ladder": None if state.ladder is None else self._ladder(state).save(state.ladder),
        }

    def restore(self, saved: object) -> tuple[LearnedState, str | None]:
        """Return a saved state, or a fresh one and the reason why the saved one was refused."""
        if not isinstance(saved, Mapping) or saved.get("version") != _VERSION or "cells" not in saved:
            return self.fresh(), f"the saved weeks are not of version {_VERSION}; learning starts again"
        if saved["cells"] != self._digest:
            return self.fresh(), "the saved weeks were counted with another reference; learning starts again"
        try:
            state = self._restored(saved)
        except (KeyError, TypeError, ValueError, AttributeError):
            return self.fresh(), "the saved weeks are damaged; learning starts again"
        if saved.get("ladder") is None:
            return state, None
        ladder, refused = self._ladder(state).restore(saved["ladder"])
        return replace(state, ladder=ladder), refused

    def _restored(self, saved: Mapping[str, Any]) -> LearnedState:
        rows = np.array(saved["rows"], dtype=np.int64)
        counts = unpack_counts(saved["counts"]).reshape(WEEK_H, self._cells)
        if rows.shape != (WEEK_H,) or np.any(counts > rows[:, np.newaxis]) or np.any(rows < 0):
            raise ValueError("these counts cannot be")
        hours = {int(h): Tally(int(n), int(v), unpack_counts(own)) for h, n, v, own in saved["hours"]}
        if any(tally.counts.shape != (self._cells,) for tally in hours.values()):
            raise ValueError("an hour has other cells")
        began = None if saved["began"] is None else int(saved["began"])
        return LearnedState(rows, counts, began, int(saved["open"]), hours)

    def _ladder(self, state: LearnedState) -> Ladder:
        return self._ladders(state.rows.tobytes(), state.counts.tobytes())

    def _make(self, rows: bytes, counts: bytes) -> Ladder:
        usual = Usual(
            self._kinds,
            np.frombuffer(rows, dtype=np.int64),
            np.frombuffer(counts, dtype=np.int64).reshape(WEEK_H, self._cells),
        )
        return Ladder(usual, *self._parameters)
