"""Run by test_mxnet.py inside MXNet's interpreter: the conformance suite, and readable errors."""

import os
from pathlib import Path
from typing import Any

import pytest

from goldwatch.probe import CannotLoad, Probe, Tensors
from goldwatch.testing.conformance import ProbeConformance

from tests.probes.formats import MXNET, Formats, images, reference

pytestmark = pytest.mark.filterwarnings("ignore")  # MXNet speaks of numpy's future, which is past


def probe_of(**options: Any) -> Probe:
    return Formats(Path(os.environ["GOLDWATCH_TEST_FORMATS"])).probe(MXNET, **options)


class TestConformance(ProbeConformance):
    def make_probe(self) -> Probe:
        return probe_of()

    def make_missing(self) -> Probe:
        return probe_of(params=Path("missing"))

    def inputs(self) -> Tensors:
        return {"image": images()[:3]}

    def expected(self) -> Tensors:
        return {"probabilities": reference()[:3]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"file": Path(__file__)}, r"mxnet_suite\.py with .*params: MXNetError: Check failed"),
        ({"params": Path(__file__)}, r"mxnet_suite\.py: MXNetError: Check failed: .* Invalid NDArray file format"),
        ({"context": "tpu"}, r"`context` is 'tpu', expected cpu, gpu or gpu\(NUMBER\)"),
        ({"inputs": ("pixels",)}, "image"),
    ],
)
def test_what_cannot_be_loaded(options: dict[str, Any], message: str) -> None:
    with pytest.raises(CannotLoad, match=message):
        probe_of(**options).open()


def test_the_symbol_names_its_outputs() -> None:
    probe = probe_of(outputs=())
    probe.open()
    assert list(probe.decode(probe.predict(probe.encode({"image": images()[:1]})))) == ["probabilities_output"]
    with pytest.raises(CannotLoad, match='no input "other"; it takes "image"'):
        probe.encode({"other": images()[:1]})
