"""A real HTTP server of the digits that answers as the validated model did, or as badly as a test wants it to."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from goldwatch.golden.opened import GoldenSet

from tests.loopback import serving
from tests.real.agent import until

GOLDEN = Path(__file__).parents[1] / "agent/goldwatch/demo/digits/golden"


class Digits(ThreadingHTTPServer):
    """Answers one request after the other, each in `service_s`: that many a second at the very most.

    An image that is not of the set may be any digit. Every `wrong`th answer is of another class, every `failing`th is
    an error. The answers in `stalls`, by their number, take so many seconds more. After `busy_after` answers its page
    of metrics shows ten pending requests, before that none.
    """

    daemon_threads = True

    def __init__(self) -> None:
        golden = GoldenSet.open(GOLDEN)
        images, answers = (np.asarray(golden.tensor(name)) for name in ("inputs.image", "outputs.probabilities"))
        self.known = {image.tobytes(): answer for image, answer in zip(images, answers, strict=True)}
        self.turn = threading.Lock()
        self.answered = 0
        self._counting = threading.Lock()
        self._connections = 0
        self.stalls: dict[int, float] = {}
        self.service_s, self.wrong, self.failing, self.busy_after = 0.0, 0, 0, 1 << 60
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"

    def wait_idle(self) -> None:
        """Wait until no connection is open: all requests of clients that have ended are in `answered` then."""
        urllib.request.urlopen(self.url, timeout=30).close()  # connections are accepted in order: those before it are
        until(lambda: not self._connections, "every connection to the digits is closed")

    def process_request(self, request: Any, client_address: Any) -> None:
        """Count the connection, and answer its requests in a thread."""
        with self._counting:
            self._connections += 1
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """End the connection, after its last request."""
        super().shutdown_request(request)
        with self._counting:
            self._connections -= 1


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Digits

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server, image = self.server, np.array(body["x"], np.float32).reshape(8, 8)
        with server.turn:
            time.sleep(server.service_s + server.stalls.pop(server.answered + 1, 0.0))
            server.answered += 1
            number = server.answered
        answer = server.known.get(image.tobytes(), np.full(10, 0.1, np.float32))
        if server.wrong and number % server.wrong == 0:
            answer = np.roll(answer, 1)
        failed = server.failing and number % server.failing == 0
        self._say(500 if failed else 200, json.dumps({"p": [answer.tolist()]}).encode())

    def do_GET(self) -> None:
        busy = self.server.answered >= self.server.busy_after
        self._say(200, f"pending_requests {10 if busy else 0}\n".encode())

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # who asked may have gone
            self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@contextlib.contextmanager
def digits() -> Iterator[Digits]:
    """Serve them for a while."""
    with Digits() as http, serving(http):
        yield http


def target(url: str, more: str = "") -> str:
    """Return the server's entry in the section `targets` of a config; `more` are lines of the same depth."""
    lines = ["probe: http", f"url: {url}", "path: predict", 'body: {x: "{image}"}', "outputs: {probabilities: p}"]
    return "".join(f"    {line}\n" for line in [*lines, *([more] if more else [])])
