"""A language model server on loopback that knows a few capitals, counts its tokens and keeps the headers it got."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

import numpy as np

from goldwatch.golden.freeze import freeze
from goldwatch.golden.opened import GoldenSet

from tests.loopback import JsonHandler, serving

CAPITALS = {"France": "Paris", "Peru": "Lima", "Japan": "Tokyo", "Kenya": "Nairobi"}
INPUT_TOKENS, OUTPUT_TOKENS = 20, 4


class LanguageServer:
    """The server as a test sees it. `usage` False keeps its counts to itself; `status` other than 200 refuses.

    `answers` are the texts for some prompts; to others it gives the capital.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/v1"
        self.port = port
        self.usage = True
        self.status = 200
        self.answers: dict[str, str] = {}
        self.asked: list[Mapping[str, str]] = []

    def trace_ids(self) -> list[str]:
        """Return the trace id of each question about a capital."""
        return [headers["traceparent"].split("-")[1] for headers in self.asked]


@contextmanager
def language_server() -> Iterator[LanguageServer]:
    """Serve until the end of the block."""

    class Handler(JsonHandler):
        def do_GET(self) -> None:
            self.answer({"object": "list", "data": [{"id": "atlas", "owned_by": "test"}]})

        def do_POST(self) -> None:
            body = self.received()
            served.asked.append({name.lower(): value for name, value in self.headers.items()})
            prompt = body["messages"][-1]["content"]
            text = served.answers.get(prompt)
            if text is None:
                text = f"It is {CAPITALS[prompt.removeprefix('Capital of ').removesuffix('?')]}."
            said = {"message": {"content": text}, "finish_reason": "stop"}
            usage = {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS}
            self.answer({"choices": [said]} | ({"usage": usage} if served.usage else {}), served.status)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        served = LanguageServer(http.server_port)
        with serving(http):
            yield served


def golden_capitals(folder: Path) -> GoldenSet:
    """Freeze the golden set that the server answers rightly."""
    manifest = {
        "name": "capitals",
        "version": "1",
        "task": "generation",
        "examples": len(CAPITALS),
        "inputs": {"prompt": {"dtype": "text", "shape": []}},
        "labels": {"match": "contains"},
        "outputs": {"text": {"dtype": "text", "shape": [], "tolerance": 0, "max_bytes": 40}},
        "reference": {"replays": [1, 1], "deterministic": True},
        "provenance": {"source": "made up"},
        "licence": "CC0-1.0",
    }
    lines = [
        {"inputs": {"prompt": f"Capital of {land}?"}, "outputs": {"text": f"It is {city}."}, "answers": [city]}
        for land, city in CAPITALS.items()
    ]
    return freeze(folder, manifest, {"reference.right": np.ones((2, len(CAPITALS)), np.int64)}, lines)
