"""What the budget buys, before anything runs: from the monitors themselves, on the digits and on a small set."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from goldwatch.cli.app import app
from goldwatch.core.budget import Budget
from goldwatch.golden.freeze import freeze
from goldwatch.worker.monitors.failing import Failing
from goldwatch.worker.monitors.share import Requests

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "examples/digits.yaml"


def explained(config: Path) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["explain-budget", str(config), "--json"])
    assert result.exit_code == 0, result.output
    (watch,) = json.loads(result.stdout)["watches"]
    return dict(watch)


def small_set(folder: Path, examples: int) -> Path:
    """Freeze a set small enough that a loss of two points is less than an example."""
    labels = np.arange(examples) % 2
    freeze(
        folder / "small",
        {
            "name": "small",
            "version": "1",
            "task": "classification",
            "examples": examples,
            "inputs": {"x": {"dtype": "float32", "shape": [1]}},
            "labels": {"classes": ["no", "yes"]},
            "outputs": {"scores": {"dtype": "float32", "shape": [2], "tolerance": 0.001}},
            "reference": {"replays": [1, 1], "deterministic": False},
            "provenance": {"source": "made up"},
            "licence": "CC0-1.0",
        },
        {
            "inputs.x": labels.astype(np.float32)[:, np.newaxis],
            "labels": labels,
            "outputs.scores": np.eye(2, dtype=np.float32)[labels],
            "reference.right": np.ones((2, examples), dtype=np.int64),
        },
    )
    (folder / "copier.py").write_text(
        "import numpy as np\n\n\ndef answer(request):\n"
        "    return np.eye(2, dtype=np.float32)[request['x'].astype(int)[:, 0]]\n"
    )
    config = folder / "goldwatch.yaml"
    config.write_text(
        f"targets:\n  model: {{probe: python, path: {folder}, callable: 'copier:answer', outputs: [scores]}}\n"
        "golden: {model: ./small}\n"
        "watches:\n  model: {every: 1h}\n"
    )
    return config


def test_the_table_says_what_the_monitors_do() -> None:
    watch = explained(DIGITS)
    alpha = Budget(1, dict.fromkeys(("worse", "failing", "slow"), 1)).alpha("failing", 300)
    assert all(notice["threshold"] == pytest.approx(-math.log10(alpha)) for notice in watch["notices"])
    (dead,) = (n for n in watch["notices"] if n["effect"] == "all requests fail")
    monitor, replays, alerting = Failing(0.001, alpha), 0, False
    state = monitor.fresh()
    while not alerting:
        state, verdict = monitor.update(Requests(600, 600), state, 0.0)
        replays, alerting = replays + 1, verdict.state == "alerting"
    assert dead["replays"] == replays
    assert watch["helps"] == []


def test_more_is_noticed_sooner_and_the_same_examples_are_no_later_than_the_objectives_say() -> None:
    watch = explained(DIGITS)
    for monitor in ("worse", "failing", "slow"):
        after = [n["replays"] for n in watch["notices"] if n["monitor"] == monitor]
        assert after == sorted(after, reverse=True)
        assert all(replays is not None for replays in after)


def test_a_person_reads_it_as_a_table() -> None:
    text = CliRunner().invoke(app, ["explain-budget", str(DIGITS)]).stdout
    lines = text.splitlines()
    assert lines[0] == "digits: 1 false alarm a year over 3 monitors"
    assert "a replay every 5m (105,120 a year)" in lines[1]
    assert any(
        line.startswith("  worse    5.50       2 points of accuracy are lost, the same examples") for line in lines
    )
    assert any("silent   a fact" in line and line.endswith("3 intervals (15m)") for line in lines)


@pytest.mark.slow
def test_a_set_too_small_for_its_objective_is_told_so_with_what_would_help(tmp_path: Path) -> None:
    config = small_set(tmp_path, 30)
    watch = explained(config)
    (missed,) = (n for n in watch["notices"] if n["declared"] and n["monitor"] == "worse")
    assert missed["replays"] is None
    assert watch["helps"][0] == "a golden set of 480 examples would notice it"


@pytest.mark.slow
def test_check_warns_of_what_would_not_be_noticed(tmp_path: Path) -> None:
    config = small_set(tmp_path, 30)
    result = CliRunner().invoke(app, ["check", str(config)])
    warning = (
        f"{config}: warning: watches.model: worse would not notice within 168 replays (7d) that 2 points of accuracy"
    )
    assert warning in result.stderr
    assert "a golden set of" in result.stderr
    assert "warning" not in CliRunner().invoke(app, ["check", str(DIGITS)]).stderr


def test_what_is_too_dear_is_noticed_after_measurements_and_not_replays(tmp_path: Path) -> None:
    text = DIGITS.read_text().replace("latency:", "energy: 2 J per inference, cost: 20% above usual, latency:")
    text = text.replace("../", f"{ROOT}/")
    (tmp_path / "goldwatch.yaml").write_text(f"{text}\nenergy: {{every: 2h, price: {{machine: 2 USD per hour}}}}\n")
    result = CliRunner().invoke(app, ["explain-budget", str(tmp_path / "goldwatch.yaml")])
    assert result.exit_code == 0, result.output
    lines = [line.split(maxsplit=2) for line in result.stdout.splitlines() if line.startswith("  costly")]
    alpha = Budget(1, dict.fromkeys(("worse", "failing", "slow", "costly"), 1)).alpha("costly", 7200)
    assert [line[1] for line in lines] == [f"{-math.log10(alpha):.2f}"] * 2
    assert lines[0][2].startswith("an inference takes over 2 J")
    assert lines[0][2].endswith("4 measurements (8h)")
    assert lines[1][2].startswith("cost of an inference is over 20% above usual")


def test_a_drift_of_live_rows_is_noticed_after_windows(tmp_path: Path) -> None:
    text = (
        DIGITS.read_text().replace("../", f"{ROOT}/").replace("objectives:", "live: {requests: 100}\n    objectives:")
    )
    (tmp_path / "goldwatch.yaml").write_text(text)
    result = CliRunner().invoke(app, ["explain-budget", str(tmp_path / "goldwatch.yaml")])
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stdout.splitlines() if line.startswith("  drift")]
    alpha = Budget(1, dict.fromkeys(("worse", "failing", "slow", "drift"), 1)).alpha("drift", 300)
    assert all(f"{-math.log10(alpha):.2f}" in line for line in lines)
    assert "image mean of live rows is 10 percentiles higher" in lines[0]
    after = [int(line.partition(" full window")[0].split()[-1]) for line in lines]
    assert after[0] > after[1] >= 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("clusters", "said"),
    [
        ("10", "Live clusters: 10: at most 10 requests of a window depend on each other."),
        ("{key: user}", "those with the same user depend on each other, at most 10 rows are taken of each."),
        ("unknown", "Live clusters: unknown: all requests of a window may depend on each other."),
    ],
)
def test_what_is_stated_of_live_requests_and_what_it_costs_is_shown(tmp_path: Path, clusters: str, said: str) -> None:
    live = f"live: {{requests: 100, clusters: {clusters}}}\n    objectives:"
    (tmp_path / "goldwatch.yaml").write_text(DIGITS.read_text().replace("../", f"{ROOT}/").replace("objectives:", live))
    result = CliRunner().invoke(app, ["explain-budget", str(tmp_path / "goldwatch.yaml")])
    assert result.exit_code == 0, result.output
    assert said in result.stdout
    first = next(line for line in result.stdout.splitlines() if line.startswith("  drift"))
    stated, plain = (int(part.partition(" full window")[0].split()[-1]) for part in first.split(";"))
    assert stated > 2 * plain
    assert first.endswith(" if requests were independent")
