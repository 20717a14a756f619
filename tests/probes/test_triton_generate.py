"""The probe triton-generate against a server with the documented generate extension, streamed and whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from typing import Any, ClassVar

import numpy as np
import pytest

from goldwatch.probe import BadAnswer, CannotLoad, Context, CountsTokens, Tensors, Tokens
from goldwatch.testing.conformance import ProbeConformance
from goldwatch_probes._http import Answer
from goldwatch_probes.triton_generate import TritonGenerate, generated

from tests.loopback import JsonHandler, serving

PAGES = {
    "/v2": {"name": "triton", "version": "2.60.0"},
    "/v2/health/ready": {},
    "/v2/models/ensemble/ready": {},
    "/v2/models/ensemble": {"name": "ensemble", "versions": ["1"], "inputs": [], "outputs": []},
}


class Triton:
    """A decoupled model that says the words of the prompt from the last to the first, a response a word."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.bodies: list[tuple[str, Any]] = []


@contextmanager
def triton() -> Iterator[Triton]:
    class Handler(JsonHandler):
        def do_GET(self) -> None:
            self.answer(
                PAGES.get(self.path, {"error": "Request for unknown model"}), 200 if self.path in PAGES else 400
            )

        def do_POST(self) -> None:
            body = self.received()
            served.bodies.append((self.path, body))
            words = body["text_input"].split()[::-1]
            head = {"model_name": "ensemble", "model_version": "1"}
            if self.path.endswith("/generate"):
                self.answer(head | {"text_output": " ".join(words)})
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream; charset=utf-8")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for number, word in enumerate(words):
                found = head | {"text_output": f" {word}" if number else word}
                event = f"data: {json.dumps(found)}\n\n".encode()
                self.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        served = Triton(http.server_port)
        with serving(http):
            yield served


@pytest.fixture(scope="module")
def server() -> Iterator[Triton]:
    with triton() as served:
        yield served


def texts(*values: str) -> np.ndarray:
    found = np.empty(len(values), object)
    found[:] = values
    return found


def probe_of(server: Triton, **options: Any) -> TritonGenerate:
    given = {"url": server.url, "model": "ensemble"} | options
    return TritonGenerate(TritonGenerate.Options(**given), Context(time_limit_s=5.0))


class TestStream(ProbeConformance):
    options: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(autouse=True)
    def _server(self, server: Triton) -> None:
        self.server = server

    def make_probe(self) -> TritonGenerate:
        return probe_of(self.server, **self.options)

    def make_missing(self) -> TritonGenerate:
        return probe_of(self.server, model="no-such-model")

    def inputs(self) -> Tensors:
        return {"prompt": texts("a b c", "d é")}

    def expected(self) -> Tensors:
        return {"text": texts("c b a", "é d")}


class TestWhole(TestStream):
    options: ClassVar[dict[str, Any]] = {"stream": False}


@pytest.mark.parametrize(("stream", "path"), [(True, "generate_stream"), (False, "generate")])
def test_members_of_a_request_are_of_the_target_and_of_the_example(server: Triton, stream: bool, path: str) -> None:
    probe = probe_of(server, stream=stream, more={"max_tokens": 20, "parameters": {"priority": 1}})
    probe.open()
    assert isinstance(probe, CountsTokens)
    example = {"text_input": "a b", "max_tokens": 3}
    answer = probe.predict(probe.encode({"request": texts(json.dumps(example))}))
    assert probe.decode(answer)["text"].tolist() == ["b a"]
    expected = {"text_input": "a b", "max_tokens": 3, "parameters": {"priority": 1}}
    assert server.bodies[-1] == (f"/v2/models/ensemble/{path}", expected)
    found = probe.describe()
    assert (found.model, found.version, found.framework, found.framework_version) == (
        *("ensemble", "1", "triton", "2.60.0"),
    )
    probe.close()


def test_the_first_text_is_timed_and_tokens_are_not_made_up() -> None:
    pieces = [f'data: {{"text_output": "{word}"}}\n\n'.encode() for word in "abc"]
    upto = np.cumsum([len(piece) for piece in pieces]).tolist()
    arrivals = tuple((float(i + 1), size) for i, size in enumerate(upto))
    text, times = generated(Answer(200, {}, b"".join(pieces), 0, 1, arrivals), "text_output")
    assert text == "abc"
    assert Tokens(**times._asdict()) == Tokens(first_s=1.0, gaps_s=(1.0, 1.0), next_unknown="count")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"text_output": ["one beam"]}', "one beam"),
        (b'{"text_output": ""}', ""),
        (b'{"text_output": "a", "error": "", "type": "error", "detail": [1.0]}', "a"),  # tensors of a model
        (b'data: {"text_output": "ha", "object": "error"}\n\n' * 3, "hahaha"),
        (b': ping\n\ndata:\n\ndata: {"text_output": "a"}\n\n', "a"),
    ],
)
def test_a_text_may_come_in_other_forms(body: bytes, text: str) -> None:
    assert generated(Answer(200, {}, body, 0, 1), "text_output")[0] == text


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"model_name": "m"}', 'the answer has no text "text_output"; it has model_name'),
        (b'{"text_output": ["a", "b"]}', "has no text"),
        (b'{"error": "out of memory"}', "the server reports: .*out of memory"),
        (b'data: {"text_output": "a"}\n\ndata: {"error": "out of memory"}\n\n', "reports: .*out of memory"),
        (b'data: {"text_output": "a"}\n\ndata: {"text_out', "the stream ended within a response"),
        (
            b'data: {"text_output": "H"}\n\ndata: {"text_output": "He"}\n\ndata: {"text_output": "Hel"}\n\n',
            "each response repeats the one before; turn off `accumulate_tokens`",
        ),
        (b"data: oops\n\n", "an event of the stream is not JSON"),
        (b"<html>", "the stream has no response, and begins with b'<html>"),
    ],
)
def test_an_answer_without_its_text_is_bad(body: bytes, message: str) -> None:
    with pytest.raises(BadAnswer, match=message):
        generated(Answer(200, {}, body, 0, 1), "text_output")


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"x": np.ones((1, 3))}, "a prompt is one input of text, or `request` of dtype json; the set has x"),
        ({"a": texts("?"), "b": texts("?")}, "the set has a, b"),
        ({"request": texts('{"prompt": "?"}')}, "expected an object with text_input"),
    ],
)
def test_what_is_no_prompt_is_told(server: Triton, inputs: Tensors, message: str) -> None:
    probe = probe_of(server)
    probe.open()
    with pytest.raises(CannotLoad, match=message):
        probe.encode(inputs)
    probe.close()
