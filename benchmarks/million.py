"""A golden set of a million examples and one of 10,000: time and memory of what reads all of it, by process.

The sets are the digits over and over, the model runs in process. Memory is what a process has for itself or shares with
the other (RssAnon and RssShmem of Linux), at its highest; pages of files, of the set's own and of those that hold
columns, belong to the page cache, which the kernel takes back.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import yaml

from goldwatch.golden.opened import GoldenSet

from benchmarks import digits
from benchmarks.figures import Figure

SIZES = (10_000, 1_000_000)
BOUNDED = 8.0
"""Bytes an example: fewer than one number. What is left is buffers that are full with the larger set only."""

_LOOK_EVERY_S = 0.05
_WHO = ("--name", "digits", "--licence", "CC-BY-4.0", "--source", "scikit-learn")


@dataclass(frozen=True, slots=True)
class Took:
    """The time of a command, and the peak memory of the agent and of the largest worker."""

    time_s: float
    agent_mb: float
    worker_mb: float


def measure() -> list[Figure]:
    """Let each command read both sets."""
    with tempfile.TemporaryDirectory(prefix="goldwatch-bench-") as folder:
        few, many = (_all(Path(folder) / str(examples), examples) for examples in SIZES)
    return [figure for what in few for figure in _figures(what, few[what], many[what])]


def _figures(what: str, few: Took, many: Took) -> list[Figure]:
    found, more = [], SIZES[1] - SIZES[0]
    for examples, took in zip(SIZES, (few, many), strict=True):
        found += [
            Figure(f"{what}: time, {examples:,} examples", took.time_s, "s"),
            Figure(f"{what}: peak memory of the agent, {examples:,} examples", took.agent_mb, "MB"),
            Figure(f"{what}: peak memory of a worker, {examples:,} examples", took.worker_mb, "MB"),
        ]
    agent, worker = (1e6 * growth / more for growth in (many.agent_mb - few.agent_mb, many.worker_mb - few.worker_mb))
    return [
        *found,
        Figure(f"{what}: time of one more example", 1e6 * (many.time_s - few.time_s) / more, "µs"),
        Figure(f"{what}: agent's memory of one more example", agent, "bytes", BOUNDED),
        Figure(f"{what}: worker's memory of one more example", worker, "bytes", BOUNDED),
    ]


def _all(folder: Path, examples: int) -> Mapping[str, Took]:
    """Build a set of `examples` examples, then check a model by it, and compare it with a twin."""
    folder.mkdir()
    config, golden, raw = _config(folder, "digits"), folder / "golden", folder / "examples.npz"
    _write(raw, examples)
    built = _watched("golden", "build", config, raw, "--to", golden, "--replays", "2", *_WHO)
    raw.unlink()
    checked = _watched("check", config, may_end_with=(0, 1))
    compared = _watched("compare", _config(folder, "digits", "twin"), "--rounds", "2")
    return {"golden build": built, "check": checked, "compare": compared}


def _write(file: Path, examples: int) -> None:
    shipped, rows = GoldenSet.open(digits.GOLDEN), np.arange(examples)
    image, labels = (shipped.tensor(name)[rows % shipped.examples] for name in ("inputs.image", "labels"))
    np.savez(file, image=image, labels=labels)


def _config(folder: Path, *names: str) -> Path:
    watch = {"every": "2h", "objectives": {"latency": "50ms at p99"}, "targets": list(names)}
    targets = {name: {"probe": "onnx-runtime", "file": str(digits.MODEL), "threads": 1} for name in names}
    path = folder / "goldwatch.yaml"
    contents = {"targets": targets, "golden": {"digits": "./golden"}, "watches": {"digits": watch}}
    path.write_text(yaml.safe_dump(contents))
    return path


def _watched(*arguments: str | Path, may_end_with: tuple[int, ...] = (0,)) -> Took:
    """Run a command. A machine too slow for the objective of a check is measured all the same."""
    began = time.monotonic()
    process = psutil.Popen([Path(sys.executable).with_name("goldwatch"), *arguments], stdout=subprocess.DEVNULL)
    agent_mb = worker_mb = 0.0
    while process.poll() is None:
        agent_mb = max(agent_mb, own_mb(process.pid))
        worker_mb = max([worker_mb, *(own_mb(child.pid) for child in _children(process))])
        time.sleep(_LOOK_EVERY_S)
    if process.returncode not in may_end_with:
        raise RuntimeError(f"goldwatch {arguments[0]} ended with exit code {process.returncode}")
    return Took(time.monotonic() - began, agent_mb, worker_mb)


def _children(process: psutil.Popen) -> list[psutil.Process]:
    try:
        found: list[psutil.Process] = process.children()
    except psutil.NoSuchProcess:
        return []
    return found


def own_mb(pid: int) -> float:
    """Return the memory of a process that no file backs, in MB; 0 if it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    lines = [line.split() for line in status.splitlines() if line.startswith(("RssAnon:", "RssShmem:"))]
    return sum(int(kilobytes) for _, kilobytes, _ in lines) / 1e3
