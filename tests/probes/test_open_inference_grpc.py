"""The probe for the Open Inference Protocol over gRPC, against a server of grpcio over real models."""

import socket
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldwatch.probe import (
    BadAnswer,
    CannotLoad,
    Context,
    Description,
    NotReady,
    Rejected,
    Tensors,
    TensorSpec,
    Unreachable,
)
from goldwatch.testing.conformance import FRAMEWORKS, ProbeConformance
from goldwatch_probes._v2_proto import messages
from goldwatch_probes.open_inference_grpc import OpenInferenceGrpc

from tests.probes.conftest import INPUTS, expected_outputs
from tests.probes.model_servers import DIGITS, OnnxModel, V2Grpc, grpc_server

grpc = pytest.importorskip("grpc")

PROTO = messages()


def probe_of(url: str, limit_s: float = 10, max_bytes: int = 2**20, **options: Any) -> OpenInferenceGrpc:
    context = Context(time_limit_s=limit_s, max_response_bytes=max_bytes)
    return OpenInferenceGrpc(OpenInferenceGrpc.Options(**({"url": url, "model": "tiny"} | options)), context)


@pytest.fixture(scope="module")
def models(model_file: Path) -> dict[str, OnnxModel]:
    return {"tiny": OnnxModel(model_file), "digits": OnnxModel(DIGITS)}


@pytest.fixture(scope="module")
def service(models: dict[str, OnnxModel]) -> V2Grpc:
    return V2Grpc(models, PROTO)


@pytest.fixture(scope="module")
def url(service: V2Grpc) -> Iterator[str]:
    with grpc_server(service) as at:
        yield at


@pytest.fixture(scope="module")
def url_without_raw(models: dict[str, OnnxModel]) -> Iterator[str]:
    with grpc_server(V2Grpc(models, PROTO, raw=False)) as at:
        yield at


class TestRaw(ProbeConformance):
    frameworks = FRAMEWORKS | {"google", "numpy"}

    @pytest.fixture(autouse=True)
    def _address(self, url: str) -> None:
        self.url = url

    def make_probe(self) -> OpenInferenceGrpc:
        return probe_of(self.url)

    def make_missing(self) -> OpenInferenceGrpc:
        return probe_of(self.url, model="missing")

    def inputs(self) -> Tensors:
        return INPUTS

    def expected(self) -> Tensors:
        return expected_outputs()


class TestTyped(TestRaw):
    """A server that answers in the typed fields and not in raw bytes."""

    @pytest.fixture(autouse=True)
    def _address(self, url_without_raw: str) -> None:
        self.url = url_without_raw


class TestDigits(TestRaw):
    images = np.random.default_rng(0).uniform(0, 16, size=(3, 8, 8)).astype(np.float32)

    def make_probe(self) -> OpenInferenceGrpc:
        return probe_of(self.url, model="digits", version="3")

    def inputs(self) -> Tensors:
        return {"image": self.images}

    def expected(self) -> Tensors:
        return OnnxModel(DIGITS).run(self.inputs())


def test_it_describes_what_is_served_and_says_who_asks(url: str, service: V2Grpc) -> None:
    probe = probe_of(url, token="s3cret", headers={"X-Team": "a"}, secret_headers={"X-Key": "k3y"}, sampled=True)
    assert "k3y" not in repr(probe._options)
    probe.open()
    assert probe.describe() == Description(
        model="tiny",
        version="3",
        framework="v2",
        framework_version="1.0",
        inputs=(TensorSpec("x", "float32", (2,)),),
        outputs=(TensorSpec("scores", "float32", (3,)), TensorSpec("label", "int64", ())),
    )
    request = probe.encode(INPUTS)
    assert "s3cret" not in repr(request)
    probe.predict(request)
    probe.close()
    sent = service.metadata[-1]
    assert (sent["authorization"], sent["x-team"], sent["x-key"]) == ("Bearer s3cret", "a", "k3y")
    assert sent["x-goldwatch-replay"] == "1"
    assert len(sent["traceparent"]) == 55
    assert sent["traceparent"].endswith("-01")


def test_a_request_that_the_server_refuses(url: str) -> None:
    probe = probe_of(url)
    probe.open()
    request = PROTO["ModelInferRequest"](model_name="tiny")
    wrong = probe._opened().request("ModelInfer", request.SerializeToString())
    with pytest.raises(Rejected, match="answered INVALID_ARGUMENT: "):
        probe.predict(wrong)
    assert set(probe.decode(probe.predict(probe.encode(INPUTS)))) == {"scores", "label"}
    probe.close()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"model": ""}, CannotLoad, "`model` is empty"),
        ({"model": "no"}, NotReady, r"http://127.0.0.1:\d+ ModelReady: answered NOT_FOUND: unknown model 'no'"),
        ({"version": "8"}, NotReady, "answered NOT_FOUND: unknown model 'tiny' 8"),
        ({"headers": {"X-Thing-bin": "a"}}, CannotLoad, "header 'X-Thing-bin' means something else to gRPC"),
        ({"headers": {"Host": "a"}}, CannotLoad, "header 'Host' means something else to gRPC"),
    ],
)
def test_a_model_that_cannot_be_opened(url: str, options: dict[str, Any], error: type[Exception], message: str) -> None:
    probe = probe_of(url, **options)
    with pytest.raises(error, match=message):
        probe.open()
    probe.close()


def test_an_address_with_a_path(url: str) -> None:
    with pytest.raises(CannotLoad, match="with gRPC an address has no path"):
        probe_of(f"{url}/v2").open()


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Unreachable, match=rf"http://127.0.0.1:{port} ServerReady: .*refused"):
        probe_of(f"http://127.0.0.1:{port}").open()


class Odd(V2Grpc):
    """Answers ModelInfer as `act` does: it returns bytes, or ends the call by `context`."""

    def __init__(self, models: dict[str, OnnxModel], act: Any) -> None:
        super().__init__(models, PROTO)
        self.act = act

    def ModelInfer(self, request: Any, context: Any, grpc: Any) -> Any:  # noqa: N802
        body: bytes = self.act(context)

        class Raw:
            def SerializeToString(self) -> bytes:  # noqa: N802
                return body

        return Raw()


def abort(code: str) -> Any:
    return lambda context: context.abort(getattr(grpc.StatusCode, code), "as told")


def late(_: Any) -> bytes:
    time.sleep(7)
    return b""


def answer(raw: list[bytes] | None = None, **changes: Any) -> Any:
    head = {"name": "scores", "datatype": "FP32", "shape": [1, 3]} | changes
    label = {"name": "label", "datatype": "INT64", "shape": [1]}
    raw = [bytes(12), bytes(8)] if raw is None else raw
    body = PROTO["ModelInferResponse"](outputs=[head, label], raw_output_contents=raw).SerializeToString()
    return lambda _: body


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (abort("UNAVAILABLE"), Unreachable, "ModelInfer: as told"),
        (abort("NOT_FOUND"), Rejected, "^answered NOT_FOUND: as told$"),
        (abort("RESOURCE_EXHAUSTED"), Rejected, "^answered RESOURCE_EXHAUSTED: as told$"),
        (abort("INTERNAL"), Rejected, "^answered INTERNAL: as told$"),
        pytest.param(
            late,
            TimeoutError,
            r"no whole answer from http://127.0.0.1:\d+ ModelInfer within 5 s",
            marks=pytest.mark.slow,
        ),
        (lambda _: b"\xff\xff", BadAnswer, "the answer is no message of the protocol"),
        (lambda _: b"", BadAnswer, 'no output "scores"; the answer has none'),
        (lambda _: bytes(200_000), BadAnswer, "the answer is longer than the 100000 bytes allowed"),
        (answer([bytes(12)]), BadAnswer, "the answer has 2 outputs, and raw contents of 1"),
        (answer([bytes(8), bytes(8)]), BadAnswer, r'output "scores" has 2 values, its shape \[1, 3\] needs 3'),
        (answer([]), BadAnswer, r'output "scores" has 0 values'),
        (answer([], datatype="FP16"), BadAnswer, 'output "scores" is FP16, and not in raw contents'),
        (answer(datatype="BF16"), BadAnswer, 'output "scores" has '),
        (answer(shape=[-1, 3]), BadAnswer, r'output "scores" has shape \[-1, 3\]'),
        (answer(name="z"), BadAnswer, 'no output "scores"; the answer has label, z'),
        (answer(shape=[3, 1]), BadAnswer, r'output "scores" has shape \[3, 1\], the metadata says \[-1, 3\]'),
    ],
)
def test_a_failure_is_told_and_over(
    models: dict[str, OnnxModel], act: Any, error: type[Exception], message: str
) -> None:
    service = Odd(models, act)
    with grpc_server(service) as url:
        probe = probe_of(url, limit_s=5, max_bytes=100_000)
        probe.open()
        with pytest.raises(error, match=message) as caught:
            probe.decode(probe.predict(probe.encode({"x": INPUTS["x"][:1]})))
        assert type(caught.value) is error
        assert len(str(caught.value)) < 350
        service.act = answer()
        assert probe.decode(probe.predict(probe.encode({"x": INPUTS["x"][:1]})))["scores"].shape == (1, 3)
        probe.close()


@contextmanager
def nothing_but(names: tuple[str, ...], service: V2Grpc) -> Iterator[str]:
    """A server that has some methods only."""

    class Some(grpc.GenericRpcHandler):  # type: ignore[name-defined,misc]
        def service(self, details: Any) -> Any:
            return all_of.service(details) if details.method.rpartition("/")[2] in names else None

    all_of = service.handlers(grpc)
    server = grpc.server(futures.ThreadPoolExecutor(1), handlers=(Some(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop(0).wait(5)


def test_a_server_that_tells_nothing_of_itself(service: V2Grpc) -> None:
    with nothing_but(("ServerReady", "ModelReady", "ModelMetadata"), service) as url:
        probe = probe_of(url)
        probe.open()
        assert probe.describe().framework == "onnx"
        probe.close()


def test_a_server_of_something_else(service: V2Grpc) -> None:
    with nothing_but((), service) as url:
        probe = probe_of(url)
        with pytest.raises(CannotLoad, match="ServerReady: answered UNIMPLEMENTED"):
            probe.open()
        probe.close()


def test_a_restarted_server_is_found_at_once(service: V2Grpc) -> None:
    with grpc_server(service) as url:
        probe = probe_of(url)
        probe.open()
        request = probe.encode(INPUTS)
        probe.predict(request)
    with pytest.raises(Unreachable):
        probe.predict(request)
    server = grpc.server(futures.ThreadPoolExecutor(1), handlers=(service.handlers(grpc),))
    assert server.add_insecure_port(url.removeprefix("http://"))
    server.start()
    assert set(probe.decode(probe.predict(request))) == {"scores", "label"}
    probe.close()
    server.stop(0).wait(5)


def test_outputs_and_parameters_of_requests(url: str, service: V2Grpc) -> None:
    written = {"priority": 0, "sequence_start": False, "sequence_id": "a", "factor": 0.5}
    probe = probe_of(url, outputs=("label",), parameters=written)
    probe.open()
    assert [spec.name for spec in probe.describe().outputs] == ["label"]
    found = probe.decode(probe.predict(probe.encode(INPUTS)))
    assert {name: array.tolist() for name, array in found.items()} == {"label": expected_outputs()["label"].tolist()}
    received = {entry.key: entry.value for entry in service.asked[-1].parameters}
    said = {name: [(field.name, value) for field, value in each.ListFields()] for name, each in received.items()}
    assert said == {
        "priority": [("int64_param", 0)],
        "sequence_start": [("bool_param", False)],
        "sequence_id": [("string_param", "a")],
        "factor": [("double_param", 0.5)],
    }
    probe.close()


def test_inputs_may_be_parameters_that_differ_from_request_to_request(url: str, service: V2Grpc) -> None:
    probe = probe_of(url, parameters={"priority": 1}, parameter_inputs=("sequence_id",))
    probe.open()
    for sequence in (7, 8):
        size = len(next(iter(INPUTS.values())))
        found = probe.decode(probe.predict(probe.encode(INPUTS | {"sequence_id": np.full(size, sequence)})))
        assert np.allclose(found["scores"], expected_outputs()["scores"])
        received = {entry.key: entry.value.int64_param for entry in service.asked[-1].parameters}
        assert received == {"priority": 1, "sequence_id": sequence}
    probe.close()


@pytest.mark.parametrize("value", [None, [1], {"a": 1}, 2**63])
def test_a_parameter_that_has_no_place(url: str, value: Any) -> None:
    probe = probe_of(url, parameters={"odd": value})
    probe.open()
    with pytest.raises(CannotLoad, match=r"`parameters`: odd is .*over gRPC it is a number, a text, true or false"):
        probe.encode(INPUTS)
    probe.close()
