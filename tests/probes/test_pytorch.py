"""The probe for PyTorch: files that hold code, options that cannot be, nested answers."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldwatch.probe import BadAnswer, CannotLoad, Rejected, Tensors, TensorSpec
from goldwatch_probes.pytorch import PyTorch

from tests.probes.formats import CASES, CONTEXT, Formats, images, reference

pytestmark = [pytest.mark.real, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

SCRIPT, EXPORTED, WEIGHTS = (CASES[name] for name in ("TorchScript", "torch.export", "safetensors"))
MODELS = """
import torch

class Nested(torch.nn.Linear):
    def __init__(self):
        super().__init__(2, 3)
    def forward(self, a, b, scale=1.0):
        return {"sum": a + b, "all": (a, b)}

def linear():
    return torch.nn.Linear(2, 3)

def nothing():
    return None

def broken():
    raise ValueError("no such weights")
"""


class Code:
    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("a pickle was loaded",)


def open_of(**options: Any) -> PyTorch:
    probe = PyTorch(PyTorch.Options(**options), CONTEXT)
    probe.open()
    return probe


@pytest.fixture
def linear(tmp_path: Path) -> dict[str, Any]:
    """The options of a model of one layer, whose factory is in a module of its own."""
    import torch
    from safetensors.torch import save_file

    save_file(torch.nn.Linear(2, 3).state_dict(), tmp_path / "linear.safetensors")
    module = f"models_{tmp_path.name}"
    (tmp_path / f"{module}.py").write_text(MODELS)
    return {"file": tmp_path / "linear.safetensors", "factory": f"{module}:linear", "path": tmp_path}


def made_by(linear: dict[str, Any], name: str) -> dict[str, Any]:
    return linear | {"factory": linear["factory"].replace("linear", "") + name}


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_is_refused_with_how_to_export(tmp_path: Path, legacy: bool) -> None:
    import torch

    torch.save({"weights": Code()}, tmp_path / "model.pt", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CannotLoad, match=r"model\.pt: a pickle.*, which runs code.*torch\.export\.save.*safetensors"):
        open_of(file=tmp_path / "model.pt")


@pytest.mark.parametrize("content", [b"", b"no model", b"PK\x03\x04damaged", b"\xff" * 8 + b"{"])
def test_a_file_of_something_else(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(CannotLoad, match=r"model\.pt: (none of these; expected TorchScript|a damaged archive)"):
        open_of(file=tmp_path / "model.pt")


def rewritten(formats: Formats, to: Path, name: str, change: Any) -> Path:
    """Copy the exported program, with one of its files changed."""
    with zipfile.ZipFile(formats.options(EXPORTED)["file"]) as source, zipfile.ZipFile(to, "w") as target:
        for entry in source.namelist():
            content = source.read(entry)
            target.writestr(entry, change(content) if entry.endswith(name) else content)
    return to


def test_an_exported_program_with_a_pickle_for_examples_does_not_run_it(formats: Formats, tmp_path: Path) -> None:
    import io

    import torch

    stream = io.BytesIO()
    torch.save(((Code(),), {}), stream)
    file = rewritten(formats, tmp_path / "m.pt2", "sample_inputs/model.pt", lambda _: stream.getvalue())
    with pytest.raises(CannotLoad, match=r"m\.pt2: UnpicklingError: Weights only load failed"):
        open_of(file=file)


def test_an_exported_program_with_a_pickle_for_a_constant_is_refused(formats: Formats, tmp_path: Path) -> None:
    config = json.dumps({"config": {"c": {"path_name": "opaque_obj_0"}}}).encode()
    file = rewritten(formats, tmp_path / "m.pt2", "constants_config.json", lambda _: config)
    with pytest.raises(CannotLoad, match="the constant 'c' is a pickle"):
        open_of(file=file)


def test_an_exported_program_tells_its_tensors(formats: Formats) -> None:
    probe = formats.probe(EXPORTED)
    probe.open()
    assert probe.describe().inputs == (TensorSpec("image", "float32", (8, 8)),)
    assert probe.describe().outputs == (TensorSpec("probabilities", "float32", (10,)),)
    with pytest.raises(CannotLoad, match=r"shape \[8, 7\], the model takes \[8, 8\]"):
        probe.encode({"image": np.zeros((1, 8, 7), np.float32)})


def test_the_names_of_arguments_can_be_given(formats: Formats) -> None:
    for case in (SCRIPT, EXPORTED, WEIGHTS):
        probe = formats.probe(case, inputs=("pixels",), threads=1)
        probe.open()
        found = probe.decode(probe.predict(probe.encode({"pixels": images()[:2]})))
        np.testing.assert_allclose(found["probabilities"], reference()[:2], atol=1e-6)
        with pytest.raises(CannotLoad, match='no input "image"; it takes "pixels"'):
            probe.encode({"image": images()[:2]})


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_weights_and_inputs_take_the_dtype(formats: Formats, dtype: str) -> None:
    for case in (SCRIPT, WEIGHTS):
        probe = formats.probe(case, dtype=dtype)
        probe.open()
        found = probe.decode(probe.predict(probe.encode({"image": images()[:8]})))["probabilities"]
        assert found.dtype == {"bfloat16": "float32", "float64": "float64"}[dtype]
        np.testing.assert_allclose(found, reference()[:8], atol=0.02 if dtype == "bfloat16" else 1e-6)


@pytest.mark.parametrize(
    ("case", "options", "message"),
    [
        (SCRIPT, {"factory": "a:b"}, "TorchScript needs no `factory`; leave it out"),
        (SCRIPT, {"compile": True}, "TorchScript cannot be compiled"),
        (SCRIPT, {"device": "cuda:0"}, r"digits\.ts: "),
        (SCRIPT, {"device": "nowhere"}, r"digits\.ts: RuntimeError: .*nowhere"),
        (SCRIPT, {"threads": -1}, "`threads` is -1"),
        (EXPORTED, {"dtype": "float16"}, "has its dtypes in it; leave out `dtype`"),
        (EXPORTED, {"inputs": ("a", "b")}, "`inputs` names 2, the program takes 1: image"),
        (EXPORTED, {"outputs": ("a", "b")}, "returns 1 outputs, `outputs` names 2"),
        (WEIGHTS, {"factory": ""}, "are no model; name in `factory` what makes it"),
    ],
)
def test_options_that_cannot_be(formats: Formats, case: Any, options: dict[str, Any], message: str) -> None:
    import torch

    if options.get("device") == "cuda:0" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises((CannotLoad, BadAnswer), match=message):
        formats.probe(case, **options).open()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "made NoneType, expected a torch.nn.Module"),
        ("broken", "ValueError: no such weights"),
        ("missing", "has no attribute 'missing'"),
    ],
)
def test_a_factory_that_makes_no_model(linear: dict[str, Any], name: str, message: str) -> None:
    with pytest.raises(CannotLoad, match=message):
        open_of(**made_by(linear, name))


def test_weights_of_another_model(linear: dict[str, Any], formats: Formats) -> None:
    with pytest.raises(CannotLoad, match=r'digits\.safetensors: .*Missing key\(s\) in state_dict: "weight", "bias"'):
        open_of(**linear | {"file": formats.options(WEIGHTS)["file"]})


def test_nested_answers_and_arguments_with_defaults(linear: dict[str, Any]) -> None:
    x: Tensors = {"a": np.ones((2, 2), np.float32), "b": np.full((2, 2), 2, np.int64)}
    probe = open_of(**made_by(linear, "Nested"), outputs=("sum",))
    np.testing.assert_array_equal(probe.decode(probe.predict(probe.encode(x)))["sum"], np.full((2, 2), 3))
    probe = open_of(**made_by(linear, "Nested"))
    found = probe.decode(probe.predict(probe.encode(x)))
    assert list(found) == ["sum", "all.0", "all.1"]
    np.testing.assert_array_equal(found["all.1"], x["b"])


@pytest.mark.parametrize("given", [{"double": True}, {"scale": 2.0}, {"mask": None}])
def test_a_program_exported_with_arguments_that_are_no_tensors(tmp_path: Path, given: dict[str, Any]) -> None:
    import torch

    class Model(torch.nn.Module):  # type: ignore[misc] # PyTorch may have no types here
        def forward(self, x: Any, mask: Any = None, scale: float = 1.0, double: bool = False) -> Any:
            y = x * scale * (2 if double else 1)
            return {"y": y if mask is None else y * mask, "more": (y + 1, None)}

    x = torch.ones(2, 4)
    shapes = {"x": {0: torch.export.Dim("n")}, **dict.fromkeys(given)}
    program = torch.export.export(Model().eval(), (x,), given, dynamic_shapes=shapes)
    torch.export.save(program, tmp_path / "m.pt2")
    probe = open_of(file=tmp_path / "m.pt2")
    found = probe.decode(probe.predict(probe.encode({"x": np.ones((3, 4), np.float32)})))
    factor = 1 if "mask" in given else 2
    assert {name: values.tolist() for name, values in found.items()} == {
        "y": [[factor] * 4] * 3,
        "more.0": [[factor + 1] * 4] * 3,
    }
    assert [spec.name for spec in probe.describe().outputs] == ["y", "more.0"]


def test_an_error_of_the_model_is_a_rejection(linear: dict[str, Any]) -> None:
    probe = open_of(**linear)
    with pytest.raises(Rejected, match=r"RuntimeError: mat1 and mat2 shapes cannot be multiplied"):
        probe.predict(probe.encode({"input": np.ones((1, 5), np.float32)}))
