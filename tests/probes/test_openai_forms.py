"""The Responses API, rerankers and transcription: the probe openai against a server of the documented forms."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pytest

from goldwatch.probe import BadAnswer, CannotLoad, Context, Tensors
from goldwatch.testing.conformance import ProbeConformance
from goldwatch_probes._bodies import File, class_scores, multipart
from goldwatch_probes._http import Answer
from goldwatch_probes._openai_forms import Query, Rerank, Transcriptions
from goldwatch_probes._openai_responses import response
from goldwatch_probes.openai_api import OpenAI, _Answers

from tests.language_apis import LanguageApis, language_apis

DOCUMENTS = {"kenya": "Nairobi is in Kenya", "peru": "the capital of Peru is Lima", "none": "nothing"}
SOUND = base64.b64encode(b"RIFFfour short words here").decode()
MORE = base64.b64encode(b"more").decode()


@pytest.fixture(scope="module")
def server() -> Iterator[LanguageApis]:
    with language_apis() as served:
        yield served


def probe_of(server: LanguageApis, **options: Any) -> OpenAI:
    return OpenAI(OpenAI.Options(**({"url": f"{server.url}/v1"} | options)), Context(time_limit_s=5.0))


def texts(*values: str) -> np.ndarray:
    found = np.empty(len(values), object)
    found[:] = values
    return found


class _Suite(ProbeConformance):
    options: ClassVar[dict[str, Any]] = {}
    url: ClassVar[str] = "/v1"

    @pytest.fixture(autouse=True)
    def _server(self, server: LanguageApis) -> None:
        self.server = server

    def make_probe(self) -> OpenAI:
        return probe_of(self.server, **self.options)

    def make_missing(self) -> OpenAI:
        return probe_of(self.server, **self.options, model="no-such-model")

    def inputs(self) -> Tensors:
        return {"prompt": texts("What is the capital of Peru?", "And of Kenya?")}

    def expected(self) -> Tensors:
        return {"text": texts("The capital of Peru is Lima", "The capital of Kenya is Nairobi")}


class TestResponses(_Suite):
    options: ClassVar[dict[str, Any]] = {"api": "responses"}


class TestResponsesWhole(_Suite):
    options: ClassVar[dict[str, Any]] = {"api": "responses", "stream": False}


class TestRerank(_Suite):
    options: ClassVar[dict[str, Any]] = {"api": "rerank"}

    def inputs(self) -> Tensors:
        both = texts(json.dumps(DOCUMENTS), json.dumps(list(DOCUMENTS.values())))
        return {"query": texts("capital of Peru", "Kenya"), "documents": both}

    def expected(self) -> Tensors:
        return {"text": texts("peru\nkenya\nnone", "0\n1\n2")}


class TestTranscriptions(_Suite):
    options: ClassVar[dict[str, Any]] = {"api": "transcriptions"}

    def inputs(self) -> Tensors:
        request = {"file": f"data:audio/wav;base64,{SOUND}", "language": "en"}
        return {"request": texts(json.dumps(request), json.dumps(request | {"file": f"data:audio/mpeg;base64,{MORE}"}))}

    def expected(self) -> Tensors:
        return {"text": texts("four short words here", "more")}


def ask(probe: OpenAI, inputs: Tensors) -> tuple[Any, Any]:
    probe.open()
    try:
        answer = probe.predict(probe.encode(inputs))
        return probe.decode(answer)["text"].tolist(), probe.tokens(answer)
    finally:
        probe.close()


@pytest.mark.parametrize("stream", [True, False])
def test_a_response_is_asked_for_by_its_own_names(server: LanguageApis, stream: bool) -> None:
    probe = probe_of(server, api="responses", system="Be brief.", max_tokens=3, stream=stream)
    found, tokens = ask(probe, {"messages": texts(json.dumps([{"role": "user", "content": "Capital of Peru?"}]))})
    path, body = server.bodies[-1]
    assert (path, body) == (
        "/v1/responses",
        {
            "model": "trigrams",
            "input": [{"role": "user", "content": "Capital of Peru?"}],
            "instructions": "Be brief.",
            "temperature": 0.0,
            "stream": stream,
            "store": False,
            "max_output_tokens": 3,
        },
    )
    assert found == ["The capital of Peru is Lima"]
    assert (tokens.input, tokens.output, tokens.finish) == (7, 6, "length")


def test_a_reranker_of_text_embeddings_inference_has_one_model_and_other_names(server: LanguageApis) -> None:
    probe = probe_of(server, url=server.url, api="rerank-tei", model="bge")
    found, tokens = ask(probe, {"query": texts("capital of Peru"), "documents": texts(json.dumps(DOCUMENTS))})
    assert server.bodies[-1] == ("/rerank", {"query": "capital of Peru", "texts": list(DOCUMENTS.values())})
    assert (found, tokens.input) == (["peru\nkenya\nnone"], None)


def test_a_reranker_may_answer_with_the_best_alone(server: LanguageApis) -> None:
    probe = probe_of(server, api="rerank", more={"top_n": 1})
    found, tokens = ask(probe, {"query": texts("capital of Peru"), "documents": texts(json.dumps(DOCUMENTS))})
    assert (found, tokens.input) == (["peru"], 9)


def test_a_sound_is_sent_as_a_file_of_a_form(server: LanguageApis) -> None:
    request = {"file": f"data:audio/wav;base64,{SOUND}", "language": "en", "temperature": 0.5}
    ask(probe_of(server, api="transcriptions"), {"request": texts(json.dumps(request))})
    path, body = server.bodies[-1]
    assert path == "/v1/audio/transcriptions"
    assert body == {
        "model": "trigrams",
        "response_format": "json",
        "temperature": "0.5",
        "language": "en",
        "file": b"RIFFfour short words here",
        "filename": "audio.wav",
    }


def test_members_of_an_example_win_and_lists_are_parts(server: LanguageApis) -> None:
    more = {"language": "de", "response_format": None, "include[]": ["a", "b"]}
    request = {"file": f"data:audio/wav;base64,{SOUND}", "language": "en"}
    probe = probe_of(server, api="transcriptions", more=more)
    probe.open()
    (asked,) = probe.encode({"request": texts(json.dumps(request))})
    probe.predict((asked,))
    probe.close()
    _, body = server.bodies[-1]
    assert (body["language"], "response_format" in body) == ("en", False)
    assert b"".join(asked.request.written.pieces).count(b'name="include[]"') == 2


def test_names_of_a_form_cannot_begin_a_header() -> None:
    body, _ = multipart([('a"\r\nX: y', File('b"\r\n\r\n', "audio/wav", b"")), ("\ud800", "\ud800")])
    assert b'name="a%22%0D%0AX: y"; filename="b%22%0D%0A%0D%0A"\r\n' in body
    assert b'name="?"\r\n\r\n?\r\n' in body


@pytest.mark.parametrize(
    ("api", "usage", "expected"),
    [
        ("rerank", {"total_tokens": 9}, (9, None)),
        ("transcriptions", {"type": "tokens", "input_tokens": 4, "output_tokens": 2, "total_tokens": 6}, (4, 2)),
        ("embeddings", {"prompt_tokens": 3, "total_tokens": 3}, (3, None)),
        ("embeddings", {"total_tokens": 3}, (None, None)),
    ],
)
def test_tokens_are_counted_by_the_names_of_each_api(
    server: LanguageApis, api: str, usage: dict[str, Any], expected: tuple[int | None, int | None]
) -> None:
    probe = probe_of(server, api=api)
    answer = Answer(200, {}, json.dumps({"usage": usage}).encode(), 0, 1)
    found = probe.tokens(_Answers((), (answer,), response))
    assert (found.input, found.output) == expected


@pytest.mark.parametrize("number", ["1" * 400, "1" * 5000])
def test_a_number_that_no_float_holds_is_bad(server: LanguageApis, number: str) -> None:
    probe = probe_of(server, api="embeddings")
    answer = Answer(200, {}, f'{{"data": [{{"embedding": [1.0, {number}]}}]}}'.encode(), 0, 1)
    with pytest.raises(BadAnswer):
        probe.decode(_Answers((), (answer,), response))
    with pytest.raises(BadAnswer, match="no object of a score by class"):
        class_scores({"a": 10**400}, ["a"])


@pytest.mark.parametrize("member", ["store", "background"])
def test_a_golden_set_cannot_have_the_server_keep_answers(server: LanguageApis, member: str) -> None:
    probe = probe_of(server, api="responses")
    probe.open()
    with pytest.raises(CannotLoad, match=f"has {member}, which the target sets; leave it out"):
        probe.encode({"request": texts(json.dumps({"input": "?", member: True}))})
    probe.close()


@pytest.mark.parametrize(
    ("form", "inputs", "message"),
    [
        (Rerank("documents"), {"query": texts("?")}, "a reranker takes `query`, a text, and `documents`"),
        (Rerank("documents"), {"query": texts("?"), "documents": texts("[]")}, "expected a list of texts"),
        (Rerank("documents"), {"query": texts("?"), "documents": texts('{"a": 5}')}, "expected a list of texts"),
        (Rerank("documents"), {"query": texts("?"), "documents": texts('{"a\\n": "x"}')}, "a name is one line"),
        (Rerank("documents"), {"query": texts("?"), "documents": texts('{"[a]": "x"}')}, "a name is one line"),
        (Rerank("documents", 0), {"query": texts("?")}, "`top_n` in `more` is 0; expected a whole number from 1"),
        (
            Transcriptions(),
            {"request": texts('{"file": "data:audio/wav\\r\\nX: y;base64,"}')},
            "`file` has the media type 'audio/wav.*expected one such as audio/wav",
        ),
        (Transcriptions(), {"prompt": texts("?")}, "takes `request` of dtype json; the set has prompt"),
        (Transcriptions(), {"request": texts('{"language": "en"}')}, "has no `file` of the golden set"),
        (Transcriptions(), {"request": texts('{"file": "data:audio/wav;base64,!"}')}, "`file` is no base64"),
        (Transcriptions(), {"request": texts('{"file": "data:audio/wav;base64,", "model": "m"}')}, "has model, which"),
    ],
)
def test_inputs_of_another_form_are_told(form: Any, inputs: Tensors, message: str) -> None:
    with pytest.raises(CannotLoad, match=message):
        form.examples(inputs)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"results": 5}, "the answer is no list of results"),
        ([5], "the answer is no list of results"),
        ([], "the answer has 0 results; expected 2 of 2 documents"),
        ([{"index": 0, "score": 1}, {"index": 0, "score": 2}], "the answer has 2 results for 1 documents"),
        ([{"index": 2, "score": 1}], "a result has the index 2; there are 2 documents"),
        ([{"index": True, "score": 1}], "a result has the index True"),
        ([{"index": 0, "score": 1}], "the answer has 1 results; expected 2 of 2 documents"),
        ([{"index": [], "score": 1}], "a result has the index"),
        ([{"index": 0, "score": 10**400}], "a result has no finite"),
        ([{"index": 0, "score": None}], "a result has no finite"),
        ([{"index": 0, "score": float("nan")}], "a result has no finite"),
    ],
)
def test_a_ranking_that_may_be_wrong_is_bad(body: object, message: str) -> None:
    with pytest.raises(BadAnswer, match=message):
        Rerank("texts").value(Query("?", {"a": "x", "b": "y"}), Answer(200, {}, json.dumps(body).encode(), 0, 1))


def message_of(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "content": list(parts)}


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ([], ""),
        ([message_of({"type": "output_text", "text": "a"}), message_of({"type": "output_text", "text": "b"})], "ab"),
        ([message_of({"type": "refusal", "refusal": "I cannot"})], "I cannot"),
        ([{"type": []}], ""),
        (
            [{"type": "function_call", "name": "f", "arguments": '{"x": 1}'}],
            '[{"name": "f", "arguments": {"x": 1}}]',
        ),
        ([{"type": "custom_tool_call", "name": "g", "input": "go"}], '[{"name": "g", "arguments": "go"}]'),
    ],
)
def test_a_response_may_be_a_refusal_a_call_or_empty(output: list[dict[str, Any]], text: str) -> None:
    body = json.dumps({"status": "completed", "output": output, "usage": None}).encode()
    assert response(Answer(200, {}, body, 0, 1)).text == text


def event(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind} | members)}\n\n".encode()


BEGUN = event("response.output_text.delta", delta="Hel")
LAST = event(
    "response.completed",
    response={"status": "completed", "output": [message_of({"type": "output_text", "text": " He\n"})]},
)


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (BEGUN, "the stream ended before the model finished"),
        (BEGUN + b"data: [DONE]\n\n", "the stream ended before the model finished"),
        (BEGUN + event("error", message="overloaded"), "the server reports: .*overloaded"),
        (BEGUN + b'data: {"error": {"message": "CUDA"}}\n\n', "the server reports: .*CUDA"),
        (event("response.failed", response={"status": "failed", "error": {"code": "x"}}), "reports: .*code.*x"),
        (BEGUN + LAST, "the event response.completed lacks text that was streamed before it; set `stream: false`"),
        (event("response.completed"), "the event response.completed has no `response`"),
        (event("response.completed", response={"status": "queued"}), "reports: .status queued"),
        (event("response.completed", response={"status": "completed"}), "no `output` that is a list"),
        (b"data: oops\n\n", "an event of the stream is not JSON"),
        (json.dumps({"error": {"message": "no"}}).encode(), "the server reports: .*no"),
    ],
)
def test_a_response_that_did_not_come_whole_is_bad(stream: bytes, message: str) -> None:
    with pytest.raises(BadAnswer, match=message):
        response(Answer(200, {}, stream, 0, 1))


@pytest.mark.parametrize(
    ("details", "kind", "per_token"),
    [
        ({}, "response.output_text.delta", 1.0),
        ({"reasoning_tokens": 40}, "response.reasoning_text.delta", None),  # 43 tokens do not fit 3 events
        ({"reasoning_tokens": 40}, "response.output_text.delta", 1.0),
        ({"reasoning_tokens": 40}, "response.reasoning_summary_text.delta", None),
    ],
)
def test_tokens_that_were_not_streamed_are_not_counted(
    details: dict[str, int], kind: str, per_token: float | None
) -> None:
    pieces = [event(kind, delta=word) for word in "abc"]
    usage = {"output_tokens": 3 + details.get("reasoning_tokens", 0), "output_tokens_details": details}
    output = [message_of({"type": "output_text", "text": "abc"})]
    last = event("response.completed", response={"status": "completed", "output": output, "usage": usage})
    upto = np.cumsum([len(piece) for piece in (*pieces, last)]).tolist()
    arrivals = tuple((float(i + 1), size) for i, size in enumerate(upto))
    found = response(Answer(200, {}, b"".join((*pieces, last)), 0, 1, arrivals))
    assert (found.times.first_s, found.times.per_token_s) == (1.0, per_token)
