"""Servers for `benchmarks language` that speak OpenAI's chat API as vLLM does, and know what they did.

nginx answers as quickly as can be, whole at `/whole/v1` and as server-sent events, all at once, at `/streamed/v1`. The
*paced* server sends token by token on a schedule and keeps when it did, which is the truth that a client's time to the
first token and between tokens can be held against.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from benchmarks.wire_servers import nginx_answering

MODEL = "atlas"
PROMPT = "What is the capital of France, and since when has it been?"
TOKENS = 20

_HEAD = {"id": "chatcmpl-1", "created": 1700000000, "model": MODEL}
_USAGE = {"prompt_tokens": 20, "total_tokens": 20 + TOKENS, "completion_tokens": TOKENS}
_WORDS = ["It"] + [" is"] * (TOKENS - 1)
ANSWER = "".join(_WORDS)


def whole() -> bytes:
    """Return an answer that is not streamed."""
    message = {"role": "assistant", "content": ANSWER}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return json.dumps(_HEAD | {"object": "chat.completion", "choices": [choice], "usage": _USAGE}).encode()


def events() -> list[bytes]:
    """Return the events of a streamed answer as vLLM sends them: a role, the tokens, the reason to stop, and the usage.

    The last is the end of the stream.
    """
    deltas = [{"role": "assistant", "content": ""}, *({"content": word} for word in _WORDS), {"content": ""}]
    reasons = [None] * (TOKENS + 1) + ["stop"]
    choices: list[list[dict[str, Any]]] = [
        [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]
        for delta, reason in zip(deltas, reasons, strict=True)
    ]
    head = _HEAD | {"object": "chat.completion.chunk"}
    parts = [head | {"choices": choice} for choice in choices] + [head | {"choices": [], "usage": _USAGE}]
    return [b"data: " + each + b"\n\n" for each in [*(json.dumps(part).encode() for part in parts), b"[DONE]"]]


def _models() -> bytes:
    return json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "bench"}]}).encode()


@contextlib.contextmanager
def at_once(program: str) -> Iterator[str]:
    """Run nginx and give its address."""
    answers = {}
    for name, (kind, body) in {
        "whole": ("application/json", whole()),
        "streamed": ("text/event-stream", b"".join(events())),
    }.items():
        answers[f"/{name}/v1/models"] = ("application/json", _models())
        answers[f"/{name}/v1/chat/completions"] = (kind, body)
    with nginx_answering(program, answers) as address:
        yield address


@dataclass(frozen=True, slots=True)
class Schedule:
    """When the tokens of an answer are sent: the first after the request, each of the others after the one before."""

    first_ms: float
    gap_ms: float


@dataclass(frozen=True, slots=True)
class Truth:
    """Times of the paced server: from the whole request to the first token, and the mean from token to token, in µs."""

    first_us: list[float] = field(default_factory=list)
    gap_us: list[float] = field(default_factory=list)


@contextlib.contextmanager
def paced(schedule: Schedule) -> Iterator[str]:
    """Run the paced server and give its address."""
    command = [sys.executable, "-m", "benchmarks.language_servers", str(schedule.first_ms), str(schedule.gap_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def truth(address: str) -> Truth:
    """Return what a paced server did since it was last asked."""
    with urllib.request.urlopen(f"{address}/truth", timeout=30) as answer:
        return Truth(**json.load(answer))


def _serve(schedule: Schedule) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(listening.getsockname()[1], flush=True)
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=_converse, args=(connection, schedule), daemon=True).start()


_done = Truth()
_EVENTS = events()


def _converse(connection: socket.socket, schedule: Schedule) -> None:
    """Answer the requests of one connection."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(ConnectionError), connection, connection.makefile("rb") as reader:
        while line := reader.readline():
            method, path, _ = line.split()
            headers = dict(_headers(reader))
            reader.read(int(headers.get(b"content-length", b"0")))
            if method == b"POST":
                _answer_slowly(connection, schedule, time.monotonic_ns())
            else:
                _answer(connection, _told(path))


def _headers(reader: Any) -> Iterator[tuple[bytes, bytes]]:  # noqa: ANN401 - a buffered reader, which typing has no name for
    while (line := reader.readline()).strip():
        name, _, value = line.partition(b":")
        yield name.strip().lower(), value.strip()


def _told(path: bytes) -> bytes:
    if path != b"/truth":
        return _models()
    found = json.dumps({"first_us": _done.first_us, "gap_us": _done.gap_us}).encode()
    _done.first_us.clear()
    _done.gap_us.clear()
    return found


def _answer(connection: socket.socket, body: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    connection.sendall(head + body)


def _answer_slowly(connection: socket.socket, schedule: Schedule, asked_ns: int) -> None:
    role, *tokens = _EVENTS[: TOKENS + 1]
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    sent_ns = []
    for i, token in enumerate(tokens):
        due_ns = asked_ns + round(1e6 * (schedule.first_ms + i * schedule.gap_ms))
        time.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
        sent_ns.append(time.monotonic_ns())
        connection.sendall(_chunk(token) if i else head + _chunk(role) + _chunk(token))
    # Kept before the answer ends: who has read it may ask at once.
    _done.first_us.append((sent_ns[0] - asked_ns) / 1e3)
    _done.gap_us.append((sent_ns[-1] - sent_ns[0]) / 1e3 / (TOKENS - 1))
    connection.sendall(b"".join(map(_chunk, [*_EVENTS[TOKENS + 1 :], b""])))


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


if __name__ == "__main__":
    _serve(Schedule(float(sys.argv[1]), float(sys.argv[2])))
