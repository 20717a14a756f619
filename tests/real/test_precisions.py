"""The example of one model in 32, 16 and 8 bits: made as in its comment, and compared."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]


def test_accuracy_lost_stands_beside_speed_gained(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    pytest.importorskip("ai_edge_litert")
    maker = [sys.executable, "-W", "ignore", str(ROOT / "examples/make_digits_formats.py")]
    subprocess.run([*maker, str(tmp_path / "precisions"), "onnx", "tensorflow"], check=True, timeout=300)
    text = (ROOT / "examples/precisions.yaml").read_text()
    (tmp_path / "precisions.yaml").write_text(text.replace("../agent", str(ROOT / "agent")))
    goldwatch = [sys.executable, "-c", "from goldwatch.cli import main; main()", "compare"]
    command = [*goldwatch, str(tmp_path / "precisions.yaml"), "--rounds", "2", "--format", "json"]
    for _ in range(3):  # a machine that is short of processors makes replays invalid, with the reason
        (board,) = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=300).stdout)
        rows = {row["target"]: row for row in board["rows"]}
        if all(row["validity"] == "valid" for row in rows.values()):
            break
    assert board["first"] == "onnx-fp32"
    assert {row["validity"] for row in rows.values()} == {"valid"}, rows
    largest = {name: row["parity"]["largest"] for name, row in rows.items() if row["parity"]}
    assert 0 < largest["onnx-fp16"] < 0.01
    assert largest["tflite-fp32"] < 1e-5 < largest["tflite-fp16"] < 0.01
    for name in ("onnx-int8", "tflite-int8"):
        assert 0.005 < largest[name] < 0.2
        assert rows[name]["parity"]["flips"] <= 6
    for name in rows.keys() - {"onnx-fp32"}:
        assert rows[name]["speed"]["low"] <= rows[name]["speed"]["ratio"] <= rows[name]["speed"]["high"]
    sizes = {file.name: file.stat().st_size for file in (tmp_path / "precisions").glob("digits*.tflite")}
    assert sizes["digits-int8.tflite"] < sizes["digits-fp16.tflite"] < sizes["digits.tflite"]
    shutil.rmtree(tmp_path / "precisions")
