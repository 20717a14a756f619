"""Builds the monitors of a watch: the list of their classes. Runs in workers, with numpy."""

from __future__ import annotations

from typing import Any

from goldwatch.core.kinds import runbook
from goldwatch.worker.monitors.changed import Changed
from goldwatch.worker.monitors.contract import WatchMonitor
from goldwatch.worker.monitors.costly import Costly
from goldwatch.worker.monitors.drift import LiveDrift
from goldwatch.worker.monitors.failing import Failing
from goldwatch.worker.monitors.gap import GapMonitor
from goldwatch.worker.monitors.judge import JudgeMonitor
from goldwatch.worker.monitors.moved import Moved
from goldwatch.worker.monitors.reference import Reference
from goldwatch.worker.monitors.schema import LiveSchema
from goldwatch.worker.monitors.settings import Settings
from goldwatch.worker.monitors.slow import Slow
from goldwatch.worker.monitors.slower import Slower
from goldwatch.worker.monitors.worse import Worse

MONITORS: dict[str, type[WatchMonitor[Any, Any]]] = {
    "failing": Failing,
    "worse": Worse,
    "gap": GapMonitor,
    "slow": Slow,
    "changed": Changed,
    "moved": Moved,
    "slower": Slower,
    "costly": Costly,
    "schema": LiveSchema,
    "drift": LiveDrift,
    "judge": JudgeMonitor,
}
"""The class of each kind of monitors. Those of `NAME:MEMBER` are built by the class of NAME."""


def build(reference: Reference, settings: Settings) -> dict[str, WatchMonitor[Any, Any]]:
    """Make each monitor that the settings name. Raises ValueError for what cannot be watched."""
    return {name: MONITORS[runbook(name)].build(name, reference, settings) for name in settings.alphas}
