"""Budgets of energy over the replays of an agent, by a fake clock: what is charged, and whether there is room."""

from __future__ import annotations

import math
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldwatch.commands.foresight import of_energy
from goldwatch.config import load
from goldwatch.energy.attribution import Energy, Interval
from goldwatch.ledger.ledger import Ledger
from goldwatch.pipeline.in_force import Assignment, GoldenFacts, assignments
from goldwatch.pipeline.pipeline import Asked
from goldwatch.service.energy_budget import Admitted, EnergyBudgets, NoRoom
from goldwatch.testing.clock import FakeClock

from tests.builders import energy, judgement

DIGITS = Path(__file__).parents[2] / "agent/goldwatch/demo/digits"
FACTS = GoldenFacts("somewhere", "digits", "sha256:00", "00", "classification", 90, True, (), ())
REPLAY = Asked(100)  # 90 examples, and 10 requests to warm up
CONFIG = """\
targets:
  one: {{probe: onnx-runtime, file: {digits}/digits.onnx{target}}}
  two: {{probe: onnx-runtime, file: {digits}/digits.onnx}}
golden: {{digits: {digits}/golden}}
watches:
  a: {{every: 5m, targets: [one, two]{watch}}}
  b: {{every: 5m, targets: [one]}}
energy: {{every: 1h}}
"""


def assigned(folder: Path, target: str = "", watch: str = "") -> dict[tuple[str, str], Assignment]:
    target = f", energy_at_most: {target}" if target else ""
    watch = f", load: {{energy_at_most: {watch}}}" if watch else ""
    (folder / "goldwatch.yaml").write_text(CONFIG.format(digits=DIGITS, target=target, watch=watch))
    return {a.key: a for a in assignments(load(folder / "goldwatch.yaml"), {"digits": FACTS})}


def found(each_j: float, inferences: int = 1000) -> Energy:
    """A measurement of which the upper end of the net joules of an inference is `each_j`."""
    net = Interval(each_j * inferences / 2, 0.0, each_j * inferences)
    return energy(net_j=net, inferences=inferences)


class Agent:
    """One that does nothing but ask its budgets; `restart` forgets all that is not in the ledger."""

    def __init__(self, folder: Path) -> None:
        self.path, self.clock = folder / "goldwatch.db", FakeClock(1.8e9)
        self.ledger = Ledger(self.path)
        self.budgets = EnergyBudgets(self.ledger, self.clock.time)

    def __enter__(self) -> Agent:
        return self

    def __exit__(self, *_: object) -> None:
        self.ledger.close()

    def restart(self) -> None:
        self.ledger.close()
        self.ledger = Ledger(self.path)
        self.budgets = EnergyBudgets(self.ledger, self.clock.time)

    def replay(self, assignment: Assignment, metered: Energy | None = None, **how: bool) -> Admitted | NoRoom:
        """Replay in one second if there is room, and measure energy in so many inferences as `metered` has."""
        admitted = self.budgets.admit(assignment, metered=metered is not None, **how)
        if isinstance(admitted, Admitted):
            self.clock.advance(1.0)
            found = metered if admitted.metered else None
            asked = Asked(REPLAY.replaying, found.inferences if found is not None else 0)
            self.charged = self.budgets.settle(assignment, admitted, asked, found)
        return admitted

    def taken_j(self, target: str = "one") -> float:
        return math.fsum(c.joules or 0.0 for c in self.ledger.charges(0.0, target=target))


def test_without_a_budget_nothing_is_written(tmp_path: Path) -> None:
    with Agent(tmp_path) as agent:
        assert agent.replay(assigned(tmp_path)["a", "two"], found(1.0)) == Admitted({})
        assert agent.charged is None
        assert agent.taken_j("two") == 0.0


def test_what_was_taken_before_the_first_measurement_is_charged_after_it(tmp_path: Path) -> None:
    watched = assigned(tmp_path, "20 kJ per hour")["a", "one"]
    with Agent(tmp_path) as agent:
        for _ in range(3):
            agent.replay(watched)
            assert agent.charged is not None
            assert (agent.charged.joules, agent.charged.taken_j) == (None, 0.0)
            assert agent.charged.not_kept == (
                "`energy_at_most` of target one (20 kJ per hour) is not kept yet: "
                "no measurement of energy has told what a request takes"
            )
        agent.replay(watched, found(1.0))
        assert agent.charged is not None
        assert (agent.charged.joules, agent.charged.taken_j) == (1100.0, 1400.0)
        assert agent.charged.not_kept == ""


def test_a_replay_without_room_is_told_when_there_is(tmp_path: Path) -> None:
    watched = assigned(tmp_path, "1.45 kJ per hour")["a", "one"]
    with Agent(tmp_path) as agent:
        agent.replay(watched, found(1.0))  # 1,100 J by 1 s
        waits = []
        for _ in range(3):
            full = agent.budgets.admit(watched)
            assert isinstance(full, NoRoom)
            waits.append(round(full.wait_s))
            agent.clock.advance(full.wait_s)
            assert isinstance(agent.replay(watched), Admitted)
        # The measurement leaves 450 J: three replays of 100 J to 800 s each, and then it is the window that is full.
        assert waits == [800, 800, 800]
        full = agent.budgets.admit(watched)
        assert isinstance(full, NoRoom)
        assert full.why == (
            "`energy_at_most` of target one (1450 J per hour) has no room: a replay takes up to 100 J, and 1,400 J "
            "are taken; room in 19m57s"
        )


def test_a_budget_that_is_too_small_says_so_and_by_how_much(tmp_path: Path) -> None:
    watched = assigned(tmp_path, watch="250 J per hour")["a", "one"]
    with Agent(tmp_path) as agent:
        agent.replay(watched)
        agent.replay(watched, found(1.0, inferences=10))
        full = agent.budgets.admit(watched)
        assert isinstance(full, NoRoom)
        assert full.why.startswith("`energy_at_most` of watch a (250 J per hour) has no room: ")
        assert full.why.endswith("; all replays, every 5m, would take 1200 J per hour")
        assert full.charged.taken_j == 210.0
        agent.clock.advance(7200)
        agent.replay(watched, found(2.6, inferences=10))
        agent.clock.advance(7200)
        full = agent.budgets.admit(watched)
        assert isinstance(full, NoRoom)
        assert full.wait_s == math.inf
        assert full.why.endswith(
            "a replay takes up to 260 J, which is more than all of it; raise it, or replay fewer examples"
        )


def test_a_measurement_without_room_is_left_out_and_the_replay_is_not(tmp_path: Path) -> None:
    watched = assigned(tmp_path, "1.3 kJ per hour")["a", "one"]
    with Agent(tmp_path) as agent:
        agent.replay(watched, found(1.0))
        agent.clock.advance(3000)
        admitted = agent.replay(watched, found(1.0))
        assert isinstance(admitted, Admitted)
        assert not admitted.metered
        assert admitted.unmeasured == (
            "`energy_at_most` of target one (1300 J per hour) has no room for the 1,000 J of a measurement"
        )
        assert agent.taken_j() == 1200.0
        agent.clock.advance(1300)
        again = agent.replay(watched, found(1.0))
        assert isinstance(again, Admitted)
        assert again.metered


def test_replays_leave_room_for_the_next_measurement(tmp_path: Path) -> None:
    """All that is due is more than the budget: a price that nobody measures anew would be that of an older model."""
    watched = assigned(tmp_path, "1.5 kJ per hour")["a", "one"]
    with Agent(tmp_path) as agent:
        agent.replay(watched, found(1.0))
        replays, measured_at = 0, [agent.clock.time()]
        for _ in range(12 * 12):  # twelve hours, in which energy is due to be measured every two
            agent.clock.advance(299)
            due = agent.clock.time() - measured_at[-1] >= 7200
            admitted = agent.replay(watched, found(1.0) if due else None)
            if isinstance(admitted, Admitted):
                replays += 1
                measured_at += [agent.clock.time()] if due and admitted.metered else []
        assert len(measured_at) == 6
        assert replays >= 40


def test_what_is_held_for_a_measurement_is_told(tmp_path: Path) -> None:
    watched = assigned(tmp_path, "1.15 kJ per hour")["a", "one"]
    with Agent(tmp_path) as agent:
        agent.replay(watched, found(1.0))
        agent.clock.advance(3601)
        assert isinstance(agent.replay(watched), Admitted)  # another watch has the machine: energy is not measured
        agent.clock.advance(3000)
        full = agent.budgets.admit(watched)
        assert isinstance(full, NoRoom)
        assert "a replay takes up to 100 J, and 100 J are taken, 1,000 J held for a measurement; room in " in full.why


def test_a_measurement_without_a_figure_is_charged_by_the_one_before(tmp_path: Path) -> None:
    watched = assigned(tmp_path, "100 kJ per hour")["a", "one"]
    with Agent(tmp_path) as agent:
        agent.replay(watched, found(2.0))
        agent.clock.advance(60)
        admitted = agent.budgets.admit(watched, metered=True)
        assert isinstance(admitted, Admitted)
        charged = agent.budgets.settle(watched, admitted, Asked(100, 3000), None)
        assert charged is not None
        assert charged.joules == 6200.0


def test_a_measurement_that_was_cut_off_is_not_what_the_next_one_will_take(tmp_path: Path) -> None:
    watched = assigned(tmp_path, "3 kJ per hour")["a", "one"]
    with Agent(tmp_path) as agent:
        agent.replay(watched, found(1.5))
        agent.clock.advance(3700)
        admitted = agent.budgets.admit(watched, metered=True)
        assert isinstance(admitted, Admitted)
        agent.budgets.settle(watched, admitted, Asked(100, 20), None)
        agent.clock.advance(1000)
        again = agent.replay(watched, found(1.5))
        assert isinstance(again, Admitted)
        assert again.metered
        agent.clock.advance(1000)
        admitted = agent.replay(watched, found(1.5))
        assert not (isinstance(admitted, Admitted) and admitted.metered)
        assert agent.taken_j() - 1650.0 <= 3000.0


def test_a_measurement_that_never_has_room_says_so(tmp_path: Path) -> None:
    watched = assigned(tmp_path, "1.05 kJ per hour")["a", "one"]
    with Agent(tmp_path) as agent:
        agent.replay(watched, found(1.0))
        agent.clock.advance(7200)
        admitted = agent.replay(watched, found(1.0))
        assert isinstance(admitted, Admitted)
        assert (admitted.metered, admitted.wait_s) == (False, math.inf)
        assert admitted.unmeasured.endswith(
            "1,000 J of a measurement, which is with a replay more than all of it; raise it"
        )


def test_the_budget_of_a_target_holds_over_watches_and_that_of_a_watch_over_targets(tmp_path: Path) -> None:
    by_target = assigned(tmp_path, "150 J per hour")
    with Agent(tmp_path) as agent:
        agent.replay(by_target["a", "one"], found(1.0, inferences=1))
        agent.replay(by_target["b", "one"], found(1.0, inferences=1))  # its first: what it takes is not known
        assert agent.taken_j() == 202.0
        assert isinstance(agent.budgets.admit(by_target["b", "one"]), NoRoom)
        assert isinstance(agent.budgets.admit(by_target["a", "two"]), Admitted)
    (tmp_path / "goldwatch.db").unlink()
    by_watch = assigned(tmp_path, watch="150 J per hour")
    with Agent(tmp_path) as agent:
        agent.replay(by_watch["a", "one"], found(1.0, inferences=1))
        agent.replay(by_watch["a", "two"], found(1.0, inferences=1))
        assert isinstance(agent.budgets.admit(by_watch["a", "two"]), NoRoom)
        assert isinstance(agent.budgets.admit(by_watch["b", "one"]), Admitted)


def test_replays_are_spread_but_one_that_confirms_another_is_not(tmp_path: Path) -> None:
    watched = assigned(tmp_path, "1 kJ per hour")["a", "one"]
    with Agent(tmp_path) as agent:
        agent.replay(watched, found(1.0, inferences=200))
        full = agent.budgets.admit(watched)
        assert isinstance(full, NoRoom)
        assert full.wait_s == pytest.approx(3600 * 100 / 800)
        assert full.why == (
            "`energy_at_most` of target one (1 kJ per hour) is spread over the time, and the replay before has not had "
            "its share of it: a replay takes up to 100 J, and 300 J are taken; room in 7m30s; all replays, every 5m, "
            "would take 1200 J per hour"
        )
        assert isinstance(agent.replay(watched, confirming=True), Admitted)


def test_what_is_not_replayed_takes_nothing(tmp_path: Path) -> None:
    watched = assigned(tmp_path, "1 kJ per hour")["a", "one"]
    with Agent(tmp_path) as agent:
        agent.replay(watched, found(1.0, inferences=200))
        agent.clock.advance(1000)
        admitted = agent.budgets.admit(watched)
        assert isinstance(admitted, Admitted)
        assert agent.taken_j() == 400.0
        agent.budgets.settle(watched, admitted, Asked(), None)  # it stepped back, or the target was not there
        assert agent.taken_j() == 300.0


def test_an_agent_that_is_killed_has_charged_what_it_had_begun(tmp_path: Path) -> None:
    watched = assigned(tmp_path, "400 J per hour")["a", "one"]
    with Agent(tmp_path) as agent:
        agent.replay(watched, found(1.0, inferences=10))
        begun = 0
        for _ in range(20):  # each time it is killed in the middle of a replay
            agent.clock.advance(100)
            begun += isinstance(agent.budgets.admit(watched, confirming=True), Admitted)
            agent.restart()
        assert begun == 2
        assert agent.taken_j() == 310.0


_KEYS = (("a", "one"), ("a", "two"), ("b", "one"))
_Steps = st.lists(
    st.tuples(
        st.sampled_from(_KEYS), st.floats(0, 900), st.booleans(), st.sampled_from(["ends", "restarts", "is killed"])
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=30, deadline=None)  # each of them writes to a disk
@given(_Steps, st.fixed_dictionaries({key: st.floats(0.1, 3) for key in _KEYS}))
def test_no_hour_has_more_than_the_budget_whenever_the_agent_ends(
    steps: list[tuple[tuple[str, str], float, bool, str]], each_j: dict[tuple[str, str], float]
) -> None:
    """A replay takes 100 times, a measurement 50 times what an example does, which one measurement of each has told."""
    with TemporaryDirectory() as folder, Agent(Path(folder)) as agent:
        watched = assigned(Path(folder), "700 J per hour", "500 J per hour")
        for key in _KEYS:
            agent.replay(watched[key], found(each_j[key], 50))
            agent.clock.advance(7200)
        began_at = agent.clock.time()
        for key, later_s, metered, then in steps:
            agent.clock.advance(later_s)
            if then == "is killed":  # in the middle of it
                agent.budgets.admit(watched[key], metered=metered)
            else:
                agent.replay(watched[key], found(each_j[key], 50) if metered else None)
            if then != "ends":
                agent.restart()
        for about, most_j in (({"target": "one"}, 700.0), ({"watch": "a"}, 500.0)):
            charges = [(c.ended_at, c.joules or 0.0) for c in agent.ledger.charges(began_at, **about)]
            worst_j = [math.fsum(j for at, j in charges if end - 3600 < at <= end) for end, _ in charges]
            assert max(worst_j, default=0.0) <= most_j * (1 + 1e-9)


def test_check_warns_of_a_budget_that_is_too_small_or_cannot_be_kept(tmp_path: Path) -> None:
    watched = assigned(tmp_path, "1.5 kJ per hour", "10 kJ per hour")
    measured = judgement(energy=found(1.0))
    pairs = [(watched["a", "one"], measured), (watched["b", "one"], judgement(energy_missing="rapl: there is none"))]
    assert list(of_energy(pairs)) == [
        "targets.one.energy_at_most: could not be kept, for the energy of watch b is not known: rapl: there is none",
        (
            "targets.one.energy_at_most: 1500 J per hour is less than what is due takes, some 2200 J per hour: "
            "a replay of a takes 100 J, every 5m, and a measurement of its energy 1,000 J at least, every 1h. "
            "Replays would be skipped: replay less often, or raise it"
        ),
    ]
    assert list(of_energy([(watched["a", "two"], measured)])) == []
