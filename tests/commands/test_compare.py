"""`goldwatch compare`: one golden set across targets, in process."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from typer.testing import CliRunner

from goldwatch.cli.app import app
from goldwatch.commands.compare import _speed
from goldwatch.core.judgement import Judgement
from goldwatch.worker.monitors.bounds import mcnemar

from tests.builders import judgement

pytestmark = pytest.mark.slow

DIGITS = Path(__file__).parents[2] / "agent/goldwatch/demo/digits"
CONFIG = f"""\
targets:
  sound: {{probe: onnx-runtime, file: {DIGITS}/digits.onnx, threads: 1}}
  twin: {{probe: onnx-runtime, file: {DIGITS}/digits.onnx, threads: 1}}
  quantised: {{probe: onnx-runtime, file: {DIGITS}/digits-quantised.onnx, threads: 1}}
  gone: {{probe: open-inference, url: "http://127.0.0.1:1", model: digits}}
golden: {{digits: {DIGITS}/golden}}
watches:
  digits: {{targets: [sound, twin, quantised, gone]}}
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("compare") / "goldwatch.yaml"
    path.write_text(CONFIG)
    return str(path)


def test_the_board_says_what_is_real_and_what_is_noise(config: str, tmp_path: Path) -> None:
    files = [part for name in ("page.html", "board.md") for part in ("--output", str(tmp_path / name))]
    result = CliRunner().invoke(app, ["compare", config, "--rounds", "2", "--format", "json", *files])
    assert result.exit_code == 0, result.output
    (board,) = json.loads(result.stdout)
    assert board["first"] == "sound"
    rows = {row["target"]: row for row in board["rows"]}
    assert rows["sound"]["parity"] is None
    twin = {"compared": 600, "flips": 0, "largest": 0.0, "cosine": 1.0, "only_first": 0, "only_other": 0, "p_value": 1}
    assert rows["twin"]["parity"] == pytest.approx(twin)
    assert not rows["twin"]["accuracy_differs"]
    damaged = rows["quantised"]["parity"]
    assert (damaged["only_first"], damaged["only_other"]) == (109, 9)
    assert 118 <= damaged["flips"] <= 130  # 125 with most builds of the runtime: near ties of a model in 3 bits
    assert rows["quantised"]["accuracy_differs"]
    assert rows["gone"]["parity"] is None
    assert rows["gone"]["reasons"] == ["http://127.0.0.1:1/v2/health/ready: Connection refused"]
    assert [row["target"] for row in board["rows"]][-1] == "gone"
    pairs = {(pair["first"], pair["other"]): pair for pair in board["pairs"]}
    assert [*pairs] == [("sound", "twin"), ("sound", "quantised"), ("twin", "quantised")]
    assert pairs["sound", "quantised"]["only_first"] == pairs["twin", "quantised"]["only_first"] == 109
    assert [pair["differ"] for pair in pairs.values()] == [False, True, True]
    page = (tmp_path / "page.html").read_text()
    assert "<bdi>quantised</bdi> is less accurate than <bdi>sound</bdi>" in page
    assert (
        "no difference seen in accuracy between <bdi>sound, twin</bdi>; <bdi>gone</bdi> could not be measured" in page
    )
    assert page.count("109*") == 2
    assert page.count('class="rad"') == 3
    assert (len(page.encode()) < 400_000, "<script" in page) == (True, False)
    assert r"| quantised | onnxruntime" in (tmp_path / "board.md").read_text()


LAME = """\
import numpy as np


def answer(request):
    found = np.full((len(request["image"]), 10), 0.1, np.float32)
    found[request["image"].sum(axis=(1, 2)) > 18] = np.nan
    return {"probabilities": found}
"""


def test_nothing_is_claimed_of_a_target_that_answers_too_little(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(LAME)
    lame = f"{{probe: python, path: {tmp_path}, callable: 'mine:answer', outputs: [probabilities]}}"
    config = CONFIG.replace('{probe: open-inference, url: "http://127.0.0.1:1", model: digits}', lame)
    (tmp_path / "goldwatch.yaml").write_text(config)
    command = ["compare", str(tmp_path / "goldwatch.yaml"), "--rounds", "1", "--format", "json"]
    result = CliRunner().invoke(app, [*command, "--output", str(tmp_path / "page.html")])
    (board,) = json.loads(result.stdout)
    row = next(row for row in board["rows"] if row["target"] == "gone")
    assert (row["validity"], row["parity"], row["accuracy_differs"]) == ("insufficient", None, False)
    assert len(board["pairs"]) == 3
    page = (tmp_path / "page.html").read_text()
    assert "<bdi>quantised</bdi> is less accurate than <bdi>sound</bdi>" in page
    assert "<bdi>gone</bdi> could not be measured" in page


def test_the_table_is_sorted_best_first_and_names_what_could_not_be_measured(config: str) -> None:
    result = CliRunner().invoke(app, ["compare", config, "--rounds", "1", "--sort", "accuracy"])
    lines = result.stdout.splitlines()
    assert lines[0].endswith("compared with sound, by accuracy")
    assert [line.split()[0] for line in lines[2:]] == ["sound", "twin", "quantised", "gone:"]
    assert lines[-1] == "gone: could not measure: http://127.0.0.1:1/v2/health/ready: Connection refused"


def test_cost_is_that_of_the_model_and_has_an_interval(tmp_path: Path) -> None:
    same = CONFIG.replace(", quantised, gone", "") + "energy: {price: {machine: 3.60 USD per hour}}\n"
    (tmp_path / "goldwatch.yaml").write_text(same)
    command = ["compare", str(tmp_path / "goldwatch.yaml"), "--rounds", "3", "--format", "json"]
    (board,) = json.loads(CliRunner().invoke(app, command).stdout)
    for row in board["rows"]:
        cost, interval = row["footprint"]["inference"]["money"], row["cost_interval"]
        assert cost < 0.001 / row["throughput"]  # what goldwatch takes between two requests is left out
        assert row["footprint"]["right_answer"]["money"] == pytest.approx(cost / (571 / 600))
        assert interval["low"] <= interval["value"] <= interval["high"]
        assert row["throughput_interval"]["low"] <= row["throughput"] * 1.5


@given(st.integers(0, 300), st.integers(0, 300))
def test_the_paired_test_is_the_exact_one(a: int, b: int) -> None:
    expected = binomtest(a, a + b, 0.5).pvalue if a + b else 1.0
    assert mcnemar(a, b) == pytest.approx(expected, rel=1e-9)


def test_speed_is_real_only_if_the_rounds_agree() -> None:
    def rounds(*medians_s: float) -> list[Judgement]:
        return [judgement(latencies_s=(m,)) for m in medians_s]

    firsts = rounds(0.010, 0.012, 0.011, 0.010, 0.013)
    twice = _speed(firsts, rounds(0.005, 0.006, 0.0055, 0.0051, 0.0064))
    noisy = _speed(firsts, rounds(0.005, 0.020, 0.010, 0.012, 0.013))
    assert twice is not None
    assert noisy is not None
    assert twice.real
    assert twice.ratio == pytest.approx(2, rel=0.02)
    assert not noisy.real
    assert _speed(firsts[:1], firsts[:1]) is None
