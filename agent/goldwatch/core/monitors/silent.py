"""*Silent*: a watch has had no valid replay for some intervals. The agent watches that: workers have no half of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from goldwatch.core.monitors.kind import MonitorKind, WatchTerms

SILENT_AFTER = 3
"""A watch without a valid replay for so many of its intervals is silent."""


@dataclass(frozen=True, slots=True)
class SilentKind(MonitorKind):
    """Every watch has it, besides the monitors of its replays."""

    name: str = "silent"
    spends: bool = False
    misses_answers: bool = True

    def facts(self, terms: WatchTerms) -> Iterator[tuple[str, str]]:
        """Yield silence."""
        from goldwatch.config import format_span  # noqa: PLC0415 - only a command needs it, and it is slow to import

        after = f"{SILENT_AFTER} intervals ({format_span(SILENT_AFTER * terms.every_s)})"
        yield "there is no valid replay", after
