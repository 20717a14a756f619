"""*Drift* of traffic with a weekly season: live rows are judged in blocks of an hour, six hours, a day and a week.

Each block is compared with the reference rows of its own place in the week (see `season` and `blocks`), at its end and
not before: inside it the season moves. Each level has its share of the rate of false tickets, so their numbers add up;
the seven staggered weeks share that of theirs. An alert belongs to the block that raised it, whose level and place
decide on the recovery; from a recovery on all counts and all evidence are new, so no block judges both times.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from goldwatch.core.judgement import Severity, State, Verdict
from goldwatch.worker.monitors.blocks import Block, BlockBets, parameters
from goldwatch.worker.monitors.columns import Column, IntArray, Values
from goldwatch.worker.monitors.contract import grade
from goldwatch.worker.monitors.detector import Detector, Sums
from goldwatch.worker.monitors.episode import (
    Back,
    Episodes,
    Progress,
    Standing,
    TurnedEpisode,
    TurnedRound,
    Watching,
    turned_round,
)
from goldwatch.worker.monitors.hours import Tally, merged, pack_sums, restore_hours, rounded, save_hours, unpack_sums
from goldwatch.worker.monitors.season import (
    HOUR_S,
    MAX_SHORT,
    WEEK,
    WEEK_H,
    Level,
    Usual,
    count_cells,
    hour_of,
    levels_of,
    name_hour,
    weigh,
)

_VERSION = 1
_BUSY = 2  # times the requests of a usual hour, in one whose traffic is not known
_LOUD = (State.ALERTING, State.RECOVERED)
_LATE = 2  # lengths of a block without one that was judged


@dataclass(frozen=True, slots=True)
class _Rung:
    """A level with its bets and detectors; the first of them is at `offset` among those of all levels."""

    bets: BlockBets
    detector: Detector
    episodes: Episodes[TurnedEpisode, Back]
    offset: int


@dataclass(frozen=True, slots=True, eq=False)
class LadderState:
    """The state between windows.

    `hours` are counts by number of the hour; hours before `open` are over. `sums` are those of each detector. By name
    of the level, `judged` has the hour after the last block that was judged, and `missed` counts the blocks since then
    that could not be, for lack of rows. Within an alert
    `owner` is the detector that raised it, and `episode` its course.
    """

    sums: tuple[Sums, ...]
    hours: Mapping[int, Tally] = field(default_factory=dict)
    open: int | None = None
    judged: Mapping[str, int] = field(default_factory=dict)
    missed: Mapping[str, int] = field(default_factory=dict)
    owner: int | None = None
    episode: TurnedEpisode | None = None


def alphas(levels: Sequence[Level], alpha_per_hour: float) -> dict[str, float]:
    """Return the false tickets that each detector may spend on a block, by level; all levels share the rate."""
    return {level.name: alpha_per_hour * level.every / len(levels) for level in levels}


class Ladder:
    """Blocks of live rows against a reference by the hour of the week.

    `alpha_per_hour` is the false tickets per hour that may be spent; `tolerance` and `cluster` are as for `Drift`.
    Raises ValueError for a tolerance outside [0, 1).
    """

    name = "drift"

    def __init__(self, usual: Usual, alpha_per_hour: float, tolerance: float = 0.0, cluster: int = 1) -> None:
        if not 0 <= tolerance < 1 or cluster < 1:
            raise ValueError(f"a tolerance of {tolerance} and clusters of {cluster} cannot be watched")
        self.usual = usual
        self.levels, self.left_out = levels_of(usual)
        self._cells = usual.counts.shape[1]
        self._watching = Watching(self.name, Severity.TICKET, "live values have moved from the reference")
        numbers, spend = parameters(usual, self.levels, tolerance, cluster), alphas(self.levels, alpha_per_hour)
        backward = turned_round(2, [0.0, 1.0])
        recovery = TurnedRound(lambda _: backward)
        rungs, offset = [], 0
        for level in self.levels:
            bets = BlockBets(level, len(self.levels), usual, tolerance, cluster)
            detector = Detector(bets.weights.tolist(), spend[level.name], [*numbers, float(level.hours)])
            rungs.append(_Rung(bets, detector, Episodes(self._watching, detector, recovery), offset))
            offset += level.detectors
        self._rungs = tuple(rungs)
        self.threshold = min(rung.detector.threshold for rung in self._rungs)
        self.columns: tuple[Column, ...] = self._rungs[-1].bets.bands(0).columns

    def count(self, table: Mapping[str, Values]) -> IntArray:
        """Count the rows of a table in each cell of all columns [cells]. Raises KeyError for a missing column."""
        return count_cells(self.usual.kinds, table)

    def fresh(self) -> LadderState:
        """Return the state before the first window."""
        return LadderState(tuple(r.detector.fresh() for r in self._rungs for _ in range(r.bets.level.detectors)))

    def update(self, found: Mapping[int, Tally], until: float, state: LadderState) -> tuple[LadderState, Verdict]:
        """Add rows by number of the hour, where all rows that came before Unix time `until` are there now.

        The summary of the verdict is empty where no block has ended.
        """
        now = hour_of(until)
        begin = min([*found, now]) if state.open is None else state.open
        # Of hours that are longer ago than a week no block is judged.
        first = max(begin, now - WEEK_H)
        hours = merged(state.hours, {hour: tally for hour, tally in found.items() if hour >= first})
        state = replace(state, hours=hours, open=max(first, now))
        verdict = None
        for hour in range(first, now):
            for rung in self._rungs:
                if rung.bets.level.ends_with(hour):
                    state, said = self._end(rung, hour, state)
                    verdict = self._loudest(verdict, said)
        state = replace(state, hours={hour: tally for hour, tally in state.hours.items() if hour > now - WEEK_H})
        standing = replace(self.standing(state), summary="")
        if verdict is None:
            return state, standing
        if verdict.state in _LOUD:
            return state, verdict
        return state, replace(standing, since=verdict.since, summary=verdict.summary + self._unjudged(state))

    def telling(self, state: LadderState, most: int = 3) -> tuple[Column, ...]:
        """Return the columns whose bets have gained most so far, within an alert its own first."""
        gained = np.zeros(len(self.columns))
        own: list[int] = []
        for rung, index in self._detectors():
            if state.owner in (None, index):
                for bet in np.flatnonzero(state.sums[index].log_run > 0).tolist():
                    column = rung.bets.column(bet)
                    gained[column] = max(gained[column], state.sums[index].log_run[bet])
            if state.owner == index and state.episode is not None:
                own = [rung.bets.column(state.episode.best)]
        ranked = [i for i in np.argsort(-gained, kind="stable").tolist() if gained[i] > 0]
        return tuple(self.columns[i] for i in list(dict.fromkeys([*own, *ranked]))[:most])

    def standing(self, state: LadderState) -> Verdict:
        """Say again what is known, without a new block."""
        for rung, index in self._detectors():
            if index == state.owner:
                return self._shown(rung, rung.episodes.standing(Progress(state.sums[index], state.episode)))
        verdicts = [self._shown(r, r.episodes.standing(Progress(state.sums[i], None))) for r, i in self._detectors()]
        highest = max(verdicts, key=lambda verdict: verdict.evidence or 0.0)
        if not self._known(state):
            finest = self.levels[0]
            lately = "yet" if finest.name not in state.judged else f"for {_LATE * finest.hours} hours"
            why = f"not known: no whole {finest.name} of live rows could be judged {lately}"
            return replace(highest, state=State.UNKNOWN, summary=why)
        return highest

    def save(self, state: LadderState) -> dict[str, object]:
        """Return the state as a value that JSON can hold without loss."""
        detectors = []
        for rung, index in self._detectors():
            episode = state.episode if index == state.owner else None
            saved = rung.episodes.save(Progress(state.sums[index], episode))
            detectors.append({**saved, "forward": pack_sums(rung.detector.save(state.sums[index]))})
        return {
            "version": _VERSION,
            "detectors": detectors,
            **save_hours(state.hours),
            "open": state.open,
            "judged": dict(state.judged),
            "missed": dict(state.missed),
            "owner": state.owner,
        }

    def restore(self, saved: object) -> tuple[LadderState, str | None]:
        """Return a saved state, or a fresh one and the reason why the saved one was refused."""
        if not isinstance(saved, Mapping) or saved.get("version") != _VERSION or "detectors" not in saved:
            return self.fresh(), f"the saved blocks are not of version {_VERSION}"
        try:
            return self._restored(saved)
        except (KeyError, TypeError, ValueError, AttributeError):
            return self.fresh(), "the saved blocks are damaged"

    def _restored(self, saved: Mapping[str, Any]) -> tuple[LadderState, str | None]:
        standings: list[Standing] = []
        pairs = list(self._detectors())
        if len(saved["detectors"]) != len(pairs):
            return self.fresh(), "the saved blocks are of other levels of the week"
        for (rung, _), own in zip(pairs, saved["detectors"], strict=True):
            standing, refused = rung.episodes.restore({**own, "forward": unpack_sums(own["forward"])})
            if refused is not None:
                return self.fresh(), refused
            standings.append(standing)
        hours, owner = restore_hours(saved, self._cells), saved["owner"]
        judged, missed = (
            {str(name): int(number) for name, number in saved[field].items()} for field in ("judged", "missed")
        )
        episode = None if owner is None else standings[owner].episode
        if (owner is None) != (episode is None) or not isinstance(saved["open"], int | None):
            raise ValueError("an alert without a detector")
        sums = tuple(standing.forward for standing in standings)
        return LadderState(sums, hours, saved["open"], judged, missed, owner, episode), None

    def _detectors(self) -> Iterator[tuple[_Rung, int]]:
        for rung in self._rungs:
            yield from ((rung, rung.offset + i) for i in range(rung.bets.level.detectors))

    def _end(self, rung: _Rung, hour: int, state: LadderState) -> tuple[LadderState, Verdict | None]:
        """Judge the block that ends with an hour; None where it cannot be, or another detector has raised an alert."""
        level = rung.bets.level
        first = hour - level.hours + 1
        place, detector = level.place(first)
        index = rung.offset + detector
        if state.owner not in (None, index) or not self.usual.judged(level)[place]:
            return state, None
        if (block := self._block(level, first, place, state)) is None:
            return replace(state, missed={**state.missed, level.name: state.missed.get(level.name, 0) + 1}), None
        log_e, stakes = rung.bets.log_e(block)
        before = Progress(state.sums[index], state.episode)
        run = np.maximum(before.forward.log_run, 0) + log_e
        best = int(np.argmax(run)) if state.episode is None else state.episode.best
        summary = f"{rung.bets.describe(block, best)}; {self._name(level, first)}"
        standing, verdict = rung.episodes.update(
            before, log_e, lambda best: rung.bets.back(block, best), first * HOUR_S, summary, stakes
        )
        judged, missed = {**state.judged, level.name: hour + 1}, {**state.missed, level.name: 0}
        if verdict.state is State.RECOVERED:
            later = {other: tally for other, tally in state.hours.items() if other > hour}
            state = replace(self.fresh(), hours=later, open=state.open, judged=judged)
            return state, self._shown(rung, verdict)
        sums = (*state.sums[:index], rounded(standing.forward), *state.sums[index + 1 :])
        owner = None if standing.episode is None else index
        state = replace(state, sums=sums, judged=judged, missed=missed, owner=owner, episode=standing.episode)
        return state, self._shown(rung, verdict)

    def _block(self, level: Level, first: int, place: int, state: LadderState) -> Block | None:
        """Return the rows of a block, weighted, None where they cannot be judged."""
        hours = range(first, first + level.hours)
        tallies = [state.hours.get(hour) for hour in hours]
        rows = np.array([0 if tally is None else tally.rows for tally in tallies], dtype=np.float64)
        mass = self.usual.mass(hours)
        if mass is None:
            requests = np.array([0.0 if tally is None or not tally.rows else tally.requests for tally in tallies])
            unknown = min(_BUSY * float((rows == 0).mean()), 1.0)
            mass = requests / max(requests.sum(), 1.0) * (1 - unknown)
        weights, short = weigh(rows, mass)
        if short > MAX_SHORT:
            return None
        counts = np.zeros(self._cells)
        for weight, tally in zip(weights.tolist(), tallies, strict=True):
            if tally is not None and weight:
                counts += weight * tally.counts
        return Block(place, float(weights @ rows), counts, short)

    def _shown(self, rung: _Rung, verdict: Verdict) -> Verdict:
        """Return a verdict whose evidence is measured against the threshold of the monitor, which all levels share."""
        shift = self.threshold - rung.detector.threshold
        evidence = max((verdict.evidence or 0.0) + shift, 0.0)
        state = verdict.state
        if state in (State.STEADY, State.SUSPECT):
            state = grade(evidence, self.threshold)
        since = verdict.since if state is not State.STEADY else None
        return replace(verdict, state=state, evidence=evidence, threshold=self.threshold, since=since)

    def _loudest(self, first: Verdict | None, second: Verdict | None) -> Verdict | None:
        """Return the last verdict of a block that alerts or recovers, else the one with more evidence."""
        if first is None or second is None:
            return first or second
        if first.state in _LOUD or second.state in _LOUD:
            return second if second.state in _LOUD else first
        return max(first, second, key=lambda verdict: verdict.evidence or 0.0)

    def _known(self, state: LadderState) -> bool:
        return state.open is not None and any(
            level.name in state.judged and state.open - state.judged[level.name] <= _LATE * level.hours
            for level in self.levels
        )

    def _unjudged(self, state: LadderState) -> str:
        """Name the levels without a block that could be judged for long."""
        late = [level.name for level in self.levels if state.missed.get(level.name, 0) >= _LATE * level.detectors]
        return f"; no whole {' or '.join(late)} could be judged, for hours without rows" if late else ""

    def _name(self, level: Level, first: int) -> str:
        if level is WEEK:
            return f"the week from {name_hour(first)}"
        return f"the {level.name} from {name_hour(first)}"
