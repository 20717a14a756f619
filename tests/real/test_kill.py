"""Kill -9 of the agent in the middle of a replay, 12 times: no evidence is lost."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from goldwatch.config import load
from goldwatch.core.budget import Budget
from goldwatch.daemon.schedule import mean_interval_s
from goldwatch.golden.opened import GoldenSet
from goldwatch.worker.monitors.changed import Changed, Moves
from goldwatch.worker.monitors.contract import Monitor
from goldwatch.worker.monitors.failing import Failing
from goldwatch.worker.monitors.share import Requests
from goldwatch.worker.monitors.worse import Answers, Worse

from .agent import DIGITS, GOLDEN, Agent, config, until

pytestmark = pytest.mark.real

KILLS = 12
MODEL = DIGITS / "digits-quantised.onnx"
# It loses 16.7 points. At 15 the evidence grows by less than 0.1 a replay, and every replay counts.
CONFIG = config(
    {"digits": {"probe": "onnx-runtime", "file": str(MODEL), "threads": 1}},
    {
        "digits": {
            "every": "1s",
            "jitter": "0s",
            "deadline": "60s",
            "load": {"warmup": 10000, "time_limit": "30s"},  # a replay takes half of the interval
            "objectives": {"accuracy": "no worse than 15 points"},
        }
    },
    log={"level": "error"},
)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    agent = Agent(tmp_path)
    agent.write(CONFIG)
    yield agent
    agent.clean_up()


class Recomputed:
    """The expected states and verdicts of the monitors, from nothing but the times of the recorded replays.

    The model is deterministic: each valid replay observes the same.
    """

    def __init__(self, config_file: Path) -> None:
        (watch,) = load(config_file).watches.values()
        budget = Budget(1.0, {"worse": 1.0, "failing": 1.0})
        alphas = {m: budget.alpha(m, mean_interval_s(watch.every)) for m in ("worse", "failing")}
        golden = GoldenSet.open(GOLDEN)
        reference = golden.manifest.reference
        loss = watch.objectives.accuracy_loss
        worse = Worse(golden.tensor("reference.right"), reference.replays, loss, alphas["worse"])
        self.monitors: list[tuple[Monitor[Any, Any], Any]] = [
            (worse, _answers(golden)),
            (Changed(golden.examples, loss), _moves(golden)),
            (Failing(watch.objectives.error_rate, alphas["failing"]), Requests(0, golden.examples)),
        ]

    def after(self, times: list[float]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Return the verdicts of each replay by monitor, and the states after the last."""
        states = {monitor.name: monitor.fresh() for monitor, _ in self.monitors}
        told = []
        for at in times:
            verdicts = {}
            for monitor, observation in self.monitors:
                states[monitor.name], verdicts[monitor.name] = monitor.update(observation, states[monitor.name], at)
            told.append(verdicts)
        return told, {monitor.name: monitor.save(states[monitor.name]) for monitor, _ in self.monitors}


def _outputs(golden: GoldenSet) -> np.ndarray:
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(MODEL, settings)
    return np.concatenate(
        [session.run(None, {"image": image[np.newaxis]})[0] for image in golden.tensor("inputs.image")]
    )


def _answers(golden: GoldenSet) -> Answers:
    right = _outputs(golden).argmax(axis=1) == golden.tensor("labels")
    return Answers(right, np.ones(golden.examples, dtype=np.bool_))


def _moves(golden: GoldenSet) -> Moves:
    now, then, labels = _outputs(golden), golden.tensor("outputs.probabilities"), golden.tensor("labels")
    moved = (np.abs(now - then) > golden.manifest.outputs["probabilities"].tolerance).any(axis=1)
    was, right = then.argmax(axis=1) == labels, now.argmax(axis=1) == labels
    return Moves(int(moved.sum()), golden.examples, int((was & ~right).sum()), int((right & ~was).sum()))


class Executioner:
    """Kills an agent at a moment of its own choosing; counts the kills during a replay."""

    def __init__(self, agent: Agent) -> None:
        self.in_flight = 0
        self._agent = agent
        self._random = random.Random(20261123)
        moments = (self._at_start, self._in_replay, self._after_replay, self._while_judging)
        self._moments = self._random.sample(moments, k=KILLS, counts=(1, 5, 3, 3))

    def strike(self) -> None:
        """Start the agent, wait for the moment, kill it."""
        self._agent.start()
        self._moments.pop()()
        self.in_flight += len(self._agent.children()) > 1
        self._agent.kill()

    def _at_start(self) -> None:
        self._sleep(0.8)

    def _in_replay(self) -> None:
        self._until_workers(2)
        self._sleep(0.3)

    def _after_replay(self) -> None:
        seen = len(self._agent.rows("SELECT id FROM replays"))
        self._agent.until(lambda: len(self._agent.rows("SELECT id FROM replays")) > seen, "a replay is recorded")
        self._sleep(1.0)

    def _while_judging(self) -> None:
        self._until_workers(2)
        self._until_workers(1)
        self._sleep(0.06)

    def _until_workers(self, count: int) -> None:
        """Wait until the judge, which verified the golden set, is alone (1) or a replay's worker exists too (2)."""
        self._agent.until(lambda: len(self._agent.children()) == count, f"{count} workers")

    def _sleep(self, most_s: float) -> None:
        time.sleep(self._random.uniform(0, most_s))


def check(agent: Agent, recomputed: Recomputed, before: list[int]) -> list[int]:
    """Check the whole ledger and return the ids of its replays."""
    if not agent.ledger_file.exists():
        assert not before
        return []
    assert agent.rows("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    assert agent.rows("PRAGMA foreign_key_check") == []
    replays = agent.rows("SELECT id, started_at, validity FROM replays ORDER BY id")
    ids = [r["id"] for r in replays]
    assert ids[: len(before)] == before
    times = [r["started_at"] for r in replays]
    assert times == sorted(times)
    assert {r["validity"] for r in replays} <= {"valid"}
    verdicts, states = recomputed.after(times)
    if replays:
        saved = agent.rows("SELECT monitor, state FROM monitors")
        assert {row["monitor"]: json.loads(row["state"]) for row in saved} == states
    told = agent.rows("SELECT * FROM verdicts WHERE monitor != 'silent' ORDER BY replay, monitor")
    assert [tuple(row.values()) for row in told] == [
        (replay, name, v.state, v.evidence, v.threshold)
        for replay, by_monitor in zip(ids, verdicts, strict=True)
        for name, v in sorted(by_monitor.items())
    ]
    return ids


def test_no_evidence_is_lost_however_often_the_agent_is_killed(agent: Agent) -> None:
    recomputed = Recomputed(agent.config_file)
    executioner = Executioner(agent)
    ids: list[int] = []
    for _ in range(KILLS):
        executioner.strike()
        ids = check(agent, recomputed, ids)
    assert executioner.in_flight >= KILLS / 5
    assert len(ids) >= KILLS / 5

    agent.start()
    agent.until(lambda: len(agent.rows("SELECT id FROM replays")) > len(ids), "the next replay is recorded")
    assert agent.end() == 0
    assert len(check(agent, recomputed, ids)) > len(ids)
    evidence = [
        row["evidence"] for row in agent.rows("SELECT evidence FROM verdicts WHERE monitor = 'worse' ORDER BY replay")
    ]
    assert evidence[-1] > evidence[len(evidence) // 2] > 0  # it went on from where it was
    assert len(agent.alerts()) == 1
    until(agent.gone, "all workers have ended")
