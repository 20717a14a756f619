"""*Changed*: a deterministic model no longer gives the outputs of its reference. A fact, confirmed once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from goldwatch.core.monitors.kind import MonitorKind, WatchTerms


@dataclass(frozen=True, slots=True)
class ChangedKind(MonitorKind):
    """A watch with a deterministic reference has it."""

    name: str = "changed"
    spends: bool = False
    about_answers: bool = True
    confirms: bool = True

    def watching(self, terms: WatchTerms) -> Iterator[MonitorKind]:
        """Yield itself if the reference is deterministic."""
        if terms.deterministic:
            yield self

    def facts(self, terms: WatchTerms) -> Iterator[tuple[str, str]]:  # noqa: ARG002 - whatever the terms
        """Yield any difference."""
        yield "any output differs beyond the set's tolerance", "1 replay, confirmed at once"
