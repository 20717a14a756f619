"""The commands of docs/quickstart.md up to `goldwatch run` work as they are written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .agent import ROOT
from tests.programs import program

PAGE = ROOT / "docs/quickstart.md"


@pytest.mark.real
@pytest.mark.slow
def test_a_golden_set_a_check_and_rules(tmp_path: Path) -> None:
    commands = "".join(re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL))
    paths = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", f"{commands}\n{program('promtool')} check config prometheus.yml"],
        cwd=tmp_path,
        env={**os.environ, "PATH": paths},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "accuracy 0.9517 over 4 replays, the same in all of them" in done.stdout
    assert re.search(r"^  verdict +pass$", done.stdout, re.MULTILINE)
    assert "SUCCESS" in done.stdout
