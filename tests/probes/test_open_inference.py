"""The probe for the Open Inference Protocol against a server that really runs."""

import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldwatch.probe import CannotLoad, Context, Description, NotReady, Rejected, Tensors, TensorSpec
from goldwatch.testing.conformance import ProbeConformance
from goldwatch_probes.open_inference import OpenInference

from tests.probes.conftest import INPUTS, WEIGHTS, demo_server, expected_outputs, write_model

CONTEXT = Context(time_limit_s=10)


def probe_of(url: str, **options: Any) -> OpenInference:
    return OpenInference(OpenInference.Options(**({"url": url, "model": "tiny"} | options)), CONTEXT)


@pytest.fixture
def own_file(tmp_path: Path) -> Path:
    return write_model(tmp_path / "own.onnx")


@pytest.fixture
def own_address(own_file: Path) -> Iterator[str]:
    """A server for one test, which may change its model."""
    with demo_server("--model", f"tiny={own_file}") as at:
        yield at


class TestJson(ProbeConformance):
    binary = False

    @pytest.fixture(autouse=True)
    def _address(self, address: str) -> None:
        self.address = address

    def make_probe(self) -> OpenInference:
        return probe_of(self.address, binary=self.binary)

    def make_missing(self) -> OpenInference:
        return probe_of(self.address, model="missing")

    def inputs(self) -> Tensors:
        return INPUTS

    def expected(self) -> Tensors:
        return expected_outputs()


class TestBinary(TestJson):
    binary = True


def test_it_describes_what_is_served(address: str) -> None:
    probe = probe_of(address)
    probe.open()
    assert probe.describe() == Description(
        model="tiny",
        version="7",
        framework="goldwatch-demo",
        framework_version="0.1.0",
        inputs=(TensorSpec("x", "float32", (2,)),),
        outputs=(TensorSpec("scores", "float32", (3,)), TensorSpec("label", "int64", ())),
    )
    probe.close()


def test_a_version_can_be_asked_for(address: str) -> None:
    probe = probe_of(address, version="7")
    probe.open()
    assert probe.describe().version == "7"
    probe.close()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"model": ""}, CannotLoad, "`model` is empty"),
        ({"model": "no/such"}, NotReady, r"/v2/models/no%2Fsuch/ready: answered 404: no model 'no/such'"),
        ({"version": "8"}, NotReady, r"/v2/models/tiny/versions/8/ready: answered 404: no model 'tiny' in version '8'"),
    ],
)
def test_a_model_that_is_not_there(address: str, options: dict[str, str], error: type[Exception], message: str) -> None:
    probe = probe_of(address, **options)
    with pytest.raises(error, match=message):
        probe.open()
    probe.close()


@pytest.mark.parametrize("binary", [False, True])
def test_a_request_that_the_server_refuses(address: str, binary: bool) -> None:
    probe = probe_of(address, binary=binary)
    probe.open()
    right = probe.encode(INPUTS)
    head, _, body = right.written.pieces[0].partition(b"\r\n\r\n")
    shorter = head.replace(b"Content-Length: %d" % len(body), b"Content-Length: %d" % (len(body) - 5))
    assert shorter != head
    written = dataclasses.replace(right.written, pieces=(shorter + b"\r\n\r\n" + body[:-5],))
    wrong = dataclasses.replace(right, written=written)
    with pytest.raises(Rejected, match="answered 400: not an inference request"):
        probe.predict(wrong)
    assert set(probe.decode(probe.predict(right))) == {"scores", "label"}
    probe.close()


def test_load_swaps_the_model_and_keeps_the_old_one_if_the_new_is_bad(own_address: str, own_file: Path) -> None:
    probe = probe_of(own_address)
    probe.open()
    request = probe.encode(INPUTS)
    load = probe._opened()._connection()  # the same connection, for a call that the probe has no need of

    own_file.write_bytes(b"damaged")
    assert load.send(load.written("POST", "v2/repository/models/tiny/load")).status == 400
    np.testing.assert_allclose(probe.decode(probe.predict(request))["scores"], INPUTS["x"] @ WEIGHTS)

    write_model(own_file, weights=-WEIGHTS, version="8")
    assert load.send(load.written("POST", "v2/repository/models/tiny/load")).status == 200
    np.testing.assert_allclose(probe.decode(probe.predict(request))["scores"], -INPUTS["x"] @ WEIGHTS)
    assert probe.describe().version == "8"
    probe.close()


def test_it_serves_several_clients_at_once(address: str) -> None:
    found: list[np.ndarray] = []

    def ask() -> None:
        probe = probe_of(address)
        probe.open()
        for _ in range(20):
            found.append(probe.decode(probe.predict(probe.encode(INPUTS)))["label"])  # noqa: PERF401
        probe.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 80
    assert all((label == expected_outputs()["label"]).all() for label in found)
