"""The monitor *drift*: whether live values have moved from the reference. A ticket.

Its test is `bands`, over windows of live rows, or, for traffic with a season, `ladder`.

After a replay without a window it repeats its last verdict, and is *unknown* after a long time without a window. A
window with many unreadable rows adds no evidence, since the rest is no sample of the traffic: then it is *unknown*,
and the monitor *schema* names the inputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.core.judgement import Move, State, Verdict
from goldwatch.core.kinds import DRIFT
from goldwatch.core.monitors.drift import MAX_UNREADABLE
from goldwatch.ipc.judging_jobs import Notice, SeasonBasis
from goldwatch.worker.drift.reference import Compared
from goldwatch.worker.monitors import seasons
from goldwatch.worker.monitors.bands import Drift
from goldwatch.worker.monitors.columns import Column, IntArray, choose_cells, columns
from goldwatch.worker.monitors.contract import WatchMonitor
from goldwatch.worker.monitors.dependence import Dependence
from goldwatch.worker.monitors.effects import SHARES, Basis, Draw, Effect
from goldwatch.worker.monitors.hours import Tally
from goldwatch.worker.monitors.ladder import Ladder
from goldwatch.worker.monitors.learned import Learned
from goldwatch.worker.monitors.live import STALE, Live, Missing, Table, rows_of
from goldwatch.worker.monitors.live_reference import compared_with, stated
from goldwatch.worker.monitors.moves import describe_move
from goldwatch.worker.monitors.season import HOUR_S, MIN_ROWS, Usual, of_week
from goldwatch.worker.monitors.spread import FACTOR, Spread

if TYPE_CHECKING:
    from goldwatch.worker.jobs.case import Case
    from goldwatch.worker.monitors.reference import Reference
    from goldwatch.worker.monitors.settings import Settings

_LEAST_DRIFT = 0.1
_VERSION = 2
_NO_ROWS = "no live rows yet"


@dataclass(frozen=True, slots=True, eq=False)
class LiveState:
    """The state between replays: the evidence, and the time and result of the last window.

    `unread` is whether that window could not be read. `spread` is how much the first windows vary, None if any
    dependence of their rows is allowed for.
    """

    standing: Any  # a Standing, or a LadderState
    at: float | None = None
    said: str = ""
    unread: bool = False
    spread: Spread | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Season:
    """The judge of traffic with a season; `hours` [rows] are the numbers of the reference rows' hours, if known."""

    judge: Ladder | Learned
    hours: IntArray | None = None


class LiveDrift(WatchMonitor[Live, LiveState]):
    """`Drift` against the columns [rows] of a reference. `longest_s` is how long a window takes at most.

    If traffic has a `season`, that judges in its place.

    Raises ValueError for a reference that is too small, and for what `Drift` cannot watch.
    """

    name = DRIFT.name

    def __init__(
        self,
        reference: Table,
        alpha: float,
        tolerance: float,
        cluster: int,
        longest_s: float,
        dependence: Dependence = Dependence.BOUNDED,
        season: Season | None = None,
    ) -> None:
        self._reference, self._hours = reference, None if season is None else season.hours
        self._drift: Drift | Ladder | Learned = (
            season.judge if season is not None else Drift(columns(reference), alpha, tolerance, cluster, dependence)
        )
        known = dependence is Dependence.BOUNDED and season is None
        self._most_ratio = FACTOR * cluster if known else None
        self._missing = Missing(STALE * longest_s)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The watched columns."""
        return self._drift.columns

    @property
    def ladder(self) -> Ladder | None:
        """The judge of traffic with a season."""
        return self._drift if isinstance(self._drift, Ladder) else None

    @classmethod
    def build(cls, name: str, reference: Reference, settings: Settings) -> LiveDrift:
        """Make it from the section `live`, and the reference that it names."""
        if settings.live is None or reference.golden is None:
            raise ValueError("drift needs live rows, and a golden set")
        live, alpha = settings.live, settings.alpha(name)
        with_what = compared_with(reference.golden, live)
        cluster = stated(live["clusters"], live["rows"])
        if live["season"] == "weekly":
            per_hour = alpha * HOUR_S / live["every_s"]
            return _seasonal_drift(with_what, per_hour, live["tolerance"], cluster[0], live["longest_s"], live["learn"])
        return _live_drift(with_what, alpha, live["tolerance"], cluster, live["longest_s"])

    def observe(self, replay: Case) -> Live | None:
        """Return what came of live traffic; None where nothing taps it, as in a gate."""
        return replay.live_rows()

    def explain(self, replay: Case, observation: Live, before: LiveState, after: LiveState) -> None:
        """Add the columns that moved, and what suggests that rows depend on each other."""
        if replay.live is not None:
            moves, notice = self.moves(observation, before), self.notice(before, after)
            replay.live = replace(replay.live, moves=moves, notice=notice)

    def effects(self, basis: Basis) -> Iterator[Effect]:
        """Yield shifts of one column of live rows, in percentiles of the reference, and nothing else of them changed.

        Rows that may depend on each other are drawn as equal ones.
        """
        golden, live = basis.reference.golden, basis.settings.live
        if golden is None or live is None or live["season"] == "weekly":
            return
        table = compared_with(golden, live).table
        if (name := _numeric(table)) is None:
            return
        cluster, dependence = stated(live["clusters"], live["rows"])
        other = None
        if cluster > live["rows"] or dependence is not Dependence.BOUNDED:
            alpha = basis.settings.alpha(self.name)
            other = LiveDrift(table, alpha, live["tolerance"], live["rows"], live["longest_s"])
        shifts = _shifts(live["tolerance"])
        for shift in shifts:
            words = f"{name} of live rows is {shift * 100:g} percentiles higher"
            draw, plain = (_moved(table, name, shift, live["requests"], c) for c in (cluster, live["rows"]))
            independent = None if other is None else (other, plain)
            yield Effect(words, draw, declared=shift == shifts[0], independent=independent)

    def notices(self, basis: Basis) -> Iterator[Notice]:
        """Yield the same, or, of traffic with a season, after how many hours it notices what."""
        yield from super().notices(basis)
        golden, live = basis.reference.golden, basis.settings.live
        if (ladder := self.ladder) is None or golden is None or live is None:
            return
        shifts, with_what = _shifts(live["tolerance"]), compared_with(golden, live)
        looked_at = shifts[:1] if basis.declared_only else shifts
        for words, shift, hours in seasons.notices(ladder, with_what, looked_at, live["requests"]):
            declared = shift == shifts[0]
            yield Notice(self.name, words, declared=declared, threshold=ladder.threshold, replays=hours)

    def season(self, basis: Basis) -> SeasonBasis | None:
        """Return the data behind the blocks of the week that it judges; None for traffic without a season."""
        golden, live = basis.reference.golden, basis.settings.live
        if live is not None and live["learn"]:
            return SeasonBasis(learned=True)
        if self.ladder is None or golden is None or live is None:
            return None
        return seasons.basis(self.ladder, compared_with(golden, live))

    def fresh(self) -> LiveState:
        """Return the state before the first window."""
        spread = None if self._most_ratio is None else Spread.fresh(self.columns)
        return LiveState(self._drift.fresh(), spread=spread)

    def update(self, observation: Live, state: LiveState, at: float) -> tuple[LiveState, Verdict]:
        """Add the window, if there is one, after a replay at Unix time `at`."""
        if observation.unreadable_share > MAX_UNREADABLE:
            said = f"{observation.unreadable_share:.1%} of live rows cannot be read, so drift is not known"
            after = replace(state, at=at, said=said, unread=True)
            return after, self.standing(after)
        if observation.table is None or not rows_of(observation.table):
            return self._empty(observation, state, at)
        standing, verdict, spread = self._look(observation, state)
        if hint := self._hint(spread):
            verdict = replace(verdict, summary=f"{verdict.summary}; {hint}")
        return LiveState(standing, at, verdict.summary, spread=spread), verdict

    def _look(self, observation: Live, state: LiveState) -> tuple[Any, Verdict, Spread | None]:
        """Show the rows to the monitor; the summary is that of before where no block has ended."""
        if not isinstance(self._drift, Drift):
            found = {
                number: Tally(hour.rows, hour.requests, self._drift.count(hour.table))
                for number, hour in observation.hours.items()
            }
            after: Any
            after, verdict = self._drift.update(found, observation.until, state.standing)
            if not verdict.summary:
                known = verdict.state is not State.UNKNOWN and state.said
                said = state.said if known else self._drift.standing(after).summary
                verdict = replace(verdict, summary=said)
            return after, verdict, None
        window = self._drift.count(observation.table or {}, observation.clusters)
        spread = None if state.spread is None else state.spread.add(window, self.columns)
        return *self._drift.update(window, state.standing, observation.began_at), spread

    def _empty(self, observation: Live, state: LiveState, at: float) -> tuple[LiveState, Verdict]:
        """Judge the blocks that have ended without rows, and return the verdict without a window."""
        if isinstance(self._drift, Drift) or state.at is None:
            return state, self._missing.verdict(self.standing(state), observation, state.at, at)
        standing, verdict, _ = self._look(observation, state)
        after = replace(state, standing=standing, said=verdict.summary)
        if verdict.state is State.RECOVERED:
            return after, verdict
        return after, self._missing.verdict(self.standing(after), observation, state.at, at)

    def notice(self, before: LiveState, after: LiveState) -> str:
        """Return the hint at rows that depend on each other, after the window that gave it; empty otherwise."""
        known = before.spread is not None and before.spread.ratio is not None
        return "" if known else self._hint(after.spread)

    def _hint(self, spread: Spread | None) -> str:
        """Return what suggests that rows depend on each other more than is stated; empty for nothing."""
        if spread is None or spread.ratio is None or self._most_ratio is None or spread.ratio <= self._most_ratio:
            return ""
        return (
            f"the first {spread.windows} windows vary {spread.ratio:.1f} times as much as windows of independent rows "
            f"({spread.column}): requests depend on each other, or the traffic has a cycle or changes; see "
            "`live.clusters` and `live.season`"
        )

    def moves(self, observation: Live, before: LiveState) -> tuple[Move, ...]:
        """Return the columns of a window with most evidence of drift: how they were in the reference, and are now."""
        if observation.table is None or not rows_of(observation.table):
            return ()
        reference = self._reference
        if not isinstance(self._drift, Drift):
            telling = self._drift.telling(self._look(observation, before)[0])
            reference = self._same_hours(observation.hours)
        else:
            window = self._drift.count(observation.table, observation.clusters)
            telling = self._drift.telling(window, before.standing)
        return tuple(describe_move(c, reference[c.name], observation.table[c.name]) for c in telling)

    def _same_hours(self, hours: Iterable[int]) -> Table:
        """Return the reference rows of the same hours of the week, all of them where these are few or not known."""
        if self._hours is None:
            return self._reference
        own = np.isin(of_week(self._hours), [of_week(hour) for hour in hours])
        return (
            {name: values[own] for name, values in self._reference.items()}
            if own.sum() >= MIN_ROWS
            else self._reference
        )

    def standing(self, state: LiveState) -> Verdict:
        """Say again what is known, without a new window."""
        verdict = self._drift.standing(state.standing)
        if state.unread and verdict.state is not State.ALERTING:
            return replace(verdict, state=State.UNKNOWN, summary=state.said)
        if state.at is None:
            return replace(verdict, state=State.UNKNOWN, summary=_NO_ROWS)
        return replace(verdict, summary=state.said) if state.said else verdict

    def save(self, state: LiveState) -> dict[str, object]:
        """Return the state as a value that JSON can hold without loss."""
        standing = self._drift.save(state.standing)
        spread = None if state.spread is None else state.spread.save()
        news = {"at": state.at, "said": state.said, "unread": state.unread, "spread": spread}
        return {"version": _VERSION, "standing": standing, **news}

    def restore(self, saved: object) -> tuple[LiveState, str | None]:
        """Return a saved state, or a fresh one and the reason why the saved one was refused."""
        if not isinstance(saved, Mapping) or saved.get("version") != _VERSION:
            return self.fresh(), f"the saved state is not of version {_VERSION}"
        standing, refused = self._drift.restore(saved.get("standing"))
        at, said = saved.get("at"), saved.get("said")
        if refused is not None or not (at is None or isinstance(at, int | float)) or not isinstance(said, str):
            return self.fresh(), refused or "the saved state is damaged"
        spread = None if self._most_ratio is None else Spread.restore(saved.get("spread"), self.columns)
        return LiveState(standing, at, said, saved.get("unread") is True, spread), None


def _numeric(table: Table) -> str | None:
    return next((name for name, values in table.items() if values.dtype.kind == "f"), None)


def _shifts(tolerance: float) -> list[float]:
    """Return by what share of its values a column is moved: twice what is tolerated, and more."""
    declared = round(2 * tolerance, 6) or _LEAST_DRIFT
    return [shift for shift in [declared, *(share for share in SHARES if share > declared)][:2] if shift < 1]


def _moved(table: Mapping[str, NDArray[Any]], name: str, shift: float, rows: int, cluster: int) -> Draw:
    """Draw windows of `rows` rows like the reference's, with one column higher by a share of its values.

    Rows come in clusters of this size, equal within each.
    """
    ordered, examples = np.sort(table[name]), len(table[name])
    clusters = np.arange(rows) // cluster

    def draw(rng: np.random.Generator) -> Live:
        drawn = rng.integers(examples, size=rows)
        found = {column: values[drawn][clusters] for column, values in table.items()}
        ranks = np.minimum((rng.random(rows) + shift) * examples, examples - 1).astype(np.int64)
        return Live({**found, name: ordered[ranks][clusters]}, 0.0, clusters=clusters)

    return draw


@lru_cache(maxsize=4)
def _live_drift(
    reference: Compared, alpha: float, tolerance: float, cluster: tuple[int, Dependence], longest_s: float
) -> LiveDrift:
    """Make the monitor once for all replays of a watch: the bands of 200 columns take seconds."""
    return LiveDrift(reference.table, alpha, tolerance, cluster[0], longest_s, cluster[1])


@lru_cache(maxsize=4)
def _seasonal_drift(
    reference: Compared, alpha_per_hour: float, tolerance: float, cluster: int, longest_s: float, learn: bool
) -> LiveDrift:
    ladder: Ladder | Learned
    if learn:
        kinds, _ = choose_cells(reference.table)
        ladder = Learned(kinds, columns(reference.table), alpha_per_hour, tolerance, cluster)
    else:
        ladder = Ladder(Usual.of(reference.table, reference.hours), alpha_per_hour, tolerance, cluster)
    return LiveDrift(
        reference.table,
        alpha_per_hour,
        tolerance,
        cluster,
        longest_s,
        season=Season(ladder, reference.hours),
    )
