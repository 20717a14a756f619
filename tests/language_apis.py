"""A server on loopback of the language APIs besides chat, over a small model: word trigrams of a few sentences.

Its forms are those of the documentation of vLLM, OpenAI, Jina, Cohere, Text Embeddings Inference and Triton.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
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
            self.answer({"object": "list", "data": [{"id": "trigrams", "owned_by": "test"}]})

        def do_POST(self) -> None:
            body = self.received()
            served.bodies.append((self.path, body))
            self.answer(routes[self.path](body))

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        served = LanguageApis(http.server_port)
        routes = {"/v1/completions": served.completions}
        with serving(http):
            yield served
