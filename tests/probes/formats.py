"""The digits in every format: made once a test run, and the probes that load them."""

import fcntl
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.golden.tensors import TensorLocation, map_tensor, read_header
from goldwatch.probe import Context, Probe

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "agent" / "goldwatch" / "demo" / "digits"
MAKER = ROOT / "examples" / "make_digits_formats.py"
CONTEXT = Context(time_limit_s=30)


@dataclass(frozen=True)
class Case:
    """A probe and its options; those in `files` are below the folder of the formats, made by the group `made_by`."""

    factory: str
    made_by: str
    files: Mapping[str, str]
    options: Mapping[str, Any] = field(default_factory=dict)
    flips: int = 0
    atol: float = 1e-6


NAMED = {"outputs": ("probabilities",)}
CASES = {
    "ONNX": Case("onnx_runtime:OnnxRuntime", "onnx", {"file": "digits.onnx"}),
    "ONNX, bound": Case("onnx_runtime:OnnxRuntime", "onnx", {"file": "digits.onnx"}, {"io_binding": True}),
    "TorchScript": Case("pytorch:PyTorch", "torch", {"file": "digits.ts"}, NAMED),
    "torch.export": Case("pytorch:PyTorch", "torch", {"file": "digits.pt2"}, NAMED),
    "safetensors": Case(
        "pytorch:PyTorch",
        "torch",
        {"file": "digits.safetensors", "path": "."},
        {"factory": "digits_model:make", **NAMED},
    ),
    "SavedModel": Case("tensorflow_saved:TensorFlow", "tensorflow", {"file": "saved_model"}),
    "SavedModel, XLA": Case("tensorflow_saved:TensorFlow", "tensorflow", {"file": "saved_model"}, {"xla": True}),
    "Keras": Case("tensorflow_saved:TensorFlow", "tensorflow", {"file": "digits.keras"}),
    "LiteRT": Case("litert:LiteRT", "tensorflow", {"file": "digits.tflite"}, {"threads": 1}),
    # The price of eight bits, not of the probe.
    "LiteRT, int8": Case(
        "litert:LiteRT", "tensorflow", {"file": "digits-int8.tflite"}, {"threads": 1}, flips=3, atol=0.05
    ),
    "OpenVINO IR": Case("openvino_ir:OpenVINO", "openvino", {"file": "digits.xml"}, {"precision": "f32"}),
    "OpenVINO, ONNX": Case("openvino_ir:OpenVINO", "onnx", {"file": "digits.onnx"}, {"precision": "f32"}),
    "jax.export": Case("jax_export:Jax", "jax", {"file": "digits.jax"}),
    "skops": Case("sklearn_skops:ScikitLearn", "sklearn", {"file": "digits.skops"}, NAMED),
    "joblib": Case("sklearn_skops:ScikitLearn", "sklearn", {"file": "digits.joblib"}, {"trust": True, **NAMED}),
}
MXNET = Case("mxnet_symbol:MXNet", "mxnet", {"file": "digits-symbol.json", "params": "digits-0000.params"}, NAMED)


class Formats:
    """A folder that all workers of a test run share, filled with a group of formats when the first test asks for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def options(self, case: Case) -> dict[str, Any]:
        """Return the options of a case as the config would give them, as plain values."""
        if case.made_by == "mxnet":
            self._make("npz", sys.executable)
        if case.made_by != "onnx":
            self._make(case.made_by, mxnet_python() if case.made_by == "mxnet" else sys.executable)
        folder = DIGITS if case.made_by == "onnx" else self.folder
        return {**{key: str(folder / name) for key, name in case.files.items()}, **case.options}

    def probe(self, case: Case, **options: Any) -> Probe:
        """Return a probe of the case, not open."""
        cls = probe_class(case)
        made: Probe = cls(cls.Options(**{**self.options(case), **options}), CONTEXT)
        return made

    def _make(self, group: str, python: str) -> None:
        with (self.folder / f".{group}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            made = self.folder / f".{group}.made"
            if not made.exists():
                command = [python, "-W", "ignore", str(MAKER), str(self.folder), group]
                done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
                assert done.returncode == 0, done.stderr
                made.touch()


@cache
def mxnet_python() -> str:
    """Return the interpreter of MXNet's environment, made if it is not there."""
    subprocess.run([ROOT / "tests" / "environments" / "make", "mxnet"], check=True)
    return str(ROOT / ".venv-mxnet" / "bin" / "python")


def probe_class(case: Case) -> Any:
    module, _, name = case.factory.partition(":")
    return getattr(import_module(f"goldwatch_probes.{module}"), name)


@cache
def location(name: str) -> TensorLocation:
    return read_header(DIGITS / "golden" / "tensors.safetensors")[name]


def images() -> NDArray[np.float32]:
    """The golden set's inputs, [600, 8, 8], read-only as a worker has them."""
    return np.asarray(map_tensor(location("inputs.image")))


def reference() -> NDArray[np.float32]:
    """The golden set's outputs, [600, 10]."""
    return np.asarray(map_tensor(location("outputs.probabilities")))
