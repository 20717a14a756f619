"""The probe for ONNX Runtime, on a model made here."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from goldwatch.probe import CannotLoad, Context, Rejected, Tensors, TensorSpec
from goldwatch.testing.conformance import ProbeConformance
from goldwatch_probes.onnx_runtime import OnnxRuntime

from tests.probes.conftest import INPUTS, expected_outputs, write_model

CONTEXT = Context(time_limit_s=5)


def probe_of(file: Path, **options: Any) -> OnnxRuntime:
    return OnnxRuntime(OnnxRuntime.Options(file=file, **options), CONTEXT)


class TestConformance(ProbeConformance):
    @pytest.fixture(autouse=True)
    def _file(self, model_file: Path) -> None:
        self.file = model_file

    def make_probe(self) -> OnnxRuntime:
        return probe_of(self.file)

    def make_missing(self) -> OnnxRuntime:
        return probe_of(self.file.with_name("missing.onnx"))

    def inputs(self) -> Tensors:
        return INPUTS

    def expected(self) -> Tensors:
        return expected_outputs()


def test_it_describes_the_model(model_file: Path) -> None:
    probe = probe_of(model_file, threads=1)
    probe.open()
    description = probe.describe()
    assert (description.model, description.version) == ("tiny", "7")
    assert (description.framework, description.device) == ("onnxruntime", "cpu")
    assert description.framework_version
    assert description.digest == "sha256:" + hashlib.sha256(model_file.read_bytes()).hexdigest()
    assert description.inputs == (TensorSpec("x", "float32", (2,)),)
    assert description.outputs == (TensorSpec("scores", "float32", (3,)), TensorSpec("label", "int64", ()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"providers": ("NoSuchProvider",)}, "no execution provider NoSuchProvider; this ONNX Runtime has .*CPU"),
        ({"providers": ()}, "no execution provider given"),
        ({"threads": -1}, "`threads` is -1, expected 0 or more"),
    ],
)
def test_options_that_cannot_be(model_file: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(CannotLoad, match=message):
        probe_of(model_file, **options).open()


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x08\x12\x00"])
def test_a_file_that_is_no_model(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "bad.onnx"
    file.write_bytes(content)
    with pytest.raises(CannotLoad, match=r"bad\.onnx: "):
        probe_of(file).open()


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(CannotLoad, match="Is a directory"):
        probe_of(tmp_path).open()


def test_a_missing_package_names_the_extra(model_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(CannotLoad, match=r"pip install .*\[onnx\]'"):
        probe_of(model_file).open()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"y": INPUTS["x"]}, 'no input "y"; it takes "x"'),
        ({}, 'also takes "x"; the inputs given are none'),
        ({"x": INPUTS["x"].astype(np.float64)}, 'input "x" is float64, the model takes float32'),
        ({"x": INPUTS["x"][:, :1]}, r'"x" has examples of shape \[1\], the model takes \[2\]'),
        ({"x": INPUTS["x"][0]}, r"has examples of shape \[\]"),
        ({"x": np.float32(1).reshape(())}, r"has examples of shape \[\]"),
    ],
)
def test_inputs_that_the_model_does_not_take(model_file: Path, inputs: Tensors, message: str) -> None:
    probe = probe_of(model_file)
    probe.open()
    with pytest.raises(CannotLoad, match=message):
        probe.encode(inputs)


def test_a_model_with_a_fixed_batch(tmp_path: Path) -> None:
    probe = probe_of(write_model(tmp_path / "fixed.onnx", batch=1))
    probe.open()
    probe.predict(probe.encode({"x": INPUTS["x"][:1]}))
    with pytest.raises(CannotLoad, match="takes batches of 1 only, this one has 4 examples"):
        probe.encode(INPUTS)


def test_an_error_of_the_runtime_is_a_rejection(model_file: Path) -> None:
    probe = probe_of(model_file)
    probe.open()
    with pytest.raises(Rejected, match="dimension") as caught:
        probe.predict({"x": np.ones((1, 3), dtype=np.float32)})
    assert "\n" not in str(caught.value)


def write_identity(file: Path, kind: int) -> Path:
    tensors = [helper.make_tensor_value_info(name, kind, ["batch"]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "identity", tensors[:1], tensors[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
    return file


def test_strings_are_bytes_on_both_sides(tmp_path: Path) -> None:
    probe = probe_of(write_identity(tmp_path / "text.onnx", TensorProto.STRING))
    probe.open()
    assert probe.describe().inputs == (TensorSpec("x", "bytes", ()),)
    text = np.array([b"one", "zwölf".encode(), b""], dtype=object)
    assert probe.decode(probe.predict(probe.encode({"x": text})))["y"].tolist() == text.tolist()
    with pytest.raises(CannotLoad, match='input "x" is not UTF-8 text'):
        probe.encode({"x": np.array([b"\xff"], dtype=object)})


def test_a_type_that_numpy_lacks(tmp_path: Path) -> None:
    with pytest.raises(CannotLoad, match=r'"x" is tensor\(bfloat16\), which numpy has no dtype for'):
        probe_of(write_identity(tmp_path / "brain.onnx", TensorProto.BFLOAT16)).open()


@pytest.mark.parametrize("optimisation", ["disable", "basic", "extended", "all"])
@pytest.mark.parametrize("bound", [False, True])
def test_neither_optimisation_nor_binding_changes_the_answer(model_file: Path, optimisation: str, bound: bool) -> None:
    probe = probe_of(model_file, optimisation=optimisation, io_binding=bound)
    probe.open()
    found = probe.decode(probe.predict(probe.encode(INPUTS)))
    for name, expected in expected_outputs().items():
        np.testing.assert_allclose(found[name], expected)


def test_text_cannot_be_bound(tmp_path: Path) -> None:
    probe = probe_of(write_identity(tmp_path / "text.onnx", TensorProto.STRING), io_binding=True)
    probe.open()
    with pytest.raises(CannotLoad, match='input "x" is text, which `io_binding` cannot place'):
        probe.encode({"x": np.array([b"one"], dtype=object)})


def test_the_runtime_does_not_report_to_its_maker(model_file: Path, tmp_path: Path) -> None:
    """One that does makes itself an identity first, in the folder of the user."""
    opens = (
        "import sys, time; from pathlib import Path; from goldwatch.probe import Context; "
        "from goldwatch_probes.onnx_runtime import OnnxRuntime; "
        "OnnxRuntime(OnnxRuntime.Options(file=Path(sys.argv[1])), Context(time_limit_s=5)).open(); time.sleep(1)"
    )
    kept = {
        name: value for name, value in os.environ.items() if name not in {"ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"}
    }
    home = tmp_path / "home"
    home.mkdir()
    subprocess.run([sys.executable, "-c", opens, model_file], env={**kept, "HOME": str(home)}, timeout=120, check=True)
    assert list(home.rglob("*")) == []


def test_an_output_of_bfloat16_is_left_out(tmp_path: Path) -> None:
    value, nodes = helper.make_tensor_value_info, [helper.make_node("Identity", ["x"], ["y"])]
    nodes.append(helper.make_node("Cast", ["x"], ["h"], to=TensorProto.BFLOAT16))
    outputs = [value("y", TensorProto.FLOAT, ["n", 2]), value("h", TensorProto.BFLOAT16, ["n", 2])]
    graph = helper.make_graph(nodes, "two", [value("x", TensorProto.FLOAT, ["n", 2])], outputs)
    file = tmp_path / "two.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
    probe = probe_of(file)
    probe.open()
    assert probe.decode(probe.predict(probe.encode(INPUTS)))["y"].tolist() == INPUTS["x"].tolist()
    assert [spec.name for spec in probe.describe().outputs] == ["y"]


@pytest.mark.parametrize("newer", [{"ir_version": 99}, {"opset": 99}])
def test_a_model_that_is_too_new_is_refused_with_the_reason(tmp_path: Path, newer: dict[str, int]) -> None:
    value, node = helper.make_tensor_value_info, helper.make_node("Identity", ["x"], ["y"])
    inputs, outputs = ([value(name, TensorProto.FLOAT, ["n", 2])] for name in ("x", "y"))
    opsets = [helper.make_opsetid("", newer.get("opset", 17))]
    model = helper.make_model(
        helper.make_graph([node], "g", inputs, outputs), opset_imports=opsets, ir_version=newer.get("ir_version", 8)
    )
    file = tmp_path / ("a-folder-with-a-long-name-" * 8) / "m.onnx"
    file.parent.mkdir()
    onnx.save(model, file)
    with pytest.raises(CannotLoad, match=r"(IR_VERSION|IR version|opset).*\d+"):
        probe_of(file).open()
