"""A model that takes more joules than it may: from the meter to the alert, and back. The processor is made of files."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from goldwatch.core.judgement import Judgement, State, Verdict
from goldwatch.daemon.exports import Exports
from goldwatch.daemon.in_force import InForce, prepare
from goldwatch.daemon.ledger import Ledger
from goldwatch.daemon.runner import Runner
from goldwatch.ipc.workers import Workers

from tests.powercap import Processor, steady

pytestmark = pytest.mark.real

DIGITS = Path(__file__).parents[2] / "agent/goldwatch/demo/digits"
CONFIG = f"""\
targets:
  digits: {{probe: onnx-runtime, file: {DIGITS}/digits.onnx, threads: 1}}
golden: {{digits: {DIGITS}/golden}}
watches: {{digits: {{every: 1h, objectives: {{energy: 50 mJ per inference}}}}}}
energy: {{every: 1s, windows: 3, meters: {{package: {{kind: rapl, exclusive: true}}}}}}
alerts: {{false_alarms: 10 per day}}
"""
"""With so generous a budget one measurement is enough; how many it takes else, tests/monitor says."""

CHEAP_W, DEAR_W = 50.0, 5000.0
MOST = 12


@pytest.fixture
def processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Processor]:
    with steady(tmp_path, CHEAP_W, monkeypatch) as found:
        yield found


@pytest.fixture
def wanted(tmp_path: Path) -> Iterator[tuple[InForce, Workers]]:
    (tmp_path / "goldwatch.yaml").write_text(CONFIG)
    workers = Workers()
    yield prepare(tmp_path / "goldwatch.yaml", workers), workers
    workers.close()


def test_a_model_that_takes_more_is_a_ticket_that_explains_itself_and_closes(
    processor: Processor, wanted: tuple[InForce, Workers], tmp_path: Path
) -> None:
    in_force, workers = wanted
    (assignment,) = in_force.assignments
    seen: list[Judgement] = []
    with Ledger(tmp_path / "goldwatch.db") as ledger:
        runner = Runner(workers, ledger, Exports(), threading.Event(), lambda _, judgement, __: seen.append(judgement))

        def costly() -> Verdict:
            return next(v for v in seen[-1].verdicts if v.monitor == "costly")

        def until(done: Callable[[], bool]) -> None:
            for _ in range(MOST):
                runner.tick(assignment, in_force.config, time.time())
                if done():
                    return
            pytest.fail(f"not within {MOST} measurements: {costly()}")

        until(lambda: costly().state is State.STEADY)
        assert ledger.open_alert("digits", "digits") is None

        processor.watts = DEAR_W
        until(lambda: costly().state is State.ALERTING)
        alert = ledger.open_alert("digits", "digits")
        assert alert is not None
        assert (alert.monitors, alert.severity) == (("costly",), "ticket")
        assert alert.headline.startswith("[TICKET] digits is costly: an inference takes ")
        assert "at most 0.05 J wanted" in alert.headline
        energy = next(line for line in alert.text.splitlines() if line.startswith("energy   per inference "))
        assert " -> " in energy
        assert "limit 0.05 J" in energy
        assert "do       Compare throughput, power and length of the answers of digits" in alert.text

        processor.watts = CHEAP_W
        until(lambda: costly().state is not State.ALERTING)
        assert costly().state is State.RECOVERED
        closed = ledger.alert(alert.number)
        assert closed is not None
        assert closed.closed_at is not None
