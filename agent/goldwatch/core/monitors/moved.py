"""*Moved*: outputs are further from the reference's on average than `objectives.outputs` allows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from goldwatch.core.monitors.kind import MonitorKind, WatchTerms


@dataclass(frozen=True, slots=True)
class MovedKind(MonitorKind):
    """A watch with an objective of outputs has it."""

    name: str = "moved"
    about_answers: bool = True

    def watching(self, terms: WatchTerms) -> Iterator[MonitorKind]:
        """Yield itself if there is an objective."""
        if terms.objectives.output_distance is not None:
            yield self

    def settings(self, terms: WatchTerms) -> dict[str, Any]:
        """Return the mean distance that is allowed."""
        owed = terms.objectives.output_distance
        return {} if owed is None else {"output_distance": owed}
