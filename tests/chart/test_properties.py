from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-chart/bin/python"


@pytest.mark.real
def test_what_the_schema_admits_renders_and_validates() -> None:
    if not PYTHON.exists():
        assert not os.environ.get("CI"), "tests/environments/make chart has not run"
        pytest.skip("run tests/environments/make chart first")
    command = [PYTHON, ROOT / "tests/chart/properties.py"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "60 values" in done.stdout
