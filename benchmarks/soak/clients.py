"""Hostile clients of the agent's HTTP port, in one process: `python -m benchmarks.soak.clients PORT`.

They go on whatever happens to a connection, and while the agent is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
import zlib
from collections.abc import Awaitable, Callable

IDLE = 400
"""Idle connections that are wanted at all times; the agent keeps at most 256 of all."""

_PATHS = ("/", "/metrics", "/healthz", "/live/tapped", "/api/v1/watches", "/alerts/1", "/nowhere")
_PAUSE_S = 0.5


def _bomb() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(bytes(2**20)) for _ in range(200)) + packer.flush()


_BODY = _bomb()


def _post(path: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _event(body: bytes, kind: str = "org.kubeflow.serving.inference.request") -> bytes:
    headers = ("ce-specversion: 1.0", f"ce-type: {kind}", f"ce-id: {random.getrandbits(64)}", "ce-source: x")
    return _post("/live/tapped", body, *headers, "Content-Type: application/json")


def _malformed() -> bytes:
    """Return one of many requests that are wrong."""
    return random.choice(
        (
            random.randbytes(500),
            b"GET / HTTP/9.9\r\n\r\n",
            b"GET  HTTP/1.1\r\nHost\r\n\r\n",
            b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5_000 + b"\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
            b"POST /live/tapped HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"GET /api/v1/watches?limit=99999999999 HTTP/1.1\r\nHost: x\r\n\r\n" * 20,
            b"GET /api/v1/alerts/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
            _event(b"[" * 100_000),
            _event(json.dumps({"instances": [[random.random()] * 64]}).encode()),
            _event(random.randbytes(10_000)),
            _event(b"{}", "x" * 5_000),
        )
    )


def _page() -> bytes:
    return f"GET {random.choice(_PATHS)} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


async def _connected(port: int, use: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> None:
    """Use a connection until it ends; without an agent, wait a little."""
    writer = None
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await use(reader, writer)
    except OSError:
        await asyncio.sleep(_PAUSE_S)
    finally:
        if writer is not None:
            writer.transport.abort()


async def _idle(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()
    await asyncio.sleep(random.uniform(1, 60))  # or they would do nothing but take each other's places


async def _slow_head(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"GET / HTTP/1.1\r\nX-Slow: ")
    while not writer.transport.is_closing():
        writer.write(b"a")
        await writer.drain()
        await asyncio.sleep(1)


async def _send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(writer.drain(), 5)
        await asyncio.wait_for(reader.read(65_536), 5)


async def _endless_body(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"POST /live/tapped HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nce-type: a.request\r\n\r\n")
    for _number in range(200):
        writer.write(b"10000\r\n" + bytes(65_536) + b"\r\n")
        await asyncio.wait_for(writer.drain(), 5)


async def _forever(port: int, every_s: float, make: Callable[[], object]) -> None:
    while True:
        use = make()
        with contextlib.suppress(TimeoutError):
            await _connected(port, use)  # type: ignore[arg-type]
        await asyncio.sleep(every_s * random.uniform(0.5, 1.5))


async def main(port: int) -> None:
    """Attack until the process is ended."""

    def sending(data: Callable[[], bytes]) -> Callable[[], object]:
        return lambda: lambda reader, writer: _send(reader, writer, data())

    def compressed() -> bytes:
        return _post(random.choice(_PATHS), _BODY, "Content-Encoding: gzip", "ce-type: a.request", "ce-id: 1")

    attacks: list[tuple[int, float, Callable[[], object]]] = [
        (IDLE, 0.1, lambda: _idle),
        (20, 0.5, lambda: _slow_head),
        (4, 1.0, sending(_malformed)),
        (2, 2.0, sending(compressed)),
        (2, 5.0, lambda: _endless_body),
        (2, 1.0, sending(_page)),
    ]
    async with asyncio.TaskGroup() as tasks:
        for count, every_s, make in attacks:
            for _ in range(count):
                tasks.create_task(_forever(port, every_s, make))


if __name__ == "__main__":
    random.seed(20261130)
    asyncio.run(main(int(sys.argv[1])))
