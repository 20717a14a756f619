"""Servers as people deploy them: compressed answers, queries, wrong metadata, bytes, tool calls, frozen requests."""

from __future__ import annotations

import base64
import gzip
import json
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from goldwatch.core.load_plan import LoadPlan
from goldwatch.ipc.columns import Columns, Layout
from goldwatch.probe import BadAnswer, CannotLoad, Context, Overloaded, TensorSpec
from goldwatch.worker.load.asking import MOST_FAILURES_IN_A_ROW, Asking
from goldwatch.worker.load.dispatch import Dispatcher
from goldwatch.worker.load.pace import Pace
from goldwatch_probes._v2_tensors import split_parameters
from goldwatch_probes.http_template import HttpTemplate
from goldwatch_probes.mlflow_scoring import MlflowScoring
from goldwatch_probes.open_inference import OpenInference
from goldwatch_probes.openai_api import OpenAI
from goldwatch_probes.torchserve import TorchServe

from tests.probes.conftest import METADATA, RawServer, response

Start = Callable[..., RawServer]
CONTEXT = Context(time_limit_s=5.0)
OPENED: list[Any] = []
X = {"x": np.ones((1, 2), np.float32)}
JPEG = {"image": np.array([b"\xff\xd8\xff\xe0 and so on"], dtype=object)}


def says(answer: Any, *headers: str, status: str = "200 OK") -> Callable[[socket.socket, bytes], None]:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return lambda connection, _: connection.sendall(response(body, status, "".join(f"{h}\r\n" for h in headers)))


def sent(server: RawServer) -> tuple[str, bytes]:
    """Return the path and the body of the last request."""
    head, _, body = server.requests[-1].partition(b"\r\n\r\n")
    return head.split(b" ")[1].decode(), body


def tensor(name: str, datatype: str, values: list[float]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [1, len(values)], "data": values}


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Close what a test has opened."""
    yield
    while OPENED:
        OPENED.pop().close()


def opened(probe: Any) -> Any:
    OPENED.append(probe)
    probe.open()
    return probe


def v2(server: RawServer, **options: Any) -> Any:
    return opened(OpenInference(OpenInference.Options(url=server.url, model="tiny", **options), CONTEXT))


def answered(probe: Any, inputs: Any) -> dict[str, Any]:
    return dict(probe.decode(probe.predict(probe.encode(inputs))))


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_compressed_answers_are_read(raw_server: Start, encoding: str) -> None:
    body = json.dumps({"outputs": [tensor("y", "FP32", [1, 2])]}).encode()
    packed = gzip.compress(body) if encoding == "gzip" else zlib.compress(body)
    probe = v2(raw_server({"infer": says(packed, f"Content-Encoding: {encoding}")}))
    assert answered(probe, X)["y"].tolist() == [[1, 2]]


def test_a_query_goes_with_each_path(raw_server: Start) -> None:
    server = raw_server({"infer": says({"choices": [{"message": {"content": "ice"}}]})})
    probe = opened(OpenAI(OpenAI.Options(url=f"{server.url}/v1?api-version=1", model="m", metadata="ignore"), CONTEXT))
    assert answered(probe, {"prompt": np.array(["?"], dtype=object)})["text"].tolist() == ["ice"]
    assert sent(server)[0] == "/v1/chat/completions?api-version=1"


def test_metadata_that_disagree_are_ignored_on_request(raw_server: Start) -> None:
    wrong = METADATA | {"outputs": [{"name": "output-0", "datatype": "BYTES", "shape": [-1, 1]}]}
    server = raw_server({"infer": says({"outputs": [tensor("output", "FP64", [1, 2])]})}, page=wrong)
    with pytest.raises(BadAnswer, match="the answer has output; if the metadata is wrong, set `metadata: ignore`"):
        answered(v2(server), X)
    assert answered(v2(server, metadata="ignore"), X)["output"].tolist() == [[1, 2]]


def test_outputs_that_numpy_lacks_do_not_hinder_the_others(raw_server: Start) -> None:
    outputs = [tensor("y", "FP32", [1, 2]), tensor("h", "BF16", [0.5, 2]), tensor("odd", "FP8", [1, 2])]
    page = METADATA | {"outputs": [{k: o[k] for k in ("name", "datatype", "shape")} for o in outputs]}
    server = raw_server({"infer": says({"outputs": outputs})}, page=page)
    found = answered(v2(server), X)
    assert {name: values.dtype.name for name, values in found.items()} == {"y": "float32", "h": "float32"}


def test_bfloat16_is_read_from_bytes(raw_server: Start) -> None:
    values = np.array([1.5, -3.0, 1e30], np.float32)
    raw = b"".join(struct.pack("<f", value)[2:] for value in values.tolist())
    head = {
        "outputs": [{"name": "y", "datatype": "BF16", "shape": [1, 3], "parameters": {"binary_data_size": len(raw)}}]
    }
    header = json.dumps(head).encode()
    server = raw_server({"infer": says(header + raw, f"Inference-Header-Content-Length: {len(header)}")})
    found = answered(v2(server, binary=True, metadata="ignore"), X)
    assert found["y"] == pytest.approx(values[np.newaxis], rel=2**-7)


def test_outputs_and_parameters_are_asked_for(raw_server: Start) -> None:
    server = raw_server({"infer": says({"outputs": [tensor("y", "FP32", [1, 2])]})})
    for binary in (False, True):
        answered(v2(server, outputs=("y",), parameters={"priority": 2}, binary=binary), X)
        asked, _ = json.JSONDecoder().raw_decode(sent(server)[1].decode("latin-1"))
        assert asked["outputs"] == [{"name": "y"}]
        assert asked["parameters"]["priority"] == 2


SEQUENCE = ("sequence_id", "sequence_start")


def test_inputs_may_be_parameters_of_the_request(raw_server: Start) -> None:
    server = raw_server({"infer": says({"outputs": [tensor("y", "FP32", [1, 2])]})})
    inputs = X | {"sequence_id": np.array([7], np.uint64), "sequence_start": np.array([[True]])[:, 0]}
    for binary in (False, True):
        answered(v2(server, parameters={"priority": 2}, parameter_inputs=SEQUENCE, binary=binary), inputs)
        asked, _ = json.JSONDecoder().raw_decode(sent(server)[1].decode("latin-1"))
        assert [each["name"] for each in asked["inputs"]] == list(X)
        found = {name: asked["parameters"][name] for name in (*SEQUENCE, "priority")}
        assert found == {"sequence_id": 7, "sequence_start": True, "priority": 2}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "`parameter_inputs` names sequence_id, which is no input; the set has x"),
        (np.ones((2, 2)), r'input "sequence_id" has shape \[2\]; a parameter is one value an example'),
        (np.array([1, 2]), 'the 2 examples of a request differ in the parameter "sequence_id": send one each'),
    ],
)
def test_a_parameter_is_one_value_of_a_request(given: np.ndarray | None, message: str) -> None:
    inputs = {"x": np.ones((2, 3))} | ({} if given is None else {"sequence_id": given})
    with pytest.raises(CannotLoad, match=message):
        split_parameters(inputs, ["sequence_id"])


@pytest.mark.parametrize("value", [np.array(["a", "a"], object), np.array([b"a", b"a"])])
def test_a_parameter_may_be_text_that_is_alike_in_all_examples(value: np.ndarray) -> None:
    assert split_parameters({"x": np.ones(2), "sequence_id": value}, ["sequence_id"])[1] == {"sequence_id": "a"}


def torchserve(server: RawServer, **options: Any) -> Any:
    return opened(TorchServe(TorchServe.Options(url=server.url, model="m", **options), CONTEXT))


def test_torchserve_takes_bytes_and_answers_scores_by_class(raw_server: Start) -> None:
    server = raw_server({"infer": says({"tabby": 0.4, "lynx": 0.1})})
    for body, has in (("raw", b"\xff\xd8"), ("multipart", b'name="image"'), ("base64", b"/9j/4CBhbmQgc28gb24=")):
        found = answered(torchserve(server, body=body, classes=("lynx", "puma", "tabby")), JPEG)
        assert found["output"] == pytest.approx(np.array([[0.1, 0, 0.4]]))
        assert has in sent(server)[1]
    with pytest.raises(BadAnswer, match="the class 'tabby', which `classes` does not name"):
        answered(torchserve(server, body="raw", classes=("lynx",)), JPEG)
    pixels = {"image": np.arange(6, dtype=np.uint8).reshape(1, 6)}
    probe = torchserve(server, body="raw")
    with pytest.raises(BadAnswer, match="a score for each class; name them, in order, in `classes`"):
        answered(probe, pixels)
    assert sent(server)[1] == bytes(range(6))


def test_bytes_go_into_a_template_as_base64(raw_server: Start) -> None:
    server = raw_server({"infer": says({"y": [1]})})
    options = HttpTemplate.Options(url=server.url, path="/p", body={"data": "{base64(image)[0]}"}, outputs={"y": "y"})
    probe = opened(HttpTemplate(options, CONTEXT))
    answered(probe, JPEG)
    assert base64.b64decode(json.loads(sent(server)[1])["data"]) == JPEG["image"][0]


def test_mlflow_takes_records(raw_server: Start) -> None:
    server = raw_server({"infer": says({"predictions": [1]})})
    probe = opened(MlflowScoring(MlflowScoring.Options(url=server.url, format="dataframe_records"), CONTEXT))
    answered(probe, {"a": np.array([1.5]), "b": np.array([2])})
    assert json.loads(sent(server)[1]) == {"dataframe_records": [{"a": 1.5, "b": 2}]}


def openai(server: RawServer, **options: Any) -> Any:
    return opened(OpenAI(OpenAI.Options(url=f"{server.url}/v1", metadata="ignore", model="m", **options), CONTEXT))


def test_a_call_of_a_tool_is_an_answer(raw_server: Start) -> None:
    pieces = [
        {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "ice", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"cold":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": " true}"}}]},
    ]
    stream = b"".join(b"data: " + json.dumps({"choices": [{"delta": p}]}).encode() + b"\n\n" for p in pieces)
    server = raw_server({"infer": says(stream + b"data: [DONE]\n\n", "Content-Type: text/event-stream")})
    text = answered(openai(server), {"prompt": np.array(["?"], dtype=object)})["text"][0]
    assert json.loads(text) == [{"name": "ice", "arguments": {"cold": True}}]


def test_members_of_a_request_are_left_out_or_frozen_with_an_example(raw_server: Start) -> None:
    server = raw_server({"infer": says({"choices": [{"message": {"content": "ice"}}]})})
    frozen = {"messages": [{"role": "user", "content": "?"}], "stop": ["."], "max_tokens": 5}
    probe = openai(server, more={"temperature": None, "seed": None, "stream_options": None})
    answered(probe, {"request": np.array([json.dumps(frozen)], dtype=object)})
    assert json.loads(sent(server)[1]) == {"model": "m", "stream": True} | frozen
    cases: list[dict[str, Any]] = [{"stop": []}, frozen | {"model": "other"}]
    for wrong in cases:
        with pytest.raises(CannotLoad, match='input "request"'):
            probe.encode({"request": np.array([json.dumps(wrong)], dtype=object)})


def test_a_model_may_have_an_id_of_any_length(raw_server: Start) -> None:
    name = "/mnt/models/" + "a-very-long-folder-name/" * 20
    server = raw_server({}, page={"data": [{"id": name}]})
    probe = opened(OpenAI(OpenAI.Options(url=server.url), CONTEXT))
    assert probe.describe().model == name


class Clock:
    """Sleeps without passing the time."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class Busy:
    """Rejects the first requests, as too many."""

    def __init__(self, rejections: int, retry_after_s: float | None) -> None:
        self.asked, self._rejections, self._retry_after_s = 0, rejections, retry_after_s

    def encode(self, inputs: Any) -> Any:
        return inputs

    def predict(self, request: Any) -> Any:
        self.asked += 1
        if self.asked <= self._rejections:
            raise Overloaded("overloaded: answered 429", self._retry_after_s)
        return request

    def decode(self, response: Any) -> Any:
        return {"y": response["x"]}


@pytest.mark.parametrize(
    ("rejections", "retry_after_s", "open_load", "asked", "slept"),
    [
        (2, 3.0, False, 40, [3.0, 3.0]),
        (3, None, False, 40, [0.1, 0.2, 0.4]),
        (40, 30.0, False, 1, []),
        (40, None, False, MOST_FAILURES_IN_A_ROW, [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]),
        (40, 1.0, True, 1, []),
        (40, None, True, MOST_FAILURES_IN_A_ROW, [0.0] * 9),
    ],
)
def test_an_overloaded_server_is_left_alone(
    rejections: int, retry_after_s: float | None, open_load: bool, asked: int, slept: list[float]
) -> None:
    columns = Columns.create(Layout(40, (TensorSpec("y", "float32", (2,)),)), range(40))
    clock, probe = Clock(), Busy(rejections, retry_after_s)
    load = LoadPlan(scenario="server", rate_per_s=10_000.0) if open_load else LoadPlan()
    pace = Pace(load, None, clock.sleep)
    asking = Asking(probe, {"x": np.ones((40, 2), np.float32)}, columns, pace, 1)  # type: ignore[arg-type] # enough of one
    Dispatcher(load, asking, columns, pace, concurrent=False, warm=False).run()
    assert probe.asked == asked
    assert clock.slept == pytest.approx(slept)
    assert asking.errors == {"overloaded: answered 429": min(rejections, asked)}
    columns.close()
