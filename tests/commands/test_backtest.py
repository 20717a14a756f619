"""Recorded replays, played through the monitors: those of a ledger that an agent wrote, and a table of counts."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from goldwatch.cli.app import app
from goldwatch.commands.backtest import from_table
from goldwatch.daemon.in_force import Assignment, prepare
from goldwatch.daemon.ledger import Ledger
from goldwatch.daemon.pipeline import run
from goldwatch.ipc.workers import Workers

pytestmark = pytest.mark.slow

DIGITS = Path(__file__).parents[2] / "agent/goldwatch/demo/digits"
CONFIG = """\
targets: {{digits: {{probe: onnx-runtime, file: {model}, threads: 1}}}}
golden: {{digits: {golden}}}
watches: {{digits: {{every: 5m, objectives: {{latency: 50ms at p99, errors: 1%}}}}}}
"""


def config(folder: Path, model: str = "digits.onnx") -> Path:
    file = folder / "goldwatch.yaml"
    file.write_text(CONFIG.format(model=DIGITS / model, golden=DIGITS / "golden"))
    return file


def backtest(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["backtest", *map(str, arguments)])


def replay(assignment: Assignment, workers: Workers, ledger: Ledger, count: int) -> list[dict[str, str]]:
    """Replay as the runner does, and return the state of each monitor each time."""
    said = []
    for _ in range(count):
        states: Mapping[str, Any] = ledger.states(*assignment.key, assignment.golden.digest)
        judged = run(assignment, workers, states)
        ledger.record(judged.judgement, judged.states, observed=judged.observed)
        said.append({v.monitor: str(v.state) for v in judged.judgement.verdicts})
    return said


def test_the_history_of_an_agent_gives_the_alerts_that_it_gave(tmp_path: Path, workers: Workers) -> None:
    file = config(tmp_path)
    with Ledger(tmp_path / "goldwatch.db") as ledger:
        (sound,) = prepare(file, workers).assignments
        (broken,) = prepare(config(tmp_path, "digits-quantised.onnx"), workers).assignments
        said = replay(sound, workers, ledger, 3) + replay(broken, workers, ledger, 3)
        config(tmp_path)
        found = json.loads(backtest(file, "--json").stdout)
    assert (found["replays"], found["valid"]) == (6, 6)
    for monitor, episodes in found["alerts"].items():
        alerted = "alerting" in {verdicts.get(monitor) for verdicts in said}
        assert bool(episodes) is alerted, monitor
    (worse,) = found["alerts"]["worse"]
    assert worse["severity"] == "page"
    assert worse["closed"] is None
    text = backtest(file).stdout
    assert text.startswith("digits: 6 replays from 20")
    assert "page 20" in text


def table(folder: Path, rows: list[str], heading: str = "at,right,answered,requests,failed,over,latency_s") -> Path:
    file = folder / "history.csv"
    file.write_text("\n".join([heading, *rows]) + "\n")
    return file


def month(drop: int = 0, rng: np.random.Generator | None = None) -> list[str]:
    """Return two days of replays; accuracy drops by `drop` percentage points halfway."""
    rng = rng or np.random.default_rng(5)
    start, rows = 1_790_000_000, []
    for k in range(576):
        accuracy = 0.9517 - (drop / 100 if k >= 288 else 0)
        right, latency = rng.binomial(600, accuracy), np.exp(rng.normal(-5, 0.1))
        rows.append(f"{start + 300 * k},{right},600,600,0,{rng.binomial(600, 0.004)},{latency:.5f}")
    return rows


def test_a_table_of_counts_is_played_beside_common_rules(tmp_path: Path) -> None:
    found = json.loads(backtest(config(tmp_path), "--history", table(tmp_path, month()), "--json").stdout)
    assert found["alerts"]["worse"] == found["alerts"]["failing"] == found["alerts"]["slow"] == []
    rules = {rule["rule"]: rule for rule in found["common_rules"]}
    assert rules["accuracy: binomial test at 0.05"]["times"] > 5
    assert rules["accuracy: three sigma of the day before"]["looked"] == 556
    files = ("--output", tmp_path / "played.txt", "--output", tmp_path / "played.json")
    dropped = backtest(config(tmp_path), "--history", table(tmp_path, month(drop=10)), "--json", *files)
    found = json.loads(dropped.stdout)
    assert json.loads((tmp_path / "played.json").read_text()) == found
    assert "worse" in (tmp_path / "played.txt").read_text()
    (worse,) = found["alerts"]["worse"]
    assert 288 <= (worse["opened"] - 1_790_000_000) / 300 <= 300
    assert 280 <= (worse["since"] - 1_790_000_000) / 300 <= 290


def test_a_table_of_joules_is_played_too(tmp_path: Path) -> None:
    file = config(tmp_path)
    owed = file.read_text().replace("errors: 1%", "errors: 1%, energy: 2 J per inference")
    file.write_text(f"{owed}energy: {{every: 1h}}\n")
    rows = [f"{1_790_000_000 + 3600 * k},{1.5 if k < 48 else 4.0}" for k in range(60)]
    found = json.loads(backtest(file, "--history", table(tmp_path, rows, "at,energy_j"), "--json").stdout)
    (costly,) = found["alerts"]["costly"]
    assert (costly["severity"], costly["since"]) == ("ticket", 1_790_000_000 + 3600 * 48)
    assert costly["opened"] == 1_790_000_000 + 3600 * 51
    assert found["alerts"]["worse"] is None


def test_what_a_history_does_not_say_is_not_guessed(tmp_path: Path) -> None:
    file = table(tmp_path, ["2026-11-01 12:00,1000,3"], "at,requests,failed")
    text = backtest(config(tmp_path), "--history", file).stdout
    assert "worse    the history does not say" in text
    assert "failing  never" in text


def test_a_table_of_a_spreadsheet_may_begin_with_a_mark(tmp_path: Path) -> None:
    [record] = from_table(table(tmp_path, ["1700000000,590,600"], "\ufeffat,right,answered"), 600)
    assert (record.at, record.accuracy) == (1_700_000_000, (590, 600))


@pytest.mark.parametrize(
    ("heading", "row", "problem"),
    [
        ("at,colour", "1,red", ':1: unknown column "colour"; there may be at, right, answered'),
        ("right,answered", "1,2", ':1: no column "at"; expected the time of each replay'),
        ("at,right", "1,2", ':1: column "right" needs a column "answered"'),
        ("at,right,answered", "yesterday,1,2", ':2: at is "yesterday"; expected a time such as 2026-12-01 22:00'),
        ("at,right,answered", "inf,1,2", ':2: at is "inf"; expected a time such as 2026-12-01 22:00'),
        ("at,right,answered", "1e300,1,2", ':2: at is "1e300"; expected a time such as 2026-12-01 22:00'),
        ("at,right,answered", "nan,1,2", ':2: at is "nan"; expected a time such as 2026-12-01 22:00'),
        ("at,right,answered", "1,1,000,2", ":2: more values than columns"),
        ("at;right;answered", "1;1;2", ':1: unknown column "at;right;answered"; there may be at, right, answered'),
        ("at,right,answered", "1,700,700", ":2: right is 700; expected 0 to 600"),
        ("at,right,answered", "1,3,2", ":2: 3 right of 2 answered is impossible"),
        ("at,right,answered", "1,3,x", ':2: answered is "x"; expected a whole number'),
        ("at,requests,failed", "1,0,0", ":2: requests is 0; expected 1 to any"),
        ("at,latency_s", "1,-1", ':2: latency_s is "-1"; expected a number of seconds above 0'),
    ],
)
def test_a_wrong_table_is_told_where(tmp_path: Path, heading: str, row: str, problem: str) -> None:
    file = table(tmp_path, [row], heading)
    result = backtest(config(tmp_path), "--history", file)
    assert result.exit_code == 2
    assert f"{file}{problem}" in result.stderr


def test_no_history_is_told(tmp_path: Path) -> None:
    file = config(tmp_path)
    assert "no such ledger" in backtest(file).stderr
    with Ledger(tmp_path / "goldwatch.db"):
        assert "it holds no replay" in backtest(file).stderr
