"""Models that take batches of one size: each format declares it, and the smaller batches of a load are filled."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from goldwatch.cli.app import app
from goldwatch.config.probes import installed_probes
from goldwatch.golden.opened import GoldenSet
from goldwatch.probe import CannotLoad, Context
from goldwatch.worker.load.requests import Requests
from goldwatch_probes import tensorflow_serving
from goldwatch_probes._answers import declared_batch
from goldwatch_probes.open_inference import OpenInference

from tests.probes.conftest import METADATA, WEIGHTS, RawServer, response, write_model
from tests.probes.misbehaving import send

VALUES = np.random.default_rng(3).normal(size=(20, 2)).astype(np.float32)
WHO = ("--name", "g", "--licence", "CC0-1.0", "--source", "made up", "--replays", "2")


def onnx(file: Path) -> dict[str, Any]:
    return {"probe": "onnx-runtime", "file": write_model(file.with_suffix(".onnx"), batch=8)}


def torch_export(file: Path) -> dict[str, Any]:
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(2, 3)
    example = (torch.zeros(8, 2),)
    torch.export.save(torch.export.export(model, example), path := file.with_suffix(".pt2"))
    return {"probe": "pytorch", "file": path, "inputs": ("x",)}


def saved_model(file: Path) -> dict[str, Any]:
    tensorflow = pytest.importorskip("tensorflow")
    module = tensorflow.Module()
    signature = [tensorflow.TensorSpec([8, 2], tensorflow.float32, name="x")]
    module.f = tensorflow.function(lambda x: {"y": x @ WEIGHTS}, input_signature=signature)
    tensorflow.saved_model.save(module, str(file), signatures=module.f)
    return {"probe": "tensorflow", "file": file}


def lite(file: Path) -> dict[str, Any]:
    pytest.importorskip("ai_edge_litert")
    saved_model(file)
    tensorflow = pytest.importorskip("tensorflow")
    path = file.with_suffix(".tflite")
    path.write_bytes(tensorflow.lite.TFLiteConverter.from_saved_model(str(file)).convert())
    return {"probe": "litert", "file": path}


def openvino(file: Path) -> dict[str, Any]:
    pytest.importorskip("openvino")
    return onnx(file) | {"probe": "openvino"}


@pytest.mark.real
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("made", [onnx, torch_export, saved_model, lite, openvino])
def test_the_batch_that_a_file_declares(tmp_path: Path, made: Callable[[Path], dict[str, Any]]) -> None:
    options = made(tmp_path / "model")
    cls = installed_probes()[options.pop("probe")].load()
    probe = cls(cls.Options(**options), Context(60.0))
    probe.open()
    assert probe.describe().batch == 8
    requests = Requests(probe, {"x": VALUES}, probe.describe().batch)
    whole = requests.decode(probe.predict(requests.encode(range(8))), 8)
    for size in (1, 3, 8):
        some = requests.decode(probe.predict(requests.encode(range(size))), size)
        for name, array in whole.items():
            np.testing.assert_allclose(some[name], array[:size], rtol=1e-6)
    if options["file"].suffix != ".tflite":  # whose interpreter is resized
        with pytest.raises(CannotLoad, match="batches of 8 only, this one has 9 examples; send 8 or fewer"):
            requests.encode(range(9))
    probe.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("load", "filled"),
    [
        ("{}", "requests of 1 to"),
        ("{scenario: offline, batch: 8}", "requests of 4 to"),
        ("{scenario: multi-stream, samples_per_query: 3}", "requests of 2 and 3 to"),
    ],
)
def test_a_set_is_built_and_checked_whatever_the_load_sends(tmp_path: Path, load: str, filled: str) -> None:
    write_model(tmp_path / "m.onnx", batch=8)
    config = tmp_path / "goldwatch.yaml"
    config.write_text(
        "targets: {m: {probe: onnx-runtime, file: m.onnx}}\ngolden: {m: ./g}\n"
        f"watches: {{m: {{every: 5m, load: {load}, objectives: {{errors: 1%}}}}}}\n"
    )
    np.savez(tmp_path / "e.npz", x=VALUES, labels=(VALUES @ WEIGHTS).argmax(axis=1))
    built = CliRunner().invoke(
        app, ["golden", "build", str(config), str(tmp_path / "e.npz"), *WHO, "--decision", "scores"]
    )
    assert built.exit_code == 0, built.output
    np.testing.assert_allclose(GoldenSet.open(tmp_path / "g").tensor("outputs.scores"), VALUES @ WEIGHTS, rtol=1e-5)
    checked = CliRunner().invoke(app, ["check", str(config)])
    assert checked.exit_code == 0, checked.output
    assert "20 of 20 within tolerance" in checked.stdout
    assert f"  filled         {filled} the model's batch of 8; the copies do not count" in checked.stdout


@pytest.mark.parametrize(
    ("sizes", "batch"),
    [([8, 8], 8), ([8], 8), ([-1], 0), ([8, -1], 0), ([8, 1], 0), ([0], 0), ([], 0), ([True], 0)],
)
def test_the_batch_that_metadata_declare_is_that_of_all_inputs(sizes: list[int], batch: int) -> None:
    assert declared_batch(sizes) == batch


def test_a_server_that_declares_its_batch_gets_filled_batches(raw_server: Callable[..., RawServer]) -> None:
    inputs = [{"name": "x", "datatype": "FP32", "shape": [4, 2]}]
    answer = {"name": "y", "datatype": "FP32", "shape": [4, 2], "data": list(range(8))}
    server = raw_server(
        {"infer": send(response(json.dumps({"outputs": [answer]}).encode()))}, page=METADATA | {"inputs": inputs}
    )
    probe = OpenInference(OpenInference.Options(url=server.url, model="tiny"), Context(5.0))
    probe.open()
    requests = Requests(probe, {"x": VALUES}, probe.describe().batch)
    found = requests.decode(probe.predict(requests.encode([5])), 1)
    assert found["y"].tolist() == [[0.0, 1.0]]
    assert b'"shape":[4,2]' in server.requests[-1]
    probe.close()


def test_a_signature_of_tensorflow_serving_declares_its_batch() -> None:
    declared = {"x": {"tensor_shape": {"dim": [{"size": "8"}, {"size": "2"}]}}, "k": {"tensor_shape": {"dim": []}}}
    assert tensorflow_serving._batch(declared, {}) == 8
