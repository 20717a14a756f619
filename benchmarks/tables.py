"""A golden set from a Parquet file of 20 columns: time and memory by rows, beside pandas reading the same file.

Memory is what the process has for itself (RssAnon and RssShmem of Linux) at its highest; pages of mapped files, which
the kernel takes back, are not in it. Each measurement is a process of its own. Needs pandas.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet

from benchmarks.figures import Figure
from benchmarks.million import own_mb

ROWS = (100_000, 1_000_000)
FEATURES = 19
BOUNDED = 20.0
"""Bytes a row, of 160 in the file."""

_FREEZE = f"""
import sys
from pathlib import Path
from goldwatch.golden.examples import Examples
from goldwatch.ipc.judging_jobs import FreezeExamplesRequest
from goldwatch.probe import TensorSpec
from goldwatch.worker.jobs.examples import frozen
file, folder = sys.argv[1:]
takes, outputs = (TensorSpec("x", "float32", ({FEATURES},)),), (("scores", "float32", (3,)),)
examples = Examples(Path(file), "rows", "CC0-1.0", "random numbers", takes=takes, outputs=outputs)
frozen(FreezeExamplesRequest(examples, folder), [], lambda _: None)
"""
_PANDAS = "import sys, pandas; pandas.read_parquet(sys.argv[1])"


def measure() -> list[Figure]:
    """Freeze and read both files."""
    found = []
    with tempfile.TemporaryDirectory(prefix="goldwatch-bench-") as name:
        folder = Path(name)
        took = {}
        for rows in ROWS:
            file = folder / f"{rows}.parquet"
            _write(file, rows)
            for what, code in (("goldwatch freezes it", _FREEZE), ("pandas reads it", _PANDAS)):
                time_s, mb = took[what, rows] = _watched(code, str(file), str(folder / f"set-{rows}"))
                found.append(Figure(f"{what}: time, {rows:,} rows x {FEATURES + 1} columns", time_s, "s"))
                found.append(Figure(f"{what}: peak memory, {rows:,} rows", mb, "MB"))
    for what, bound in (("goldwatch freezes it", BOUNDED), ("pandas reads it", None)):
        grown = 1e6 * (took[what, ROWS[1]][1] - took[what, ROWS[0]][1]) / (ROWS[1] - ROWS[0])
        found.append(Figure(f"{what}: memory of one more row", grown, "bytes", bound))
    return found


def _write(file: Path, rows: int) -> None:
    rng = np.random.default_rng(0)
    columns = {f"x{i}": rng.normal(size=rows) for i in range(FEATURES)} | {"label": rng.integers(0, 3, rows)}
    pyarrow.parquet.write_table(pa.table(columns), file, row_group_size=100_000)


def _watched(code: str, *arguments: str) -> tuple[float, float]:
    """Run code; return its time in seconds and its peak memory in MB."""
    began, peak = time.monotonic(), 0.0
    process = psutil.Popen([sys.executable, "-c", code, *arguments])
    while process.poll() is None:
        peak = max(peak, own_mb(process.pid))
        time.sleep(0.02)
    if process.returncode:
        raise RuntimeError(f"exit code {process.returncode}")
    return time.monotonic() - began, peak
