"""A judge on loopback: an OpenAI-style server that grades by a rule, counts its calls and can misbehave."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from typing import Any

from tests.loopback import JsonHandler, serving

MODEL = "referee-1"


class JudgeServer:
    """The server as a test sees it. `says` makes the text of a judgement from the last message of a request."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/v1"
        self.says: Callable[[str], str] = lambda _: "Score: 5"
        self.status = 200
        self.overloads = 0
        """So many of the next calls are refused as too many."""
        self.takes_s = 0.0
        self.bodies: list[Mapping[str, Any]] = []
        self.lock = threading.Lock()

    @property
    def calls(self) -> int:
        """How many judgements were asked for."""
        return len(self.bodies)


@contextmanager
def judge_server() -> Iterator[JudgeServer]:
    """Serve until the end of the block."""

    class Handler(JsonHandler):
        def do_GET(self) -> None:
            self.answer({"object": "list", "data": [{"id": MODEL, "owned_by": "test"}]})

        def do_POST(self) -> None:
            body = self.received()
            with served.lock:
                served.bodies.append(body)
                overloaded = served.overloads > 0
                served.overloads -= overloaded
            time.sleep(served.takes_s)
            said = {"message": {"content": served.says(body["messages"][-1]["content"])}, "finish_reason": "stop"}
            usage = {"prompt_tokens": 50, "completion_tokens": 3}
            self.answer({"choices": [said], "usage": usage}, 429 if overloaded else served.status)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        served = JudgeServer(http.server_port)
        with serving(http):
            yield served
