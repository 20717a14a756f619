"""A model that fails, recovers and fails again: each incident is one alert, the second as soon as the first."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from goldwatch.core.figures import Ceiling, Figure, Figures
from goldwatch.core.judgement import State
from goldwatch.daemon import engine
from goldwatch.daemon.exports import Exports
from goldwatch.daemon.in_force import prepare
from goldwatch.daemon.ledger import Ledger
from goldwatch.daemon.runner import Runner
from goldwatch.golden.freeze import freeze
from goldwatch.ipc.workers import Workers
from goldwatch.testing.clock import FakeClock
from goldwatch.worker.monitors.costly import Costly
from goldwatch.worker.monitors.failing import Failing
from goldwatch.worker.monitors.share import Requests
from goldwatch.worker.monitors.worse import Answers, Worse

N = 200
EVERY_S = 300.0
MOST = 60
MODEL = """\
import pathlib

import numpy as np

HERE = pathlib.Path(__file__).parent


def answer(request):
    if (HERE / "failing").exists():
        raise RuntimeError("out of memory")
    codes = request["x"][:, 0].astype(int)
    if (HERE / "worse").exists():
        codes = np.where(request["x"][:, 1] < 80, 1 - codes, codes)
    return np.eye(2, dtype=np.float32)[codes]
"""


class Incidents:
    """An agent whose clock a test moves on from replay to replay, and a model that a test breaks and mends."""

    def __init__(self, folder: Path, workers: Workers, ledger: Ledger, clock: FakeClock) -> None:
        self.ledger = ledger
        self._folder, self._clock = folder, clock
        wanted = prepare(folder / "goldwatch.yaml", workers)
        (self._assignment,) = wanted.assignments
        self._config = wanted.config
        self._runner = Runner(workers, ledger, Exports(), threading.Event())

    def replay(self, times: int) -> None:
        for _ in range(times):
            self._runner.tick(self._assignment, self._config, self._clock.time())
            self._clock.advance(EVERY_S)

    def breaks(self, how: str) -> int:
        """Break the model and return after how many replays there was an alert."""
        (self._folder / how).touch()
        return self._until(lambda: self.ledger.open_alert("model", "model") is not None)

    def is_mended(self, how: str) -> int:
        """Mend it and return after how many replays the alert was closed."""
        (self._folder / how).unlink()
        return self._until(lambda: self.ledger.open_alert("model", "model") is None)

    def _until(self, done: Callable[[], bool]) -> int:
        for count in range(1, MOST + 1):
            self.replay(1)
            if done():
                return count
        pytest.fail(f"not within {MOST} replays")


@pytest.fixture
def incidents(tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch) -> Iterator[Incidents]:
    clock = FakeClock(1_800_000_000.0)
    monkeypatch.setattr(engine, "replay", functools.partial(engine.replay, wall=clock.time))
    labels = np.arange(N) % 2
    freeze(
        tmp_path / "golden",
        {
            "name": "model",
            "version": "1",
            "task": "classification",
            "examples": N,
            "inputs": {"x": {"dtype": "float32", "shape": [2]}},
            "labels": {"classes": ["no", "yes"]},
            "outputs": {"scores": {"dtype": "float32", "shape": [2], "tolerance": 0.001}},
            "reference": {"replays": [10, 10], "deterministic": False},
            "provenance": {"source": "made up"},
            "licence": "CC0-1.0",
        },
        {
            "inputs.x": np.stack([labels, np.arange(N)], axis=1).astype(np.float32),
            "labels": labels,
            "outputs.scores": np.eye(2, dtype=np.float32)[labels],
            "reference.right": np.full((2, N), 10),
        },
    )
    (tmp_path / "mended.py").write_text(MODEL)
    target = f"{{probe: python, path: {tmp_path}, callable: 'mended:answer', outputs: [scores], warm: true}}"
    (tmp_path / "goldwatch.yaml").write_text(
        f"targets: {{model: {target}}}\ngolden: {{model: ./golden}}\n"
        "watches: {model: {every: 5m, load: {warmup: 0}, objectives: {accuracy: no worse than 5 points}}}\n"
    )
    with Ledger(tmp_path / "goldwatch.db") as ledger:
        yield Incidents(tmp_path, workers, ledger, clock)


@pytest.mark.parametrize("how", ["worse", "failing"])
def test_each_incident_is_one_alert_and_the_second_comes_as_soon(incidents: Incidents, how: str) -> None:
    incidents.replay(3)
    first = incidents.breaks(how)
    incidents.replay(3)
    incidents.is_mended(how)
    incidents.replay(2)
    second = incidents.breaks(how)
    incidents.is_mended(how)
    assert second <= first
    found = incidents.ledger.alerts()
    assert [(alert.number, alert.monitors) for alert in found] == [(1, (how,)), (2, (how,))]
    assert all(f"is {how}" in alert.text.splitlines()[0] for alert in found)
    assert found[0].closed_at is not None
    assert found[1].closed_at is not None
    assert found[0].opened_at < found[0].closed_at < found[1].opened_at < found[1].closed_at


ALPHA, REPLAYS = 0.02, 4000


def _alerts(monitor: object, draw: Callable[[np.random.Generator], object]) -> int:
    """Count the alerts of a monitor that goes through recoveries as the agent's do."""
    rng, state, count, alerting = np.random.default_rng(7), monitor.fresh(), 0, False  # type: ignore[attr-defined]
    for at in range(REPLAYS):
        state, verdict = monitor.update(draw(rng), state, float(at))  # type: ignore[attr-defined]
        count += verdict.state is State.ALERTING and not alerting
        alerting = verdict.state is State.ALERTING
    return count


def test_a_model_at_the_edge_that_flaps_is_bounded_by_the_budget() -> None:
    """Each alert, recovered or not, costs the whole of the evidence: the count is expected, restarts included."""
    budget, answered = ALPHA * REPLAYS, np.ones(N, dtype=np.bool_)
    worse = Worse(np.full((2, N), 1000), (1000, 1000), 0.05, ALPHA)
    ceiling = Ceiling("energy", "inference", "J", limit=2.0)
    counts = {
        "worse": _alerts(worse, lambda rng: Answers(rng.random(N) >= worse.groups[0].limit, answered)),
        "failing": _alerts(Failing(0.1, ALPHA), lambda rng: Requests(int(rng.binomial(20, 0.1)), 20)),
        "costly": _alerts(
            Costly([ceiling], ALPHA, EVERY_S),
            lambda rng: Figures({ceiling.name: Figure.exact(1.0 + 2 * (rng.random() < 0.05), "J")}),
        ),
    }
    assert all(count <= budget + 3 * budget**0.5 for count in counts.values()), counts
