"""A reference from replays of the model as it is deployed: of one that repeats itself, and of one that does not."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from goldwatch.cli.app import app
from goldwatch.daemon.in_force import prepare
from goldwatch.daemon.pipeline import run
from goldwatch.golden.opened import GoldenSet
from goldwatch.ipc.workers import Workers

from tests.commands.test_foresight import small_set

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "agent/goldwatch/demo/digits"

NOISY = """\
import numpy as np
import pytest
import onnxruntime

session = onnxruntime.InferenceSession({model!r})
rng = np.random.default_rng()


def answer(request):
    (found,) = session.run(None, {{"image": request["image"]}})
    doubt = rng.uniform(0, {noise}, (len(found), 1))
    return (found * (1 - doubt) + doubt / 10).astype(np.float32)
"""
CONFIG = """\
targets:
  digits: {{probe: python, path: {folder}, callable: "noisy:answer", outputs: [probabilities]}}
golden:
  digits: {golden}
watches:
  digits: {{every: 5m, objectives: {{accuracy: no worse than 1 point, outputs: 0.5%}}}}
"""


def config(folder: Path, golden: Path, noise: float = 0.2, model: str = "digits.onnx") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "noisy.py").write_text(NOISY.format(model=str(DIGITS / model), noise=noise))
    file = folder / "goldwatch.yaml"
    file.write_text(CONFIG.format(folder=folder, golden=golden))
    return file


def calibrate(file: Path, to: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["golden", "calibrate", str(file), "--to", str(to), *options])


def test_a_model_that_repeats_itself_keeps_its_outputs_and_says_so(tmp_path: Path) -> None:
    result = calibrate(ROOT / "examples/digits.yaml", tmp_path / "new", "--replays", "3", "--version", "2")
    assert result.exit_code == 0, result.output
    assert "accuracy 0.9517 over 3 replays, the same in all of them" in result.stdout
    old, new = GoldenSet.open(DIGITS / "golden"), GoldenSet.open(tmp_path / "new")
    assert (new.version, new.manifest.reference.replays, new.manifest.reference.deterministic) == ("2", (2, 1), True)
    assert new.manifest.reference.made_with["framework"] == "onnxruntime"
    assert new.manifest.format == 1  # what an older goldwatch can read, it shall be able to read
    for name in old.manifest.tensors():
        if name != "reference.right":
            assert np.array_equal(old.tensor(name), new.tensor(name)), name
    assert new.digest in result.stdout


def test_how_much_a_model_varies_is_learnt_and_is_no_change(tmp_path: Path, workers: Workers) -> None:
    result = calibrate(config(tmp_path / "c", DIGITS / "golden"), tmp_path / "new", "--replays", "6")
    assert result.exit_code == 0, result.output
    assert "examples differ" in result.stdout
    golden = GoldenSet.open(tmp_path / "new")
    golden.check_values()
    assert golden.manifest.reference.keeps == ("distances",)
    assert golden.tensor("reference.distances").mean() > 0.001
    (assignment,) = prepare(config(tmp_path / "c", tmp_path / "new"), workers).assignments
    assert assignment.settings["alphas"].keys() == {"worse", "failing", "moved"}
    states: Mapping[str, Any] = {}
    for _ in range(5):
        judged = run(assignment, workers, states)
        states = judged.states
        assert {v.monitor: str(v.state) for v in judged.judgement.verdicts}["moved"] == "steady"
    louder = config(tmp_path / "c", tmp_path / "new", noise=0.9)
    (assignment,) = prepare(louder, workers).assignments
    for _ in range(5):
        judged = run(assignment, workers, states)
        states = judged.states
        verdicts = {v.monitor: v for v in judged.judgement.verdicts}
        if str(verdicts["moved"].state) == "alerting":
            break
    assert (str(verdicts["moved"].state), str(verdicts["moved"].severity)) == ("alerting", "ticket")
    assert "allowed" in verdicts["moved"].summary


def test_another_model_is_no_reference_unless_it_is_meant_to_be(tmp_path: Path) -> None:
    file = config(tmp_path / "c", DIGITS / "golden", noise=0, model="digits-quantised.onnx")
    result = calibrate(file, tmp_path / "new", "--replays", "2")
    assert result.exit_code == 2
    assert "this is not the model of digits@5ce757358f39" in result.stderr
    assert "--outputs" in result.stderr
    assert not (tmp_path / "new").exists()
    result = calibrate(file, tmp_path / "new", "--replays", "2", "--outputs")
    assert result.exit_code == 0, result.output
    new = GoldenSet.open(tmp_path / "new")
    assert new.manifest.reference.deterministic
    checked = CliRunner().invoke(
        app, ["check", str(config(tmp_path / "c", tmp_path / "new", 0, "digits-quantised.onnx"))]
    )
    assert checked.exit_code == 0, checked.output
    assert "600 of 600 within tolerance" in checked.stdout


def test_nothing_is_overwritten_and_an_unusable_target_is_told(tmp_path: Path) -> None:
    file = config(tmp_path / "c", DIGITS / "golden")
    (tmp_path / "there").mkdir()
    assert "exists already" in calibrate(file, tmp_path / "there").stderr
    (tmp_path / "c/noisy.py").write_text("def answer(request):\n    raise RuntimeError('out of paper')\n")
    result = calibrate(file, tmp_path / "new", "--replays", "2")
    assert (result.exit_code, "out of paper" in result.stderr) == (2, True)


def test_a_distance_from_outputs_that_vary_by_nobody_knows_how_much_is_refused_before_anything_runs(
    tmp_path: Path,
) -> None:
    file = small_set(tmp_path, 30)
    file.write_text(file.read_text().replace("every: 1h", "every: 1h, objectives: {outputs: 2%}"))
    result = CliRunner().invoke(app, ["check", str(file)])
    assert result.exit_code == 3
    assert "watches.model: objectives.outputs: the outputs of the validated model vary" in result.stderr
    assert "goldwatch golden calibrate" in result.stderr


def test_a_set_is_shown_and_verified(tmp_path: Path) -> None:
    files = [part for name in ("set.txt", "set.json") for part in ("--output", str(tmp_path / name))]
    shown = CliRunner().invoke(app, ["golden", "show", str(DIGITS / "golden"), *files])
    assert (tmp_path / "set.txt").read_text() == shown.stdout
    assert "task        classification, 600 examples" in shown.stdout
    assert "reference   10 + 10 replays, the same in all of them" in shown.stdout
    manifest = json.loads(CliRunner().invoke(app, ["golden", "show", str(DIGITS / "golden"), "--json"]).stdout)
    assert manifest["digest"].startswith("sha256:5ce757")
    assert json.loads((tmp_path / "set.json").read_text()) == manifest
    verified = CliRunner().invoke(app, ["golden", "verify", str(DIGITS / "golden"), "--digest", "5ce757"])
    assert (verified.exit_code, verified.stdout.split(":")[0]) == (0, "digits@5ce757358f39 is sound")
    other = CliRunner().invoke(app, ["golden", "verify", str(DIGITS / "golden"), "--digest", "sha256:abc"])
    assert (other.exit_code, "and not sha256:abc" in other.stderr) == (2, True)
    assert CliRunner().invoke(app, ["golden", "verify", str(tmp_path)]).exit_code == 2
