"""Many streams at once: the steps of the detector on arrays [streams, bets], and where the streams come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from goldwatch.core.budget import Budget
from goldwatch.worker.monitors.detector import FloatArray, grown, total

INTERVAL_S = 300.0
YEAR, QUARTER, MONTH, DAY = 105_120, 25_920, 8_640, 288  # replays every five minutes
MONITORS = ("worse", "failing", "slow", "drift")
BUDGET = 1.0
SHARE = BUDGET / len(MONITORS)


def alpha(interval_s: float = INTERVAL_S) -> float:
    """Return the false pages per replay of one of four monitors that share one false alarm a year."""
    return Budget(BUDGET, dict.fromkeys(MONITORS, 1.0)).alpha("worse", interval_s)


class Source(Protocol):
    """Streams of one kind of monitor, each with a reference of its own where the monitor has one."""

    log_weights: FloatArray

    def log_e(self, replay: int, change: Any) -> FloatArray:  # noqa: ANN401 - see `delays`
        """Draw one look at all streams and return its log e-values [streams, bets]; `change` 0 is none."""


class Fleet:
    """The detectors of all streams of a source."""

    def __init__(self, source: Source, alpha: float) -> None:
        self._source = source
        self._threshold = -np.log(alpha)
        self._log_m: FloatArray | None = None

    def replay(self, replay: int, change: float | FloatArray = 0.0) -> NDArray[np.bool_]:
        """Replay once and return which streams page [streams]; those start again."""
        log_e = self._source.log_e(replay, change)
        if self._log_m is None:
            self._log_m = np.full(log_e.shape, -np.inf)
        self._log_m = grown(self._log_m, log_e)
        weighted = self._log_m + self._source.log_weights
        paged: NDArray[np.bool_] = np.zeros(len(log_e), dtype=np.bool_)
        # A sum is at most its largest part times the number of parts: most streams need no sum.
        near = np.flatnonzero(weighted.max(axis=1) >= self._threshold - np.log(weighted.shape[1]))
        weights = np.broadcast_to(self._source.log_weights, weighted.shape)
        paged[near] = total(self._log_m[near], weights[near]) >= self._threshold
        self._log_m[paged] = -np.inf
        return paged


def pages(source: Source, replays: int, alpha: float) -> NDArray[np.int64]:
    """Return how many false pages each stream has in `replays` replays without a change [streams]."""
    fleet = Fleet(source, alpha)
    found = fleet.replay(0).astype(np.int64)
    for replay in range(1, replays):
        found += fleet.replay(replay)
    return found


def delays(source: Source, change: float | Sequence[float], longest: int, alpha: float, replays: int = 1) -> FloatArray:
    """Return the replays from a change to the page of each stream [streams], inf for more than `longest`.

    A quiet day comes first; a page of it does not count. A `change` by replay is the change after that many replays. A
    source that looks once in `replays` replays gets the change of each of them [replays, streams], which begins at
    any of the first; `alpha` is one for each look.
    """
    fleet, quiet = Fleet(source, alpha), DAY // replays
    for look in range(quiet):
        paged = fleet.replay(look)
    course = np.array([change] if isinstance(change, float) else change)
    late = np.random.default_rng(len(paged)).integers(0, replays, len(paged))
    first = np.full(len(paged), np.inf)
    for look in range(-(-longest // replays)):
        after = np.arange(look * replays, (look + 1) * replays)[:, np.newaxis] - late
        now = np.where(after >= 0, course[np.clip(after, 0, len(course) - 1)], 0.0)
        paged = fleet.replay(quiet + look, now if replays > 1 else float(now[0, 0]))
        first[paged & np.isinf(first)] = (after[-1] + 1)[paged & np.isinf(first)]
        if np.isfinite(first).all():
            break
    return first
