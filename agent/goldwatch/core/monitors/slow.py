"""*Slow*: more requests than allowed take longer than `objectives.latency`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from goldwatch.core.judgement import Validity
from goldwatch.core.monitors.kind import FirstLook, MonitorKind, WatchTerms


@dataclass(frozen=True, slots=True)
class SlowKind(MonitorKind):
    """A watch with an objective of latency has it. A request without an answer took longer than any limit."""

    name: str = "slow"
    about_latency: bool = True
    least: Validity = Validity.INSUFFICIENT
    misses_answers: bool = True

    def watching(self, terms: WatchTerms) -> Iterator[MonitorKind]:
        """Yield itself if there is an objective."""
        if terms.objectives.latency is not None:
            yield self

    def first_look(self, target: str, subject: str, unchanged: str) -> FirstLook:  # noqa: ARG002 - no subject
        """Return the load."""
        return look_at_load(target, unchanged)

    def settings(self, terms: WatchTerms) -> dict[str, Any]:
        """Return the limit, in seconds, and the quantile that has to keep it."""
        if (owed := terms.objectives.latency) is None:
            return {}
        return {"latency_limit_s": owed.limit_s, "latency_quantile": owed.quantile}


def look_at_load(target: str, unchanged: str) -> FirstLook:
    """Return what to do first about a slow target."""
    why = f"{unchanged}: look for throttling, a neighbour, a queue"
    return FirstLook(f"Look at the load of {target} and of its node.", why, "describe")
