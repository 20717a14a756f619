"""The monitor *failing*: whether more requests of a replay fail than may. It bets on the share, and pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from goldwatch.core.kinds import FAILING
from goldwatch.worker.monitors.contract import WatchMonitor
from goldwatch.worker.monitors.effects import Basis, Effect
from goldwatch.worker.monitors.share import Requests, ShareMonitor, ShareState

if TYPE_CHECKING:
    from goldwatch.worker.jobs.case import Case
    from goldwatch.worker.monitors.past import ReplayRecord
    from goldwatch.worker.monitors.reference import Reference
    from goldwatch.worker.monitors.settings import Settings


class Failing(ShareMonitor, WatchMonitor[Requests, ShareState]):
    """The share of failed requests; `objective` is the allowed share (0.001 for 0.1 %)."""

    def __init__(self, objective: float, alpha: float) -> None:
        super().__init__(FAILING.name, objective, alpha, "failed")

    @classmethod
    def build(cls, name: str, reference: Reference, settings: Settings) -> Failing:  # noqa: ARG003 - needs none
        """Make it from the error rate that is allowed."""
        return cls(settings.error_rate, settings.alpha(name))

    def observe(self, replay: Case) -> Requests | None:
        """Count the requests without a good answer. A target that cannot be used at all fails each of them."""
        if replay.facts.failure is not None:
            return Requests(replay.requests, replay.requests)
        return Requests(replay.sent - len(replay.latencies_s), replay.sent) if replay.sent else None

    def recall(self, replay: ReplayRecord) -> Requests | None:
        """Return how many requests failed."""
        return None if replay.failed is None else Requests(replay.failed, replay.requests)

    def effects(self, basis: Basis) -> Iterator[Effect]:
        """Yield shares of requests that fail."""
        yield from self.share_effects(basis.requests, "requests fail")
