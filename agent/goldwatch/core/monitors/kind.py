"""The base class of the kinds of monitors, on the agent's side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from goldwatch.core.judgement import Validity

if TYPE_CHECKING:
    from goldwatch.config import Config, Load, Objectives, Watch  # the worker that judges has no use for the config
    from goldwatch.config.energy import Energy

_RISING = (Validity.INVALID, Validity.INSUFFICIENT, Validity.VALID)


@dataclass(frozen=True, slots=True)
class WatchTerms:
    """The terms of a watch, which decide on its monitors: its config, and whether its reference is deterministic.

    `every_s` is the mean time between its replays. `energy` is the section of the config, None without one.
    """

    watch: Watch
    deterministic: bool
    every_s: float
    energy: Energy | None = None

    @property
    def objectives(self) -> Objectives:
        """The objectives of the watch."""
        return self.watch.objectives

    @property
    def measured_every_s(self) -> float:
        """The mean time between measurements of energy and cost."""
        return self.every_s if self.energy is None else max(self.every_s, self.energy.every_s)

    @property
    def load(self) -> str:
        """The part of the load that determines the latency and the cost of a request."""
        return written_load(self.watch.load)


def written_load(load: Load) -> str:
    """Return the part of a load that determines the latency and the cost of a request."""
    return load.model_dump_json(include={"scenario", "rate_per_s", "samples_per_query", "batch", "in_flight"})


@dataclass(frozen=True, slots=True)
class Looks:
    """How often a monitor looks, in words: every `every_s` seconds at one `what`.

    `then` follows the number of looks after which it notices something. `at_most` is how long one waits for that at
    most, if it is not the horizon of replays.
    """

    every_s: float
    what: str = "replay"
    then: str = ""
    at_most: str = ""


@dataclass(frozen=True, slots=True)
class FirstLook:
    """What to do first about an alert if nothing has changed, and why.

    `verb` is of kubectl, for the target's deployment. One that is `certain` is first whatever has changed.
    """

    title: str
    why: str = ""
    verb: str = ""
    certain: bool = False


@dataclass(frozen=True, slots=True)
class MonitorKind:
    """A kind of monitor: its name, and what the agent must know of it.

    One that does not `spend` of the budget states facts. `least` is the least valid replay that it can use.
    `misses_answers` means that a target that does not answer is enough to make it alert. Its alert is explained by
    examples if it is `about_answers`, by times if `about_latency`, by live requests if `about_live`. `said` is the
    adjective for a target that it alerts about. Of replays that confirm a finding only one that `confirms` is shown.
    """

    name: str
    spends: bool = True
    least: Validity = Validity.VALID
    misses_answers: bool = False
    about_answers: bool = False
    about_latency: bool = False
    about_live: bool = False
    said: str = ""
    confirms: bool = False

    def takes(self, validity: Validity) -> bool:
        """Say whether it can use a replay of this validity."""
        return _RISING.index(validity) >= _RISING.index(self.least)

    def may_see(self, validity: Validity, *, confirming: bool) -> bool:
        """Say whether it is shown a replay; one that is `confirming` comes on top of those that the budget counts."""
        return self.takes(validity) and (self.confirms or not confirming)

    def member(self, of: str) -> MonitorKind | None:  # noqa: ARG002 - of those that have some
        """Return the kind of the monitor that is named after something, `NAME:of`; None if it has no such monitors."""
        return None

    def named_by(self, config: Config) -> Iterator[MonitorKind]:  # noqa: ARG002 - by default, by its own name alone
        """Yield what a config may name: itself, and its members."""
        yield self

    def watching(self, terms: WatchTerms) -> Iterator[MonitorKind]:  # noqa: ARG002 - a kind of another version watches nothing
        """Yield itself, or its members, for each monitor of this kind that a watch has."""
        yield from ()

    def interval_s(self, terms: WatchTerms) -> float:
        """Return the mean seconds between two looks of the monitor: what its share of the budget is divided by."""
        return terms.every_s

    def looks(self, terms: WatchTerms) -> Looks:
        """Return how its looks are counted in `goldwatch explain-budget`."""
        return Looks(terms.every_s)

    def facts(self, terms: WatchTerms) -> Iterator[tuple[str, str]]:  # noqa: ARG002 - of those that need no simulation
        """Yield what it notices for certain, and after what time, as text for `goldwatch explain-budget`."""
        yield from ()

    def first_look(self, target: str, subject: str, unchanged: str) -> FirstLook | None:  # noqa: ARG002 - by default
        """Return what to do first about its alert; None for the examples, or the runbook.

        `subject` is the most frequent error, or what moved; `unchanged` the words for no recorded change.
        """
        return None

    def settings(self, terms: WatchTerms) -> dict[str, Any]:  # noqa: ARG002 - one without an objective needs none
        """Return the fields of `Settings` (worker/monitors/settings.py) that it needs. They must be plain values."""
        return {}

    def relearns(self, watch: Watch) -> bool:  # noqa: ARG002 - most learn nothing
        """Say whether it has learned from replays of the watch what is usual, which `goldwatch relearn` forgets."""
        return False
