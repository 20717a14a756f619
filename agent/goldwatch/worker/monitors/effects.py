"""Effects: what a monitor might notice, as simulated replays, and after how many of them it does. Runs in workers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.core.judgement import State
from goldwatch.ipc.judging_jobs import Notice

if TYPE_CHECKING:
    from goldwatch.worker.monitors.contract import Monitor
    from goldwatch.worker.monitors.reference import Reference
    from goldwatch.worker.monitors.settings import Settings

LOSSES = (0.02, 0.05, 0.1, 0.2, 0.4)
LEAST_LOSS = 0.01
HALF = 0.5
SHARES = (0.02, 0.05, 0.1, 0.2, 0.5)

_RUNS = 21
_HOPELESS = 5
"""If none of so many runs ends in an alert, the median of all is none: at most one time in 32 that is wrong."""
_SEED = 20_261_125

Draw = Callable[[np.random.Generator], Any]
Change = Callable[[NDArray[np.float64], slice], NDArray[np.float64]]
"""Changes values [m], those of some rows."""


@dataclass(frozen=True, slots=True)
class Basis:
    """The basis of effects: the reference and the settings of a watch, the `requests` of a replay.

    At most `most` replays are simulated. With `declared_only` only the effects that the objectives declare are.
    """

    reference: Reference
    settings: Settings
    requests: int
    most: int
    declared_only: bool = False


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that a monitor might notice, as text, and how a replay that shows it is drawn.

    `declared` effects are too much by the watch's own objectives: twice what they allow. One that is `fixed`
    looks the same in each replay. `independent` is what would look in place of the monitor, and how a replay would be
    drawn, if nothing in it depended on anything else.
    """

    words: str
    draw: Draw
    declared: bool = False
    fixed: bool = False
    independent: tuple[Monitor[Any, Any], Draw] | None = None


def notice(monitor: Monitor[Any, Any], effect: Effect, basis: Basis) -> Notice:
    """Simulate an effect, and return after how many replays the monitor notices it."""
    return Notice(
        monitor=monitor.name,
        effect=effect.words,
        declared=effect.declared,
        threshold=-math.log10(basis.settings.alpha(monitor.name)),
        replays=_replays(monitor, effect, basis.most),
        if_independent=_if_independent(effect, basis.most),
    )


def percentage(share: float) -> str:
    """Write a share as a percentage."""
    from goldwatch.config import format_percentage  # noqa: PLC0415 - only a simulation needs it, and it is slow

    return format_percentage(share)


def losses(allowed: float) -> list[float]:
    """Return losses of a score to simulate: the first is the declared one, twice what is allowed."""
    declared = round(allowed + max(allowed, LEAST_LOSS), 6)
    return [declared, *(loss for loss in LOSSES if loss > declared)][:2]


def shift(by: float) -> Change:
    """Change values [m] all alike; they stay between 0 and 1."""
    return lambda values, _: np.clip(values + by, 0, 1)


def lose(share: float, to: float = 0.0) -> Change:
    """Change a share of the values [m] of some rows to one value, spread evenly over the examples."""
    return lambda values, rows: np.where(np.arange(rows.start, rows.stop) * share % 1 < share, to, values)


def _if_independent(effect: Effect, most: int) -> int | None:
    if effect.independent is None:
        return 0
    monitor, draw = effect.independent
    return _replays(monitor, replace(effect, draw=draw), most)


def _replays(monitor: Monitor[Any, Any], effect: Effect, most: int) -> int | None:
    """Return the median number of replays to an alert; None if it is more than `most`."""
    runs = 1 if effect.fixed else _RUNS
    found: list[float] = []
    for run in range(runs):
        found.append(_one_run(monitor, effect.draw, most, np.random.default_rng((_SEED, run))))
        never = sum(map(math.isinf, found))
        if never > runs // 2 or never == len(found) == _HOPELESS:
            return None
    return int(sorted(found)[runs // 2])


def _one_run(monitor: Monitor[Any, Any], draw: Draw, most: int, rng: np.random.Generator) -> float:
    state = monitor.fresh()
    for replay in range(1, most + 1):
        state, verdict = monitor.update(draw(rng), state, float(replay))
        if verdict.state is State.ALERTING:
            return replay
    return math.inf
