"""The targets of the benchmarks: the digits that goldwatch ships, a server for them, and configs that watch them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import goldwatch.demo
from goldwatch.golden.freeze import freeze
from goldwatch.golden.opened import GoldenSet

FOLDER = Path(goldwatch.demo.__file__).parent / "digits"
MODEL = FOLDER / "digits.onnx"
GOLDEN = FOLDER / "golden"

IN_PROCESS = f"{{probe: onnx-runtime, file: {MODEL}, threads: 1}}"

_CONFIG = """\
targets:
  digits: {target}
golden:
  digits: {golden}
watches:
  digits:
    every: 5m
    jitter: 0s
    objectives: {{accuracy: no worse than 1 point, errors: 1%, latency: 50ms at p99}}
alerts: {{false_alarms: 1 per year}}
exporters:
  prometheus: {{listen: "127.0.0.1:{port}"}}
{push}ledger: {folder}/goldwatch.db
"""


def served(address: str) -> str:
    """Return the target that a server of the digits is."""
    return f"{{probe: open-inference, url: {address}, model: digits}}"


def config(folder: Path, target: str, port: int = 0, golden: Path = GOLDEN, protocol: str = "") -> Path:
    """Write a config with one watch into a folder. With a `protocol` it also pushes, to a closed port."""
    path = folder / "goldwatch.yaml"
    push = f'  otlp: {{endpoint: "http://127.0.0.1:9", protocol: {protocol}, every: 5s}}\n' if protocol else ""
    path.write_text(_CONFIG.format(target=target, golden=golden, port=port, folder=folder, push=push))
    return path


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Serve the digits from a process of its own and give its address."""
    command = [sys.executable, "-m", "goldwatch.demo.server", "--model", f"digits={MODEL}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["address"]
        finally:
            process.terminate()


def of_size(folder: Path, examples: int) -> Path:
    """Freeze a golden set of `examples` examples: the first of the digits, or the digits over and over."""
    golden = GoldenSet.open(GOLDEN)
    rows = np.arange(examples) % golden.examples
    tensors = {}
    for name in golden.manifest.tensors():
        axis = 1 if name == "reference.right" else 0
        tensors[name] = np.take(np.asarray(golden.tensor(name)), rows, axis=axis)
    manifest = golden.manifest.model_dump(mode="json", exclude={"format", "files"}) | {"examples": examples}
    freeze(folder, manifest, tensors)
    return folder
