"""The monitor *schema*: whether live rows can be read as inputs of the model. A ticket that names the inputs.

There are no statistics. A caller that renames a field, sends words for numbers or another width changes what the model
is asked, and *drift* cannot look at rows that it cannot read. Two such windows in a row are an alert, and two readable
ones end it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from goldwatch.core.judgement import Severity, State, Verdict
from goldwatch.core.kinds import SCHEMA
from goldwatch.core.monitors.drift import MAX_UNREADABLE
from goldwatch.worker.monitors.contract import WatchMonitor
from goldwatch.worker.monitors.live import STALE, Live, Missing

if TYPE_CHECKING:
    from goldwatch.worker.jobs.case import Case
    from goldwatch.worker.monitors.reference import Reference
    from goldwatch.worker.monitors.settings import Settings

CONFIRMED_BY = 2
"""So many windows in a row begin and end an alert."""
_MIN_UNREADABLE = 10  # a client that sends a few bad requests is no change of the schema
_VERSION = 1


@dataclass(frozen=True, slots=True)
class SchemaState:
    """The memory of *schema*: when the last window was judged, `at`, and its summary, `said`.

    The run of `bad` ones began at Unix time `since` and had `unreadable` unreadable rows; `good` ones have followed.
    """

    at: float | None = None
    said: str = ""
    since: float | None = None
    bad: int = 0
    good: int = 0
    unreadable: int = 0
    alerting: bool = False


class LiveSchema(WatchMonitor[Live, SchemaState]):
    """Unreadable rows of windows of live traffic. `longest_s` is how long a window takes at most."""

    name = SCHEMA.name

    def __init__(self, longest_s: float) -> None:
        self._missing = Missing(STALE * longest_s)

    @classmethod
    def build(cls, name: str, reference: Reference, settings: Settings) -> LiveSchema:  # noqa: ARG003 - the only one
        """Make it for windows of live traffic."""
        if settings.live is None:
            raise ValueError("schema needs live rows")
        return cls(settings.live["longest_s"])

    def observe(self, replay: Case) -> Live | None:
        """Return what came of live traffic; None where nothing taps it, as in a gate."""
        return replay.live_rows()

    def fresh(self) -> SchemaState:
        """Return the state before the first window."""
        return SchemaState()

    def update(self, observation: Live, state: SchemaState, at: float) -> tuple[SchemaState, Verdict]:
        """Add the window, if there is one, after a replay at Unix time `at`."""
        if not observation.rows:
            return state, self._missing.verdict(self.standing(state), observation, state.at, at)
        share, known = observation.unreadable_share, "; ".join(f"{r} ({n:,})" for r, n in observation.reasons.items())
        if share > MAX_UNREADABLE:
            after = self._bad(observation, state, at, f"{share:.1%} of live rows cannot be read: {known}")
            return after, self.standing(after)
        said = f"{share:.1%} of live rows cannot be read: {known}" if share else "all live rows can be read"
        if not state.alerting:
            after = SchemaState(at, said)
        elif state.good + 1 < CONFIRMED_BY:
            said = "live rows can be read again, which another window has to confirm"
            after = replace(state, at=at, said=said, bad=0, good=state.good + 1)
        else:
            return SchemaState(at, said), self._verdict(State.RECOVERED, state.since, said)
        return after, self.standing(after)

    def standing(self, state: SchemaState) -> Verdict:
        """Say again what is known, without a new window."""
        if state.at is None:
            return self._verdict(State.UNKNOWN, None, "no live rows yet")
        level = State.ALERTING if state.alerting else State.SUSPECT if state.bad else State.STEADY
        return self._verdict(level, state.since, state.said)

    def save(self, state: SchemaState) -> dict[str, object]:
        """Return the state as a value that JSON can hold without loss."""
        return {"version": _VERSION, **asdict(state)}

    def restore(self, saved: object) -> tuple[SchemaState, str | None]:
        """Return a saved state, or a fresh one and the reason why the saved one was refused."""
        if not isinstance(saved, Mapping) or saved.get("version") != _VERSION:
            return self.fresh(), f"the saved state is not of version {_VERSION}"
        try:
            found = SchemaState(**{name: value for name, value in saved.items() if name != "version"})
        except TypeError:
            return self.fresh(), "the saved state is damaged"
        times = all(value is None or isinstance(value, int | float) for value in (found.at, found.since))
        counts = all(isinstance(value, int) for value in (found.bad, found.good, found.unreadable, found.alerting))
        if not (times and counts and isinstance(found.said, str)):
            return self.fresh(), "the saved state is damaged"
        return found, None

    def _bad(self, observation: Live, state: SchemaState, at: float, said: str) -> SchemaState:
        since = observation.began_at if state.since is None else state.since
        bad, unreadable = state.bad + 1, state.unreadable + observation.unreadable
        alerting = state.alerting or (bad >= CONFIRMED_BY and unreadable >= _MIN_UNREADABLE)
        return SchemaState(at, said, since, bad, 0, unreadable, alerting)

    def _verdict(self, state: State, since: float | None, summary: str) -> Verdict:
        return Verdict(self.name, state, Severity.TICKET, None, None, since, confirm=False, summary=summary)
