"""A model of an amount and two ratios, its golden set, and live requests of it: sound, or with one column moved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from goldwatch.golden.freeze import freeze
from goldwatch.golden.opened import GoldenSet

N = 600
MODEL = """\
import numpy as np


def answer(request):
    return np.eye(2, dtype=np.float32)[(request["amount"] > 0).astype(int).reshape(-1)]
"""


def rows(seed: int, count: int, shift: float = 0.0) -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(seed)
    return {
        "amount": rng.normal(shift, 1, count).astype(np.float32),
        "ratios": rng.random((count, 2), dtype=np.float32),
    }


def golden(folder: Path, count: int = N) -> GoldenSet:
    found = rows(0, count)
    labels = (found["amount"] > 0).astype(np.int64)
    return freeze(
        folder,
        {
            "name": "model",
            "version": "1",
            "task": "classification",
            "examples": count,
            "inputs": {
                "amount": {"dtype": "float32", "shape": []},
                "ratios": {"dtype": "float32", "shape": [2]},
            },
            "labels": {"classes": ["no", "yes"]},
            "outputs": {"scores": {"dtype": "float32", "shape": [2], "tolerance": 0.001}},
            "reference": {"replays": [10, 10], "deterministic": False},
            "provenance": {"source": "made up"},
            "licence": "CC0-1.0",
        },
        {
            "inputs.amount": found["amount"],
            "inputs.ratios": found["ratios"],
            "labels": labels,
            "outputs.scores": np.eye(2, dtype=np.float32)[labels],
            "reference.right": np.full((2, count), 10),
        },
    )


def config(folder: Path, live: str, every: str = "5m") -> Path:
    """Write a config over the golden set in `folder`, whose live traffic is `live`."""
    (folder / "wholesome.py").write_text(MODEL)
    target = f"{{probe: python, path: {folder}, callable: 'wholesome:answer', outputs: [scores], warm: true}}"
    watch = f"{{every: {every}, jitter: 0s, load: {{warmup: 0}}, live: {live}}}"
    file = folder / "goldwatch.yaml"
    file.write_text(f"targets: {{model: {target}}}\ngolden: {{model: ./golden}}\nwatches: {{model: {watch}}}\n")
    return file


def requests(seed: int, count: int, shift: float = 0.0) -> Iterator[dict[str, Any]]:
    """Yield requests of one row each, in the form V1."""
    found = rows(seed, count, shift)
    for amount, ratios in zip(found["amount"].tolist(), found["ratios"].tolist(), strict=True):
        yield {"instances": [{"amount": amount, "ratios": ratios}]}


def lines(seed: int, count: int, shift: float = 0.0) -> str:
    return "".join(json.dumps(request) + "\n" for request in requests(seed, count, shift))


def sessions(seed: int, clients: int = 20, each: int = 10, shift: float = 0.0) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield requests of clients that send one row again and again, and who sends each."""
    for number, request in enumerate(requests(seed, clients, shift)):
        yield from [(f"secret-{seed}-{number}", request)] * each
