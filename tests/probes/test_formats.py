"""The same weights in every format: each probe conforms, and all agree with the golden set's reference outputs."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from goldwatch.daemon.engine import replay
from goldwatch.daemon.plan import Plan
from goldwatch.ipc.workers import Workers
from goldwatch.probe import Description, Probe, Tensors, TensorSpec
from goldwatch.testing.conformance import ProbeConformance

from tests.probes.formats import CASES, MXNET, ROOT, Case, Formats, images, location, mxnet_python, reference

pytestmark = [
    pytest.mark.real,
    # Warnings of frameworks about numpy's and Python's future, and of scikit-learn about a model saved by hand.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]

HEAD = """# Probes, proven

The weights of the digits in every format, replayed over all 600 examples of the golden set against the outputs of
`digits.onnx`. The largest difference is between two probabilities of any example and class; a flip is another answer.
`GOLDWATCH_WRITE_PROVEN=1 .venv/bin/python -m pytest tests/probes/test_formats.py` writes this page.

| format | framework | version | largest difference | flips |
|---|---|---|---|---|
"""
FOOT = """
- 8 bits are what LiteRT's int8 model pays for; its inputs and outputs are integers too, which the probe translates.
- OpenVINO is told `precision: f32`. Left alone it calculates in bf16 where the processor can, which alone changes
  probabilities by up to 0.009 and flips an answer.
"""


Record = Callable[[str, object], None]
"""What pytest's `record_property` is."""


@dataclass(frozen=True)
class Row:
    format: str
    framework: str
    version: str
    difference: float
    flips: int


@pytest.fixture(scope="module")
def rows() -> Iterator[list[Row]]:
    found: list[Row] = []
    yield found
    if os.environ.get("GOLDWATCH_WRITE_PROVEN") == "1":
        lines = [f"| {r.format} | {r.framework} | {r.version} | {r.difference:.1e} | {r.flips} |\n" for r in found]
        (ROOT / "docs" / "probes-proven.md").write_text(HEAD + "".join(lines) + FOOT)


class Conformance(ProbeConformance):
    case: Case

    @pytest.fixture(autouse=True)
    def _formats(self, formats: Formats) -> None:
        self.formats = formats
        self.atol = self.case.atol

    def make_probe(self) -> Probe:
        return self.formats.probe(self.case)

    def make_missing(self) -> Probe:
        return self.formats.probe(self.case, file=Path("missing"))

    def inputs(self) -> Tensors:
        return {"image": images()[:3]}

    def expected(self) -> Tensors:
        return {"probabilities": reference()[:3]}


class TestBoundOnnx(Conformance):
    case = CASES["ONNX, bound"]


class TestTorchScript(Conformance):
    case = CASES["TorchScript"]


class TestTorchExport(Conformance):
    case = CASES["torch.export"]


class TestSafetensors(Conformance):
    case = CASES["safetensors"]


class TestSavedModel(Conformance):
    case = CASES["SavedModel"]


class TestKeras(Conformance):
    case = CASES["Keras"]


class TestLiteRT(Conformance):
    case = CASES["LiteRT"]


class TestQuantisedLiteRT(Conformance):
    case = CASES["LiteRT, int8"]


class TestOpenVINO(Conformance):
    case = CASES["OpenVINO IR"]


class TestJax(Conformance):
    case = CASES["jax.export"]


class TestSkops(Conformance):
    case = CASES["skops"]


@pytest.mark.parametrize("name", CASES)
def test_it_agrees_with_the_reference(name: str, formats: Formats, rows: list[Row], record_property: Record) -> None:
    probe = formats.probe(CASES[name])
    probe.open()
    answers = [probe.decode(probe.predict(probe.encode({"image": image[None]}))) for image in images()]
    description = probe.describe()
    probe.close()
    found = np.concatenate([answer["probabilities"] for answer in answers])
    judge(name, CASES[name], description, found, rows, record_property)


def test_mxnet_agrees_in_an_interpreter_of_its_own(formats: Formats, rows: list[Row], record_property: Record) -> None:
    result, found = replayed(formats.options(MXNET))
    assert result.failure is None
    assert result.outcomes() == {"ok": 600}
    judge("MXNet symbol", MXNET, result.description, found, rows, record_property)


def judge(
    name: str, case: Case, description: Description, found: NDArray[Any], rows: list[Row], record: Record
) -> None:
    expected = reference()
    difference = float(np.abs(found - expected).max())
    flips = int((found.argmax(axis=1) != expected.argmax(axis=1)).sum())
    record("largest_difference", difference)
    rows.append(Row(name, description.framework, description.framework_version, difference, flips))
    assert difference <= case.atol
    assert flips <= case.flips


def replayed(options: dict[str, Any]) -> tuple[Any, NDArray[Any]]:
    """Replay the whole golden set against MXNet, through the engine."""
    image = location("inputs.image")
    plan = Plan(
        factory="goldwatch_probes.mxnet_symbol:MXNet",
        options=options,
        served=False,
        warm=False,
        key="mxnet",
        inputs=(type(image)("image", image.file, image.dtype, image.shape, image.offset),),
        outputs=(TensorSpec("probabilities", "float32", (10,)),),
        examples=range(600),
        python=mxnet_python(),
    )
    workers = Workers()
    try:
        result = replay(plan, workers)
    finally:
        workers.close()
    return result, result.columns.array("output.probabilities")
