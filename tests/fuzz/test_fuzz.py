"""Any bytes give a value or an error of goldwatch's: the corpus, always; and some thousand mutations of it.

`python -m tests.fuzz NAME` goes on for hours. An input that once failed is in the corpus, so it is tried again here.
"""

from __future__ import annotations

import importlib
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"
NAMES = sorted(folder.name for folder in CORPUS.iterdir())
CPU_S, MEMORY_KIB = 5.0, 256 * 1024
"""Of one input, and of all those of a target: some hundred times what they take."""


def test_each_target_has_a_corpus() -> None:
    assert sorted(file.stem for file in (Path(__file__).parent / "targets").glob("*.py")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_corpus_is_read_in_bounded_time_and_memory(name: str) -> None:
    target = importlib.import_module(f"tests.fuzz.targets.{name}").target
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for file in sorted((CORPUS / name).iterdir()):
        started_s = time.process_time()
        target(file.read_bytes())
        assert time.process_time() - started_s < CPU_S, file.name
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY_KIB


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_mutations_of_the_corpus_are_read_too(name: str, tmp_path: Path) -> None:
    if os.environ.get("CI") != "true" or sys.version_info >= (3, 14):  # atheris has no wheels for it
        pytest.importorskip("atheris")
    path = os.pathsep.join(str(ROOT / folder) for folder in (".", "agent", "probes"))
    found = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", name, "-runs=2000", "-max_total_time=2", "-max_len=4096"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr[-4000:]
