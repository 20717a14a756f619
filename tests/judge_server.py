"""A judge on loopback: an OpenAI-style server that grades by a rule, counts its calls and can misbehave."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.loopback import serving

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

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._answer({"object": "list", "data": [{"id": MODEL, "owned_by": "test"}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with served.lock:
                served.bodies.append(body)
                overloaded = served.overloads > 0
                served.overloads -= overloaded
            time.sleep(served.takes_s)
            said = {"message": {"content": served.says(body["messages"][-1]["content"])}, "finish_reason": "stop"}
            usage = {"prompt_tokens": 50, "completion_tokens": 3}
            self._answer({"choices": [said], "usage": usage}, 429 if overloaded else served.status)

        def _answer(self, value: Mapping[str, Any], status: int = 200) -> None:
            content = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        served = JudgeServer(http.server_port)
        with serving(http):
            yield served
