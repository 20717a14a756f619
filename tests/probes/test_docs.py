"""docs/probes.md: its example runs, its tables are the options, its configs are taken."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from goldwatch_probes._remote import RemoteOptions
from goldwatch_probes.http_template import HttpTemplate
from goldwatch_probes.jax_export import Jax
from goldwatch_probes.litert import LiteRT
from goldwatch_probes.mlflow_scoring import MlflowScoring
from goldwatch_probes.mxnet_symbol import MXNet
from goldwatch_probes.onnx_runtime import OnnxRuntime
from goldwatch_probes.open_inference import OpenInference
from goldwatch_probes.open_inference_grpc import OpenInferenceGrpc
from goldwatch_probes.openai_api import OpenAI
from goldwatch_probes.openvino_ir import OpenVINO
from goldwatch_probes.python_callable import PythonCallable
from goldwatch_probes.pytorch import PyTorch
from goldwatch_probes.sklearn_skops import ScikitLearn
from goldwatch_probes.tensorflow_saved import TensorFlow
from goldwatch_probes.tensorflow_serving import TensorFlowServing
from goldwatch_probes.tensorflow_serving_grpc import TensorFlowServingGrpc
from goldwatch_probes.torchserve import TorchServe
from goldwatch_probes.triton_generate import TritonGenerate

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "probes.md").read_text()
PROBES: dict[str, Any] = {
    "http": HttpTemplate,
    "mlflow": MlflowScoring,
    "onnx-runtime": OnnxRuntime,
    "jax": Jax,
    "litert": LiteRT,
    "mxnet": MXNet,
    "openai": OpenAI,
    "triton-generate": TritonGenerate,
    "openvino": OpenVINO,
    "python": PythonCallable,
    "pytorch": PyTorch,
    "sklearn": ScikitLearn,
    "tensorflow": TensorFlow,
    "open-inference": OpenInference,
    "open-inference-grpc": OpenInferenceGrpc,
    "tensorflow-serving": TensorFlowServing,
    "tensorflow-serving-grpc": TensorFlowServingGrpc,
    "torchserve": TorchServe,
}
COMMON = dataclasses.fields(RemoteOptions)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_example_passes_the_conformance_suite(tmp_path: Path) -> None:
    for block in blocks("python"):
        (tmp_path / block.splitlines()[0].removeprefix("# ")).write_text(block)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"\d\d passed", done.stdout)


def row(field: dataclasses.Field[Any]) -> str:
    if field.default is dataclasses.MISSING:
        default = "required" if field.default_factory is dataclasses.MISSING else "none"
    else:
        default = f"`{json.dumps(field.default)}`" if field.default not in ("", None, ()) else "none"
    secret = " (secret)" if field.metadata["secret"] else ""
    return f"| `{field.name}` | {default} | {field.metadata['text']}{secret} |"


def table(heading: str) -> list[str]:
    section = TEXT.split(f"## {heading}")[1].split("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("| `")]


@pytest.mark.parametrize("name", PROBES)
def test_the_table_is_the_options(name: str) -> None:
    options = PROBES[name].Options
    common = {field.name for field in COMMON} if issubclass(options, RemoteOptions) else set()
    assert table(f"{name}:") == [row(field) for field in dataclasses.fields(options) if field.name not in common]


def test_the_common_table_is_the_common_options() -> None:
    assert table("Probes of served models\n") == [row(field) for field in COMMON]


def test_the_configs_name_options_that_exist() -> None:
    configs = [target for block in blocks("yaml") for target in yaml.safe_load(block)["targets"].values()]
    assert {target["probe"] for target in configs} == set(PROBES)
    for target in configs:
        target.pop("python", None)  # the target's own key
        PROBES[target.pop("probe")].Options(**target)


def test_the_table_of_what_was_proven() -> None:
    lines = TEXT.split("## What was proven")[1].split("\n## ")[0].splitlines()
    rows = {cells[1].strip(" `"): cells for line in lines if len(cells := line.split("|")) == 7 and "`" in cells[1]}
    assert rows.keys() == PROBES.keys()
    for name, (_, _, _, test, axes, _, _) in rows.items():
        assert (ROOT / test.strip(" `")).is_file(), name
        assert getattr(PROBES[name], "takes_batch_axes", False) == (axes.strip() != "no"), name
