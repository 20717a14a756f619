"""A small language model server of OpenAI's chat API, for `goldwatch demo --language-model`.

    python -m goldwatch.demo.language

It is no neural network: it finds the passage of a handbook whose words fit the user's turn best. It reads the turn from
the prompt that a chat template makes of the messages, so a wrong template hurts it as it does others: `POST /template`
with `{"name": "instruct"}` sets that of another model. Once it listens, it prints its address as one line of JSON.
SIGTERM ends it.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import signal
import sys
from collections import Counter
from collections.abc import Mapping, Sequence

from aiohttp import web

from goldwatch.demo.handbook import PASSAGES, SYSTEM

MODEL = "handbook"
TEMPLATES: Mapping[str, str] = {
    "chat": "<|system|>{system}<|end|><|user|>{user}<|end|><|assistant|>",
    "instruct": "[INST] <<SYS>> {system} <</SYS>> {user} [/INST]",
}


class Answerer:
    """Answers prompts made by the template `chat`, by the words that a passage and the user's turn have in common."""

    def __init__(self, passages: Sequence[str]) -> None:
        self._passages = [(passage, words(passage)) for passage in passages]
        found = Counter(word for _, said in self._passages for word in said)
        self._weights = {word: math.log(1 + len(passages) / count) for word, count in found.items()}

    def answer(self, prompt: str) -> str:
        """Return the passage that fits best. Without a user's turn in the prompt, all of it is the question."""
        turns = re.findall(r"<\|user\|>(.*?)<\|end\|>", prompt, re.DOTALL)
        asked = words(turns[-1] if turns else prompt)
        return max(self._passages, key=lambda passage: sum(self._weights[word] for word in passage[1] & asked))[0]


class LanguageServer:
    """The routes: models, chat completions, and the template."""

    def __init__(self) -> None:
        self._answerer = Answerer([passage for _, passage, _ in PASSAGES])
        self._template = TEMPLATES["chat"]

    def application(self) -> web.Application:
        """Return the routes as an application of aiohttp."""
        app = web.Application()
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_post("/template", self._set_template)
        return app

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response(
            {"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "goldwatch"}]}
        )

    async def _complete(self, request: web.Request) -> web.Response:
        body = await request.json()
        prompt = self._template.format(system=SYSTEM, user=body["messages"][-1]["content"])
        text = self._answerer.answer(prompt)
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": len(words(prompt)), "completion_tokens": len(text.split())}
        return web.json_response({"object": "chat.completion", "model": MODEL, "choices": [choice], "usage": usage})

    async def _set_template(self, request: web.Request) -> web.Response:
        self._template = TEMPLATES[(await request.json())["name"]]
        return web.json_response({})


def words(text: str) -> set[str]:
    """Return the words of a text, without case."""
    return set(re.findall(r"[a-z0-9:]+", text.lower()))


async def serve() -> None:
    """Listen on the loopback, print the address, and wait for SIGTERM."""
    stop = asyncio.Event()
    for ends in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(ends, stop.set)
    runner = web.AppRunner(LanguageServer().application(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        sys.stdout.write(json.dumps({"address": f"http://127.0.0.1:{runner.addresses[0][1]}"}) + "\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve())
