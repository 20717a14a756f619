"""The probe openai against sockets that answer as servers do, and as broken ones do. See also tests/real."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, ClassVar

import numpy as np
import pytest

from goldwatch.probe import BadAnswer, CannotLoad, Context, CountsTokens, Tensors, Tokens, Unreachable
from goldwatch.testing.conformance import ProbeConformance
from goldwatch_probes._http import Answer
from goldwatch_probes._line import Line
from goldwatch_probes._openai_answers import completion
from goldwatch_probes.openai_api import OpenAI

from tests.probes.conftest import RawServer, response
from tests.probes.misbehaving import FAILURES, LIMIT_S, MAX_BYTES, failures, send

MODELS = {"object": "list", "data": [{"id": "smol", "owned_by": "llamacpp"}]}
ONE = {"prompt": np.array(["Hello?"], dtype=object)}
Start = Callable[..., RawServer]
Opened = Callable[..., OpenAI]


def probe_of(url: str, **options: Any) -> OpenAI:
    context = Context(time_limit_s=LIMIT_S, max_response_bytes=MAX_BYTES)
    return OpenAI(OpenAI.Options(**({"url": f"{url}/v1"} | options)), context)


@pytest.fixture
def opened() -> Iterator[Opened]:
    with ExitStack() as stack:

        def opened(server: RawServer, **options: Any) -> OpenAI:
            probe = probe_of(server.url, **options)
            stack.callback(probe.close)
            probe.open()
            return probe

        yield opened


def event(text: str | None = None, finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": {} if text is None else {"content": text}, "finish_reason": finish}
    return b"data: " + json.dumps({"choices": [choice], **more}).encode() + b"\n\n"


USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}\n\n'
DONE = b"data: [DONE]\n\n"
GOOD = [event(""), event("Hel"), event("lo"), event(None, "stop"), USAGE, DONE]


def streams(
    *pieces: bytes, pause_s: float = 0.0, before: int = -1, each: bool = False
) -> Callable[[socket.socket, bytes], None]:
    """Answer in chunks, with a pause before one of them, or before each from there on."""

    def behave(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number, piece in enumerate(pieces):
            time.sleep(pause_s if number == before or (each and number > before) else 0)
            connection.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        connection.sendall(b"0\r\n\r\n")

    return behave


def ask(probe: OpenAI, inputs: Tensors = ONE) -> tuple[list[str], Tokens]:
    response = probe.predict(probe.encode(inputs))
    return probe.decode(response)["text"].tolist(), probe.tokens(response)


def echo(connection: socket.socket, request: bytes) -> None:
    """Answer with the prompt turned round, streamed or not as is asked; with its length where embeddings are."""
    path, body = request.split(b" ")[1], json.loads(request.split(b"\r\n\r\n", 1)[1])
    if path.endswith(b"/embeddings"):
        found = {"data": [{"embedding": [float(len(body["input"])), 1.0]}], "usage": {"prompt_tokens": 3}}
        connection.sendall(response(json.dumps(found).encode()))
        return
    prompt = body["prompt"] if "prompt" in body else body["messages"][-1]["content"]
    if body["stream"]:
        said = {"text": prompt[::-1]} if "prompt" in body else {"delta": {"content": prompt[::-1]}}
        piece = b"data: " + json.dumps({"choices": [said | {"finish_reason": "stop"}]}).encode() + b"\n\n"
        streams(piece, DONE)(connection, request)
        return
    said = {"text": prompt[::-1]} if "prompt" in body else {"message": {"content": prompt[::-1]}}
    connection.sendall(response(json.dumps({"choices": [said | {"finish_reason": "stop"}]}).encode()))


class _Suite(ProbeConformance):
    options: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(autouse=True)
    def _address(self, raw_server: Start) -> None:
        self.url = raw_server({"infer": echo}, page=MODELS).url

    def make_probe(self) -> OpenAI:
        return probe_of(self.url, **self.options)

    def make_missing(self) -> OpenAI:
        return probe_of(self.url, model="no-such-model")

    def inputs(self) -> Tensors:
        return {"prompt": np.array(["abc", "déf"], dtype=object)}

    def expected(self) -> Tensors:
        return {"text": np.array(["cba", "féd"], dtype=object)}


class TestChat(_Suite):
    pass


class TestChatWhole(_Suite):
    options: ClassVar[dict[str, Any]] = {"stream": False}


class TestCompletions(_Suite):
    options: ClassVar[dict[str, Any]] = {"api": "completions"}


class TestCompletionsWhole(_Suite):
    options: ClassVar[dict[str, Any]] = {"api": "completions", "stream": False}


class TestEmbeddings(_Suite):
    options: ClassVar[dict[str, Any]] = {"api": "embeddings"}

    def expected(self) -> Tensors:
        return {"embedding": np.array([[3, 1], [3, 1]], dtype=np.float32)}


def test_a_stream_is_put_together_and_its_first_token_timed(raw_server: Start, opened: Opened) -> None:
    probe = opened(raw_server({"infer": streams(*GOOD, pause_s=0.1, before=1, each=True)}, page=MODELS))
    assert isinstance(probe, CountsTokens)
    for _ in range(5):  # a client that is late finds two events in one read, and no time
        texts, tokens = ask(probe)
        if tokens.first_s is not None:
            break
    assert texts == ["Hello"]
    assert (tokens.input, tokens.output, tokens.finish) == (5, 2, "stop")
    assert tokens.first_s is not None
    assert 0.1 <= tokens.first_s < LIMIT_S  # the role alone, which came at once, is no text
    assert probe.describe().framework == "llamacpp"


def test_a_server_that_does_not_stream_is_understood(raw_server: Start, opened: Opened) -> None:
    whole = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "length"}], "usage": {"completion_tokens": 1}}
    texts, tokens = ask(opened(raw_server({"infer": send(response(json.dumps(whole).encode()))}, page=MODELS)))
    assert texts == ["Hi"]
    assert tokens == Tokens(output=1, finish="length", first_unknown="whole", next_unknown="whole")


def test_more_tokens_than_can_be_are_no_answer(raw_server: Start, opened: Opened) -> None:
    whole = {"choices": [{"message": {"content": "Hi"}}], "usage": {"completion_tokens": 10**30}}
    probe = opened(raw_server({"infer": send(response(json.dumps(whole).encode()))}, page=MODELS))
    with pytest.raises(BadAnswer, match="the answer says that it took more than 1,000,000,000 completion_tokens"):
        ask(probe)


def test_the_request_is_what_the_options_say(raw_server: Start, opened: Opened) -> None:
    server = raw_server({"infer": echo}, page=MODELS)
    chat = [{"role": "user", "content": "One"}, {"role": "assistant", "content": "Two"}]
    probe = opened(server, system="Be brief.", seed=7, max_tokens=9, token="hush", more={"stop": ["\n"]})
    ask(probe, {"messages": np.array([json.dumps(chat)], dtype=object)})
    head, body = server.requests[-1].split(b"\r\n\r\n", 1)
    assert json.loads(body) == {
        "model": "smol",
        "messages": [{"role": "system", "content": "Be brief."}, *chat],
        "temperature": 0.0,
        "seed": 7,
        "stream": True,
        "max_tokens": 9,
        "stream_options": {"include_usage": True},
        "stop": ["\n"],
    }
    assert b"POST /v1/chat/completions " in head
    for header in (b"Authorization: Bearer hush", b"x-goldwatch-replay: 1", b"traceparent: 00-"):
        assert header in head


def test_a_client_that_reads_late_knows_no_first_token(raw_server: Start, opened: Opened) -> None:
    """Everything is in the socket when the client gets a processor: the tokens before the last have no time."""
    written, read = threading.Event(), Line.receive

    def behave(connection: socket.socket, request: bytes) -> None:
        streams(*GOOD)(connection, request)
        written.set()

    def late(line: Line) -> tuple[bytes, int]:
        assert written.wait(30)
        return read(line)

    probe = opened(raw_server({"infer": behave}, page=MODELS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Line, "receive", late)
        texts, tokens = ask(probe)
    assert texts == ["Hello"]
    assert (tokens.first_s, tokens.per_token_s, tuple(tokens.gaps_s)) == (None, None, ())
    assert (tokens.first_unknown, tokens.next_unknown) == ("together", "together")


def test_a_connection_that_was_closed_after_a_stream_is_no_failure(raw_server: Start, opened: Opened) -> None:
    answers = [streams(*GOOD), lambda connection, _: connection.shutdown(socket.SHUT_RDWR), streams(*GOOD)]

    def next_behaviour(connection: socket.socket, request: bytes) -> None:
        answers.pop(0)(connection, request)

    server = raw_server({"infer": next_behaviour}, page=MODELS)
    probe = opened(server)
    assert [ask(probe)[0] for _ in range(2)] == [["Hello"], ["Hello"]]
    assert server.connections == 2


def test_a_new_connection_that_is_closed_is_a_failure(raw_server: Start, opened: Opened) -> None:
    server = raw_server({"infer": lambda connection, _: connection.shutdown(socket.SHUT_RDWR)}, page=MODELS)
    probe = opened(server)
    with pytest.raises(Unreachable, match="closed connection without response"):
        ask(probe)


def chunk(delta: dict[str, Any], **more: Any) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta} | more]}).encode() + b"\n\n"


LF = [chunk({"role": "assistant", "content": None}), event("Hel"), event("lo"), event(None, "stop"), USAGE, DONE]
WHOLE = chunk({}, finish_reason="stop", message={"role": "assistant", "content": "Hello"})
ANSWERS: dict[str, tuple[list[bytes], str]] = {
    "no text": ([event(None, "stop"), DONE], ""),
    "empty text": ([event(""), DONE], ""),
    "a refusal": ([chunk({"refusal": "I can"}), chunk({"refusal": "not"}, finish_reason="stop"), DONE], "I cannot"),
    "a filter of contents": ([b'data: {"choices": [], "prompt_filter_results": []}\n\n', *LF], "Hello"),
    "heartbeats": (
        [b": ping\n\n", b"data:\n\n", *LF[:2], b"data: \n\n:\n\n", b"event: ping\ndata: {}\n\n", *LF[2:]],
        "Hello",
    ),
    "CR LF": ([piece.replace(b"\n", b"\r\n") for piece in LF], "Hello"),
    "CR": ([piece.replace(b"\n", b"\r") for piece in LF], "Hello"),
    "a BOM": ([b"\xef\xbb\xbf", *LF], "Hello"),
    "other fields": ([b"retry: 9\nid: 7\nevent: message\n" + piece for piece in LF], "Hello"),
    "several lines": ([piece.replace(b", ", b",\ndata:  ") for piece in LF], "Hello"),
    "no last blank line": ([event("Hello"), b"data: [DONE]"], "Hello"),
    "no DONE, and the end cut": ([event("Hello", "stop"), USAGE[:20]], "Hello"),
    "nothing after DONE counts": ([*LF, event("!")], "Hello"),
    "several choices": ([*LF[:2], event("x").replace(b'"index": 0', b'"index": 1'), *LF[2:]], "Hello"),
    "the whole again": ([*LF[:3], WHOLE, DONE], "Hello"),
    "the whole once": ([WHOLE, DONE], "Hello"),
    "half characters": ([chunk({"content": "\ud83e"}), chunk({"content": "\uddca"}), DONE], "\U0001f9ca"),
    "half a character": ([chunk({"content": "\ud83e"}), event("!", "stop")], "\ufffd!"),
    "reasoning": ([chunk({"reasoning_content": "hm"}), chunk({"reasoning": "so"}), event("Hello", "stop")], "Hello"),
    "parts": ([chunk({"content": [{"type": "thinking", "thinking": []}]}), *LF], "Hello"),
    "line separators": ([event("a\u2028b\x0c\x0b\x85", "stop")], "a\u2028b\x0c\x0b\x85"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_may_be_streamed_in_many_ways(name: str) -> None:
    pieces, text = ANSWERS[name]
    assert completion(Answer(200, {}, b"".join(pieces), 0, 1)).text == text


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": ""}, ""),
        ({"content": None}, ""),
        ({"content": None, "refusal": "I cannot"}, "I cannot"),
        ({"content": [{"type": "text", "text": "Hi"}]}, "Hi"),
        ({"content": "\ud83e\uddca"}, "\U0001f9ca"),
    ],
)
def test_an_answer_that_is_whole_may_be_empty_or_a_refusal(message: dict[str, Any], text: str) -> None:
    body = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()
    assert completion(Answer(200, {}, body, 0, 1)).text == text


BROKEN: dict[str, tuple[list[bytes], str]] = {
    "cut short": ([event("Hel")], "the stream ended before the model finished: no finish reason"),
    "cut in an event": ([event("Hel"), event("lo", "stop")[:-9]], "the stream ended before the model finished"),
    "nothing": ([b"\n"], "the stream ended before the model finished"),
    "an error": ([event("Hel"), b'data: {"error": {"message": "CUDA"}}\n\n'], 'server reports: {"message": "CUDA"}'),
    "an error in a word": ([b'data:{"error":"overloaded","error_type":"overloaded"}\n\n'], 'reports: "overloaded"'),
    "an error object": ([event("Hel"), b'data: {"object": "error", "message": "memory"}\n\n', DONE], "memory"),
    "an error event": ([event("Hel"), b'event: error\ndata: {"message": "overloaded"}\n\n', DONE], "overloaded"),
    "an error event in words": ([event("Hel", "stop"), b"event: error\ndata: too hot\n\n", DONE], "too hot"),
    "an error field": ([event("Hel", "stop"), b'error: {"code": 500}\n\n', DONE], 'reports: {"code": 500}'),
    "an error of a framework": ([event("Hel"), b'data: {"detail": "boom"}\n\n', DONE], "boom"),
    "an error last": ([event("Hel", "stop"), b'data: {"error": "late"}'], 'reports: "late"'),
    "an error of a choice": ([event("Hel", "error"), DONE], "reports: .finish reason error"),
    "an abort": ([event("Hel", "abort"), DONE], "reports: .finish reason abort"),
    "a call that is none": ([b'data: {"choices": [{"delta": {"tool_calls": 5}}]}\n\n', DONE], "no list of objects"),
    "no JSON": ([b"data: {oops\n\n"], "an event of the stream is not JSON"),
    "a list": ([b"data: [1]\n\n"], "an event of the stream is a list and not an object"),
    "no event": ([b"<html>\n"], "it has no event, and begins with b'<html>"),
    "a number for text": ([b'data: {"choices": [{"delta": {"content": 5}}]}\n\n'], "the text of the answer is a int"),
    "a choice that is none": ([b'data: {"choices": [5]}\n\n'], "`choices` that are no list of objects"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_stream_is_a_bad_answer(raw_server: Start, opened: Opened, name: str) -> None:
    pieces, message = BROKEN[name]
    with pytest.raises(BadAnswer, match=message):
        ask(opened(raw_server({"infer": streams(*pieces)}, page=MODELS)))


@pytest.mark.parametrize("failure", failures(without={"truncated JSON", "end at once", "reset"}))
def test_a_failure_of_a_stream_is_told_bounded_and_over(raw_server: Start, opened: Opened, failure: str) -> None:
    behave, error, message = FAILURES[failure]
    answers = [behave, streams(*GOOD)]

    def next_behaviour(connection: socket.socket, request: bytes) -> None:
        answers.pop(0)(connection, request)

    server = raw_server({"infer": next_behaviour}, page=MODELS)
    probe = opened(server)
    started = time.monotonic()
    with pytest.raises(error, match=message):
        ask(probe)
    assert time.monotonic() - started < 30
    assert ask(probe)[0] == ["Hello"]  # the next request starts clean


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"x": np.ones((1, 3))}, 'input "x" is float64'),
        ({"a": ONE["prompt"], "b": ONE["prompt"]}, "a prompt is one input of text, .* the set has a, b"),
        ({"messages": ONE["prompt"]}, "expected a list of messages"),
    ],
)
def test_what_is_no_prompt_is_told(raw_server: Start, opened: Opened, inputs: Tensors, message: str) -> None:
    with pytest.raises(CannotLoad, match=message):
        opened(raw_server(page=MODELS)).encode(inputs)


def test_an_unclear_model_is_told_with_the_models_there(raw_server: Start, opened: Opened) -> None:
    both = {"data": [{"id": "a"}, {"id": "b"}]}
    with pytest.raises(CannotLoad, match="`model` is ''; the server has a, b"):
        opened(raw_server(page=both))
