"""The monitor *slow*: whether more requests than allowed take longer than the limit. It pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from goldwatch.core.kinds import SLOW
from goldwatch.core.outcome import Outcome
from goldwatch.scratch import blocks
from goldwatch.worker.monitors.contract import WatchMonitor
from goldwatch.worker.monitors.effects import Basis, Effect
from goldwatch.worker.monitors.share import Requests, ShareMonitor, ShareState

if TYPE_CHECKING:
    from goldwatch.worker.jobs.case import Case
    from goldwatch.worker.monitors.past import ReplayRecord
    from goldwatch.worker.monitors.reference import Reference
    from goldwatch.worker.monitors.settings import Settings

_LOST = (Outcome.TIMEOUT, Outcome.CRASHED)
"""A request that was given up, or took its worker down, was over any limit."""


class Slow(ShareMonitor, WatchMonitor[Requests, ShareState]):
    """The share of requests over `limit_s` seconds; 1 - `quantile` are allowed."""

    def __init__(self, quantile: float, limit_s: float, alpha: float) -> None:
        self._limit_s = limit_s
        # Without rounding, 1 - 0.99 is 0.010000000000000009, and 2 of 200 slow requests would be within it by luck.
        allowed, missed = round(1 - quantile, 12), f"took over {limit_s * 1000:g} ms"
        super().__init__(SLOW.name, allowed, alpha, missed, [limit_s])

    @classmethod
    def build(cls, name: str, reference: Reference, settings: Settings) -> Slow:  # noqa: ARG003 - needs none
        """Make it from the objective of latency."""
        if settings.latency_limit_s is None:
            raise ValueError("slow needs a limit")
        return cls(settings.latency_quantile, settings.latency_limit_s, settings.alpha(name))

    def observe(self, replay: Case) -> Requests | None:
        """Count the requests over the limit."""
        latencies_s = replay.latencies_s
        late = sum(int(replay.counts[outcome]) for outcome in _LOST)
        late += sum(int(np.count_nonzero(latencies_s[rows] > self._limit_s)) for rows in blocks(len(latencies_s)))
        return Requests(late, replay.sent) if replay.sent else None

    def recall(self, replay: ReplayRecord) -> Requests | None:
        """Return the history's own count of requests over the limit, or count them."""
        if replay.over is not None:
            return Requests(replay.over, replay.requests)
        if not replay.sent:
            return None
        late = sum(replay.outcomes.get(outcome.label, 0) for outcome in _LOST)
        late += sum(count for latency_s, count in replay.latencies.items() if latency_s > self._limit_s)
        return Requests(min(late, replay.sent), replay.sent)

    def effects(self, basis: Basis) -> Iterator[Effect]:
        """Yield shares of requests that take too long."""
        yield from self.share_effects(basis.requests, f"requests take over {self._limit_s * 1000:g} ms")
