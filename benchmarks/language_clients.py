"""Clients of others: `PYTHON benchmarks/language_clients.py CLIENT URL COUNT PROMPT`, PYTHON that of `.venv-clients`.

CLIENT is openai, locust or socket, a bare one. One request at a time, each for the same prompt; with `-stream` at the
name the answer comes token by token. Prints the median latency, and of a stream the median time to the first token and
between tokens, in µs, as JSON. It imports nothing of goldwatch: that environment has none.
"""

from __future__ import annotations

import json
import re
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

# ruff: noqa: PLC0415 - locust patches the whole process as soon as it is imported

_WARM_UP = 5


class _Times:
    """Measured times of each answer, in nanoseconds."""

    def __init__(self) -> None:
        self.latency: list[int] = []
        self.first: list[int] = []
        self.gap: list[float] = []

    def streamed(self, sent: int, parts: Iterable[tuple[str | None, int | None]]) -> None:
        """Read the text of each part of a stream as it arrives, and the token count of the last part that has one."""
        clock = time.perf_counter_ns
        first = last = tokens = 0
        for text, counted in parts:
            if text:
                last = clock()
                first = first or last
            tokens = counted or tokens
        self.latency.append(clock() - sent)
        self.first.append(first - sent)
        self.gap.append((last - first) / (tokens - 1))

    def medians(self) -> dict[str, float]:
        named = {"latency_us": self.latency, "first_us": self.first, "gap_us": self.gap}
        return {name: statistics.median(values[_WARM_UP:]) / 1e3 for name, values in named.items() if values}


def _body(prompt: str, streamed: bool) -> dict[str, Any]:
    body = {"model": "atlas", "messages": [{"role": "user", "content": prompt}]}
    body |= {"max_tokens": 64, "temperature": 0, "seed": 0}
    return body | ({"stream": True, "stream_options": {"include_usage": True}} if streamed else {})


def _openai(url: str, count: int, prompt: str, streamed: bool) -> dict[str, float]:
    """Use the package as its documentation shows."""
    import openai

    times = _Times()
    body = _body(prompt, streamed)
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none") as client:
        for _ in range(_WARM_UP + count):
            sent = time.perf_counter_ns()
            answer = client.chat.completions.create(**body)
            if streamed:
                times.streamed(sent, ((_text(c.choices), c.usage and c.usage.completion_tokens) for c in answer))
            else:
                assert answer.choices[0].message.content
                times.latency.append(time.perf_counter_ns() - sent)
    return times.medians()


def _text(choices: list[Any]) -> str | None:
    return choices[0].delta.content if choices else None


def _locust(url: str, count: int, prompt: str, streamed: bool) -> dict[str, float]:
    """Use locust as a library, one user without waits. Latencies are of its events: of a stream only the head."""
    import gevent
    import locust
    from locust.env import Environment

    times = _Times()
    body = _body(prompt, streamed)

    class User(locust.FastHttpUser):
        host = url
        wait_time = locust.constant(0)

        @locust.task
        def ask(self) -> None:
            if streamed:
                sent = time.perf_counter_ns()
                times.streamed(sent, _parts(self.client.iter_lines("/v1/chat/completions", method="POST", json=body)))
            else:
                self.client.post("/v1/chat/completions", json=body)
            if len(times.latency) == _WARM_UP + count:
                gevent.spawn(runner.quit)
                gevent.sleep(60)

    def note(response_time: float, exception: object = None, **_: object) -> None:
        if exception is not None:
            raise SystemExit(f"a request failed: {exception}")
        if not streamed:
            times.latency.append(round(1e6 * response_time))

    environment = Environment(user_classes=[User])
    runner = environment.create_local_runner()
    environment.events.request.add_listener(note)
    runner.start(1, spawn_rate=1)
    runner.greenlet.join()
    return times.medians()


def _parts(lines: Iterable[str]) -> Iterable[tuple[str | None, int | None]]:
    for line in lines:
        if line.startswith("data: {"):
            part = json.loads(line[6:])
            choices, usage = part["choices"], part.get("usage")
            yield choices[0]["delta"].get("content") if choices else None, usage and usage["completion_tokens"]


def _socket(url: str, count: int, prompt: str, streamed: bool) -> dict[str, float]:
    """Send bytes and look at nothing but when a token comes, which is each time that bytes do."""
    where = urlsplit(url)
    body = json.dumps(_body(prompt, streamed)).encode()
    head = f"POST {where.path}/v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    times = _Times()
    with socket.create_connection((where.hostname or "", where.port or 80)) as sock:
        for _ in range(_WARM_UP + count):
            sent = time.perf_counter_ns()
            sock.sendall(request)
            times.streamed(sent, _pieces(sock))
    return times.medians()


def _pieces(sock: socket.socket) -> Iterable[tuple[str | None, int | None]]:
    ended = False
    while not ended:
        piece = sock.recv(2**16)
        if not piece:
            raise ConnectionResetError("the server ended within an answer")
        ended = piece.endswith(b"0\r\n\r\n")
        found = re.search(rb'"completion_tokens": (\d+)', piece)
        yield "." if b'"content": "' in piece else None, int(found[1]) if found else None


CLIENTS: dict[str, Callable[[str, int, str, bool], dict[str, float]]] = {
    "openai": _openai,
    "locust": _locust,
    "socket": _socket,
}

if __name__ == "__main__":
    client, _, streams = sys.argv[1].partition("-")
    print(json.dumps(CLIENTS[client](sys.argv[2], int(sys.argv[3]), sys.argv[4], bool(streams))))
