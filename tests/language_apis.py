"""A server on loopback of the language APIs besides chat, over a small model: word trigrams of a few sentences.

Its forms are those of the documentation of vLLM, OpenAI, Jina, Cohere and Text Embeddings Inference.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.parser import BytesParser
from email.policy import HTTP
from http.server import ThreadingHTTPServer
from typing import Any

from tests.loopback import JsonHandler, serving

SENTENCES = (
    "The capital of France is Paris",
    "The capital of Peru is Lima",
    "The capital of Japan is Tokyo",
    "The capital of Kenya is Nairobi",
)
_SMOOTHING = 0.1
_BOS = "<s>"


def tokens_of(text: str) -> list[str]:
    """Return the words of a text, each with the blank before it, after a token that begins every text."""
    return [_BOS, *re.findall(r"\s?\S+|\s+", text)]


class Trigrams:
    """The model: the probability of a word after two others, with additive smoothing."""

    def __init__(self) -> None:
        words = [tokens_of(sentence) for sentence in SENTENCES]
        triples = [tuple(found[max(i - 2, 0) : i + 1]) for found in words for i in range(1, len(found))]
        self._counts = Counter(triples)
        self._contexts = Counter(triple[:-1] for triple in triples)
        self._vocabulary = len({word for found in words for word in found})

    def log_probability(self, tokens: list[str], place: int) -> float:
        """Return that of the token at a place, in nats."""
        triple = tuple(tokens[max(place - 2, 0) : place + 1])
        seen, context = self._counts[triple], self._contexts[triple[:-1]]
        return math.log((seen + _SMOOTHING) / (context + _SMOOTHING * self._vocabulary))


class LanguageApis:
    """The server as a test sees it. Without `echoes` it ignores `echo`, as llama.cpp does."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.echoes = True
        self.bodies: list[tuple[str, Any]] = []
        self.model = Trigrams()

    def responses(self, body: dict[str, Any]) -> Any:
        """Answer `/v1/responses`, as a stream of events if one is asked for."""
        said = body["input"] if isinstance(body["input"], str) else body["input"][-1]["content"]
        land = said.removesuffix("?").split()[-1]
        text = next(s for s in SENTENCES if land in s)
        part = {"type": "output_text", "text": text, "annotations": []}
        output = [{"type": "reasoning", "summary": []}, {"type": "message", "role": "assistant", "content": [part]}]
        words = tokens_of(text)[1:]
        cut = body.get("max_output_tokens", 99) < len(words)
        status = "incomplete" if cut else "completed"
        usage = {"input_tokens": 7, "output_tokens": len(words), "output_tokens_details": {"reasoning_tokens": 0}}
        whole = {"object": "response", "status": status, "error": None, "output": output, "usage": usage}
        whole |= {"incomplete_details": {"reason": "max_output_tokens"} if cut else None}
        if not body["stream"]:
            return whole
        before = [("response.created", {"response": whole | {"status": "in_progress", "output": []}})]
        deltas = [("response.output_text.delta", {"output_index": 1, "delta": word}) for word in words]
        return [
            *before,
            *deltas,
            ("response.output_text.done", {"text": text}),
            (f"response.{status}", {"response": whole}),
        ]

    def rerank(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answer `/v1/rerank` of vLLM, Jina and Cohere."""
        found = [
            {"index": r["index"], "relevance_score": r["score"]}
            for r in self.rerank_tei(body | {"texts": body["documents"]})
        ]
        return {
            "id": "rerank-1",
            "model": body["model"],
            "results": found[: body.get("top_n")],
            "usage": {"prompt_tokens": 9},
        }

    def rerank_tei(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        """Answer `/rerank` of Text Embeddings Inference: by the share of the words of the query."""
        words = set(body["query"].lower().split())
        scores = [len(words & set(text.lower().split())) / len(words) for text in body["texts"]]
        order = sorted(range(len(scores)), key=lambda i: -scores[i])
        return [{"index": index, "score": scores[index]} for index in order]

    def transcriptions(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answer `/v1/audio/transcriptions`: the sound of this server is text."""
        sound = body["file"].decode()
        return {"text": sound.removeprefix("RIFF"), "usage": {"type": "duration", "seconds": 1}}

    def completions(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answer `/v1/completions` for a text or a list of texts."""
        prompts = [body["prompt"]] if isinstance(body["prompt"], str) else body["prompt"]
        found, sent = [], 0
        for index, prompt in enumerate(prompts):
            tokens = tokens_of(prompt)
            sent += len(tokens)
            whole = [*tokens, " end"]
            values: list[float | None] = [None, *(self.model.log_probability(whole, i) for i in range(1, len(whole)))]
            kept = slice(0 if self.echoes and body["echo"] else len(tokens), None)
            logprobs = {"tokens": whole[kept], "token_logprobs": values[kept], "text_offset": [], "top_logprobs": []}
            text = f"{prompt} end" if self.echoes and body["echo"] else " end"
            found.append({"index": index, "text": text, "logprobs": logprobs, "finish_reason": "length"})
        return {"choices": found[::-1], "usage": {"prompt_tokens": sent, "completion_tokens": len(prompts)}}


@contextmanager
def language_apis() -> Iterator[LanguageApis]:
    """Serve until the end of the block."""

    class Handler(JsonHandler):
        def do_GET(self) -> None:
            if self.path == "/models":  # Text Embeddings Inference has no such page
                self.answer({"error": "not found"}, 404)
                return
            self.answer({"object": "list", "data": [{"id": "trigrams", "owned_by": "test"}]})

        def do_POST(self) -> None:
            kind = self.headers["Content-Type"]
            body = self.form(kind) if kind.startswith("multipart/form-data") else self.received()
            served.bodies.append((self.path, body))
            found = routes[self.path](body)
            if isinstance(found, list) and found and isinstance(found[0], tuple):
                self.stream(found)
            else:
                self.answer(found)

        def form(self, kind: str) -> dict[str, Any]:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            message = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + raw)
            found: dict[str, Any] = {}
            for part in message.iter_parts():
                name = str(part.get_param("name", header="content-disposition"))
                found[name] = part.get_payload(decode=True) if part.get_filename() else part.get_content().rstrip()
                if part.get_filename():
                    found["filename"] = part.get_filename()
            return found

        def stream(self, events: list[tuple[str, dict[str, Any]]]) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for number, (kind, members) in enumerate(events):
                data = json.dumps({"type": kind, "sequence_number": number} | members)
                event = f"event: {kind}\ndata: {data}\n\n".encode()
                self.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        served = LanguageApis(http.server_port)
        routes: dict[str, Callable[[dict[str, Any]], Any]] = {
            "/v1/completions": served.completions,
            "/v1/responses": served.responses,
            "/v1/rerank": served.rerank,
            "/rerank": served.rerank_tei,
            "/v1/audio/transcriptions": served.transcriptions,
        }
        with serving(http):
            yield served
