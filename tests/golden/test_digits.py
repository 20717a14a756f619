"""The golden set and the models that ship with goldwatch, and the pages that explain them."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldwatch.golden.opened import GoldenSet

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "agent" / "goldwatch" / "demo" / "digits"


@pytest.fixture(scope="module")
def digits() -> GoldenSet:
    return GoldenSet.open(DIGITS / "golden")


def accuracy(digits: GoldenSet, outputs: Any) -> float:
    return float(np.mean(outputs.argmax(axis=1) == digits.tensor("labels")))


def test_the_set_is_sound(digits: GoldenSet) -> None:
    digits.check_values()
    outputs = digits.tensor("outputs.probabilities")
    right = outputs.argmax(axis=1) == digits.tensor("labels")
    assert np.array_equal(digits.tensor("reference.right"), np.outer(digits.manifest.reference.replays, right))
    assert accuracy(digits, outputs) >= 0.93
    highest = np.sort(outputs, axis=1)
    assert (highest[:, -1] - highest[:, -2]).min() > 1e-4
    assert all(isinstance(digits.tensor(name), np.memmap) for name in digits.manifest.tensors())


def test_the_manifest_names_the_model(digits: GoldenSet) -> None:
    digest = hashlib.sha256((DIGITS / "digits.onnx").read_bytes()).hexdigest()
    assert digits.manifest.reference.made_with["model"] == f"sha256:{digest}"


def test_the_models_are_as_the_readme_says(digits: GoldenSet) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    readme = (DIGITS / "README.md").read_text()
    found = {}
    for name in ("digits.onnx", "digits-quantised.onnx"):
        session = onnxruntime.InferenceSession(DIGITS / name)
        assert session.get_modelmeta().custom_metadata_map["name"] == "digits"
        [outputs] = session.run(None, {"image": np.asarray(digits.tensor("inputs.image"))})
        found[name] = outputs
        assert f"`{name}` | {accuracy(digits, outputs):.3f}" in readme
    difference = np.abs(found["digits.onnx"] - digits.tensor("outputs.probabilities")).max()
    assert difference <= digits.manifest.outputs["probabilities"].tolerance


@pytest.mark.real
def test_the_examples_are_the_last_rows_of_the_source(digits: GoldenSet) -> None:
    source = pytest.importorskip("sklearn.datasets").load_digits()
    assert np.array_equal(digits.tensor("inputs.image"), (source.images[-600:] / 16).astype(np.float32))
    assert digits.tensor("labels").tolist() == source.target[-600:].tolist()


@pytest.mark.real
def test_making_them_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    made = []
    for folder in (tmp_path / "1", tmp_path / "2"):
        command = [sys.executable, str(ROOT / "examples" / "make_digits.py"), "--folder", str(folder)]
        subprocess.run(
            command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT / "agent")}
        )
        made.append({path.name: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()})
    assert made[0] == made[1]
    assert made[0].keys() == {"digits.onnx", "digits-quantised.onnx", "golden.json", "tensors.safetensors"}


def test_the_examples_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits: GoldenSet) -> None:
    page = (ROOT / "docs" / "golden-sets.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 2
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").symlink_to(digits.path)
    for block in blocks:
        exec(compile(block, "docs/golden-sets.md", "exec"), {})
    GoldenSet.open(tmp_path / "iris-1").check_values()
