"""The contract of monitors.

`Monitor` is the test itself: a pure function from a state and an observation to a state and a verdict. `WatchMonitor`
is a monitor as a watch has it, one class in one file: it also knows how it is built, what it looks at in a replay or
in a history, and what it would notice.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from goldwatch.core.judgement import State, Verdict
from goldwatch.worker.monitors.effects import Basis, Effect, notice

if TYPE_CHECKING:
    from goldwatch.ipc.judging_jobs import Notice
    from goldwatch.worker.jobs.case import Case
    from goldwatch.worker.monitors.past import ReplayRecord
    from goldwatch.worker.monitors.reference import Reference
    from goldwatch.worker.monitors.settings import Settings

Observation_contra = TypeVar("Observation_contra", contravariant=True)
Observation = TypeVar("Observation")
Memory = TypeVar("Memory")


class Monitor(Protocol[Observation_contra, Memory]):
    """The sequential test of one quantity of one watch.

    It is built from the reference and the budget, and never changes; all that it learns is in the state that the
    caller keeps. Only valid replays reach `update`. `name` is the one that the budget and the metrics use.
    """

    name: str

    def fresh(self) -> Memory:
        """Return the state before the first replay."""

    def update(self, observation: Observation_contra, state: Memory, at: float) -> tuple[Memory, Verdict]:
        """Add one valid replay that started at Unix time `at`, in seconds."""

    def standing(self, state: Memory) -> Verdict:
        """Say again what is known, without a new replay."""

    def save(self, state: Memory) -> dict[str, object]:
        """Return the state as a value that JSON can hold without loss."""

    def restore(self, saved: object) -> tuple[Memory, str | None]:
        """Return a saved state, or a fresh one and the reason why the saved one was refused."""


class WatchMonitor(ABC, Monitor[Observation, Memory]):
    """A monitor as a watch has it. Its other half, of the same file name, is in `goldwatch.core.monitors`."""

    @classmethod
    @abstractmethod
    def build(cls, name: str, reference: Reference, settings: Settings) -> WatchMonitor[Any, Any]:
        """Make the monitor of this name. Raises ValueError for what cannot be watched."""

    @abstractmethod
    def observe(self, replay: Case) -> Observation | None:
        """Return what it looks at in a replay; None if there is nothing to be seen."""

    def why_unknown(self, replay: Case) -> str:  # noqa: ARG002 - of those that know
        """Say why there is nothing to be seen in a replay; empty if that is for others to say, which is the default."""
        return ""

    def recall(self, replay: ReplayRecord) -> Observation | None:  # noqa: ARG002 - of those that a history can feed
        """Return what it looks at in a replay of a history; None if the history lacks that, which is the default."""
        return None

    def effects(self, basis: Basis) -> Iterator[Effect]:  # noqa: ARG002 - of those that can be simulated
        """Yield what it might notice; the effects that the objectives declare first."""
        yield from ()

    def notices(self, basis: Basis) -> Iterator[Notice]:
        """Yield after how many replays it notices each of its effects: by simulation, unless it knows better."""
        for effect in self.effects(basis):
            if effect.declared or not basis.declared_only:
                yield notice(self, effect, basis)

    def explain(self, replay: Case, observation: Observation, before: Memory, after: Memory) -> None:
        """Add to the findings of a replay what only this monitor knows, after an update. Most add nothing."""


def unknown(monitor: Monitor[Observation_contra, Memory], state: Memory, reason: str) -> Verdict:
    """Return the verdict after a replay that must not be judged; it adds no evidence and the state stays as it is.

    A monitor that was alerting goes on alerting: a replay without information is no recovery.
    """
    verdict = monitor.standing(state)
    if verdict.state is State.ALERTING:
        return replace(verdict, summary=f"{verdict.summary}; the last replay was not valid: {reason}", confirm=False)
    return replace(verdict, state=State.UNKNOWN, summary=f"not known: {reason}", confirm=False)


def grade(evidence: float, threshold: float) -> State:
    """Return the state of a monitor that is not alerting: suspect from half the threshold on, both as log10."""
    return State.SUSPECT if evidence >= threshold / 2 else State.STEADY
