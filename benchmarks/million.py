"""A golden set of a million examples beside one of 10,000: the time and the memory of `goldwatch check`, by process.

The sets are the digits over and over, the model runs in process. Memory is what a process has for itself or shares with
the other (RssAnon and RssShmem of Linux), at its highest; pages of files, of the set's own and of those that columns
lie in, belong to the page cache, which the kernel takes back.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import yaml

from benchmarks import digits
from benchmarks.figures import Figure

SIZES = (10_000, 1_000_000)
BOUNDED = 8.0
"""Bytes an example: fewer than one number. What is left is buffers that are full with the larger set only."""

_LOOK_EVERY_S = 0.02


def measure() -> list[Figure]:
    """Check both sets."""
    found, seconds, agents_mb, trees_mb = [], [], [], []
    with tempfile.TemporaryDirectory(prefix="goldwatch-bench-") as folder:
        for examples in SIZES:
            golden = digits.of_size(Path(folder) / f"golden-{examples}", examples)
            taken_s, agent_mb, worker_mb = _check(_config(Path(folder), golden))
            name = f"{examples:,} examples"
            seconds.append(taken_s)
            agents_mb.append(agent_mb)
            trees_mb.append(worker_mb)
            found += [
                Figure(f"time of a check, {name}", taken_s, "s"),
                Figure(f"peak memory of the agent, {name}", agent_mb, "MB"),
                Figure(f"peak memory of a worker, {name}", worker_mb, "MB"),
            ]
    more = SIZES[1] - SIZES[0]
    return [
        *found,
        Figure("time of one more example", 1e6 * (seconds[1] - seconds[0]) / more, "µs"),
        Figure("agent's memory of one more example", 1e6 * (agents_mb[1] - agents_mb[0]) / more, "bytes", BOUNDED),
        Figure("worker's memory of one more example", 1e6 * (trees_mb[1] - trees_mb[0]) / more, "bytes", BOUNDED),
    ]


def _config(folder: Path, golden: Path) -> Path:
    watch = {"every": "2h", "objectives": {"latency": "50ms at p99"}}
    target = {"probe": "onnx-runtime", "file": str(digits.MODEL), "threads": 1}
    path = folder / "goldwatch.yaml"
    contents = {"targets": {"digits": target}, "golden": {"digits": str(golden)}, "watches": {"digits": watch}}
    path.write_text(yaml.safe_dump(contents))
    return path


def _check(config: Path) -> tuple[float, float, float]:
    """Return the seconds of a check, and the peak memory of the agent and of the largest worker in MB."""
    began = time.monotonic()
    command = [Path(sys.executable).with_name("goldwatch"), "check", config]
    process = psutil.Popen(command, stdout=subprocess.DEVNULL)
    agent_mb = worker_mb = 0.0
    while process.poll() is None:
        agent_mb = max(agent_mb, _own_mb(process.pid))
        worker_mb = max([worker_mb, *(_own_mb(child.pid) for child in _children(process))])
        time.sleep(_LOOK_EVERY_S)
    if process.returncode not in (0, 1):  # a machine too slow for its objective is measured all the same
        raise RuntimeError(f"the check ended with exit code {process.returncode}")
    return time.monotonic() - began, agent_mb, worker_mb


def _children(process: psutil.Popen) -> list[psutil.Process]:
    try:
        found: list[psutil.Process] = process.children()
    except psutil.NoSuchProcess:
        return []
    return found


def _own_mb(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    lines = [line.split() for line in status.splitlines() if line.startswith(("RssAnon:", "RssShmem:"))]
    return sum(int(kilobytes) for _, kilobytes, _ in lines) / 1e3
