"""A small golden set to break, and the manifest and tensors that it is made of."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldwatch.golden.freeze import freeze
from goldwatch.golden.opened import GoldenSet

MANIFEST: dict[str, Any] = {
    "name": "fruit",
    "version": "2026q3",
    "task": "classification",
    "examples": 4,
    "inputs": {"x": {"dtype": "float32", "shape": [2]}},
    "labels": {"classes": ["apple", "pear", "plum"]},
    "outputs": {"scores": {"dtype": "float32", "shape": [3], "tolerance": 0.001}},
    "slices": {"country": {"values": ["BR", "FR"]}},
    "reference": {"replays": [2, 3], "deterministic": True},
    "provenance": {"source": "made up"},
    "licence": "CC0-1.0",
}


@pytest.fixture
def manifest() -> dict[str, Any]:
    return copy.deepcopy(MANIFEST)


@pytest.fixture
def tensors() -> dict[str, Any]:
    return {
        "inputs.x": np.arange(8, dtype=np.float32).reshape(4, 2),
        "labels": np.array([0, 1, 2, 1]),
        "outputs.scores": np.full((4, 3), 1 / 3, np.float32),
        "slices.country": np.array([0, 1, -1, 0]),
        "reference.right": np.array([[2, 0, 1, 2], [3, 3, 0, 0]]),
    }


@pytest.fixture
def golden(tmp_path: Path, manifest: dict[str, Any], tensors: dict[str, Any]) -> GoldenSet:
    return freeze(tmp_path / "fruit", manifest, tensors)


@pytest.fixture
def edit(golden: GoldenSet) -> Callable[..., None]:
    """Change golden.json: `edit(lambda manifest: ...)`; with `seal=True` its digests are made to match again."""

    def edit(change: Callable[[dict[str, Any]], object], *, seal: bool = False) -> None:
        path = golden.path / "golden.json"
        found = json.loads(path.read_text())
        if seal:
            data = (golden.path / "tensors.safetensors").read_bytes()
            entry = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
            found["files"]["tensors.safetensors"] = entry
        change(found)
        path.write_text(json.dumps(found))

    return edit
