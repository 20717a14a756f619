"""The monitors of a watch, made of its golden set and what it asks of them. Runs beside numpy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from goldwatch.golden.opened import GoldenSet
from goldwatch.monitor import kinds
from goldwatch.monitor.changed import Changed
from goldwatch.monitor.contract import Monitor
from goldwatch.monitor.share import failing, slow
from goldwatch.monitor.worse import Worse


@dataclass(frozen=True, slots=True)
class Settings:
    """What a watch asks of its monitors.

    `alphas` has the false pages per replay that each of them may spend, None for one that states facts.
    `latency_limit_s` and `latency_quantile` are the objective of *slow*, which only exists with a limit.
    """

    accuracy_loss: float
    error_rate: float
    alphas: Mapping[str, float | None]
    latency_limit_s: float | None = None
    latency_quantile: float = 0.99

    def alpha(self, kind: kinds.Kind) -> float:
        """Return what a monitor may spend. Raises ValueError for one that spends nothing."""
        alpha = self.alphas[kind.name]
        if alpha is None:
            raise ValueError(f"the monitor {kind.name!r} spends, and may spend nothing")
        return alpha


def build(golden: GoldenSet, settings: Settings) -> dict[str, Monitor[Any, Any]]:
    """Make each monitor that the settings name. Raises GoldenError, and ValueError for what cannot be watched."""
    return {name: _BUILDERS[name](golden, settings) for name in settings.alphas}


def _worse(golden: GoldenSet, settings: Settings) -> Worse:
    replays = golden.manifest.reference.replays
    return Worse(golden.tensor("reference.right"), replays, settings.accuracy_loss, settings.alpha(kinds.WORSE))


def _changed(golden: GoldenSet, settings: Settings) -> Changed:
    return Changed(golden.examples, settings.accuracy_loss)


def _failing(golden: GoldenSet, settings: Settings) -> Monitor[Any, Any]:  # noqa: ARG001 - as the others
    return failing(settings.error_rate, settings.alpha(kinds.FAILING))


def _slow(golden: GoldenSet, settings: Settings) -> Monitor[Any, Any]:  # noqa: ARG001 - as the others
    if settings.latency_limit_s is None:
        raise ValueError("slow needs a limit")
    return slow(settings.latency_quantile, settings.latency_limit_s, settings.alpha(kinds.SLOW))


_BUILDERS: Mapping[str, Callable[[GoldenSet, Settings], Monitor[Any, Any]]] = {
    kinds.WORSE.name: _worse,
    kinds.CHANGED.name: _changed,
    kinds.FAILING.name: _failing,
    kinds.SLOW.name: _slow,
}
