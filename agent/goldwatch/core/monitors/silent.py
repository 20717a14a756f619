"""*Silent*: a watch has had no valid replay for some intervals. The agent watches that: workers have no half of it."""

from __future__ import annotations

from dataclasses import dataclass

from goldwatch.core.monitors.kind import MonitorKind


@dataclass(frozen=True, slots=True)
class SilentKind(MonitorKind):
    """Every watch has it, besides the monitors of its replays."""

    name: str = "silent"
    spends: bool = False
    misses_answers: bool = True
