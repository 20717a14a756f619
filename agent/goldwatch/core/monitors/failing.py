"""*Failing*: more requests fail than `objectives.errors` allows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from goldwatch.core.judgement import Validity
from goldwatch.core.monitors.kind import FirstLook, MonitorKind, WatchTerms


@dataclass(frozen=True, slots=True)
class FailingKind(MonitorKind):
    """Every watch has it. A replay that the target answered too little of is enough for it."""

    name: str = "failing"
    least: Validity = Validity.INSUFFICIENT

    def watching(self, terms: WatchTerms) -> Iterator[MonitorKind]:  # noqa: ARG002 - whatever the terms
        """Yield itself."""
        yield self

    def first_look(self, target: str, subject: str, unchanged: str) -> FirstLook:
        """Return the server's log."""
        why = f"{subject}; {unchanged}" if subject else unchanged
        return FirstLook(f"Look at the server of {target} and its log.", why, "logs --tail=50")

    def settings(self, terms: WatchTerms) -> dict[str, Any]:
        """Return the share of requests that may fail."""
        return {"error_rate": terms.objectives.error_rate}
