"""The list of the kinds of monitors, and look-ups in it by name. Each kind is a file in `core/monitors`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from goldwatch.core.monitors.changed import ChangedKind
from goldwatch.core.monitors.costly import CostlyKind
from goldwatch.core.monitors.drift import DriftKind
from goldwatch.core.monitors.failing import FailingKind
from goldwatch.core.monitors.gap import GapKind
from goldwatch.core.monitors.judge import JudgeKind
from goldwatch.core.monitors.kind import MonitorKind, WatchTerms
from goldwatch.core.monitors.moved import MovedKind
from goldwatch.core.monitors.schema import SchemaKind
from goldwatch.core.monitors.silent import SilentKind
from goldwatch.core.monitors.slow import SlowKind
from goldwatch.core.monitors.slower import SlowerKind
from goldwatch.core.monitors.worse import WorseKind

if TYPE_CHECKING:
    from goldwatch.config import Config

FAILING = FailingKind()
WORSE = WorseKind()
GAP = GapKind()
SLOW = SlowKind()
CHANGED = ChangedKind()
MOVED = MovedKind()
SLOWER = SlowerKind()
COSTLY = CostlyKind()
SCHEMA = SchemaKind()
DRIFT = DriftKind()
JUDGE = JudgeKind()
SILENT = SilentKind()

KINDS: tuple[MonitorKind, ...] = (
    FAILING,
    WORSE,
    GAP,
    SLOW,
    CHANGED,
    MOVED,
    SLOWER,
    COSTLY,
    SCHEMA,
    DRIFT,
    JUDGE,
    SILENT,
)
"""In the order in which they name an alert that several have joined: a dead server is failing, whatever else it is, and
that nothing is known is the least that can be said of a watch."""

_BY_NAME = {kind.name: kind for kind in KINDS}
_PLACES = {kind.name: place for place, kind in enumerate(KINDS)} | {SILENT.name: len(KINDS)}


def watched_score(name: str) -> str | None:
    """Return the score that a monitor watches by its name; None for another monitor."""
    kind, colon, score = name.partition(":")
    return score if colon and kind == WORSE.name else None


def judged_score(name: str) -> str | None:
    """Return the score whose judge a monitor watches by its name; None for another monitor."""
    kind, colon, score = name.partition(":")
    return score if colon and kind == JUDGE.name else None


def runbook(name: str) -> str:
    """Return the name of the runbook of a monitor: that of its kind."""
    return name.partition(":")[0]


def of(name: str) -> MonitorKind:
    """Return a kind by its name. Of one that another version has left in the ledger, nothing but the name is known."""
    family, colon, rest = name.partition(":")
    kind = _BY_NAME.get(family)
    if kind is not None and colon:
        kind = kind.member(rest)
    return kind or MonitorKind(name)


def rank(name: str) -> int:
    """Return the place of a monitor in an alert that several have joined, lowest first; an unknown one is late."""
    return _PLACES.get(runbook(name), len(KINDS) - 1)


def names(config: Config, *, spending: bool = False) -> list[str]:
    """Return the names that a config may use for monitors: with `spending` only of those with a share of the budget."""
    return [kind.name for each in KINDS for kind in each.named_by(config) if kind.spends or not spending]


def weights(config: Config) -> Mapping[str, float]:
    """Return the weights of the monitors in the budget. Raises ValueError if a name is not a monitor with a share."""
    known = names(config, spending=True)
    for name in config.alerts.weights:
        if name not in known:
            raise ValueError(f"weights.{name}: no monitor of this name has a share; there are {', '.join(known)}")
    return config.alerts.weights


def watching(terms: WatchTerms) -> Iterator[MonitorKind]:
    """Yield the kinds of the monitors that judge the replays of a watch. *Silent* watches the watch itself."""
    for kind in KINDS:
        yield from kind.watching(terms)
