"""A real model that is damaged in the way of each monitor, replayed by the agent's own path, and its alert's text.

*Costly* and *drift* need a meter and live traffic: tests/real/test_costly.py and tests/drift/test_drift_of_a_log.py.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldwatch.daemon import engine
from goldwatch.daemon.alarms import Alarms
from goldwatch.daemon.alert import Alert
from goldwatch.daemon.exports import Exports
from goldwatch.daemon.in_force import prepare
from goldwatch.daemon.ledger import Ledger
from goldwatch.daemon.runner import Runner
from goldwatch.golden.freeze import freeze
from goldwatch.ipc.workers import Workers
from goldwatch.testing.clock import FakeClock

pytestmark = pytest.mark.slow

N = 60
MOST = 40
MODEL = """\
import pathlib
import time

import numpy as np

HERE = pathlib.Path(__file__).parent


def answer(request):
    codes = request["x"][:, 0].astype(int)
    damage = (HERE / "damage").read_text() if (HERE / "damage").exists() else ""
    if damage == "failing":
        raise RuntimeError("out of memory")
    if damage in ("slow", "silent"):
        time.sleep(0.05)
    if damage == "gap":
        codes = np.where(request["x"][:, 1] < 3, 1 - codes, codes)
    if damage == "worse":
        codes = np.where(request["x"][:, 1] < 30, 1 - codes, codes)
    scores = np.eye(2, dtype=np.float32)[codes]
    return scores * 0.8 + 0.1 if damage in ("changed", "moved") else scores
"""
CONFIG = """\
targets:
  model:
    {{probe: python, path: {folder}, callable: "damaged:answer", outputs: [scores], warm: true, deployment: ml/model}}
golden: {{model: ./golden}}
watches:
  model:
    {{every: 5m, deadline: {deadline}, load: {{warmup: 0}}, objectives: {{accuracy: no worse than 5 points{more}}}}}
alerts: {{false_alarms: 1 per day, rollout: 0s}}
exporters: {{prometheus: {{external_url: "https://gw.example/ml"}}}}
"""
CLASSES = ("sound", "flipped")


@dataclass(frozen=True)
class Scene:
    """How a model is damaged, which watch sees it, and lines that its alert must have."""

    damage: str
    says: tuple[str, ...]
    objectives: str = ""
    deadline: str = "30s"
    deterministic: bool = False


SCENES = [
    Scene(
        "worse",
        (
            "[PAGE] model is worse: 30 of 60 golden examples now wrong that were right (0 the other way)",
            "do Replay the examples below, then look at what the model reads from: features, caches.",
            "goldwatch replay {config} --watch model --examples 0,1,2,3,4,5,6,7,8,9,10,11",
            "accuracy 1.0000 -> 0.5000 -50.0 points, tolerance 5 points",
            "where half=first 30 of the 30, 50% of the set beyond chance",
            "mistakes flipped -> sound 15 of the 30, 0 -> 15 beyond chance",
            "sound -> flipped 15 of the 30, 0 -> 15 beyond chance",
            "examples 0 row-00.csv: sound -> flipped, right is sound",
            "and 25 more",
        ),
    ),
    Scene(
        "gap",
        (
            "[PAGE] model is unequal: accuracy is 0.9000 for half=first and 1.0000 for second: 10 points apart",
            "gap of accuracy 0.0000 -> 0.1000 half=first is below second, at most 5 points",
            "where half=first 3 of the 3, 50% of the set",
        ),
        objectives=", gap: {slice: half, at most: 5 points}",
    ),
    Scene(
        "changed",
        (
            "[TICKET] model is changed: 60 of 60 outputs differ from the reference, by up to 0.1 (tolerance 0.001)",
            "; 0 turned wrong, 0 right",
            "accuracy 1.0000 -> 1.0000 no change, tolerance 5 points",
        ),
        deterministic=True,
    ),
    Scene(
        "failing",
        (
            "[PAGE] model is failing: 60 of 60 requests failed",
            "do Look at the server of model and its log. kubectl -n ml logs deployment/model --tail=50",
            "out of memory",
            "accuracy 1.0000 -> unknown",
            "errors 0 of 180 -> 60 of 60 0.1% allowed",
        ),
        objectives=", errors: 0.1%",
    ),
    Scene(
        "slow",
        (
            "[PAGE] model is slow: ",
            "do Look at the load of model and of its node. kubectl -n ml describe deployment/model",
            "times, limit 15 ms",
        ),
        objectives=", latency: 15ms at p50",
    ),
    Scene(
        "moved",
        ("[TICKET] model is moved: ", "distance 0.0000 -> 0.", "from the reference, limit 0.01"),
        objectives=", outputs: 1%",
    ),
    Scene(
        "silent",
        (
            "[TICKET] model is silent: no valid replay for 50m, and one is due every 5m: the model is not watched",
            "do Find out why model is slow: its load, its node, its queue. kubectl -n ml describe deployment/model",
            "replays missed their deadline: the deadline of 2 s had passed; a request takes 5",
            "times as long as before",
            "accuracy 1.0000 -> unknown",
        ),
        deadline="2s",
        objectives=", errors: 99%",
    ),
]


@pytest.fixture
def alert_of(tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch) -> Callable[[Scene], Alert]:
    """Replay a sound model three times, damage it, and return the alert that opens."""
    clock = FakeClock(1_800_000_000.0)
    monkeypatch.setattr(engine, "replay", functools.partial(engine.replay, wall=clock.time))

    def alert_of(scene: Scene) -> Alert:
        prepared(tmp_path, scene)
        with Ledger(tmp_path / "goldwatch.db") as ledger:
            wanted = prepare(tmp_path / "goldwatch.yaml", workers)
            (assignment,) = wanted.assignments
            runner = Runner(workers, ledger, Exports(), threading.Event())
            runner._alarms = Alarms(ledger, clock_s=clock.monotonic)
            for number in range(MOST):
                if number == 3:
                    (tmp_path / "damage").write_text(scene.damage)
                runner.look(wanted.assignments, wanted.config, clock.time())
                if (alert := ledger.open_alert("model", "model")) is not None:
                    return alert
                runner.tick(assignment, wanted.config, clock.time())
                clock.advance(300.0)
            last = ledger.last_judgement("model", "model")
        pytest.fail(f"not within {MOST} replays; the last one: {last}")

    return alert_of


def prepared(folder: Path, scene: Scene) -> None:
    labels = np.arange(N) % 2
    manifest: dict[str, Any] = {
        "name": "model",
        "version": "1",
        "task": "classification",
        "examples": N,
        "inputs": {"x": {"dtype": "float32", "shape": [2]}},
        "labels": {"classes": CLASSES},
        "outputs": {"scores": {"dtype": "float32", "shape": [2], "tolerance": 0.001}},
        "slices": {"half": {"values": ["first", "second"]}},
        "reference": {"replays": [10, 10], "deterministic": scene.deterministic},
        "provenance": {"source": "made up"},
        "licence": "CC0-1.0",
    }
    tensors: dict[str, Any] = {
        "inputs.x": np.stack([labels, np.arange(N)], axis=1).astype(np.float32),
        "labels": labels,
        "outputs.scores": np.eye(2, dtype=np.float32)[labels],
        "slices.half": (np.arange(N) >= N / 2).astype(np.int64),
        "reference.right": np.full((2, N), 10),
    }
    if scene.damage == "moved":
        manifest["reference"] |= {"keeps": ["distances"]}
        tensors["reference.distances"] = np.zeros((20, N), np.float32)
    freeze(folder / "golden", manifest, tensors, identities=[f"row-{i:02}.csv" for i in range(N)])
    (folder / "damaged.py").write_text(MODEL)
    text = CONFIG.format(folder=folder, deadline=scene.deadline, more=scene.objectives)
    (folder / "goldwatch.yaml").write_text(text)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.damage)
def test_the_alert_of_a_damaged_model(alert_of: Callable[[Scene], Alert], scene: Scene, tmp_path: Path) -> None:
    alert = alert_of(scene)
    assert scene.damage in alert.monitors
    text = " ".join(alert.text.replace("\\\n", " ").split())
    for line in scene.says:
        assert line.format(config=tmp_path / "goldwatch.yaml") in text
    assert f"alert https://gw.example/ml/alerts/1 runbook https://gw.example/ml/runbooks/{scene.damage} " in text
    assert f"silence goldwatch silence {tmp_path}/goldwatch.yaml --watch model --for 2h --why" in text
    assert all(len(line) <= 72 or str(tmp_path) in line for line in alert.text.splitlines())
