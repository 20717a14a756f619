"""The kinds of monitors: which watches have each, and what else is known of it. The one list of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from goldwatch.core.judgement import Validity

if TYPE_CHECKING:
    from goldwatch.config import Config, Objectives  # the worker that judges has no use for the config

MAX_UNREADABLE = 0.05
"""With a larger share of unreadable rows a window says nothing of *drift*, and *schema* looks at the next one."""

_BLOCK_S, _BLOCK_REPLAYS = 3 * 3600.0, 4
_RISING = (Validity.INVALID, Validity.INSUFFICIENT, Validity.VALID)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of monitor.

    One that does not `spend` of the budget states facts. `least` is the least valid replay that it can use.
    `misses_answers` means that a target that does not answer is enough to make it alert; `about_answers` that examples
    explain its alert. `said` is the adjective for a target that it alerts about.
    """

    name: str
    spends: bool = True
    least: Validity = Validity.VALID
    misses_answers: bool = False
    about_answers: bool = False
    said: str = ""

    def takes(self, validity: Validity) -> bool:
        """Say whether it can use a replay of this validity."""
        return _RISING.index(validity) >= _RISING.index(self.least)


FAILING = Kind("failing", least=Validity.INSUFFICIENT)
WORSE = Kind("worse", about_answers=True)
SLOW = Kind("slow", least=Validity.INSUFFICIENT, misses_answers=True)
CHANGED = Kind("changed", spends=False, about_answers=True)
MOVED = Kind("moved", about_answers=True)
SLOWER = Kind("slower", misses_answers=True)
COSTLY = Kind("costly")
SCHEMA = Kind("schema", spends=False, least=Validity.INVALID, said="getting inputs that cannot be read")
DRIFT = Kind("drift", least=Validity.INVALID, said="drifting")
SILENT = Kind("silent", spends=False, misses_answers=True)

KINDS = (FAILING, WORSE, SLOW, CHANGED, MOVED, SLOWER, COSTLY, SCHEMA, DRIFT, SILENT)
"""In the order in which they name an alert that several have joined: a dead server is failing, whatever else it is, and
that nothing is known is the least that can be said of a watch."""

_BY_NAME = {kind.name: kind for kind in KINDS}
_PLACES = {kind.name: place for place, kind in enumerate(KINDS)} | {SILENT.name: len(KINDS)}


def of_score(score: str) -> Kind:
    """Return the kind of the monitor of a score that has an objective."""
    return Kind(f"{WORSE.name}:{score}", about_answers=True, said=WORSE.name)


def watched_score(name: str) -> str | None:
    """Return the score that a monitor watches by its name; None for another monitor."""
    kind, colon, score = name.partition(":")
    return score if colon and kind == WORSE.name else None


def runbook(name: str) -> str:
    """Return the name of the runbook of a monitor."""
    return name.partition(":")[0]


def of(name: str) -> Kind:
    """Return a kind by its name. Of one that another version has left in the ledger, nothing but the name is known."""
    score = watched_score(name)
    return of_score(score) if score is not None else _BY_NAME.get(name) or Kind(name)


def rank(name: str) -> int:
    """Return the place of a monitor in an alert that several have joined, lowest first; an unknown one is late."""
    return _PLACES.get(runbook(name), len(KINDS) - 1)


def names(config: Config, *, spending: bool = False) -> list[str]:
    """Return the names that a config may use for monitors: with `spending` only of those with a share of the budget."""
    scores = dict.fromkeys(name for watch in config.watches.values() for name in watch.objectives.scores)
    return [kind.name for kind in (*KINDS, *map(of_score, scores)) if kind.spends or not spending]


def weights(config: Config) -> Mapping[str, float]:
    """Return the weights of the monitors in the budget. Raises ValueError if a name is not a monitor with a share."""
    known = names(config, spending=True)
    for name in config.alerts.weights:
        if name not in known:
            raise ValueError(f"weights.{name}: no monitor of this name has a share; there are {', '.join(known)}")
    return config.alerts.weights


def watching(objectives: Objectives, *, deterministic: bool, live: bool = False) -> Iterator[Kind]:
    """Yield the kinds of a watch with these objectives over a reference that is deterministic or not, `live` or not.

    *Silent* watches the watch itself, and is not among them.
    """
    yield WORSE
    if deterministic:
        yield CHANGED
    yield FAILING
    yield from map(of_score, objectives.scores)
    if objectives.latency is not None:
        yield SLOW
    if objectives.output_distance is not None:
        yield MOVED
    if objectives.slowdown is not None:
        yield SLOWER
    if objectives.energy is not None or objectives.cost is not None:
        yield COSTLY
    if live:
        yield SCHEMA
        yield DRIFT


def interval_s(kind: Kind, every_s: float, measured_every_s: float) -> float:
    """Return the mean seconds between two looks of a monitor.

    *Costly* looks only where something was measured, *slower* once a block.
    """
    if kind is SLOWER:
        return block_s(every_s)
    return max(every_s, measured_every_s) if kind is COSTLY else every_s


def block_s(every_s: float) -> float:
    """Return the seconds of replays that *slower* judges as one: three hours, or four replays if these take longer."""
    return max(_BLOCK_S, _BLOCK_REPLAYS * every_s)
