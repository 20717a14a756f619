"""Do no harm: the budgets of energy, and whether they have room for the next replay.

What a replay takes is known only from the last measurement of energy: so many examples, times the net joules of one.
It is charged before it begins, in the ledger, so that an agent that is killed forgets nothing; and put right when it
has ended. As long as no measurement has told, replays go on, and what they took is charged once one has.
"""

from __future__ import annotations

import dataclasses
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from goldwatch.config import format_duration, format_energy_budget
from goldwatch.energy.allowance import Allowance, Charge, in_words
from goldwatch.energy.attribution import Energy
from goldwatch.judgement import EnergyCharged
from goldwatch.ledger.ledger import Ledger
from goldwatch.pipeline.in_force import Assignment
from goldwatch.pipeline.pipeline import Asked, pairs_of, plan_of
from goldwatch.schedule import mean_interval_s


@dataclass(frozen=True, slots=True)
class NoRoom:
    """There is no room for a replay before `wait_s` have passed, or never (infinity); `why` says it in words."""

    wait_s: float
    why: str
    charged: EnergyCharged


@dataclass(frozen=True, slots=True)
class Admitted:
    """There is room for a replay; `charges` are written for it, by number.

    `unmeasured` says why energy has none; it has in `wait_s` seconds, or never (infinity).
    """

    charges: dict[int, Charge]
    unmeasured: str = ""
    wait_s: float = 0.0

    @property
    def metered(self) -> bool:
        """Whether there is room for the measurement too."""
        return not self.unmeasured


@dataclass(frozen=True, slots=True)
class _Budget:
    """A budget, in words, with what was charged to it."""

    words: str
    allowance: Allowance
    charges: list[Charge]

    def held_j(self, joules: float, measured: Charge | None, now: float) -> float:
        """Return what a replay leaves to the next measurement, if both have room together.

        Replays, which are many and small, would else take all room as it comes, and the price of an example grow old.
        """
        if measured is None or measured.joules is None or joules + measured.joules > self.allowance.joules:
            return 0.0
        key = (measured.watch, measured.target)
        counted = self.allowance.counted(self.charges, now)
        return max(measured.joules - _sum_j(c for c in counted if c.measuring and (c.watch, c.target) == key), 0.0)

    def room_at(self, replay: Charge, held_j: float, now: float, *, spread: bool) -> float:
        """Return when a replay may begin, and leave so much: also, if `spread`, away from the one before it."""
        at = self.allowance.room_at(self.charges, (replay.joules or 0.0) + held_j, now)
        counted = self.allowance.counted(self.charges, now)
        key = (replay.watch, replay.target)
        own = [c for c in counted if (c.watch, c.target) == key and not c.measuring]
        if spread and own:
            measured_j = _sum_j(c for c in counted if c.measuring) + held_j
            at = max(at, own[-1].ended_at + self.allowance.spread_s(own[-1].joules or 0.0, measured_j))
        return at


class EnergyBudgets:
    """The budgets of all watches and targets of an agent, kept in its ledger. Thread-safe."""

    def __init__(self, ledger: Ledger, wall: Callable[[], float] | None = None) -> None:
        """Keep them; `wall` returns Unix time in seconds. What an agent before had begun has ended with it."""
        self._ledger = ledger
        self._wall = wall or time.time
        ledger.end_charges(self._wall())
        self._lock = threading.Lock()

    def admit(
        self, assignment: Assignment, *, metered: bool = False, referee: bool = True, confirming: bool = False
    ) -> Admitted | NoRoom:
        """Charge a replay that may begin, and the measurement of energy after it, if both have room.

        Replays of a watch on a target are spread over the time of a budget, except one that is `confirming` another.
        """
        with self._lock:
            now = self._wall()
            budgets = list(self._budgets(assignment, now))
            if not budgets:
                return Admitted({})
            measured = self._ledger.measured_charge(*assignment.key, assignment.golden.digest)
            each_j = _each_j(measured)
            plan = dataclasses.replace(plan_of(assignment), pairs=pairs_of(assignment) if referee else 0)
            replay = _charge(assignment, plan.asked(len(plan.examples)), each_j, now)
            wanted_j = replay.joules or 0.0
            room = []
            for b in budgets:
                held_j = 0.0 if confirming else b.held_j(wanted_j, measured, now)
                room.append((b.room_at(replay, held_j, now, spread=not confirming), held_j, b))
            at, held_j, tightest = max(room, key=lambda found: found[0])
            if at > now:
                why = _why(assignment, tightest, (wanted_j, held_j), at, now)
                return NoRoom(at - now, why, _state(budgets, 0.0, now))
            charges, unmeasured, wait_s = [replay], "", 0.0
            if metered:
                measurement = _charge(assignment, measured.examples if measured else 0, each_j, now, measuring=True)
                both_j = wanted_j + (measurement.joules or 0.0)
                at, full = max(((b.allowance.room_at(b.charges, both_j, now), b) for b in budgets), key=lambda b: b[0])
                wait_s = at - now
                if not wait_s:
                    charges.append(measurement)
                else:
                    unmeasured = _why_unmeasured(full, both_j - wanted_j, wait_s)
            return Admitted(dict(zip(self._ledger.charge(charges), charges, strict=True)), unmeasured, wait_s)

    def settle(
        self, assignment: Assignment, admitted: Admitted, asked: Asked, energy: Energy | None
    ) -> EnergyCharged | None:
        """Put in the place of what was expected what a replay came to; None where there is no budget.

        The price of an example is the upper end of the interval of its net energy: a budget is a promise.
        """
        if not admitted.charges:
            return None
        with self._lock:
            now = self._wall()
            each_j = _each_j(self._ledger.measured_charge(*assignment.key, assignment.golden.digest))
            if energy is not None:
                each_j = max(energy.net_per_inference_j.high, 0.0)
            settled = {}
            for number, before in admitted.charges.items():
                examples = asked.measuring if before.measuring else asked.replaying
                joules = None if each_j is None else examples * each_j
                priced = before.measuring and energy is not None
                settled[number] = dataclasses.replace(
                    before, ended_at=now, examples=examples, joules=joules, priced=priced
                )
            self._ledger.settle_charges(settled, each_j)
            total_j = None if each_j is None else each_j * (asked.replaying + asked.measuring)
            return _state(list(self._budgets(assignment, now)), total_j, now)

    def _budgets(self, assignment: Assignment, now: float) -> Iterator[_Budget]:
        names = {"target": assignment.target.name, "watch": assignment.watch.name}
        for of, most in assignment.energy_budgets.items():
            words = f"`energy_at_most` of {of} {names[of]} ({format_energy_budget(most)})"
            yield _Budget(words, most, self._ledger.charges(now - most.per_s, **{of: names[of]}))


def _each_j(measured: Charge | None) -> float | None:
    return None if measured is None or measured.joules is None else measured.joules / measured.examples


def _charge(
    assignment: Assignment, examples: int, each_j: float | None, now: float, *, measuring: bool = False
) -> Charge:
    """Return what is expected. When it will end is not known: it counts as if it took all the time that it may.

    A measurement follows its replay.
    """
    ends_at = now + assignment.watch.deadline_s * (2 if measuring else 1)
    joules = None if each_j is None else examples * each_j
    return Charge(*assignment.key, assignment.golden.digest, measuring, ends_at, examples, joules)


def _sum_j(charges: Iterable[Charge]) -> float:
    return math.fsum(charge.joules or 0.0 for charge in charges)


def _why_unmeasured(budget: _Budget, joules: float, wait_s: float) -> str:
    told = f"{budget.words} has no room for the {in_words(joules)} of a measurement"
    return told if wait_s < math.inf else f"{told}, which is with a replay more than all of it; raise it"


def _why(assignment: Assignment, budget: _Budget, wanted_j: tuple[float, float], at: float, now: float) -> str:
    """Say why there is no room for a replay, and what is held for a measurement, until `at`."""
    joules, held_j = wanted_j
    most, every_s = budget.allowance, mean_interval_s(assignment.watch.every)
    needed_j = joules * most.per_s / every_s
    told = f"a replay takes up to {in_words(joules)}"
    if at == math.inf:
        return f"{budget.words} has no room: {told}, which is more than all of it; raise it, or replay fewer examples"
    told += f", and {in_words(most.taken_j(budget.charges, now))} are taken"
    told += f", {in_words(held_j)} held for a measurement" if held_j else ""
    full = most.room_at(budget.charges, joules + held_j, now) > now
    how = "has no room" if full else "is spread over the time, and the replay before has not had its share of it"
    told = f"{budget.words} {how}: {told}; room in {format_duration(math.ceil(at - now))}"
    if needed_j > most.joules:
        often = format_energy_budget(dataclasses.replace(most, joules=float(f"{needed_j:.3g}")))
        told += f"; all replays, every {format_duration(round(every_s, 3))}, would take {often}"
    return told


def _state(budgets: list[_Budget], joules: float | None, now: float) -> EnergyCharged:
    """Say how full the fuller budget is."""
    taken = [(budget.allowance.taken_j(budget.charges, now), budget) for budget in budgets]
    taken_j, fuller = max(taken, key=lambda found: found[0] / found[1].allowance.joules)
    return EnergyCharged(joules, taken_j, fuller.allowance.joules, fuller.words)
