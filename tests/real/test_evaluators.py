"""Evaluators of other projects run unchanged: Azure AI Evaluation, openevals, inspect_ai, Hugging Face evaluate.

`tests/environments/make evaluators` makes their environment of 120 packages, too much for every run of CI.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-evaluators/bin/python"

METRIC = """
import datasets
import evaluate

class Same(evaluate.Metric):
    def _info(self):
        features = datasets.Features({"predictions": datasets.Value("string"), "references": datasets.Value("string")})
        return evaluate.MetricInfo(description="", citation="", features=features)

    def _compute(self, predictions, references):
        return {"same": sum(a == b for a, b in zip(predictions, references)) / len(references)}
"""

SCORER = """
from inspect_ai.scorer import Score, mean, scorer

@scorer(metrics=[mean()])
def gives(value):
    async def score(state, target):
        return Score(value=value)
    return score
"""


@pytest.mark.real
def test_evaluators_that_others_wrote_run_as_they_are(tmp_path: Path) -> None:
    if not PYTHON.exists():
        assert not os.environ.get("CI"), "tests/environments/make evaluators has not run"
        pytest.skip("run tests/environments/make evaluators first")
    (tmp_path / "same").mkdir()
    (tmp_path / "same/same.py").write_text(METRIC)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/scorers.py").write_text(SCORER)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "agent"), "HF_HUB_OFFLINE": "1", "HOME": str(tmp_path)}
    program = [PYTHON, ROOT / "tests/environments/evaluators_run.py", tmp_path / "same", tmp_path / "theirs"]
    ran = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    named = {uses: found.pop(uses) for uses in list(found) if not uses.startswith("[")}
    assert {uses: (round(value, 9), package) for uses, (value, package) in named.items()} == {
        "azure.ai.evaluation:F1ScoreEvaluator": (0.8, "azure-ai-evaluation"),
        "openevals.exact:exact_match": (0.0, "openevals"),
        "openevals.string.levenshtein:levenshtein_distance": (round(3 / 17, 9), "openevals"),
        "inspect_ai.scorer:includes": (1.0, "inspect_ai"),
        "inspect_ai.scorer:match": (0.0, "inspect_ai"),
        "inspect_ai.scorer:f1": (0.5, "inspect_ai"),
        "evaluate:load": (0.5, "evaluate"),
    }
    assert [(json.loads(written)[0], value) for written, value in found.items()] == [
        *(("C", 1), ("I", 0), ("P", 0.5), ("N", 0), ("Yes", 1), ("false", 0), ("0.5", 0.5), (True, 1), (0.25, 0.25)),
        *(("B", "no_number"), ("nan", "no_number"), ([1, 0], "no_number")),
        ({"f1": 0.8, "exact": 0}, 0.8),
        ({"f1": 0.8, "exact": 0}, "no_number"),
    ]
