"""ONNX models whose weights are in files of their own."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from goldwatch.probe import CannotLoad, Context
from goldwatch_probes._onnx_files import with_external_data
from goldwatch_probes.onnx_runtime import OnnxRuntime

WEIGHTS = np.random.default_rng(2).normal(size=(4, 3)).astype(np.float32)


def save(folder: Path, *, inside: bool = False, **options: Any) -> Path:
    """y = x @ W, or the same in the branch of an If, where W is a constant node."""
    value = helper.make_tensor_value_info
    tensor = numpy_helper.from_array(WEIGHTS, "W")
    nodes = [helper.make_node("MatMul", ["x", "W"], ["y"])]
    x, y = value("x", TensorProto.FLOAT, ["n", 4]), value("y", TensorProto.FLOAT, ["n", 3])
    if inside:
        branches = []
        for name in ("a", "b"):
            constant = helper.make_node(
                "Constant", [], [f"W{name}"], value=numpy_helper.from_array(WEIGHTS, f"t{name}")
            )
            out = value(f"y{name}", TensorProto.FLOAT, ["n", 3])
            product = helper.make_node("MatMul", ["x", f"W{name}"], [f"y{name}"])
            branches.append(helper.make_graph([constant, product], name, [], [out]))
        condition = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.array(True), "c"))
        nodes = [condition, helper.make_node("If", ["c"], ["y"], then_branch=branches[0], else_branch=branches[1])]
    graph = helper.make_graph(nodes, "g", [x], [y], [] if inside else [tensor])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "m.onnx", **options)
    return folder / "m.onnx"


OUTSIDE: dict[str, Any] = {
    "save_as_external_data": True,
    "size_threshold": 0,
    "location": "weights.bin",
    "convert_attribute": True,
}


def opened(file: Path) -> OnnxRuntime:
    probe = OnnxRuntime(OnnxRuntime.Options(file=file), Context(10.0))
    probe.open()
    return probe


@pytest.mark.parametrize("inside", [False, True])
def test_the_files_of_a_model(tmp_path: Path, inside: bool) -> None:
    file = save(tmp_path, inside=inside, **OUTSIDE)
    assert with_external_data(file) == (file, tmp_path / "weights.bin")
    save(tmp_path, inside=inside)
    assert with_external_data(file) == (file,)


def test_other_weights_are_another_digest(tmp_path: Path) -> None:
    probe = opened(save(tmp_path, **OUTSIDE))
    x = np.ones((2, 4), np.float32)
    np.testing.assert_allclose(probe.decode(probe.predict(probe.encode({"x": x})))["y"], x @ WEIGHTS, rtol=1e-5)
    lines = [f"{hashlib.sha256((tmp_path / n).read_bytes()).hexdigest()}  {n}\n" for n in ("m.onnx", "weights.bin")]
    assert probe.describe().digest == f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"
    weights = tmp_path / "weights.bin"
    weights.write_bytes(bytes(len(weights.read_bytes())))
    assert opened(tmp_path / "m.onnx").describe().digest != probe.describe().digest


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    file = save(tmp_path, **OUTSIDE)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(CannotLoad, match=r"weights\.bin"):
        opened(file)


@pytest.mark.parametrize("content", [b"ORTM" * 9, b"\x3a\xff\x01", b"\x07", b"\xff" * 30, b"\x09"])
def test_what_is_no_model_has_no_other_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m").write_bytes(content)
    assert with_external_data(tmp_path / "m") == (tmp_path / "m",)
