"""*Gap*: a score differs more between the values of a slice than `objectives.gap` allows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from goldwatch.core.monitors.kind import MonitorKind, WatchTerms
from goldwatch.core.monitors.worse import scores_of


@dataclass(frozen=True, slots=True)
class GapKind(MonitorKind):
    """A watch with an objective for a gap has it."""

    name: str = "gap"
    about_answers: bool = True
    said: str = "unequal"

    def watching(self, terms: WatchTerms) -> Iterator[MonitorKind]:
        """Yield itself if there is an objective."""
        if terms.objectives.gap is not None:
            yield self

    def settings(self, terms: WatchTerms) -> dict[str, Any]:
        """Return the score, the slice and what is allowed, with the scores that the watch names."""
        gap = terms.objectives.gap
        return {} if gap is None else {"gap": gap.model_dump(), **scores_of(terms.watch)}
