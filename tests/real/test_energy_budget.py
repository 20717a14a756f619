"""A budget of energy from the meter to a replay that is skipped: a real model, and a processor made of files."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from goldwatch.config import format_energy_budget
from goldwatch.energy.allowance import Allowance
from goldwatch.judgement import Judgement, State, Validity
from goldwatch.ledger.ledger import Ledger
from goldwatch.pipeline import metering, pipeline
from goldwatch.pipeline.in_force import InForce, prepare
from goldwatch.replay.workers import Workers
from goldwatch.service import energy_budget
from goldwatch.service.exports import Exports
from goldwatch.service.runner import Runner
from goldwatch.testing.clock import FakeClock
from goldwatch.web.status import Status

from tests.powercap import Processor, steady

pytestmark = pytest.mark.real

DIGITS = Path(__file__).parents[2] / "agent/goldwatch/demo/digits"
CONFIG = """\
targets:
  digits: {{probe: onnx-runtime, file: {digits}/digits.onnx, threads: 1, energy_at_most: {budget}}}
golden: {{digits: {digits}/golden}}
watches: {{digits: {{every: 10m, jitter: 0s, load: {{time_limit: 1m}}}}}}
energy: {{windows: 3, meters: {{package: {{kind: rapl, exclusive: true}}}}}}
"""
IDLE_W, LOADED_W = 50.0, 5000.0
EVERY_S = 600.0


@pytest.fixture
def processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Processor]:
    """One that draws more under the load of a measurement, as real ones do."""
    run = metering._Job.run

    def loaded(job: Any, examples: Any) -> Any:
        found.watts = LOADED_W
        try:
            return run(job, examples)
        finally:
            found.watts = IDLE_W

    monkeypatch.setattr(metering._Job, "run", loaded)
    with steady(tmp_path, IDLE_W, monkeypatch) as found:
        yield found


@pytest.fixture
def workers() -> Iterator[Workers]:
    pool = Workers()
    yield pool
    pool.close()


class Agent:
    """What is left of an agent without its schedule: it replays when it is told to, at the time of a fake clock."""

    def __init__(self, folder: Path, workers: Workers, clock: FakeClock) -> None:
        self.folder, self.workers, self.clock = folder, workers, clock
        self.exports = Exports()
        self.seen: list[Judgement] = []

    def config(self, budget: Allowance) -> InForce:
        file = self.folder / "goldwatch.yaml"
        file.write_text(CONFIG.format(digits=DIGITS, budget=format_energy_budget(budget)))
        return prepare(file, self.workers)

    def start(self, ledger: Ledger) -> Runner:
        stop = threading.Event()
        return Runner(self.workers, ledger, self.exports, stop, lambda _, judgement, __: self.seen.append(judgement))

    @property
    def last(self) -> Judgement:
        """The last judgement; the ledger has them by a clock that is not that of the engine."""
        return self.seen[-1]

    def tick(self, runner: Runner, in_force: InForce, *, alone: bool = False) -> float | None:
        (assignment,) = in_force.assignments
        return runner.tick(assignment, in_force.config, self.clock.time(), alone=alone)

    def reasons(self, in_force: InForce) -> list[str]:
        """Return what the status page says of the watch."""
        told = Status(self.folder / "goldwatch.db", lambda: in_force, self.clock.time)
        try:
            (found,) = told.watches()["watches"]
            return list(found["reasons"])
        finally:
            told.close()


def test_replays_wait_are_skipped_and_go_on_as_the_budget_has_room(
    tmp_path: Path, processor: Processor, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock(time.time())
    monkeypatch.setattr(energy_budget, "time", clock)
    monkeypatch.setattr(pipeline, "time", clock)
    agent = Agent(tmp_path, workers, clock)
    measuring_j, replay_j = measured(agent)

    # The agent is started anew. Beside the measurement its budget has room for 4.2 replays an hour, and 6 are due.
    in_force = agent.config(Allowance(float(f"{measuring_j + 4.2 * replay_j:.2f}"), 3600.0))
    with Ledger(tmp_path / "goldwatch.db") as ledger:
        runner = agent.start(ledger)
        clock.advance(EVERY_S)
        later_s = agent.tick(runner, in_force)
        assert later_s is not None
        assert later_s == pytest.approx(3600 / 4.2 - EVERY_S, abs=1)  # it waits until the one before has had its time
        clock.advance(later_s)
        assert agent.tick(runner, in_force) is None
        assert agent.last.validity is Validity.VALID, agent.last.reasons

        clock.advance(EVERY_S - later_s)
        assert agent.tick(runner, in_force) is None  # it would wait for more than half of its interval
        skipped = agent.last
        assert (skipped.validity, skipped.skipped, skipped.outcomes) == (Validity.INVALID, "energy", {})
        (why,) = skipped.reasons
        assert why.startswith("skipped, `energy_at_most` of target digits (")
        assert (
            ") is spread over the time, and the replay before has not had its share of it: a replay takes up to " in why
        )
        assert all(v.state is State.UNKNOWN for v in skipped.verdicts)
        page = agent.exports.page.render()[0].decode()
        assert 'goldwatch_replays_skipped_total{watch="digits",target="digits",reason="energy"} 1' in page
        assert agent.reasons(in_force) == [why]

    with Ledger(tmp_path / "goldwatch.db") as ledger:  # a restart forgets nothing
        runner = agent.start(ledger)
        assert agent.tick(runner, in_force) is None
        assert agent.last.skipped == "energy"
        clock.advance(EVERY_S)
        assert agent.tick(runner, in_force) is None
        assert agent.last.validity is Validity.VALID, agent.last.reasons
        assert ledger.open_alert("digits", "digits") is None

        # With a budget that never has room the watch is silent after three intervals, and says why.
        in_force = agent.config(Allowance(float(f"{0.5 * replay_j:.2f}"), 3600.0))
        for _ in range(4):
            clock.advance(EVERY_S)
            assert agent.tick(runner, in_force) is None
            assert agent.last.skipped == "energy"
        alert = ledger.open_alert("digits", "digits")
        assert alert is not None
        assert (alert.monitors, alert.severity) == (("silent",), "ticket")
        assert "which is more than all of it; raise it, or replay fewer examples" in " ".join(alert.text.split())


def measured(agent: Agent) -> tuple[float, float]:
    """Replay without and with a measurement of energy; return the joules of a measurement, and of a replay."""
    ample = agent.config(Allowance(3.6e9, 3600.0))
    with Ledger(agent.folder / "goldwatch.db") as ledger:
        runner = agent.start(ledger)
        assert agent.tick(runner, ample) is None  # energy is not measured: it does not have the machine for itself
        charged = agent.last.energy_charged
        assert charged is not None
        assert charged.not_kept.endswith(" is not kept yet: no measurement of energy has told what a request takes")
        assert agent.reasons(ample) == [charged.not_kept]

        agent.clock.advance(EVERY_S)
        assert agent.tick(runner, ample, alone=True) is None
        found, charged = agent.last.energy, agent.last.energy_charged
        assert found is not None, agent.last.energy_missing
        assert charged is not None
        assert charged.joules is not None
        replay_j = 610 * found.net_per_inference_j.high  # of the set, and 10 requests to warm up
        measuring_j = charged.joules - replay_j
        assert measuring_j >= 0.999 * found.net_j.high
        assert charged.taken_j == pytest.approx(measuring_j + 2 * replay_j)  # that of the replay before it, too
    return measuring_j, replay_j
