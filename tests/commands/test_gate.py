"""The gate on the digits, in process: its figures, output and exit codes."""

import json
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from goldwatch.cli.app import app
from goldwatch.golden.opened import GoldenSet

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "agent/goldwatch/demo/digits"

CONFIG = """\
targets:
  digits: {{probe: onnx-runtime, file: {model}, threads: 1}}
golden:
  digits: {golden}
watches:
  digits:
    every: 5m
    objectives: {{accuracy: {accuracy}, errors: 0.1%, latency: {latency}{gap}}}
"""


def check(folder: Path, *arguments: str, **values: object) -> Result:
    defaults = {
        "model": DIGITS / "digits.onnx",
        "golden": DIGITS / "golden",
        "accuracy": "no worse than 1 point",
        "latency": "1s at p99",
        "gap": "",
    }
    config = folder / "goldwatch.yaml"
    config.write_text(CONFIG.format(**(defaults | values)))
    return CliRunner().invoke(app, ["check", str(config), *arguments])


@pytest.mark.slow
def test_a_sound_model_passes(tmp_path: Path) -> None:
    result = check(tmp_path)
    assert result.exit_code == 0, result.output
    assert "accuracy       0.9517" in result.stdout
    assert "600 of 600 within tolerance" in result.stdout
    assert result.stdout.splitlines()[-1] == "  verdict        pass"


@pytest.mark.slow
def test_the_accuracy_is_that_of_a_plain_loop_to_the_last_digit() -> None:
    import onnxruntime

    result = CliRunner().invoke(app, ["check", str(ROOT / "examples/digits.yaml"), "--format", "json"])
    (watch,) = json.loads(result.stdout)["watches"]
    scores = {s["name"]: s["value"] for s in watch["scores"]}
    golden = GoldenSet.open(DIGITS / "golden")
    session = onnxruntime.InferenceSession(DIGITS / "digits.onnx")
    right = 0
    for image, label in zip(golden.tensor("inputs.image"), golden.tensor("labels"), strict=True):
        (probabilities,) = session.run(None, {"image": image[np.newaxis]})
        right += int(probabilities.argmax() == label)
    assert scores["accuracy"] == right / golden.examples


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    return Path(shutil.copy(DIGITS / "digits-quantised.onnx", tmp_path / "digits.onnx"))


@pytest.mark.slow
def test_a_damaged_model_is_a_regression(tmp_path: Path, damaged: Path) -> None:
    result = check(tmp_path, "--format", "json", model=damaged)
    assert result.exit_code == 1
    whole = json.loads(result.stdout)
    assert (whole["result"], whole["exit_code"]) == ("regression", 1)
    (watch,) = whole["watches"]
    assert watch["findings"][0] == {
        "objective": "accuracy",
        "result": "regression",
        "reason": "0.9517 -> 0.7850, no worse than 1 point; 109 turned wrong, 9 right, p = 5.9e-23",
    }
    assert watch["difference"]["harmful"] == 109
    where = watch["difference"]["where"][0]
    assert where["p_value"] < 1e-30
    assert where == {
        "slice": "digit",
        "value": "8",
        "flips": 46,
        "examples": 56,
        "beyond_chance": True,
        "p_value": where["p_value"],
    }


def test_a_loss_within_the_tolerance_passes(tmp_path: Path, damaged: Path) -> None:
    gap = ", gap: {slice: digit, no worse than: 95 points}"
    assert check(tmp_path, model=damaged, accuracy="no worse than 17 points", gap=gap).exit_code == 0


def test_a_model_that_is_too_slow_is_a_regression(tmp_path: Path) -> None:
    result = check(tmp_path, "--format", "json", latency="1ms at p50".replace("1ms", "0.001ms"))
    assert result.exit_code in (1, 2), result.output


@pytest.mark.parametrize(("model", "says"), [("missing.onnx", "missing.onnx"), ("goldwatch.yaml", "goldwatch.yaml")])
def test_a_model_that_cannot_be_loaded_could_not_be_measured(tmp_path: Path, model: str, says: str) -> None:
    result = check(tmp_path, "--format", "markdown", model=tmp_path / model)
    assert result.exit_code == 2
    row = result.stdout.splitlines()[4]
    assert row.startswith("| digits | replay | could not measure |")
    assert says in row


def test_junit_has_a_case_for_each_objective(tmp_path: Path, damaged: Path) -> None:
    gap = ", gap: {slice: digit, at most: 30 points}"
    result = check(tmp_path, "--format", "junit", model=damaged, gap=gap)
    (suite,) = ET.fromstring(result.stdout)
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("4", "2", "0")
    cases = {case.get("name"): [child.tag for child in case] for case in suite}
    assert cases == {"accuracy": ["failure"], "errors": [], "latency": [], "gap": ["failure"]}
    assert "accuracy of digit=8 and 5 is" in result.stdout


def test_files_of_one_measurement(tmp_path: Path, damaged: Path) -> None:
    names = ("result.json", "junit.xml", "summary.md", "table.txt", "report.html")
    outputs = [part for name in names for part in ("--output", str(tmp_path / name))]
    result = check(tmp_path, "--format", "github", *outputs, model=damaged)
    assert result.exit_code == 1, result.output
    said = json.loads((tmp_path / "result.json").read_text())
    reason = said["watches"][0]["findings"][0]["reason"]
    assert result.stdout.splitlines()[0] == f"::error title=digits accuracy%3A regression::{reason}"
    (suite,) = ET.parse(tmp_path / "junit.xml").getroot()
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == reason
    accuracy = said["watches"][0]["scores"][0]["value"]
    markdown, table = ((tmp_path / name).read_text() for name in names[2:4])
    assert f"- accuracy {accuracy:.4f}" in markdown
    assert "109 turned wrong, 9 right" in markdown
    p50 = next(line for line in table.splitlines() if line.startswith("  latency")).split("   ")[0].split()[-2:]
    assert " ".join(p50) in markdown

    _check_page((tmp_path / "report.html").read_text())


def _check_page(page: str) -> None:
    """Look for all that the report has on the damaged digits."""
    assert len(page.encode()) < 400_000
    assert "<script" not in page
    assert "digits</bdi> is worse: accuracy 0.9517 → 0.7850" in page
    assert "46 of the 109 are in digit=8" in page
    assert page.count('src="data:image/png;base64,') == 12
    assert "129 wrong of 600 answers" in page
    assert "Calibration: over 600 answers" in page
    assert "Histogram of 600 latencies" in page
    for heading in ("Objectives", "Scores", "Slices", "Labels and answers", "Latency", "What ran where"):
        assert f"<h2>{heading}</h2>" in page


def test_a_file_that_cannot_be_written_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    for name, says in (
        ("report.pdf", "there are .html, .json, .xml, .md, .txt"),
        ("no/such.json", "a folder that exists"),
    ):
        result = check(tmp_path, "--output", str(tmp_path / name))
        assert (result.exit_code, result.stdout) == (3, "")
        assert says in result.stderr


def test_a_file_that_cannot_be_written_at_the_end_costs_no_verdict_and_no_other_file(
    tmp_path: Path, damaged: Path
) -> None:
    (tmp_path / "full.json").symlink_to("/dev/full")
    full = ("--output", str(tmp_path / "full.json"))
    result = check(tmp_path, *full, "--output", str(tmp_path / "junit.xml"), model=damaged)
    assert result.exit_code == 1, result.output
    assert f"--output {tmp_path}/full.json: No space left on device\n" in result.stderr
    assert "accuracy" in (tmp_path / "junit.xml").read_text()
    assert CliRunner().invoke(app, ["golden", "show", str(DIGITS / "golden"), *full]).exit_code == 2


def test_a_broken_golden_set_measures_nothing(tmp_path: Path) -> None:
    golden = Path(shutil.copytree(DIGITS / "golden", tmp_path / "golden"))
    with (golden / "tensors.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x07")
    result = check(tmp_path, golden=golden)
    assert result.exit_code == 3
    assert "tensors.safetensors has sha256" in result.stderr
    assert result.stderr.endswith("1 unusable golden set; nothing was started.\n")
    assert "Traceback" not in result.output


def test_a_broken_config_measures_nothing(tmp_path: Path) -> None:
    result = check(tmp_path, accuracy="much")
    assert result.exit_code == 3
    assert result.stderr.endswith("1 problem; nothing was started.\n")
    assert "Traceback" not in result.output


def test_config_only_knows_the_monitors(tmp_path: Path) -> None:
    file = tmp_path / "goldwatch.yaml"
    target, golden = "{probe: onnx-runtime, file: m.onnx}", "digits"
    file.write_text(
        f"targets: {{m: {target}}}\ngolden: {{g: {golden}}}\nwatches: {{w: {{}}}}\nalerts: {{weights: {{wrose: 2}}}}\n"
    )
    result = CliRunner().invoke(app, ["check", str(file), "--config-only"])
    assert result.exit_code == 3
    assert result.stderr.startswith(
        f"{file}: alerts.weights.wrose: no monitor of this name has a share; there are failing"
    )


def test_config_only_measures_nothing(tmp_path: Path) -> None:
    result = check(tmp_path, "--config-only", model=tmp_path / "missing.onnx")
    assert result.exit_code == 0
    assert result.stdout == f"{tmp_path}/goldwatch.yaml: no problems; targets: 1, golden sets: 1, watches: 1\n"


VARYING = """\
import numpy as np

DRAW = np.random.default_rng()


def price(scale):
    return lambda request: (scale * 100 * request["x"] + DRAW.normal(size=(len(request["x"]), 1))).astype("float32")
"""


def varying(folder: Path, scale: float) -> Path:
    """Write the config of a watch of a regression whose answers are never quite the same."""
    (folder / "mine.py").write_text(VARYING)
    (folder / f"{scale}.yaml").write_text(
        f"targets: {{price: {{probe: python, path: ., callable: 'mine:price', factory: true, "
        f"arguments: {{scale: {scale}}}, outputs: [price]}}}}\ngolden: {{price: ./golden}}\n"
        "watches: {price: {every: 5m, objectives: {outputs: 2%}}}\n"
    )
    return folder / f"{scale}.yaml"


@pytest.mark.slow
def test_answers_that_vary_are_no_regression_and_answers_that_moved_are(tmp_path: Path) -> None:
    examples, sound = tmp_path / "examples.npz", varying(tmp_path, 1.0)
    np.savez(examples, x=np.linspace(1, 9, 200, dtype=np.float32)[:, np.newaxis])
    who = ["--name", "price", "--licence", "CC0-1.0", "--source", "made up", "--replays", "4"]
    how = ["--output", "price:float32:1", "--tolerance", "1"]
    built = CliRunner().invoke(app, ["golden", "build", str(sound), str(examples), *who, *how])
    assert built.exit_code == 0, built.output
    assert "examples differ" in built.stdout
    again = CliRunner().invoke(app, ["check", str(sound)])
    assert again.exit_code == 0, again.output
    assert "closeness" in again.stdout
    assert "reference 1.0000" not in next(line for line in again.stdout.splitlines() if "agreement" in line)
    moved = CliRunner().invoke(app, ["check", str(varying(tmp_path, 1.5))])
    assert moved.exit_code == 1, moved.output
    found = [line.split() for line in moved.stdout.splitlines()]
    assert ["outputs", "regression:", "mean", "distance", "20%"] in [line[:5] for line in found], moved.stdout


@pytest.mark.slow
def test_outputs_that_differ_more_than_allowed_are_a_regression_where_they_never_varied(tmp_path: Path) -> None:
    config = tmp_path / "goldwatch.yaml"
    check(tmp_path)
    config.write_text(config.read_text().replace("errors: 0.1%", "errors: 0.1%, outputs: 2%"))
    sound = CliRunner().invoke(app, ["check", str(config), "--format", "markdown"])
    assert "| digits | outputs | pass | mean distance 0% from the reference, 2% allowed |" in sound.stdout, sound.output


@pytest.mark.slow
def test_what_the_failed_requests_were_told_is_said(tmp_path: Path) -> None:
    examples, sound = tmp_path / "examples.npz", tmp_path / "sound.yaml"
    (tmp_path / "mine.py").write_text(
        "def sound(request):\n    return request['x']\n\n\n"
        "def failing(request):\n    if request['x'][0, 0] < 5:\n        raise ValueError('no such country')\n"
        "    return request['x']\n"
    )
    sound.write_text(
        "targets: {price: {probe: python, path: ., callable: 'mine:sound', outputs: [price]}}\n"
        "golden: {price: ./golden}\nwatches: {price: {every: 5m, objectives: {errors: 1%}}}\n"
    )
    np.savez(examples, x=np.arange(50, dtype=np.float32)[:, np.newaxis])
    who = ["--name", "price", "--licence", "CC0-1.0", "--source", "made up", "--replays", "2"]
    built = CliRunner().invoke(app, ["golden", "build", str(sound), str(examples), *who, "--output", "price:float32:1"])
    assert built.exit_code == 0, built.output
    failing = tmp_path / "failing.yaml"
    failing.write_text(sound.read_text().replace("mine:sound", "mine:failing"))
    result = CliRunner().invoke(app, ["check", str(failing)])
    assert result.exit_code == 1, result.output
    assert "regression: 5 of 50 requests failed, 1% allowed; most often: ValueError: no such country" in result.stdout


CLASSIFIER = """\
import os
import pathlib

import numpy as np

HERE = pathlib.Path(__file__).parent


def classes(request):
    x = request["x"][:, 0]
    found = np.stack([x, 1 - x, np.full_like(x, -np.inf)], axis=1)
    bad = int((HERE / "bad").read_text()) if (HERE / "bad").exists() else 0
    found[:bad] = np.nan
    wrong = int((HERE / "wrong").read_text()) if (HERE / "wrong").exists() else 0
    found[len(found) - wrong :, :2] = found[len(found) - wrong :, 1::-1]
    return {"y": found}


def huge(request):
    return {"y": np.full((len(request["x"]), 1), -1.7e308 if (HERE / "bad").exists() else 1.7e308)}
"""


def python_watch(folder: Path, function: str, objectives: str, output: str) -> Path:
    """Build a golden set of 400 examples of a function of `mine.py`, whose answers depend on files next to it."""
    (folder / "mine.py").write_text(CLASSIFIER)
    (folder / "goldwatch.yaml").write_text(
        f"targets: {{t: {{probe: python, path: ., callable: 'mine:{function}', outputs: [y]}}}}\n"
        f"golden: {{g: ./golden}}\nwatches: {{w: {{every: 1m, load: {{repeats: 0}}, objectives: {{{objectives}}}}}}}\n"
    )
    x = (np.arange(400)[:, np.newaxis] / 400).astype("float32")
    labels: dict[str, Any] = {"labels": (x[:, 0] < 0.5).astype(int)} if function == "classes" else {}
    np.savez(folder / "examples.npz", x=x, **labels)
    who = ["--name", "g", "--licence", "CC0-1.0", "--source", "made up", "--replays", "2", "--output", output]
    config = folder / "goldwatch.yaml"
    built = CliRunner().invoke(app, ["golden", "build", str(config), str(folder / "examples.npz"), *who])
    assert built.exit_code == 0, built.output
    return config


@pytest.mark.slow
def test_masked_classes_are_frozen_and_failed_requests_are_never_hidden(tmp_path: Path) -> None:
    python_config = python_watch(tmp_path, "classes", "errors: 5%", "y:float32:3")
    sound = CliRunner().invoke(app, ["check", str(python_config)])
    assert sound.exit_code == 0, sound.output
    assert "failed" not in sound.stdout
    (tmp_path / "bad").write_text("1")  # each request is one example: all of them
    failed = CliRunner().invoke(app, ["check", str(python_config)])
    assert failed.exit_code != 0
    assert "NaN or infinity" in failed.stdout


@pytest.mark.slow
def test_huge_answers_of_the_other_sign_are_a_regression(tmp_path: Path) -> None:
    config = python_watch(tmp_path, "huge", "outputs: 2%", "y:float64:1")
    (tmp_path / "bad").write_text("1")
    result = CliRunner().invoke(app, ["check", str(config)])
    assert result.exit_code == 1, result.output
    assert "mean distance 100% from the reference" in result.stdout
