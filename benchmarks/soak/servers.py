"""Model servers of the soak: a sound one that notes each replay, and hostile ones. Each kind is a process.

    python -m benchmarks.soak.servers sound
    python -m benchmarks.soak.servers hostile

They print a line of JSON with their addresses. Each hostile server has a loopback address of its own, since the agent
replays one server at a time.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import socket
import struct
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

from aiohttp import web

from goldwatch.demo.server import DemoServer, Model, probe_class

from benchmarks import digits

SOUND = ("digits", "tapped")
"""The models of the sound server. The same file; *tapped* has live traffic, which clients may write anything into."""

_PIECE = b"a" * 65_536
_MOST_PIECES = 1_600
"""An endless answer ends after 100 MiB, in case that it is read to the end."""

Behaviour: TypeAlias = Callable[[asyncio.StreamWriter], Awaitable[None]]


def _answer(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def _metadata(inputs: int = 0, name_length: int = 40, version: str = "1") -> bytes:
    """Write the metadata of the digits, with `inputs` more inputs."""
    more = [{"name": f"{number:x<{name_length}}", "datatype": "FP32", "shape": [-1, 8, 8]} for number in range(inputs)]
    found = {
        "name": "digits",
        "versions": [version],
        "platform": "onnxruntime",
        "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 8, 8]}, *more],
        "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]}],
    }
    return _answer(json.dumps(found).encode())


def _outputs(values: str) -> bytes:
    return _answer(
        b'{"model_name": "digits", "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [1, 10], '
        b'"data": [' + values.encode() + b"]}]}"
    )


_BOMB = gzip.compress(bytes(50_000_000))
_HEAD = b"HTTP/1.1 200 OK\r\n"


async def _stall(_: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def _trickle(to: asyncio.StreamWriter) -> None:
    to.write(_HEAD + b"Content-Length: 10000\r\n\r\n")
    while True:
        to.write(b" ")
        await to.drain()
        await asyncio.sleep(0.05)


async def _endless(to: asyncio.StreamWriter) -> None:
    to.write(random.choice((_HEAD + b"\r\n", _HEAD + b"X-Endless: ", _HEAD + b"Content-Length: 1073741824\r\n\r\n")))
    for _ in range(_MOST_PIECES):
        to.write(_PIECE)
        await to.drain()


async def _endless_chunks(to: asyncio.StreamWriter) -> None:
    to.write(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    for _ in range(_MOST_PIECES):
        to.write(b"1\r\nx\r\n" * 100)
        await to.drain()


async def _continuations(to: asyncio.StreamWriter) -> None:
    """Speak HTTP/2: settings, then headers that never end."""
    to.write(b"\0\0\0\4\0\0\0\0\0" + b"\0\0\1\1\0\0\0\0\1\x88")
    for _ in range(_MOST_PIECES):
        to.write(b"\0\x40\0\x09\0\0\0\0\1" + b"\0" * 16_384)
        await to.drain()


async def _reset(to: asyncio.StreamWriter) -> None:
    kernel: socket.socket = to.get_extra_info("socket")
    kernel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    to.transport.abort()


def _send(data: Callable[[], bytes], *, ends: bool = False) -> Behaviour:
    async def behave(to: asyncio.StreamWriter) -> None:
        to.write(data())
        await to.drain()
        if ends:
            to.close()

    return behave


ANSWERS: dict[str, Behaviour] = {
    "stall": _stall,
    "trickle": _trickle,
    "endless": _endless,
    "endless chunks": _endless_chunks,
    "reset": _reset,
    "truncated": _send(lambda: _answer(b"x" * 1000)[:-500], ends=True),
    "compressed": _send(lambda: _answer(_BOMB, headers="Content-Encoding: gzip\r\n")),
    "garbage": _send(lambda: random.randbytes(2000), ends=True),
    "truncated JSON": _send(lambda: _answer(b'{"outputs": [{"name": "y"')),
    "deep JSON": _send(lambda: _answer(b"[" * 100_000)),
    "long list": _send(lambda: _outputs(",".join(["0.1"] * 500_000))),
    "not numbers": _send(lambda: _outputs('NaN, Infinity, "a", null, 1e999, true, {}, [], -0, 1')),
    "long error": _send(lambda: _answer(random.randbytes(500_000).hex().encode(), "500 Oops")),
    "redirect": _send(lambda: _answer(b"", "307 Temporary Redirect", "Location: http://127.0.0.1/\r\n")),
    "bad chunk": _send(lambda: _HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", ends=True),
    "wrong": _send(lambda: _outputs("0,0,0,0,0,0,0,0,0,1")),
}
"""What a hostile server does in place of an answer."""

KINDS: dict[str, tuple[str, ...]] = {
    "stalling": ("stall", "trickle"),
    "large": ("endless", "endless chunks", "long list", "long error", "deep JSON"),
    "compressed": ("compressed",),
    "truncating": ("truncated", "truncated JSON", "reset", "bad chunk"),
    "fat": ("wrong",),
    "any": tuple(ANSWERS),
    "erratic": tuple(ANSWERS),
}
"""The hostile servers over HTTP, and their answers; *fat* has huge metadata, *erratic* breaks off requests too."""


def _described(kind: str) -> bytes:
    """Return the metadata that a server gives of its model."""
    if kind != "fat":
        return _metadata()
    return random.choice((_metadata(30_000), _metadata(5, 1_000_000), _metadata(version="v" * 5_000_000)))


async def _serve(kind: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while head := await reader.readuntil(b"\r\n\r\n"):
        lines = head.decode("latin-1").split("\r\n")
        lengths = [line.partition(":")[2] for line in lines if line.lower().startswith("content-length:")]
        await reader.readexactly(int(lengths[0]) if lengths else 0)
        if kind == "erratic" and random.random() < 0.1:
            await _reset(writer)
            return
        if lines[0].startswith("GET"):
            writer.write(_described(kind))
            await writer.drain()
        else:
            await ANSWERS[random.choice(KINDS[kind])](writer)


async def _serve_http2(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    await random.choice((_continuations, _stall, ANSWERS["garbage"], _reset))(writer)


def _quietly(serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> Callable[..., None]:
    """Serve a connection until it breaks, as it will."""

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (OSError, EOFError, asyncio.LimitOverrunError, ValueError):
            pass
        finally:
            writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(run(reader, writer))
        _running.add(task)
        task.add_done_callback(_running.discard)

    return connected


_running: set[asyncio.Task[None]] = set()


async def _hostile() -> None:
    addresses = {}
    for number, kind in enumerate([*KINDS, "http2"]):

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kind: str = kind) -> None:
            await (_serve_http2(reader, writer) if kind == "http2" else _serve(kind, reader, writer))

        host = f"127.0.0.{number + 2}"
        server = await asyncio.start_server(_quietly(serve), host, 0)
        addresses[kind] = f"http://{host}:{server.sockets[0].getsockname()[1]}"
    _say(addresses)
    await asyncio.Event().wait()


async def _sound() -> None:
    """Serve the digits. The first request of a replay asks what the model is: `/begun` has these times by model."""
    begun: dict[str, list[float]] = {name: [] for name in SOUND}

    @web.middleware
    async def note(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.method == "GET" and request.match_info.get("model") in begun and not request.path.endswith("ready"):
            begun[request.match_info["model"]].append(time.time())
        return await handler(request)

    cls = probe_class("onnx-runtime")
    models = {name: Model(name, Path(digits.MODEL), cls) for name in SOUND}
    for model in models.values():
        await model.load()
    app = DemoServer(models).application()
    app.middlewares.append(note)
    app.router.add_get("/begun", lambda _: _json(begun))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    _say({"sound": f"http://127.0.0.1:{runner.addresses[0][1]}"})
    await asyncio.Event().wait()


async def _json(value: object) -> web.Response:
    return web.json_response(value)


def _say(addresses: dict[str, str]) -> None:
    print(json.dumps(addresses), flush=True)


if __name__ == "__main__":
    random.seed(20261130)
    asyncio.run({"sound": _sound, "hostile": _hostile}[sys.argv[1]]())
