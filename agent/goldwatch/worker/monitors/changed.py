"""The monitor *changed*: whether a deterministic server still gives the outputs of its reference.

There are no statistics. If the reference replays were all alike, one output beyond the tolerance is a fact, reported
at once and confirmed by one more replay. It means that this deployment differs, not that it is worse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from goldwatch.core.judgement import Severity, State, Verdict
from goldwatch.core.kinds import CHANGED
from goldwatch.worker.monitors.contract import WatchMonitor

if TYPE_CHECKING:
    from goldwatch.worker.jobs.case import Case
    from goldwatch.worker.monitors.past import ReplayRecord
    from goldwatch.worker.monitors.reference import Reference
    from goldwatch.worker.monitors.settings import Settings

_VERSION = 1
_QUIET_REPLAYS = 2


@dataclass(frozen=True, slots=True)
class Moves:
    """How many of the compared examples moved beyond the tolerance, and how many turned wrong or right by it.

    `largest` is the largest distance of any answer from the reference and `tolerance` what is allowed; None for text
    and JSON.
    """

    moved: int
    compared: int
    harmful: int
    helpful: int
    largest: float | None = None
    tolerance: float | None = None

    def __str__(self) -> str:
        said = f"{self.moved:,} of {self.compared:,} outputs differ from the reference"
        if not self.moved:
            return said
        if self.largest is not None and self.tolerance is not None:
            said += f", by up to {self.largest:.3g} (tolerance {self.tolerance:g})"
        return f"{said}; {self.harmful:,} turned wrong, {self.helpful:,} right"


@dataclass(frozen=True, slots=True)
class ChangedState:
    """The memory of *changed*: its state, since when (Unix seconds), and the number of last unchanged replays."""

    state: State = State.STEADY
    severity: Severity = Severity.TICKET
    since: float | None = None
    quiet: int = 0


class Changed(WatchMonitor[Moves, ChangedState]):
    """Outputs against those of a deterministic reference; a ticket, or a page where the loss exceeds the tolerance.

    `accuracy_loss` is the share of the golden set's `examples` that may be lost, net of those gained.
    """

    name = CHANGED.name

    def __init__(self, examples: int, accuracy_loss: float) -> None:
        if examples < 1 or not 0 <= accuracy_loss < 1:
            raise ValueError(f"{examples} examples of which {accuracy_loss} may be lost cannot be watched")
        self._examples = examples
        self._accuracy_loss = accuracy_loss

    @classmethod
    def build(cls, name: str, reference: Reference, settings: Settings) -> Changed:  # noqa: ARG003 - the only one
        """Make it from the size of the set, and the accuracy that may be lost."""
        return cls(reference.examples, settings.accuracy_loss)

    def observe(self, replay: Case) -> Moves:
        """Return how many answers moved, and how far."""
        if (found := replay.difference) is None:
            return Moves(0, 0, 0, 0)
        outputs = replay.golden.manifest.outputs.values()
        tolerances = {spec.tolerance for spec in outputs}
        # Outputs with several tolerances have no common distance, and texts and JSON none at all.
        has_size = len(tolerances) == 1 and not any(spec.in_lines for spec in outputs)
        sizes = (found.largest, min(tolerances)) if has_size else (None, None)
        return Moves(found.moved, found.compared, found.harmful, found.helpful, *sizes)

    def recall(self, replay: ReplayRecord) -> Moves | None:
        """Return how many answers moved."""
        if (found := replay.difference) is None:
            return None
        return Moves(found.moved, found.compared, found.harmful, found.helpful)

    def fresh(self) -> ChangedState:
        """Return the state before the first replay."""
        return ChangedState()

    def update(self, observation: Moves, state: ChangedState, at: float) -> tuple[ChangedState, Verdict]:
        """Add one valid replay that started at Unix time `at`."""
        summary = str(observation)
        if observation.moved > 0:
            after = self._differs(observation, state, at)
        elif observation.compared == 0:
            # Nothing was compared, so nothing was seen to be as it was.
            return state, _verdict(state, "no output to compare")
        else:
            after, summary = self._same(state), _same_summary(state, summary)
        return after, _verdict(after, summary)

    def standing(self, state: ChangedState) -> Verdict:
        """Say again what is known, without a new replay."""
        return _verdict(state, "outputs differ from the reference" if state.since is not None else "no new replay")

    def save(self, state: ChangedState) -> dict[str, object]:
        """Return the state as a value that JSON can hold without loss."""
        return {
            "version": _VERSION,
            "examples": self._examples,
            "state": str(state.state),
            "severity": str(state.severity),
            "since": state.since,
            "quiet": state.quiet,
        }

    def restore(self, saved: object) -> tuple[ChangedState, str | None]:
        """Return a saved state, or a fresh one and the reason why the saved one was refused."""
        if not isinstance(saved, Mapping) or saved.get("version") != _VERSION:
            return self.fresh(), f"the saved state is not of version {_VERSION}"
        if saved.get("examples") != self._examples:
            return self.fresh(), "the saved state belongs to another golden set"
        since, quiet = saved.get("since"), saved.get("quiet")
        if not (since is None or isinstance(since, int | float)) or not isinstance(quiet, int):
            return self.fresh(), "the saved state is damaged"
        try:
            return ChangedState(
                State(str(saved.get("state"))), Severity(str(saved.get("severity"))), since, quiet
            ), None
        except ValueError:
            return self.fresh(), "the saved state is damaged"

    def _differs(self, moves: Moves, state: ChangedState, at: float) -> ChangedState:
        lost = moves.harmful - moves.helpful
        severity = Severity.PAGE if lost > self._accuracy_loss * self._examples else Severity.TICKET
        if state.state in (State.SUSPECT, State.ALERTING):
            return replace(state, state=State.ALERTING, severity=severity, quiet=0)
        return ChangedState(State.SUSPECT, severity, at)

    def _same(self, state: ChangedState) -> ChangedState:
        if state.state is not State.ALERTING:
            return self.fresh()
        if state.quiet + 1 < _QUIET_REPLAYS:
            return replace(state, quiet=state.quiet + 1)
        return replace(state, state=State.RECOVERED, quiet=0)


def _same_summary(before: ChangedState, summary: str) -> str:
    return f"{summary}; one replay before this one did differ" if before.state is State.SUSPECT else summary


def _verdict(state: ChangedState, summary: str) -> Verdict:
    confirm = state.state is State.SUSPECT
    return Verdict(CHANGED.name, state.state, state.severity, None, None, state.since, confirm=confirm, summary=summary)
