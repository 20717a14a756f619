"""`goldwatch check --engine ray` over Ray's own local cluster, compared with the same check without it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.real

EXAMPLE = Path(__file__).parents[2] / "examples/digits.yaml"


def check(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from goldwatch.cli import main; main()", "check", str(EXAMPLE), *options]
    env = os.environ | {"RAY_num_prestart_python_workers": "0"}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=env)


def watch(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode in (0, 1), done.stderr
    (found,) = json.loads(done.stdout)["watches"]
    return dict(found)


def test_what_is_merged_is_what_one_machine_finds() -> None:
    pytest.importorskip("ray")
    here = watch(check("--format", "json"))
    there = watch(check("--format", "json", "--engine", "ray", "--shards", "3"))
    assert there.keys() == here.keys()
    for same in ("scores", "difference", "outcomes", "examples", "validity"):
        assert there[same] == here[same], same
