"""Golden sets that say where a model's tensors have their batch axis: each format, a server, `golden build`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from goldwatch.cli.app import app
from goldwatch.config.probes import installed_probes
from goldwatch.golden.opened import GoldenSet
from goldwatch.probe import BatchAxes, CannotLoad, Context
from goldwatch.worker.load.requests import Requests
from goldwatch.worker.load.timed import make_probe

from tests.probes.conftest import RawServer, response

RNG = np.random.default_rng(5)
WEIGHTS = RNG.normal(size=(4, 3)).astype(np.float32)
X = RNG.normal(size=(6, 4)).astype(np.float32)
STATE = RNG.normal(size=(6, 2, 3)).astype(np.float32)
SCALES = np.array([1.0, 2.0, 0.5], dtype=np.float32)
INPUTS = {"x": X, "scales": np.tile(SCALES, (6, 1)), "state": STATE}
AXES = BatchAxes({"scales": None, "state": 1}, {"new": 1})
Y = X @ WEIGHTS * SCALES + STATE.sum(axis=1)
NEW = STATE + Y[:, None, :]
WHO = ("--name", "g", "--licence", "CC0-1.0", "--source", "made up", "--replays", "2")


def onnx_file(folder: Path) -> Path:
    """x [n, 4], scales [3] and state [2, n, 3] give y [n, 3] and new [2, n, 3]."""

    def value(name: str, *shape: int | str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    nodes = [
        helper.make_node("MatMul", ["x", "W"], ["m"]),
        helper.make_node("Mul", ["m", "scales"], ["a"]),
        helper.make_node("ReduceSum", ["state", "first"], ["b"], keepdims=0),
        helper.make_node("Add", ["a", "b"], ["y"]),
        helper.make_node("Add", ["state", "y"], ["new"]),
    ]
    inputs = [value("x", "n", 4), value("scales", 3), value("state", 2, "n", 3)]
    constants = [numpy_helper.from_array(WEIGHTS, "W"), numpy_helper.from_array(np.array([0]), "first")]
    graph = helper.make_graph(nodes, "step", inputs, [value("y", "n", 3), value("new", 2, "n", 3)], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "step.onnx")
    return folder / "step.onnx"


def onnx_runtime(folder: Path) -> dict[str, Any]:
    return {"probe": "onnx-runtime", "file": onnx_file(folder)}


def onnx_bound(folder: Path) -> dict[str, Any]:
    return onnx_runtime(folder) | {"io_binding": True}


def openvino(folder: Path) -> dict[str, Any]:
    pytest.importorskip("openvino")
    return {"probe": "openvino", "file": onnx_file(folder), "precision": "f32"}


def step(x: Any, scales: Any, state: Any) -> Any:
    y = x @ WEIGHTS * scales + state.sum(0)
    return {"y": y, "new": state + y}


def python(folder: Path) -> dict[str, Any]:
    (folder / "step_of_axes.py").write_text(
        f"import numpy as np\nW = np.array({WEIGHTS.tolist()}, dtype=np.float32)\n"
        "def step(t):\n    y = t['x'] @ W * t['scales'] + t['state'].sum(0)\n"
        "    return {'y': y, 'new': t['state'] + y}\n"
    )
    return {"probe": "python", "callable": "step_of_axes:step", "path": folder}


def exported(folder: Path) -> dict[str, Any]:
    torch = pytest.importorskip("torch")
    weights = torch.tensor(WEIGHTS)

    class Step(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any, scales: Any, state: Any) -> Any:
            y = x @ weights * scales + state.sum(0)
            return {"y": y, "new": state + y}

    n = torch.export.Dim("n", min=1, max=64)
    shapes = {"x": {0: n}, "scales": None, "state": {1: n}}
    examples = (torch.zeros(3, 4), torch.zeros(3), torch.zeros(2, 3, 3))
    path = folder / "step.pt2"
    torch.export.save(torch.export.export(Step(), examples, dynamic_shapes=shapes), path)
    return {"probe": "pytorch", "file": path}


def saved_model(folder: Path) -> dict[str, Any]:
    tensorflow = pytest.importorskip("tensorflow")
    module = tensorflow.Module()
    shapes = {"x": [None, 4], "scales": [3], "state": [2, None, 3]}
    signature = [tensorflow.TensorSpec(shape, tensorflow.float32, name=name) for name, shape in shapes.items()]

    def call(x: Any, scales: Any, state: Any) -> Any:
        y = x @ WEIGHTS * scales + tensorflow.reduce_sum(state, 0)
        return {"y": y, "new": state + y}

    module.f = tensorflow.function(call, input_signature=signature)
    tensorflow.saved_model.save(module, str(folder / "step"), signatures=module.f)
    return {"probe": "tensorflow", "file": folder / "step"}


def lite(folder: Path) -> dict[str, Any]:
    pytest.importorskip("ai_edge_litert")
    tensorflow = pytest.importorskip("tensorflow")
    found = saved_model(folder)
    path = folder / "step.tflite"
    path.write_bytes(tensorflow.lite.TFLiteConverter.from_saved_model(str(found["file"])).convert())
    return {"probe": "litert", "file": path}


def jax(folder: Path) -> dict[str, Any]:
    package = pytest.importorskip("jax")
    export = pytest.importorskip("jax.export")
    (n,) = export.symbolic_shape("n")
    arguments = {"x": (n, 4), "scales": (3,), "state": (2, n, 3)}
    shapes = {name: package.ShapeDtypeStruct(shape, np.float32) for name, shape in arguments.items()}
    path = folder / "step.jax"
    path.write_bytes(export.export(package.jit(step))(**shapes).serialize())
    return {"probe": "jax", "file": path}


@pytest.mark.real
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("made", [onnx_runtime, onnx_bound, openvino, python, exported, saved_model, lite, jax])
@pytest.mark.parametrize("size", [1, 4])
def test_a_recurrent_step_in_each_format(tmp_path: Path, made: Callable[[Path], dict[str, Any]], size: int) -> None:
    options = made(tmp_path)
    cls = installed_probes()[options.pop("probe")].load()
    probe = make_probe(f"{cls.__module__}:{cls.__name__}", options, Context(60.0, batch_axes=AXES))
    probe.open()
    described = {spec.name: (spec.shape, spec.batch_axis) for spec in probe.describe().inputs}
    if described:
        assert described == {"x": ((4,), 0), "scales": ((3,), None), "state": ((2, 3), 1)}
    requests = Requests(probe, INPUTS, probe.describe().batch)
    found = requests.decode(probe.predict(requests.encode(range(1, 1 + size))), size)
    np.testing.assert_allclose(found["y"], Y[1 : 1 + size], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["new"], NEW[1 : 1 + size], rtol=1e-4, atol=1e-5)
    probe.close()


def opened(url: str, axes: BatchAxes, **names: Any) -> Any:
    options = {"url": url, "model": "m"} | ({"names": names} if names else {})
    probe = make_probe("goldwatch_probes.open_inference:OpenInference", options, Context(5.0, batch_axes=axes))
    probe.open()
    return probe


def without_batch(raw_server: Callable[..., RawServer]) -> RawServer:
    """A server as Triton is with max_batch_size 0: the shapes are the whole shapes."""

    def infer(sock: Any, request: bytes) -> None:
        (tensor,) = json.loads(request.partition(b"\r\n\r\n")[2])["inputs"]
        assert tensor["shape"] == [4], tensor
        y = np.array(tensor["data"], np.float32) @ WEIGHTS
        output = {"name": "y", "datatype": "FP32", "shape": [3], "data": y.tolist()}
        sock.sendall(response(json.dumps({"outputs": [output]}).encode()))

    tensors = {"inputs": [{"name": "x", "shape": [4]}], "outputs": [{"name": "y", "shape": [3]}]}
    page = {"name": "m", "versions": ["1"]} | {
        part: [tensor | {"datatype": "FP32"} for tensor in each] for part, each in tensors.items()
    }
    return raw_server({"infer": infer}, page=page)


@pytest.mark.parametrize("names", [{}, {"inputs": {"theirs": "x"}, "outputs": {"scores": "y"}}])
def test_a_server_whose_model_has_no_batch_axis(
    raw_server: Callable[..., RawServer], names: dict[str, dict[str, str]]
) -> None:
    own, output = ("theirs", "scores") if names else ("x", "y")
    probe = opened(without_batch(raw_server).url, BatchAxes({own: None}, {output: None}), **names)
    assert probe.describe().batch == 1
    found = probe.decode(probe.predict(probe.encode({own: X[2:3]})))
    np.testing.assert_allclose(found[output], X[2:3] @ WEIGHTS, rtol=1e-5)
    with pytest.raises(CannotLoad, match="no input has a batch axis, so a request has one example; this one has 2"):
        probe.encode({own: X[:2]})
    probe.close()


def test_the_error_without_a_declaration_says_what_to_declare(raw_server: Callable[..., RawServer]) -> None:
    probe = opened(without_batch(raw_server).url, BatchAxes())
    with pytest.raises(CannotLoad, match=re.escape("the model takes [] (-1: any); if its tensor has no batch axis")):
        probe.encode({"x": X[:1]})
    probe.close()


def test_examples_that_differ_in_what_has_no_batch_axis_go_one_by_one(tmp_path: Path) -> None:
    options = onnx_runtime(tmp_path)
    factory = "goldwatch_probes.onnx_runtime:OnnxRuntime"
    probe: Any = make_probe(factory, {"file": options["file"]}, Context(5.0, batch_axes=AXES))
    probe.open()
    other = {name: array.copy() for name, array in INPUTS.items()}
    other["scales"][1] = 3
    with pytest.raises(CannotLoad, match='"scales" has no batch axis, and the 2 examples of a request differ in it'):
        probe.encode({name: array[:2] for name, array in other.items()})
    each = probe.encode_each(other, [0, 1])
    assert [request["scales"].tolist() for request in each] == [SCALES.tolist(), [3, 3, 3]]
    probe.close()


def test_a_probe_that_sends_rows_refuses(tmp_path: Path) -> None:
    options = {"file": tmp_path / "m.skops"}
    with pytest.raises(CannotLoad, match='has a `batch_axis` for "new", "scales", "state"; this probe sends'):
        make_probe("goldwatch_probes.sklearn_skops:ScikitLearn", options, Context(1.0, batch_axes=AXES))


def test_an_axis_that_the_model_lacks(tmp_path: Path) -> None:
    options = onnx_runtime(tmp_path)
    axes = BatchAxes({"x": 2})
    probe = make_probe("goldwatch_probes.onnx_runtime:OnnxRuntime", {"file": options["file"]}, Context(5, 10, axes))
    with pytest.raises(CannotLoad, match=r'"x" has shape \[-1, 4\] at the model, the golden set says `batch_axis: 2`'):
        probe.open()


@pytest.mark.slow
def test_a_set_is_built_and_checked(tmp_path: Path) -> None:
    onnx_file(tmp_path)
    config = tmp_path / "goldwatch.yaml"
    config.write_text(
        "targets: {m: {probe: onnx-runtime, file: step.onnx}}\ngolden: {m: ./g}\n"
        "watches: {m: {every: 5m, load: {scenario: offline, batch: 4}, objectives: {errors: 1%}}}\n"
    )
    arrays: dict[str, Any] = {**INPUTS, "labels": Y.argmax(axis=1)}
    np.savez(tmp_path / "e.npz", **arrays)
    axes = ["--batch-axis", "scales=none", "--batch-axis", "state=1", "--batch-axis", "outputs.new=1"]
    built = CliRunner().invoke(
        app, ["golden", "build", str(config), str(tmp_path / "e.npz"), *WHO, "--decision", "y", *axes]
    )
    assert built.exit_code == 0, built.output
    golden = GoldenSet.open(tmp_path / "g")
    assert golden.manifest.batch_axes == AXES
    np.testing.assert_allclose(golden.tensor("outputs.new"), NEW, rtol=1e-5, atol=1e-6)
    checked = CliRunner().invoke(app, ["check", str(config)])
    assert checked.exit_code == 0, checked.output
    assert "6 of 6 within tolerance" in checked.stdout
    first = ["--config", str(tmp_path / "first.yaml"), "--examples", str(tmp_path / "e.npz")]
    begun = CliRunner().invoke(app, ["init", str(tmp_path / "step.onnx"), *first, *WHO, "--decision", "y", *axes])
    assert begun.exit_code == 0, begun.output
    assert GoldenSet.open(tmp_path / "golden/g").manifest.batch_axes == AXES


@pytest.mark.parametrize("text", ["state", "=1", "state=", "state=-1", "state=two", "state=100"])
def test_a_batch_axis_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "goldwatch.yaml").write_text("")
    arguments = [str(tmp_path / "goldwatch.yaml"), str(tmp_path / "e.npz"), *WHO, "--batch-axis", text]
    done = CliRunner().invoke(app, ["golden", "build", *arguments])
    assert done.exit_code == 2
    assert f'--batch-axis: "{text}" is not NAME=AXIS or NAME=none' in done.output
