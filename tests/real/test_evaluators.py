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


@pytest.mark.real
def test_evaluators_that_others_wrote_run_as_they_are(tmp_path: Path) -> None:
    if not PYTHON.exists():
        assert not os.environ.get("CI"), "tests/environments/make evaluators has not run"
        pytest.skip("run tests/environments/make evaluators first")
    (tmp_path / "same").mkdir()
    (tmp_path / "same/same.py").write_text(METRIC)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "agent"), "HF_HUB_OFFLINE": "1", "HOME": str(tmp_path)}
    program = [PYTHON, ROOT / "tests/environments/evaluators_run.py", tmp_path / "same"]
    ran = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    assert {uses: (round(value, 9), package) for uses, (value, package) in found.items()} == {
        "azure.ai.evaluation:F1ScoreEvaluator": (0.8, "azure-ai-evaluation"),
        "openevals.exact:exact_match": (0.0, "openevals"),
        "openevals.string.levenshtein:levenshtein_distance": (round(3 / 17, 9), "openevals"),
        "inspect_ai.scorer:includes": (1.0, "inspect_ai"),
        "inspect_ai.scorer:match": (0.0, "inspect_ai"),
        "inspect_ai.scorer:f1": (0.5, "inspect_ai"),
        "evaluate:load": (0.5, "evaluate"),
    }
