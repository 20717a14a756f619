"""The contract of monitors: a pure function from a state and an observation to a state and a verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, TypeVar

from goldwatch.core.judgement import State, Verdict

Observation_contra = TypeVar("Observation_contra", contravariant=True)
Memory = TypeVar("Memory")


class Monitor(Protocol[Observation_contra, Memory]):
    """The sequential test of one quantity of one watch.

    It is built once from the reference and the budget, and changes never; all that it learns is in the state that the
    caller keeps. Only valid replays reach `update`.
    """

    @property
    def name(self) -> str:
        """The monitor's name, as the budget and the metrics know it."""

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
