"""From a config to assignments, and from an assignment to a judgement, with real worker processes."""

from __future__ import annotations

import dataclasses
import math
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from goldwatch.config import Golden, load
from goldwatch.core.budget import replays_per_year
from goldwatch.core.judgement import Severity, Validity
from goldwatch.daemon.alert import Alert, advance
from goldwatch.daemon.alert_explanation import Surroundings
from goldwatch.daemon.in_force import Assignment, CannotStart, assignments, inspect, prepare
from goldwatch.daemon.pipeline import run
from goldwatch.daemon.schedule import mean_interval_s
from goldwatch.errors import GoldwatchError
from goldwatch.golden.facts import GoldenFacts
from goldwatch.ipc.jobs import Job
from goldwatch.ipc.judging_jobs import JUDGE
from goldwatch.ipc.workers import Workers

from tests.replay.jobs import ABORT

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "agent/goldwatch/demo/digits"
FACTS = GoldenFacts("somewhere", "digits", "sha256:00", "00", "classification", 600, True, (), ())

CONFIG = f"""\
targets:
  one: {{probe: onnx-runtime, file: {DIGITS}/digits.onnx}}
  two: {{probe: onnx-runtime, file: {DIGITS}/digits.onnx}}
golden:
  digits: {DIGITS}/golden
watches:
  often: {{every: 1m, targets: [one, two], objectives: {{latency: 50ms at p99}}}}
  seldom: {{every: "0 3 * * *", target: one}}
alerts:
  false_alarms: {{}} per quarter
"""


@pytest.fixture
def assignment(workers: Workers) -> Assignment:
    (assignment,) = prepare(ROOT / "examples/digits.yaml", workers).assignments
    return assignment


def config_file(folder: Path, false_alarms: str = "2") -> Path:
    file = folder / "goldwatch.yaml"
    file.write_text(CONFIG.replace("{}", false_alarms))
    return file


def test_the_monitors_of_a_target_share_its_budget_over_all_watches(tmp_path: Path) -> None:
    made = assignments(load(config_file(tmp_path)), {"digits": FACTS})
    assert [a.key for a in made] == [("often", "one"), ("often", "two"), ("seldom", "one")]
    for target in ("one", "two"):
        spent = [
            alpha * replays_per_year(mean_interval_s(a.watch.every))
            for a in made
            if a.target.name == target
            for alpha in a.settings["alphas"].values()
            if alpha is not None
        ]
        assert math.fsum(spent) == pytest.approx(8)
        assert spent == [pytest.approx(spent[0])] * len(spent)


def test_a_monitor_of_more_weight_gets_more_of_the_budget(tmp_path: Path) -> None:
    file = config_file(tmp_path)
    before = assignments(load(file), {"digits": FACTS})[0].settings["alphas"]
    file.write_text(file.read_text() + "  weights: {worse: 3}\n")
    after = assignments(load(file), {"digits": FACTS})[0].settings["alphas"]
    assert after["worse"] / after["failing"] == pytest.approx(3)
    assert after["worse"] > before["worse"]


def test_a_weight_of_no_monitor_is_an_error_that_names_the_monitors(tmp_path: Path) -> None:
    file = config_file(tmp_path)
    for name in ("wrose", "changed"):  # *changed* states facts, and has no share
        file.write_text(CONFIG.replace("{}", "2") + f"  weights: {{{name}: 3}}\n")
        with pytest.raises(ValueError, match=rf"^weights\.{name}: no monitor .*; there are failing, worse, gap, slow"):
            assignments(load(file), {"digits": FACTS})


def test_only_monitors_that_can_page_spend_of_the_budget(tmp_path: Path) -> None:
    often, _, seldom = assignments(load(config_file(tmp_path)), {"digits": FACTS})
    assert {name for name, alpha in often.settings["alphas"].items() if alpha} == {"worse", "failing", "slow"}
    assert (often.settings["latency_limit_s"], often.settings["latency_quantile"]) == (0.05, 0.99)
    assert {name for name, alpha in seldom.settings["alphas"].items() if alpha} == {"worse", "failing"}
    assert "slow" not in seldom.settings["alphas"]
    assert "latency_limit_s" not in seldom.settings


def test_a_budget_of_an_alarm_for_each_replay_is_refused(tmp_path: Path, workers: Workers) -> None:
    file = config_file(tmp_path, "900")
    with pytest.raises(CannotStart, match=r": alerts\.false_alarms: .*; ask for fewer, or replay more often$") as error:
        prepare(file, workers)
    assert str(error.value).startswith(f"{file}: ")


def test_all_broken_golden_sets_are_told_together(tmp_path: Path, workers: Workers) -> None:
    for name in ("changed", "cut"):
        shutil.copytree(DIGITS / "golden", tmp_path / name)
    with (tmp_path / "changed/tensors.safetensors").open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"\x07")
    (tmp_path / "cut/golden.json").write_text("{")
    file = config_file(tmp_path)
    file.write_text(
        file.read_text()
        .replace("golden:\n", "golden:\n  changed: changed\n  cut: cut\n", 1)
        .replace("every: 1m", "every: 1m, golden: digits")
        .replace('*", ', '*", golden: digits, ')
    )
    with pytest.raises(CannotStart) as error:
        prepare(file, workers)
    first, second, last = str(error.value).splitlines()
    assert first.startswith(f"{tmp_path}/changed: tensors.safetensors has sha256")
    assert second.startswith(f"{tmp_path}/cut: golden.json is not usable JSON")
    assert last == "2 unusable golden sets; nothing was started."


def test_a_golden_set_that_is_not_there_is_unusable(tmp_path: Path, workers: Workers) -> None:
    with pytest.raises(GoldwatchError, match=rf"^{tmp_path}/none: "):
        inspect(workers, Golden(name="none", path=tmp_path / "none"))


def test_a_golden_set_that_is_not_the_pinned_one_is_unusable(workers: Workers) -> None:
    found = inspect(workers, Golden(name="digits", path=DIGITS / "golden")).digest
    assert inspect(workers, Golden(name="digits", path=DIGITS / "golden", digest=found[:19])).digest == found
    message = f"the set has digest {found[:19]}..., the config pins golden.digits.digest to sha256:000000000000"
    with pytest.raises(GoldwatchError, match=re.escape(message)):
        inspect(workers, Golden(name="digits", path=DIGITS / "golden", digest="sha256:000000000000"))


def test_a_replay_is_judged_and_its_latencies_are_those_of_its_answers(
    assignment: Assignment, workers: Workers
) -> None:
    judged = run(assignment, workers, {}, lateness_s=0.25)
    assert (judged.judgement.findings.validity, judged.judgement.run.lateness_s) == (Validity.VALID, 0.25)
    assert len(judged.judgement.run.latencies_s) == judged.judgement.findings.outcomes["ok"] == 600
    assert judged.states.keys() == {v.monitor for v in judged.judgement.verdicts}


def test_a_warm_worker_gathers_no_descriptors(assignment: Assignment, workers: Workers) -> None:
    warm = dataclasses.replace(assignment, target=assignment.target.model_copy(update={"warm": True}))

    here = psutil.Process()
    others = here.children()  # servers of other tests

    def descriptors() -> dict[int, int]:
        ours = [child for child in here.children() if child not in others]
        return {process.pid: process.num_fds() for process in [here, *ours]}

    run(warm, workers, {})
    after_one = descriptors()
    for _ in range(3):
        run(warm, workers, {})
    assert descriptors() == after_one


class DeadlyJudge(Workers):
    """Workers; the job of the one that judges kills it."""

    def call(self, key: str, job: Job[Any, Any], *arguments: Any, **options: Any) -> Any:
        return super().call(key, ABORT if job is JUDGE else job, *arguments, **options)


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pool = DeadlyJudge()
    yield pool
    pool.close()


def test_a_judge_that_dies_gives_an_invalid_judgement_and_loses_no_evidence(
    assignment: Assignment, deadly: Workers
) -> None:
    states = {"worse": {"log_m": [0.1, None]}}
    judged = run(assignment, deadly, states)
    judgement = judged.judgement
    assert judgement.findings.validity is Validity.INVALID
    (reason,) = judgement.findings.reasons
    assert reason.startswith("it could not be judged: the worker process ended by signal SIGABRT")
    assert judgement.findings.outcomes == {"ok": 600}
    assert (judgement.verdicts, judgement.findings.scores, judgement.findings.difference) == ((), (), None)
    assert judged.states == states


@pytest.mark.slow
def test_a_replay_that_could_not_be_judged_closes_no_alert(assignment: Assignment, deadly: Workers) -> None:
    alert = Alert(1, *assignment.key, Severity.PAGE, ("worse",), 1_800_000_000.0, "it is worse")
    around = Surroundings(None, [], "1 point", "1 false alarm a year")
    unjudged = run(assignment, deadly, {}).judgement
    assert advance(alert, unjudged, around, 2) == alert
    assert advance(None, unjudged, around, 1) is None


@pytest.mark.slow
def test_a_golden_set_that_changes_under_way_is_an_invalid_judgement(
    tmp_path: Path, assignment: Assignment, workers: Workers
) -> None:
    copy = shutil.copytree(DIGITS / "golden", tmp_path / "golden")
    moved = dataclasses.replace(assignment, golden=dataclasses.replace(assignment.golden, path=str(copy)))
    manifest = copy / "golden.json"
    manifest.write_text(manifest.read_text().replace('"version": "1"', '"version": "2"', 1))
    judgement = run(moved, workers, {}).judgement
    assert judgement.findings.validity is Validity.INVALID
    assert judgement.findings.reasons[0].startswith(f"it could not be judged: {copy}: the set has digest")
    assert judgement.findings.reasons[0].endswith("reload the config to watch with another set")
